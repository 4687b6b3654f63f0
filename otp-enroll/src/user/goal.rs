//! What a new device is for, and what that means where setting it up is broken off.

use otp_core::text;

use crate::error::{CliError, OLD_STAYS, OTHERS_STAY};
use crate::ui::alternate_screen::UNCHANGED;

/// The text of an interruption when there are recovery codes that may not have been seen.
pub(crate) const CODES_UNSEEN: &str = text!(
    "interrupted: the second factor is set up, but you may not have seen all recovery codes\n  new ones: otp-enroll recovery"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The user has none.
    First,
    /// It replaces all others.
    Instead,
    /// It comes beside the others, and the recovery codes stay.
    Another,
}

impl Goal {
    /// The text of an interruption before the device is in force.
    pub(crate) fn if_interrupted(self) -> &'static str {
        match self {
            Self::First => UNCHANGED,
            Self::Instead => {
                text!("interrupted: the old second factor still works; the code you gave for it is used up")
            }
            Self::Another => {
                text!("interrupted: no device was added, and the others still work; the code you gave is used up")
            }
        }
    }

    /// The text of an interruption after that, while recovery codes may be unseen.
    pub(crate) fn if_unseen(self) -> &'static str {
        match self {
            Self::First | Self::Instead => CODES_UNSEEN,
            Self::Another => text!("interrupted: the device is added"),
        }
    }

    /// The error that setting it up ended with.
    pub(crate) fn ended_by(self, error: CliError) -> CliError {
        match self {
            Self::First => error,
            Self::Instead => error.although_proved(OLD_STAYS),
            Self::Another => error.although_proved(OTHERS_STAY),
        }
    }
}
