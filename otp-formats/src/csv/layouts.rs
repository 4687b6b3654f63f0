//! The layouts without a heading, as other programs write them.

use otp_core::codes::ocra::Suite;
use otp_core::record::credentials::Kind;

use crate::csv::described::{Described, secret};
use crate::csv_rows::Fields;
use crate::seed::Encoding;
use crate::tokens::Token;

/// Beginnings of lines in the log of Yubico's tool that are about a slot.
const EVENTS: [&str; 4] = ["oath-hotp", "yubico otp", "static password", "challenge-response"];

/// The line that the log has for each start of the tool.
const START: &str = "logging start";

/// The identifier that a YubiKey may type before each code.
const IDENTIFIER: &str =
    "a code that comes with the token's identifier before it is not accepted: configure the token without";

/// `serial, seed, type, digits, period or counter`, and `serial, seed, ocra, suite`.
pub(super) fn oath(fields: &Fields, encoding: Option<Encoding>) -> Result<Token, String> {
    if !(2..=5).contains(&fields.count()) {
        return Err("it must have two to five fields: serial, seed, type, digits, and period or counter".to_owned());
    }
    let secret = secret(fields.get(1), encoding.or(Some(Encoding::Hex)))?;
    let (kind, moving) = (fields.get(2), fields.get(4));
    let token = if kind.eq_ignore_ascii_case("ocra") {
        let suite = Suite::parse(fields.get(3)).filter(|suite| suite.is_for_logins());
        let suite = suite.ok_or("its OCRA suite cannot be used at logins")?;
        Token::new(Kind::Ocra(suite), secret, suite.algorithm(), suite.digits())
    } else {
        // As LinOTP reads it.
        let kind = if kind.is_empty() { "hotp" } else { kind };
        Described { kind, digits: fields.get(3), period: moving, counter: moving, ..Described::default() }
            .token(secret)?
    };
    if fields.get(0).is_empty() {
        return Err("it has no serial number".to_owned());
    }
    token.numbered(fields.get(0))
}

/// Whether a row is of the log of Yubico's tool.
pub(super) fn is_of_yubico(first: &Fields) -> bool {
    let event = first.get(0).to_ascii_lowercase();
    let is_number = !event.is_empty() && event.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = first.get(5).bytes().filter(|byte| matches!(byte, b'-' | b':' | b'T')).count() >= 5;
    event == START || EVENTS.iter().any(|known| event.starts_with(known)) || is_number && is_time
}

pub(super) fn is_start_of_log(fields: &Fields) -> bool {
    fields.get(0).eq_ignore_ascii_case(START)
}

/// A line of that log, in its «traditional» form: `OATH-HOTP, time, slot, identifier, , seed, …`, or in its «Yubico» form:
/// `serial, identifier, 0, seed, access code, time`.
pub(super) fn yubico(fields: &Fields) -> Result<Token, String> {
    let event = fields.get(0).to_ascii_lowercase();
    let hotp = |seed: &str, digits: &str, serial: &str, identifier: &str| {
        let secret = secret(seed, Some(Encoding::Hex))?;
        let mut token = Described { kind: "hotp", digits, ..Described::default() }.token(secret)?;
        if !identifier.is_empty() {
            token.remarks.push(IDENTIFIER.to_owned());
        }
        token.of("", "Yubico").numbered(serial)
    };
    if event.starts_with("oath-hotp") {
        let digits = if fields.get(11) == "8" { "8" } else { "6" };
        let identifier = fields.get(3);
        if identifier.is_empty() {
            return Err("it has no number to tell the token by: use the tool's format \u{ab}Yubico\u{bb}".to_owned());
        }
        return hotp(fields.get(5), digits, identifier, identifier);
    }
    let what = match EVENTS.iter().find(|known| event.starts_with(**known)) {
        Some(&"yubico otp") => "a Yubico OTP",
        Some(&"static password") => "a static password",
        Some(_) => "a response to a challenge of a program",
        None if !event.bytes().all(|byte| byte.is_ascii_digit()) => return Err("it is no line of this log".to_owned()),
        None => match fields.get(2) {
            "0" => return hotp(fields.get(3), "6", fields.get(0), fields.get(1)),
            "" => "a static password, or a response to a challenge of a program",
            _ => "a Yubico OTP",
        },
    };
    Err(format!("{what} is not a code of a token (only OATH-HOTP is)"))
}
