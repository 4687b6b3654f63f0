//! Enrollment as steps that cannot be skipped: an offer, a confirmed device, a record.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::CodeConfig;
use crate::codes::hotp_totp::{Algorithm, Digits, Generator, Period, around};
use crate::codes::recovery::RecoverySet;
use crate::record::Record;
use crate::record::credentials::{Credentials, Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::State;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// How far off a phone's clock may be for us to say so, in steps on each side.
const SEARCH: u64 = 120;

/// A seed that was shown and not yet proved to have arrived. It cannot be stored.
pub struct Pending {
    secret: Secret,
    name: DeviceName,
    algorithm: Algorithm,
    digits: Digits,
    period: Period,
    window: u64,
}

/// A device that has shown a right code, which is spent by that.
pub struct Confirmed {
    pending: Pending,
    at: UnixTime,
    next: u64,
}

/// The code was not this device's; the seed may be tried again.
pub struct NotConfirmed {
    /// The same offer.
    pub pending: Pending,
    /// Seconds by which the device's clock is ahead (or, negative, behind), where the code shows it.
    pub clock_off: Option<i64>,
}

impl Pending {
    /// Offers random bytes as a seed. `None` if there are not as many as the algorithm wants.
    pub fn new(seed: Zeroizing<Vec<u8>>, name: DeviceName, config: &CodeConfig, window: u64) -> Option<Self> {
        let CodeConfig { digits, period, algorithm } = *config;
        let secret = Secret::new(seed).ok().filter(|secret| secret.expose().len() == algorithm.seed_length())?;
        Some(Self { secret, name, algorithm, digits, period, window })
    }

    /// The seed, to be shown.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What a QR code carries: the Key URI Format of authenticator apps. Parameters that have their default are left
    /// out, which keeps the QR code small enough for a terminal.
    pub fn uri(&self, issuer: &str, user: &str) -> Zeroizing<String> {
        // Large enough for the longest issuer and user, so that no copy of the seed is left behind by growing.
        let mut uri = Zeroizing::new(String::with_capacity(4096));
        let (issuer, user, secret) = (percent_encoded(issuer), percent_encoded(user), self.secret.base32());
        // Writing to a string cannot fail.
        let _ = write!(uri, "otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}", *secret);
        if self.algorithm != Algorithm::Sha1 {
            let _ = write!(uri, "&algorithm={}", self.algorithm.name());
        }
        if self.digits != Digits::SIX {
            let _ = write!(uri, "&digits={}", self.digits.get());
        }
        if self.period != Period::THIRTY {
            let _ = write!(uri, "&period={}", self.period.get());
        }
        uri
    }

    /// How the codes look: hash, digits, seconds of a step.
    pub fn shape(&self) -> (Algorithm, Digits, Period) {
        (self.algorithm, self.digits, self.period)
    }

    /// Takes a code as proof that the seed arrived.
    pub fn confirm(self, code: &Code, now: UnixTime) -> Result<Confirmed, NotConfirmed> {
        let generator = Generator::new(&self.secret, self.algorithm, self.digits);
        let present = self.period.step_at(now);
        match generator.find(code, around(present, self.window, self.window)) {
            // The confirming code is spent too: the mark starts above it.
            Some(steps) => Ok(Confirmed { next: steps.end().saturating_add(1), at: now, pending: self }),
            None => {
                let found = generator.find(code, around(present, SEARCH, SEARCH));
                let steps = found.and_then(|steps| steps.end().checked_signed_diff(present));
                let period = i64::try_from(self.period.get()).ok();
                let clock_off = steps.zip(period).map(|(steps, period)| steps.saturating_mul(period));
                Err(NotConfirmed { pending: self, clock_off })
            }
        }
    }
}

impl Confirmed {
    /// The record with this as the only device and these recovery codes. An override set for the user stays.
    pub fn record(
        &self,
        account: &Account,
        user_override: Override,
        enrollment: EnrollmentId,
        recovery: Option<RecoverySet>,
    ) -> Record {
        let Pending { secret, name, algorithm, digits, period, window: _ } = &self.pending;
        let device = Device {
            id: DeviceId(1),
            name: name.clone(),
            kind: Kind::Totp(*period),
            secret: secret.duplicate(),
            algorithm: *algorithm,
            digits: *digits,
            created: self.at,
        };
        let mut state = State::new(enrollment);
        state.next.insert(device.id, self.next);
        let credentials = Credentials {
            user: account.name.clone(),
            uid: account.uid,
            enrollment,
            user_override,
            devices: vec![device],
            recovery,
        };
        Record { credentials, state }
    }
}

/// RFC 3986 §2.3: everything but unreserved characters is `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::decision::verify::{Refusal, Verdict, decide};
    use crate::testing::fixtures::{LIMITS, NOW, STEP, alice, code_of, phone, shown, ten_codes};

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("test"), &format!("[code]\n{text}")).unwrap()
    }

    fn offered(config: &Config) -> Pending {
        let seed = Zeroizing::new(vec![1; config.code.algorithm.seed_length()]);
        Pending::new(seed, DeviceName::parse("phone").unwrap(), &config.code, config.limits.window).unwrap()
    }

    /// The code that the new device shows for a step.
    fn its_code(step: u64) -> Code {
        code_of(&phone(1), step)
    }

    #[test]
    fn the_uri_is_what_an_app_reads() {
        let base32 = offered(&config("")).secret().base32();
        assert_eq!(
            *offered(&config("")).uri("Example", "alice"),
            format!("otpauth://totp/Example:alice?secret={}&issuer=Example", *base32)
        );
    }

    #[test]
    fn the_uri_names_what_is_not_the_default() {
        for (text, expected) in [
            ("algorithm = \"SHA256\"", "&algorithm=SHA256"),
            ("digits = 8", "&digits=8"),
            ("period = 60", "&period=60"),
            ("algorithm = \"SHA512\"\ndigits = 7\nperiod = 10", "&algorithm=SHA512&digits=7&period=10"),
        ] {
            let uri = offered(&config(text)).uri("E", "a");
            assert!(uri.ends_with(&format!("&issuer=E{expected}")), "{text}");
        }
    }

    #[test]
    fn no_name_can_break_out_of_the_uri() {
        let uri = offered(&config("")).uri("A & B/ü?#%", "DOM\\a b@c:d");
        let issuer = "A%20%26%20B%2F%C3%BC%3F%23%25";
        let start = format!("otpauth://totp/{issuer}:DOM%5Ca%20b%40c%3Ad?secret=");
        assert!(uri.starts_with(&start) && uri.ends_with(&format!("&issuer={issuer}")), "{}", *uri);
        assert_eq!(percent_encoded("AZaz09-._~"), "AZaz09-._~");
    }

    #[test]
    fn the_longest_uri_is_written_without_growing_the_buffer() {
        let longest = config("algorithm = \"SHA512\"\ndigits = 8\nperiod = 300");
        let short = offered(&longest).uri("", "");
        let long = offered(&longest).uri(&"\u{10FFFF}".repeat(60), &"\n".repeat(255));
        assert_eq!(long.capacity(), short.capacity());
    }

    #[test]
    fn a_seed_of_the_wrong_length_is_not_offered() {
        for (algorithm, length) in [("SHA1", 20), ("SHA256", 32), ("SHA512", 64)] {
            let config = config(&format!("algorithm = \"{algorithm}\""));
            for (wrong, fits) in [(length - 1, false), (length, true), (length + 1, false), (0, false)] {
                let name = DeviceName::parse("phone").unwrap();
                let offer = Pending::new(Zeroizing::new(vec![1; wrong]), name, &config.code, 1);
                assert_eq!(offer.is_some(), fits, "{algorithm} with {wrong} bytes");
            }
        }
    }

    #[test]
    fn a_code_of_the_window_confirms_and_none_beyond() {
        for (window, offset, confirms) in [(0, 0, true), (0, 1, false), (1, 1, true), (1, 2, false), (3, 3, true)] {
            for step in [STEP - offset, STEP + offset] {
                let confirmed = offered(&config(&format!("window = {window}"))).confirm(&its_code(step), NOW);
                assert_eq!(confirmed.is_ok(), confirms, "window {window}, step {step}");
            }
        }
    }

    #[test]
    fn the_confirming_code_is_spent() {
        for step in [STEP - 1, STEP, STEP + 1] {
            let confirmed = offered(&config("")).confirm(&its_code(step), NOW).ok().unwrap();
            let (enrollment, set) = (EnrollmentId([9; 16]), ten_codes());
            let record = confirmed.record(&alice(), Override::Required, enrollment, Some(set.clone()));
            assert_eq!(record.state.next, [(DeviceId(1), step + 1)].into());
            for used in STEP - 1..=step {
                let (_, verdict) = decide(&LIMITS, &record, &shown(&phone(1), used), NOW);
                assert_eq!(verdict, Verdict::Refused(Refusal::Replayed { clock_behind: None }));
            }
            let Credentials { user, uid, enrollment, user_override, devices, recovery } = record.credentials;
            assert_eq!((user, uid, enrollment), (alice().name, 1000, EnrollmentId([9; 16])));
            assert_eq!((user_override, recovery), (Override::Required, Some(set)));
            assert_eq!((devices.len(), devices[0].created, devices[0].kind), (1, NOW, Kind::Totp(Period::THIRTY)));
            assert_eq!(record.state, State { next: record.state.next.clone(), ..State::new(enrollment) });
        }
    }

    #[test]
    fn a_wrong_code_leaves_the_offer_standing() {
        let Err(NotConfirmed { pending, clock_off }) = offered(&config("")).confirm(&code_of(&phone(99), STEP), NOW)
        else {
            panic!("confirmed by a wrong code")
        };
        assert_eq!(clock_off, None);
        assert!(pending.confirm(&its_code(STEP), NOW).is_ok());
    }

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much_and_in_which_direction() {
        for (offset, expected) in [(2, Some(60)), (-2, Some(-60)), (120, Some(3600)), (-120, Some(-3600)), (121, None)]
        {
            let code = its_code(STEP.checked_add_signed(offset).unwrap());
            let clock_off = offered(&config("")).confirm(&code, NOW).err().unwrap().clock_off;
            assert_eq!(clock_off, expected, "{offset} steps");
        }
        let slow = config("period = 60");
        let clock_off = offered(&slow).confirm(&its_code(NOW.0 / 60 + 5), NOW).err().unwrap().clock_off;
        assert_eq!(clock_off, Some(300));
    }

    #[test]
    fn an_offer_at_the_ends_of_time_confirms_without_overflow() {
        for (now, step) in [(UnixTime(0), 0), (UnixTime(u64::MAX), u64::MAX / 30)] {
            assert!(offered(&config("")).confirm(&its_code(step), now).is_ok());
            assert!(offered(&config("")).confirm(&code_of(&phone(99), 0), now).is_err());
        }
    }

    #[test]
    fn what_is_shown_of_an_offer_is_its_seed_and_shape() {
        let pending = offered(&config("digits = 7\nperiod = 60"));
        assert_eq!(pending.secret().expose(), [1; 20]);
        let (algorithm, digits, period) = pending.shape();
        assert_eq!((algorithm, digits.get(), period.get()), (Algorithm::Sha1, 7, 60));
    }
}
