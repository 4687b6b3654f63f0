//! Set-up in the middle of a login, for a user without a device where policy says `enroll`.
//!
//! `authenticate` cannot know whether the password before it was right: a `required` module may have failed already and
//! will say so only at the end of the stack. So it shows nothing, leaves a mark in the PAM environment and steps aside.
//! `account` finds the mark and asks the host for a change of authentication tokens, which hosts make only after
//! authentication as a whole has succeeded. `password` leads through set-up and takes the mark away. `setcred` refuses
//! while it is there: an administrator who forgot one of the lines gets a refusal, not a way in.

use std::ffi::CStr;

use nix::unistd::geteuid;
use otp_core::attempt::Code;
use otp_core::audit::Event;
use otp_core::qr::{Paint, Qr};
use otp_core::request::{Confidential, Offer};
use otp_core::set_up::{Basis, NotReady, Ready, SetUp};
use otp_core::site::{self, Site};
use otp_core::store::Store;
use otp_core::time::UnixTime;

use crate::arguments::Arguments;
use crate::host::Host;
use crate::login::failed;
use crate::outcome::{Failure, SetUpOutcome};

/// How often a code may be wrong before the login ends.
const TRIES: u8 = 3;

/// Whether set-up is still owed.
pub(crate) fn account(host: &dyn Host) -> SetUpOutcome {
    if host.is_marked() { SetUpOutcome::Owed } else { SetUpOutcome::NotConcerned }
}

/// Whether this login may go on.
pub(crate) fn set_credentials(host: &dyn Host) -> SetUpOutcome {
    if host.is_marked() { SetUpOutcome::Missed } else { SetUpOutcome::Done }
}

/// Leads through set-up where it is owed. `preliminary` is PAM_PRELIM_CHECK, in which nothing may be asked yet.
pub(crate) fn change_tokens(host: &mut dyn Host, arguments: &[&CStr], preliminary: bool) -> SetUpOutcome {
    if !host.is_marked() {
        return SetUpOutcome::NotConcerned;
    }
    if preliminary {
        return SetUpOutcome::Done;
    }
    let user = match host.user() {
        Ok(user) => user,
        Err(silence) => return SetUpOutcome::Failed(failed(host, "", silence.into())),
    };
    match set_up(host, &user, arguments) {
        Ok(outcome) => outcome,
        Err(failure) => SetUpOutcome::Failed(failed(host, &user, failure)),
    }
}

fn set_up(host: &mut dyn Host, user: &str, arguments: &[&CStr]) -> Result<SetUpOutcome, Failure> {
    let arguments = Arguments::parse(arguments).map_err(Failure::Argument)?;
    if !geteuid().is_root() {
        return Err(Failure::Helper("sets nothing up during a login: run otp-enroll".into()));
    }
    let site = Site::load(&arguments.config)?;
    let account = site::account(user)?.ok_or(Failure::UserChanged)?;
    if site
        .store()?
        .load(&account)
        .map_err(otp_core::error::Error::from)?
        .is_some_and(|found| found.record.is_enrolled())
    {
        // Two logins were led here at once, and the other one was quicker.
        return refuse(
            host,
            user,
            "Somebody set up a second factor for you meanwhile. Log in again, with a code of it.",
        );
    }

    let offering = SetUp::begin(&site, account, site::entropy, Basis::NotEnrolled)?;
    let offer = offering.offer();
    host.tell(&invitation(&offer));
    let Some(ready) = confirmed(host, offering)? else {
        return refuse(host, user, "Nothing was set up. Log in again to start over.");
    };
    // Shown and answered before anything is stored: a client that goes away here leaves nothing.
    host.tell(&sheet(&ready.recovery_codes()));
    host.ask("Press Enter when you have written them down: ")?;
    if !host.still_names(user) {
        return Err(Failure::UserChanged);
    }
    if !ready.activate()? {
        return refuse(
            host,
            user,
            "Somebody set up a second factor for you meanwhile. Log in again, with a code of it.",
        );
    }
    host.unmark();
    host.log(&Event::Change { user, by: geteuid().as_raw(), what: "enrolled-during-login", why: None });
    Ok(SetUpOutcome::Done)
}

fn refuse(host: &mut dyn Host, user: &str, text: &str) -> Result<SetUpOutcome, Failure> {
    let rhost = host.place().rhost;
    host.log(&Event::SetUpRefused { user, rhost: rhost.as_deref() });
    host.warn(text);
    host.delay_failure();
    Ok(SetUpOutcome::Refused)
}

/// Asks for a code of the new device.
fn confirmed<'a>(host: &dyn Host, offering: SetUp<'a>) -> Result<Option<Ready<'a>>, Failure> {
    let mut offering = offering;
    for _ in 0..TRIES {
        let typed = host.ask("Code that the app shows: ")?;
        match offering.check(Code::parse(typed.expose()).as_ref(), UnixTime::now())? {
            Ok(ready) => return Ok(Some(ready)),
            Err(NotReady { set_up, clock_off }) => {
                offering = set_up;
                host.warn(match clock_off {
                    None => "That code does not belong to this key.",
                    Some(_) => "The clocks of your device and of this machine differ: set both to automatic time.",
                });
            }
        }
    }
    Ok(None)
}

/// Half blocks without escape sequences, which clients strip; the key beneath for whoever cannot scan.
fn invitation(offer: &Offer) -> String {
    let mut text = String::from("A second factor is required here. Scan this with an authenticator app:\n\n");
    if let Ok(qr) = Qr::of(offer.uri.expose()) {
        text.push_str(&qr.half_blocks(Paint::Plain).join("\n"));
    }
    text.push_str("\nor type this key: ");
    for (place, letter) in offer.secret.expose().chars().enumerate() {
        if place > 0 && place.is_multiple_of(4) {
            text.push(' ');
        }
        text.push(letter);
    }
    text
}

fn sheet(codes: &[Confidential]) -> String {
    let mut text = String::from("That code is right. Recovery codes, each good for one login without your phone:\n");
    for code in codes {
        text.push_str("\n    ");
        text.push_str(code.expose());
    }
    text.push_str("\n\nThey are shown this once.");
    text
}
