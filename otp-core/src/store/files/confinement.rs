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
    Process {
        is_root: geteuid().is_root(),
        gid: getegid().as_raw(),
        helper: fs::metadata(helper).ok().map(|file| (file.mode(), file.gid())),
        gains_no_privileges: get_no_new_privs().unwrap_or(false),
        is_nosuid: statvfs(helper).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOSUID)),
    }
    .denial()
}

impl Denial {
    /// Whether a helper that this process starts runs without its group: the sandbox of the service sees to that.
    pub(crate) fn is_of_sandbox(self) -> bool {
        matches!(self, Self::NoNewPrivileges | Self::Nosuid)
    }
}

/// What decides about a program's group.
#[derive(Clone, Copy)]
struct Process {
    is_root: bool,
    gid: u32,
    /// Mode and group of the helper's file.
    helper: Option<(u32, u32)>,
    gains_no_privileges: bool,
    is_nosuid: bool,
}

impl Process {
    fn denial(self) -> Denial {
        let group = self.helper.filter(|(mode, gid)| mode & 0o2010 == 0o2010 && *gid != 0).map(|(_, gid)| gid);
        match group {
            _ if self.is_root => Denial::Root,
            None => Denial::Installation,
            Some(group) if group == self.gid => Denial::Other,
            Some(_) if self.gains_no_privileges => Denial::NoNewPrivileges,
            Some(_) if self.is_nosuid => Denial::Nosuid,
            Some(_) => Denial::Other,
        }
    }
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
            let is_in =
                |mount: &Self| here.map_or(mount.point == "/", |here| mount.parent == here.id && mount.id != here.id);
            let inner = mounts.split('\n').filter_map(Self::parse).filter(is_in);
            match inner.filter(|mount| below(path, mount.point).is_some()).min_by_key(|mount| mount.point.len()) {
                Some(next) => here = Some(next),
                None => return here,
            }
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
        let (outer, inner) = if other.point.starts_with(self.point) { (self, other) } else { (other, self) };
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

    fn seen(own: &str) -> Sight {
        compared("/var/lib/pam_otp", own, FIRST)
    }

    #[test]
    fn a_sandbox_is_told_from_a_read_only_disk() {
        assert_eq!(seen(FIRST), Sight::Same);
        // ProtectSystem=strict
        let strict = FIRST.replace("rw,relatime", "ro,relatime");
        assert_eq!(seen(&strict), Sight::ReadOnlyHere);
        assert_eq!(compared("/etc/pam_otp", &strict, FIRST), Sight::ReadOnlyHere);
        // and ReadWritePaths=
        let own = "90 24 8:2 /lib/pam_otp /var/lib/pam_otp rw,relatime - ext4 /dev/sda2 rw\n";
        let opened = strict + own;
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
        // What one of them alone has mounted there.
        let bound = FIRST.to_owned() + own;
        assert_eq!((seen(&bound), compared("/var/lib/pam_otp", FIRST, &bound)), (Sight::Same, Sight::Same));
        for unreadable in ["", "nonsense\n", "1 2 3\n"] {
            assert_eq!(seen(unreadable), Sight::Same);
        }
    }

    #[test]
    fn a_denial_is_of_the_sandbox_where_the_helper_is_well() {
        let helper = Some((0o102_755, 990));
        let none = Process { is_root: false, gid: 100, helper, gains_no_privileges: false, is_nosuid: false };
        let sandboxed = Process { gains_no_privileges: true, is_nosuid: true, ..none };
        for (process, denial) in [
            (none, Denial::Other),
            (sandboxed, Denial::NoNewPrivileges),
            (Process { is_nosuid: true, ..none }, Denial::Nosuid),
            (Process { gid: 990, ..sandboxed }, Denial::Other),
            (Process { is_root: true, ..sandboxed }, Denial::Root),
            (Process { helper: None, ..sandboxed }, Denial::Installation),
            (Process { helper: Some((0o102_755, 0)), ..sandboxed }, Denial::Installation),
            (Process { helper: Some((0o100_755, 990)), ..sandboxed }, Denial::Installation),
            (Process { helper: Some((0o102_745, 990)), ..sandboxed }, Denial::Installation),
        ] {
            assert_eq!(process.denial(), denial);
            assert_eq!(denial.is_of_sandbox(), [Denial::NoNewPrivileges, Denial::Nosuid].contains(&denial));
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
}
