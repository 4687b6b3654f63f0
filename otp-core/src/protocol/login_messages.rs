//! The messages of a login on the pipe, written and read without a general parser.
//!
//! They are lines of JSON like all others, such as `{"login":"accepted totp device 1 left 9"}`, in a form so narrow that
//! reading them takes little code: the code that runs inside every PAM host stays small.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::audit::LONGEST_VALUE;
use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::codes::hotp_totp::Digits;
use crate::decision::demand::Demand;
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Ruling, SecondFactor, Source};
use crate::decision::verify::{Accepted, Factor, Refusal, Verdict};
use crate::error::HelperError;
use crate::protocol::request::PinToSend;
use crate::record::id::DeviceId;
use crate::record::seal::Shut;
use crate::record::state::Lock;
use crate::store::note::Answer;
use crate::value::destination::{Channel, Masked};
use crate::value::login_context::LoginContext;
use crate::value::request_id::RequestId;
use crate::value::search;
use crate::value::time::{Seconds, UnixTime};

/// More bytes than any code with blanks has, and few enough to fit a line even if every byte is escaped. A longer text is
/// as malformed as an empty one, and sent as an empty one.
const LONGEST_CODE: usize = 1000;

/// `Request::Demand` as a line.
pub fn ask_demand(login: &LoginContext) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(2048));
    line.push_str(r#"{"demand":"#);
    push_context(&mut line, login);
    line.push_str("}\n");
    line
}

/// `Request::Challenge` as a line.
pub fn ask_challenge(login: &LoginContext, named: Option<&Typed>) -> Zeroizing<String> {
    ask_with(r#"{"challenge":{"named":"#, named, login)
}

/// `Request::Verify` as a line.
pub fn ask_verify(id: RequestId, login: &LoginContext, typed: &Typed) -> Zeroizing<String> {
    ask_with(&format!(r#"{{"verify":{{"id":"{id}","typed":"#), Some(typed), login)
}

/// `Request::SendPin` as a line.
pub fn ask_to_send(pin: &PinToSend) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(2048));
    let (kind, to, pin) = (pin.kind.word(), quoted(&pin.to), quoted(pin.pin.expose()));
    // Writing to a string cannot fail.
    let _ = writeln!(line, r#"{{"send-pin":{{"kind":"{kind}","to":{},"pin":{}}}}}"#, to.as_str(), pin.as_str());
    line
}

/// A request about what was typed, if it was.
fn ask_with(head: &str, typed: Option<&Typed>, login: &LoginContext) -> Zeroizing<String> {
    // Large enough for the longest code, escaped: a buffer that grows leaves copies of it behind.
    let mut line = Zeroizing::new(String::with_capacity(8192));
    line.push_str(head);
    match typed.map(Typed::expose) {
        Some(typed) => {
            let text = Some(typed).filter(|bytes| bytes.len() <= LONGEST_CODE);
            line.push_str(&quoted(text.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")));
        }
        None => line.push_str("null"),
    }
    line.push_str(r#","login":"#);
    // The context is only for the log, which cuts it too: a long one must not keep a code from being verified.
    let cut = |text: &str| text.get(..text.floor_char_boundary(LONGEST_VALUE)).unwrap_or_default().to_owned();
    let LoginContext { service, rhost, tty, nullok, enroll, as_one, send } = login;
    let (rhost, tty) = (rhost.as_deref().map(cut), tty.as_deref().map(cut));
    let (service, nullok, enroll, as_one, send) = (cut(service), *nullok, *enroll, *as_one, *send);
    push_context(&mut line, &LoginContext { service, rhost, tty, nullok, enroll, as_one, send });
    line.push_str("}}\n");
    line
}

/// A question of a login, made one to the agent: it names the user that it is about.
pub fn ask_about(user: &str, question: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(16_384));
    line.push_str(r#"{"about":"#);
    line.push_str(&quoted(user));
    line.push_str(r#","request":"#);
    line.push_str(question.trim_end());
    line.push_str("}\n");
    line
}

fn push_context(line: &mut String, login: &LoginContext) {
    let LoginContext { service, rhost, tty, nullok, enroll, as_one, send } = login;
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| Zeroizing::new("null".into()), quoted);
    let (service, rhost, tty) = (quoted(service), text(rhost), text(tty));
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        r#"{{"service":{},"rhost":{},"tty":{},"nullok":{nullok},"enroll":{enroll},"as_one":{as_one},"send":{send}}}"#,
        service.as_str(),
        rhost.as_str(),
        tty.as_str()
    );
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(text.len().saturating_mul(6).saturating_add(2)));
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_ascii_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// The words in a line that holds an answer.
pub fn words(line: &str) -> Option<&str> {
    let words = line.strip_prefix(r#"{"login":""#)?.strip_suffix("\"}\n")?;
    words.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"- .".contains(&byte)).then_some(words)
}

/// The answer in a line.
pub fn answer<T>(line: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, HelperError> {
    words(line).and_then(read).ok_or_else(|| no_answer(line))
}

/// The error that a line reports which has no answer.
#[cold]
pub(super) fn no_answer(line: &str) -> HelperError {
    match error_and_hint(line) {
        Some((error, hint)) => HelperError::Reports { error: error.to_owned(), hint: hint.to_owned() },
        // The line is not quoted: it may hold a code or a seed.
        None => HelperError::Unintelligible,
    }
}

/// Error and hint in a line that reports an error. Escapes are kept: the texts are for a log.
pub fn error_and_hint(line: &str) -> Option<(&str, &str)> {
    let texts = line.strip_prefix(r#"{"failed":{"error":""#)?.strip_suffix("\"}}\n")?;
    search::split_at(texts, r#"","hint":""#)
}

impl Demand {
    /// The demand in words.
    pub fn words(&self) -> String {
        match self {
            Self::Code { digits: None, .. } | Self::Grace { digits: None } => self.word().into(),
            Self::Code { digits: Some(digits), .. } | Self::Grace { digits: Some(digits) } => {
                format!("{} {}", self.word(), digits.get())
            }
            Self::Nothing(ruling) | Self::Enroll(ruling) | Self::Passcode(ruling) => {
                format!("{} {}", self.word(), ruling.words())
            }
        }
    }

    /// Reads only what [`Demand::words`] writes.
    pub fn read(words: &str) -> Option<Self> {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        let digits = rest.parse().ok().and_then(|digits: u8| Digits::try_from(digits).ok());
        let code = |challenge| Self::Code { challenge, digits };
        let mut demands = [code(false), code(true), Self::Grace { digits }].to_vec();
        if let Some(ruling) = Ruling::read(rest) {
            demands.extend([Self::Nothing(ruling), Self::Enroll(ruling), Self::Passcode(ruling)]);
        }
        demands.into_iter().find(|demand| demand.word() == word).filter(|demand| demand.words() == words)
    }
}

impl Challenge {
    /// The challenge in words.
    pub fn words(&self) -> String {
        match self {
            Self::None => "no-challenge".into(),
            Self::Question(question) => format!("question {question}"),
            Self::Sent(to) => format!("sent {}", to.words()),
            Self::Wait(time) => format!("wait {}", time.0),
            Self::NotSent => "not-sent".into(),
            Self::NoSuchDevice => "no-such-device".into(),
        }
    }

    /// Reads only what [`Challenge::words`] writes.
    pub fn read(words: &str) -> Option<Self> {
        let question = words.strip_prefix("question ").filter(|question| (1..=64).contains(&question.len()));
        let question = question.filter(|question| question.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let sent = words.strip_prefix("sent ").and_then(Masked::read).map(Self::Sent);
        let wait = words.strip_prefix("wait ").and_then(|time| Some(Self::Wait(Seconds(time.parse().ok()?))));
        let challenges = [Self::None, Self::NoSuchDevice, Self::NotSent].into_iter().chain(sent).chain(wait);
        challenges.chain(question.map(|question| Self::Question(question.to_owned()))).find(|one| one.words() == words)
    }
}

impl Ruling {
    fn words(&self) -> String {
        let from = self.required_from.map_or_else(String::new, |from| format!(" from {}", from.0));
        let passcode = if self.passcode { " passcode" } else { "" };
        format!("{} {}{from}{passcode}", self.second_factor.name(), self.source)
    }

    fn read(words: &str) -> Option<Self> {
        let (words, passcode) = match words.strip_suffix(" passcode") {
            Some(words) => (words, true),
            None => (words, false),
        };
        let (second_factor, source, required_from) = match *words.split(' ').collect::<Vec<_>>() {
            [second_factor, source] => (second_factor, source, None),
            [second_factor, source, "from", time] => (second_factor, source, Some(UnixTime(time.parse().ok()?))),
            _ => return None,
        };
        let source = match source.strip_prefix("rule-") {
            Some(number) => Source::Rule(number.parse().ok()?),
            None => {
                [Source::Override, Source::Nullok, Source::Default].into_iter().find(|it| it.to_string() == source)?
            }
        };
        let second_factor = SecondFactor::parse(second_factor)?;
        Some(Self { second_factor, source, required_from, passcode, devices: Kinds::ALL })
    }
}

/// What follows the word of a verdict: names, each with a number, and a lock.
#[derive(Default)]
struct Details {
    device: Option<DeviceId>,
    left: Option<u8>,
    failures: Option<u32>,
    behind: Option<Seconds>,
    lock: Option<Lock>,
}

impl Details {
    fn read(mut words: &[&str]) -> Option<Self> {
        let mut details = Self::default();
        while let Some((word, rest)) = words.split_first() {
            let value = rest.first().copied();
            match (*word, value) {
                ("device", Some(number)) => details.device = Some(DeviceId(number.parse().ok()?)),
                ("left", Some(number)) => details.left = Some(number.parse().ok()?),
                ("failures", Some(number)) => details.failures = Some(number.parse().ok()?),
                ("behind", Some(number)) => details.behind = Some(Seconds(number.parse().ok()?)),
                ("until", Some(time)) => details.lock = Some(Lock::Until(UnixTime(time.parse().ok()?))),
                (word, _) => {
                    details.lock = Some(Lock::parse(word)?);
                    words = rest;
                    continue;
                }
            }
            words = rest.get(1..)?;
        }
        Some(details)
    }
}

impl Verdict {
    /// The verdict in words: the word of its factor or refusal, and its details.
    pub fn words(&self) -> String {
        let number = |name: &str, number: Option<u64>| number.map_or_else(String::new, |it| format!(" {name} {it}"));
        match self {
            Self::Accepted(Accepted { factor, recovery_left, failures }) => {
                let device = number("device", factor.device().map(|device| device.0.into()));
                let left = number("left", recovery_left.map(u64::from));
                let failures = number("failures", Some(u64::from(*failures)).filter(|failures| *failures > 0));
                format!("accepted {}{device}{left}{failures}", factor.word())
            }
            Self::Refused(why) => {
                let details = match why {
                    Refusal::Wrong { failures, clock_behind } => {
                        format!(" failures {failures}{}", number("behind", clock_behind.map(|gap| gap.0)))
                    }
                    Refusal::KindNotAccepted { failures } => number("failures", failures.map(u64::from)),
                    Refusal::Replayed { clock_behind } => number("behind", clock_behind.map(|gap| gap.0)),
                    Refusal::Locked(lock) => format!(" {lock}"),
                    Refusal::RecoveryUsed
                    | Refusal::RecoveryUnknown
                    | Refusal::PasscodeUsed
                    | Refusal::PasscodeUnknown
                    | Refusal::PasscodeExpired
                    | Refusal::PasscodeElsewhere
                    | Refusal::Malformed
                    | Refusal::NotEnrolled
                    | Refusal::EnrollmentNotOffered
                    | Refusal::HostBudget
                    | Refusal::HostNotPermitted
                    | Refusal::Renamed
                    | Refusal::Sealed(_)
                    | Refusal::UnknownUser => String::new(),
                };
                format!("refused {}{details}", why.word())
            }
        }
    }

    /// Reads only what [`Verdict::words`] writes.
    pub fn read(words: &str) -> Option<Self> {
        let parts: Vec<&str> = words.split(' ').collect();
        let (answer, word) = (*parts.first()?, *parts.get(1)?);
        let Details { device, left, failures, behind, lock } = Details::read(parts.get(2..)?)?;
        let device = device.unwrap_or(DeviceId(0));
        let verdict = if answer == "accepted" {
            let factors = [
                Factor::Totp(device),
                Factor::Hotp(device),
                Factor::Ocra(device),
                Factor::Sent(Channel::Sms, device),
                Factor::Sent(Channel::Email, device),
                Factor::Recovery,
                Factor::Scratch,
                Factor::Passcode,
                Factor::BreakGlass,
                Factor::Grace,
            ];
            let factor = factors.into_iter().find(|factor| factor.word() == word)?;
            Self::Accepted(Accepted { factor, recovery_left: left, failures: failures.unwrap_or_default() })
        } else {
            let refusals = [
                Refusal::Wrong { failures: failures.unwrap_or_default(), clock_behind: behind },
                Refusal::Replayed { clock_behind: behind },
                Refusal::RecoveryUsed,
                Refusal::RecoveryUnknown,
                Refusal::PasscodeUsed,
                Refusal::PasscodeUnknown,
                Refusal::PasscodeExpired,
                Refusal::PasscodeElsewhere,
                Refusal::KindNotAccepted { failures },
                Refusal::Locked(lock.unwrap_or(Lock::Open)),
                Refusal::Malformed,
                Refusal::NotEnrolled,
                Refusal::Renamed,
                Refusal::EnrollmentNotOffered,
                Refusal::HostBudget,
                Refusal::HostNotPermitted,
                Refusal::Sealed(Shut::NoKey),
                Refusal::Sealed(Shut::OtherKey),
                Refusal::Sealed(Shut::NoAgent),
                Refusal::Sealed(Shut::Altered),
                Refusal::UnknownUser,
            ];
            Self::Refused(refusals.into_iter().find(|why| why.word() == word)?)
        };
        // A detail that does not belong to this verdict, or another spelling, would not be written again.
        Some(verdict).filter(|verdict| verdict.words() == words)
    }
}

impl Answer for Verdict {
    fn words(&self) -> Cow<'static, str> {
        self.words().into()
    }

    fn read(words: &str) -> Option<Self> {
        Self::read(words)
    }
}

impl Answer for Challenge {
    fn words(&self) -> Cow<'static, str> {
        self.words().into()
    }

    fn read(words: &str) -> Option<Self> {
        Self::read(words)
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.words())
    }
}

impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = String::deserialize(deserializer)?;
        Self::read(&words).ok_or_else(|| D::Error::custom("not a verdict"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Reply, Request};

    fn verdicts() -> Vec<Verdict> {
        let accepted =
            |factor, recovery_left| Verdict::Accepted(Accepted { factor, recovery_left, failures: u32::MAX });
        let refusals = [
            Refusal::Wrong { failures: u32::MAX, clock_behind: None },
            Refusal::Wrong { failures: 1, clock_behind: Some(Seconds(7)) },
            Refusal::Replayed { clock_behind: None },
            Refusal::Replayed { clock_behind: Some(Seconds(u64::MAX)) },
            Refusal::RecoveryUsed,
            Refusal::RecoveryUnknown,
            Refusal::PasscodeUsed,
            Refusal::PasscodeUnknown,
            Refusal::PasscodeExpired,
            Refusal::PasscodeElsewhere,
            Refusal::KindNotAccepted { failures: None },
            Refusal::KindNotAccepted { failures: Some(u32::MAX) },
            Refusal::Locked(Lock::Open),
            Refusal::Locked(Lock::Until(UnixTime(7))),
            Refusal::Locked(Lock::UntilUnlocked),
            Refusal::Malformed,
            Refusal::NotEnrolled,
            Refusal::Renamed,
            Refusal::EnrollmentNotOffered,
            Refusal::HostBudget,
            Refusal::HostNotPermitted,
            Refusal::UnknownUser,
        ];
        let mut all: Vec<_> = refusals.map(Verdict::Refused).into();
        for left in [None, Some(0), Some(10)] {
            all.push(Verdict::Accepted(Accepted { factor: Factor::Recovery, recovery_left: left, failures: 0 }));
            all.push(accepted(Factor::Totp(DeviceId(255)), left));
            all.push(accepted(Factor::Hotp(DeviceId(1)), left));
            all.push(accepted(Factor::Ocra(DeviceId(2)), left));
            all.extend(Channel::ALL.map(|channel| accepted(Factor::Sent(channel, DeviceId(3)), left)));
            all.push(accepted(Factor::Recovery, left));
            all.push(accepted(Factor::Scratch, left));
            all.push(accepted(Factor::Passcode, left));
            all.push(accepted(Factor::BreakGlass, left));
            all.push(accepted(Factor::Grace, left));
        }
        all
    }

    fn demands() -> Vec<Demand> {
        let mut all = Vec::new();
        for digits in [None, Some(Digits::SIX), Digits::try_from(8).ok()] {
            let code = |challenge| Demand::Code { challenge, digits };
            all.extend([code(false), code(true), Demand::Grace { digits }]);
        }
        for source in [Source::Override, Source::Nullok, Source::Default, Source::Rule(12)] {
            for required_from in [None, Some(UnixTime(1_798_761_600))] {
                for passcode in [false, true] {
                    let second_factor = SecondFactor::Optional;
                    let ruling = Ruling { second_factor, source, required_from, passcode, devices: Kinds::ALL };
                    all.extend([Demand::Nothing(ruling), Demand::Enroll(ruling), Demand::Passcode(ruling)]);
                }
            }
        }
        all
    }

    #[test]
    fn reading_undoes_writing() {
        for verdict in verdicts() {
            assert_eq!(Verdict::read(&verdict.words()), Some(verdict));
        }
        for demand in demands() {
            assert_eq!(Demand::read(&demand.words()), Some(demand));
        }
    }

    #[test]
    fn a_challenge_is_read_as_it_was_written_and_nothing_else_is_one() {
        let number = Masked::Number("78".into());
        let address = |start: &str| Masked::Address(start.into(), "mail-1.example.org".into());
        for challenge in [
            Challenge::None,
            Challenge::NoSuchDevice,
            Challenge::NotSent,
            Challenge::Wait(Seconds(u64::MAX)),
            Challenge::Sent(number),
            Challenge::Sent(address("a")),
            Challenge::Sent(address("")),
            Challenge::Question("1".repeat(64)),
        ] {
            let line = format!("{{\"login\":\"{}\"}}\n", challenge.words());
            assert_eq!(words(&line).and_then(Challenge::read), Some(challenge));
        }
        for odd in [
            "",
            "sent",
            "sent sms",
            "sent fax 1",
            "sent email a",
            "wait",
            "wait 07",
            "wait -1",
            "question ",
            "not-sent 1",
        ] {
            assert_eq!(Challenge::read(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        for words_sent in verdicts().iter().map(Verdict::words).chain(demands().iter().map(Demand::words)) {
            let mut line = Vec::new();
            crate::protocol::helper_process::write_line(&mut line, &Reply::Login(words_sent.clone())).unwrap();
            assert_eq!(words(std::str::from_utf8(&line).unwrap()), Some(words_sent.as_str()));
        }
    }

    #[test]
    fn an_error_arrives_with_its_hint() {
        let mut line = Vec::new();
        let failed = Reply::Failed { error: "cannot open /a".into(), hint: "look there".into() };
        crate::protocol::helper_process::write_line(&mut line, &failed).unwrap();
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!((words(line), error_and_hint(line)), (None, Some(("cannot open /a", "look there"))));
        assert_eq!(error_and_hint("{\"login\":\"code\"}\n"), None);
    }

    #[test]
    fn a_text_that_this_program_would_not_write_is_no_answer() {
        for odd in [
            "",
            "accepted",
            "accepted totp",
            "accepted totp x",
            "accepted totp 1 left",
            "accepted totp device 1 failures 0",
            "accepted totp 1 left 9 9",
            "accepted recovery 1",
            "refused",
            "refused wrong",
            "refused locked",
            "refused wrong -1",
            "accepted  totp 1",
            "accepted totp 256",
            "accepted totp 01",
            "refused wrong +1",
            "Accepted totp 1",
        ] {
            assert_eq!(Verdict::read(odd), None, "{odd}");
        }
        for odd in [
            "",
            "nothing",
            "nothing skip",
            "nothing skip nobody",
            "nothing never default",
            "code ",
            "enroll enroll rule-x",
            "enroll enroll rule-+1",
            "passcode",
            "passcode passcode",
            "passcode enroll rule-1 passcode from 7",
            "nothing skip default from 07",
        ] {
            assert_eq!(Demand::read(odd), None, "{odd}");
        }
        for odd in [
            "",
            "\n",
            r#"{"login":"code"}"#,
            "{\"login\":\"a\\\"b\"}\n",
            "{\"failed\":\"code\"}\n",
            "{\"login\":\"code\"} \n",
        ] {
            assert_eq!(words(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_helper_reads_every_question_as_it_was_meant() {
        let hostile = "a\"b\\c\n\u{1}\u{7f}é\u{2028}";
        for (rhost, tty, nullok) in [(None, None, false), (Some(hostile.to_owned()), Some(String::new()), true)] {
            let login = LoginContext {
                service: hostile.into(),
                rhost,
                tty,
                nullok,
                enroll: nullok,
                as_one: nullok,
                send: nullok,
            };
            let line = ask_demand(&login);
            let Request::Demand(read) = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap() else {
                panic!("{}", *line)
            };
            assert_eq!(format!("{read:?}"), format!("{login:?}"));
            assert_eq!(line.matches('\n').count(), 1);
        }
        let verify = |typed: &[u8]| {
            let login =
                LoginContext { service: hostile.into(), rhost: Some(hostile.into()), ..LoginContext::default() };
            let id = RequestId([0x5a; 16]);
            let line = ask_verify(id, &login, &Typed::new(typed.to_vec()));
            let Request::Verify { id: read_id, login: read, typed } =
                serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap()
            else {
                panic!("{}", *line)
            };
            assert_eq!((read_id, format!("{read:?}")), (Some(id), format!("{login:?}")));
            typed.expose().to_owned()
        };
        assert_eq!(verify(b"123 456"), "123 456");
        assert_eq!(verify(hostile.as_bytes()), hostile);
        assert_eq!(verify(&[b'"'; LONGEST_CODE]), "\"".repeat(LONGEST_CODE));
        assert_eq!(verify(&[b'1'; LONGEST_CODE + 1]), "");
        assert_eq!(verify(b"\xff123456"), "");
    }
}
