//! Enrollment in steps that cannot be skipped: a pending device, a confirmed device, a record.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::CodeConfig;
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Generator, LOOK_AHEAD, MOST_DRIFT, Period, around};
use crate::codes::recovery::RecoverySet;
use crate::decision::resync::FAR_AHEAD;
use crate::record::Record;
use crate::record::credentials::{Credentials, Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::Progress;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Seconds on each side in which a code is searched, to tell the user how far off the phone's clock is: first where it
/// usually is, then as far as time zones differ. Of 1000 codes that are simply wrong, 4 are found there, too.
const SEARCHES: [u64; 2] = [3600, 14 * 3600];

/// A device that has not shown a right code yet: an app to which a seed was shown, or a token that has one.
pub struct Pending {
    /// Its number and the time of its addition are not known yet.
    device: Device,
    /// The seed of the device, which is not sealed yet.
    secret: Secret,
    window: u64,
    /// The counter from which a counter-based token is searched.
    counter: u64,
    /// What a token with a keypad is to answer; empty for all others.
    question: String,
    brings_seed: bool,
}

/// A device that has shown a right code. That code is used up.
pub struct Confirmed {
    device: Device,
    next: u64,
}

/// What keeps a code from confirming a device. The user may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is not the device's.
    Wrong {
        /// Seconds by which the device's clock is ahead (negative: behind), if the code shows it.
        clock_off: Option<i64>,
    },
    /// It is the code of a token whose counter or clock is so far off that it may be one by chance: the next one is needed.
    NextCode,
}

impl Pending {
    /// Makes an app's device of random bytes; `None` if their number is not the seed length of the algorithm.
    pub fn new(seed: Zeroizing<Vec<u8>>, name: DeviceName, config: &CodeConfig, window: u64) -> Option<Self> {
        let CodeConfig { digits, period, algorithm } = *config;
        let secret = Secret::new(seed).ok().filter(|secret| secret.expose().len() == algorithm.seed_length())?;
        let kind = Kind::Totp(Clock::of_app(period));
        let (id, created) = (DeviceId(0), UnixTime(0));
        let seed = secret.duplicate().into();
        let device = Device { id, name, kind, secret: seed, algorithm, digits, created, serial: None };
        Some(Self { device, secret, window, counter: 0, question: String::new(), brings_seed: false })
    }

    /// A token or an app, which has its seed. One that counts is searched from `counter` on, and one with a keypad gets a question of
    /// these random bytes. `None` if its seed is sealed.
    pub fn token(device: Device, window: u64, counter: u64, random: &[u8]) -> Option<Self> {
        let question = match device.kind {
            Kind::Ocra(suite) => suite.question().draw(random),
            Kind::Totp(_) | Kind::Hotp | Kind::Sent(_) => String::new(),
        };
        let secret = device.secret.open()?.duplicate();
        Some(Self { device, secret, window, counter, question, brings_seed: true })
    }

    /// A number or an address. A PIN confirms it.
    pub fn destination(name: DeviceName, kind: Kind, secret: Secret) -> Self {
        let (id, created, algorithm, digits) = (DeviceId(0), UnixTime(0), Algorithm::Sha1, Digits::SEVEN);
        let seed = secret.duplicate().into();
        let device = Device { id, name, kind, secret: seed, algorithm, digits, created, serial: None };
        Self { device, secret, window: 0, counter: 0, question: String::new(), brings_seed: false }
    }

    /// The destination, once its PIN was right. No code was sent to it yet.
    pub fn verified(&self, now: UnixTime) -> Confirmed {
        Confirmed { device: Device { created: now, ..self.device.duplicate() }, next: 0 }
    }

    /// One that was offered before, as it was then; `None` if its seed is sealed.
    pub fn resumed(device: Device, window: u64, counter: u64, question: String, brings_seed: bool) -> Option<Self> {
        let secret = device.secret.open()?.duplicate();
        Some(Self { device, secret, window, counter, question, brings_seed })
    }

    /// Steps around the present one, and the counter from which a token is searched.
    pub fn range(&self) -> (u64, u64) {
        (self.window, self.counter)
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// What is to be typed into a token with a keypad.
    pub fn question(&self) -> Option<&str> {
        Some(self.question.as_str()).filter(|question| !question.is_empty())
    }

    pub fn name(&self) -> &DeviceName {
        &self.device.name
    }

    /// Whether it has its seed already, which is not shown: a token, or an app that is imported.
    pub fn brings_seed(&self) -> bool {
        self.brings_seed
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
        let (issuer, user, secret) = (percent_encoded(issuer), percent_encoded(user), self.secret().base32());
        let (algorithm, digits, period) = self.shape();
        // Writing to a string cannot fail.
        let _ = write!(uri, "otpauth://totp/{issuer}:{user}?secret={}", *secret);
        if algorithm != Algorithm::Sha1 {
            let _ = write!(uri, "&algorithm={}", algorithm.name());
        }
        if digits != Digits::SIX {
            let _ = write!(uri, "&digits={}", digits.get());
        }
        if period != Period::THIRTY {
            let _ = write!(uri, "&period={}", period.get());
        }
        uri
    }

    /// Hash, digits and period of the codes. What counts has no period.
    pub fn shape(&self) -> (Algorithm, Digits, Period) {
        let period = match self.device.kind {
            Kind::Totp(clock) => clock.period,
            Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => Period::THIRTY,
        };
        (self.device.algorithm, self.device.digits, period)
    }

    /// Takes a code as proof that the seed arrived, and of a token that is far off the one after it, too.
    pub fn confirm(&self, code: &Code, next: Option<&Code>, now: UnixTime) -> Result<Confirmed, Missing> {
        let generator = Generator::new(&self.secret, self.device.algorithm, self.device.digits);
        // The confirming code is used up too: the next step or counter is above it.
        let found = match (&self.device.kind, next) {
            (Kind::Ocra(suite), _) => self
                .device
                .response(*suite, &self.question, code, self.counter, self.window, now)
                .map(|next| (next, None)),
            (_, Some(next)) if self.device.is_token() => {
                self.device.place_of(code, next, self.counter, self.window, now).map(|place| (place.next, place.drift))
            }
            (Kind::Totp(clock), _) => generator
                .find(code, around(clock.step_at(now), self.window, self.window))
                .map(|steps| (steps.end().saturating_add(1), clock.drift)),
            // Its PIN confirms it.
            (Kind::Sent(_), _) => None,
            (Kind::Hotp, _) => generator
                .find(code, around(self.counter, 0, LOOK_AHEAD))
                .map(|counters| (counters.start().saturating_add(1), None)),
        };
        let Some((next, drift)) = found else { return Err(self.missing(&generator, code, next, now)) };
        let kind = match &self.device.kind {
            Kind::Totp(Clock { period, .. }) => Kind::Totp(Clock { period: *period, drift }),
            kind @ (Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_)) => kind.clone(),
        };
        Ok(Confirmed { device: Device { kind, created: now, ..self.device.duplicate() }, next })
    }

    fn missing(&self, generator: &Generator, code: &Code, next: Option<&Code>, now: UnixTime) -> Missing {
        let is_far_off = match self.device.kind {
            Kind::Hotp => generator.find(code, around(self.counter, 0, FAR_AHEAD)).is_some(),
            Kind::Totp(Clock { period, drift: Some(_) }) => {
                let reach = MOST_DRIFT.saturating_add(self.window);
                generator.find(code, around(period.step_at(now), reach, reach)).is_some()
            }
            Kind::Totp(Clock { drift: None, .. }) | Kind::Ocra(_) | Kind::Sent(_) => false,
        };
        if is_far_off && next.is_none() {
            return Missing::NextCode;
        }
        let Kind::Totp(Clock { period, drift: None }) = self.device.kind else {
            return Missing::Wrong { clock_off: None };
        };
        let present = period.step_at(now);
        let found = SEARCHES.iter().find_map(|seconds| {
            let steps = seconds.checked_div(period.get())?;
            generator.find(code, around(present, steps, steps))
        });
        let steps = found.and_then(|steps| steps.end().checked_signed_diff(present));
        let period = i64::try_from(period.get()).ok();
        Missing::Wrong { clock_off: steps.zip(period).map(|(steps, period)| steps.saturating_mul(period)) }
    }

    /// The token as it is, unconfirmed: its first right code at a login confirms it.
    pub fn unconfirmed(&self, now: UnixTime) -> (Device, Progress) {
        // A token that was removed a moment ago may be added again: all codes up to the present one count as used.
        let next = match self.device.kind {
            Kind::Totp(clock) => clock.step_at(now).saturating_add(1),
            Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => self.counter,
        };
        let device = Device { created: now, ..self.device.duplicate() };
        (device, Progress { is_confirmed: false, ..Progress::from(next) })
    }
}

impl Confirmed {
    /// One that was confirmed before: all below `next` is used up.
    pub fn resumed(device: Device, next: u64) -> Self {
        Self { device, next }
    }

    /// The device, to be added to others. The code that has confirmed it is one that was accepted.
    pub fn device(&self) -> (Device, Progress) {
        let mut progress = Progress::from(self.next);
        if let (Kind::Totp(_) | Kind::Hotp, Some(place)) = (&self.device.kind, self.next.checked_sub(1)) {
            progress.use_up(place);
        }
        (self.device.duplicate(), progress)
    }

    /// Its number in credentials that have it.
    pub fn found_in(&self, credentials: &Credentials) -> Option<DeviceId> {
        let secret = self.device.secret.open()?;
        credentials.devices.iter().find(|device| device.secret.is(secret)).map(|device| device.id)
    }

    /// The record with this device alone and these recovery codes. The user's override is kept.
    pub fn record(
        &self,
        account: &Account,
        user_override: Override,
        enrollment: EnrollmentId,
        recovery: Option<RecoverySet>,
    ) -> Record {
        let (device, progress) = self.device();
        let device = Device { id: DeviceId(1), ..device };
        Record::begin(account, enrollment, user_override, vec![(device, progress)], recovery)
    }
}

/// RFC 3986 §2.3: every byte becomes `%XX`, except unreserved characters.
pub fn percent_encoded(text: &str) -> String {
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
    use crate::codes::hotp_totp::Drift;
    use crate::config::Config;
    use crate::decision::verify::{Refusal, Verdict, decide};
    use crate::record::credentials::Serial;
    use crate::record::state::State;
    use crate::testing::fixtures::{LIMITS, NOW, STEP, alice, code_of, phone, record, shown, ten_codes};
    use crate::value::time::Seconds;

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("test"), &format!("[code]\n{text}")).unwrap()
    }

    fn pending(config: &Config) -> Pending {
        let seed = Zeroizing::new(vec![1; config.settings.code.algorithm.seed_length()]);
        Pending::new(seed, DeviceName::parse("phone").unwrap(), &config.settings.code, config.settings.limits.window)
            .unwrap()
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
                let pending = Pending::new(Zeroizing::new(vec![1; wrong]), name, &config.settings.code, 1);
                assert_eq!(pending.is_some(), fits, "{algorithm} with {wrong} bytes");
            }
        }
    }

    #[test]
    fn a_code_inside_the_window_confirms_and_none_outside() {
        for (window, offset, confirms) in [(0, 0, true), (0, 1, false), (1, 1, true), (1, 2, false), (3, 3, true)] {
            for step in [STEP - offset, STEP + offset] {
                let confirmed = pending(&config(&format!("window = {window}"))).confirm(&its_code(step), None, NOW);
                assert_eq!(confirmed.is_ok(), confirms, "window {window}, step {step}");
            }
        }
    }

    #[test]
    fn the_confirming_code_is_used_up() {
        for step in [STEP - 1, STEP, STEP + 1] {
            let confirmed = pending(&config("")).confirm(&its_code(step), None, NOW).ok().unwrap();
            let (enrollment, set) = (EnrollmentId([9; 16]), ten_codes());
            let record = confirmed.record(&alice(), Override::Required, enrollment, Some(set.clone()));
            assert_eq!(record.state.nexts(), [(1, step + 1)]);
            for used in STEP - 1..=step {
                let (_, verdict) = decide(&LIMITS, &record, &shown(&phone(1), used), NOW);
                assert_eq!(verdict, Verdict::Refused(Refusal::Replayed { clock_behind: None }));
            }
            // It is still one that was used, minutes after the first login.
            let then = NOW.after(Seconds(300));
            let (state, _) = decide(&LIMITS, &record, &shown(&phone(1), STEP + 10), then);
            let later = Record { credentials: record.credentials.duplicate(), state };
            let (_, verdict) = decide(&LIMITS, &later, &shown(&phone(1), step), then);
            assert_eq!(verdict, Verdict::Refused(Refusal::Replayed { clock_behind: None }));
            let Credentials { user, uid, enrollment, user_override, devices, recovery, .. } = record.credentials;
            assert_eq!((user, uid, enrollment), (alice().name, 1000, EnrollmentId([9; 16])));
            assert_eq!((user_override, recovery), (Override::Required, Some(set)));
            assert_eq!(
                (devices.len(), devices[0].created, devices[0].kind.clone()),
                (1, NOW, Kind::Totp(Clock::of_app(Period::THIRTY)))
            );
            assert_eq!(record.state, State { devices: record.state.devices.clone(), ..State::new(enrollment) });
        }
    }

    #[test]
    fn after_a_wrong_code_the_right_one_still_confirms() {
        let pending = pending(&config(""));
        let why = pending.confirm(&code_of(&phone(99), STEP), None, NOW).err();
        assert_eq!(why, Some(Missing::Wrong { clock_off: None }));
        assert!(pending.confirm(&its_code(STEP), None, NOW).is_ok());
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
            let why = pending(&config("")).confirm(&code, None, NOW).err().unwrap();
            assert_eq!(why, Missing::Wrong { clock_off: expected }, "{offset} steps");
        }
        let slow = config("period = 60");
        let why = pending(&slow).confirm(&its_code(NOW.0 / 60 + 5), None, NOW).err().unwrap();
        assert_eq!(why, Missing::Wrong { clock_off: Some(300) });
    }

    #[test]
    fn a_device_confirms_at_the_ends_of_time_without_overflow() {
        for (now, step) in [(UnixTime(0), 0), (UnixTime(u64::MAX), u64::MAX / 30)] {
            assert!(pending(&config("")).confirm(&its_code(step), None, now).is_ok());
            assert!(pending(&config("")).confirm(&code_of(&phone(99), 0), None, now).is_err());
        }
    }

    #[test]
    fn a_pending_device_shows_its_seed_and_the_shape_of_its_codes() {
        let pending = pending(&config("digits = 7\nperiod = 60"));
        assert_eq!(pending.secret().expose(), [1; 20]);
        let (algorithm, digits, period) = pending.shape();
        assert_eq!((algorithm, digits.get(), period.get()), (Algorithm::Sha1, 7, 60));
    }

    fn of_token(kind: Kind, counter: u64) -> Pending {
        Pending::token(Device { kind, serial: Serial::parse("GALT1"), ..phone(1) }, 1, counter, &[7; 64]).unwrap()
    }

    /// Next counter and drift after these codes, or what is missing.
    fn confirmed(pending: &Pending, first: u64, next: Option<u64>) -> Result<(u64, Kind), Missing> {
        let next = next.map(its_code);
        let confirmed = pending.confirm(&its_code(first), next.as_ref(), NOW)?;
        let (device, progress) = confirmed.device();
        assert_eq!((device.created, progress.is_confirmed, progress.used), (NOW, true, None));
        Ok((progress.next, device.kind))
    }

    #[test]
    fn a_token_that_counts_is_found_near_its_counter_by_one_code_and_farther_by_two() {
        for start in [0, 500] {
            let of = |first, next| confirmed(&of_token(Kind::Hotp, start), first, next);
            assert_eq!(of(start, None), Ok((start + 1, Kind::Hotp)));
            assert_eq!(of(start + 10, None), Ok((start + 11, Kind::Hotp)));
            assert_eq!(of(start + 11, None), Err(Missing::NextCode));
            assert_eq!(of(start + 11, Some(start + 12)), Ok((start + 13, Kind::Hotp)));
            assert_eq!(of(start + 1000, Some(start + 1001)), Ok((start + 1002, Kind::Hotp)));
            for (first, next) in
                [(start + 1001, None), (start + 1001, Some(start + 1002)), (start + 11, Some(start + 13))]
            {
                assert_eq!(of(first, next), Err(Missing::Wrong { clock_off: None }), "{first}");
            }
        }
        assert_eq!(confirmed(&of_token(Kind::Hotp, 500), 499, None), Err(Missing::Wrong { clock_off: None }));
    }

    #[test]
    fn a_token_with_a_clock_is_found_in_the_window_by_one_code_and_within_its_drift_by_two() {
        let kind = |drift| Kind::Totp(Clock { period: Period::THIRTY, drift: Drift::of(drift) });
        let of = |first, next| confirmed(&of_token(kind(0), 0), first, next);
        assert_eq!(of(STEP + 1, None), Ok((STEP + 2, kind(0))));
        assert_eq!(of(STEP + 2, None), Err(Missing::NextCode));
        assert_eq!(of(STEP + 7, Some(STEP + 8)), Ok((STEP + 9, kind(8))));
        assert_eq!(of(STEP - 9, Some(STEP - 8)), Ok((STEP - 7, kind(-8))));
        assert_eq!(of(STEP + 22, None), Err(Missing::Wrong { clock_off: None }));
        assert_eq!(of(STEP + 7, Some(STEP + 9)), Err(Missing::Wrong { clock_off: None }));
    }

    #[test]
    fn a_token_that_is_added_again_accepts_no_code_up_to_the_present_one() {
        let kind = Kind::Totp(Clock { period: Period::THIRTY, drift: Drift::of(0) });
        let (device, progress) = of_token(kind, 0).unconfirmed(NOW);
        let mut record = record(vec![]);
        assert_eq!(record.add_device(device, progress), Ok(DeviceId(1)));
        for (step, is_used) in [(STEP - 1, true), (STEP, true), (STEP + 1, false)] {
            let (_, verdict) = decide(&LIMITS, &record, &shown(&phone(1), step), NOW);
            assert_eq!(matches!(verdict, Verdict::Accepted(_)), !is_used, "{step}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Refused(Refusal::Replayed { .. })), is_used, "{step}: {verdict:?}");
        }
    }

    #[test]
    fn an_unconfirmed_token_is_confirmed_by_its_first_right_code() {
        for (kind, step) in
            [(Kind::Hotp, 505), (Kind::Totp(Clock { period: Period::THIRTY, drift: Drift::of(0) }), STEP + 1)]
        {
            let (device, progress) = of_token(kind, 500).unconfirmed(NOW);
            let mut record = record(vec![]);
            assert_eq!(record.add_device(device, progress), Ok(DeviceId(1)));
            let (state, verdict) = decide(&LIMITS, &record, &shown(&phone(99), step), NOW);
            assert!(
                matches!(verdict, Verdict::Refused(Refusal::Wrong { .. }))
                    && !state.devices.get(DeviceId(1)).unwrap().is_confirmed
            );
            let (state, verdict) = decide(&LIMITS, &record, &shown(&phone(1), step), NOW);
            assert!(matches!(verdict, Verdict::Accepted(_)) && state.devices.get(DeviceId(1)).unwrap().is_confirmed);
        }
    }
}
