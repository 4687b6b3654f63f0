//! The store of files: `<user>.toml` replaced by rename, `<user>.state` overwritten in place, one lock for both.
//!
//! The state file is the lock (flock) and holds two slots. A state belongs to the credentials whose enrollment id it
//! names. Among the valid slots with that id, the one with the highest sequence number is present. Neither kind of change
//! overwrites the present slot:
//!
//! - a login overwrites the other slot;
//! - a change of credentials writes the new credentials under a temporary name, overwrites the other slot with a state of
//!   the new enrollment, and renames. The rename makes the new slot present, without a moment between.

pub mod adopt;
mod by_uid;
pub mod changes;
pub(crate) mod confinement;
mod create_state;
mod fence;
mod file_names;
pub mod first_records;
pub mod identity;
pub mod list;
pub mod on_demand;
pub mod open;
pub mod reread;
pub mod seal_keys;
mod sealed;
mod slots;
pub mod stock;
mod write;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::record::Record;
use crate::record::credentials::{Credentials, Needed, Outline};
use crate::record::credentials_toml::ReadContext;
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::files::fence::InPlace;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Releasing};
use crate::store::files::reread::Seen;
use crate::store::files::slots::{BLANK, Present, STATE_SIZE, Slots};
use crate::store::files::write::Held;
use crate::store::note::Note;
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// Most attempts to read a record that other processes replace or remove meanwhile.
const MOST_TRIES: u8 = 10;

/// The file that rehearsals write. No user's file name starts with a dot.
const REHEARSAL: &str = ".rehearsal";

/// Credentials of no user, of the usual size.
const REHEARSED: &[u8] = include_bytes!("files/rehearsal.toml");

impl FileStore {
    /// A user's record, only to read. Waits for no lock unless it was read amid a change.
    pub fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        let names = Names::of(account);
        let Some(credentials) = self.open_credentials(account, &names)? else {
            return Ok(None);
        };
        self.read_state(account, &names, credentials)
            .map(Some)
            .or_else(|_| Ok(self.load(account)?.map(|loaded| loaded.record)))
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
        let (held, aside) = self.lock_to_purge(account, &names)?.unzip();
        // A state that is not locked is not trusted, or cannot be opened: then it is no process's lock.
        let inode = match &held {
            Some(file) => Some(self.examine(file, &names.state)?.ino()),
            None => self.inode(&names.state)?,
        };
        let mut existed = self.discard(&names.credentials)?;
        for name in aside.into_iter().flatten() {
            self.discard(&name)?; // after the credentials, which may need the state in it
        }
        // If our state is gone, a new one belongs to an enrollment that began after this call. The state goes last: with it
        // goes the lock, and then temporary files may be those of the next enrollment.
        if let Some(inode) = inode.filter(|_| self.inode(&names.state).is_ok_and(|now| now == inode)) {
            // These do not count as `existed`: the state file exists too.
            for incoming in names.incoming_with(inode) {
                self.discard(&incoming)?;
            }
            for state in names.incoming_states() {
                self.discard_new_state(&state, uid)?;
            }
            self.strike(&account.name, uid);
            existed |= self.discard(&names.state)?;
        }
        self.settle("", None)?;
        Ok(existed)
    }

    /// The state, locked, and the names of files that were set aside. `None` if there is no state that can be locked.
    fn lock_to_purge(&self, account: &Account, names: &Names) -> Result<Option<(Releasing, Vec<String>)>, StoreError> {
        while let Ok(Some(file)) = self.open_file(&names.state, OFlag::O_RDWR) {
            match self.lock_or_fence(account, names, file) {
                Ok(Some(file)) => {
                    let metadata = self.examine(&file, &names.state)?;
                    if metadata.nlink() > 0 && self.inode(&names.state)? != Some(metadata.ino()) {
                        continue; // set aside while this process waited
                    }
                    // Best effort: what cannot be read is in no login's way.
                    let slots = self.read_slots(&file, &names.state);
                    let aside = slots.and_then(|slots| self.revoke(account, names, &slots)).unwrap_or_default();
                    return Ok(Some((file, aside)));
                }
                Ok(None) => {} // another one is in place by now
                Err(StoreError::Untrusted { .. } | StoreError::OfOther { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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
        let Some(InPlace { file, inode, size, slots }) = self.open_or_create_state(account, names)? else {
            return Ok(None);
        };
        if self.inode(&names.credentials)?.is_some() {
            return Ok(None);
        }
        if size != STATE_SIZE {
            // It belongs to no credentials, so nothing is lost. A state of the wrong size could not be read later.
            file.set_len(0).map_err(|error| self.failed("write", &names.state, error))?;
            file.write_all_at(&BLANK, 0).map_err(|error| self.failed("write", &names.state, error))?;
        }
        Ok(Some(Held { state: file, name: names.state.clone(), inode, spare: 0, sequence: slots.highest() }))
    }

    /// Loads the record of a user whose credentials may have been read before the question, and opens of it what is needed.
    fn load_after(
        &self,
        account: &Account,
        seen: Option<&Seen>,
        needed: Needed,
    ) -> Result<Option<Loaded<Held>>, StoreError> {
        let names = Names::of(account);
        for _ in 0..MOST_TRIES {
            let Some(state) = self.open_file(&names.state, OFlag::O_RDWR)? else {
                if self.inode(&names.credentials)?.is_none() {
                    return Ok(None);
                }
                continue; // an enrollment makes the state first: it may exist by now
            };
            let Some(InPlace { file: state, inode, slots, .. }) = self.hold(account, &names, state)? else {
                continue;
            };
            let credentials = match seen {
                Some(seen) => self.see_again(seen, account, &names)?,
                None => self.open_credentials(account, &names)?,
            };
            let Some(credentials) = credentials else {
                return Ok(None);
            };
            let joined = self.joined(&names, credentials, &slots);
            if joined.is_err() && self.inode(&names.state)? != Some(inode) {
                continue; // fenced off: the credentials may be newer than this state
            }
            let (mut record, spare, sequence) = joined?;
            self.open_sealed(&mut record.credentials, needed);
            return Ok(Some(Loaded { record, hold: Held { state, name: names.state, inode, spare, sequence } }));
        }
        Err(self.unreadable(&names.state, RecordError::Missing))
    }

    /// The file of rehearsals. One that another user has put there is removed.
    fn rehearsal(&self) -> Result<Option<(File, u64)>, StoreError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        for _ in 0..2 {
            if let Ok(file) = openat(&self.directory, REHEARSAL, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
                && let Ok(metadata) = self.trust(&file, REHEARSAL, Some(0))
            {
                return Ok(Some((file, metadata.ino())));
            }
            self.discard(REHEARSAL)?;
        }
        Ok(None)
    }

    /// Reads the state that belongs to `credentials`, without the lock.
    fn read_state(&self, account: &Account, names: &Names, credentials: Credentials) -> Result<Record, StoreError> {
        let missing = || self.unreadable(&names.state, RecordError::Missing);
        let (file, _) = self.open_trusted(&names.state, Some(account.uid))?.ok_or_else(missing)?;
        let slots = self.read_slots(&file, &names.state)?;
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
        let present = slots.present(credentials.enrollment).map_err(unreadable)?;
        let Present { spare, highest, slot } = present.ok_or_else(neither)?;
        Ok((Record::new(credentials, slot.state).map_err(unreadable)?, spare, highest))
    }
}

impl Store for FileStore {
    type Hold = Held;

    fn load(&self, account: &Account) -> Result<Option<Loaded<Held>>, StoreError> {
        self.load_after(account, None, Needed::All)
    }

    fn load_for(&self, account: &Account, needed: Needed) -> Result<Option<Loaded<Held>>, StoreError> {
        self.load_after(account, None, needed)
    }

    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        self.read(account)
    }

    fn outline(&self, account: &Account) -> Result<Option<Outline>, StoreError> {
        Ok(self.see(account)?.map(|seen| seen.outline))
    }

    fn others_of(&self, account: &Account) -> Result<Vec<Account>, StoreError> {
        self.others_of(account)
    }

    fn swap(&self, _: &Account, held: Held, state: &State, _: &Note<'_>) -> Result<Swap, StoreError> {
        self.write_slot(&held, state)?;
        Ok(if self.is_in_place(&held)? { Swap::Done } else { Swap::Lost })
    }

    fn replace(
        &self,
        account: &Account,
        held: Option<Held>,
        record: &Record,
        _: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        let names = Names::of(account);
        let is_first = held.is_none();
        let held = match held {
            Some(held) => held,
            None => match self.hold_without_credentials(account, &names)? {
                Some(held) => held,
                None => return Ok(Swap::Lost),
            },
        };
        self.sweep(account, &names, held.inode);
        let created = self.enter(account).and_then(|()| self.create_incoming(account, &names, &held, record));
        let (incoming_name, incoming) = created.inspect_err(|_| self.strike_first(account, &held, is_first))?;
        let in_place = self.write_slot(&held, &record.state).and_then(|()| {
            // From here on a process that fences us off removes the file that we would rename.
            if !self.is_in_place(&held)? {
                return Ok(Swap::Lost);
            }
            let (from, to) = (incoming_name.as_str(), names.credentials.as_str());
            match renameat(&self.directory, from, &self.directory, to) {
                Ok(()) => Ok(Swap::Done),
                Err(Errno::ENOENT) => Ok(Swap::Lost),
                Err(error) => Err(self.failed("replace", to, error)),
            }
        });
        if !matches!(in_place, Ok(Swap::Done)) {
            let _ = self.unlink(&incoming_name); // it holds a seed that will not be used
            return in_place.inspect_err(|_| self.strike_first(account, &held, is_first));
        }
        // The rename puts the change in force: from here on, no error may say that it is not.
        self.settle(&names.credentials, Some(&incoming))?;
        Ok(Swap::Done)
    }

    fn remove(&self, account: &Account, held: Held, note: &Note<'_>) -> Result<Swap, StoreError> {
        if !geteuid().is_root() {
            // A user may stop this process at any time, and let it go on when there are other credentials: it must not
            // remove them. A rename can be taken from it, a removal cannot.
            return self.replace(account, Some(held), &Record::stranger(account), note);
        }
        if !self.is_in_place(&held)? {
            return Ok(Swap::Lost);
        }
        let names = Names::of(account);
        self.unlink(&names.credentials)?;
        self.sweep(account, &names, held.inode);
        self.strike(&account.name, account.uid);
        // A state without credentials does no harm: the next enrollment reuses it. It goes last, since it is the lock.
        let _ = self.unlink(&names.state);
        self.settle(&names.state, Some(&held.state))?;
        Ok(Swap::Done)
    }

    fn purge(&self, account: &Account, _: &Note<'_>) -> Result<bool, StoreError> {
        self.purge(account)
    }

    fn rehearse_load(&self) {
        if geteuid().is_root()
            && let Ok(Some((file, _))) = self.open_trusted(REHEARSAL, Some(0))
        {
            // As with a rehearsed write, nothing depends on what comes of it.
            let slots = self.read_slots(&file, REHEARSAL);
            let slots = slots.is_ok_and(|slots| slots.present(EnrollmentId([0; 16])).is_ok());
            let _ = black_box((slots, Credentials::decode(REHEARSED, ReadContext::ANYONE).is_ok()));
            self.rehearse_opening();
        }
    }

    fn rehearse(&self, _: &Account, _: &Note<'_>) -> Result<(), StoreError> {
        // Only root hides which accounts exist: the helper answers about its caller's own account.
        if !geteuid().is_root() {
            return Ok(());
        }
        // No data depends on it: a rehearsal that fails only takes less time.
        if let Ok(Some((file, inode))) = self.rehearsal() {
            let held = Held { state: file.into(), name: REHEARSAL.into(), inode, spare: 1, sequence: 0 };
            let _ = self.write_slot(&held, &State::new(EnrollmentId([0; 16])));
            let _ = self.is_in_place(&held);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
