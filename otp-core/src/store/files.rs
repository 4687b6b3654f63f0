//! A directory of files: `<user>.toml` replaced by rename, `<user>.state` overwritten in place, one lock.
//!
//! The state file is the lock (flock) and holds two slots. A state belongs to the credentials whose enrolment id it
//! names; among the readable slots that do, the highest sequence is the present one. Both kinds of change keep it:
//!
//! - a login overwrites the slot that is not the present one;
//! - a change of credentials writes the new credentials beside the old, overwrites the slot that is not the present
//!   one with a state of the new enrolment, and renames. Until the rename the old slot is the present one, and from
//!   then on the new one, without a moment between.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};
use zeroize::Zeroizing;

use super::{Loaded, Store, StoreError, Swap, Version};
use crate::record::{Credentials, Damage, EnrolmentId, Record, SLOT_SIZE, Slot, State};
use crate::user::Account;

/// Larger than any record this program writes.
const LARGEST_CREDENTIALS: usize = 65_536;

/// Where the second slot starts: after [`SLOT_SIZE`] bytes.
const SECOND_SLOT: u64 = 2048;

/// Bytes of a state file.
const STATE_SIZE: u64 = 4096;

/// A state file in which nothing was written yet.
const BLANK_STATE: [u8; SLOT_SIZE * 2] = [b' '; SLOT_SIZE * 2];

/// The file that rehearsals write. No user's file name starts with a dot.
const REHEARSAL: &str = ".rehearsal";

/// The state directory, open.
pub struct FileStore {
    path: PathBuf,
    directory: OwnedFd,
}

/// Names of one user's files.
struct Names {
    credentials: String,
    state: String,
    /// New credentials before the rename, as a user's helper makes them.
    incoming: String,
    /// The same as root makes them, under a name of its own: what root made and did not live to give to its user, the
    /// user cannot remove from a sticky directory, and must not be kept from enrolling by.
    incoming_of_root: String,
}

/// What the two slots of a state file say.
struct Slots([Option<Slot>; 2]);

impl FileStore {
    /// Opens the state directory, which must belong to root and be closed to everybody outside its group.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(path, flags, Mode::empty()).map_err(|error| StoreError::System {
            action: "open",
            path: path.to_owned(),
            error: error.into(),
        })?;
        let store = Self { path: path.to_owned(), directory };
        let stat = nix::sys::stat::fstat(&store.directory).map_err(store.failed("examine", ""))?;
        let group_writes_unprotected = stat.st_mode & 0o1020 == 0o020;
        if stat.st_uid != 0 {
            Err(store.untrusted("", format!("belongs to uid {}, not to root", stat.st_uid)))
        } else if stat.st_mode & 0o007 != 0 || group_writes_unprotected {
            Err(store.untrusted("", format!("has mode {:04o} and must have 1730", stat.st_mode & 0o7777)))
        } else {
            Ok(store)
        }
    }

    /// The stems of all records, for administration. The only place that lists the directory.
    pub fn stems(&self) -> Result<Vec<String>, StoreError> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| StoreError::System {
            action: "list",
            path: self.path.clone(),
            error,
        })?;
        let mut stems = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::System { action: "list", path: self.path.clone(), error })?;
            let name = entry.file_name();
            stems.extend(name.to_str().and_then(|name| name.strip_suffix(".toml")).map(str::to_owned));
        }
        stems.sort_unstable();
        Ok(stems)
    }

    /// Reads the credentials of any user, for administration.
    pub fn credentials(&self, stem: &str) -> Result<Credentials, StoreError> {
        let name = format!("{stem}.toml");
        let file = self.open_file(&name, OFlag::O_RDONLY)?.ok_or_else(|| self.failed("open", &name)(Errno::ENOENT))?;
        let size = self.trust(&file, &name, None)?.len();
        self.read_credentials(&file, size, &name)
    }

    /// Removes whatever is stored for a user, readable or not, for administration. A change under way is waited for, so
    /// that no half of it stays behind.
    pub fn purge(&self, account: &Account) -> Result<bool, StoreError> {
        let names = Names::of(account);
        // A state that cannot be opened cannot be held by anybody either, and goes without waiting.
        let state = self.open_file(&names.state, OFlag::O_RDWR);
        let gone = match &state {
            Ok(Some(file)) => {
                self.lock(file, &names.state)?;
                file.metadata().map_err(|error| self.io("examine", &names.state, error))?.nlink() == 0
            }
            Ok(None) => true,
            Err(_) => false,
        };
        let mut existed = self.unlink(&names.credentials)?;
        if !gone {
            // Where the state is gone, one that is there by now belongs to an enrolment that began after us.
            for name in [&names.incoming, &names.incoming_of_root, &names.state] {
                existed |= self.unlink(name)?;
            }
        }
        self.sync_directory()?;
        Ok(existed)
    }

    fn unlink(&self, name: &str) -> Result<bool, StoreError> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(self.failed("remove", name)(error)),
        }
    }

    /// Makes a rename or removal durable. The helper may enter the directory but not open it for reading; it has flushed
    /// the renamed file itself, which brings the rename to disk on the journalling file systems that Linux offers.
    fn sync_directory(&self) -> Result<(), StoreError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.directory, ".", flags, Mode::empty()) {
            Ok(directory) => nix::unistd::fsync(&directory).map_err(self.failed("flush", "")),
            Err(Errno::EACCES) => Ok(()),
            Err(error) => Err(self.failed("open", "")(error)),
        }
    }

    /// Opens one file without following links and without waiting for a writer; `None` only if there is none.
    fn open_file(&self, name: &str, access: OFlag) -> Result<Option<File>, StoreError> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Some(File::from(descriptor))),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ELOOP) => Err(self.untrusted(name, "is a symbolic link".into())),
            Err(error) => Err(self.failed("open", name)(error)),
        }
    }

    /// Trusts an open file only if it is a plain one with this owner, closed to everybody else, with no other name.
    fn trust(&self, file: &File, name: &str, uid: Option<u32>) -> Result<Metadata, StoreError> {
        let metadata = file.metadata().map_err(|error| self.io("examine", name, error))?;
        let wrong = if !metadata.is_file() {
            "is not a regular file".into()
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

    fn read_credentials(&self, mut file: &File, size: u64, name: &str) -> Result<Credentials, StoreError> {
        let damaged = |damage| self.damaged(name, damage);
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST_CREDENTIALS);
        let size = size.ok_or_else(|| damaged(Damage::Malformed("it is too large".into())))?;
        let mut bytes = Zeroizing::new(vec![0; size]);
        file.read_exact(&mut bytes).map_err(|error| self.io("read", name, error))?;
        Credentials::decode(&bytes).map_err(damaged)
    }

    fn read_slots(&self, file: &File, name: &str) -> Result<Slots, StoreError> {
        // One byte more than a state file has, so that a longer one is noticed.
        let mut bytes = [0u8; SLOT_SIZE * 2 + 1];
        let length = file.read_at(&mut bytes, 0).map_err(|error| self.io("read", name, error))?;
        let whole = bytes.get(..length).filter(|_| length == SLOT_SIZE * 2);
        let (one, two) = whole.map_or((None, None), |bytes| {
            let (one, two) = bytes.split_at(SLOT_SIZE);
            (Slot::decode(one), Slot::decode(two))
        });
        Ok(Slots([one, two]))
    }

    /// Waits for the lock, at most about ten seconds: a process that stops while it holds one blocks its user no longer.
    fn lock(&self, file: &File, name: &str) -> Result<(), StoreError> {
        let mut pause = Duration::from_micros(100);
        for _ in 0..400 {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(std::fs::TryLockError::WouldBlock) => thread::sleep(pause),
                Err(std::fs::TryLockError::Error(error)) => return Err(self.io("lock", name, error)),
            }
            pause = pause.saturating_mul(2).min(Duration::from_millis(25));
        }
        Err(StoreError::Busy)
    }

    /// Opens and locks the state of a record that was read as `seen`, and says which slot may be overwritten; `None` if
    /// it is not that version any more.
    fn locked(&self, account: &Account, names: &Names, seen: Version) -> Result<Option<(File, usize)>, StoreError> {
        let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? else {
            return Ok(None);
        };
        self.lock(&file, &names.state)?;
        if self.trust(&file, &names.state, Some(account.uid))?.nlink() == 0 {
            return Ok(None); // removed while we waited
        }
        let slots = self.read_slots(&file, &names.state)?;
        let same = slots.highest() == seen.sequence && self.inode(&names.credentials)? == Some(seen.credentials);
        let present = slots.present(seen.enrolment).filter(|_| same);
        Ok(present.map(|(place, _)| (file, if place == 0 { 1 } else { 0 })))
    }

    fn inode(&self, name: &str) -> Result<Option<u64>, StoreError> {
        match fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(self.failed("examine", name)(error)),
        }
    }

    /// Overwrites one slot with the state that follows `sequence`, and flushes it.
    fn write_slot(
        &self,
        file: &File,
        name: &str,
        place: usize,
        sequence: u64,
        state: &State,
    ) -> Result<(), StoreError> {
        // A slot of the same number would not be the present one, and a code could be accepted again.
        let next = sequence
            .checked_add(1)
            .ok_or_else(|| self.damaged(name, Damage::Mismatch("no sequence number follows")))?;
        let slot = Slot { sequence: next, state: state.clone() };
        let bytes =
            slot.encode().ok_or_else(|| self.damaged(name, Damage::Mismatch("the state does not fit its slot")))?;
        let offset = if place == 0 { 0 } else { SECOND_SLOT };
        file.write_all_at(&bytes, offset).map_err(|error| self.io("write", name, error))?;
        file.sync_data().map_err(|error| self.io("flush", name, error))
    }

    /// Makes a new file that only its user can open, whatever the umask; root makes it for the user.
    fn create(&self, name: &str, account: &Account, contents: &[u8]) -> Result<File, StoreError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = File::from(openat(&self.directory, name, flags, mode).map_err(self.failed("create", name))?);
        let written = (|| {
            fchmod(&file, mode)?;
            if geteuid().is_root() {
                fchown(&file, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
            }
            (&file).write_all(contents)?;
            file.sync_all()
        })();
        written.map(|()| file).map_err(|error| {
            // Best effort: the name is cleared again before its next use in any case.
            let _ = self.unlink(name);
            self.io("write", name, error)
        })
    }

    /// Opens the permanent state file, making it first where there is none; `None` if it was removed right after. Made
    /// beside and moved in whole, so that nobody ever meets an empty one or one that still belongs to root. The enrolment
    /// makes the name beside it unique among threads and PID namespaces, where a process id would not.
    fn open_or_create_state(
        &self,
        account: &Account,
        names: &Names,
        enrolment: EnrolmentId,
    ) -> Result<Option<File>, StoreError> {
        if let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? {
            return Ok(Some(file));
        }
        let beside = format!("{}.{enrolment}", names.state);
        self.create(&beside, account, &BLANK_STATE)?;
        let (from, to) = (beside.as_str(), names.state.as_str());
        if let Err(error) = renameat2(&self.directory, from, &self.directory, to, RenameFlags::RENAME_NOREPLACE) {
            self.unlink(&beside)?;
            if error != Errno::EEXIST {
                return Err(self.failed("create", &names.state)(error));
            }
        }
        self.open_file(&names.state, OFlag::O_RDWR)
    }

    /// Opens and locks the state of a user who has no credentials, and says how far its sequence is; `None` if there are
    /// credentials by now.
    fn locked_without_credentials(
        &self,
        account: &Account,
        names: &Names,
        enrolment: EnrolmentId,
    ) -> Result<Option<(File, u64)>, StoreError> {
        let Some(file) = self.open_or_create_state(account, names, enrolment)? else {
            return Ok(None);
        };
        self.lock(&file, &names.state)?;
        let metadata = self.trust(&file, &names.state, Some(account.uid))?;
        if metadata.nlink() == 0 || self.inode(&names.credentials)?.is_some() {
            return Ok(None);
        }
        if metadata.len() != STATE_SIZE {
            // Nobody's state, so nothing is lost; what is written into it must be readable later.
            file.set_len(0).map_err(|error| self.io("write", &names.state, error))?;
            file.write_all_at(&BLANK_STATE, 0).map_err(|error| self.io("write", &names.state, error))?;
        }
        let sequence = self.read_slots(&file, &names.state)?.highest();
        Ok(Some((file, sequence)))
    }

    /// Reads the state that belongs to `credentials`.
    fn load_state(
        &self,
        account: &Account,
        names: &Names,
        credentials: Credentials,
        inode: u64,
    ) -> Result<Loaded, StoreError> {
        let damaged = |damage| self.damaged(&names.state, damage);
        let file = self.open_file(&names.state, OFlag::O_RDONLY)?.ok_or_else(|| damaged(Damage::Missing))?;
        self.trust(&file, &names.state, Some(account.uid))?;
        let mut slots = self.read_slots(&file, &names.state)?;
        if slots.present(credentials.enrolment).is_none() {
            // Perhaps it was read while it was written: once more, when nobody writes.
            self.lock(&file, &names.state)?;
            slots = self.read_slots(&file, &names.state)?;
        }
        let nothing = || damaged(Damage::Malformed("neither slot holds a state of this enrolment".into()));
        let (_, slot) = slots.present(credentials.enrolment).ok_or_else(nothing)?;
        let version = Version { sequence: slots.highest(), credentials: inode, enrolment: credentials.enrolment };
        let record = Record::new(credentials, slot.state.clone()).map_err(damaged)?;
        Ok(Loaded { record, version })
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(Errno) -> StoreError {
        let path = self.path.join(name);
        move |error| StoreError::System { action, path, error: error.into() }
    }

    fn io(&self, action: &'static str, name: &str, error: io::Error) -> StoreError {
        StoreError::System { action, path: self.path.join(name), error }
    }

    fn untrusted(&self, name: &str, what: String) -> StoreError {
        StoreError::Untrusted { path: self.path.join(name), what }
    }

    fn damaged(&self, name: &str, damage: Damage) -> StoreError {
        StoreError::Damaged { path: self.path.join(name), damage }
    }
}

impl Store for FileStore {
    fn load(&self, account: &Account) -> Result<Option<Loaded>, StoreError> {
        let names = Names::of(account);
        let mut tries_left = 3u8;
        loop {
            let Some(file) = self.open_file(&names.credentials, OFlag::O_RDONLY)? else {
                return Ok(None);
            };
            let metadata = self.trust(&file, &names.credentials, Some(account.uid))?;
            let credentials = self.read_credentials(&file, metadata.len(), &names.credentials)?;
            credentials.belongs_to(account).map_err(|damage| self.damaged(&names.credentials, damage))?;

            let found = self.load_state(account, &names, credentials, metadata.ino());
            // Between the two reads the credentials may have been replaced or removed; then both are read again. `file`
            // is still open, so that its inode number is nobody else's.
            tries_left = tries_left.saturating_sub(1);
            if found.is_ok() || tries_left == 0 || self.inode(&names.credentials)? == Some(metadata.ino()) {
                return found.map(Some);
            }
        }
    }

    fn swap(&self, account: &Account, seen: Version, state: &State) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        let Some((file, spare)) = self.locked(account, &names, seen)? else {
            return Ok(Swap::Lost);
        };
        self.write_slot(&file, &names.state, spare, seen.sequence, state)?;
        Ok(Swap::Done)
    }

    fn replace(&self, account: &Account, seen: Option<Version>, record: &Record) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        let locked = match seen {
            Some(seen) => self.locked(account, &names, seen)?.map(|(file, spare)| (file, spare, seen.sequence)),
            None => {
                let locked = self.locked_without_credentials(account, &names, record.credentials.enrolment)?;
                locked.map(|(file, sequence)| (file, 0, sequence))
            }
        };
        let Some((file, spare, sequence)) = locked else {
            return Ok(Swap::Lost);
        };
        let incoming_name = if geteuid().is_root() { &names.incoming_of_root } else { &names.incoming };
        self.unlink(incoming_name)?; // of a process that was killed: we hold the lock, so nobody is writing it
        let incoming = self.create(incoming_name, account, record.credentials.encode().as_bytes())?;
        let in_place = self.write_slot(&file, &names.state, spare, sequence, &record.state).and_then(|()| {
            let (from, to) = (incoming_name.as_str(), names.credentials.as_str());
            renameat(&self.directory, from, &self.directory, to).map_err(self.failed("replace", to))
        });
        if let Err(error) = in_place {
            let _ = self.unlink(incoming_name); // a seed that nobody will ever use
            return Err(error);
        }
        incoming.sync_all().map_err(|error| self.io("flush", &names.credentials, error))?;
        self.sync_directory()?;
        Ok(Swap::Done)
    }

    fn remove(&self, account: &Account, seen: Version) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        let Some((_file, _)) = self.locked(account, &names, seen)? else {
            return Ok(Swap::Lost);
        };
        self.unlink(&names.credentials)?;
        self.unlink(&names.state)?;
        self.sync_directory()?;
        Ok(Swap::Done)
    }

    fn rehearse(&self) {
        // Only root hides anything this way: the helper answers its caller about the caller's own account.
        if !geteuid().is_root() {
            return;
        }
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        if let Ok(file) = openat(&self.directory, REHEARSAL, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
            && self.trust(&file, REHEARSAL, Some(0)).is_ok()
        {
            // Nothing rests on it: a rehearsal that fails costs only its likeness.
            let _ = self.write_slot(&file, REHEARSAL, 1, 0, &State::new(EnrolmentId([0; 16])));
        }
    }
}

impl Names {
    fn of(account: &Account) -> Self {
        let stem = account.name.file_stem();
        Self {
            credentials: format!("{stem}.toml"),
            state: format!("{stem}.state"),
            incoming: format!("{stem}.new"),
            incoming_of_root: format!("{stem}.new-by-root"),
        }
    }
}

impl Slots {
    /// The highest sequence number, whichever enrolment it is of; 0 where nothing was written yet.
    fn highest(&self) -> u64 {
        self.0.iter().flatten().map(|slot| slot.sequence).max().unwrap_or(0)
    }

    /// The present state of an enrolment, with its place.
    fn present(&self, enrolment: EnrolmentId) -> Option<(usize, &Slot)> {
        let places = self.0.iter().enumerate().filter_map(|(place, slot)| Some((place, slot.as_ref()?)));
        places.filter(|(_, slot)| slot.state.enrolment == enrolment).max_by_key(|(_, slot)| slot.sequence)
    }
}

#[cfg(test)]
mod tests;
