//! A small file system of its own under a site's records, to be filled up and to be made read-only.

use crate::{machine, site::Site};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Which file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// ext4 in a file, by a loop device.
    Ext4,
    /// In memory.
    Tmpfs,
}

/// A mounted file system; it goes when this goes.
#[derive(Debug)]
pub struct Volume {
    place: PathBuf,
}

impl Volume {
    /// Over the (empty) state directory of a site; `None` where this machine has no loop devices.
    ///
    /// # Panics
    /// When it cannot be made otherwise.
    pub fn over(site: &Site, kind: Kind) -> Option<Volume> {
        machine::require("a mounted file system");
        let place = site.state().to_owned();
        match kind {
            Kind::Ext4 => {
                make_loop_nodes()?;
                let image = Path::new("/tmp").join(machine::unique("ext4"));
                File::create(&image).unwrap().set_len(4 << 20).unwrap();
                // No blocks kept back for root, who fills it.
                machine::run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-N", "64"]).arg(&image));
                machine::run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&place));
                fs::remove_dir(place.join("lost+found")).unwrap();
            }
            Kind::Tmpfs => {
                let mut mount = Command::new("mount");
                machine::run(mount.args(["-t", "tmpfs", "-o", "size=128k,nr_inodes=64", "tmpfs"]).arg(&place));
            }
        }
        machine::run(Command::new("chown").arg("root:pam_otp").arg(&place));
        machine::run(Command::new("chmod").arg("1730").arg(&place));
        crate::site::identify(site.config(), &place);
        Some(Volume { place })
    }

    /// Leaves no room for a byte more.
    ///
    /// # Panics
    /// When it does not get full.
    pub fn fill(&self) {
        let mut filler = File::create(self.place.join(".filler")).unwrap();
        for size in [4096, 512, 1] {
            while filler.write_all(&vec![0; size]).and_then(|()| filler.sync_all()).is_ok() {
                assert!(filler.metadata().unwrap().len() < 16 << 20, "it does not get full");
            }
        }
    }

    /// Leaves no room for a file more.
    ///
    /// # Panics
    /// When it does not get full.
    pub fn fill_with_files(&self) {
        let full = (0..10_000).any(|number| File::create(self.place.join(format!(".filler-{number}"))).is_err());
        assert!(full, "it does not get full");
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it cannot.
    pub fn clear(&self) {
        for entry in fs::read_dir(&self.place).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with(".filler") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        // ext4 gives the blocks of a removed file out again when its journal is written.
        File::open(&self.place).unwrap().sync_all().unwrap();
    }

    /// Read-only from now on, or writable again.
    ///
    /// # Panics
    /// When it cannot be mounted so.
    pub fn read_only(&self, yes: bool) {
        let how = if yes { "remount,ro" } else { "remount,rw" };
        machine::run(Command::new("mount").args(["-o", how]).arg(&self.place));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.place).status();
    }
}

/// The machine's /dev is bare. `None` where the kernel has no loop devices, or does not let us use them.
fn make_loop_nodes() -> Option<()> {
    let node = |name: &str, numbers: &[&str]| {
        let path = Path::new("/dev").join(name);
        if !path.exists() {
            let _ = Command::new("mknod").arg(&path).args(numbers).output(); // another test may have made it meanwhile
        }
    };
    node("loop-control", &["c", "10", "237"]);
    (0..64).for_each(|number| node(&format!("loop{number}"), &["b", "7", &number.to_string()]));
    let found = Command::new("losetup").arg("--find").output().unwrap();
    found.status.success().then_some(())
}
