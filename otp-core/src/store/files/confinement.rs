//! What keeps a process from the records while nothing is wrong with them: the service's sandbox. Looked at for a hint only.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
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
    let path = real.as_deref().unwrap_or(path).to_str().unwrap_or_default();
    let (own, first) = (mounts("/proc/self/mountinfo"), mounts("/proc/1/mountinfo"));
    compared(path, str::from_utf8(&own).unwrap_or_default(), str::from_utf8(&first).unwrap_or_default())
}

/// Bytes of a list of mounts that are looked at.
const MOST_MOUNTS: usize = 262_144;

/// A list of mounts; empty if it cannot be read. With the calls that a login makes anyway, which keeps the module small.
fn mounts(file: &str) -> Vec<u8> {
    let Ok(file) = File::open(file) else { return Vec::new() };
    let (mut text, mut length) = (vec![0; MOST_MOUNTS], 0usize);
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty())
        && let Ok(read @ 1..) = file.read_at(rest, length.try_into().unwrap_or(u64::MAX))
    {
        length = length.saturating_add(read);
    }
    text.truncate(length);
    text
}

/// Why this process was denied.
pub(crate) fn denial() -> Denial {
    let helper = Path::new(paths::HELPER);
    let file = fs::metadata(helper).ok();
    let is_installed = file.as_ref().is_some_and(|file| takes_its_group(file.mode(), file.gid()));
    let has_group = file.is_some_and(|file| file.gid() == getegid().as_raw());
    if geteuid().is_root() {
        Denial::Root
    } else if !is_installed {
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

/// Whether a program with this mode and group runs with its group, and that is none of root's.
fn takes_its_group(mode: u32, gid: u32) -> bool {
    mode & 0o2010 == 0o2010 && gid != 0
}

/// Whether a helper that this process starts runs without its group: the sandbox of the service sees to that.
pub(crate) fn keeps_helper_from_its_group() -> bool {
    matches!(denial(), Denial::NoNewPrivileges | Denial::Nosuid)
}

/// A path in the mounts of two processes, both as in proc_pid_mountinfo(5).
fn compared(path: &str, own: &str, first: &str) -> Sight {
    let (Some(own), Some(first)) = (Mount::of(path, own), Mount::of(path, first)) else { return Sight::Same };
    match (own.shows_as(first, path), own.is_read_only && !first.is_read_only) {
        (false, _) => Sight::OtherHere,
        (true, true) => Sight::ReadOnlyHere,
        (true, false) => Sight::Same,
    }
}

/// The mount that shows a path.
#[derive(Clone, Copy)]
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
    fn of(path: &str, mounts: &'a str) -> Option<Self> {
        let mut here: Option<Self> = None;
        loop {
            let mut next: Option<Self> = None;
            for mount in mounts.split('\n').filter_map(Self::parse) {
                let is_in = here.map_or(mount.point == "/", |here| mount.parent == here.id && mount.id != here.id);
                let is_nearer = next.is_none_or(|next| mount.point.len() < next.point.len());
                if is_in && is_nearer && below(path, mount.point).is_some() {
                    next = Some(mount);
                }
            }
            if next.is_none() {
                return here;
            }
            here = next;
        }
    }

    /// `36 35 98:0 /folder /point rw,noatime shared:1 - ext4 /dev/sda1 rw`
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let [id, parent, device, root, point, options] = std::array::from_fn(|_| words.next().unwrap_or_default());
        let of_system = words.skip_while(|word| *word != "-").nth(3)?;
        let is_ro = |options: &str| options == "ro" || options.starts_with("ro,");
        Some(Self { id, parent, device, root, point, is_read_only: is_ro(options) || is_ro(of_system) })
    }

    /// Whether two mounts show the same folder as this path.
    fn shows_as(self, other: Self, path: &str) -> bool {
        let (outer, inner) = if self.point.len() < other.point.len() { (self, other) } else { (other, self) };
        let between = path.get(bare(outer.point).len()..bare(inner.point).len());
        self.device == other.device && between.is_some() && bare(inner.root).strip_prefix(bare(outer.root)) == between
    }
}

/// A folder as the beginning of the paths below it.
fn bare(folder: &str) -> &str {
    if folder == "/" { "" } else { folder }
}

/// What follows of a path below a folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(bare(folder))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:2 / /var rw,relatime shared:2 - ext4 /dev/sda2 rw
";

    #[test]
    fn a_helper_is_installed_with_its_group() {
        assert!(takes_its_group(0o102755, 990));
        for (mode, gid) in [(0o102755, 0), (0o100755, 990), (0o102745, 990), (0o104755, 990)] {
            assert!(!takes_its_group(mode, gid), "{mode:o} {gid}");
        }
    }

    #[test]
    fn a_list_of_mounts_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mounts");
        let path = file.to_str().unwrap();
        assert!(mounts(path).is_empty());
        for length in [0, 3, 5000, MOST_MOUNTS, MOST_MOUNTS + 5000] {
            let text: Vec<u8> = (0..=250).cycle().take(length).collect();
            fs::write(&file, &text).unwrap();
            assert!(mounts(path) == text.get(..MOST_MOUNTS).unwrap_or(&text), "{length}");
        }
    }

    fn seen(own: &str) -> Sight {
        compared("/var/lib/pam_otp", own, FIRST)
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
        assert_eq!(compared("/var/lib/pam_otp", &disk, &disk), Sight::Same);
        // TemporaryFileSystem=/var/lib, and a mount over another
        let hidden = FIRST.to_owned() + "91 24 0:55 / /var/lib ro - tmpfs tmpfs ro\n";
        assert_eq!(seen(&hidden), Sight::OtherHere);
        let back = hidden + "92 91 8:2 /lib /var/lib rw - ext4 /dev/sda2 rw\n";
        assert_eq!(seen(&back), Sight::Same);
        let own_disk = FIRST.to_owned() + "25 24 8:3 / /var/lib/pam_otp rw - ext4 /dev/sda3 rw\n";
        let over_it = own_disk.clone() + "91 24 0:55 / /var/lib ro - tmpfs tmpfs ro\n";
        assert_eq!(compared("/var/lib/pam_otp", &over_it, &own_disk), Sight::OtherHere);
        // BindPaths=/srv/other:/var/lib/pam_otp
        let other = FIRST.to_owned() + "93 24 8:2 /srv/other /var/lib/pam_otp rw - ext4 /dev/sda2 rw\n";
        assert_eq!(seen(&other), Sight::OtherHere);
        for unreadable in ["", "nonsense\n", "1 2 3\n"] {
            assert_eq!(seen(unreadable), Sight::Same);
        }
    }
}
