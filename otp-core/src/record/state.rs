//! What a login changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::id::{DeviceId, EnrolmentId};
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};

/// What the last logins left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The credentials that this belongs to.
    pub enrolment: EnrolmentId,
    /// For each device the lowest moving factor (TOTP step, HOTP counter) that may still be accepted.
    pub marks: BTreeMap<DeviceId, u64>,
    /// Wrong codes since the last right one.
    pub failures: u32,
    /// Whether device codes are looked at.
    pub lock: Lock,
    /// Recovery codes already used: bit n is the n-th code of the set.
    pub spent: u16,
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

/// Whether device codes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// They are.
    Open,
    /// Not before this time.
    Until(UnixTime),
    /// Not before an administrator unlocks.
    UntilUnlocked,
}

impl State {
    /// A state in which nothing happened yet.
    pub fn new(enrolment: EnrolmentId) -> Self {
        Self {
            enrolment,
            marks: BTreeMap::new(),
            failures: 0,
            lock: Lock::Open,
            spent: 0,
            last_accepted: None,
            graces: Vec::new(),
            unenforced: None,
        }
    }

    /// Remembers that a second factor was accepted from an address, in place of what was remembered longest.
    pub fn remember(&mut self, address: Address, at: UnixTime) {
        self.graces.retain(|grace| grace.address != address);
        self.graces.push(Grace { address, at });
        let surplus = self.graces.len().saturating_sub(MOST_GRACES);
        self.graces.drain(..surplus);
    }

    /// Whether one was accepted from this address, no longer than `length` ago. A time in the future grants nothing,
    /// nor does anything while there is a lock.
    pub fn remembers(&self, address: Address, length: Seconds, now: UnixTime) -> bool {
        let fresh = |grace: &Grace| grace.address == address && grace.at <= now && now < grace.at.after(length);
        self.lock == Lock::Open && self.graces.iter().any(fresh)
    }

    /// Whether the n-th recovery code was used.
    pub fn is_spent(&self, place: u8) -> bool {
        self.spent & bit(place) != 0
    }

    /// Marks the n-th recovery code as used.
    pub fn spend(&mut self, place: u8) {
        self.spent |= bit(place);
    }

    /// How many of `issued` recovery codes still work.
    pub fn unspent(&self, issued: u8) -> u8 {
        let spent = (0..issued).filter(|place| self.is_spent(*place)).count();
        issued.saturating_sub(u8::try_from(spent).unwrap_or(u8::MAX))
    }
}

fn bit(place: u8) -> u16 {
    1u16.checked_shl(u32::from(place)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_addresses_are_remembered_each_once() {
        let mut state = State::new(EnrolmentId([0; 16]));
        let address = |n: u64| Address::parse(&format!("192.0.2.{n}")).unwrap();
        for n in [1, 2, 3, 1, 4, 5] {
            state.remember(address(n), UnixTime(n));
        }
        let remembered: Vec<_> = state.graces.iter().map(|grace| (grace.address.to_string(), grace.at.0)).collect();
        let expected = [3, 1, 4, 5].map(|n| (format!("192.0.2.{n}"), n));
        assert_eq!(remembered, expected);
    }

    #[test]
    fn an_address_is_remembered_for_a_while_and_never_from_the_future_or_while_locked() {
        let mut state = State::new(EnrolmentId([0; 16]));
        let (here, elsewhere) = (Address::parse("192.0.2.1").unwrap(), Address::parse("192.0.2.2").unwrap());
        state.remember(here, UnixTime(100));
        let remembers = |state: &State, address, now| state.remembers(address, Seconds(10), UnixTime(now));
        let times = [99, 100, 109, 110, u64::MAX];
        assert_eq!(times.map(|now| remembers(&state, here, now)), [false, true, true, false, false]);
        assert!(remembers(&state, Address::parse("::ffff:192.0.2.1").unwrap(), 100));
        assert!(!remembers(&state, elsewhere, 100));
        state.lock = Lock::Until(UnixTime(50));
        assert!(!remembers(&state, here, 100));
    }

    #[test]
    fn each_recovery_code_is_spent_alone() {
        let mut state = State::new(EnrolmentId([0; 16]));
        state.spend(3);
        let spent: Vec<u8> = (0..=255).filter(|place| state.is_spent(*place)).collect();
        assert_eq!(spent, [3]);
    }
}
