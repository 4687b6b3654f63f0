//! Opening what can be trusted, waiting for the lock, and giving it back.

use std::fs::{File, Metadata, TryLockError};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::FileStore;
use crate::store::StoreError;

const NO_REGULAR_FILE: &str = "is not a regular file";

/// An open file whose lock is given back when this is dropped. To close it is not enough: what the host has forked in
/// the meantime, from another thread, has it open too, and would keep the lock for as long as it runs.
pub(super) struct Releasing(File);

impl From<File> for Releasing {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl Deref for Releasing {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Releasing {
    fn drop(&mut self) {
        // It cannot fail, and closing comes next.
        let _ = self.0.unlock();
    }
}

impl FileStore {
    /// Opens one file without following links and without waiting for a writer; `None` only if there is none.
    pub(super) fn open_file(&self, name: &str, access: OFlag) -> Result<Option<File>, StoreError> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Some(File::from(descriptor))),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ELOOP) => Err(self.untrusted(name, "is a symbolic link".into())),
            Err(Errno::EISDIR) => Err(self.untrusted(name, NO_REGULAR_FILE.into())),
            Err(error) => Err(self.failed("open", name, error)),
        }
    }

    /// Trusts an open file only if it is a plain one with this owner, closed to everybody else, with no other name.
    pub(super) fn trust(&self, file: &File, name: &str, uid: Option<u32>) -> Result<Metadata, StoreError> {
        let metadata = file.metadata().map_err(|error| self.failed("examine", name, error))?;
        let wrong = if !metadata.is_file() {
            NO_REGULAR_FILE.into()
        } else if uid.is_some_and(|uid| uid != metadata.uid()) {
            format!("belongs to uid {}, which is not its user's", metadata.uid())
        } else if metadata.mode() & 0o077 != 0 {
            format!("has mode {:04o} and must have 0600", metadata.mode() & 0o7777)
        } else if metadata.nlink() > 1 {
            format!("has {} hard links and must have one", metadata.nlink())
        } else {
            return Ok(metadata);
        };
        Err(self.untrusted(name, wrong))
    }

    /// Opens a file for reading and trusts it; `None` only if there is none.
    pub(super) fn open_trusted(&self, name: &str, uid: Option<u32>) -> Result<Option<(File, Metadata)>, StoreError> {
        let Some(file) = self.open_file(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let metadata = self.trust(&file, name, uid)?;
        Ok(Some((file, metadata)))
    }

    pub(super) fn inode(&self, name: &str) -> Result<Option<u64>, StoreError> {
        match fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(self.failed("examine", name, error)),
        }
    }

    /// Waits for the lock, at most about ten seconds: a process that stops while it holds one blocks its user no longer.
    pub(super) fn lock(&self, file: File, name: &str) -> Result<Releasing, StoreError> {
        let mut pause = Duration::from_micros(100);
        for _ in 0..1000 {
            match file.try_lock() {
                Ok(()) => return Ok(file.into()),
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
                Err(TryLockError::Error(error)) => return Err(self.failed("lock", name, error)),
            }
            pause = pause.saturating_mul(2).min(Duration::from_millis(10));
        }
        Err(StoreError::Busy)
    }
}
