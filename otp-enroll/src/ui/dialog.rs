//! With `--dialog`: a program that leads a person is told what is read next, and what was wrong with the last answer.

use serde::Serialize;

use crate::error::{AskError, CliError};
use crate::ui::output::Output;

/// What is read next, as JSON names it.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asks {
    /// A code of a device that is there, or a recovery code.
    Proof,
    /// A code of the new device.
    Code,
    /// The code after that one.
    NextCode,
    Passcode,
    Pin,
    Seed,
    RecoveryKey,
}

#[derive(Serialize)]
struct Question {
    asks: Asks,
    /// What was wrong with the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Output {
    /// Says what is read next, after an answer that was wrong.
    pub(crate) fn announce(&self, asks: Asks, last: Option<&CliError>) -> Result<(), CliError> {
        if !self.dialog {
            return Ok(());
        }
        // Nothing was read before.
        let last = last.filter(|error| !matches!(error, CliError::Ask(AskError::Closed)));
        let question = Question { asks, refused: last.map(ToString::to_string), hint: last.and_then(CliError::hint) };
        self.result(&question, String::new)
    }
}
