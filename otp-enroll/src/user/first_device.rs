//! The first device, where an administrator's passcode must be given before it.

use otp_core::protocol::request::{Declined, Reply, Request};
use otp_core::text;

use crate::client::Client;
use crate::error::CliError;
use crate::language::tr;
use crate::ui::dialog::Asks;
use crate::ui::output::Output;
use crate::user::proof;

/// Asks for an offer. Where a passcode is wanted, asks the user for it.
pub(crate) fn ask(client: &mut Client<'_>, request: Request, output: &Output) -> Result<Reply, CliError> {
    match client.ask(request.clone()) {
        Err(CliError::Declined(Declined::PasscodeNeeded)) => {
            let passcode = output.ask_code(Asks::Passcode, &tr(text!("Passcode from your administrator: ")))?;
            client.ask(proof::with(request, passcode))
        }
        answer => answer,
    }
}
