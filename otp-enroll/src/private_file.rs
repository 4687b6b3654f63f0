//! A file for what is shown only once: new, private, whole or not there, and on the disk when we say so.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::linkat;

use crate::error::FileError;

/// Readable and writable by the owner only.
const MODE: u32 = 0o600;

/// Writes a new file that only its owner can read; what exists is never touched, links are never followed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create(path, |file| file.write_all(bytes))
}

/// The same, filled by `fill`, which may be called again from the beginning: where there are no files without a name.
pub(crate) fn write_by(path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    create(path, fill)
}

/// Whether [`write`] could make this file now, found out by making it and taking it away again.
pub(crate) fn can_be_written(path: &Path) -> Result<(), FileError> {
    create(path, |_| Ok(()))?;
    fs::remove_file(path).map_err(|error| FileError::Remains { path: path.to_owned(), error })
}

/// Creates a file and fills it, or leaves no file. The file gets its name when it is whole: an interruption and SIGKILL
/// before that leave nothing. (`persist_noclobber` renames a hidden file, which they would leave.)
fn create(path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // O_TMPFILE. Where there is none, tempfile makes a file and unlinks it. NFS and FUSE keep such a file under a hidden
    // name until it is closed, also by SIGKILL, and give it another name; other file systems cannot.
    if let Ok(mut file) = tempfile::tempfile_in(folder) {
        fill_private(&mut file, &fill).map_err(|error| FileError::Write { path: path.to_owned(), error })?;
        if name(&file, path).is_ok() {
            return flush(folder).map_err(|error| unwritten(path, error));
        }
    }
    create_named(path, &fill)
}

/// The same on a file system that has no files without a name (FAT), or without /proc; and the error where no file can
/// be created. SIGKILL and an interruption while it is written leave a part of it, under its own name.
fn create_named(path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    // create_new is O_CREAT|O_EXCL, which also refuses a symbolic link in the last place (POSIX open).
    let opened = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let mut file = opened.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => FileError::Exists(path.to_owned()),
        false => FileError::Create { path: path.to_owned(), error },
    })?;
    fill_private(&mut file, fill).map_err(|error| unwritten(path, error))
}

fn fill_private(file: &mut File, fill: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    // A umask can take away too little (tempfile asks for 0666), or too much: with 0277 the owner could not write again.
    file.set_permissions(Permissions::from_mode(MODE))?;
    fill(file)?;
    file.sync_all()
}

/// Gives a name to a file without one; what has that name stays, were it a symbolic link (POSIX link).
fn name(file: &File, path: &Path) -> nix::Result<()> {
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd()); // open(2) on O_TMPFILE
    linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
}

/// Brings the new name to the disk.
fn flush(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(_) => Ok(()), // a folder that one may write to and not read: the file itself is on the disk
    }
}

/// Removes what could not be written.
fn unwritten(path: &Path, error: io::Error) -> FileError {
    match fs::remove_file(path) {
        Ok(()) => FileError::Write { path: path.to_owned(), error },
        Err(_) => FileError::Remains { path: path.to_owned(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Create = fn(&Path, fn(&mut File) -> io::Result<()>) -> Result<(), FileError>;

    /// With files without a name, and without them.
    const BOTH: [Create; 2] = [|path, fill| create(path, fill), |path, fill| create_named(path, fill)];

    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        for create in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("qr.svg");
            create(&path, |file| file.write_all(b"<svg/>")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"<svg/>");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_file_has_no_name_until_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes");
        let names = || fs::read_dir(&folder).unwrap().count();
        let seen = std::cell::Cell::new(None);
        create(&path, |file| {
            file.write_all(b"the first half")?;
            seen.set(Some(names()));
            file.write_all(b", the second half")
        })
        .unwrap();
        assert_eq!((seen.get(), names()), (Some(0), 1));
        assert_eq!(fs::read(&path).unwrap(), b"the first half, the second half");
    }

    #[test]
    fn a_name_that_was_given_away_meanwhile_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes");
        let overtaken = |file: &mut File| {
            fs::write(&path, b"of another")?;
            file.write_all(b"ours")
        };
        assert!(matches!(create(&path, overtaken), Err(FileError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"of another");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn what_exists_stays_as_it_was() {
        for create in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("qr.svg");
            fs::write(&path, b"before").unwrap();
            let error = create(&path, |file| file.write_all(b"after")).unwrap_err();
            assert_eq!(error.to_string(), format!("{} exists", path.display()));
            assert_eq!(error.hint(), "choose another name: existing files are never overwritten");
            assert_eq!(fs::read(&path).unwrap(), b"before");
            assert!(matches!(create(folder.path(), |_| Ok(())), Err(FileError::Exists(_))));
        }
    }

    #[test]
    fn a_link_is_not_followed_even_to_nowhere() {
        for create in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let (path, target) = (folder.path().join("qr.svg"), folder.path().join("elsewhere"));
            std::os::unix::fs::symlink(&target, &path).unwrap();
            assert!(matches!(create(&path, |file| file.write_all(b"secret")), Err(FileError::Exists(_))));
            assert!(!target.exists());
            assert!(path.is_symlink());
        }
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
    fn a_name_that_is_no_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, why) in [("new/", "Is a directory"), (&"x".repeat(256), "File name too long")] {
            let path = folder.path().join(name);
            let error = write(&path, b"").unwrap_err();
            assert_eq!(error.to_string(), format!("{} could not be created: {why}", path.display()));
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        for create in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("qr.svg");
            let error = create(&path, |file| {
                file.write_all(b"the first half")?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            });
            let error = error.unwrap_err();
            assert_eq!(error.to_string(), format!("{} could not be written: no storage space", path.display()));
            assert_eq!(error.hint(), "choose a folder on a disk with free space");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_file_that_remains_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        let moved = |_: &mut File| {
            fs::remove_file(&path)?; // so that our own removal fails
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = create_named(&path, moved).unwrap_err();
        let text = format!("{} could not be written, and is still there: no storage space", path.display());
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint(), "remove the file: it may contain a part of the secret");
    }
}
