//! The store of files: `<user>.toml` replaced by rename, `<user>.state` overwritten in place, one lock for both.
//!
//! The state file is the lock (flock) and holds two slots. A state belongs to the credentials whose enrollment id it
//! names. Among the valid slots with that id, the one with the highest sequence number is present. Neither kind of change
//! overwrites the present slot:
//!
//! - a login overwrites the other slot;
//! - a change of credentials writes the new credentials under a temporary name, overwrites the other slot with a state of
//!   the new enrollment, and renames. The rename makes the new slot present, without a moment between.

mod by_uid;
mod create_state;
mod file_names;
pub mod identity;
mod list;
pub mod open;
pub mod reread;
mod slots;
mod write;

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Opened};
use crate::store::files::reread::Seen;
use crate::store::files::slots::{BLANK, Present, STATE_SIZE, Slots};
use crate::store::files::write::Held;
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// Most attempts to read a record that other processes replace or remove meanwhile.
const MOST_TRIES: u8 = 10;

/// The file that rehearsals write. No user's file name starts with a dot.
const REHEARSAL: &str = ".rehearsal";

impl FileStore {
    /// A user's record, only to read. Waits for no lock unless the state was read amid a write.
    pub fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        let names = Names::of(account);
        let mut tries_left = MOST_TRIES;
        loop {
            let Some(Opened { file: _open, inode, credentials }) = self.open_credentials(account, &names)? else {
                return Ok(None);
            };
            let found = self.read_state(account, &names, credentials);
            // The credentials may have been replaced or removed between the two reads: then read both again. The file is
            // still open, so that no other file can have its inode number.
            tries_left = tries_left.saturating_sub(1);
            if found.is_ok() || tries_left == 0 || self.inode(&names.credentials)? == Some(inode) {
                return found.map(Some);
            }
        }
    }

    /// Whether a credentials file exists for this user, whichever user owns it.
    pub fn holds(&self, account: &Account) -> Result<bool, StoreError> {
        Ok(self.inode(&Names::of(account).credentials)?.is_some())
    }

    /// Removes all files of a user, valid or not, for administration. Waits for a change that is under way, so that no half
    /// of it is left.
    pub fn purge(&self, account: &Account) -> Result<bool, StoreError> {
        let names = Names::of(account);
        // The account may be gone, and its number with it.
        let uid = self.owner_of(account)?.unwrap_or(account.uid);
        let (_held, gone) = match self.open_file(&names.state, OFlag::O_RDWR) {
            Ok(Some(file)) => {
                let file = self.lock(file, &names.state)?;
                let metadata = file.metadata().map_err(|error| self.failed("examine", &names.state, error))?;
                (Some(file), metadata.nlink() == 0)
            }
            Ok(None) => (None, true),
            // A state that cannot be opened is not locked by any process either: remove it without waiting.
            Err(_) => (None, false),
        };
        let mut existed = self.discard(&names.credentials)?;
        if !gone {
            // If our state is gone, a new one belongs to an enrollment that began after this call. The state goes last: with
            // it goes the lock, and then temporary files may be those of the next enrollment.
            for name in names.temporary() {
                self.discard(&name)?; // does not count as `existed`: the state file exists too
            }
            self.strike(&account.name, uid);
            existed |= self.discard(&names.state)?;
        }
        self.settle("", None)?;
        Ok(existed)
    }

    fn read_slots(&self, file: &File, name: &str) -> Result<Slots, StoreError> {
        // One byte more than a state file has, so that a longer file is noticed.
        let mut bytes = vec![0; STATE_SIZE.saturating_add(1)];
        let length = file.read_at(&mut bytes, 0).map_err(|error| self.failed("read", name, error))?;
        bytes.truncate(length);
        Ok(Slots::new(bytes))
    }

    /// Opens and locks the state of a user without credentials; `None` if credentials exist by now.
    fn hold_without_credentials(&self, account: &Account, names: &Names) -> Result<Option<Held>, StoreError> {
        let Some(file) = self.open_or_create_state(account, names)? else {
            return Ok(None);
        };
        let metadata = self.trust(&file, &names.state, Some(account.uid))?;
        if metadata.nlink() == 0 || self.inode(&names.credentials)?.is_some() {
            return Ok(None);
        }
        if usize::try_from(metadata.len()) != Ok(STATE_SIZE) {
            // It belongs to no credentials, so nothing is lost. A state of the wrong size could not be read later.
            file.set_len(0).map_err(|error| self.failed("write", &names.state, error))?;
            file.write_all_at(&BLANK, 0).map_err(|error| self.failed("write", &names.state, error))?;
        }
        let sequence = self.read_slots(&file, &names.state)?.highest();
        Ok(Some(Held { state: file, name: names.state.clone(), spare: 0, sequence }))
    }

    /// Loads the record of a user whose credentials may have been read before the question.
    fn load_after(&self, account: &Account, seen: Option<&Seen>) -> Result<Option<Loaded<Held>>, StoreError> {
        let names = Names::of(account);
        for _ in 0..MOST_TRIES {
            let Some(state) = self.open_file(&names.state, OFlag::O_RDWR)? else {
                if self.inode(&names.credentials)?.is_none() {
                    return Ok(None);
                }
                continue; // an enrollment makes the state first: it may exist by now
            };
            let state = self.lock(state, &names.state)?;
            if self.trust(&state, &names.state, Some(account.uid))?.nlink() == 0 {
                continue; // removed while this process waited
            }
            let credentials = match seen {
                Some(seen) => self.see_again(seen, account, &names)?,
                None => self.open_credentials(account, &names)?.map(|opened| opened.credentials),
            };
            let Some(credentials) = credentials else {
                return Ok(None);
            };
            let slots = self.read_slots(&state, &names.state)?;
            let (record, spare, sequence) = self.joined(&names, credentials, &slots)?;
            return Ok(Some(Loaded { record, hold: Held { state, name: names.state, spare, sequence } }));
        }
        Err(self.unreadable(&names.state, RecordError::Missing))
    }

    /// Reads the state that belongs to `credentials`, without the lock.
    fn read_state(&self, account: &Account, names: &Names, credentials: Credentials) -> Result<Record, StoreError> {
        let missing = || self.unreadable(&names.state, RecordError::Missing);
        let (file, _) = self.open_trusted(&names.state, Some(account.uid))?.ok_or_else(missing)?;
        let mut slots = self.read_slots(&file, &names.state)?;
        if slots.present(credentials.enrollment).is_none() {
            // It may have been read amid a write: read again under the lock.
            let file = self.lock(file, &names.state)?;
            slots = self.read_slots(&file, &names.state)?;
        }
        self.joined(names, credentials, &slots).map(|(record, _, _)| record)
    }

    /// The record of these credentials and their present state, the slot to overwrite next, and the highest sequence number.
    fn joined(
        &self,
        names: &Names,
        credentials: Credentials,
        slots: &Slots,
    ) -> Result<(Record, usize, u64), StoreError> {
        let unreadable = |error| self.unreadable(&names.state, error);
        let neither = || unreadable(RecordError::Malformed("neither slot holds a state of this enrollment".into()));
        let Present { spare, highest, slot } = slots.present(credentials.enrollment).ok_or_else(neither)?;
        Ok((Record::new(credentials, slot.state).map_err(unreadable)?, spare, highest))
    }
}

impl Store for FileStore {
    type Hold = Held;

    fn load(&self, account: &Account) -> Result<Option<Loaded<Held>>, StoreError> {
        self.load_after(account, None)
    }

    fn swap(&self, _: &Account, held: Held, state: &State) -> Result<Swap, StoreError> {
        self.write_slot(&held, state)?;
        Ok(Swap::Done)
    }

    fn replace(&self, account: &Account, held: Option<Held>, record: &Record) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        let is_first = held.is_none();
        let held = match held {
            Some(held) => held,
            None => match self.hold_without_credentials(account, &names)? {
                Some(held) => held,
                None => return Ok(Swap::Lost),
            },
        };
        let incoming_name = names.incoming(geteuid().is_root());
        self.sweep(&names);
        let in_place = || {
            self.enter(account)?;
            let incoming = self.create(&incoming_name, account, record.credentials.encode().as_bytes())?;
            self.write_slot(&held, &record.state)?;
            let (from, to) = (incoming_name.as_str(), names.credentials.as_str());
            let renamed = renameat(&self.directory, from, &self.directory, to);
            renamed.map(|()| incoming).map_err(|error| self.failed("replace", to, error))
        };
        let incoming = match in_place() {
            Ok(incoming) => incoming,
            Err(error) => {
                let _ = self.unlink(&incoming_name); // it holds a seed that will not be used
                if is_first {
                    self.strike(&account.name, account.uid);
                }
                return Err(error);
            }
        };
        // The rename puts the change in force: from here on, no error may say that it is not.
        self.settle(&names.credentials, Some(&incoming))?;
        Ok(Swap::Done)
    }

    fn remove(&self, account: &Account, held: Held) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        self.unlink(&names.credentials)?;
        self.sweep(&names);
        self.strike(&account.name, account.uid);
        // A state without credentials does no harm: the next enrollment reuses it. It goes last, since it is the lock.
        let _ = self.unlink(&names.state);
        self.settle(&names.state, Some(&held.state))?;
        Ok(Swap::Done)
    }

    fn rehearse(&self) {
        // Only root hides which accounts exist: the helper answers about its caller's own account.
        if !geteuid().is_root() {
            return;
        }
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        if let Ok(file) = openat(&self.directory, REHEARSAL, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
            && self.trust(&file, REHEARSAL, Some(0)).is_ok()
        {
            // No data depends on it: a rehearsal that fails only takes less time.
            let held = Held { state: file.into(), name: REHEARSAL.into(), spare: 1, sequence: 0 };
            let _ = self.write_slot(&held, &State::new(EnrollmentId([0; 16])));
        }
    }
}

#[cfg(test)]
mod tests;
