//! What went wrong, and what to do next.

use std::fmt;
use std::io;
use std::path::Path;

use otp_core::error::CoreError;
use otp_core::store::error::StoreError;
use otp_core::value::system_error::described;

use crate::database::DatabaseError;
use crate::keys::KeysError;

/// An error for people.
#[derive(Debug)]
pub(crate) struct Error {
    text: String,
    pub(crate) hint: String,
}

impl Error {
    pub(crate) fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into() }
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
        Self::new(error.to_string(), error.hint())
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
        Self::new(error.to_string(), error.hint())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
