//! An account that got another number: its record is given to that, whatever number the files have.

use std::os::unix::fs::MetadataExt;

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown};

use crate::record::Record;
use crate::record::credentials::{Credentials, Needed};
use crate::record::credentials_toml::ReadContext;
use crate::record::error::RecordError;
use crate::store::error::StoreError;
use crate::store::files::MOST_TRIES;
use crate::store::files::fence::InPlace;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::store::files::write::Held;
use crate::store::note::Note;
use crate::store::{Store, Swap};
use crate::value::user::Account;

/// Whose a record is: by its files, and by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub credentials: u32,
    pub state: u32,
    pub inside: u32,
}

impl Numbers {
    /// Whether all are this one.
    pub fn are_all(self, uid: u32) -> bool {
        [self.credentials, self.state, self.inside].iter().all(|number| *number == uid)
    }
}

impl FileStore {
    /// The record of a name, and the numbers that it has. For root; the number of `account` is not looked at.
    pub fn whatever_number(&self, account: &Account) -> Result<Option<(Record, Numbers)>, StoreError> {
        let names = Names::of(account);
        let Some((credentials, owner)) = self.credentials_of(account, &names)? else { return Ok(None) };
        let missing = || self.unreadable(&names.state, RecordError::Missing);
        let (file, metadata) = self.open_trusted(&names.state, None)?.ok_or_else(missing)?;
        let numbers = Numbers { credentials: owner, state: metadata.uid(), inside: credentials.uid };
        let slots = self.read_slots(&file, &names.state)?;
        Ok(Some((self.joined(&names, credentials, &slots)?.0, numbers)))
    }

    /// Gives the record of a name to the number of its account: both files, and the number inside. `false` if it has that
    /// already. Devices, used codes and the enrollment stay.
    ///
    /// Killed in between, the files have two numbers, and no login can use them. The next run goes on from there.
    pub fn adopt(&self, account: &Account) -> Result<bool, StoreError> {
        let names = Names::of(account);
        for _ in 0..MOST_TRIES {
            let missing = || self.unreadable(&names.state, RecordError::Missing);
            let owner = self.owner(&names.state)?.ok_or_else(missing)?;
            let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? else { continue };
            let former = Account { uid: owner, ..account.clone() };
            let Some(InPlace { file: state, inode, slots, .. }) = self.hold(&former, &names, file)? else { continue };
            let Some((mut credentials, of_credentials)) = self.credentials_of(account, &names)? else {
                return Ok(false);
            };
            let numbers = Numbers { credentials: of_credentials, state: owner, inside: credentials.uid };
            self.open_sealed(&mut credentials, Needed::All);
            if numbers.are_all(account.uid) {
                return Ok(false);
            }
            let (Record { credentials, state: present }, spare, sequence) = self.joined(&names, credentials, &slots)?;
            let record = Record { credentials: Credentials { uid: account.uid, ..credentials }, state: present };
            fchown(&*state, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))
                .map_err(|error| self.failed("give to its user", &names.state, error))?;
            let held = Held { state, name: names.state.clone(), inode, spare, sequence };
            if self.replace(account, Some(held), &record, &Note::here("adopted"))? == Swap::Done {
                for former in [numbers.inside, numbers.credentials, numbers.state] {
                    if former != account.uid {
                        self.strike(&account.name, former);
                    }
                }
                return Ok(true);
            }
        }
        Err(StoreError::Busy)
    }

    /// The credentials under a name, whichever number they have, and the owner of the file.
    fn credentials_of(&self, account: &Account, names: &Names) -> Result<Option<(Credentials, u32)>, StoreError> {
        let name = &names.credentials;
        let Some((file, metadata)) = self.open_trusted(name, None)? else { return Ok(None) };
        let decode = |bytes: &[u8]| Credentials::decode(bytes, ReadContext::ANYONE);
        let credentials = self.read_credentials(&file, metadata.len(), name, decode)?;
        // The file of one name with the record of another was put there by hand.
        credentials
            .belongs_to(&Account { uid: credentials.uid, ..account.clone() })
            .map_err(|error| self.unreadable(name, error))?;
        Ok(Some((credentials, metadata.uid())))
    }
}
