//! What went wrong, and what to do next.

use std::fmt;
use std::io;
use std::path::Path;

use otp_core::error::CoreError;
use otp_core::store::error::StoreError;
use otp_core::value::system_error::described;

use crate::database::fleet::Foreign;
use crate::database::{DatabaseError, LATER};
use crate::keys::KeysError;

/// An error for people.
#[derive(Debug)]
pub(crate) struct Error {
    text: String,
    pub(crate) hint: String,
    /// The exit status.
    pub(crate) code: u8,
}

/// There are faults.
const FOUND: u8 = 1;
/// Nothing could be done.
const NOTHING_DONE: u8 = 4;
/// A change was sent, and whether it is in force is not known.
const UNCONFIRMED: u8 = 5;

impl Error {
    pub(crate) fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into(), code: NOTHING_DONE }
    }

    /// Of a command that was to find faults, and has.
    pub(crate) fn found(text: impl Into<String>) -> Self {
        Self { code: FOUND, ..Self::new(text, "fix them, and run it again") }
    }

    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(
            format!("cannot {action} {}: {}", path.display(), described(error)),
            "look for the cause, and try again",
        )
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        let code = if matches!(error, DatabaseError::Unconfirmed(_)) { UNCONFIRMED } else { NOTHING_DONE };
        Self { code, ..Self::new(error.to_string(), error.hint()) }
    }
}

impl From<Foreign> for Error {
    fn from(foreign: Foreign) -> Self {
        Self::new(foreign.text(), foreign.hint())
    }
}

impl From<KeysError> for Error {
    fn from(error: KeysError) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let StoreError::Unconfirmed(why) = &error {
            return Self { code: UNCONFIRMED, ..Self::new(format!("the change is not confirmed: {why}"), LATER) };
        }
        Self::new(error.to_string(), error.hint())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
