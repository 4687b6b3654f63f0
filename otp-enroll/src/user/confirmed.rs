//! The end of adding a token, a number or an address: what a user reads once it works.

use std::path::Path;

use otp_core::protocol::request::Confidential;

use crate::client::Client;
use crate::error::CliError;
use crate::ui::alternate_screen::AlternateScreen;
use crate::ui::output::Output;
use crate::user::goal::Goal;
use crate::user::{added, interactive, scripted};

/// Tells that it works, and hands out the recovery codes of a first device. `is_sent_to`: a PIN was typed, which is no code.
pub(crate) fn tell(
    client: &mut Client<'_>,
    goal: Goal,
    (codes, save): (&[Confidential], Option<&Path>),
    user: &str,
    is_sent_to: bool,
    output: &Output,
) -> Result<(), CliError> {
    let terminal = output.terminal()?;
    match goal {
        Goal::Another => added::tell(client, output),
        Goal::First | Goal::Instead if output.json || !terminal.interactive => {
            scripted::recovery_codes(codes, user, save, output)
        }
        Goal::First | Goal::Instead => {
            let screen = AlternateScreen::enter(&terminal, goal.if_unseen())?;
            interactive::finish(screen, codes, user, save, is_sent_to, output)
        }
    }
}
