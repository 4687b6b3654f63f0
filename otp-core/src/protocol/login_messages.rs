//! A login's questions and answers on the pipe, written and read without a general parser.
//!
//! They are lines of JSON like all others, `{"login":"accepted totp 1 left 9"}`, in a form so narrow that a few words are
//! all there is to read: what runs inside every PAM host stays small.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::codes::attempt::Typed;
use crate::decision::policy::{Ruling, SecondFactor, Source};
use crate::decision::verify::{Accepted, Factor, Refusal, Verdict};
use crate::record::id::DeviceId;
use crate::record::state::Lock;
use crate::service::authority::Demand;
use crate::value::login_context::LoginContext;
use crate::value::time::{Seconds, UnixTime};

/// More bytes than any code has, however many blanks are in it, and less than fills a line even if all of it is escaped.
/// What is longer is as malformed as nothing, and sent as nothing.
const LONGEST_CODE: usize = 1000;

/// `Request::Demand` as a line.
pub fn ask_demand(place: &LoginContext) -> Zeroizing<String> {
    let LoginContext { service, rhost, tty, nullok } = place;
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| Zeroizing::new("null".into()), quoted);
    let (service, rhost, tty) = (quoted(service), text(rhost), text(tty));
    let (service, rhost, tty) = (service.as_str(), rhost.as_str(), tty.as_str());
    let line = format!(r#"{{"demand":{{"service":{service},"rhost":{rhost},"tty":{tty},"nullok":{nullok}}}}}"#);
    Zeroizing::new(line + "\n")
}

/// `Request::Verify` as a line.
pub fn ask_verify(typed: &Typed) -> Zeroizing<String> {
    let text = Some(typed.expose()).filter(|bytes| bytes.len() <= LONGEST_CODE);
    let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("");
    let mut line = Zeroizing::new(String::with_capacity(2048));
    line.push_str(r#"{"verify":{"typed":"#);
    line.push_str(&quoted(text));
    line.push_str("}}\n");
    line
}

/// A JSON string.
fn quoted(text: &str) -> Zeroizing<String> {
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

/// The words of an answer, from a line that holds one.
pub fn words(line: &str) -> Option<&str> {
    let words = line.strip_prefix(r#"{"login":""#)?.strip_suffix("\"}\n")?;
    words.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"- ".contains(&byte)).then_some(words)
}

/// Error and hint, from a line that says why there is no answer. Escapes stay as they are: it is for a log.
pub fn failure(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix(r#"{"failed":{"error":""#)?.strip_suffix("\"}}\n")?.split_once(r#"","hint":""#)
}

impl Demand {
    /// The demand in words.
    pub fn words(&self) -> String {
        match self {
            Self::Code => "code".into(),
            Self::Remembered => "remembered".into(),
            Self::Nothing(ruling) => format!("nothing {}", ruling.words()),
            Self::SetUp(ruling) => format!("set-up {}", ruling.words()),
        }
    }

    /// Reads what [`Demand::words`] wrote, and nothing else.
    pub fn read(words: &str) -> Option<Self> {
        let demand = match words.split_once(' ') {
            None => [Self::Code, Self::Remembered].into_iter().find(|demand| demand.words() == words),
            Some(("nothing", ruling)) => Ruling::read(ruling).map(Self::Nothing),
            Some(("set-up", ruling)) => Ruling::read(ruling).map(Self::SetUp),
            Some(_) => None,
        };
        demand.filter(|demand| demand.words() == words)
    }
}

impl Ruling {
    fn words(&self) -> String {
        let from = self.required_from.map_or_else(String::new, |from| format!(" from {}", from.0));
        format!("{} {}{from}", self.second_factor.name(), self.source)
    }

    fn read(words: &str) -> Option<Self> {
        let (second_factor, source, required_from) = match *words.split(' ').collect::<Vec<_>>() {
            [second_factor, source] => (second_factor, source, None),
            [second_factor, source, "from", time] => (second_factor, source, Some(UnixTime(time.parse().ok()?))),
            _ => return None,
        };
        let source = match source.strip_prefix("rule-") {
            Some(number) => Source::Rule(number.parse().ok()?),
            None => {
                [Source::Personal, Source::Nullok, Source::Default].into_iter().find(|it| it.to_string() == source)?
            }
        };
        Some(Self { second_factor: SecondFactor::parse(second_factor)?, source, required_from })
    }
}

impl Verdict {
    /// The verdict in words.
    pub fn words(&self) -> String {
        match self {
            Self::Accepted(Accepted { factor, recovery_left }) => {
                let left = recovery_left.map_or_else(String::new, |left| format!(" left {left}"));
                match factor {
                    Factor::Totp(device) => format!("accepted totp {device}{left}"),
                    Factor::Hotp(device) => format!("accepted hotp {device}{left}"),
                    Factor::Recovery => format!("accepted recovery{left}"),
                    Factor::Grace => format!("accepted grace{left}"),
                }
            }
            Self::Refused(why) => match why {
                Refusal::Wrong { failures, clock_behind: None } => format!("refused wrong {failures}"),
                Refusal::Wrong { failures, clock_behind: Some(gap) } => {
                    format!("refused wrong {failures} behind {}", gap.0)
                }
                Refusal::Replayed { clock_behind: None } => "refused replayed".into(),
                Refusal::Replayed { clock_behind: Some(gap) } => format!("refused replayed behind {}", gap.0),
                Refusal::Spent => "refused spent".into(),
                Refusal::UnknownRecovery => "refused unknown-recovery".into(),
                Refusal::Locked(Lock::Open) => "refused locked open".into(),
                Refusal::Locked(Lock::Until(time)) => format!("refused locked until {}", time.0),
                Refusal::Locked(Lock::UntilUnlocked) => "refused locked until-unlocked".into(),
                Refusal::Malformed => "refused malformed".into(),
                Refusal::NotEnrolled => "refused not-enrolled".into(),
                Refusal::UnknownUser => "refused unknown-user".into(),
            },
        }
    }

    /// Reads what [`Verdict::words`] wrote, and nothing else.
    pub fn read(words: &str) -> Option<Self> {
        // Saying it again must give the same words: a number has one spelling.
        Self::meant_by(words).filter(|verdict| verdict.words() == words)
    }

    fn meant_by(words: &str) -> Option<Self> {
        let words: Vec<&str> = words.split(' ').collect();
        let accepted = |factor, left: &[&str]| {
            let recovery_left = match *left {
                [] => None,
                ["left", left] => Some(left.parse().ok()?),
                _ => return None,
            };
            Some(Self::Accepted(Accepted { factor, recovery_left }))
        };
        let refused = |why| Some(Self::Refused(why));
        match *words {
            ["accepted", "totp", device, ref left @ ..] => accepted(Factor::Totp(DeviceId(device.parse().ok()?)), left),
            ["accepted", "hotp", device, ref left @ ..] => accepted(Factor::Hotp(DeviceId(device.parse().ok()?)), left),
            ["accepted", "recovery", ref left @ ..] => accepted(Factor::Recovery, left),
            ["accepted", "grace", ref left @ ..] => accepted(Factor::Grace, left),
            ["refused", "wrong", failures] => {
                refused(Refusal::Wrong { failures: failures.parse().ok()?, clock_behind: None })
            }
            ["refused", "wrong", failures, "behind", gap] => {
                let clock_behind = Some(Seconds(gap.parse().ok()?));
                refused(Refusal::Wrong { failures: failures.parse().ok()?, clock_behind })
            }
            ["refused", "replayed"] => refused(Refusal::Replayed { clock_behind: None }),
            ["refused", "replayed", "behind", gap] => {
                refused(Refusal::Replayed { clock_behind: Some(Seconds(gap.parse().ok()?)) })
            }
            ["refused", "spent"] => refused(Refusal::Spent),
            ["refused", "unknown-recovery"] => refused(Refusal::UnknownRecovery),
            ["refused", "locked", "open"] => refused(Refusal::Locked(Lock::Open)),
            ["refused", "locked", "until", time] => refused(Refusal::Locked(Lock::Until(UnixTime(time.parse().ok()?)))),
            ["refused", "locked", "until-unlocked"] => refused(Refusal::Locked(Lock::UntilUnlocked)),
            ["refused", "malformed"] => refused(Refusal::Malformed),
            ["refused", "not-enrolled"] => refused(Refusal::NotEnrolled),
            ["refused", "unknown-user"] => refused(Refusal::UnknownUser),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Reply, Request};

    fn verdicts() -> Vec<Verdict> {
        let accepted = |factor, recovery_left| Verdict::Accepted(Accepted { factor, recovery_left });
        let refusals = [
            Refusal::Wrong { failures: u32::MAX, clock_behind: None },
            Refusal::Wrong { failures: 1, clock_behind: Some(Seconds(7)) },
            Refusal::Replayed { clock_behind: None },
            Refusal::Replayed { clock_behind: Some(Seconds(u64::MAX)) },
            Refusal::Spent,
            Refusal::UnknownRecovery,
            Refusal::Locked(Lock::Open),
            Refusal::Locked(Lock::Until(UnixTime(7))),
            Refusal::Locked(Lock::UntilUnlocked),
            Refusal::Malformed,
            Refusal::NotEnrolled,
            Refusal::UnknownUser,
        ];
        let mut all: Vec<_> = refusals.map(Verdict::Refused).into();
        for left in [None, Some(0), Some(10)] {
            all.push(accepted(Factor::Totp(DeviceId(255)), left));
            all.push(accepted(Factor::Hotp(DeviceId(1)), left));
            all.push(accepted(Factor::Recovery, left));
            all.push(accepted(Factor::Grace, left));
        }
        all
    }

    fn demands() -> Vec<Demand> {
        let mut all = vec![Demand::Code, Demand::Remembered];
        for source in [Source::Personal, Source::Nullok, Source::Default, Source::Rule(12)] {
            for required_from in [None, Some(UnixTime(1_798_761_600))] {
                let ruling = Ruling { second_factor: SecondFactor::Optional, source, required_from };
                all.extend([Demand::Nothing(ruling), Demand::SetUp(ruling)]);
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
    fn an_answer_arrives_as_it_was_sent() {
        for words_sent in verdicts().iter().map(Verdict::words).chain(demands().iter().map(Demand::words)) {
            let mut line = Vec::new();
            crate::protocol::helper_process::write_line(&mut line, &Reply::Login(words_sent.clone())).unwrap();
            assert_eq!(words(std::str::from_utf8(&line).unwrap()), Some(words_sent.as_str()));
        }
    }

    #[test]
    fn a_failure_arrives_with_its_hint() {
        let mut line = Vec::new();
        let failed = Reply::Failed { error: "cannot open /a".into(), hint: "look there".into() };
        crate::protocol::helper_process::write_line(&mut line, &failed).unwrap();
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!((words(line), failure(line)), (None, Some(("cannot open /a", "look there"))));
        assert_eq!(failure("{\"login\":\"code\"}\n"), None);
    }

    #[test]
    fn what_was_not_written_here_is_no_answer() {
        for odd in [
            "",
            "accepted",
            "accepted totp",
            "accepted totp x",
            "accepted totp 1 left",
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
            "set-up enroll rule-x",
            "set-up enroll rule-+1",
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
    fn a_question_is_what_the_helper_reads() {
        let hostile = "a\"b\\c\n\u{1}\u{7f}é\u{2028}";
        for (rhost, tty, nullok) in [(None, None, false), (Some(hostile.to_owned()), Some(String::new()), true)] {
            let place = LoginContext { service: hostile.into(), rhost, tty, nullok };
            let line = ask_demand(&place);
            let Request::Demand(read) = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap() else {
                panic!("{}", *line)
            };
            assert_eq!(format!("{read:?}"), format!("{place:?}"));
            assert_eq!(line.matches('\n').count(), 1);
        }
        let verify = |typed: &[u8]| {
            let line = ask_verify(&Typed::new(typed.to_vec()));
            let Request::Verify { typed } = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap() else {
                panic!("{}", *line)
            };
            typed.expose().to_owned()
        };
        assert_eq!(verify(b"123 456"), "123 456");
        assert_eq!(verify(hostile.as_bytes()), hostile);
        assert_eq!(verify(&[b'"'; LONGEST_CODE]), "\"".repeat(LONGEST_CODE));
        assert_eq!(verify(&[b'1'; LONGEST_CODE + 1]), "");
        assert_eq!(verify(b"\xff123456"), "");
    }
}
