//! The storage interface: load, compare-and-swap the state, replace or remove credentials.

pub mod error;
pub mod files;
#[cfg(test)]
pub(crate) mod memory;
pub mod note;

use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Needed, Outline};
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::note::{Answer, KeptAnswer, Note};
use crate::value::user::Account;

/// A record that was loaded in order to be changed.
pub struct Loaded<Hold> {
    pub record: Record,
    /// The lock or version that the write must present.
    pub hold: Hold,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// The write is durable.
    Done,
    /// Another process wrote first; nothing was written.
    Lost,
}

/// Holds the records of all users. Each call is atomic, and durable when it returns.
pub trait Store {
    /// Ties a write to the record that was loaded: a lock held since then, or the version to compare with.
    type Hold;

    /// Whether the store can be asked at all. Asked also where no record will be looked for, so that every user gets the same
    /// error.
    fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Called before each request of a conversation, in which a person may have typed for minutes: what was opened and trusted
    /// before is opened again, and trusted only if it still deserves it.
    fn renew(&mut self) {}

    /// The record of a user, in order to change it. `None` means that no credentials exist; any other trouble is an error.
    fn load(&self, account: &Account) -> Result<Option<Loaded<Self::Hold>>, StoreError>;

    /// The same for a login, which needs only a part of what may be sealed.
    fn load_for(&self, account: &Account, _needed: Needed) -> Result<Option<Loaded<Self::Hold>>, StoreError> {
        self.load(account)
    }

    /// The record of a user, only to read.
    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError>;

    /// What a login needs of a record before the question.
    fn outline(&self, account: &Account) -> Result<Option<Outline>, StoreError> {
        Ok(self.read(account)?.map(|record| record.credentials.outline()))
    }

    /// Accounts with the same number and another name that have a record. None in a store in which a name alone is a user.
    fn others_of(&self, _account: &Account) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }

    /// The last answer about the record that was loaded, if the store keeps answers and this one may be given again.
    fn kept(_hold: &Self::Hold) -> Option<&KeptAnswer> {
        None
    }

    /// Writes the state if the record has not changed since it was loaded.
    fn swap(&self, account: &Account, hold: Self::Hold, state: &State, note: &Note<'_>) -> Result<Swap, StoreError>;

    /// Writes credentials and their state over the record that was loaded, or as a first record.
    fn replace(
        &self,
        account: &Account,
        hold: Option<Self::Hold>,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError>;

    /// Removes credentials and state if they have not changed since they were loaded.
    fn remove(&self, account: &Account, hold: Self::Hold, note: &Note<'_>) -> Result<Swap, StoreError>;

    /// Removes all that there is of a user, whether it can be read or not; `false` if there was nothing.
    fn purge(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError>;

    /// Notes an answer for which nothing is written, where notes are kept: it is an answer only when this returns without an
    /// error. Nothing here for a store that keeps none.
    fn only_note(&self, _account: &Account, _note: &Note<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes about as long as a load and changes nothing: the refusal of a user without a record reads one, too.
    fn rehearse_load(&self) {}

    /// Takes as long as a swap and changes no record. So a refusal that writes nothing takes as long as one that does, and is
    /// noted where notes are kept: it is an answer only when this returns without an error.
    fn rehearse(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError>;
}

/// More lost races than a login can meet: each lost race means that another write succeeded.
const MOST_LOSSES: usize = 1000;

/// One login: loads the record, runs the step, swaps the state, and returns the answer only when that state is durable.
///
/// The step may run again, on what the winner of a race wrote. It can return a new state and nothing else: no login can
/// change credentials. For a user without a record the step sees a stranger, whose state is not written. Who asks again with
/// the id of a question gets its answer again, if the store keeps answers.
pub fn update<T: Answer>(
    store: &impl Store,
    account: &Account,
    note: &Note<'_>,
    step: impl Fn(&Record) -> (State, T),
) -> Result<T, StoreError> {
    update_for(store, account, Needed::All, note, step)
}

/// The same, where a part of what may be sealed is enough.
pub fn update_for<S: Store, T: Answer>(
    store: &S,
    account: &Account,
    needed: Needed,
    note: &Note<'_>,
    step: impl Fn(&Record) -> (State, T),
) -> Result<T, StoreError> {
    for _ in 0..MOST_LOSSES {
        let Some(Loaded { record, hold }) = store.load_for(account, needed)? else {
            store.rehearse_load();
            let answer = step(&Record::stranger(account)).1;
            store.rehearse(account, &note.with(&answer))?;
            return Ok(answer);
        };
        let given = S::kept(&hold).and_then(|kept| kept.to(note));
        let (state, answer) = match given {
            Some(answer) => (record.state.clone(), answer),
            None => step(&record),
        };
        if state == record.state {
            drop(hold);
            store.rehearse(account, &note.with(&answer))?;
            return Ok(answer);
        }
        if store.swap(account, hold, &state, &note.with(&answer))? == Swap::Done {
            return Ok(answer);
        }
    }
    Err(StoreError::Busy)
}

/// One change of credentials: loads the record, runs the step, writes, and returns the answer only when it is durable.
///
/// Who asks again with the id of a question gets its answer again, if the store keeps answers, and without the step: what goes
/// with an answer, such as new recovery codes, is kept by no store.
pub fn change<S: Store, T: Answer>(
    store: &S,
    account: &Account,
    note: &Note<'_>,
    step: impl Fn(Option<&Record>) -> (Change, T),
) -> Result<T, StoreError> {
    for _ in 0..MOST_LOSSES {
        let loaded = store.load(account)?;
        let given = loaded.as_ref().and_then(|loaded| S::kept(&loaded.hold)?.to(note));
        let (next, answer) = match given {
            Some(answer) => (Change::Keep, answer),
            None => step(loaded.as_ref().map(|loaded| &loaded.record)),
        };
        let hold = loaded.map(|loaded| loaded.hold);
        let note = note.with(&answer);
        let swap = match (next, hold) {
            (Change::Keep, hold) | (Change::Nothing | Change::State(_), hold @ None) => {
                drop(hold);
                store.only_note(account, &note)?;
                Swap::Done
            }
            (Change::State(state), Some(hold)) => store.swap(account, hold, &state, &note)?,
            (Change::Record(record), hold) => store.replace(account, hold, &record, &note)?,
            (Change::Nothing, Some(hold)) => store.remove(account, hold, &note)?,
        };
        if swap == Swap::Done {
            return Ok(answer);
        }
    }
    Err(StoreError::Busy)
}

#[cfg(test)]
mod tests;
