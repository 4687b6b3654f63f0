//! What the agent tells of the fleet: how this host and each verifier is.

use otp_core::error::CoreError;
use otp_core::protocol::administration::{Answered, Asked, FleetStatus};
use otp_core::service::agent_administration::ask;

use super::of_fleet::unintelligible;

/// Why there is no status.
pub(super) enum NoStatus {
    NotJoined {
        error: String,
        hint: String,
    },
    /// The agent gives none.
    Failed {
        error: String,
        hint: String,
    },
}

/// Asks the agent, which waits for no verifier longer than three seconds.
pub(super) fn status() -> Result<FleetStatus, NoStatus> {
    match ask(Asked::Status {}) {
        Ok(Answered::Status(status)) => Ok(status),
        Ok(Answered::NotJoined { error, hint }) => Err(NoStatus::NotJoined { error, hint }),
        Ok(Answered::Failed { error, hint }) => Err(NoStatus::Failed { error, hint }),
        Ok(
            Answered::Verifier(_)
            | Answered::Lost { .. }
            | Answered::Record { .. }
            | Answered::Present {}
            | Answered::Forgotten(_)
            | Answered::WouldAdopt(_),
        ) => Err(NoStatus::of(&unintelligible())),
        Err(error) => Err(NoStatus::of(&error)),
    }
}

impl NoStatus {
    fn of(error: &CoreError) -> Self {
        Self::Failed { error: error.to_string(), hint: error.hint().to_owned() }
    }
}
