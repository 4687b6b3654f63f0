//! State: what a login changes.

use std::{fmt, iter};

use crate::record::by_device::ByDevice;
use crate::record::id::{DeviceId, EnrollmentId};
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};

/// What earlier logins left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The credentials that this state belongs to.
    pub enrollment: EnrollmentId,
    /// How far each device has come.
    pub devices: ByDevice<Progress>,
    /// The latest last; at most [`MOST_CHALLENGES`].
    pub challenges: Vec<Challenged>,
    /// Wrong codes since the last right one.
    pub failures: u32,
    pub lock: Lock,
    /// Used recovery codes.
    pub used: Used,
    /// Used scratch codes.
    pub scratch_used: Used,
    /// Whether the passcode was used.
    pub passcode_used: bool,
    /// When a second factor was accepted last.
    pub last_accepted: Option<UnixTime>,
    /// Addresses from which a second factor was accepted, the latest last; at most [`MOST_GRACES`].
    pub graces: Vec<Grace>,
    /// The last refusal that was only logged, during a rollout (`enforce = false`).
    pub unenforced: Option<Unenforced>,
}

/// Which codes of a set were used: bit n is the code at position n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used(pub u16);

/// How far a device has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The lowest TOTP step or HOTP counter that is still accepted.
    pub next: u64,
    pub lately: Lately,
    /// When a code of it was accepted last.
    pub used: Option<UnixTime>,
    /// Whether it has shown a right code. An administrator may add a token that has shown none.
    pub is_confirmed: bool,
    /// Whether how far it has come is no longer known, after a restore: its codes wait for a resync.
    pub awaits_resync: bool,
}

/// Which of the 128 steps or counters below the next one were accepted: bit n is the one n + 1 below it. It tells a used code from
/// a wrong one, and lets no user in: that is for [`Progress::next`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lately(pub u128);

/// A device was challenged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenged {
    pub device: DeviceId,
    /// The response is accepted before this time.
    pub until: UnixTime,
    /// ASCII letters and digits.
    pub question: String,
    /// Whether its response was accepted.
    pub is_used: bool,
}

/// A second factor was accepted from this address at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    pub address: Address,
    pub at: UnixTime,
}

/// A refusal that was not enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unenforced {
    pub at: UnixTime,
    /// The refusal's word in the audit log.
    pub why: String,
}

/// Most challenges of one user: a second connection must not void the one that is being answered.
pub const MOST_CHALLENGES: usize = 3;

/// Most addresses in grace of one user.
pub const MOST_GRACES: usize = 4;

/// Lockout. A locked record accepts recovery codes and a passcode only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Not locked.
    Open,
    /// Locked until this time.
    Until(UnixTime),
    /// Locked until an administrator unlocks.
    UntilUnlocked,
}

impl Lock {
    /// The word in state, pipe and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Until(_) => "until",
            Self::UntilUnlocked => "until-unlocked",
        }
    }

    /// Reads what `Display` writes: the word, and after `until` the seconds since the epoch.
    pub fn parse(text: &str) -> Option<Self> {
        let until = || Some(Self::Until(UnixTime(text.strip_prefix("until ")?.parse().ok()?)));
        [Self::Open, Self::UntilUnlocked].into_iter().find(|lock| lock.word() == text).or_else(until)
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Until(time) => write!(f, "{} {}", self.word(), time.0),
            Self::Open | Self::UntilUnlocked => f.write_str(self.word()),
        }
    }
}

impl Progress {
    /// A confirmed device before its first use.
    pub fn from(next: u64) -> Self {
        Self { next, lately: Lately::default(), used: None, is_confirmed: true, awaits_resync: false }
    }

    /// Sets the next step or counter. Those that were accepted lately are forgotten if it falls.
    pub fn move_to(&mut self, next: u64) {
        let rise = next.checked_sub(self.next).and_then(|steps| u32::try_from(steps).ok());
        self.lately = Lately(rise.and_then(|steps| self.lately.0.checked_shl(steps)).unwrap_or(0));
        self.next = next;
    }

    /// The code of this step or counter was accepted.
    pub fn use_up(&mut self, place: u64) -> Option<()> {
        self.move_to(place.checked_add(1)?);
        self.lately.0 |= 1;
        Some(())
    }

    /// Everything is used that was used in either. The next step or counter only rises.
    pub fn join(&mut self, mut other: Self) {
        let next = self.next.max(other.next);
        self.move_to(next);
        other.move_to(next);
        self.lately.0 |= other.lately.0;
        self.awaits_resync |= other.awaits_resync;
    }

    /// The steps or counters that were accepted lately, the latest first.
    pub fn accepted_lately(&self) -> impl Iterator<Item = u64> {
        let (next, mut left) = (self.next, self.lately.0);
        iter::from_fn(move || {
            let below = u64::from(left.trailing_zeros()).saturating_add(1);
            left &= left.checked_sub(1)?;
            next.checked_sub(below)
        })
    }
}

impl State {
    /// The state before the first login, without devices.
    pub fn new(enrollment: EnrollmentId) -> Self {
        Self {
            enrollment,
            devices: ByDevice::new(),
            challenges: Vec::new(),
            failures: 0,
            lock: Lock::Open,
            used: Used::default(),
            scratch_used: Used::default(),
            passcode_used: false,
            last_accepted: None,
            graces: Vec::new(),
            unenforced: None,
        }
    }

    /// The lowest step or counter that is still accepted of a device; `None` if it is not known here.
    pub fn next(&self, device: DeviceId) -> Option<u64> {
        self.devices.get(device).map(|progress| progress.next)
    }

    /// Sets how far devices have come, by their ids.
    #[cfg(test)]
    pub(crate) fn set_nexts(&mut self, nexts: impl IntoIterator<Item = (u8, u64)>) {
        for (id, next) in nexts {
            let known = self.devices.get(DeviceId(id)).copied();
            let mut progress = known.unwrap_or(Progress::from(next));
            progress.move_to(next);
            self.devices.insert(DeviceId(id), progress);
        }
    }

    /// How far all devices have come, by their ids.
    #[cfg(test)]
    pub(crate) fn nexts(&self) -> Vec<(u8, u64)> {
        self.devices.iter().map(|(id, progress)| (id.0, progress.next)).collect()
    }

    /// Adds an address from which a second factor was accepted; drops the oldest if there are too many.
    pub fn begin_grace(&mut self, address: Address, at: UnixTime) {
        self.graces.retain(|grace| grace.address != address);
        self.graces.push(Grace { address, at });
        let surplus = self.graces.len().saturating_sub(MOST_GRACES);
        self.graces.drain(..surplus);
    }

    /// Whether a second factor was accepted from this address, no longer than `length` ago. A time in the future does not
    /// count, and a locked record has no grace.
    pub fn is_in_grace(&self, address: Address, length: Seconds, now: UnixTime) -> bool {
        let fresh = |grace: &Grace| grace.address == address && grace.at <= now && now < grace.at.after(length);
        self.lock == Lock::Open && self.graces.iter().any(fresh)
    }
}

impl Used {
    /// Whether the code at this position was used.
    pub fn has(self, position: u8) -> bool {
        self.0 & bit(position) != 0
    }

    /// Marks the code at this position as used; `false` if it was.
    pub fn mark(&mut self, position: u8) -> bool {
        let is_unused = !self.has(position);
        self.0 |= bit(position);
        is_unused
    }

    /// How many of `issued` codes are unused.
    pub fn left_of(self, issued: u8) -> u8 {
        let used = (0..issued).filter(|position| self.has(*position)).count();
        issued.saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
    }
}

fn bit(position: u8) -> u16 {
    1u16.checked_shl(u32::from(position)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_addresses_are_kept_each_once() {
        let mut state = State::new(EnrollmentId([0; 16]));
        let address = |n: u64| Address::parse(&format!("192.0.2.{n}")).unwrap();
        for n in [1, 2, 3, 1, 4, 5] {
            state.begin_grace(address(n), UnixTime(n));
        }
        let kept: Vec<_> = state.graces.iter().map(|grace| (grace.address.to_string(), grace.at.0)).collect();
        let expected = [3, 1, 4, 5].map(|n| (format!("192.0.2.{n}"), n));
        assert_eq!(kept, expected);
    }

    #[test]
    fn grace_ends_and_never_holds_before_it_began_or_while_locked() {
        let mut state = State::new(EnrollmentId([0; 16]));
        let (here, elsewhere) = (Address::parse("192.0.2.1").unwrap(), Address::parse("192.0.2.2").unwrap());
        state.begin_grace(here, UnixTime(100));
        let in_grace = |state: &State, address, now| state.is_in_grace(address, Seconds(10), UnixTime(now));
        let times = [99, 100, 109, 110, u64::MAX];
        assert_eq!(times.map(|now| in_grace(&state, here, now)), [false, true, true, false, false]);
        assert!(in_grace(&state, Address::parse("::ffff:192.0.2.1").unwrap(), 100));
        assert!(!in_grace(&state, elsewhere, 100));
        state.lock = Lock::Until(UnixTime(50));
        assert!(!in_grace(&state, here, 100));
    }

    #[test]
    fn what_was_accepted_lately_is_known_and_nothing_else() {
        let (mut progress, mut accepted) = (Progress::from(900), vec![]);
        for step in [1000, 1001, 1003, 1100, 1126, 1127, 1128, 1129, 1130] {
            progress.use_up(step).unwrap();
            accepted.insert(0, step);
            assert!(progress.accepted_lately().eq(accepted.iter().copied().filter(|at| step - at < 128)), "{step}");
        }
        let lately = |progress: &Progress| progress.accepted_lately().collect::<Vec<_>>();
        for (next, known) in [
            (1131, 7),
            (1132, 6),
            (1131 + 123, 5),
            (1131 + 124, 4),
            (1131 + 127, 1),
            (1131 + 128, 0),
            (u64::MAX, 0),
            (1130, 0),
            (0, 0),
        ] {
            let mut moved = progress;
            moved.move_to(next);
            assert_eq!((moved.next, lately(&moved)), (next, lately(&progress)[..known].to_vec()));
        }
        assert_eq!(progress.use_up(u64::MAX), None);
        assert_eq!(lately(&Progress { lately: Lately(u128::MAX), ..Progress::from(2) }), [1, 0]);
    }

    #[test]
    fn what_was_accepted_in_either_of_two_is_known_of_both() {
        let used = |steps: &[u64]| {
            let mut progress = Progress::from(900);
            steps.iter().for_each(|step| progress.use_up(*step).unwrap());
            progress
        };
        let (one, other) = (used(&[1000, 1003]), Progress { awaits_resync: true, ..used(&[1001, 1003, 1010]) });
        for (mut joined, other) in [(one, other), (other, one)] {
            joined.join(other);
            assert!(joined.accepted_lately().eq([1010, 1003, 1001, 1000]));
            assert!(joined.next == 1011 && joined.awaits_resync);
        }
    }

    #[test]
    fn using_one_recovery_code_uses_no_other() {
        let mut used = Used::default();
        assert!(used.mark(3) && !used.mark(3));
        let all: Vec<u8> = (0..=255).filter(|position| used.has(*position)).collect();
        assert_eq!(all, [3]);
    }
}
