//! The code that proves who changes something.

use otp_core::codes::challenge::Challenge;
use otp_core::protocol::request::{Confidential, Reply, Request};
use otp_core::value::login_context::LoginContext;
use serde::Serialize;

use crate::client::{Client, unexpected};
use crate::error::CliError;
use crate::ui::output::{Output, say};

/// What is asked for where something is changed.
const PROOF: &str = "Current code or recovery code: ";

/// The line of JSON after which a response is read, besides other codes.
#[derive(Serialize)]
struct Asked<'a> {
    /// What is to be typed into the token.
    question: &'a str,
}

/// Asks for a proof.
pub(crate) fn ask(client: &mut Client<'_>, output: &Output) -> Result<Confidential, CliError> {
    ask_for(client, PROOF, output)
}

/// Shows the challenge of the default device, if it takes one, and asks for a code.
pub(crate) fn ask_for(client: &mut Client<'_>, prompt: &str, output: &Output) -> Result<Confidential, CliError> {
    let reply = client.ask(Request::Challenge { login: LoginContext::of_changes(), named: None })?;
    let Reply::Login(words) = reply else { return Err(unexpected()) };
    match Challenge::read(&words) {
        Some(Challenge::Question(question)) if output.json => {
            output.result(&Asked { question: &question }, String::new)?;
        }
        challenge => challenge.as_ref().and_then(Challenge::text).map_or(Ok(()), |text| say(&text))?,
    }
    output.ask_code(prompt)
}
