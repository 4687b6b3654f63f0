//! The verdict on one attempt, as a pure function: no clock, no file, no log.

use std::{iter, mem};

use zeroize::Zeroizing;

use crate::codes::attempt::{Attempt, Code};
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Generator, LOOK_AHEAD, Period, around};
use crate::decision::challenge::Answered;
use crate::decision::kinds::Kinds;
use crate::decision::policy::SecondFactor;
use crate::record::Record;
use crate::record::credentials::{Device, DeviceName, Kind};
use crate::record::id::DeviceId;
use crate::record::seal::Shut;
use crate::record::state::{Lock, Progress, State};
use crate::value::destination::Channel;
use crate::value::login_context::LoginContext;
use crate::value::secret::Secret;
use crate::value::time::{Seconds, UnixTime};

/// How long an earlier step that was accepted is still known to be used, behind the last accepted one: programs that keep a
/// password send password and code again.
const LOOK_BACK: Seconds = Seconds(3600);

/// The limits from `[code]` and `[lockout]` of the configuration, and what the policy accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TOTP steps accepted on each side of the present one.
    pub window: u64,
    /// Number of wrong codes in a row that locks.
    pub lock_after: u32,
    pub lock_for: LockFor,
    /// The kinds of device whose codes are accepted: every kind, until a ruling says otherwise.
    pub devices: Kinds,
}

/// How long a lock stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFor {
    /// The lock ends by itself; after that, one more wrong code locks again.
    Time(Seconds),
    /// Only an administrator ends it.
    UntilUnlocked,
}

/// The result for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A second factor was verified.
    Accepted(Accepted),
    /// No second factor was verified. This is an answer, not an error.
    Refused(Refusal),
}

/// How a second factor was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub factor: Factor,
    /// Unused recovery codes; `None` if none were issued.
    pub recovery_left: Option<u8>,
    /// Wrong codes since the last right one, before this one.
    pub failures: u32,
}

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A time-based code of this device.
    Totp(DeviceId),
    /// A counter-based code of this device.
    Hotp(DeviceId),
    /// This device's response to a challenge.
    Ocra(DeviceId),
    /// A code that was sent to this device.
    Sent(Channel, DeviceId),
    /// A recovery code.
    Recovery,
    /// A scratch code, which came from google-authenticator.
    Scratch,
    /// A passcode, which an administrator issued.
    Passcode,
    /// A recovery code of this host, for when no verifier of the fleet answers.
    BreakGlass,
    /// Nothing now: a second factor was accepted from this address within the grace period.
    Grace,
}

/// Why an attempt was refused. Only the audit log tells: the user sees one message for all refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The code matches no device.
    Wrong {
        /// Wrong codes since the last right one, this one included.
        failures: u32,
        /// How far the clock is behind the last login, if it is: right codes then look wrong.
        clock_behind: Option<Seconds>,
    },
    /// The code was used already: it is the code of the device's last accepted step or counter, of an earlier one in the
    /// window, or of one that was accepted in the last hour.
    Replayed {
        /// How far the clock is behind the last login, if it is.
        clock_behind: Option<Seconds>,
    },
    /// The recovery code or scratch code was used already.
    RecoveryUsed,
    /// The recovery code is not in the user's list. It does not count as a wrong code: 80 bits cannot be guessed.
    RecoveryUnknown,
    /// The passcode was used already.
    PasscodeUsed,
    /// It is not the passcode that was issued. It does not count as a wrong code: 60 bits cannot be guessed.
    PasscodeUnknown,
    /// The passcode has ended, or a user who should have enrolled with it comes after its end.
    PasscodeExpired,
    /// The passcode is good for another service, or for logins and not for this change.
    PasscodeElsewhere,
    /// The code belongs to a device of a kind that the policy does not accept here, and to no other; or the user has only
    /// such devices, whatever the code is.
    KindNotAccepted {
        /// Wrong codes since the last right one, this one included, where this one was wrong, or the record is locked. `None`
        /// if the code was right: then it is neither used up nor counted.
        failures: Option<u32>,
    },
    /// The record is locked after too many wrong codes. The refusal does not tell whether this code was right.
    Locked(Lock),
    /// The text is no code.
    Malformed,
    /// The user has no device.
    NotEnrolled,
    /// The user has no device, and the policy is `enroll`, but the PAM line does not offer enrollment.
    EnrollmentNotOffered,
    /// The account has no record, but its number is that of a record whose account is gone: it was renamed, or the number
    /// went to another person.
    Renamed,
    /// The account does not exist.
    UnknownUser,
    /// A seed or a hash is needed, and it is sealed and cannot be opened. It does not count as a wrong code.
    Sealed(Shut),
    /// The service that asks has sent too many wrong codes. The refusal does not tell whether this code was right.
    HostBudget,
    /// The authority of a fleet does not let this host ask. The refusal does not tell whether this code was right.
    HostNotPermitted,
}

impl Factor {
    /// The word in log and pipe.
    pub fn word(self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Hotp(_) => "hotp",
            Self::Ocra(_) => "ocra",
            Self::Sent(channel, _) => channel.word(),
            Self::Recovery => "recovery",
            Self::Scratch => "scratch",
            Self::Passcode => "passcode",
            Self::BreakGlass => "break-glass",
            Self::Grace => "grace",
        }
    }

    /// A code of this device.
    pub(crate) fn of(device: &Device) -> Self {
        match &device.kind {
            Kind::Totp(_) => Self::Totp(device.id),
            Kind::Hotp => Self::Hotp(device.id),
            Kind::Ocra(_) => Self::Ocra(device.id),
            Kind::Sent(destination) => Self::Sent(destination.channel(), device.id),
        }
    }

    /// The device whose code it was.
    pub fn device(self) -> Option<DeviceId> {
        match self {
            Self::Totp(device) | Self::Hotp(device) | Self::Ocra(device) | Self::Sent(_, device) => Some(device),
            Self::Recovery | Self::Scratch | Self::Passcode | Self::BreakGlass | Self::Grace => None,
        }
    }
}

impl Refusal {
    /// What an administrator does about [`Refusal::Renamed`].
    pub const HINT_OF_RENAMED: &str = "the account was renamed, or its number went to another person: `otp-enroll admin \
                                       doctor` names the old record; then `otp-enroll admin rename OLD NEW`, or \
                                       `otp-enroll admin disable OLD`";

    /// Whether a budget of guesses counts it: a wrong code, or one that is not told from a wrong one.
    pub fn is_guess(self) -> bool {
        matches!(self, Self::Wrong { .. } | Self::KindNotAccepted { failures: Some(_) })
    }

    /// The word in log (`why=`), pipe, state and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong",
            Self::Replayed { .. } => "replayed",
            Self::RecoveryUsed => "recovery-used",
            Self::RecoveryUnknown => "recovery-unknown",
            Self::PasscodeUsed => "passcode-used",
            Self::PasscodeUnknown => "passcode-unknown",
            Self::PasscodeExpired => "passcode-expired",
            Self::PasscodeElsewhere => "passcode-elsewhere",
            Self::KindNotAccepted { .. } => "kind-not-accepted",
            Self::Locked(_) => "locked",
            Self::Malformed => "malformed",
            Self::NotEnrolled => "not-enrolled",
            Self::EnrollmentNotOffered => "enrollment-not-offered",
            Self::HostBudget => "host-budget",
            Self::HostNotPermitted => "host-not-permitted",
            Self::Renamed => "renamed",
            Self::UnknownUser => "unknown-user",
            Self::Sealed(why) => why.word(),
        }
    }
}

impl Refusal {
    /// The reason for a refused code: another one if the user has devices, but none of these kinds. The count and the lock are
    /// as for all others: what is right here must not be found out.
    fn where_accepted(self, devices: Kinds, record: &Record, failures: u32) -> Self {
        let has_none = record.is_enrolled() && !record.credentials.has_device_of(devices);
        let is_hidden = has_none && matches!(self, Self::Wrong { .. } | Self::Locked(_));
        if is_hidden { Self::KindNotAccepted { failures: Some(failures) } } else { self }
    }
}

impl Verdict {
    /// The verdict on a login of a user without a device: under `enroll` the reason is that the PAM line does not offer
    /// enrollment, or that the passcode has expired, whatever was typed. Where password and code are typed as one, a
    /// password without a code is what such a user types.
    pub fn without_device(self, second_factor: SecondFactor, has_expired_passcode: bool, login: &LoginContext) -> Self {
        match (self, second_factor) {
            (
                Self::Refused(
                    Refusal::PasscodeUsed | Refusal::PasscodeExpired | Refusal::PasscodeElsewhere | Refusal::Sealed(_),
                ),
                _,
            ) => self,
            // Where password and code are typed as one, what looks like a code may belong to the password.
            (Self::Refused(_), SecondFactor::Enroll) if has_expired_passcode && !login.as_one => {
                Self::Refused(Refusal::PasscodeExpired)
            }
            // The record holds a passcode: that is what the user has to type.
            (Self::Refused(Refusal::PasscodeUnknown), _) => self,
            (Self::Refused(_), SecondFactor::Enroll) if !login.enroll => Self::Refused(Refusal::EnrollmentNotOffered),
            (Self::Refused(Refusal::Malformed), _) if login.as_one => Self::Refused(Refusal::NotEnrolled),
            (Self::Refused(_) | Self::Accepted(_), _) => self,
        }
    }
}

/// Decides on an attempt at a login: the state to write and the verdict.
///
/// The state is unchanged unless a right code was used up or a wrong one counted.
pub fn decide_login(
    limits: &Limits,
    record: &Record,
    attempt: &Attempt,
    login: &LoginContext,
    now: UnixTime,
) -> (State, Verdict) {
    match attempt {
        Attempt::Passcode(passcode) => record.decide_on_passcode(passcode, Some(&login.service), now),
        Attempt::Code(_) | Attempt::Recovery(_) | Attempt::Malformed => decide(limits, record, attempt, now),
    }
}

/// Decides on an attempt that is to prove a change of devices: as at a login, but a passcode proves nothing here.
pub fn decide(limits: &Limits, record: &Record, attempt: &Attempt, now: UnixTime) -> (State, Verdict) {
    let mut state = record.state.clone();
    let verdict = match attempt {
        Attempt::Recovery(code) => match record.credentials.recovery.as_ref().map(|set| set.find(code)) {
            Some(Some(position)) if state.used.mark(position) => accept(&mut state, record, Factor::Recovery, now),
            Some(Some(_)) => Verdict::Refused(Refusal::RecoveryUsed),
            Some(None) => Verdict::Refused(Refusal::RecoveryUnknown),
            None if !record.is_enrolled() => Verdict::Refused(Refusal::NotEnrolled),
            None => Verdict::Refused(Refusal::RecoveryUnknown),
        },
        Attempt::Code(code) => {
            // The HMACs are computed for every user, enrolled or not, locked or not, so that timing reveals neither.
            let found = find(limits, record, code, now);
            let scratch = record.credentials.find_scratch(code);
            state.lock = bounded(state.lock, limits, now);
            let is_open = record.is_enrolled() && !is_locked(state.lock, now);
            let is_right = found.iter().any(|found| found.is_accepted && found.at.is_some());
            let of_device = if is_open && is_right { use_up(&found, &mut state) } else { None };
            // Digits that are a device's code and a scratch code, by chance, are used up as both.
            let is_unused = scratch.is_some_and(|position| is_open && state.scratch_used.mark(position));
            match of_device.or(is_unused.then_some(Factor::Scratch)) {
                Some(factor) => accept(&mut state, record, factor, now),
                None => {
                    let refusal = if !record.is_enrolled() {
                        Refusal::NotEnrolled
                    } else if !is_open {
                        Refusal::Locked(state.lock)
                    } else if found.iter().any(|found| found.is_accepted) {
                        Refusal::Replayed { clock_behind: clock_behind(limits, record, now) }
                    } else if scratch.is_some() {
                        Refusal::RecoveryUsed
                    } else if !found.is_empty() {
                        Refusal::KindNotAccepted { failures: None }
                    } else if let Some(why) = record.credentials.shut_to_codes() {
                        Refusal::Sealed(why)
                    } else {
                        count_failure(&mut state, limits, record, now)
                    };
                    Verdict::Refused(refusal.where_accepted(limits.devices, record, state.failures))
                }
            }
        }
        Attempt::Passcode(_) if record.is_enrolled() => Verdict::Refused(Refusal::PasscodeElsewhere),
        Attempt::Passcode(_) => Verdict::Refused(Refusal::NotEnrolled),
        Attempt::Malformed => Verdict::Refused(Refusal::Malformed),
    };
    (state, verdict)
}

/// The verdict that [`decide_login`] would reach, for a code that is only looked at. The work is the same whether it is right or
/// wrong, so that the time does not tell a client without the right password which it was.
pub fn look(limits: &Limits, record: &Record, attempt: &Attempt, login: &LoginContext, now: UnixTime) -> Verdict {
    decide_login(limits, record, attempt, login, now).1
}

/// A device that shows the code that was typed, or did.
struct Found {
    device: DeviceId,
    factor: Factor,
    /// `None` if the code is not in the window, and was used.
    at: Option<At>,
    /// Whether the device is of a kind that is accepted.
    is_accepted: bool,
}

enum At {
    /// A step or counter, which is used if it is below the device's next one.
    Counter(u64),
    Challenge(Answered),
}

/// Marks the matched step or counter of every device as used, of whatever kind: a code works once. Returns the first device of
/// an accepted kind for which it was unused, `None` on replay.
fn use_up(found: &[Found], state: &mut State) -> Option<Factor> {
    let mut factor = None;
    for Found { device, at, factor: this, is_accepted } in found {
        let progress = state.devices.get_mut(*device)?;
        let is_unused = match at {
            Some(At::Counter(counter)) if progress.next <= *counter => {
                progress.use_up(*counter)?;
                true
            }
            Some(At::Counter(_)) | None => false,
            Some(At::Challenge(Answered { place, next })) => {
                progress.move_to(*next);
                state.challenges.get_mut(*place).is_some_and(|challenge| !mem::replace(&mut challenge.is_used, true))
            }
        };
        factor = factor.or((is_unused && *is_accepted).then_some(*this));
    }
    factor
}

/// Every device that has the code in its window, or of which it was used: a phone's last accepted one, whenever that was, and those
/// that were accepted in the last hour; a response to a challenge, as long as the state remembers it. A code that was never used
/// is not found once it is out of the window.
///
/// Computes all of these codes of all devices in any case: a person who can stop or end this process must not know before it is
/// written whether the code was right.
fn find(limits: &Limits, record: &Record, code: &Code, now: UnixTime) -> Vec<Found> {
    let decoy = decoy();
    let devices = &record.credentials.devices;
    let devices = if devices.is_empty() { decoy.as_slice() } else { devices.as_slice() };
    let mut found = Vec::with_capacity(devices.len());
    for device in devices {
        // Nothing is known of the decoy.
        let unknown = Progress::from(0);
        let progress = record.state.devices.get(device.id).unwrap_or(&unknown);
        let (at, was_used) = match device.kind {
            Kind::Totp(clock) => in_time(device, clock, progress, code, limits.window, now),
            Kind::Hotp => (in_turn(device, progress, code), false),
            Kind::Ocra(_) | Kind::Sent(_) => {
                let answered = record.answered(device, code, limits.window, now).map(At::Challenge);
                (answered, record.has_answered(device, code, limits.window))
            }
        };
        if at.is_some() || was_used {
            let is_accepted = limits.devices.accept(device);
            found.push(Found { device: device.id, factor: Factor::of(device), at, is_accepted });
        }
    }
    found
}

/// The step in the window, and whether the code was used before. Two steps in a window can give equal digits (1 in 10⁶), which
/// must be accepted only once: of these the later one, so that the code is not accepted again once the window has moved.
fn in_time(
    device: &Device,
    clock: Clock,
    progress: &Progress,
    code: &Code,
    window: u64,
    now: UnixTime,
) -> (Option<At>, bool) {
    let Some((generator, is_open)) = generator_of(device) else { return (None, false) };
    let in_window = generator.find(code, around(clock.step_at(now), window, window));
    let last = progress.next.saturating_sub(1);
    let hour_ago = clock.step_at(UnixTime(now.0.saturating_sub(LOOK_BACK.0)));
    let earlier = progress.accepted_lately().filter(|step| (hour_ago..last).contains(step));
    let was_used = iter::once(last).chain(earlier).fold(false, |was_used, step| {
        let is_equal = generator.find(code, step..=step).is_some();
        was_used | (is_equal && step < progress.next)
    });
    (in_window.filter(|_| is_open).map(|steps| At::Counter(*steps.end())), was_used && is_open)
}

/// The counter in the window: of two with equal digits the earlier one, so that unused codes between the two stay valid. It stays
/// in the window until the later one is used.
fn in_turn(device: &Device, progress: &Progress, code: &Code) -> Option<At> {
    let (generator, is_open) = generator_of(device)?;
    let in_window = generator.find(code, around(progress.next, LOOK_AHEAD, LOOK_AHEAD));
    in_window.filter(|_| is_open && !progress.awaits_resync).map(|counters| At::Counter(*counters.start()))
}

/// The codes of a device, and whether any of them may be found: what is sealed takes the time of a seed, too, which is zeros then.
fn generator_of(device: &Device) -> Option<(Generator, bool)> {
    let zeros = if device.secret.open().is_some() { None } else { zeros() };
    let seed = device.secret.open().or(zeros.as_ref())?;
    Some((Generator::new(seed, device.algorithm, device.digits), zeros.is_none()))
}

impl State {
    /// A code that proves nothing here ends no lock and no count: else who has such a device could guess codes of another one
    /// for ever.
    pub(crate) fn keep_count(&mut self, before: &Self, limits: &Limits, device: Option<&Device>) {
        if device.is_some_and(|device| !limits.devices.accept(device)) {
            (self.failures, self.lock) = (before.failures, before.lock);
        }
    }
}

/// Takes the place of a device for users without one, so that the work is equal. Its codes are never accepted.
fn decoy() -> Option<Device> {
    Some(Device {
        id: DeviceId(0),
        name: DeviceName::parse("decoy")?,
        kind: Kind::Totp(Clock::of_app(Period::THIRTY)),
        secret: zeros()?.into(),
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        created: UnixTime(0),
        serial: None,
    })
}

/// Takes the place of a seed, so that the work is equal.
fn zeros() -> Option<Secret> {
    Secret::new(Zeroizing::new(vec![0; 20])).ok()
}

pub(crate) fn accept(state: &mut State, record: &Record, factor: Factor, now: UnixTime) -> Verdict {
    let failures = mem::take(&mut state.failures);
    state.lock = Lock::Open;
    state.last_accepted = Some(now);
    if let Some(progress) = factor.device().and_then(|device| state.devices.get_mut(device)) {
        (progress.used, progress.is_confirmed) = (Some(now), true);
    }
    let recovery_left = record.credentials.recovery_left(state);
    Verdict::Accepted(Accepted { factor, recovery_left, failures })
}

/// Whether recovery codes and passcodes alone are accepted now.
pub fn is_locked(lock: Lock, now: UnixTime) -> bool {
    match lock {
        Lock::Open => false,
        Lock::Until(time) => now < time,
        Lock::UntilUnlocked => true,
    }
}

/// A timed lock ends `lockout.for` from now at the latest: one that ends later was made by a clock that was ahead. The state
/// keeps the earlier end, which would move on with each try otherwise.
pub(crate) fn bounded(lock: Lock, limits: &Limits, now: UnixTime) -> Lock {
    match (lock, limits.lock_for) {
        (Lock::Until(end), LockFor::Time(length)) => Lock::Until(end.min(now.after(length))),
        (Lock::Until(_), LockFor::UntilUnlocked) | (Lock::Open | Lock::UntilUnlocked, _) => lock,
    }
}

/// A timed lock does not clear the count, so that the first wrong code after it locks again.
pub(crate) fn count_failure(state: &mut State, limits: &Limits, record: &Record, now: UnixTime) -> Refusal {
    state.failures = state.failures.saturating_add(1);
    if state.failures >= limits.lock_after {
        state.lock = match limits.lock_for {
            LockFor::Time(length) => Lock::Until(now.after(length)),
            LockFor::UntilUnlocked => Lock::UntilUnlocked,
        };
    }
    Refusal::Wrong { failures: state.failures, clock_behind: clock_behind(limits, record, now) }
}

/// The earliest moment at which the last code of a phone can have been accepted.
pub(crate) fn last_login(limits: &Limits, state: &State, device: &Device) -> Option<UnixTime> {
    match device.kind {
        Kind::Totp(clock) => {
            let last = state.next(device.id)?.saturating_sub(1);
            Some(clock.time_of(last.saturating_sub(limits.window)))
        }
        Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => None,
    }
}

/// How far the clock is behind the earliest moment at which the last TOTP code can have been accepted.
fn clock_behind(limits: &Limits, record: &Record, now: UnixTime) -> Option<Seconds> {
    let devices = record.credentials.devices.iter();
    devices.filter_map(|device| now.until(last_login(limits, &record.state, device)?)).max()
}

#[cfg(test)]
mod tests;
