//! The way to a device in the middle of a login: choose; for a number or an address, name it and type the PIN that was sent.

use otp_core::codes::challenge::Challenge;
use otp_core::decision::kinds::Kinds;
use otp_core::protocol::enrollment_messages::{Step, Told};
use otp_core::protocol::request::{Confidential, Declined};
use otp_core::text;
use otp_core::value::destination::{Channel, Masked};
use otp_core::value::text::said;

use crate::enroller::Enroller;
use crate::host::Host;
use crate::outcome::ModuleError;

/// How often an answer may be wrong before the login ends.
const TRIES: u8 = 3;

/// In place of the PIN: send another one. A translation is accepted beside it.
const AGAIN: &str = text!("again");

const NOT_SENT: &str = text!("The PIN could not be sent.");

/// What a login can set up.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    App,
    Sent(Channel),
}

/// Asks which device to set up, where there is a choice among those that are accepted. Codes of the kinds in `sent` can be sent.
/// `None` if there is none.
pub(crate) fn choose(host: &dyn Host, accepted: Kinds, sent: Kinds) -> Result<Option<Way>, ModuleError> {
    let language = host.language();
    let mut ways = vec![(Way::App, Kinds::TOTP, text!("an authenticator app"))];
    for (channel, way) in [(Channel::Sms, text!("text messages")), (Channel::Email, text!("e-mail"))] {
        if sent.hold(Kinds::of(channel)) {
            ways.push((Way::Sent(channel), Kinds::of(channel), way));
        }
    }
    ways.retain(|(_, kind, _)| accepted.hold(*kind));
    let Some((first, _, name)) = ways.first().copied() else { return Ok(None) };
    if ways.len() == 1 {
        if let Way::Sent(_) = first {
            let text = text!("Set up a second factor. Codes come from {device}.");
            host.tell(&said(language, text, &[("device", &said(language, name, &[]))]));
        }
        return Ok(Some(first));
    }
    let mut text = said(language, text!("Set up a second factor. Codes come from"), &[]);
    for (number, (_, _, way)) in (1..).zip(&ways) {
        text.push_str(&format!("\n  {number}  {}", said(language, way, &[])));
    }
    host.tell(&text);
    for _ in 0..TRIES {
        let typed = host.ask_visibly(&said(language, text!("Number of your choice [1]: "), &[]))?;
        let chosen = match typed.expose().trim_ascii() {
            b"" => ways.first(),
            digits => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| ways.get(digits.parse::<usize>().ok()?.checked_sub(1)?)),
        };
        if let Some((way, _, _)) = chosen {
            return Ok(Some(*way));
        }
        host.tell(&said(language, text!("That is none of the numbers."), &[]));
    }
    Ok(Some(first))
}

/// Asks for the destination and for the PIN that is sent there; the recovery codes of the device, once the PIN was right. The
/// error is what is no answer to this.
pub(crate) fn verified(
    host: &dyn Host,
    enroller: &mut Enroller<'_>,
    channel: Channel,
) -> Result<Result<Option<Vec<Confidential>>, Told>, ModuleError> {
    let question = match channel {
        // A client puts the user's name before it.
        Channel::Sms => text!("Number, such as +61412345678: "),
        Channel::Email => text!("Address: "),
    };
    let language = host.language();
    for _ in 0..TRIES {
        let to = host.ask_visibly(&said(language, question, &[]))?;
        let told = enroller.take(&Step::SendTo(channel, to.text().unwrap_or_default()))?;
        let text = if let Told::Pin(answer) = told {
            tell(host, &answer);
            // No agent sends it. The user may still choose an app, at the next login.
            let is_sent = Challenge::read(&answer) != Some(Challenge::NotSent);
            return if is_sent { typed(host, enroller) } else { Ok(Ok(None)) };
        } else if let Told::Declined(Declined::CountryCodeMissing) = told {
            text!("Write the number with its country code.")
        } else if let Told::Declined(Declined::NotANumber) = told {
            text!("That is no telephone number.")
        } else if let Told::Declined(Declined::NotAnAddress) = told {
            text!("That is no e-mail address.")
        } else if let Told::Declined(Declined::PinNotSent) = told {
            NOT_SENT
        } else {
            return Ok(Err(told));
        };
        host.tell(&said(language, text, &[]));
    }
    Ok(Ok(None))
}

/// Asks for the PIN until it is right or no longer good.
fn typed(host: &dyn Host, enroller: &mut Enroller<'_>) -> Result<Result<Option<Vec<Confidential>>, Told>, ModuleError> {
    let language = host.language();
    let again = said(language, AGAIN, &[]);
    let question = said(language, text!("PIN (or {again}, for another one): "), &[("again", &again)]);
    for _ in 0..TRIES.saturating_mul(2) {
        let typed = host.ask(&question)?;
        let word = typed.expose().trim_ascii();
        let is_again = word.eq_ignore_ascii_case(AGAIN.as_bytes()) || word.eq_ignore_ascii_case(again.as_bytes());
        let pin = Confidential::from(&typed);
        let told = enroller.take(&if is_again { Step::SendAgain } else { Step::Confirm(&pin) })?;
        let text = if let Told::RecoveryCodes(codes) = told {
            return Ok(Ok(Some(codes)));
        } else if let Told::Pin(answer) = told {
            tell(host, &answer);
            continue;
        } else if let Told::Declined(Declined::PinWrong { .. }) = told {
            text!("That PIN is not correct.")
        } else if let Told::Declined(Declined::PinUsedUp | Declined::PinExpired) = told {
            let text = text!("That PIN is not good any more. Answer {again} for another one.");
            host.tell(&said(language, text, &[("again", &again)]));
            continue;
        } else {
            return Ok(Err(told));
        };
        host.tell(&said(language, text, &[]));
    }
    Ok(Ok(None))
}

/// Tells what became of a PIN.
fn tell(host: &dyn Host, answer: &str) {
    let language = host.language();
    host.tell(&match Challenge::read(answer) {
        Some(Challenge::Sent(Masked::Number(end))) => {
            said(language, text!("A PIN was sent to the number that ends in {end}."), &[("end", &end)])
        }
        Some(Challenge::Sent(address)) => {
            said(language, text!("A PIN was sent to {address}."), &[("address", &address)])
        }
        Some(Challenge::Wait(time)) => said(language, text!("Another PIN can be sent in {time}."), &[("time", &time)]),
        Some(Challenge::NotSent | Challenge::None | Challenge::Question(_) | Challenge::NoSuchDevice) | None => {
            said(language, NOT_SENT, &[])
        }
    });
}
