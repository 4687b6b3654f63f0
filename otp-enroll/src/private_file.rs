//! A file for what is shown only once: new, private, and on the disk when we say so.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::FileError;

/// Readable and writable by the owner only.
const MODE: u32 = 0o600;

/// Writes a new file that only its owner can read; what exists is never touched, links are never followed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create(path, |file| file.write_all(bytes))
}

/// Whether [`write`] could make this file now, found out by making it and taking it away again.
pub(crate) fn can_be_written(path: &Path) -> Result<(), FileError> {
    create(path, |_| Ok(()))?;
    fs::remove_file(path).map_err(|error| FileError::Remains { path: path.to_owned(), error })
}

/// Creates a file and fills it, or leaves no file.
fn create(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    // create_new is O_CREAT|O_EXCL, which also refuses a symbolic link in the last place (POSIX open).
    let opened = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let mut file = opened.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => FileError::Exists(path.to_owned()),
        false => FileError::Create { path: path.to_owned(), error },
    })?;
    // A umask can only take rights away, but with 0277 the owner could not write the file again.
    let written = file
        .set_permissions(Permissions::from_mode(MODE))
        .and_then(|()| fill(&mut file))
        .and_then(|()| file.sync_all());
    written.map_err(|error| match fs::remove_file(path) {
        Ok(()) => FileError::Write { path: path.to_owned(), error },
        Err(_) => FileError::Remains { path: path.to_owned(), error },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        write(&path, b"<svg/>").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"<svg/>");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_exists_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        fs::write(&path, b"before").unwrap();
        let error = write(&path, b"after").unwrap_err();
        assert_eq!(error.to_string(), format!("{} exists", path.display()));
        assert_eq!(error.hint(), "choose another name: existing files are never overwritten");
        assert_eq!(fs::read(&path).unwrap(), b"before");
    }

    #[test]
    fn a_link_is_not_followed_even_to_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("qr.svg"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(write(&path, b"secret"), Err(FileError::Exists(_))));
        assert!(!target.exists());
        assert!(path.is_symlink());
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/qr.svg");
        let error = write(&path, b"").unwrap_err();
        let text = format!("{} could not be created: No such file or directory", path.display());
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint(), "choose a folder you may write to");
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        let full = |file: &mut File| {
            file.write_all(b"the first half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = create(&path, full).unwrap_err();
        assert_eq!(error.to_string(), format!("{} could not be written: no storage space", path.display()));
        assert_eq!(error.hint(), "choose a folder on a disk with free space");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_remains_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        let moved = |_: &mut File| {
            fs::remove_file(&path)?; // so that our own removal fails
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = create(&path, moved).unwrap_err();
        let text = format!("{} could not be written, and is still there: no storage space", path.display());
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint(), "remove the file: it may contain a part of the secret");
    }
}
