//! Challenges, as pure functions: which device is meant, the question that is open (RFC 6287) or the code to send, and which of
//! them was answered.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Generator, LOOK_AHEAD};
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
    pub fn challenged_device(&self, named: Option<&str>, accepted: Kinds) -> Option<&Device> {
        let is_meant = |device: &&Device| match named {
            None => true,
            Some(named) => named.trim().eq_ignore_ascii_case(device.kind.word()) || device.name.is(named),
        };
        let others = self.devices.iter().filter(|_| named.is_some());
        let device = self
            .default_device()
            .into_iter()
            .chain(others)
            .find(|device| device.kind.takes_a_challenge() && is_meant(device));
        device.filter(|device| accepted.accept(device))
    }
}

impl Record {
    /// The question for a token with a keypad and the state that holds it: the one that is open, or a new one of these random
    /// bytes.
    pub fn challenge(&self, device: &Device, suite: Suite, random: &[u8; RANDOM], now: UnixTime) -> (State, String) {
        let state = self.state.clone();
        let is_open = |challenge: &&Challenged| {
            let bounds = (now.after(LEAST), now.after(FOR));
            let in_time = bounds.0 < challenge.until && challenge.until <= bounds.1;
            challenge.device == device.id && !challenge.is_used && in_time
        };
        if let Some(open) = state.challenges.iter().rev().find(is_open) {
            let question = open.question.clone();
            return (state, question);
        }
        let question = suite.question().draw(random);
        (challenged(state, device, question.clone(), now), question)
    }

    /// The code to send to a device, and the state in which it is expected: the code of the next counter (RFC 4226), which is
    /// the challenge's question. `None` for a device that sends nothing.
    pub fn code_to_send(&self, device: &Device, now: UnixTime) -> Option<(State, Zeroizing<String>)> {
        let Kind::Sent(_) = device.kind else { return None };
        let mut state = self.state.clone();
        let progress = state.devices.get_mut(device.id)?;
        let counter = progress.next;
        progress.move_to(counter.checked_add(1)?);
        let code = Generator::new(device.secret.open()?, device.algorithm, device.digits).code(counter)?.reveal();
        Some((challenged(state, device, counter.to_string(), now), code))
    }

    /// The challenge to which this code is the response; of several, one that is not used. Computes all that are in time.
    pub(crate) fn answered(&self, device: &Device, code: &Code, window: u64, now: UnixTime) -> Option<Answered> {
        let mut found: Option<Answered> = None;
        let next = self.state.next(device.id)?;
        for (place, challenge) in self.state.challenges.iter().enumerate() {
            // One that ends later than any may was made by a clock that was ahead.
            let in_time = now < challenge.until && challenge.until <= now.after(FOR);
            if challenge.device != device.id || !in_time {
                continue;
            }
            let next = match device.kind {
                Kind::Ocra(suite) => device.response(suite, &challenge.question, code, next, window, now),
                Kind::Sent(_) => device.was_sent(&challenge.question, code).then_some(next),
                Kind::Totp(_) | Kind::Hotp => None,
            };
            if let Some(next) = next {
                found = found.filter(|_| challenge.is_used).or(Some(Answered { place, next }));
            }
        }
        found
    }

    /// Whether this code was the response to a challenge that is used up, however long ago, as far as the state remembers.
    /// Computes all of them.
    pub(crate) fn has_answered(&self, device: &Device, code: &Code, window: u64) -> bool {
        let used = self.state.challenges.iter().filter(|challenge| challenge.device == device.id && challenge.is_used);
        let was_it = |challenge: &Challenged| match device.kind {
            Kind::Ocra(suite) => {
                // What the token's counter and its clock were in these five minutes.
                let next = self.state.next(device.id).unwrap_or(0);
                let first = next.saturating_sub(LOOK_AHEAD.saturating_add(1));
                let half = FOR.0.div_euclid(2);
                let steps = suite.step().and_then(|step| half.checked_div(step)).unwrap_or(0);
                let (steps, middle) = (window.saturating_add(steps), challenge.until.0.saturating_sub(half));
                let reached =
                    device.response(suite, &challenge.question, code, first, steps.saturating_add(1), UnixTime(middle));
                reached.is_some()
            }
            Kind::Sent(_) => device.was_sent(&challenge.question, code),
            Kind::Totp(_) | Kind::Hotp => false,
        };
        used.fold(false, |any, challenge| was_it(challenge) | any)
    }
}

/// The state in which this question is the latest; the oldest is dropped if there are too many.
fn challenged(mut state: State, device: &Device, question: String, now: UnixTime) -> State {
    state.challenges.push(Challenged { device: device.id, until: now.after(FOR), question, is_used: false });
    let surplus = state.challenges.len().saturating_sub(MOST_CHALLENGES);
    state.challenges.drain(..surplus);
    state
}

impl Device {
    /// Whether this is the code of the counter in a question.
    fn was_sent(&self, question: &str, code: &Code) -> bool {
        let (Ok(counter), Some(secret)) = (question.parse::<u64>(), self.secret.open()) else { return false };
        let sent = Generator::new(secret, self.algorithm, self.digits).code(counter);
        sent.is_some_and(|sent| sent.ct_eq(code).into())
    }

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
                let equal = suite.response(self.secret.open()?, input)?.ct_eq(code);
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
    use crate::codes::hotp_totp::Digits;
    use crate::decision::verify::{Factor, Limits, Refusal, Verdict, decide};
    use crate::record::credentials::DeviceName;
    use crate::record::id::DeviceId;
    use crate::testing::fixtures::{LIMITS, NOW, REPLAYED, phone, record};
    use crate::value::destination::{Channel, Destination};

    fn keypad(id: u8, name: &str, suite: &str) -> Device {
        let suite = Suite::parse(suite).unwrap();
        let (kind, algorithm, digits) = (Kind::Ocra(suite), suite.algorithm(), suite.digits());
        Device { kind, algorithm, digits, name: DeviceName::parse(name).unwrap(), ..phone(id) }
    }

    const PLAIN: &str = "OCRA-1:HOTP-SHA1-6:QN08";

    fn shown(device: &Device, question: &str, counter: u64, time: UnixTime) -> Attempt {
        let Kind::Ocra(suite) = device.kind else { panic!("no keypad") };
        let input = Input { counter, question, time: time.0, ..Input::default() };
        Attempt::Code(suite.response(device.secret.open().unwrap(), input).unwrap())
    }

    /// Challenges a device of a record, writes the state and returns the question.
    fn challenge(record: &mut Record, named: Option<&str>, random: u8, now: UnixTime) -> Option<String> {
        let device = record.credentials.challenged_device(named, Kinds::ALL)?;
        let Kind::Ocra(suite) = device.kind else { panic!("no keypad") };
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
        assert_eq!(login(&mut record, &response, over), REPLAYED, "however late");
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
    fn a_used_response_costs_nothing_when_it_is_sent_again_whatever_the_suite() {
        // As programs that keep what was typed send it.
        for suite in
            [PLAIN, "OCRA-1:HOTP-SHA512-8:C-QN08", "OCRA-1:HOTP-SHA512-8:QN08-T1M", "OCRA-1:HOTP-SHA512-8:QN08-T5S"]
        {
            let device = keypad(1, "keypad", suite);
            for counter in [0, 10] {
                let mut record = record(vec![device.duplicate()]);
                let question = challenge(&mut record, None, 7, NOW).unwrap();
                let late = UnixTime(NOW.0 + 299);
                let response = shown(&device, &question, counter, late);
                assert!(is_accepted(login(&mut record, &response, late)), "{suite}");
                let before = record.state.nexts();
                for later in [299, 310, 3600] {
                    assert_eq!(login(&mut record, &response, UnixTime(NOW.0 + later)), REPLAYED, "{suite}, {later}");
                }
                assert_eq!((record.state.nexts(), record.state.failures), (before, 0));
                let other = shown(&device, &question, counter + 11, UnixTime(NOW.0 + 900));
                let is_plain = suite == PLAIN; // the same response at any time
                assert_eq!(login(&mut record, &other, UnixTime(NOW.0 + 900)) == REPLAYED, is_plain, "{suite}");
            }
        }
    }

    #[test]
    fn a_used_response_costs_nothing_where_its_kind_is_not_accepted() {
        let device = keypad(1, "keypad", PLAIN);
        let mut record = record(vec![device.duplicate(), phone(2)]);
        let question = challenge(&mut record, None, 7, NOW).unwrap();
        let response = shown(&device, &question, 0, NOW);
        assert!(is_accepted(login(&mut record, &response, NOW)));
        let limits = Limits { devices: Kinds::read(["totp"]).unwrap(), ..LIMITS };
        for later in [0, 600] {
            let (state, verdict) = decide(&limits, &record, &response, UnixTime(NOW.0 + later));
            assert_eq!(verdict, Verdict::Refused(Refusal::KindNotAccepted { failures: None }), "{later}");
            assert_eq!(state, record.state);
        }
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

    fn sent(id: u8, name: &str, channel: Channel, to: &str) -> Device {
        let kind = Kind::Sent(Destination::parse(channel, to).unwrap());
        Device { kind, digits: Digits::SEVEN, name: DeviceName::parse(name).unwrap(), ..phone(id) }
    }

    fn number(id: u8) -> Device {
        sent(id, "mobile", Channel::Sms, "+61412345678")
    }

    /// Takes the code to send to a device of a record, and writes the state.
    fn send(record: &mut Record, named: Option<&str>, now: UnixTime) -> Option<Attempt> {
        let (state, code) = record.code_to_send(record.credentials.challenged_device(named, Kinds::ALL)?, now)?;
        record.state = state;
        assert_eq!(code.len(), 7);
        Some(Attempt::Code(Code::parse(code.as_bytes()).unwrap()))
    }

    #[test]
    fn a_sent_code_is_accepted_once_within_five_minutes() {
        let mut record = record(vec![number(1)]);
        let code = send(&mut record, None, NOW).unwrap();
        let late = UnixTime(NOW.0 + 299);
        let accepted =
            |verdict| matches!(verdict, Verdict::Accepted(it) if it.factor == Factor::Sent(Channel::Sms, DeviceId(1)));
        assert!(accepted(login(&mut record, &code, late)));
        assert_eq!(login(&mut record, &code, late), REPLAYED);
        let over = UnixTime(NOW.0 + 300);
        assert_eq!(login(&mut record, &code, over), REPLAYED, "however late");
        let next = send(&mut record, None, NOW).unwrap();
        assert!(matches!(login(&mut record, &next, over), Verdict::Refused(Refusal::Wrong { failures: 1, .. })));
    }

    #[test]
    fn a_code_that_was_not_sent_is_wrong_and_three_that_were_are_good_at_a_time() {
        let mut record = record(vec![number(1)]);
        let device = number(1);
        let of = |counter| {
            Attempt::Code(
                Generator::new(device.secret.open().unwrap(), device.algorithm, device.digits).code(counter).unwrap(),
            )
        };
        assert!(matches!(login(&mut record, &of(0), NOW), Verdict::Refused(Refusal::Wrong { failures: 1, .. })));
        for _ in 0..4 {
            send(&mut record, None, NOW).unwrap();
        }
        for (counter, is_good) in [(0, false), (4, false), (1, true), (2, true), (3, true), (3, false)] {
            let verdict = login(&mut record, &of(counter), NOW);
            assert_eq!(matches!(verdict, Verdict::Accepted(_)), is_good, "{counter}");
        }
    }

    #[test]
    fn codes_are_sent_to_the_default_device_or_the_one_that_is_named() {
        let address = sent(3, "work", Channel::Email, "alice@example.org");
        let mut record = record(vec![phone(1), number(2), address]);
        assert!(send(&mut record, None, NOW).is_none(), "the default shows codes");
        let mut meant = |named, default| {
            record.credentials.default = Some(DeviceId(default));
            record.credentials.challenged_device(named, Kinds::ALL).map(|device| device.id.0)
        };
        for (named, default, expected) in [
            (Some("sms"), 1, Some(2)),
            (Some(" SMS "), 1, Some(2)),
            (Some("email"), 1, Some(3)),
            (Some("Work"), 2, Some(3)),
            (Some("phone"), 2, None),
            (Some("ocra"), 2, None),
            (None, 2, Some(2)),
            (None, 3, Some(3)),
        ] {
            assert_eq!(meant(named, default), expected, "{named:?}");
        }
    }

    #[test]
    fn one_default_of_several_numbers_is_the_one_that_sms_means() {
        let mut record = record(vec![number(1), sent(2, "other", Channel::Sms, "+4915112345678")]);
        record.credentials.default = Some(DeviceId(2));
        assert_eq!(
            record.credentials.challenged_device(Some("sms"), Kinds::ALL).map(|device| device.id),
            Some(DeviceId(2))
        );
        // Password and code as one are parted by the digits of what shows codes unasked.
        assert_eq!(record.credentials.outline().digits, Some(Digits::SEVEN));
        record.credentials.devices.push(phone(3));
        assert_eq!(record.credentials.outline().digits, Some(Digits::SIX));
        assert!(record.credentials.outline().challenge);
    }
}
