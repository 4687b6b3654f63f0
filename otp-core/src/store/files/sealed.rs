//! What is sealed of a record: opened when it is needed, and sealed as it is written.

use std::hint::black_box;
use std::io;

use zeroize::Zeroizing;

use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Credentials, Needed};
use crate::record::credentials_toml::spare::Spare;
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::key_ring::Ring;
use crate::record::seal::{KeyId, Owner, Part, SealKey, Sealed, Shut};
use crate::store::change;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::store::files::seal_keys::KeySource;
use crate::store::note::{Answer, Note};
use crate::value::user::Account;

/// The number of no user: of tokens in the stock, and of rehearsals.
const NO_USER: u32 = u32::MAX;

impl FileStore {
    /// This store, with keys from there.
    pub fn with_keys(self, keys: KeySource) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The keys of this store.
    pub fn ring(&self) -> Result<Ring, Shut> {
        self.keys.as_ref().map_or(Err(Shut::NoKey), KeySource::ring)
    }

    /// The keys of one user, as bytes.
    pub fn keys_of(&self, uid: u32) -> Result<Zeroizing<Vec<u8>>, Shut> {
        self.ring()?.bytes_for(uid).ok_or(Shut::NoKey)
    }

    /// Opens what is sealed of a record, as far as it is needed and can be.
    pub(super) fn open_sealed(&self, credentials: &mut Credentials, needed: Needed) {
        credentials.open_sealed(needed, || self.ring());
    }

    /// A user's record with all that is sealed, only to read.
    pub fn read_open(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        self.opened(account, self.read(account)?)
    }

    /// A record that was read, with all that is sealed.
    pub fn opened(&self, account: &Account, record: Option<Record>) -> Result<Option<Record>, StoreError> {
        let Some(mut record) = record else { return Ok(None) };
        self.open_sealed(&mut record.credentials, Needed::All);
        match record.credentials.shut() {
            Some(why) => Err(self.shut(account, why)),
            None => Ok(Some(record)),
        }
    }

    /// A change that compares seeds: nothing is changed where one cannot be opened.
    pub fn change_open<T: Answer>(
        &self,
        account: &Account,
        note: &Note<'_>,
        step: impl Fn(Option<&Record>) -> (Change, T),
    ) -> Result<T, StoreError> {
        let done = change(self, account, note, |record| match record.and_then(|record| record.credentials.shut()) {
            Some(why) => (Change::Keep, Err(why)),
            None => {
                let (next, answer) = step(record);
                (next, Ok(answer))
            }
        })?;
        done.map_err(|why| self.shut(account, why))
    }

    fn shut(&self, account: &Account, why: Shut) -> StoreError {
        self.unreadable(&Names::of(account).credentials, RecordError::Sealed(why))
    }

    /// The text of credentials as they are to be written: sealed, if new seeds are.
    pub(super) fn text_of(&self, name: &str, credentials: &Credentials) -> Result<Zeroizing<String>, StoreError> {
        let shut = |why| self.unreadable(name, RecordError::Sealed(why));
        // Under a new enrollment it would not open any more.
        if let Some(why) = credentials.shut() {
            return Err(shut(why));
        }
        if !credentials.has_secrets() {
            return Ok(credentials.encode());
        }
        match self.key_for_new(credentials.uid).map_err(shut)? {
            None => Ok(credentials.encode()),
            Some((id, key)) => {
                let sealed = credentials.sealed((id, &key), fresh);
                Ok(sealed.map_err(|error| self.failed("seal", name, error))?.encode())
            }
        }
    }

    /// The text of a token that no user has, sealed if new seeds are.
    pub(super) fn text_of_spare(&self, name: &str, spare: &Spare) -> Result<Zeroizing<String>, StoreError> {
        let shut = |why| self.unreadable(name, RecordError::Sealed(why));
        if let Some(sealed) = &spare.sealed {
            return Err(shut(sealed.why));
        }
        match self.key_for_new(NO_USER).map_err(shut)? {
            None => Ok(spare.encode()),
            Some((id, key)) => {
                let sealed = spare.sealed((id, &key), fresh);
                Ok(sealed.map_err(|error| self.failed("seal", name, error))?.encode())
            }
        }
    }

    /// Opens the seed of a token that no user has, if that can be.
    pub(super) fn open_spare(&self, spare: &mut Spare) {
        spare.open_sealed(|id| self.ring()?.key(NO_USER, id));
    }

    /// The key that seals a user's new seeds, if they are to be sealed.
    fn key_for_new(&self, uid: u32) -> Result<Option<(KeyId, SealKey)>, Shut> {
        let ring = self.keys.as_ref().map_or(Ok(None), KeySource::ring_for_new)?;
        ring.map_or(Ok(None), |ring| ring.present(uid))
    }

    /// Does the work of opening a seed, where there are keys: the refusal of an unknown user takes as long as that of another one.
    pub(super) fn rehearse_opening(&self) {
        if let Ok(ring) = self.ring()
            && let Ok(Some((id, key))) = ring.present(NO_USER)
        {
            let owner = Owner { user: "nobody", uid: NO_USER, enrollment: EnrollmentId([0; 16]) };
            let sealed = Sealed::rehearsed(id);
            let _ = black_box(sealed.and_then(|sealed| sealed.open(&key, owner, Part::Scratch)));
        }
    }
}

fn fresh(nonce: &mut [u8]) -> io::Result<()> {
    getrandom::fill(nonce).map_err(io::Error::other)
}
