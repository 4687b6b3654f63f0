//! What a login changes.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::id::{DeviceId, EnrollmentId};
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};

/// What the last logins left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The credentials that this belongs to.
    pub enrollment: EnrollmentId,
    /// For each device the lowest moving factor (TOTP step, HOTP counter) that may still be accepted.
    pub next: BTreeMap<DeviceId, u64>,
    /// Wrong codes since the last right one.
    pub failures: u32,
    /// Whether codes of devices are looked at.
    pub lock: Lock,
    /// Recovery codes already used: bit n is the n-th code of the set.
    pub used: u16,
    /// When a second factor was last accepted.
    pub last_accepted: Option<UnixTime>,
    /// From where one was accepted lately, the latest last; at most [`MOST_GRACES`].
    pub graces: Vec<Grace>,
    /// The last login that would have been refused, had refusals been in force.
    pub unenforced: Option<Unenforced>,
}

/// A second factor was accepted from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// From where.
    pub address: Address,
    /// When.
    pub at: UnixTime,
}

/// A refusal that was not enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unenforced {
    /// When.
    pub at: UnixTime,
    /// Why, in the word of the audit log.
    pub why: String,
}

/// Addresses that are remembered of one user.
pub const MOST_GRACES: usize = 4;

/// Lockout: whether codes of devices are looked at.
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

impl State {
    /// A state in which nothing happened yet.
    pub fn new(enrollment: EnrollmentId) -> Self {
        Self {
            enrollment,
            next: BTreeMap::new(),
            failures: 0,
            lock: Lock::Open,
            used: 0,
            last_accepted: None,
            graces: Vec::new(),
            unenforced: None,
        }
    }

    /// Notes that a second factor was accepted from an address, in place of the oldest such note.
    pub fn begin_grace(&mut self, address: Address, at: UnixTime) {
        self.graces.retain(|grace| grace.address != address);
        self.graces.push(Grace { address, at });
        let surplus = self.graces.len().saturating_sub(MOST_GRACES);
        self.graces.drain(..surplus);
    }

    /// Whether one was accepted from this address, no longer than `length` ago. A time in the future grants nothing,
    /// nor does anything while there is a lock.
    pub fn is_in_grace(&self, address: Address, length: Seconds, now: UnixTime) -> bool {
        let fresh = |grace: &Grace| grace.address == address && grace.at <= now && now < grace.at.after(length);
        self.lock == Lock::Open && self.graces.iter().any(fresh)
    }

    /// Whether the n-th recovery code was used.
    pub fn is_used(&self, place: u8) -> bool {
        self.used & bit(place) != 0
    }

    /// Marks the n-th recovery code as used.
    pub fn use_up(&mut self, place: u8) {
        self.used |= bit(place);
    }

    /// How many of `issued` recovery codes still work.
    pub fn unused_of(&self, issued: u8) -> u8 {
        let used = (0..issued).filter(|place| self.is_used(*place)).count();
        issued.saturating_sub(u8::try_from(used).unwrap_or(u8::MAX))
    }
}

fn bit(place: u8) -> u16 {
    1u16.checked_shl(u32::from(place)).unwrap_or(0)
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
    fn grace_lasts_a_while_and_never_comes_from_the_future_or_while_locked() {
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
    fn each_recovery_code_is_used_alone() {
        let mut state = State::new(EnrollmentId([0; 16]));
        state.use_up(3);
        let used: Vec<u8> = (0..=255).filter(|place| state.is_used(*place)).collect();
        assert_eq!(used, [3]);
    }
}
