//! What keeps a process from the records while nothing is wrong with them: the service's sandbox. Looked at for a hint only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::prctl::get_no_new_privs;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid};

use crate::config::paths;

/// What the mounts of this process make of a path, compared with those of process 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The same as for process 1, or not known.
    Same,
    /// The same folder, read-only for this process alone.
    ReadOnlyHere,
    /// Another folder, or none.
    OtherHere,
}

/// Why a process may not open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Root itself was denied.
    Root,
    /// No program that this process starts, itself included, has gained a group.
    NoNewPrivileges,
    /// Set-group-ID means nothing on that file system.
    Nosuid,
    /// The helper's file is not set-group-ID.
    Installation,
    /// It has its group.
    Other,
}

/// How this process sees a path.
pub(crate) fn sight(path: &Path) -> Sight {
    let real = fs::canonicalize(path);
    let read = |file: &str| fs::read_to_string(file).ok();
    match (read("/proc/self/mountinfo"), read("/proc/1/mountinfo")) {
        (Some(own), Some(first)) => compared(real.as_deref().unwrap_or(path), &own, &first),
        _ => Sight::Same,
    }
}

/// Why this process was denied.
pub(crate) fn denial() -> Denial {
    let helper = Path::new(paths::HELPER);
    let is_set_group_id = fs::metadata(helper).is_ok_and(|file| file.mode() & 0o2010 == 0o2010 && file.gid() != 0);
    let has_group = fs::metadata(helper).is_ok_and(|file| file.gid() == getegid().as_raw());
    if geteuid().is_root() {
        Denial::Root
    } else if !is_set_group_id {
        Denial::Installation
    } else if has_group {
        Denial::Other
    } else if get_no_new_privs() == Ok(true) {
        Denial::NoNewPrivileges
    } else if statvfs(helper).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOSUID)) {
        Denial::Nosuid
    } else {
        Denial::Other
    }
}

/// A path in the mounts of two processes, both as in proc_pid_mountinfo(5).
fn compared(path: &Path, own: &str, first: &str) -> Sight {
    let (Some(own), Some(first)) = (Mount::of(path, own), Mount::of(path, first)) else { return Sight::Same };
    if own.device != first.device || own.folder(path) != first.folder(path) {
        Sight::OtherHere
    } else if own.is_read_only && !first.is_read_only {
        Sight::ReadOnlyHere
    } else {
        Sight::Same
    }
}

/// The mount that shows a path.
struct Mount<'a> {
    id: &'a str,
    /// The id of the mount that this one is in.
    parent: &'a str,
    device: &'a str,
    /// The folder of its file system that is mounted, and where.
    root: &'a str,
    point: &'a str,
    is_read_only: bool,
}

impl<'a> Mount<'a> {
    /// The mount in which a walk down the path ends. What is mounted below a folder that another mount hides is listed, too.
    fn of(path: &Path, mounts: &'a str) -> Option<Self> {
        let mut around: Vec<Self> =
            mounts.lines().filter_map(Self::parse).filter(|mount| path.starts_with(mount.point)).collect();
        let is_outermost = |mount: &Self| !around.iter().any(|other| other.id == mount.parent && other.id != mount.id);
        let mut here = around.swap_remove(around.iter().position(is_outermost)?);
        loop {
            let inner = around.iter().enumerate().filter(|(_, mount)| mount.parent == here.id);
            let Some((place, _)) = inner.min_by_key(|(_, mount)| mount.point.len()) else { return Some(here) };
            here = around.swap_remove(place);
        }
    }

    fn parse(line: &'a str) -> Option<Self> {
        let (own, of_system) = line.split_once(" - ")?;
        let mut words = own.split(' ');
        let (id, parent) = (words.next()?, words.next()?);
        let (device, root, point, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let is_ro = |options: &str| options.split(',').any(|option| option == "ro");
        let is_read_only = is_ro(options) || of_system.rsplit(' ').next().is_some_and(is_ro);
        Some(Self { id, parent, device, root, point, is_read_only })
    }

    /// The path within the file system.
    fn folder(&self, path: &Path) -> std::path::PathBuf {
        Path::new(self.root).join(path.strip_prefix(self.point).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:2 / /var rw,relatime shared:2 - ext4 /dev/sda2 rw
";

    fn seen(own: &str) -> Sight {
        compared(Path::new("/var/lib/pam_otp"), own, FIRST)
    }

    #[test]
    fn a_sandbox_is_told_from_a_read_only_disk() {
        assert_eq!(seen(FIRST), Sight::Same);
        // ProtectSystem=strict
        let strict = FIRST.replace("rw,relatime", "ro,relatime");
        assert_eq!(seen(&strict), Sight::ReadOnlyHere);
        // and ReadWritePaths=
        let opened = strict + "90 24 8:2 /lib/pam_otp /var/lib/pam_otp rw,relatime - ext4 /dev/sda2 rw\n";
        assert_eq!(seen(&opened), Sight::Same);
        // The disk, for all.
        let disk = FIRST.replace("/dev/sda2 rw", "/dev/sda2 ro");
        assert_eq!(compared(Path::new("/var/lib/pam_otp"), &disk, &disk), Sight::Same);
        // TemporaryFileSystem=/var/lib, and a mount over another
        let hidden = FIRST.to_owned() + "91 24 0:55 / /var/lib ro - tmpfs tmpfs ro\n";
        assert_eq!(seen(&hidden), Sight::OtherHere);
        let back = hidden + "92 91 8:2 /lib /var/lib rw - ext4 /dev/sda2 rw\n";
        assert_eq!(seen(&back), Sight::Same);
        let own_disk = FIRST.to_owned() + "25 24 8:3 / /var/lib/pam_otp rw - ext4 /dev/sda3 rw\n";
        let over_it = own_disk.clone() + "91 24 0:55 / /var/lib ro - tmpfs tmpfs ro\n";
        assert_eq!(compared(Path::new("/var/lib/pam_otp"), &over_it, &own_disk), Sight::OtherHere);
        // BindPaths=/srv/other:/var/lib/pam_otp
        let other = FIRST.to_owned() + "93 24 8:2 /srv/other /var/lib/pam_otp rw - ext4 /dev/sda2 rw\n";
        assert_eq!(seen(&other), Sight::OtherHere);
        for unreadable in ["", "nonsense\n", "1 2 3\n"] {
            assert_eq!(seen(unreadable), Sight::Same);
        }
    }
}
