//! Challenges (RFC 6287), as pure functions: which device is meant, the question that is open, and whose response was typed.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::LOOK_AHEAD;
use crate::codes::ocra::{Input, Suite};
use crate::decision::kinds::Kinds;
use crate::record::Record;
use crate::record::credentials::{Credentials, Device, Kind};
use crate::record::state::{Challenged, MOST_CHALLENGES, State};
use crate::value::time::{Seconds, UnixTime};

/// How long a response is accepted.
const FOR: Seconds = Seconds(300);

/// A challenge with less time than this is not shown again.
const LEAST: Seconds = Seconds(60);

/// Random bytes for the longest question.
pub const RANDOM: usize = 64;

/// A challenge whose response was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Its place in the state.
    pub(crate) place: usize,
    /// The counter that the token has reached; 0 if it does not count.
    pub(crate) next: u64,
}

impl Credentials {
    /// The device that takes a challenge: the default one, or the one that the user names in place of a code, by its name or by
    /// its kind. No device is challenged whose response would not be accepted.
    pub fn challenged_device(&self, named: Option<&str>, accepted: Kinds) -> Option<(&Device, Suite)> {
        let suite = |device: &'_ Device| match device.kind {
            Kind::Ocra(suite) => Some(suite),
            Kind::Totp(_) | Kind::Hotp => None,
        };
        let with_suite = |device| Some((device, suite(device).filter(|_| accepted.accept(device))?));
        match named {
            None => self.default_device().and_then(with_suite),
            Some(named) => {
                let by_kind = named.trim().eq_ignore_ascii_case("ocra");
                let default = self.default_device().filter(|_| by_kind).and_then(with_suite);
                let is_meant = |device: &&Device| by_kind || device.name.is(named);
                default.or_else(|| self.devices.iter().filter(is_meant).find_map(with_suite))
            }
        }
    }
}

impl Record {
    /// The question for a device and the state that holds it: the one that is open, or a new one of these random bytes.
    pub fn challenge(&self, device: &Device, suite: Suite, random: &[u8; RANDOM], now: UnixTime) -> (State, String) {
        let mut state = self.state.clone();
        let is_open = |challenge: &&Challenged| {
            let bounds = (now.after(LEAST), now.after(FOR));
            let in_time = bounds.0 < challenge.until && challenge.until <= bounds.1;
            challenge.device == device.id && !challenge.is_used && in_time
        };
        if let Some(open) = state.challenges.iter().rev().find(is_open) {
            let question = open.question.clone();
            return (state, question);
        }
        let (question, until) = (suite.question().draw(random), now.after(FOR));
        state.challenges.push(Challenged { device: device.id, until, question: question.clone(), is_used: false });
        let surplus = state.challenges.len().saturating_sub(MOST_CHALLENGES);
        state.challenges.drain(..surplus);
        (state, question)
    }

    /// The challenge to which this code is the response; of several, one that is not used. Computes all that are in time.
    pub(crate) fn answered(
        &self,
        device: &Device,
        suite: Suite,
        code: &Code,
        window: u64,
        now: UnixTime,
    ) -> Option<Answered> {
        let mut found: Option<Answered> = None;
        let next = self.state.next(device.id)?;
        for (place, challenge) in self.state.challenges.iter().enumerate() {
            // One that ends later than any may was made by a clock that was ahead.
            let in_time = now < challenge.until && challenge.until <= now.after(FOR);
            if challenge.device != device.id || !in_time {
                continue;
            }
            if let Some(next) = device.response(suite, &challenge.question, code, next, window, now) {
                found = found.filter(|_| challenge.is_used).or(Some(Answered { place, next }));
            }
        }
        found
    }
}

impl Device {
    /// The counter after the one at which this code is the response, from `next` on; 0 where the suite does not count.
    /// Computes and compares all of the window in any case.
    pub(crate) fn response(
        &self,
        suite: Suite,
        question: &str,
        code: &Code,
        next: u64,
        window: u64,
        now: UnixTime,
    ) -> Option<u64> {
        let last = if suite.counts() { next.saturating_add(LOOK_AHEAD) } else { next };
        let (step, steps) = suite.step().map_or((0, 0), |step| (step, window));
        let reach = step.saturating_mul(steps);
        let (mut found, mut reached) = (Choice::from(0), 0u64);
        for counter in next..=last {
            let mut time = now.0.saturating_sub(reach);
            for _ in 0..=steps.saturating_mul(2) {
                let input = Input { counter, question, time, ..Input::default() };
                let equal = suite.response(&self.secret, input)?.ct_eq(code);
                reached.conditional_assign(&counter.saturating_add(1), equal & !found);
                found |= equal;
                time = time.saturating_add(step);
            }
        }
        bool::from(found).then_some(if suite.counts() { reached } else { next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::attempt::Attempt;
    use crate::decision::verify::{Factor, Refusal, Verdict, decide};
    use crate::record::credentials::DeviceName;
    use crate::record::id::DeviceId;
    use crate::testing::fixtures::{LIMITS, NOW, REPLAYED, phone, record};

    fn keypad(id: u8, name: &str, suite: &str) -> Device {
        let suite = Suite::parse(suite).unwrap();
        let (kind, algorithm, digits) = (Kind::Ocra(suite), suite.algorithm(), suite.digits());
        Device { kind, algorithm, digits, name: DeviceName::parse(name).unwrap(), ..phone(id) }
    }

    const PLAIN: &str = "OCRA-1:HOTP-SHA1-6:QN08";

    fn shown(device: &Device, question: &str, counter: u64, time: UnixTime) -> Attempt {
        let Kind::Ocra(suite) = device.kind else { panic!("no keypad") };
        let input = Input { counter, question, time: time.0, ..Input::default() };
        Attempt::Code(suite.response(&device.secret, input).unwrap())
    }

    /// Challenges a device of a record, writes the state and returns the question.
    fn challenge(record: &mut Record, named: Option<&str>, random: u8, now: UnixTime) -> Option<String> {
        let (device, suite) = record.credentials.challenged_device(named, Kinds::ALL)?;
        let (state, question) = record.challenge(device, suite, &[random; RANDOM], now);
        record.state = state;
        Some(question)
    }

    fn login(record: &mut Record, attempt: &Attempt, now: UnixTime) -> Verdict {
        let (state, verdict) = decide(&LIMITS, record, attempt, now);
        record.state = state;
        verdict
    }

    fn is_accepted(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Accepted(accepted) if accepted.factor == Factor::Ocra(DeviceId(1)))
    }

    #[test]
    fn a_response_is_accepted_once_within_five_minutes() {
        let device = keypad(1, "keypad", PLAIN);
        let mut record = record(vec![device.duplicate()]);
        assert!(matches!(
            login(&mut record, &shown(&device, "11111111", 0, NOW), NOW),
            Verdict::Refused(Refusal::Wrong { .. })
        ));
        assert_eq!(challenge(&mut record, None, 1, NOW).as_deref(), Some("11111111"));
        let response = shown(&device, "11111111", 0, NOW);
        assert!(matches!(
            login(&mut record, &shown(&device, "22222222", 0, NOW), NOW),
            Verdict::Refused(Refusal::Wrong { failures: 2, .. })
        ));
        let late = UnixTime(NOW.0 + 299);
        assert!(is_accepted(login(&mut record, &response, late)));
        assert_eq!(login(&mut record, &response, late), REPLAYED);
        let over = UnixTime(NOW.0 + 300);
        assert!(matches!(login(&mut record, &response, over), Verdict::Refused(Refusal::Wrong { .. })));
        assert_eq!(challenge(&mut record, None, 3, late).as_deref(), Some("33333333"), "a used one is not shown again");
    }

    #[test]
    fn an_open_challenge_is_shown_again_and_three_are_kept() {
        let mut record = record(vec![keypad(1, "keypad", PLAIN), keypad(2, "other", PLAIN)]);
        assert_eq!(challenge(&mut record, None, 1, NOW).as_deref(), Some("11111111"));
        assert_eq!(challenge(&mut record, None, 2, UnixTime(NOW.0 + 200)).as_deref(), Some("11111111"));
        assert_eq!(challenge(&mut record, Some("OTHER"), 2, NOW).as_deref(), Some("22222222"));
        for (n, expected) in [(3, 2), (4, 3), (5, 3)] {
            let later = UnixTime(NOW.0 + 241 + n * 300);
            let question = challenge(&mut record, None, u8::try_from(n).unwrap(), later);
            assert_eq!(question, Some(n.to_string().repeat(8)));
            assert_eq!(record.state.challenges.len(), expected.max(3));
        }
    }

    #[test]
    fn a_token_that_counts_is_found_ahead_and_never_behind() {
        let device = keypad(1, "keypad", "OCRA-1:HOTP-SHA512-8:C-QN08");
        let mut record = record(vec![device.duplicate()]);
        record.state.set_nexts([(1, 50)]);
        for (counter, found) in [(49, false), (61, false), (60, true), (60, false), (61, true)] {
            record.state.challenges.clear();
            let question = challenge(&mut record, None, 7, NOW).unwrap();
            assert_eq!(
                is_accepted(login(&mut record, &shown(&device, &question, counter, NOW), NOW)),
                found,
                "{counter}"
            );
        }
        assert_eq!(record.state.nexts(), [(1, 62)]);
    }

    #[test]
    fn a_token_with_a_clock_is_accepted_in_the_window() {
        let device = keypad(1, "keypad", "OCRA-1:HOTP-SHA512-8:QN08-T1M");
        for (minutes, found) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let mut record = record(vec![device.duplicate()]);
            let question = challenge(&mut record, None, 7, NOW).unwrap();
            let time = UnixTime(NOW.0.checked_add_signed(minutes * 60).unwrap());
            assert_eq!(is_accepted(login(&mut record, &shown(&device, &question, 0, time), NOW)), found, "{minutes}");
        }
    }

    #[test]
    fn the_device_that_is_meant_is_challenged_and_no_other() {
        let mut mixed = record(vec![phone(1), keypad(2, "keypad", PLAIN)]);
        assert!(mixed.credentials.challenged_device(None, Kinds::ALL).is_none(), "the default shows codes");
        for (named, expected) in
            [("ocra", true), (" OCRA", true), ("Keypad", true), ("phone", false), ("x", false), ("", false)]
        {
            assert_eq!(mixed.credentials.challenged_device(Some(named), Kinds::ALL).is_some(), expected, "{named}");
        }
        mixed.credentials.default = Some(DeviceId(2));
        // No question is asked whose response is not accepted.
        for (accepted, is_asked) in [(Kinds::TOTP, false), (Kinds::OCRA, true)] {
            for named in [None, Some("ocra"), Some("keypad")] {
                assert_eq!(mixed.credentials.challenged_device(named, accepted).is_some(), is_asked, "{named:?}");
            }
        }
        assert_eq!(challenge(&mut mixed, None, 3, NOW).as_deref(), Some("33333333"));
        assert!(
            matches!(login(&mut mixed, &crate::testing::fixtures::right(), NOW), Verdict::Accepted(_)),
            "an app's code"
        );
    }
}
