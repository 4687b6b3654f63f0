//! The files of one conversation: opened when they are needed for the first time. Credentials that were read before a
//! question are not read again after the answer unless they have changed.

use std::cell::OnceCell;

use crate::record::Record;
use crate::record::credentials::{Needed, Outline};
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::files::open::FileStore;
use crate::store::files::reread::Seen;
use crate::store::files::write::Held;
use crate::store::note::Note;
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// The store of files, for one user at a time.
pub struct Files<'a> {
    open: Box<dyn Fn() -> Result<FileStore, StoreError> + 'a>,
    store: OnceCell<FileStore>,
    seen: OnceCell<Seen>,
}

impl<'a> Files<'a> {
    /// Files that `open` opens.
    pub fn new(open: impl Fn() -> Result<FileStore, StoreError> + 'a) -> Self {
        Self { open: Box::new(open), store: OnceCell::new(), seen: OnceCell::new() }
    }

    /// Opens them, unless they are open. After an error the next call tries again.
    fn store(&self) -> Result<&FileStore, StoreError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = (self.open)()?;
        Ok(self.store.get_or_init(|| store))
    }
}

impl Store for Files<'_> {
    type Hold = Held;

    fn ready(&self) -> Result<(), StoreError> {
        self.store().map(drop)
    }

    fn renew(&mut self) {
        (self.store, self.seen) = (OnceCell::new(), OnceCell::new());
    }

    fn load(&self, account: &Account) -> Result<Option<Loaded<Held>>, StoreError> {
        self.store()?.load(account)
    }

    fn load_for(&self, account: &Account, needed: Needed) -> Result<Option<Loaded<Held>>, StoreError> {
        self.store()?.load_after(account, self.seen.get(), needed)
    }

    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        self.store()?.read(account)
    }

    fn outline(&self, account: &Account) -> Result<Option<Outline>, StoreError> {
        let Some(seen) = self.store()?.see(account)? else { return Ok(None) };
        let outline = seen.outline;
        // Already set: keep the first, which the user was asked by.
        let _ = self.seen.set(seen);
        Ok(Some(outline))
    }

    fn others_of(&self, account: &Account) -> Result<Vec<Account>, StoreError> {
        self.store()?.others_of(account)
    }

    fn swap(&self, account: &Account, held: Held, state: &State, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.store()?.swap(account, held, state, note)
    }

    fn replace(
        &self,
        account: &Account,
        held: Option<Held>,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        self.store()?.replace(account, held, record, note)
    }

    fn remove(&self, account: &Account, held: Held, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.store()?.remove(account, held, note)
    }

    fn purge(&self, account: &Account, _: &Note<'_>) -> Result<bool, StoreError> {
        self.store()?.purge(account)
    }

    fn rehearse_load(&self) {
        if let Ok(store) = self.store() {
            store.rehearse_load();
        }
    }

    fn rehearse(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.store()?.rehearse(account, note)
    }
}
