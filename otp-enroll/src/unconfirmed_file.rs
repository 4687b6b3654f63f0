//! A picture of a key that is not in force yet: it goes if the enrollment is broken off.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::FileError;
use crate::private_file;

/// The one such file of this process, which the thread that waits for signals needs too.
static UNCONFIRMED: Mutex<Option<Unconfirmed>> = Mutex::new(None);

struct Unconfirmed {
    path: PathBuf,
    /// Device and inode: what has the name later may be another file.
    identity: Option<(u64, u64)>,
}

/// Writes a new file that only its owner can read, and that goes unless [`settle`] succeeds. An interruption must
/// [`discard`] it from before this call on.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut unconfirmed = lock();
    private_file::write(path, bytes)?;
    *unconfirmed = Some(Unconfirmed { path: path.to_owned(), identity: identity(path) });
    Ok(())
}

/// Runs what puts the key in force. The file stays after a success. An interruption waits for the end.
pub(crate) fn settle<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut unconfirmed = lock();
    let done = work()?;
    *unconfirmed = None;
    Ok(done)
}

/// Removes the file, where there is one and its key is not in force.
pub(crate) fn discard() {
    if let Some(Unconfirmed { path, identity: Some(written) }) = lock().take()
        && identity(&path) == Some(written)
    {
        // What is left in vain holds a key that opens nothing.
        let _ = fs::remove_file(path);
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn lock() -> MutexGuard<'static, Option<Unconfirmed>> {
    UNCONFIRMED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_until_its_key_is_in_force_and_no_other_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qr.svg");
        let wrong = || settle(|| Err::<(), _>("wrong code"));

        write(&path, b"<svg/>").unwrap();
        assert_eq!(wrong(), Err("wrong code"));
        discard();
        assert!(!path.exists());
        discard(); // once is enough

        write(&path, b"<svg/>").unwrap();
        fs::rename(&path, folder.path().join("kept")).unwrap();
        fs::write(&path, b"of another").unwrap();
        discard();
        assert_eq!(fs::read(&path).unwrap(), b"of another");
        fs::remove_file(&path).unwrap();

        write(&path, b"<svg/>").unwrap();
        assert_eq!(settle(|| Ok::<_, ()>(7)), Ok(7));
        discard();
        assert!(path.exists());
    }
}
