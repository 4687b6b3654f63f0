//! What went wrong, and what to do next.

use std::fmt;
use std::io;
use std::path::Path;

use otp_core::value::system_error::described;

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
        Self::new(format!("cannot {action} {}: {}", path.display(), described(error)), "look for the cause, and try again")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
