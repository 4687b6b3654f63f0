//! Enrollment in steps that cannot be skipped: a pending device, a confirmed device, a record.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::CodeConfig;
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Generator, Period, around};
use crate::codes::recovery::RecoverySet;
use crate::record::Record;
use crate::record::credentials::{Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Seconds on each side in which a code is searched, to tell the user how far off the phone's clock is: first where it
/// usually is, then as far as time zones differ. Of 1000 codes that are simply wrong, 4 are found there, too.
const SEARCHES: [u64; 2] = [3600, 14 * 3600];

/// A device whose seed was shown and that has not shown a right code yet. It cannot be stored.
pub struct Pending {
    secret: Secret,
    name: DeviceName,
    algorithm: Algorithm,
    digits: Digits,
    period: Period,
    window: u64,
}

/// A device that has shown a right code. That code is used up.
pub struct Confirmed {
    pending: Pending,
    at: UnixTime,
    next: u64,
}

/// The code was not this device's. The user may try again.
pub struct NotConfirmed {
    /// The device, still pending.
    pub pending: Pending,
    /// Seconds by which the device's clock is ahead (negative: behind), if the code shows it.
    pub clock_off: Option<i64>,
}

impl Pending {
    /// Makes a device of random bytes; `None` if their number is not the seed length of the algorithm.
    pub fn new(seed: Zeroizing<Vec<u8>>, name: DeviceName, config: &CodeConfig, window: u64) -> Option<Self> {
        let CodeConfig { digits, period, algorithm } = *config;
        let secret = Secret::new(seed).ok().filter(|secret| secret.expose().len() == algorithm.seed_length())?;
        Some(Self { secret, name, algorithm, digits, period, window })
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The text of the QR code: the Key URI Format of authenticator apps. Parameters with their default are left out, and
    /// the issuer is in the label alone, so that the QR code fits a terminal. Apps read it there; some tell entries apart
    /// by the label, which must not be the same for two machines.
    pub fn uri(&self, issuer: &str, user: &str) -> Zeroizing<String> {
        // Large enough for the longest issuer and user: a buffer that grows leaves copies of the seed behind.
        let mut uri = Zeroizing::new(String::with_capacity(4096));
        let (issuer, user, secret) = (percent_encoded(issuer), percent_encoded(user), self.secret.base32());
        // Writing to a string cannot fail.
        let _ = write!(uri, "otpauth://totp/{issuer}:{user}?secret={}", *secret);
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

    /// Hash, digits and period of the codes.
    pub fn shape(&self) -> (Algorithm, Digits, Period) {
        (self.algorithm, self.digits, self.period)
    }

    /// Takes a code as proof that the seed arrived.
    pub fn confirm(self, code: &Code, now: UnixTime) -> Result<Confirmed, NotConfirmed> {
        let generator = Generator::new(&self.secret, self.algorithm, self.digits);
        let present = self.period.step_at(now);
        match generator.find(code, around(present, self.window, self.window)) {
            // The confirming code is used up too: the next step is above it.
            Some(steps) => Ok(Confirmed { next: steps.end().saturating_add(1), at: now, pending: self }),
            None => {
                let found = SEARCHES.iter().find_map(|seconds| {
                    let steps = seconds.checked_div(self.period.get())?;
                    generator.find(code, around(present, steps, steps))
                });
                let steps = found.and_then(|steps| steps.end().checked_signed_diff(present));
                let period = i64::try_from(self.period.get()).ok();
                let clock_off = steps.zip(period).map(|(steps, period)| steps.saturating_mul(period));
                Err(NotConfirmed { pending: self, clock_off })
            }
        }
    }
}

impl Confirmed {
    /// The record with this device alone and these recovery codes. The user's override is kept.
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
            kind: Kind::Totp(Clock::of_app(*period)),
            secret: secret.duplicate(),
            algorithm: *algorithm,
            digits: *digits,
            created: self.at,
            serial: None,
        };
        Record::begin(account, enrollment, user_override, vec![(device, self.next)], recovery)
    }
}

/// RFC 3986 §2.3: every byte becomes `%XX`, except unreserved characters.
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
    use crate::record::credentials::Credentials;
    use crate::record::state::State;
    use crate::testing::fixtures::{LIMITS, NOW, STEP, alice, code_of, phone, shown, ten_codes};

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("test"), &format!("[code]\n{text}")).unwrap()
    }

    fn pending(config: &Config) -> Pending {
        let seed = Zeroizing::new(vec![1; config.code.algorithm.seed_length()]);
        Pending::new(seed, DeviceName::parse("phone").unwrap(), &config.code, config.limits.window).unwrap()
    }

    /// The code of the new device for a step.
    fn its_code(step: u64) -> Code {
        code_of(&phone(1), step)
    }

    #[test]
    fn the_uri_has_the_format_that_apps_read() {
        let base32 = pending(&config("")).secret().base32();
        assert_eq!(
            *pending(&config("")).uri("Example", "alice"),
            format!("otpauth://totp/Example:alice?secret={}", *base32)
        );
    }

    #[test]
    fn the_uri_names_what_differs_from_the_default() {
        for (text, expected) in [
            ("algorithm = \"SHA256\"", "&algorithm=SHA256"),
            ("digits = 8", "&digits=8"),
            ("period = 60", "&period=60"),
            ("algorithm = \"SHA512\"\ndigits = 7\nperiod = 10", "&algorithm=SHA512&digits=7&period=10"),
        ] {
            let uri = pending(&config(text)).uri("E", "a");
            assert!(uri.ends_with(expected), "{text}");
            assert_eq!(uri.matches('&').count(), expected.matches('&').count(), "{text}");
        }
    }

    #[test]
    fn no_name_can_break_out_of_the_uri() {
        let uri = pending(&config("")).uri("A & B/ü?#%", "DOM\\a b@c:d");
        let issuer = "A%20%26%20B%2F%C3%BC%3F%23%25";
        let start = format!("otpauth://totp/{issuer}:DOM%5Ca%20b%40c%3Ad?secret=");
        assert!(uri.starts_with(&start) && !uri.contains('&'), "{}", *uri);
        assert_eq!(percent_encoded("AZaz09-._~"), "AZaz09-._~");
    }

    #[test]
    fn the_longest_uri_is_written_without_growing_the_buffer() {
        let longest = config("algorithm = \"SHA512\"\ndigits = 8\nperiod = 300");
        let short = pending(&longest).uri("", "");
        let long = pending(&longest).uri(&"\u{10FFFF}".repeat(60), &"\n".repeat(255));
        assert_eq!(long.capacity(), short.capacity());
    }

    #[test]
    fn a_seed_of_the_wrong_length_is_rejected() {
        for (algorithm, length) in [("SHA1", 20), ("SHA256", 32), ("SHA512", 64)] {
            let config = config(&format!("algorithm = \"{algorithm}\""));
            for (wrong, fits) in [(length - 1, false), (length, true), (length + 1, false), (0, false)] {
                let name = DeviceName::parse("phone").unwrap();
                let pending = Pending::new(Zeroizing::new(vec![1; wrong]), name, &config.code, 1);
                assert_eq!(pending.is_some(), fits, "{algorithm} with {wrong} bytes");
            }
        }
    }

    #[test]
    fn a_code_inside_the_window_confirms_and_none_outside() {
        for (window, offset, confirms) in [(0, 0, true), (0, 1, false), (1, 1, true), (1, 2, false), (3, 3, true)] {
            for step in [STEP - offset, STEP + offset] {
                let confirmed = pending(&config(&format!("window = {window}"))).confirm(&its_code(step), NOW);
                assert_eq!(confirmed.is_ok(), confirms, "window {window}, step {step}");
            }
        }
    }

    #[test]
    fn the_confirming_code_is_used_up() {
        for step in [STEP - 1, STEP, STEP + 1] {
            let confirmed = pending(&config("")).confirm(&its_code(step), NOW).ok().unwrap();
            let (enrollment, set) = (EnrollmentId([9; 16]), ten_codes());
            let record = confirmed.record(&alice(), Override::Required, enrollment, Some(set.clone()));
            assert_eq!(record.state.nexts(), [(1, step + 1)]);
            for used in STEP - 1..=step {
                let (_, verdict) = decide(&LIMITS, &record, &shown(&phone(1), used), NOW);
                assert_eq!(verdict, Verdict::Refused(Refusal::Replayed { clock_behind: None }));
            }
            let Credentials { user, uid, enrollment, user_override, devices, recovery, .. } = record.credentials;
            assert_eq!((user, uid, enrollment), (alice().name, 1000, EnrollmentId([9; 16])));
            assert_eq!((user_override, recovery), (Override::Required, Some(set)));
            assert_eq!(
                (devices.len(), devices[0].created, devices[0].kind),
                (1, NOW, Kind::Totp(Clock::of_app(Period::THIRTY)))
            );
            assert_eq!(record.state, State { devices: record.state.devices.clone(), ..State::new(enrollment) });
        }
    }

    #[test]
    fn after_a_wrong_code_the_right_one_still_confirms() {
        let Err(NotConfirmed { pending, clock_off }) = pending(&config("")).confirm(&code_of(&phone(99), STEP), NOW)
        else {
            panic!("confirmed by a wrong code")
        };
        assert_eq!(clock_off, None);
        assert!(pending.confirm(&its_code(STEP), NOW).is_ok());
    }

    #[test]
    fn the_user_learns_by_how_much_and_in_which_direction_the_clock_is_off() {
        for (offset, expected) in [
            (2, Some(60)),
            (-2, Some(-60)),
            (120, Some(3600)),
            (-120, Some(-3600)),
            (121, Some(3630)),
            (1680, Some(50_400)),
            (-1680, Some(-50_400)),
            (1681, None),
        ] {
            let code = its_code(STEP.checked_add_signed(offset).unwrap());
            let clock_off = pending(&config("")).confirm(&code, NOW).err().unwrap().clock_off;
            assert_eq!(clock_off, expected, "{offset} steps");
        }
        let slow = config("period = 60");
        let clock_off = pending(&slow).confirm(&its_code(NOW.0 / 60 + 5), NOW).err().unwrap().clock_off;
        assert_eq!(clock_off, Some(300));
    }

    #[test]
    fn a_device_confirms_at_the_ends_of_time_without_overflow() {
        for (now, step) in [(UnixTime(0), 0), (UnixTime(u64::MAX), u64::MAX / 30)] {
            assert!(pending(&config("")).confirm(&its_code(step), now).is_ok());
            assert!(pending(&config("")).confirm(&code_of(&phone(99), 0), now).is_err());
        }
    }

    #[test]
    fn a_pending_device_shows_its_seed_and_the_shape_of_its_codes() {
        let pending = pending(&config("digits = 7\nperiod = 60"));
        assert_eq!(pending.secret().expose(), [1; 20]);
        let (algorithm, digits, period) = pending.shape();
        assert_eq!((algorithm, digits.get(), period.get()), (Algorithm::Sha1, 7, 60));
    }
}
