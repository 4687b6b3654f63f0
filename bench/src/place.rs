//! The place of the records: a folder on a disk or in memory. Which of the two it is, is checked.

use std::{
    fmt, fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use pam_otp_tests::machine;

/// The medium that records are written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Medium {
    /// A flush waits for a device.
    Disk,
    /// A flush does not wait.
    Memory,
}

impl fmt::Display for Medium {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Medium::Disk => "disk",
            Medium::Memory => "memory",
        })
    }
}

/// A new folder of root's, which is removed with the throwaway machine.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) medium: Medium,
    pub(crate) path: PathBuf,
    /// The kernel's name of the file system.
    pub(crate) kind: String,
}

impl Place {
    /// In tests/machine, /var/lib/pam_otp is on a real disk and /run is in memory. This checks that.
    pub(crate) fn on(medium: Medium) -> Place {
        machine::require("a benchmark");
        let name = machine::unique(&format!("bench-{medium}"));
        let parent = match medium {
            Medium::Disk => "/var/lib/pam_otp",
            Medium::Memory => "/run",
        };
        let (folder, path) = (Path::new(parent).join(&name), Path::new("/srv").join(&name));
        make(&folder, 0o755);
        make(&path, 0o755);
        // Only root can enter /var/lib/pam_otp, and the incumbent opens its files as the user.
        machine::run(Command::new("mount").arg("--bind").args([&folder, &path]));
        let kind = machine::run(Command::new("findmnt").args(["-n", "-o", "FSTYPE", "--target"]).arg(&path));
        let kind = kind.trim().to_owned();
        let in_memory = ["tmpfs", "ramfs"].contains(&kind.as_str());
        assert_ne!(kind, "overlay", "{parent} is an overlay: its files may be on any medium");
        assert_eq!(in_memory, medium == Medium::Memory, "{parent} is on {kind}; the rows for {medium} would be untrue");
        Place { medium, path, kind }
    }

    /// Flushes everything written here so far to the medium.
    pub(crate) fn settle(&self) {
        machine::run(Command::new("sync").arg("--file-system").arg(&self.path));
    }
}

/// A new folder with this mode, whatever the umask.
pub(crate) fn make(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Our state directory.
pub(crate) fn ours_dir(place: &Place) -> PathBuf {
    place.path.join("state")
}

/// The home directories, where the incumbent keeps its files.
pub(crate) fn homes_dir(place: &Place) -> PathBuf {
    place.path.join("homes")
}

/// pam_oath's one file.
pub(crate) fn oath_file(place: &Place) -> PathBuf {
    place.path.join("oath/users.oath")
}

/// A home that belongs to its user.
pub(crate) fn home(place: &Place, user: &str, uid: u32) -> PathBuf {
    let path = homes_dir(place).join(user);
    if !path.exists() {
        make(&path, 0o700);
        chown(&path, Some(uid), Some(uid)).unwrap();
    }
    path
}
