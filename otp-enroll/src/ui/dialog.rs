//! With `--dialog`: a program that leads a person is told what is read next, and what was wrong with the last answer.

use serde::Serialize;

use crate::error::{AskError, CliError};

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
pub(crate) struct Question {
    asks: Asks,
    /// What was wrong with the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Question {
    /// The question after an answer that was wrong.
    pub(crate) fn after(last: Option<&CliError>, asks: Asks) -> Self {
        // Nothing was read before.
        let last = last.filter(|error| !matches!(error, CliError::Ask(AskError::Closed)));
        Self { asks, refused: last.map(ToString::to_string), hint: last.and_then(CliError::hint) }
    }
}
