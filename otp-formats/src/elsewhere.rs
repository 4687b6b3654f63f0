//! Devices as other programs take them: pam_oath's users file, and `otpauth://` addresses. Every line holds a seed in plain
//! text.

use std::fmt::Write as _;

use otp_core::codes::hotp_totp::{Algorithm, Digits, Period};
use otp_core::decision::enrollment::percent_encoded;
use otp_core::record::Record;
use otp_core::record::credentials::{Device, Kind};
use zeroize::Zeroizing;

/// Long enough for every line, so that no buffer grows and leaves a copy of a seed behind.
const LONGEST: usize = 4096;

/// Why a seed is left out that was not opened.
const SEALED: &str = "its seed is sealed";

/// A format of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The users file of pam_oath.
    PamOath,
    /// Addresses of the Key URI Format, which authenticator apps read from a picture.
    Uri,
}

/// The lines of one user, and what is left out.
pub struct Lines {
    pub text: Zeroizing<String>,
    pub devices: usize,
    /// In sentences for the administrator.
    pub left_out: Vec<String>,
}

impl Elsewhere {
    /// What this format can hold of a record.
    pub fn lines(self, record: &Record, issuer: &str) -> Lines {
        let mut lines = Lines { text: Zeroizing::new(String::new()), devices: 0, left_out: Vec::new() };
        let user = record.credentials.user.as_str();
        if self == Self::PamOath && user.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            lines.left_out.push("its name has blanks, which end a name there".into());
            return lines;
        }
        for device in &record.credentials.devices {
            let next = record.state.next(device.id).unwrap_or(0);
            let written = match self {
                Self::PamOath => of_pam_oath(user, device, next),
                Self::Uri => uri(issuer, user, device, next),
            };
            match written {
                Ok(line) => {
                    let mut longer = Zeroizing::new(String::with_capacity(lines.text.len().saturating_add(line.len())));
                    longer.push_str(&lines.text);
                    longer.push_str(&line);
                    lines.text = longer;
                    lines.devices = lines.devices.saturating_add(1);
                }
                Err(why) => lines.left_out.push(format!("{}: {why}", device.name.as_str())),
            }
        }
        lines
    }
}

/// A line of pam_oath's users file: type, user, no password, seed, and for a counter the code that is next.
fn of_pam_oath(user: &str, device: &Device, next: u64) -> Result<Zeroizing<String>, &'static str> {
    if device.algorithm != Algorithm::Sha1 {
        return Err("pam_oath knows SHA-1 alone");
    }
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let (seed, digits) = (device.secret.open().ok_or(SEALED)?.hex(), device.digits.get());
    // Writing to a string cannot fail.
    let _ = match &device.kind {
        Kind::Totp(clock) => {
            if clock.drift.is_some_and(|drift| drift.get() != 0) {
                return Err("pam_oath does not know how far the clock of a token is off");
            }
            writeln!(line, "HOTP/T{}/{digits} {user} - {}", clock.period.get(), *seed)
        }
        Kind::Hotp => writeln!(line, "HOTP/E/{digits} {user} - {} {next}", *seed),
        Kind::Ocra(_) => return Err("pam_oath knows no token with a keypad"),
        Kind::Sent(_) => return Err("pam_oath sends no codes"),
    };
    Ok(line)
}

fn uri(issuer: &str, user: &str, device: &Device, next: u64) -> Result<Zeroizing<String>, &'static str> {
    let kind = match &device.kind {
        Kind::Totp(_) => "totp",
        Kind::Hotp => "hotp",
        Kind::Ocra(_) => return Err("an otpauth:// address holds no token with a keypad"),
        Kind::Sent(_) => return Err("an otpauth:// address holds no codes that are sent"),
    };
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let seed = device.secret.open().ok_or(SEALED)?.base32();
    let (issuer, user) = (percent_encoded(issuer), percent_encoded(user));
    let _ = write!(line, "otpauth://{kind}/{issuer}:{user}?secret={}", *seed);
    if device.algorithm != Algorithm::Sha1 {
        let _ = write!(line, "&algorithm={}", device.algorithm.name());
    }
    if device.digits != Digits::SIX {
        let _ = write!(line, "&digits={}", device.digits.get());
    }
    match &device.kind {
        Kind::Totp(clock) if clock.period != Period::THIRTY => {
            let _ = write!(line, "&period={}", clock.period.get());
        }
        Kind::Hotp => {
            let _ = write!(line, "&counter={next}");
        }
        Kind::Totp(_) | Kind::Ocra(_) | Kind::Sent(_) => {}
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
