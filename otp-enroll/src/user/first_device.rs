//! The first device, where an administrator's passcode must be given before it.

use otp_core::protocol::request::{Confidential, Declined, Reply, Request};

use crate::client::Client;
use crate::error::CliError;
use crate::ui::output::Output;

/// Asks for an offer. Where a passcode is wanted, asks the user for it.
pub(crate) fn ask(client: &mut Client<'_>, request: Request, output: &Output) -> Result<Reply, CliError> {
    match client.ask(request.clone()) {
        Err(CliError::Declined(Declined::PasscodeNeeded)) => {
            let passcode = output.ask_code("Passcode from your administrator: ")?;
            client.ask(with_proof(request, passcode))
        }
        answer => answer,
    }
}

fn with_proof(mut request: Request, passcode: Confidential) -> Request {
    if let Request::Enroll { proof, .. } | Request::Add { proof, .. } = &mut request {
        proof.get_or_insert(passcode);
    }
    request
}
