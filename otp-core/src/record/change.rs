//! What a decision tells the store to write.

use crate::record::Record;
use crate::record::state::State;

/// What the store does with a record after a step.
pub enum Change {
    /// Keep everything.
    Keep,
    /// Write this state.
    State(State),
    /// Write these credentials and their state. The record must have a new enrollment id.
    Record(Box<Record>),
    /// Remove the record.
    Nothing,
}
