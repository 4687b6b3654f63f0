//! OATH codes: HOTP (RFC 4226), TOTP (RFC 6238), and the search for a typed code in a window.

use std::ops::RangeInclusive;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::codes::attempt::Code;
use crate::codes::factor_mac::FactorMac;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;

/// The hash under the HMAC (RFC 6238 §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1; every authenticator app supports it.
    Sha1,
    /// SHA-256; some apps ignore it and use SHA-1.
    Sha256,
    /// SHA-512; some apps ignore it and use SHA-1.
    Sha512,
}

/// How many digits a code has: 6, 7 or 8 (RFC 4226 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(u8);

/// Seconds that a TOTP step lasts, 10 to 300 (RFC 6238 calls it X; 30 is its default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(u64);

/// What a time-based device counts: steps of a period. The clock of a hardware token cannot be set, so a token has a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub period: Period,
    /// Steps by which the token's clock is ahead of ours (negative: behind); `None` for an app, whose phone sets its clock.
    pub drift: Option<Drift>,
}

/// At most [`MOST_DRIFT`] steps in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift(i8);

/// How many unused HOTP codes the device may have shown since the last login (RFC 4226 §7.4 calls it s).
pub const LOOK_AHEAD: u64 = 10;

/// Ten minutes of a usual token.
pub const MOST_DRIFT: u64 = 20;

/// `[code]` in the configuration: for new devices. A device keeps the values of its enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeConfig {
    pub digits: Digits,
    pub period: Period,
    pub algorithm: Algorithm,
}

/// One device's code generator: its seed is set up once for all codes of a window, which is half of what a code takes.
pub struct Generator {
    /// `None` is for a seed that no HMAC takes; each takes seeds of any length.
    keyed: Option<OfFactors>,
    digits: Digits,
}

/// The HMAC of a moving factor.
enum OfFactors {
    /// What nearly all devices use.
    Sha1(FactorMac),
    Other(Box<Keyed>),
}

/// A seed as the key of an HMAC. Wiped when dropped.
pub(crate) enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Generator {
    pub fn new(secret: &Secret, algorithm: Algorithm, digits: Digits) -> Self {
        let keyed = match algorithm {
            Algorithm::Sha1 => FactorMac::new(secret).map(OfFactors::Sha1),
            Algorithm::Sha256 | Algorithm::Sha512 => Keyed::new(secret, algorithm).map(Box::new).map(OfFactors::Other),
        };
        Self { keyed, digits }
    }

    /// The code for a moving factor: an HOTP counter or a TOTP step.
    pub fn code(&self, counter: u64) -> Option<Code> {
        match self.keyed.as_ref()? {
            OfFactors::Sha1(mac) => mac.with(counter, |hash| truncated(hash, self.digits)),
            OfFactors::Other(keyed) => keyed.code(&counter.to_be_bytes(), self.digits),
        }
    }

    /// The lowest and the highest counter in `window` whose code is `typed`. They can differ: two counters have the same
    /// six digits by chance (1 in 10⁶). Computes and compares all codes of the window in any case.
    pub fn find(&self, typed: &Code, window: RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
        let (mut found, mut lowest, mut highest) = (Choice::from(0), 0u64, 0u64);
        for counter in window {
            let equal = self.code(counter)?.ct_eq(typed);
            lowest.conditional_assign(&counter, equal & !found);
            highest.conditional_assign(&counter, equal);
            found |= equal;
        }
        bool::from(found).then_some(lowest..=highest)
    }
}

impl Keyed {
    pub(crate) fn new(key: &Secret, algorithm: Algorithm) -> Option<Self> {
        let key = key.expose();
        Some(match algorithm {
            Algorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(key).ok()?),
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(key).ok()?),
            Algorithm::Sha512 => Self::Sha512(Hmac::new_from_slice(key).ok()?),
        })
    }

    /// The code for a message: a moving factor, or a challenge and what goes with it.
    pub(crate) fn code(&self, message: &[u8], digits: Digits) -> Option<Code> {
        match self {
            Self::Sha1(mac) => code(mac.clone(), message, digits),
            Self::Sha256(mac) => code(mac.clone(), message, digits),
            Self::Sha512(mac) => code(mac.clone(), message, digits),
        }
    }
}

fn code(mac: impl Mac, message: &[u8], digits: Digits) -> Option<Code> {
    let mut hash = mac.chain_update(message).finalize().into_bytes();
    let code = truncated(&hash, digits);
    hash.zeroize();
    code
}

/// The dynamic truncation of RFC 4226 §5.3.
fn truncated(hash: &[u8], digits: Digits) -> Option<Code> {
    let offset = usize::from(hash.last()? & 15);
    let four = Zeroizing::new(*hash.get(offset..)?.first_chunk::<4>()?);
    Code::of_number(u32::from_be_bytes(*four) & 0x7fff_ffff, digits.0)
}

/// The moving factors from `factor - behind` to `factor + ahead`, cut at 0 and `u64::MAX`.
pub(crate) fn around(factor: u64, behind: u64, ahead: u64) -> RangeInclusive<u64> {
    factor.saturating_sub(behind)..=factor.saturating_add(ahead)
}

impl Algorithm {
    /// Reads the name that [`Algorithm::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The name in configuration, records and `otpauth://` URIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Bytes of a new seed: the length of the hash (RFC 6238 §5.1, RFC 4226 §4).
    pub fn seed_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Digits {
    /// Every authenticator app supports six digits.
    pub const SIX: Self = Self(6);

    /// A code that is sent: a user who has an app, too, sees which one it is.
    pub const SEVEN: Self = Self(7);

    pub fn get(self) -> u8 {
        self.0
    }
}

impl Period {
    /// The step that RFC 6238 §5.2 recommends.
    pub const THIRTY: Self = Self(30);

    pub fn get(self) -> u64 {
        self.0
    }

    /// The step at `time` (RFC 6238 §4.2 calls it T).
    pub fn step_at(self, time: UnixTime) -> u64 {
        time.0.checked_div(self.0).unwrap_or(0)
    }
}

impl Clock {
    /// An app's clock: it is right.
    pub fn of_app(period: Period) -> Self {
        Self { period, drift: None }
    }

    /// The step that the device shows at `time`.
    pub fn step_at(self, time: UnixTime) -> u64 {
        self.period.step_at(time).saturating_add_signed(self.drift.map_or(0, |drift| drift.0.into()))
    }

    /// When the device shows a step, by our clock.
    pub fn time_of(self, step: u64) -> UnixTime {
        let step = step.saturating_add_signed(self.drift.map_or(0, |drift| i64::from(drift.0).saturating_neg()));
        UnixTime(step.saturating_mul(self.period.get()))
    }
}

impl Drift {
    pub const NONE: Self = Self(0);

    /// `None` if it is more than a token may have.
    pub fn of(steps: i64) -> Option<Self> {
        i8::try_from(steps).ok().filter(|_| steps.unsigned_abs() <= MOST_DRIFT).map(Self)
    }

    pub fn get(self) -> i8 {
        self.0
    }
}

impl TryFrom<u8> for Digits {
    type Error = &'static str;

    fn try_from(digits: u8) -> Result<Self, Self::Error> {
        if (6..=8).contains(&digits) { Ok(Self(digits)) } else { Err("a code has 6, 7 or 8 digits") }
    }
}

impl TryFrom<u64> for Period {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Self, Self::Error> {
        if (10..=300).contains(&seconds) { Ok(Self(seconds)) } else { Err("a period has 10 to 300 seconds") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::EQUAL_CODES;

    fn generator(seed: &[u8], algorithm: Algorithm, digits: u8) -> Generator {
        let secret = Secret::new(Zeroizing::new(seed.to_vec())).unwrap();
        Generator::new(&secret, algorithm, Digits::try_from(digits).unwrap())
    }

    fn is(generator: &Generator, counter: u64, expected: &str) -> bool {
        let expected = Code::parse(expected.as_bytes()).unwrap();
        generator.code(counter).unwrap().ct_eq(&expected).into()
    }

    #[test]
    fn rfc_4226_appendix_d() {
        let hotp = generator(b"12345678901234567890", Algorithm::Sha1, 6);
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0..).zip(codes) {
            assert!(is(&hotp, counter, code), "counter {counter}");
        }
    }

    #[test]
    fn rfc_6238_appendix_b() {
        let digits = b"1234567890".repeat(7);
        let sha1 = generator(&digits[..20], Algorithm::Sha1, 8);
        let sha256 = generator(&digits[..32], Algorithm::Sha256, 8);
        let sha512 = generator(&digits[..64], Algorithm::Sha512, 8);
        for (time, one, two, three) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            let step = time / 30;
            assert!(is(&sha1, step, one), "SHA-1 at {time}");
            assert!(is(&sha256, step, two), "SHA-256 at {time}");
            assert!(is(&sha512, step, three), "SHA-512 at {time}");
        }
    }

    #[test]
    fn a_code_is_found_at_its_counter_in_the_window() {
        let hotp = generator(b"12345678901234567890", Algorithm::Sha1, 6);
        let third = Code::parse(b"969429").unwrap();
        assert_eq!(hotp.find(&third, 0..=9), Some(3..=3));
        assert_eq!(hotp.find(&third, 3..=3), Some(3..=3));
        assert_eq!(hotp.find(&third, 4..=9), None);
        assert_eq!(hotp.find(&third, 0..=2), None);
    }

    #[test]
    fn the_first_and_the_last_of_two_equal_codes_are_found() {
        let hotp = generator(&[1; 20], Algorithm::Sha1, 6);
        let (first, second) = EQUAL_CODES;
        assert!(is(&hotp, first, "137461") && is(&hotp, second, "137461"));
        let code = hotp.code(first).unwrap();
        assert_eq!(hotp.find(&code, first - 10..=second + 10), Some(first..=second));
        assert_eq!(hotp.find(&code, first + 1..=second), Some(second..=second));
        assert_eq!(hotp.find(&code, first..=second - 1), Some(first..=first));
    }
}
