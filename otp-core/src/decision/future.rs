//! Times in a record that are in the future: the clock was ahead when they were written.

use crate::decision::verify::{Limits, LockFor, last_login};
use crate::record::Record;
use crate::record::credentials::Kind;
use crate::record::id::DeviceId;
use crate::record::state::{Lock, State};
use crate::value::time::UnixTime;

/// A time in the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Future {
    /// The lock would last longer than `lockout.for` from now. A login shortens it.
    Lock,
    /// The last second factor was accepted in the future.
    LastAccepted,
    /// Codes of this device are used up to this time: earlier ones are refused as replayed.
    Codes(DeviceId, UnixTime),
}

impl Future {
    /// The word in JSON and tables.
    pub fn word(self) -> String {
        match self {
            Self::Lock => "lock".to_owned(),
            Self::LastAccepted => "last_accepted".to_owned(),
            Self::Codes(device, _) => format!("codes of device {}", device.0),
        }
    }
}

impl Record {
    /// The times in this record that are in the future.
    pub fn future(&self, limits: &Limits, now: UnixTime) -> Vec<Future> {
        let lock = match (self.state.lock, limits.lock_for) {
            (Lock::Until(end), LockFor::Time(length)) => (end > now.after(length)).then_some(Future::Lock),
            (Lock::Until(_), LockFor::UntilUnlocked) | (Lock::Open | Lock::UntilUnlocked, _) => None,
        };
        let last_accepted = self.state.last_accepted.filter(|time| *time > now).map(|_| Future::LastAccepted);
        let codes = self.credentials.devices.iter().filter_map(|device| {
            let time = last_login(limits, &self.state, device).filter(|time| *time > now)?;
            Some(Future::Codes(device.id, time))
        });
        lock.into_iter().chain(last_accepted).chain(codes).collect()
    }

    /// The unlocked state without times in the future, after a clock that was ahead: a phone whose used codes end in the
    /// future is accepted again from the present step on. Codes that were used or seen while the clock was ahead work when
    /// their time comes.
    pub fn unlocked_after_clock_was_ahead(&self, limits: &Limits, now: UnixTime) -> State {
        let mut state = self.unlocked();
        for device in &self.credentials.devices {
            let is_ahead = last_login(limits, &self.state, device).is_some_and(|time| time > now);
            if let (Kind::Totp(clock), true) = (&device.kind, is_ahead)
                && let Some(progress) = state.devices.get_mut(device.id)
            {
                progress.move_to(clock.step_at(now));
                progress.used = progress.used.filter(|time| *time <= now);
            }
        }
        state.last_accepted = state.last_accepted.filter(|time| *time <= now);
        // A grace that has not begun would begin when its time comes.
        state.graces.retain(|grace| grace.at <= now);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::verify::{Verdict, decide};
    use crate::testing::fixtures::{LIMITS, NOW, REPLAYED, STEP, phone, record, shown, token};
    use crate::value::network::Address;
    use crate::value::time::Seconds;

    /// Ten years.
    const AHEAD: u64 = 10 * 365 * 86_400;

    /// A record whose phone 1 was used while the clock was ten years ahead; phone 2 was used a minute ago.
    fn used_ahead() -> Record {
        let mut record = record(vec![phone(1), phone(2), token(3)]);
        let ahead = UnixTime(NOW.0 + AHEAD);
        record.state.set_nexts([(1, ahead.0 / 30 + 1), (2, STEP + 1), (3, 77)]);
        record.state.last_accepted = Some(ahead);
        record.state.lock = Lock::Until(ahead.after(Seconds(900)));
        record.state.failures = 6;
        for (address, at) in [("192.0.2.1", NOW), ("192.0.2.2", ahead)] {
            record.state.begin_grace(Address::parse(address).unwrap(), at);
        }
        record
    }

    #[test]
    fn times_in_the_future_are_named_and_no_others() {
        let record = used_ahead();
        let codes = Future::Codes(DeviceId(1), UnixTime((NOW.0 + AHEAD) / 30 * 30 - 30));
        assert_eq!(record.future(&LIMITS, NOW), [Future::Lock, Future::LastAccepted, codes]);
        let words = record.future(&LIMITS, NOW).into_iter().map(Future::word);
        assert_eq!(words.collect::<Vec<_>>(), ["lock", "last_accepted", "codes of device 1"]);
        assert_eq!(record.future(&LIMITS, UnixTime(NOW.0 + AHEAD)), []);
        // A code of the next step is accepted one step early.
        let mut record = self::record(vec![phone(1)]);
        record.state.set_nexts([(1, STEP + 2)]);
        record.state.lock = Lock::Until(NOW.after(Seconds(900)));
        record.state.last_accepted = Some(NOW);
        assert_eq!(record.future(&LIMITS, NOW), []);
    }

    #[test]
    fn after_a_clock_that_was_ahead_codes_of_the_present_work_and_used_ones_stay_used() {
        let mut record = used_ahead();
        let before = record.state.clone();
        record.state = record.unlocked_after_clock_was_ahead(&LIMITS, NOW);
        let mut expected = State { last_accepted: None, lock: Lock::Open, failures: 0, ..before };
        expected.graces.truncate(1);
        expected.set_nexts([(1, STEP), (2, STEP + 1), (3, 77)]);
        assert_eq!(record.state, expected);
        assert_eq!(record.future(&LIMITS, NOW), []);
        assert!(matches!(decide(&LIMITS, &record, &shown(&phone(1), STEP), NOW).1, Verdict::Accepted(_)));
        assert_eq!(decide(&LIMITS, &record, &shown(&phone(2), STEP), NOW).1, REPLAYED);
        assert_eq!(decide(&LIMITS, &record, &shown(&phone(1), STEP - 1), NOW).1, REPLAYED);
    }

    #[test]
    fn a_clock_that_was_right_changes_no_next_step() {
        for next in [0, STEP, STEP + 1, STEP + 2] {
            let mut record = record(vec![phone(1)]);
            record.state.set_nexts([(1, next)]);
            record.state.last_accepted = Some(NOW);
            assert_eq!(record.unlocked_after_clock_was_ahead(&LIMITS, NOW), record.state, "{next}");
        }
    }
}
