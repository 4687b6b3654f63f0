//! Set-up in the middle of a login, for a user without a device where policy says `enroll`.
//!
//! `authenticate` cannot know whether the password before it was right: a `required` module may have failed already and
//! will say so only at the end of the stack. So it shows nothing, leaves a mark in the PAM environment and steps aside.
//! `account` finds the mark and asks the host for a change of authentication tokens, which hosts make only after
//! authentication as a whole has succeeded. `password` leads through set-up and takes the mark away. `setcred` refuses
//! while it is there: an administrator who forgot one of the lines gets a refusal, not a way in.

use otp_core::system::accounts;
use otp_core::system::random;
use std::ffi::CStr;

use nix::unistd::geteuid;
use otp_core::audit::Event;
use otp_core::codes::attempt::Code;
use otp_core::config::module_arguments::Arguments;
use otp_core::error::Error;
use otp_core::protocol::request::Confidential;
use otp_core::qr::{Paint, Qr};
use otp_core::service::enrollment::{Basis, NotReady, Ready, SetUp};
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use zeroize::Zeroizing;

use crate::host::Host;
use crate::login::failed;
use crate::outcome::{Failure, SetUpOutcome};
use crate::privileges::Caller;

/// How often an answer may be wrong before the login ends.
const TRIES: u8 = 3;

/// Whether set-up is still owed.
pub(crate) fn account(host: &dyn Host) -> SetUpOutcome {
    if host.mark().is_some() { SetUpOutcome::Owed } else { SetUpOutcome::NotConcerned }
}

/// Whether this login may go on. `leaving` is PAM_DELETE_CRED, which keeps nobody from anything.
pub(crate) fn set_credentials(host: &mut dyn Host, leaving: bool) -> SetUpOutcome {
    match host.mark() {
        // Not PAM_USER: in sudo that is by now whom its caller becomes.
        Some(owed) if !leaving => SetUpOutcome::Failed(failed(host, &String::from_utf8_lossy(&owed), Failure::Missed)),
        Some(_) | None => SetUpOutcome::Done,
    }
}

/// Leads through set-up where it is owed. `preliminary` is PAM_PRELIM_CHECK, in which nothing may be asked yet.
pub(crate) fn change_tokens(host: &mut dyn Host, arguments: &[&CStr], preliminary: bool) -> SetUpOutcome {
    if host.mark().is_none() {
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
        return Err(Failure::NoSetUp);
    }
    let site = Site::load(&arguments.config)?;
    let account = accounts::account(user)?.ok_or(Failure::UserChanged)?;
    let record = site.store()?.read(&account).map_err(Error::from)?;
    if record.is_some_and(|record| record.is_enrolled()) {
        return Ok(overtaken(host, user));
    }

    let offering = SetUp::begin(&site, account, random::entropy, Basis::NotEnrolled)?;
    host.tell(&invitation(&offering.uri(), &offering.key()));
    // Recovery codes are shown and answered before anything is stored: a client that goes away there leaves nothing.
    let ready = match confirmed(host, offering)? {
        Some(ready) if written_down(host, &ready.recovery_codes())? => ready,
        Some(_) | None => {
            let text = "Nothing was set up. Log in again to start over.";
            return Ok(refuse(host, user, "set-up-incomplete", text));
        }
    };
    if !host.still_names(user) {
        return Err(Failure::UserChanged);
    }
    if !Caller::of_this_process().kept_off(|| Ok(ready.activate()?))? {
        return Ok(overtaken(host, user));
    }
    host.unmark();
    let rhost = host.place().rhost;
    host.log(&Event::SetUp { user, rhost: rhost.as_deref(), why: None });
    Ok(SetUpOutcome::Done)
}

/// Two logins were led here at once, and the other one was quicker.
fn overtaken(host: &mut dyn Host, user: &str) -> SetUpOutcome {
    let text = "Somebody set up a second factor for you meanwhile. Log in again, with a code of it.";
    refuse(host, user, "set-up-overtaken", text)
}

fn refuse(host: &mut dyn Host, user: &str, why: &str, text: &str) -> SetUpOutcome {
    let rhost = host.place().rhost;
    host.log(&Event::SetUp { user, rhost: rhost.as_deref(), why: Some(why) });
    host.warn(text);
    host.delay_failure();
    SetUpOutcome::Refused
}

/// Asks for a code of the new device.
fn confirmed<'a>(host: &dyn Host, mut offering: SetUp<'a>) -> Result<Option<Ready<'a>>, Failure> {
    for _ in 0..TRIES {
        let typed = host.ask("Code that the app shows: ")?;
        match offering.check(Code::parse(typed.expose()).as_ref(), UnixTime::now())? {
            Ok(ready) => return Ok(Some(ready)),
            Err(NotReady { set_up, clock_off }) => {
                offering = set_up;
                host.warn(match clock_off {
                    None => "That code does not belong to this key.",
                    Some(_) => "The clocks of your device and of this machine differ:\nset both to automatic time.",
                });
            }
        }
    }
    Ok(None)
}

/// Shows recovery codes, where there are any, until they are said to be safe. Enter alone says nothing: a client sends
/// that for a window that was closed, and sftp for Ctrl-C.
fn written_down(host: &dyn Host, codes: &[Confidential]) -> Result<bool, Failure> {
    if codes.is_empty() {
        return Ok(true);
    }
    host.tell(&sheet(codes));
    for _ in 0..TRIES {
        if host.ask("Type yes when you have written them down: ")?.expose().eq_ignore_ascii_case(b"yes") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Half blocks without escape sequences, which clients strip; the key beneath for whoever cannot scan. A client puts
/// `(user@host) ` before the first line, which is therefore short in every text here, and one more line after the last: a
/// version 5 code then just fits 24 rows.
fn invitation(uri: &str, key: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(16_384)); // no copy of the key is left behind by growing
    text.push_str("Set up a second factor: scan with an authenticator app");
    let picture = Qr::of(uri).map(|qr| qr.half_blocks(Paint::Plain)).unwrap_or_default();
    for line in picture {
        text.push('\n');
        text.push_str(&line);
    }
    text.push_str("\nor type this key:");
    for (place, letter) in key.chars().enumerate() {
        text.push_str(if place.is_multiple_of(4) { " " } else { "" });
        text.push(letter);
    }
    text
}

fn sheet(codes: &[Confidential]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str("That code is right.\nRecovery codes, each good for one login without your phone:\n");
    for code in codes {
        text.push_str("\n    ");
        text.push_str(code.expose());
    }
    text.push_str("\n\nThey are shown this once.");
    text
}
