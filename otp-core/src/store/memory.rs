//! A store in memory, for tests. It compares versions where files hold a lock, and keeps answers.

use std::cell::{Cell, RefCell};

use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::note::{KeptAnswer, Note};
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// What the record was when it was loaded.
#[derive(Clone)]
pub(crate) struct Seen {
    /// The number of the write that made it.
    version: u64,
    kept: Option<KeptAnswer>,
}

/// One user's record.
#[derive(Default)]
pub(crate) struct MemoryStore {
    record: RefCell<Option<(String, State, Seen)>>,
    writes: Cell<u64>,
}

impl MemoryStore {
    /// How many writes were made durable.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.get()
    }

    fn write(&self, seen: Option<&Seen>, note: &Note<'_>, record: Option<(String, State)>) -> Swap {
        let version = self.record.borrow().as_ref().map(|(_, _, seen)| seen.version);
        if version != seen.map(|seen| seen.version) {
            return Swap::Lost;
        }
        self.writes.set(self.writes() + 1);
        let kept = note.origin.id.zip(note.answer).map(|(id, answer)| KeptAnswer {
            id,
            host: note.origin.host.map(str::to_owned),
            event: note.event.to_owned(),
            words: answer.words().into_owned(),
        });
        let seen = Seen { version: self.writes(), kept };
        *self.record.borrow_mut() = record.map(|(credentials, state)| (credentials, state, seen));
        Swap::Done
    }
}

impl Store for MemoryStore {
    type Hold = Seen;

    fn load(&self, _: &Account) -> Result<Option<Loaded<Seen>>, StoreError> {
        let record = self.record.borrow();
        Ok(record.as_ref().map(|(credentials, state, seen)| {
            let credentials = Credentials::decode(credentials.as_bytes(), ReadContext::ANYONE).unwrap();
            Loaded { record: Record::new(credentials, state.clone()).unwrap(), hold: seen.clone() }
        }))
    }

    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        Ok(self.load(account)?.map(|loaded| loaded.record))
    }

    fn kept(seen: &Seen) -> Option<&KeptAnswer> {
        seen.kept.as_ref()
    }

    fn swap(&self, _: &Account, seen: Seen, state: &State, note: &Note<'_>) -> Result<Swap, StoreError> {
        let credentials = self.record.borrow().as_ref().map(|(credentials, _, _)| credentials.clone());
        Ok(self.write(Some(&seen), note, credentials.map(|credentials| (credentials, state.clone()))))
    }

    fn replace(&self, _: &Account, seen: Option<Seen>, record: &Record, note: &Note<'_>) -> Result<Swap, StoreError> {
        let record = (record.credentials.encode().to_string(), record.state.clone());
        Ok(self.write(seen.as_ref(), note, Some(record)))
    }

    fn remove(&self, _: &Account, seen: Seen, note: &Note<'_>) -> Result<Swap, StoreError> {
        Ok(self.write(Some(&seen), note, None))
    }

    fn purge(&self, _: &Account, _: &Note<'_>) -> Result<bool, StoreError> {
        Ok(self.record.take().is_some())
    }

    fn rehearse(&self, _: &Account, _: &Note<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

mod suite {
    use super::MemoryStore;
    use crate::testing::store_suite::Nature;

    crate::store_suite!((MemoryStore::default(), ()), Nature { locks: false, keeps_answers: true });
}
