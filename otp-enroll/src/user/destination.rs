//! Adds a number or an address: a PIN is sent there, and typed here.

use otp_core::codes::challenge::Challenge;
use otp_core::protocol::request::{Confidential, Declined, Reply, Request, SendTo, Status};
use otp_core::text;
use otp_core::value::destination::{Channel, Destination, Masked};
use serde::Serialize;

use crate::cli::Enrollment;
use crate::client::{Client, unexpected};
use crate::error::{AskError, CliError, declined_text};
use crate::language::{fill, tr};
use crate::ui::alternate_screen::AlternateScreen;
use crate::ui::dialog::Asks;
use crate::ui::output::{Output, say};
use crate::ui::prompt;
use crate::user::confirmed;
use crate::user::first_device;
use crate::user::goal::Goal;
use crate::user::proof;
use crate::user::token::watch;

/// In place of the PIN: send another one. A translation is accepted beside it.
const AGAIN: &str = text!("again");

/// A line of JSON: from now on a PIN is read.
#[derive(Serialize)]
struct Waiting<'a> {
    user: &'a str,
    name: &'a str,
    /// Where the PIN is sent, in part.
    to: &'a str,
    sent: bool,
    /// Why it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// Whether codes could be sent there at all; found out before anything is asked.
pub(crate) fn check(to: &SendTo) -> Result<(), CliError> {
    Destination::parse(to.kind, &to.to).map(|_| ()).map_err(|why| CliError::Declined(why.into()))
}

/// Adds it for the user, with a code of another device if there is one.
pub(crate) fn add(
    client: &mut Client<'_>,
    status: &Status,
    name: Option<String>,
    to: SendTo,
    enrollment: &Enrollment,
    output: &Output,
) -> Result<(), CliError> {
    let screen = watch()?;
    let goal = if status.enrolled { Goal::Another } else { Goal::First };
    let mut request = Request::Add { name, proof: None, token: None, to: Some(to), count: enrollment.count };
    if status.enrolled {
        request = proof::proved(client, request, output)?;
    }
    let reply = first_device::ask(client, request, output)?;
    screen.stage(goal.if_interrupted());
    let codes = confirm(client, &screen, goal, &status.user, &reply, output).map_err(|error| goal.ended_by(error))?;
    drop(screen);
    let save = enrollment.save_recovery.as_deref();
    confirmed::tell(client, goal, (&codes, save), &status.user, true, output)
}

/// Asks for the PIN until it is right or no longer good, or the input ends. Returns recovery codes if it is the first device.
fn confirm(
    client: &mut Client<'_>,
    screen: &AlternateScreen,
    goal: Goal,
    user: &str,
    first: &Reply,
    output: &Output,
) -> Result<Vec<Confidential>, CliError> {
    let terminal = output.terminal()?;
    let is_guided = terminal.interactive && !output.json;
    tell(first, user, output)?;
    let mut last = CliError::Ask(AskError::Closed);
    let again = tr(AGAIN);
    let question = fill(text!("PIN (or {again}, for another one): "), &[("again", &again)]);
    loop {
        output.announce(Asks::Pin, Some(&last))?;
        let line = match prompt::ask(&terminal, &question) {
            Ok(line) => line,
            Err(AskError::Closed) => return Err(last),
            Err(error) => return Err(error.into()),
        };
        if [AGAIN, &again].iter().any(|again| line.expose().trim().eq_ignore_ascii_case(again)) {
            tell(&client.ask(Request::SendAgain {})?, user, output)?;
            last = CliError::Ask(AskError::Closed);
            continue;
        }
        let pin = Confidential::new(line.expose());
        match screen.settle(goal.if_unseen(), || client.confirm(pin, None)) {
            Err(error @ CliError::Declined(Declined::PinWrong { .. } | Declined::PinUsedUp | Declined::PinExpired)) => {
                if let CliError::Declined(declined) = &error
                    && is_guided
                {
                    let told = declined_text(*declined);
                    if let Declined::PinWrong { .. } = declined {
                        say(&told)?;
                    } else {
                        let next = text!("{fault}; type {again} for another one");
                        say(&fill(next, &[("fault", &told), ("again", &again)]))?;
                    }
                }
                last = error;
            }
            done => return done,
        }
    }
}

/// Tells what became of a PIN.
fn tell(reply: &Reply, user: &str, output: &Output) -> Result<(), CliError> {
    let Reply::PinSent { name, to, answer } = reply else { return Err(unexpected()) };
    let challenge = Challenge::read(answer).ok_or_else(unexpected)?;
    let text = match &challenge {
        Challenge::Sent(Masked::Number(end)) => fill(
            text!("A PIN of four digits was sent to the number that ends in {end}. It is good for ten minutes."),
            &[("end", end)],
        ),
        Challenge::Sent(address) => fill(
            text!("A PIN of four digits was sent to {address}. It is good for ten minutes."),
            &[("address", address)],
        ),
        Challenge::Wait(time) => fill(
            text!("The next message can be sent in {time}. If you have no PIN yet, wait, then type {again}."),
            &[("time", time), ("again", &tr(AGAIN))],
        ),
        Challenge::NotSent => {
            tr(text!("The message could not be sent; your administrator finds the reason in the log."))
        }
        Challenge::None | Challenge::Question(_) | Challenge::NoSuchDevice => return Err(unexpected()),
    };
    let sent = matches!(challenge, Challenge::Sent(_));
    if output.json {
        let why = Some(text.as_str()).filter(|_| !sent);
        return output.result(&Waiting { user, name, to, sent, why }, String::new);
    }
    say(&text)?;
    Ok(())
}

/// The kind of device that the options of `add` name.
pub(crate) fn named(sms: Option<&str>, email: Option<&str>) -> Option<SendTo> {
    let to = |kind, to: &str| SendTo { kind, to: to.to_owned() };
    sms.map(|number| to(Channel::Sms, number)).or_else(|| email.map(|address| to(Channel::Email, address)))
}
