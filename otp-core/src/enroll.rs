//! Enrolment as steps that cannot be skipped: an offer, a confirmed device, a record.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::attempt::Code;
use crate::config::CodeConfig;
use crate::oath::{Algorithm, Digits, Generator, Period};
use crate::record::{Credentials, Device, DeviceId, DeviceName, EnrolmentId, Kind, Record, Requirement, State};
use crate::recovery::RecoverySet;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::user::Account;

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
        let mut uri = Zeroizing::new(String::with_capacity(1024));
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
        let within = |steps| present.saturating_sub(steps)..=present.saturating_add(steps);
        match generator.find(code, within(self.window)) {
            // The confirming code is spent too: the mark starts above it.
            Some(step) => Ok(Confirmed { next: step.saturating_add(1), at: now, pending: self }),
            None => {
                let steps = generator.find(code, within(SEARCH)).and_then(|step| step.checked_signed_diff(present));
                let period = i64::try_from(self.period.get()).ok();
                let clock_off = steps.zip(period).map(|(steps, period)| steps.saturating_mul(period));
                Err(NotConfirmed { pending: self, clock_off })
            }
        }
    }
}

impl Confirmed {
    /// The record with this as the only device and these recovery codes. A requirement set for the user stays.
    pub fn record(
        &self,
        account: &Account,
        requirement: Requirement,
        enrolment: EnrolmentId,
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
        let mut state = State::new(enrolment);
        state.marks.insert(device.id, self.next);
        let credentials = Credentials {
            user: account.name.clone(),
            uid: account.uid,
            enrolment,
            requirement,
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
