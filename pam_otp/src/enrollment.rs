//! The story of an enrollment in the middle of a login, for a user without a device where the policy is `enroll`, and who has
//! given the passcode where one is wanted.
//!
//! `authenticate` cannot know whether the password before it was right: a `required` module may have failed already and
//! will say so only at the end of the stack. So it shows nothing, notes a pending enrollment in the PAM transaction and
//! steps aside. `account` finds the note and asks the host for a change of authentication tokens, which hosts make only
//! after authentication as a whole has succeeded. `password` leads through the enrollment and removes the note. `setcred`
//! refuses while it is there: an administrator who forgot one of the lines gets a refusal, not a way in.

use std::ffi::CStr;
use std::path::Path;

use nix::unistd::geteuid;
use otp_core::audit::Event;
use otp_core::codes::attempt::Typed;
use otp_core::codes::in_fours::in_fours;
use otp_core::config::module_arguments::Arguments;
use otp_core::config::paths;
use otp_core::decision::kinds::Kinds;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::enrollment_messages::{Drawn, Step, Told};
use otp_core::protocol::request::{Confidential, Declined};
use otp_core::qr::Paint;
use otp_core::service::accepted_devices;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::text;
use otp_core::value::text::said;
use otp_core::value::time::UnixTime;
use zeroize::{Zeroize, Zeroizing};

use crate::destination::{self, Way};
use crate::enroller::Enroller;
use crate::host::Host;
use crate::outcome::{EnrollmentOutcome, ModuleError};
use crate::report::failed;

/// How often an answer may be wrong before the login ends.
const TRIES: u8 = 3;

/// How often the QR code is drawn.
const MOST_PICTURES: u8 = 6;

/// What is typed where recovery codes are safe. A translation is accepted beside it.
const YES: &str = text!("yes");

/// Whether an enrollment is still pending.
pub(crate) fn account(host: &mut dyn Host) -> EnrollmentOutcome {
    match host.pending_enrollment() {
        None => EnrollmentOutcome::NotConcerned,
        Some(user) if is_present(host, &user) => EnrollmentOutcome::Pending,
        Some(user) => of_another(host, &user),
    }
}

/// Whether PAM_USER is the user whose enrollment is pending.
fn is_present(host: &dyn Host, pending: &[u8]) -> bool {
    std::str::from_utf8(pending).is_ok_and(|user| host.still_names(user))
}

/// No other user is let in, and none is enrolled, in place of the one who came.
fn of_another(host: &mut dyn Host, pending: &[u8]) -> EnrollmentOutcome {
    EnrollmentOutcome::Failed(failed(host, &String::from_utf8_lossy(pending), ModuleError::PendingForAnother))
}

/// Whether this login may go on. `leaving` is PAM_DELETE_CRED, which refuses no user.
pub(crate) fn set_credentials(host: &mut dyn Host, leaving: bool) -> EnrollmentOutcome {
    if !leaving {
        host.tell_what_waited();
    }
    match host.pending_enrollment() {
        // Not PAM_USER: in sudo that is by now the target user.
        Some(user) if !leaving => {
            EnrollmentOutcome::Failed(failed(host, &String::from_utf8_lossy(&user), ModuleError::EnrollmentMissed))
        }
        Some(_) | None => EnrollmentOutcome::Done,
    }
}

/// Leads through an enrollment that is pending. `preliminary` is PAM_PRELIM_CHECK, in which nothing may be asked yet.
pub(crate) fn change_tokens(host: &mut dyn Host, arguments: &[&CStr], preliminary: bool) -> EnrollmentOutcome {
    let Some(pending) = host.pending_enrollment() else { return EnrollmentOutcome::NotConcerned };
    if !is_present(host, &pending) {
        return of_another(host, &pending);
    }
    if preliminary {
        return EnrollmentOutcome::Done;
    }
    let user = match host.user() {
        Ok(user) => user,
        Err(error) => return EnrollmentOutcome::Failed(failed(host, "", error.into())),
    };
    match prepared(host, &user, arguments) {
        Ok(outcome) => outcome,
        Err(error) => EnrollmentOutcome::Failed(failed(host, &user, error)),
    }
}

fn prepared(host: &mut dyn Host, user: &str, arguments: &[&CStr]) -> Result<EnrollmentOutcome, ModuleError> {
    let arguments = Arguments::parse(arguments).map_err(ModuleError::Argument)?;
    if !geteuid().is_root() {
        return Err(CoreError::NoEnrollmentHere.into());
    }
    let site = Site::load(&arguments.config)?;
    // Nothing is sent without the agent. An error in what is said of senders keeps no user from an app.
    let sends = arguments.send && Path::new(paths::AGENT).exists();
    let sent = if sends { site.sent_kinds().unwrap_or(Kinds::NONE) } else { Kinds::NONE };
    if let Some(language) = &site.config.language {
        host.set_language(language);
    }
    let account = accounts::account(user)?.ok_or(ModuleError::UserChanged)?; // it was there when this login began
    let accepted =
        accepted_devices::to_set_up(&site.config.settings.policy, &account, &host.login_context(), UnixTime::now())?;
    match destination::choose(host, accepted, sent)? {
        Some(way) => enrolled(host, user, &mut Enroller::of(&site, user)?, way),
        None => {
            let text = text!("No device that is accepted here can be set up now.");
            Ok(refuse(host, user, "enrollment-incomplete", text))
        }
    }
}

/// Sets up an app, or what codes are sent to.
fn enrolled(
    host: &mut dyn Host,
    user: &str,
    enroller: &mut Enroller<'_>,
    way: Way,
) -> Result<EnrollmentOutcome, ModuleError> {
    let codes = match way {
        Way::Sent(channel) => destination::verified(host, enroller, channel)?,
        Way::App => match enroller.take(&Step::Enroll)? {
            Told::Offer(offer) => {
                host.show_secret(&invitation(host, &offer));
                Ok(confirmed(host, enroller, &offer)?)
            }
            told @ (Told::Pin(_) | Told::RecoveryCodes(_) | Told::InForce | Told::Refused | Told::Declined(_)) => {
                Err(told)
            }
        },
    };
    let codes = match codes {
        Ok(codes) => codes,
        Err(Told::Declined(Declined::ProofNeeded)) => return Ok(overtaken(host, user)),
        Err(Told::Declined(Declined::KindNotAccepted { .. })) => {
            let text = text!("This machine does not accept such a device. Log in again to set up another.");
            return Ok(refuse(host, user, "enrollment-incomplete", text));
        }
        Err(Told::Refused) => return Err(ModuleError::UserChanged), // the account was there when this login began
        Err(_) => return Err(unexpected()),
    };
    // Recovery codes are shown and answered before anything is in force: a client that goes away then leaves nothing.
    match codes {
        Some(codes) if written_down(host, &codes)? => {}
        Some(_) | None => {
            let text = text!("Nothing was set up. Log in again to start over.");
            return Ok(refuse(host, user, "enrollment-incomplete", text));
        }
    }
    if !host.still_names(user) {
        return Err(ModuleError::UserChanged);
    }
    match enroller.take(&Step::Activate)? {
        Told::InForce => {}
        Told::Declined(_) => return Ok(overtaken(host, user)),
        Told::Offer(_) | Told::Pin(_) | Told::RecoveryCodes(_) | Told::Refused => return Err(unexpected()),
    }
    host.clear_pending_enrollment();
    let rhost = host.login_context().rhost;
    host.log(&Event::EnrollmentDuringLogin { user, rhost: rhost.as_deref(), why: None });
    Ok(EnrollmentOutcome::Done)
}

/// A helper, or an agent, that answers another question than it was asked.
fn unexpected() -> ModuleError {
    CoreError::from(HelperError::Unintelligible).into()
}

/// Two logins were led here at once, and the other one was quicker.
fn overtaken(host: &mut dyn Host, user: &str) -> EnrollmentOutcome {
    let text = text!("A second factor was set up for you meanwhile. Log in again, with a code of it.");
    refuse(host, user, "enrollment-overtaken", text)
}

fn refuse(host: &mut dyn Host, user: &str, why: &str, text: &str) -> EnrollmentOutcome {
    let rhost = host.login_context().rhost;
    host.log(&Event::EnrollmentDuringLogin { user, rhost: rhost.as_deref(), why: Some(why) });
    host.warn(&said(host.language(), text, &[]));
    host.delay_failure();
    EnrollmentOutcome::Refused
}

/// Asks for a code of the new device; its recovery codes, once the code was right.
fn confirmed(
    host: &dyn Host,
    enroller: &mut Enroller<'_>,
    offer: &Drawn,
) -> Result<Option<Vec<Confidential>>, ModuleError> {
    // Light on dark, as most terminals are; then the other way round.
    let mut paints = [Paint::Plain, Paint::PlainInverted].into_iter().cycle().take(MOST_PICTURES.into());
    let mut tries = 0u8;
    while tries < TRIES {
        let typed: Typed = host.ask(&said(host.language(), text!("Code that the app shows: "), &[]))?;
        if typed.expose().trim_ascii().eq_ignore_ascii_case(b"q")
            && let Some(paint) = paints.next()
        {
            host.show_secret(&picture(host, offer, paint));
            continue;
        }
        tries = tries.saturating_add(1);
        let text = match enroller.take(&Step::Confirm(&(&typed).into()))? {
            Told::RecoveryCodes(codes) => return Ok(Some(codes)),
            Told::Declined(Declined::NotConfirmed { clock_off: None }) => {
                text!("That code is not correct. Wait for the next one;\nif it happens again, scan the picture again.")
            }
            Told::Declined(Declined::NotConfirmed { clock_off: Some(_) }) => {
                text!("The clocks of your device and of this machine differ:\nset both to automatic time.")
            }
            Told::Offer(_) | Told::Pin(_) | Told::InForce | Told::Refused | Told::Declined(_) => {
                return Err(unexpected());
            }
        };
        host.warn(&said(host.language(), text, &[]));
    }
    Ok(None)
}

/// Shows recovery codes, where there are any, until the user says that they are safe. Enter alone says nothing: a client
/// sends that for a window that was closed, and sftp for Ctrl-C.
fn written_down(host: &dyn Host, codes: &[Confidential]) -> Result<bool, ModuleError> {
    if codes.is_empty() {
        return Ok(true);
    }
    host.show_secret(&sheet(host, codes));
    let language = host.language();
    let yes = said(language, YES, &[]);
    let question = said(language, text!("Type {yes} when you have written them down: "), &[("yes", &yes)]);
    for _ in 0..TRIES {
        let typed = host.ask(&question)?;
        if [YES, &yes].iter().any(|yes| typed.expose().eq_ignore_ascii_case(yes.as_bytes())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A program whose login page shows letters of different widths, and half blocks as question marks.
const WITHOUT_PICTURES: &str = "cockpit";

/// The key first, and the QR code for who asks for it: no host tells what its client can show. OpenSSH's client writes each
/// half block as `\342\226\210` where its locale is not UTF-8, and windows of desktops have proportional letters. A client
/// puts `(user@host) ` before the first line, which is therefore short in every text here.
fn invitation(host: &dyn Host, offer: &Drawn) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024)); // no copy of the key is left behind by growing
    let head = if host.login_context().service == WITHOUT_PICTURES {
        text!("Set up a second factor with an authenticator app:\ntype this key into it:")
    } else {
        text!(
            "Set up a second factor with an authenticator app:\nanswer q for a QR code that the app scans,\nor type this key:"
        )
    };
    text.push_str(&said(host.language(), head, &[]));
    text.push(' ');
    text.push_str(&in_fours(offer.key.expose().as_bytes(), ' '));
    text
}

/// Half blocks without escape sequences, which clients strip. With the first line, the last one and the question, a version
/// 5 code just fits 24 rows.
fn picture(host: &dyn Host, offer: &Drawn, paint: Paint) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(16_384)); // as above
    let Some(qr) = &offer.qr else {
        text.push_str(&said(host.language(), text!("There is no QR code that is large enough: type the key."), &[]));
        return text;
    };
    text.push_str(&said(host.language(), text!("Scan this with the app:"), &[]));
    for mut line in qr.half_blocks(paint) {
        text.push('\n');
        text.push_str(&line);
        line.zeroize(); // it shows the key
    }
    text.push('\n');
    let end = text!("If the app does not read it, answer q: dark and light change places.");
    text.push_str(&said(host.language(), end, &[]));
    text
}

fn sheet(host: &dyn Host, codes: &[Confidential]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let head = text!("That code is right.\nRecovery codes, each good for one login without your phone:");
    text.push_str(&said(host.language(), head, &[]));
    text.push('\n');
    for code in codes {
        text.push_str("\n    ");
        text.push_str(code.expose());
    }
    text.push_str("\n\n");
    text.push_str(&said(host.language(), text!("They are shown only now."), &[]));
    text
}
