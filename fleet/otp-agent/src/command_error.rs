//! An error of what root asks for by hand: what happened, what to do next, and an exit code.

use std::fmt;
use std::io;
use std::path::Path;

use otp_core::value::system_error::described;

/// An error for the person at the terminal.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) error: String,
    pub(crate) hint: String,
    pub(crate) exit_code: u8,
}

impl CommandError {
    /// What was asked for is not done.
    pub(crate) fn refused(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: hint.into(), exit_code: 1 }
    }

    /// It could not be done.
    pub(crate) fn failed(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: hint.into(), exit_code: 4 }
    }

    pub(crate) fn of_file(action: &str, path: &Path, error: &io::Error) -> Self {
        let error = format!("cannot {action} {}: {}", path.display(), described(error));
        Self::failed(error, "look for the cause, and try again")
    }

    pub(crate) fn usage(error: String) -> Self {
        Self { error, hint: "see otp-agent --help".into(), exit_code: 2 }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a verifier says goes to a terminal.
        let escaped =
            |text: &str| text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect::<String>();
        write!(f, "{}\n  {}", escaped(&self.error), escaped(&self.hint))
    }
}
