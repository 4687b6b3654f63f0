//! The decision about one attempt, as a pure function: no clock, no file, no log.

use zeroize::Zeroizing;

use crate::codes::attempt::{Attempt, Code};
use crate::codes::hotp_totp::{Algorithm, Digits, Generator, Period, around};
use crate::record::Record;
use crate::record::credentials::{Device, DeviceName, Kind};
use crate::record::id::DeviceId;
use crate::record::state::{Lock, State};
use crate::value::secret::Secret;
use crate::value::time::{Seconds, UnixTime};

/// How many HOTP codes may have been shown and not used since the last login (RFC 4226 §7.4 calls it s).
const LOOK_AHEAD: u64 = 10;

/// What the site allows, from `[code]` and `[lockout]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TOTP steps accepted on each side of the present one.
    pub window: u64,
    /// Wrong codes in a row that lock.
    pub lock_after: u32,
    /// How long the lock stays.
    pub lock_for: LockFor,
}

/// How long a lock stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFor {
    /// It opens by itself; one more wrong code closes it again.
    Time(Seconds),
    /// An administrator opens it.
    UntilUnlocked,
}

/// The answer to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A second factor was verified.
    Accepted(Accepted),
    /// None was. An answer, not an error.
    Refused(Refusal),
}

/// How a second factor was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// By what.
    pub factor: Factor,
    /// Recovery codes that still work; `None` where none were ever issued.
    pub recovery_left: Option<u8>,
}

/// What verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A time-based code of this device.
    Totp(DeviceId),
    /// A counter-based code of this device.
    Hotp(DeviceId),
    /// A recovery code.
    Recovery,
    /// None now: one was accepted from the same address a moment ago.
    Grace,
}

/// Why an attempt was refused. Only the audit log tells; the person sees one message for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Matches no device.
    Wrong {
        /// Wrong codes since the last right one, this one included.
        failures: u32,
        /// How far the clock lies behind the last login, where it does: then right codes of a device look wrong.
        clock_behind: Option<Seconds>,
    },
    /// Already used: at or below the device's last accepted step or counter.
    Replayed {
        /// How far the clock lies behind the last login, where it does.
        clock_behind: Option<Seconds>,
    },
    /// A recovery code that was used before.
    RecoveryUsed,
    /// A recovery code that is not in the user's list. It does not count as a failure: 80 bits cannot be guessed.
    RecoveryUnknown,
    /// Too many wrong codes; whether this one was right is not said.
    Locked(Lock),
    /// Not understood as a code.
    Malformed,
    /// There is no device.
    NotEnrolled,
    /// There is no such account.
    UnknownUser,
}

impl Factor {
    /// The word in log and pipe.
    pub fn word(self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Hotp(_) => "hotp",
            Self::Recovery => "recovery",
            Self::Grace => "grace",
        }
    }

    /// The device whose code it was.
    pub fn device(self) -> Option<DeviceId> {
        match self {
            Self::Totp(device) | Self::Hotp(device) => Some(device),
            Self::Recovery | Self::Grace => None,
        }
    }
}

impl Refusal {
    /// The word in log (`why=`), pipe, state and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong",
            Self::Replayed { .. } => "replayed",
            Self::RecoveryUsed => "recovery-used",
            Self::RecoveryUnknown => "recovery-unknown",
            Self::Locked(_) => "locked",
            Self::Malformed => "malformed",
            Self::NotEnrolled => "not-enrolled",
            Self::UnknownUser => "unknown-user",
        }
    }
}

/// What to do with an attempt at `now`: the state to keep and the answer to give.
///
/// The state returned is the record's own, unchanged, unless a right code was spent or a wrong one counted.
pub fn decide(limits: &Limits, record: &Record, attempt: &Attempt, now: UnixTime) -> (State, Verdict) {
    let mut state = record.state.clone();
    let verdict = match attempt {
        Attempt::Recovery(code) => match record.credentials.recovery.as_ref().map(|set| set.find(code)) {
            Some(Some(place)) if !state.is_used(place) => {
                state.use_up(place);
                accept(&mut state, record, Factor::Recovery, now)
            }
            Some(Some(_)) => Verdict::Refused(Refusal::RecoveryUsed),
            Some(None) => Verdict::Refused(Refusal::RecoveryUnknown),
            None if !record.is_enrolled() => Verdict::Refused(Refusal::NotEnrolled),
            None => Verdict::Refused(Refusal::RecoveryUnknown),
        },
        Attempt::Code(code) => {
            // The same HMACs are computed for everybody, enrolled or not, locked or not, right or wrong.
            let found = find(limits, record, code, now);
            if !record.is_enrolled() {
                Verdict::Refused(Refusal::NotEnrolled)
            } else if is_locked(state.lock, now) {
                Verdict::Refused(Refusal::Locked(state.lock))
            } else if let Some(factor) = spend(&found, &mut state) {
                accept(&mut state, record, factor, now)
            } else if !found.is_empty() {
                Verdict::Refused(Refusal::Replayed { clock_behind: clock_behind(limits, record, now) })
            } else {
                Verdict::Refused(count_failure(&mut state, limits, record, now))
            }
        }
        Attempt::Malformed => Verdict::Refused(Refusal::Malformed),
    };
    (state, verdict)
}

/// A place in a device's window whose code was typed.
struct Found {
    device: DeviceId,
    factor: Factor,
    counter: u64,
}

/// Raises each device's mark above the code it showed. The first device whose mark was not above it already is the factor.
fn spend(found: &[Found], state: &mut State) -> Option<Factor> {
    let mut factor = None;
    for Found { device, counter, factor: this } in found {
        if let Some(mark) = state.next.get_mut(device).filter(|mark| **mark <= *counter) {
            *mark = counter.checked_add(1)?;
            factor = factor.or(Some(*this));
        }
    }
    factor
}

/// Every device that shows the code somewhere in its window. Looks at all of them, whatever it finds.
fn find(limits: &Limits, record: &Record, code: &Code, now: UnixTime) -> Vec<Found> {
    let decoy = decoy();
    let devices = &record.credentials.devices;
    let devices = if devices.is_empty() { decoy.as_slice() } else { devices.as_slice() };
    let mut found = Vec::with_capacity(devices.len());
    for device in devices {
        let mark = record.state.next.get(&device.id).copied().unwrap_or(u64::MAX);
        let window = match device.kind {
            Kind::Totp(period) => around(period.step_at(now), limits.window, limits.window),
            Kind::Hotp => around(mark, LOOK_AHEAD, LOOK_AHEAD),
        };
        let generator = Generator::new(&device.secret, device.algorithm, device.digits);
        if let Some(places) = generator.find(code, window) {
            // By chance two places in a window have the same digits, which may still be accepted only once. Of two steps
            // it is the later, since the window leaves the earlier behind. Of two counters it is the earlier, which stays
            // in the window for as long as the later is to come: so the codes between stay good.
            let (counter, factor) = match device.kind {
                Kind::Totp(_) => (*places.end(), Factor::Totp(device.id)),
                Kind::Hotp => (*places.start(), Factor::Hotp(device.id)),
            };
            found.push(Found { device: device.id, factor, counter });
        }
    }
    found
}

/// Stands in where there is no device, so that the work is the same. Nothing it finds can be accepted.
fn decoy() -> Option<Device> {
    Some(Device {
        id: DeviceId(0),
        name: DeviceName::parse("decoy")?,
        kind: Kind::Totp(Period::THIRTY),
        secret: Secret::new(Zeroizing::new(vec![0; 20])).ok()?,
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        created: UnixTime(0),
    })
}

fn accept(state: &mut State, record: &Record, factor: Factor, now: UnixTime) -> Verdict {
    state.failures = 0;
    state.lock = Lock::Open;
    state.last_accepted = Some(now);
    let recovery_left = record.credentials.recovery_left(state);
    Verdict::Accepted(Accepted { factor, recovery_left })
}

fn is_locked(lock: Lock, now: UnixTime) -> bool {
    match lock {
        Lock::Open => false,
        Lock::Until(time) => now < time,
        Lock::UntilUnlocked => true,
    }
}

/// The count outlives a timed lock, so that the first wrong code after it locks again.
fn count_failure(state: &mut State, limits: &Limits, record: &Record, now: UnixTime) -> Refusal {
    state.failures = state.failures.saturating_add(1);
    if state.failures >= limits.lock_after {
        state.lock = match limits.lock_for {
            LockFor::Time(length) => Lock::Until(now.after(length)),
            LockFor::UntilUnlocked => Lock::UntilUnlocked,
        };
    }
    Refusal::Wrong { failures: state.failures, clock_behind: clock_behind(limits, record, now) }
}

/// How far the clock lies before the earliest moment at which the last TOTP code can have been accepted.
fn clock_behind(limits: &Limits, record: &Record, now: UnixTime) -> Option<Seconds> {
    let earliest = record.credentials.devices.iter().filter_map(|device| match device.kind {
        Kind::Totp(period) => {
            let last = record.state.next.get(&device.id)?.saturating_sub(1);
            Some(UnixTime(last.saturating_sub(limits.window).saturating_mul(period.get())))
        }
        Kind::Hotp => None,
    });
    earliest.filter_map(|time| now.until(time)).max()
}

#[cfg(test)]
mod tests;
