//! What a decision asks of the store.

use crate::record::Record;
use crate::record::state::State;

/// What becomes of a record after a step.
pub enum Change {
    /// Nothing was changed.
    Keep,
    /// Only the state was.
    State(State),
    /// The credentials were, and with them the state. The record must have a new enrollment id.
    Record(Box<Record>),
    /// There is none any more.
    Nothing,
}
