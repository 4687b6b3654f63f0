//! The words and numbers of a row become a token.

use otp_core::codes::hotp_totp::{Clock, Digits, Drift, Period};
use otp_core::record::credentials::Kind;
use otp_core::value::secret::Secret;

use crate::seed::{self, Encoding, SeedFault};
use crate::tokens::{Token, algorithm};

/// The words and numbers that describe a token; what is empty has its usual value.
#[derive(Default)]
pub(super) struct Described<'a> {
    pub(super) kind: &'a str,
    pub(super) algorithm: &'a str,
    pub(super) digits: &'a str,
    pub(super) period: &'a str,
    pub(super) counter: &'a str,
}

impl Described<'_> {
    pub(super) fn token(&self, secret: Secret) -> Result<Token, String> {
        let algorithm = algorithm(self.algorithm)?;
        let digits = match self.digits {
            "" => Digits::SIX,
            digits => Digits::try_from(digits.parse::<u8>().unwrap_or(0))?,
        };
        let is_hotp = self.kind.eq_ignore_ascii_case("hotp");
        if !is_hotp && !self.kind.eq_ignore_ascii_case("totp") {
            return Err("its type is neither totp nor hotp".to_owned());
        }
        let kind = if is_hotp { Kind::Hotp } else { Kind::Totp(clock(self.period)?) };
        let mut token = Token::new(kind, secret, algorithm, digits);
        if is_hotp && !self.counter.is_empty() {
            token.device.next = self.counter.parse().map_err(|_| "its counter is not a number")?;
        }
        Ok(token)
    }
}

/// The clock of a hardware token, which may drift.
fn clock(period: &str) -> Result<Clock, String> {
    let period = match period {
        "" => Period::THIRTY,
        period => Period::try_from(period.parse::<u64>().unwrap_or(0))?,
    };
    Ok(Clock { period, drift: Some(Drift::NONE) })
}

/// The seed of a field. None of the faults quotes it.
pub(super) fn secret(text: &str, encoding: Option<Encoding>) -> Result<Secret, String> {
    seed::read(text.as_bytes(), encoding).map_err(|fault| {
        if fault == SeedFault::Both {
            "its seed can be read as HEX and as Base32: say which with --seed-format".to_owned()
        } else {
            format!("its seed cannot be used: {fault}")
        }
    })
}
