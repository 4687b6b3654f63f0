//! A directory of files: `<user>.toml` replaced by rename, `<user>.state` overwritten in place, one lock.
//!
//! The state file is the lock (flock) and holds two slots. A state belongs to the credentials whose enrollment id it
//! names; among the readable slots that do, the highest sequence is the present one. Both kinds of change keep it:
//!
//! - a login overwrites the slot that is not the present one;
//! - a change of credentials writes the new credentials beside the old, overwrites the slot that is not the present
//!   one with a state of the new enrollment, and renames. Until the rename the old slot is the present one, and from
//!   then on the new one, without a moment between.

mod create_state;
mod file_names;
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

/// How often a record is looked for that others make and remove meanwhile.
const MOST_TRIES: u8 = 10;

/// The file that rehearsals write. No user's file name starts with a dot.
const REHEARSAL: &str = ".rehearsal";

impl FileStore {
    /// A user's record to look at, and not to change: nobody is waited for.
    pub fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        let names = Names::of(account);
        let mut tries_left = MOST_TRIES;
        loop {
            let Some(Opened { file: _open, inode, credentials }) = self.open_credentials(account, &names)? else {
                return Ok(None);
            };
            let found = self.read_state(account, &names, credentials);
            // Between the two reads the credentials may have been replaced or removed; then both are read again. The
            // file is still open, so that its inode number is nobody else's.
            tries_left = tries_left.saturating_sub(1);
            if found.is_ok() || tries_left == 0 || self.inode(&names.credentials)? == Some(inode) {
                return found.map(Some);
            }
        }
    }

    /// Whether there is anything in a user's name, whoever owns it.
    pub fn holds(&self, account: &Account) -> Result<bool, StoreError> {
        Ok(self.inode(&Names::of(account).credentials)?.is_some())
    }

    /// Removes whatever is stored for a user, readable or not, for administration. A change under way is waited for, so
    /// that no half of it stays behind.
    pub fn purge(&self, account: &Account) -> Result<bool, StoreError> {
        let names = Names::of(account);
        let (_held, gone) = match self.open_file(&names.state, OFlag::O_RDWR) {
            Ok(Some(file)) => {
                let file = self.lock(file, &names.state)?;
                let metadata = file.metadata().map_err(|error| self.failed("examine", &names.state, error))?;
                (Some(file), metadata.nlink() == 0)
            }
            Ok(None) => (None, true),
            // A state that cannot be opened cannot be held by anybody either, and goes without waiting.
            Err(_) => (None, false),
        };
        let mut existed = self.unlink(&names.credentials)?;
        if !gone {
            // Where the state is gone, one that is there by now belongs to an enrollment that began after us. It goes last:
            // without it there is no lock, and what lies beside may be the next enrollment's.
            for name in names.beside() {
                self.unlink(&name)?; // not asked about: the state is there anyhow
            }
            existed |= self.unlink(&names.state)?;
        }
        self.settle("", None)?;
        Ok(existed)
    }

    fn read_slots(&self, file: &File, name: &str) -> Result<Slots, StoreError> {
        // One byte more than a state file has, so that a longer one is noticed.
        let mut bytes = vec![0; STATE_SIZE.saturating_add(1)];
        let length = file.read_at(&mut bytes, 0).map_err(|error| self.failed("read", name, error))?;
        bytes.truncate(length);
        Ok(Slots::new(bytes))
    }

    /// Opens and locks the state of a user who has no credentials; `None` if there are credentials by now.
    fn hold_without_credentials(&self, account: &Account, names: &Names) -> Result<Option<Held>, StoreError> {
        let Some(file) = self.open_or_create_state(account, names)? else {
            return Ok(None);
        };
        let metadata = self.trust(&file, &names.state, Some(account.uid))?;
        if metadata.nlink() == 0 || self.inode(&names.credentials)?.is_some() {
            return Ok(None);
        }
        if usize::try_from(metadata.len()) != Ok(STATE_SIZE) {
            // Nobody's state, so nothing is lost; what is written into it must be readable later.
            file.set_len(0).map_err(|error| self.failed("write", &names.state, error))?;
            file.write_all_at(&BLANK, 0).map_err(|error| self.failed("write", &names.state, error))?;
        }
        let sequence = self.read_slots(&file, &names.state)?.highest();
        Ok(Some(Held { state: file, name: names.state.clone(), spare: 0, sequence }))
    }

    /// Loads the record of somebody whose credentials may have been seen before.
    fn load_after(&self, account: &Account, seen: Option<&Seen>) -> Result<Option<Loaded<Held>>, StoreError> {
        let names = Names::of(account);
        for _ in 0..MOST_TRIES {
            let Some(state) = self.open_file(&names.state, OFlag::O_RDWR)? else {
                if self.inode(&names.credentials)?.is_none() {
                    return Ok(None);
                }
                continue; // whoever enrolls makes the state first: it may be there by now
            };
            let state = self.lock(state, &names.state)?;
            if self.trust(&state, &names.state, Some(account.uid))?.nlink() == 0 {
                continue; // removed while we waited
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
            // Perhaps it was read while it was written: once more, when nobody writes.
            let file = self.lock(file, &names.state)?;
            slots = self.read_slots(&file, &names.state)?;
        }
        self.joined(names, credentials, &slots).map(|(record, _, _)| record)
    }

    /// Credentials and the present one of the states; with it the slot that may be overwritten, and the sequence so far.
    fn joined(
        &self,
        names: &Names,
        credentials: Credentials,
        slots: &Slots,
    ) -> Result<(Record, usize, u64), StoreError> {
        let unreadable = |error| self.unreadable(&names.state, error);
        let nothing = || unreadable(RecordError::Malformed("neither slot holds a state of this enrollment".into()));
        let Present { spare, highest, slot } = slots.present(credentials.enrollment).ok_or_else(nothing)?;
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
        let held = match held {
            Some(held) => held,
            None => match self.hold_without_credentials(account, &names)? {
                Some(held) => held,
                None => return Ok(Swap::Lost),
            },
        };
        let incoming_name = names.incoming(geteuid().is_root());
        self.sweep(&names);
        let incoming = self.create(&incoming_name, account, record.credentials.encode().as_bytes())?;
        let in_place = self.write_slot(&held, &record.state).and_then(|()| {
            let (from, to) = (incoming_name.as_str(), names.credentials.as_str());
            renameat(&self.directory, from, &self.directory, to).map_err(|error| self.failed("replace", to, error))
        });
        if let Err(error) = in_place {
            let _ = self.unlink(&incoming_name); // a seed that nobody will ever use
            return Err(error);
        }
        // From the rename on it is in force, and nothing must say that it is not.
        self.settle(&names.credentials, Some(&incoming))?;
        Ok(Swap::Done)
    }

    fn remove(&self, account: &Account, held: Held) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        self.unlink(&names.credentials)?;
        self.sweep(&names);
        // Without credentials a state is nobody's, and the next enrollment's to use. With it goes the lock, so it goes last.
        let _ = self.unlink(&names.state);
        self.settle(&names.state, Some(&held.state))?;
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
            let held = Held { state: file.into(), name: REHEARSAL.into(), spare: 1, sequence: 0 };
            let _ = self.write_slot(&held, &State::new(EnrollmentId([0; 16])));
        }
    }
}

#[cfg(test)]
mod tests;
