//! The code that proves who changes something.

use otp_core::codes::attempt::Attempt;
use otp_core::codes::challenge::Challenge;
use otp_core::protocol::request::{Confidential, Declined, Reply, Request};
use otp_core::text;
use otp_core::value::login_context::LoginContext;
use serde::Serialize;

use crate::client::{Client, unexpected};
use crate::error::CliError;
use crate::language;
use crate::ui::dialog::Asks;
use crate::ui::output::{Output, say};
use crate::user::accepted_kinds;

/// What is asked for where something is changed.
const PROOF: &str = text!("Current code or recovery code: ");

/// The first question, and one more for each device that is named in place of a code.
const MOST_QUESTIONS: u8 = 3;

/// The line of JSON after which a response is read, besides other codes.
#[derive(Serialize)]
struct Asked<'a> {
    /// What is to be typed into the token.
    question: &'a str,
}

/// The same where the code is sent.
#[derive(Serialize)]
struct Told<'a> {
    sent: bool,
    /// Where it was sent, or why it was not.
    text: &'a str,
}

/// The request, which has no proof yet, with the one that is asked for. Whatever keeps it from being done with any proof is found
/// out first: before a code is sent, typed and used up.
pub(crate) fn proved(client: &mut Client<'_>, request: Request, output: &Output) -> Result<Request, CliError> {
    match client.ask(request.clone()) {
        Err(CliError::Declined(Declined::ProofNeeded)) => Ok(with(request, ask(client, output)?)),
        Err(error) => Err(error),
        // To a user who has no device any more something was offered.
        Ok(_) => Err(CliError::Declined(Declined::ChangedMeanwhile)),
    }
}

/// The request with a proof, if it has none.
pub(crate) fn with(mut request: Request, given: Confidential) -> Request {
    if let Request::Enroll { proof, .. } | Request::Add { proof, .. } | Request::Recovery { proof, .. } = &mut request {
        proof.get_or_insert(given);
    }
    request
}

/// Asks for a proof.
pub(crate) fn ask(client: &mut Client<'_>, output: &Output) -> Result<Confidential, CliError> {
    ask_for(client, PROOF, output)
}

/// Shows the challenge of the default device, if it takes one, and asks for a code. A device that is named in place of a code is
/// challenged, and the question comes again.
pub(crate) fn ask_for(client: &mut Client<'_>, prompt: &str, output: &Output) -> Result<Confidential, CliError> {
    challenge(client, None, output)?;
    for _ in 1..MOST_QUESTIONS {
        let typed = output.ask_code(Asks::Proof, &language::tr(prompt))?;
        let is_code = !matches!(Attempt::parse(&typed.into_typed()), Attempt::Malformed);
        if is_code || typed.expose().is_empty() {
            return Ok(typed);
        }
        if !challenge(client, Some(typed.clone()), output)? {
            let status = client.status()?;
            let is_refused = accepted_kinds::is_refused(&status, typed.expose());
            return if is_refused { Err(CliError::kind_refused(&status)) } else { Ok(typed) };
        }
    }
    output.ask_code(Asks::Proof, &language::tr(prompt))
}

/// Whether the device that is named, or the default one, takes a challenge. Shows it.
fn challenge(client: &mut Client<'_>, named: Option<Confidential>, output: &Output) -> Result<bool, CliError> {
    let login = LoginContext { send: true, ..LoginContext::of_changes() };
    let reply = client.ask(Request::Challenge { login, named })?;
    let Reply::Login(words) = reply else { return Err(unexpected()) };
    let challenge = Challenge::read(&words).ok_or_else(unexpected)?;
    let Some(text) = challenge.text(language::here()) else { return Ok(!matches!(challenge, Challenge::NoSuchDevice)) };
    if !output.json {
        say(&text)?;
    } else if let Challenge::Question(question) = &challenge {
        output.result(&Asked { question }, String::new)?;
    } else {
        let sent = matches!(challenge, Challenge::Sent(_));
        output.result(&Told { sent, text: &text }, String::new)?;
    }
    Ok(true)
}
