//! Administration of a fleet by way of the agent of this host, which has the host's key. Root asks this.

use zeroize::Zeroizing;

use crate::error::{CoreError, HelperError};
use crate::protocol::administration::{Answered, Asked, Question};
use crate::protocol::agent_socket::{self, Patience};
use crate::protocol::request::LONGEST_LINE;

/// Asks the agent.
pub fn ask(asked: Asked) -> Result<Answered, CoreError> {
    ask_with(asked, Patience::OF_ADMINISTRATION)
}

/// Whether the agent answers. This is no login, and no verifier learns of it.
pub fn is_present() -> Result<(), CoreError> {
    match ask_with(Asked::Presence {}, Patience::default())? {
        Answered::Present {} => Ok(()),
        Answered::Failed { error, hint } => Err(CoreError::Agent(HelperError::Reports { error, hint })),
        Answered::Verifier(_)
        | Answered::WouldAdopt(_)
        | Answered::Record { .. }
        | Answered::Forgotten(_)
        | Answered::Status(_)
        | Answered::NotJoined { .. }
        | Answered::Lost { .. } => Err(CoreError::Agent(HelperError::Unintelligible)),
    }
}

fn ask_with(asked: Asked, patience: Patience) -> Result<Answered, CoreError> {
    let unintelligible = |_| CoreError::Agent(HelperError::Unintelligible);
    // Of its full size at once: a buffer that grows leaves copies of a seed behind.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST_LINE).unwrap_or_default()));
    serde_json::to_writer(&mut *line, &Question { fleet: asked }).map_err(unintelligible)?;
    line.push(b'\n');
    let line = std::str::from_utf8(&line).map_err(|_| CoreError::Agent(HelperError::Unintelligible))?;
    let answer = agent_socket::ask_line(line, patience);
    serde_json::from_slice(&answer.map_err(|error| CoreError::Agent(HelperError::Io(error)))?).map_err(unintelligible)
}
