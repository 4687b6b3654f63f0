//! Set-up without a person: codes from standard input, and with `--json` a line of JSON for each step.

use std::path::Path;

use otp_core::request::{Confidential, Declined, Offer, Reply, Request};
use serde::Serialize;

use crate::desk::{Desk, unexpected};
use crate::guide;
use crate::problem::Problem;
use crate::say::Voice;
use crate::terminal::{AskError, Terminal};

/// The last line of a set-up.
#[derive(Serialize)]
struct Active<'a> {
    user: &'a str,
    changed: bool,
    recovery_codes: &'a [Confidential],
}

/// Writes the offer, then reads codes, a line each, until one is right or the input ends. Nothing is active before.
pub(crate) fn enrol(
    desk: &mut Desk<'_>,
    offer: &Offer,
    save: Option<&Path>,
    voice: &Voice,
    terminal: &mut Terminal,
) -> Result<(), Problem> {
    voice.result(offer, || {
        format!("Key  {}\nHEX  {}\nURI  {}", offer.secret.expose(), offer.hex.expose(), offer.uri.expose())
    })?;
    let mut last = Problem::Ask(AskError::Closed);
    loop {
        let code = match terminal.ask("Code that the app shows: ") {
            Ok(line) => Confidential::new(line.expose()),
            Err(AskError::Closed) => return Err(last),
            Err(error) => return Err(error.into()),
        };
        match desk.ask(Request::Confirm { code }) {
            Ok(Reply::RecoveryCodes(codes)) => return recovery_codes(&codes, &offer.user, save, voice),
            Ok(_) => return Err(unexpected()),
            Err(problem @ Problem::Declined(Declined::NotConfirmed { .. })) => last = problem,
            Err(problem) => return Err(problem),
        }
    }
}

/// Writes recovery codes.
pub(crate) fn recovery_codes(
    codes: &[Confidential],
    user: &str,
    save: Option<&Path>,
    voice: &Voice,
) -> Result<(), Problem> {
    let saved = save.map_or(Ok(()), |path| guide::save_codes(path, codes, user));
    // The codes are written even if they could not be saved: they exist nowhere else.
    voice.result(&Active { user, changed: true, recovery_codes: codes }, || {
        codes.iter().map(Confidential::expose).collect::<Vec<_>>().join("\n")
    })?;
    saved
}
