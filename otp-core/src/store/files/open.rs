//! The state directory: opens files that are trusted, waits for locks and releases them.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::record::error::RecordError;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::seal_keys::KeySource;
use crate::value::secret::Wiped;
use crate::value::system_error::owner;
use crate::value::user::Account;

/// The state directory, open.
pub struct FileStore {
    pub(super) path: PathBuf,
    pub(super) directory: OwnedFd,
    /// How often a lock is tried.
    pub(super) tries: u16,
    /// Where the keys of sealed seeds come from; `None` for none.
    pub(super) keys: Option<KeySource>,
}

/// Tries of a lock, with pauses of at most ten milliseconds: about ten seconds.
const MOST_TRIES: u16 = 1000;

/// Larger than any record that this program writes.
const LARGEST_CREDENTIALS: usize = 65_536;

const NO_REGULAR_FILE: &str = "is not a regular file";

impl FileStore {
    /// Opens the state directory. It must belong to root, and users outside its group must have no access.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(path, flags, Mode::empty()).map_err(|error| StoreError::System {
            action: "open",
            path: path.to_owned(),
            error: error.into(),
        })?;
        let store = Self { path: path.to_owned(), directory, tries: MOST_TRIES, keys: None };
        let stat = nix::sys::stat::fstat(&store.directory).map_err(|error| store.failed("examine", "", error))?;
        let group_writes_unprotected = stat.st_mode & 0o1020 == 0o020;
        if stat.st_uid != 0 {
            Err(store.untrusted("", format!("belongs to {}, not to root", owner(stat.st_uid))))
        } else if stat.st_mode & 0o007 != 0 || group_writes_unprotected {
            Err(store.untrusted("", format!("has mode {:04o} and must have 1730", stat.st_mode & 0o7777)))
        } else {
            Ok(store)
        }
    }

    /// The directory itself, to be flushed or locked. The helper may enter it and not read it.
    pub(super) fn readable_directory(&self) -> Result<File, Errno> {
        openat(&self.directory, ".", OFlag::O_CLOEXEC, Mode::empty()).map(File::from)
    }

    /// The group that may make files here: the helper's.
    pub fn group(&self) -> Result<u32, StoreError> {
        let stat = nix::sys::stat::fstat(&self.directory).map_err(|error| self.failed("examine", "", error))?;
        Ok(stat.st_gid)
    }

    /// Waits for a lock at most about two seconds.
    pub fn impatient(self) -> Self {
        Self { tries: MOST_TRIES / 5, ..self }
    }

    /// Opens a file without following links and without waiting for a FIFO; `None` only if it does not exist.
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

    /// Fails unless an open file is a regular one with this owner, no access for other users, and no second name.
    pub(super) fn trust(&self, file: &File, name: &str, uid: Option<u32>) -> Result<Metadata, StoreError> {
        let metadata = self.examine(file, name)?;
        let wrong = if !metadata.is_file() {
            NO_REGULAR_FILE.into()
        } else if uid.is_some_and(|uid| uid != metadata.uid()) {
            return Err(StoreError::OfOther { path: self.path.join(name), owner: metadata.uid() });
        } else if metadata.mode() & 0o077 != 0 {
            format!("has mode {:04o} and must have 0600", metadata.mode() & 0o7777)
        } else if metadata.nlink() > 1 {
            format!("has {} hard links and must have one", metadata.nlink())
        } else {
            return Ok(metadata);
        };
        Err(self.untrusted(name, wrong))
    }

    /// Opens a trusted file for reading; `None` only if it does not exist.
    pub(super) fn open_trusted(&self, name: &str, uid: Option<u32>) -> Result<Option<(File, Metadata)>, StoreError> {
        let Some(file) = self.open_file(name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let metadata = self.trust(&file, name, uid)?;
        Ok(Some((file, metadata)))
    }

    /// What has this name; a symbolic link is not followed.
    pub(super) fn stat(&self, name: &str) -> Result<Option<FileStat>, StoreError> {
        match fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(self.failed("examine", name, error)),
        }
    }

    pub(super) fn inode(&self, name: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.stat(name)?.map(|stat| stat.st_ino))
    }

    pub(super) fn owner(&self, name: &str) -> Result<Option<u32>, StoreError> {
        Ok(self.stat(name)?.map(|stat| stat.st_uid))
    }

    pub(super) fn examine(&self, file: &File, name: &str) -> Result<Metadata, StoreError> {
        file.metadata().map_err(|error| self.failed("examine", name, error))
    }

    /// Takes the lock of a file that no other process can have open.
    pub(super) fn lock(&self, file: File, name: &str) -> Result<Releasing, StoreError> {
        match file.try_lock() {
            Ok(()) => Ok(file.into()),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy),
            Err(TryLockError::Error(error)) => Err(self.failed("lock", name, error)),
        }
    }

    /// Waits for the lock; false if it is not given back in time.
    pub(super) fn wait_for_lock(&self, file: &File, name: &str) -> Result<bool, StoreError> {
        let mut pause = Duration::from_micros(100);
        for _ in 0..self.tries {
            match file.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
                Err(TryLockError::Error(error)) => return Err(self.failed("lock", name, error)),
            }
            pause = pause.saturating_mul(2).min(Duration::from_millis(10));
        }
        Ok(false)
    }

    pub(super) fn open_credentials(&self, account: &Account, names: &Names) -> Result<Option<Credentials>, StoreError> {
        let name = &names.credentials;
        let Some((file, metadata)) = self.open_trusted(name, Some(account.uid))? else {
            return Ok(None);
        };
        let decode = |bytes: &[u8]| Credentials::decode(bytes, ReadContext::of(account));
        self.read_credentials(&file, metadata.len(), name, decode).map(Some)
    }

    pub(super) fn read_credentials<T>(
        &self,
        file: &File,
        size: u64,
        name: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, RecordError>,
    ) -> Result<T, StoreError> {
        let unreadable = |error| self.unreadable(name, error);
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST_CREDENTIALS);
        let size = size.ok_or_else(|| unreadable(RecordError::Malformed("it is too large".into())))?;
        let mut bytes = Wiped::zeros(size);
        file.read_exact_at(bytes.expose(), 0).map_err(|error| self.failed("read", name, error))?;
        decode(bytes.expose()).map_err(unreadable)
    }

    #[cold]
    pub(super) fn failed(&self, action: &'static str, name: &str, error: impl Into<io::Error>) -> StoreError {
        StoreError::System { action, path: self.path.join(name), error: error.into() }
    }

    /// The error after a change that is in force and cannot be undone.
    #[cold]
    pub(super) fn unflushed(&self, name: &str, error: io::Error) -> StoreError {
        StoreError::Unflushed { path: self.path.join(name), error }
    }

    #[cold]
    pub(super) fn untrusted(&self, name: &str, what: String) -> StoreError {
        StoreError::Untrusted { path: self.path.join(name), what }
    }

    #[cold]
    pub(super) fn unreadable(&self, name: &str, error: RecordError) -> StoreError {
        StoreError::Record { path: self.path.join(name), error }
    }
}

/// An open file whose lock is released when this is dropped. Closing the file does not release it: a process that another
/// thread of the host forked meanwhile has the file open too, and would keep the lock for as long as it runs.
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
        // It cannot fail, and the file is closed next.
        let _ = self.0.unlock();
    }
}
