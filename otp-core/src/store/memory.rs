//! A store in memory for tests that forces the worst interleaving: another login between a load and its write.

use std::cell::RefCell;

use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// The number of the write that made the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

type Interference = Box<dyn FnOnce(&MemoryStore)>;

/// One user's record, and what runs before the next writes.
#[derive(Default)]
pub(crate) struct MemoryStore {
    record: RefCell<Option<(String, State, Version)>>,
    before_writes: RefCell<Vec<Interference>>,
    writes: RefCell<u64>,
}

impl MemoryStore {
    pub(crate) fn holding(account: &Account, record: &Record) -> Self {
        let store = Self::default();
        assert_eq!(store.replace(account, None, record).unwrap(), Swap::Done);
        store
    }

    /// Runs `interference` between the load and the write of the next change.
    pub(crate) fn before_next_write(&self, interference: impl FnOnce(&Self) + 'static) {
        self.before_writes.borrow_mut().push(Box::new(interference));
    }

    /// How many writes were made durable.
    pub(crate) fn writes(&self) -> u64 {
        *self.writes.borrow()
    }

    fn write(&self, seen: Option<Version>, record: impl FnOnce(Version) -> Option<(String, State, Version)>) -> Swap {
        let interference = self.before_writes.borrow_mut().pop();
        if let Some(interference) = interference {
            interference(self);
        }
        let present = self.record.borrow().as_ref().map(|(_, _, version)| *version);
        if present != seen {
            return Swap::Lost;
        }
        *self.writes.borrow_mut() += 1;
        *self.record.borrow_mut() = record(Version(self.writes()));
        Swap::Done
    }
}

impl Store for MemoryStore {
    type Hold = Version;

    fn load(&self, _: &Account) -> Result<Option<Loaded<Version>>, StoreError> {
        let record = self.record.borrow();
        Ok(record.as_ref().map(|(credentials, state, version)| {
            let credentials = Credentials::decode(credentials.as_bytes(), ReadContext::ANYONE).unwrap();
            Loaded { record: Record::new(credentials, state.clone()).unwrap(), hold: *version }
        }))
    }

    fn swap(&self, _: &Account, seen: Version, state: &State) -> Result<Swap, StoreError> {
        let credentials = self.record.borrow().as_ref().map(|(credentials, _, _)| credentials.clone());
        Ok(self.write(Some(seen), |version| Some((credentials.unwrap(), state.clone(), version))))
    }

    fn replace(&self, _: &Account, seen: Option<Version>, record: &Record) -> Result<Swap, StoreError> {
        Ok(self.write(seen, |version| Some((record.credentials.encode().to_string(), record.state.clone(), version))))
    }

    fn remove(&self, _: &Account, seen: Version) -> Result<Swap, StoreError> {
        Ok(self.write(Some(seen), |_| None))
    }

    fn rehearse(&self) {}
}
