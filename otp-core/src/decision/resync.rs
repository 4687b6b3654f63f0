//! A hardware token is found again by two codes in a row, as a pure function: one whose button was pressed too often, or
//! whose clock has gone wrong.

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Clock, Drift, Generator, MOST_DRIFT, around};
use crate::decision::verify::{Factor, Limits, Refusal, Verdict, accept, bounded, count_failure, is_locked};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, Kind};
use crate::record::id::EnrollmentId;
use crate::value::time::UnixTime;

/// How many unused HOTP codes a token may have shown (RFC 4226 §7.4 calls this resynchronization).
pub const FAR_AHEAD: u64 = 1000;

/// The place of two codes in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The step or counter after the second code.
    pub next: u64,
    /// The drift of a clock at which the second code is the present one.
    pub drift: Option<Drift>,
}

/// Why a device cannot be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResynchronized {
    NoSuchDevice,
    /// Its phone sets its clock, or it answers questions.
    App,
    /// The user has several tokens, or none.
    Unnamed,
}

impl Device {
    /// Where the second code comes directly after the first one: not below `next`, and no further off than a token may be.
    pub fn place_of(&self, first: &Code, second: &Code, next: u64, window: u64, now: UnixTime) -> Option<Place> {
        let generator = Generator::new(self.secret.open()?, self.algorithm, self.digits);
        let begins_at = |counter: u64| {
            let is_first = generator.find(first, counter..=counter).is_some();
            let after = counter.checked_add(1)?;
            (is_first && generator.find(second, after..=after).is_some()).then_some(after)
        };
        match self.kind {
            Kind::Hotp => {
                let second = around(next, 0, FAR_AHEAD).find_map(begins_at)?;
                Some(Place { next: second.checked_add(1)?, drift: None })
            }
            // Its codes answer challenges, which do not follow each other.
            Kind::Ocra(_) | Kind::Sent(_) => None,
            Kind::Totp(clock) => {
                let present = clock.period.step_at(now);
                let reach = MOST_DRIFT.saturating_add(window).saturating_add(1);
                let second = around(present, reach, reach).filter(|step| *step >= next).find_map(begins_at)?;
                let distance = second.checked_signed_diff(present)?;
                // The window is for the time between reading a code and typing it: what is beyond the widest drift is that.
                let most = i64::try_from(MOST_DRIFT).ok()?;
                let steps = distance.clamp(most.saturating_neg(), most);
                let drift = Some(Drift::of(steps)?).filter(|_| distance.abs_diff(steps) <= window)?;
                Some(Place { next: second.checked_add(1)?, drift: Some(drift) })
            }
        }
    }

    /// Whether it is a hardware token, which has its seed.
    pub fn is_token(&self) -> bool {
        self.can_go_astray() || matches!(self.kind, Kind::Ocra(_))
    }

    /// Whether two codes in a row show how far its clock or counter has gone.
    fn can_go_astray(&self) -> bool {
        matches!(self.kind, Kind::Hotp | Kind::Totp(Clock { drift: Some(_), .. }))
    }
}

impl Record {
    /// The token that is meant, or the only one.
    pub fn token(&self, named: Option<&str>) -> Result<&Device, NotResynchronized> {
        let mut tokens = self.credentials.devices.iter().filter(|device| device.can_go_astray());
        match named {
            Some(named) => match self.credentials.device(named) {
                Some(device) if device.can_go_astray() => Ok(device),
                Some(_) => Err(NotResynchronized::App),
                None => Err(NotResynchronized::NoSuchDevice),
            },
            None => match (tokens.next(), tokens.next()) {
                (Some(only), None) => Ok(only),
                (None, _) if self.is_enrolled() => Err(NotResynchronized::App),
                (Some(_) | None, _) => Err(NotResynchronized::Unnamed),
            },
        }
    }

    /// Finds a token again. Both codes are used up; two that do not fit count as one wrong code, and a locked record refuses.
    pub fn resynchronized(
        &self,
        device: &Device,
        codes: [&Code; 2],
        limits: &Limits,
        enrollment: EnrollmentId,
        now: UnixTime,
    ) -> (Change, Verdict) {
        let [first, second] = codes;
        let mut record = self.renewed(enrollment);
        let state = &mut record.state;
        state.lock = bounded(state.lock, limits, now);
        if is_locked(state.lock, now) {
            return (Change::Keep, Verdict::Refused(Refusal::Locked(state.lock)));
        }
        let next = state.next(device.id).unwrap_or(u64::MAX);
        if let Some(sealed) = &self.credentials.sealed.seeds {
            return (Change::Keep, Verdict::Refused(Refusal::Sealed(sealed.why)));
        }
        let Some(place) = device.place_of(first, second, next, limits.window, now) else {
            let mut state = self.state.clone();
            let refusal = count_failure(&mut state, limits, self, now);
            return (Change::State(state), Verdict::Refused(refusal));
        };
        if let Some(progress) = state.devices.get_mut(device.id) {
            let second = place.next.saturating_sub(1);
            around(second, 1, 0).try_for_each(|used| progress.use_up(used));
            progress.awaits_resync = false;
        }
        for own in record.credentials.devices.iter_mut().filter(|own| own.id == device.id) {
            if let Kind::Totp(clock) = &mut own.kind {
                clock.drift = place.drift;
            }
        }
        let verdict = accept(&mut record.state, self, Factor::of(device), now);
        record.state.keep_count(&self.state, limits, Some(device));
        (Change::Record(Box::new(record)), verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::hotp_totp::Period;
    use crate::decision::verify::{Accepted, decide};
    use crate::record::id::DeviceId;
    use crate::record::state::Lock;
    use crate::testing::fixtures::{LIMITS, NOW, REPLAYED, STEP, code_of, phone, record, shown, token};
    use crate::value::time::Seconds;

    fn clock_token(id: u8, drift: i64) -> Device {
        Device { kind: Kind::Totp(Clock { period: Period::THIRTY, drift: Drift::of(drift) }), ..phone(id) }
    }

    /// The record after an attempt with the codes of these two steps or counters.
    fn tried(record: &Record, device: &Device, first: u64, second: u64) -> (Option<Record>, Verdict) {
        let codes = [&code_of(device, first), &code_of(device, second)];
        let (change, verdict) = record.resynchronized(device, codes, &LIMITS, EnrollmentId([9; 16]), NOW);
        match change {
            Change::Record(record) => (Some(*record), verdict),
            Change::State(state) => {
                (Some(Record { state, credentials: record.renewed(record.state.enrollment).credentials }), verdict)
            }
            Change::Keep | Change::Nothing => (None, verdict),
        }
    }

    fn accepted(factor: Factor) -> Verdict {
        Verdict::Accepted(Accepted { factor, recovery_left: Some(10), failures: 0 })
    }

    fn wrong() -> Verdict {
        Verdict::Refused(Refusal::Wrong { failures: 1, clock_behind: None })
    }

    #[test]
    fn a_counter_is_found_up_to_a_thousand_ahead_and_never_behind() {
        let mut record = record(vec![token(1)]);
        record.state.set_nexts([(1, 50)]);
        for (first, found) in [(49, false), (50, true), (61, true), (1050, true), (1051, false)] {
            let (after, verdict) = tried(&record, &token(1), first, first + 1);
            let after = after.unwrap();
            if found {
                assert_eq!(verdict, accepted(Factor::Hotp(DeviceId(1))), "{first}");
                assert_eq!(after.state.nexts(), [(1, first + 2)]);
                for used in [first, first + 1] {
                    let (_, verdict) = decide(&LIMITS, &after, &shown(&token(1), used), NOW);
                    assert_eq!(verdict, REPLAYED);
                }
                assert!(matches!(decide(&LIMITS, &after, &shown(&token(1), first + 2), NOW).1, Verdict::Accepted(_)));
            } else {
                assert_eq!((verdict, after.state.failures), (wrong(), 1), "{first}");
                assert_eq!(after.state.nexts(), [(1, 50)]);
            }
        }
    }

    #[test]
    fn two_codes_that_do_not_follow_each_other_are_one_wrong_code() {
        let record = record(vec![token(1), clock_token(2, 0)]);
        for (first, second) in [(3, 3), (3, 5), (4, 3)] {
            let (after, verdict) = tried(&record, &token(1), first, second);
            assert_eq!((verdict, after.unwrap().state.failures), (wrong(), 1));
        }
        for (first, second) in [(STEP, STEP), (STEP, STEP + 2), (STEP + 1, STEP)] {
            let (after, verdict) = tried(&record, &clock_token(2, 0), first, second);
            assert_eq!((verdict, after.unwrap().state.failures), (wrong(), 1));
        }
    }

    #[test]
    fn a_clock_is_found_within_twenty_steps_and_the_window() {
        for before in [0, -20, 20] {
            let token = clock_token(1, before);
            let record = record(vec![clock_token(1, before)]);
            for (distance, drift) in [
                (0, Some(0)),
                (7, Some(7)),
                (-7, Some(-7)),
                (20, Some(20)),
                (21, Some(20)),
                (22, None),
                (-20, Some(-20)),
                (-21, Some(-20)),
                (-22, None),
            ] {
                let second = STEP.checked_add_signed(distance).unwrap();
                let (after, verdict) = tried(&record, &token, second - 1, second);
                let after = after.unwrap();
                let Some(drift) = drift else {
                    assert_eq!(verdict, wrong(), "{distance}");
                    continue;
                };
                assert_eq!(verdict, accepted(Factor::Totp(DeviceId(1))), "{distance}");
                assert_eq!(after.credentials.devices[0].kind, clock_token(1, drift).kind);
                assert_eq!(after.state.nexts(), [(1, second + 1)]);
                // Both codes are used up, and the next one works when its time comes.
                for used in [second - 1, second] {
                    assert_eq!(decide(&LIMITS, &after, &shown(&token, used), NOW).1, REPLAYED, "{distance}");
                }
                let later = UnixTime(NOW.0 + 30);
                let (_, verdict) = decide(&LIMITS, &after, &shown(&token, second + 1), later);
                assert!(matches!(verdict, Verdict::Accepted(_)), "{distance}");
            }
        }
    }

    #[test]
    fn a_clock_never_goes_back_over_used_codes() {
        let mut record = record(vec![clock_token(1, 0)]);
        record.state.set_nexts([(1, STEP)]);
        assert_eq!(tried(&record, &clock_token(1, 0), STEP - 1, STEP).1, wrong());
        assert_eq!(tried(&record, &clock_token(1, 0), STEP, STEP + 1).1, accepted(Factor::Totp(DeviceId(1))));
    }

    #[test]
    fn a_locked_record_refuses_and_right_codes_open_the_count() {
        let mut record = record(vec![token(1)]);
        record.state.failures = 3;
        let (after, verdict) = tried(&record, &token(1), 500, 501);
        assert!(matches!(verdict, Verdict::Accepted(Accepted { failures: 3, .. })));
        assert_eq!(after.unwrap().state.failures, 0);
        record.state.lock = Lock::Until(NOW.after(Seconds(1)));
        let (after, verdict) = tried(&record, &token(1), 500, 501);
        assert_eq!((after.is_none(), verdict), (true, Verdict::Refused(Refusal::Locked(record.state.lock))));
        record.state = crate::record::state::State { failures: 5, lock: Lock::Open, ..record.state };
        let after = tried(&record, &token(1), 500, 502).0.unwrap();
        assert_eq!(after.state.lock, Lock::Until(NOW.after(Seconds(900))));
    }

    #[test]
    fn the_token_that_is_meant_is_found() {
        let of = |record: &Record, named: Option<&str>| record.token(named).map(|device| device.id.0);
        let one = record(vec![phone(1), token(2)]);
        assert_eq!((of(&one, None), of(&one, Some("2"))), (Ok(2), Ok(2)));
        assert_eq!(of(&one, Some("1")), Err(NotResynchronized::App));
        assert_eq!(of(&one, Some("3")), Err(NotResynchronized::NoSuchDevice));
        assert_eq!(of(&record(vec![phone(1)]), None), Err(NotResynchronized::App));
        assert_eq!(of(&record(vec![token(1), clock_token(2, 0)]), None), Err(NotResynchronized::Unnamed));
        assert_eq!(of(&record(vec![]), None), Err(NotResynchronized::Unnamed));
    }
}
