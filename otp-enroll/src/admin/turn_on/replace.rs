//! A file of root's is replaced, made or removed: as a whole, with its mode, owner and labels, and never through a link.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};

use crate::error::plain;

/// For a file that was not there before.
const MODE: u32 = 0o644;

/// The file that gets its name when it is whole, in a folder that is no service's.
const NEXT: &str = "next";
/// The same where that folder is on another file system. libpam and sshd read no file of this name.
const NEXT_BESIDE: &str = ".pam_otp.next";

/// Labels that follow a file to its successor: SELinux, Smack, access lists, and what an administrator or a program has noted.
const LABELS: [&[u8]; 5] =
    [b"security.selinux", b"security.SMACK64", b"system.posix_acl_access", b"user.", b"trusted."];

/// What the kernel knows of the bytes of a file: a checksum, which it writes itself, or a signature, which it cannot.
const INTEGRITY: &str = "security.ima";
const SIGNATURE: u8 = 3;

/// Why a file is left alone.
#[derive(Debug)]
pub(crate) enum Odd {
    /// A symbolic link, to this file.
    Link(PathBuf),
    /// A folder, a device, a socket.
    NoFile,
    /// A hard link: other names show the same file, and would show the old one.
    ManyNames,
    /// Its bytes are signed for the kernel (IMA): no other bytes would pass.
    Signed,
    /// Users other than root can change it, or this folder that it is in.
    OfOthers(Option<PathBuf>),
    Unreadable(io::Error),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(target) => write!(f, "is a link to {}", target.display()),
            Self::NoFile => f.write_str("is no file"),
            Self::ManyNames => f.write_str("has several names (hard links)"),
            Self::Signed => f.write_str("is signed for the kernel (security.ima), which would reject any change"),
            Self::OfOthers(None) => f.write_str("can be changed by users other than root"),
            Self::OfOthers(Some(folder)) => {
                write!(f, "is in {}, which is a link, or can be changed by users other than root", folder.display())
            }
            Self::Unreadable(error) => write!(f, "cannot be read: {}", plain(error)),
        }
    }
}

/// The bytes of a file that only root can change; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Odd> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Odd::Unreadable(error)),
        Ok(found) if !found.is_dir() || is_of_others(&found) => return Err(Odd::OfOthers(Some(folder.to_owned()))),
        Ok(_) => {}
    }
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(Odd::Unreadable)?,
    };
    if found.is_symlink() {
        return Err(Odd::Link(fs::read_link(path).unwrap_or_default()));
    }
    if !found.is_file() {
        return Err(Odd::NoFile);
    }
    if found.nlink() > 1 {
        return Err(Odd::ManyNames);
    }
    if is_of_others(&found) {
        return Err(Odd::OfOthers(None));
    }
    let mut bytes = Vec::new();
    let mut file = open(path).map_err(Odd::Unreadable)?;
    if is_signed(&file) {
        return Err(Odd::Signed);
    }
    file.read_to_end(&mut bytes).map_err(Odd::Unreadable)?;
    Ok(Some(bytes))
}

fn is_of_others(found: &fs::Metadata) -> bool {
    found.uid() != 0 || found.mode() & 0o022 != 0
}

fn is_signed(file: &File) -> bool {
    let mut label = [0_u8; 4096];
    fgetxattr(file, INTEGRITY, label.as_mut_slice()).is_ok_and(|length| length > 0 && label.first() == Some(&SIGNATURE))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}

/// Writes a file in place of the one with these bytes, or of none. It is there when this returns, also after a power cut;
/// before that, the old one is. `staging` is a folder that only root can open.
pub(super) fn put(path: &Path, bytes: &[u8], expected: Option<&[u8]>, staging: &Path) -> io::Result<()> {
    is_expected(path, expected)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let model = open(if expected.is_some() { path } else { folder })?;
    let model = (&model, expected.is_some());
    let next = staging.join(NEXT);
    write(&next, bytes, model)?;
    match fs::rename(&next, path) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::remove_file(&next)?;
            let beside = folder.join(NEXT_BESIDE);
            write(&beside, bytes, model)?;
            fs::rename(&beside, path).inspect_err(|_| {
                let _ = fs::remove_file(&beside);
            })?;
        }
        renamed => renamed?,
    }
    flush(folder)
}

/// Removes the file with these bytes.
pub(super) fn remove(path: &Path, expected: &[u8]) -> io::Result<()> {
    is_expected(path, Some(expected))?;
    fs::remove_file(path)?;
    flush(path.parent().unwrap_or(Path::new("/")))
}

/// The result of a removal, for which what is not there is as good as removed.
pub(super) fn or_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Brings the names in a folder to the disk.
pub(super) fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn is_expected(path: &Path, expected: Option<&[u8]>) -> io::Result<()> {
    let found = read(path).map_err(|odd| io::Error::other(format!("it {odd}")))?;
    let as_expected = found.as_deref() == expected;
    as_expected.then_some(()).ok_or_else(|| io::Error::other("it was changed in the meantime"))
}

/// A file with the mode, owner and labels of its model; of a folder as model it has the label alone. Half a file is none.
fn write(path: &Path, bytes: &[u8], model: (&File, bool)) -> io::Result<()> {
    or_gone(fs::remove_file(path))?; // what a run that was killed has left
    write_new(path, bytes, model).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

fn write_new(path: &Path, bytes: &[u8], (model, is_file): (&File, bool)) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    let found = model.metadata()?;
    if is_file {
        fchown(&file, Some(found.uid()), Some(found.gid()))?;
    }
    copy_labels(model, &file, is_file)?;
    // Last: to change the owner or an access list takes bits of the mode away, or adds some.
    file.set_permissions(Permissions::from_mode(if is_file { found.mode() & 0o7777 } else { MODE }))?;
    file.sync_all()
}

fn copy_labels(from: &File, to: &File, all: bool) -> io::Result<()> {
    let mut names = vec![0_u8; 65_536];
    let length = match flistxattr(from, names.as_mut_slice()) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    names.truncate(length);
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let follows = LABELS.iter().take(if all { LABELS.len() } else { 1 }).any(|label| name.starts_with(label));
        if follows {
            let mut value = vec![0_u8; 65_536];
            let length = fgetxattr(from, name, value.as_mut_slice())?;
            value.truncate(length);
            fsetxattr(to, name, &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_that_is_replaced_keeps_mode_and_owner() {
        let (here, staging) = (folder(), folder());
        let path = here.path().join("x");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        put(&path, b"after", Some(b"before"), staging.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!((names(&here), names(&staging)), (1, 0));
    }

    #[test]
    fn a_label_of_its_own_follows_it() {
        let (here, staging) = (folder(), folder());
        let path = here.path().join("x");
        fs::write(&path, "before").unwrap();
        let file = File::open(&path).unwrap();
        if fsetxattr(&file, "user.note", b"mine", XattrFlags::empty()).is_err() {
            return; // a file system without labels
        }
        put(&path, b"after", Some(b"before"), staging.path()).unwrap();
        let mut value = [0_u8; 16];
        let length = fgetxattr(File::open(&path).unwrap(), "user.note", value.as_mut_slice()).unwrap();
        assert_eq!(&value[..length], b"mine");
    }

    #[test]
    fn what_a_program_has_noted_follows_it_and_a_signature_refuses() {
        let (here, staging) = (folder(), folder());
        let path = here.path().join("x");
        fs::write(&path, "before").unwrap();
        let file = File::open(&path).unwrap();
        if fsetxattr(&file, "trusted.note", b"mine", XattrFlags::empty()).is_ok() {
            put(&path, b"after", Some(b"before"), staging.path()).unwrap();
            let mut value = [0_u8; 16];
            let length = fgetxattr(File::open(&path).unwrap(), "trusted.note", value.as_mut_slice()).unwrap();
            assert_eq!(&value[..length], b"mine");
        }
        if fsetxattr(File::open(&path).unwrap(), INTEGRITY, &[SIGNATURE, 2, 4], XattrFlags::empty()).is_ok() {
            assert!(matches!(read(&path), Err(Odd::Signed)));
        }
    }

    #[test]
    fn a_new_file_can_be_read_by_all() {
        let (here, staging) = (folder(), folder());
        let path = here.path().join("x");
        put(&path, b"new", None, staging.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        remove(&path, b"new").unwrap();
        assert_eq!(names(&here), 0);
    }

    #[test]
    fn what_is_not_as_expected_stays() {
        let (here, staging) = (folder(), folder());
        let path = here.path().join("x");
        for expected in [Some(b"other".as_slice()), None] {
            fs::write(&path, "mine").unwrap();
            put(&path, b"after", expected, staging.path()).unwrap_err();
            remove(&path, b"other").unwrap_err();
            assert_eq!(fs::read(&path).unwrap(), b"mine");
        }
        fs::remove_file(&path).unwrap();
        put(&path, b"after", Some(b"before"), staging.path()).unwrap_err();
        assert_eq!((names(&here), names(&staging)), (0, 0));
    }

    #[test]
    fn a_link_is_never_followed() {
        let (here, staging) = (folder(), folder());
        let (path, target) = (here.path().join("x"), here.path().join("target"));
        fs::write(&target, "before").unwrap();
        symlink(&target, &path).unwrap();
        assert!(matches!(read(&path), Err(Odd::Link(to)) if to == target));
        put(&path, b"after", Some(b"before"), staging.path()).unwrap_err();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&target, &path).unwrap();
        assert!(matches!(read(&path), Err(Odd::ManyNames)));
        let inner = here.path().join("inner");
        symlink(here.path(), &inner).unwrap();
        assert!(matches!(read(&inner.join("target")), Err(Odd::OfOthers(Some(_)))));
        fs::create_dir(here.path().join("folder")).unwrap();
        assert!(matches!(read(&here.path().join("folder")), Err(Odd::NoFile)));
    }

    #[test]
    fn a_file_that_others_can_change_is_left_alone() {
        let here = folder();
        let path = here.path().join("x");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(read(&path), Err(Odd::OfOthers(None))));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(here.path(), Permissions::from_mode(0o775)).unwrap();
        assert!(matches!(read(&path), Err(Odd::OfOthers(Some(_)))));
    }

    fn names(folder: &tempfile::TempDir) -> usize {
        fs::read_dir(folder).unwrap().count()
    }
}
