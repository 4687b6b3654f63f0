//! The storage interface: load, compare-and-swap the state, replace or remove credentials.

pub mod error;
pub mod files;
#[cfg(test)]
pub(crate) mod memory;

use crate::record::Record;
use crate::record::change::Change;
use crate::record::state::State;
use crate::store::error::StoreError;
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

    /// The record of a user. `None` means that no credentials exist; any other trouble is an error.
    fn load(&self, account: &Account) -> Result<Option<Loaded<Self::Hold>>, StoreError>;

    /// Writes the state if the record has not changed since it was loaded.
    fn swap(&self, account: &Account, hold: Self::Hold, state: &State) -> Result<Swap, StoreError>;

    /// Writes credentials and their state over the record that was loaded, or as a first record.
    fn replace(&self, account: &Account, hold: Option<Self::Hold>, record: &Record) -> Result<Swap, StoreError>;

    /// Removes credentials and state if they have not changed since they were loaded.
    fn remove(&self, account: &Account, hold: Self::Hold) -> Result<Swap, StoreError>;

    /// Takes about as long as a load and changes nothing: the refusal of a user without a record reads one, too.
    fn rehearse_load(&self) {}

    /// Takes as long as a swap and changes nothing. So a refusal that writes nothing takes as long as one that does.
    fn rehearse(&self);
}

/// More lost races than a login can meet: each lost race means that another write succeeded.
const MOST_LOSSES: usize = 1000;

/// One login: loads the record, runs the step, swaps the state, and returns the answer only when that state is durable.
///
/// The step may run again, on what the winner of a race wrote. It can return a new state and nothing else: no login can
/// change credentials. For a user without a record the step sees a stranger, whose state is not written.
pub fn update<T>(store: &impl Store, account: &Account, step: impl Fn(&Record) -> (State, T)) -> Result<T, StoreError> {
    for _ in 0..MOST_LOSSES {
        let Some(Loaded { record, hold }) = store.load(account)? else {
            store.rehearse_load();
            store.rehearse();
            return Ok(step(&Record::stranger(account)).1);
        };
        let (state, answer) = step(&record);
        if state == record.state {
            drop(hold);
            store.rehearse();
            return Ok(answer);
        }
        if store.swap(account, hold, &state)? == Swap::Done {
            return Ok(answer);
        }
    }
    Err(StoreError::Busy)
}

/// One change of credentials: loads the record, runs the step, writes, and returns the answer only when it is durable.
pub fn change<T>(
    store: &impl Store,
    account: &Account,
    step: impl Fn(Option<&Record>) -> (Change, T),
) -> Result<T, StoreError> {
    for _ in 0..MOST_LOSSES {
        let loaded = store.load(account)?;
        let (next, answer) = step(loaded.as_ref().map(|loaded| &loaded.record));
        let hold = loaded.map(|loaded| loaded.hold);
        let swap = match (next, hold) {
            (Change::Keep, _) | (Change::Nothing | Change::State(_), None) => Swap::Done,
            (Change::State(state), Some(hold)) => store.swap(account, hold, &state)?,
            (Change::Record(record), hold) => store.replace(account, hold, &record)?,
            (Change::Nothing, Some(hold)) => store.remove(account, hold)?,
        };
        if swap == Swap::Done {
            return Ok(answer);
        }
    }
    Err(StoreError::Busy)
}

#[cfg(test)]
mod tests;
