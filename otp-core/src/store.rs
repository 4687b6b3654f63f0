//! Where records are kept, as one joint: load, compare and swap, and the rarer calls that change credentials.

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
    /// What was read.
    pub record: Record,
    /// Hand it back when writing.
    pub hold: Hold,
}

/// How a swap went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// It is durable.
    Done,
    /// Somebody else wrote first; nothing was written.
    Lost,
}

/// Keeps the records of all users. Each call is atomic and, once it answers, durable.
pub trait Store {
    /// What ties a write to the record it rests on: a lock that is held since, or the version to compare with.
    type Hold;

    /// The record of a user; `None` means that no credentials exist, and nothing else means that.
    fn load(&self, account: &Account) -> Result<Option<Loaded<Self::Hold>>, StoreError>;

    /// Writes the state if the record still is what was read.
    fn swap(&self, account: &Account, hold: Self::Hold, state: &State) -> Result<Swap, StoreError>;

    /// Writes credentials and their state, in place of what was read or where there was none.
    fn replace(&self, account: &Account, hold: Option<Self::Hold>, record: &Record) -> Result<Swap, StoreError>;

    /// Removes credentials and state if they still are what was read.
    fn remove(&self, account: &Account, hold: Self::Hold) -> Result<Swap, StoreError>;

    /// Takes as long as a swap and changes nothing, so that a refusal that writes nothing takes the time of one that does.
    fn rehearse(&self);
}

/// More lost races than a login can meet. Each loss means that somebody else's write succeeded.
const MOST_LOSSES: usize = 1000;

/// One login's step: loads, decides, swaps, and hands out the answer only when the state it rests on is durable.
///
/// The step sees the record, may be run again on what the winner of a race wrote, and can return a new state and
/// nothing else: no login can change credentials. Somebody without a record is a stranger, whose state is not kept.
pub fn update<T>(store: &impl Store, account: &Account, step: impl Fn(&Record) -> (State, T)) -> Result<T, StoreError> {
    for _ in 0..MOST_LOSSES {
        let Some(Loaded { record, hold }) = store.load(account)? else {
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

/// A change of credentials, under the same rule: the answer is handed out only when what it rests on is durable.
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
