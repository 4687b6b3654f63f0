//! What the administrator reads: one line for each decision or change, in stable `key=value` form.
//!
//! Never a code, a seed or what was typed. A value holds no blank, unless it stands between quotation marks, and no control
//! character: what could end a value or a line is written `\xNN`, and what is too long ends in `...`.

use std::fmt::{self, Write};

use crate::decision::policy::Ruling;
use crate::decision::verify::{Accepted, Refusal, Verdict};
use crate::record::state::Lock;

/// Bytes of a value that are written: all of a login name or of a host name. A line that a client could make as long as
/// it likes would not reach the log: syslog takes a few kilobytes, some daemons cut its end off, others all of it.
pub const LONGEST_VALUE: usize = 255;

/// Bytes of an error or a hint that are written.
const LONGEST_TEXT: usize = 1000;

/// One line.
pub enum Event<'a> {
    /// A login was decided.
    Login {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// What was decided.
        verdict: &'a Verdict,
        /// Whether a refusal refuses: not so in a rollout.
        enforced: bool,
    },
    /// Policy asked for nothing.
    NotAsked {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// By which rule.
        ruling: &'a Ruling,
    },
    /// Policy wants a device set up before this login is let in.
    EnrollmentPending {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// By which rule.
        ruling: &'a Ruling,
        /// Whether it is done: not so in a rollout.
        enforced: bool,
    },
    /// A login could not be decided, or a request not be served.
    Failed {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// What kept it from being decided.
        error: &'a dyn fmt::Display,
        /// What to do about it.
        hint: &'a str,
        /// Whether it keeps anybody out: not so in a rollout.
        enforced: bool,
    },
    /// A login was led through enrollment.
    EnrollmentDuringLogin {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// Why there is no new device, where there is none: `enrollment-incomplete`, `enrollment-overtaken`.
        why: Option<&'a str>,
    },
    /// Credentials or state were changed, or a change was refused.
    Change {
        /// Whose.
        user: &'a str,
        /// By whom.
        by: u32,
        /// What: `enrolled`, `unlocked`.
        what: &'a str,
        /// Why it was refused, where it was.
        why: Option<Refusal>,
    },
}

/// How much it matters, in syslog's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody was refused, or something was changed.
    Notice,
    /// Nobody gets in until an administrator acts.
    Error,
}

impl Event<'_> {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Event::Login { verdict: Verdict::Accepted(_), .. }
            | Event::NotAsked { .. }
            | Event::EnrollmentPending { .. } => Severity::Info,
            Event::Login { verdict: Verdict::Refused(_), .. }
            | Event::EnrollmentDuringLogin { .. }
            | Event::Change { .. } => Severity::Notice,
            Event::Failed { .. } => Severity::Error,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Login { user, rhost, verdict: Verdict::Accepted(accepted), enforced: _ } => {
                write!(f, "accepted {}{}", Who(user, *rhost), How(accepted))
            }
            Event::Login { user, rhost, verdict: Verdict::Refused(why), enforced } => {
                write!(f, "refused {} {}{}", Who(user, *rhost), Why(*why), Enforced(*enforced))
            }
            Event::NotAsked { user, rhost, ruling } => write!(f, "not-asked {}{}", Who(user, *rhost), By(ruling)),
            Event::EnrollmentPending { user, rhost, ruling, enforced } => {
                write!(f, "enrollment-pending {}{}{}", Who(user, *rhost), By(ruling), Enforced(*enforced))
            }
            Event::Failed { user, rhost, error, hint, enforced } => {
                let (error, hint) = (error.to_string(), Line(hint));
                let (error, enforced) = (Line(&error), Enforced(*enforced));
                write!(f, "error {} error=\"{error}\" hint=\"{hint}\"{enforced}", Who(user, *rhost))
            }
            Event::EnrollmentDuringLogin { user, rhost, why: None } => {
                write!(f, "enrolled-during-login {}", Who(user, *rhost))
            }
            Event::EnrollmentDuringLogin { user, rhost, why: Some(why) } => {
                write!(f, "refused {} why={why}", Who(user, *rhost))
            }
            Event::Change { user, by, what, why: None } => write!(f, "{what} user={} by_uid={by}", Value(user)),
            Event::Change { user, by, what, why: Some(why) } => {
                write!(f, "refused user={} by_uid={by} change={what} {}", Value(user), Why(*why))
            }
        }
    }
}

struct Who<'a>(&'a str, Option<&'a str>);
struct By<'a>(&'a Ruling);
struct Enforced(bool);
struct How<'a>(&'a Accepted);
struct Why(Refusal);
/// Text without blanks.
struct Value<'a>(&'a str);
/// Text with blanks, between quotation marks.
struct Line<'a>(&'a str);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user={}", Value(self.0))?;
        // Hosts set PAM_RHOST to nothing where there is none.
        self.1.filter(|rhost| !rhost.is_empty()).map_or(Ok(()), |rhost| write!(f, " rhost={}", Value(rhost)))
    }
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " second_factor={} by={}", self.0.second_factor.name(), self.0.source)?;
        self.0.required_from.map_or(Ok(()), |from| write!(f, " required_from={}", from.day()))
    }
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "" } else { " enforced=no" })
    }
}

impl fmt::Display for How<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " factor={}", self.0.factor.word())?;
        self.0.factor.device().map_or(Ok(()), |device| write!(f, " device={device}"))?;
        self.0.recovery_left.map_or(Ok(()), |left| write!(f, " recovery_left={left}"))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "why={}", self.0.word())?;
        match self.0 {
            Refusal::Wrong { failures, clock_behind: None } => write!(f, " failures={failures}"),
            Refusal::Wrong { failures, clock_behind: Some(gap) } => {
                write!(f, " failures={failures} clock_behind={}s", gap.0)
            }
            Refusal::Replayed { clock_behind: Some(gap) } => write!(f, " clock_behind={}s", gap.0),
            Refusal::Locked(Lock::Until(time)) => write!(f, " until={time}"),
            Refusal::Locked(Lock::UntilUnlocked | Lock::Open) => f.write_str(" until=unlocked"),
            Refusal::Replayed { clock_behind: None }
            | Refusal::RecoveryUsed
            | Refusal::RecoveryUnknown
            | Refusal::Malformed
            | Refusal::NotEnrolled
            | Refusal::UnknownUser => Ok(()),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, LONGEST_VALUE, |byte| match byte {
            b'"' | b'\\' | b'=' => None,
            b'!'..=b'~' => Some(char::from(byte)),
            _ => None,
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, LONGEST_TEXT, |byte| match byte {
            b'"' => Some('\''),
            b' '..=b'~' => Some(char::from(byte)),
            _ => None,
        })
    }
}

/// Writes so many bytes of a text: what `letter` makes of each, and `\xNN` where that is nothing.
fn escape(f: &mut fmt::Formatter<'_>, text: &str, longest: usize, letter: impl Fn(u8) -> Option<char>) -> fmt::Result {
    text.bytes().take(longest).try_for_each(|byte| match letter(byte) {
        Some(letter) => f.write_char(letter),
        None => write!(f, "\\x{byte:02x}"),
    })?;
    f.write_str(if text.len() > longest { "..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::policy::{SecondFactor, Source};
    use crate::decision::verify::Factor;
    use crate::record::id::DeviceId;
    use crate::value::time::{Seconds, UnixTime};

    fn login(verdict: Verdict) -> (String, Severity) {
        let event = Event::Login { user: "alice", rhost: Some("203.0.113.9"), verdict: &verdict, enforced: true };
        (event.to_string(), event.severity())
    }

    #[test]
    fn an_accepted_login_says_by_what() {
        for (factor, recovery_left, expected) in [
            (Factor::Totp(DeviceId(1)), Some(10), "factor=totp device=1 recovery_left=10"),
            (Factor::Totp(DeviceId(8)), None, "factor=totp device=8"),
            (Factor::Hotp(DeviceId(2)), Some(0), "factor=hotp device=2 recovery_left=0"),
            (Factor::Recovery, Some(9), "factor=recovery recovery_left=9"),
        ] {
            let line = format!("accepted user=alice rhost=203.0.113.9 {expected}");
            assert_eq!(login(Verdict::Accepted(Accepted { factor, recovery_left })), (line, Severity::Info));
        }
    }

    #[test]
    fn a_refused_login_says_why() {
        let until = Lock::Until(UnixTime(1_763_750_020));
        for (why, expected) in [
            (Refusal::Wrong { failures: 3, clock_behind: None }, "why=wrong failures=3"),
            (
                Refusal::Wrong { failures: 3, clock_behind: Some(Seconds(3600)) },
                "why=wrong failures=3 clock_behind=3600s",
            ),
            (Refusal::Replayed { clock_behind: None }, "why=replayed"),
            (Refusal::Replayed { clock_behind: Some(Seconds(3600)) }, "why=replayed clock_behind=3600s"),
            (Refusal::RecoveryUsed, "why=recovery-used"),
            (Refusal::RecoveryUnknown, "why=recovery-unknown"),
            (Refusal::Locked(until), "why=locked until=2025-11-21T18:33:40Z"),
            (Refusal::Locked(Lock::UntilUnlocked), "why=locked until=unlocked"),
            (Refusal::Malformed, "why=malformed"),
            (Refusal::NotEnrolled, "why=not-enrolled"),
            (Refusal::UnknownUser, "why=unknown-user"),
        ] {
            let line = format!("refused user=alice rhost=203.0.113.9 {expected}");
            assert_eq!(login(Verdict::Refused(why)), (line, Severity::Notice));
        }
    }

    #[test]
    fn who_was_not_asked_is_logged_with_the_rule() {
        let line = |event: Event<'_>| {
            assert_eq!(event.severity(), Severity::Info);
            event.to_string()
        };
        let not_asked = |ruling: &Ruling| line(Event::NotAsked { user: "alice", rhost: None, ruling });
        let ruling = |second_factor, source| Ruling { second_factor, source, required_from: None };
        let skipped = ruling(SecondFactor::Skip, Source::Rule(2));
        assert_eq!(not_asked(&skipped), "not-asked user=alice second_factor=skip by=rule-2");
        let optional = ruling(SecondFactor::Optional, Source::Default);
        assert_eq!(not_asked(&optional), "not-asked user=alice second_factor=optional by=default");
        let warned = Ruling { required_from: UnixTime::midnight(2027, 1, 31), ..optional };
        let expected = "not-asked user=alice second_factor=optional by=default required_from=2027-01-31";
        assert_eq!(not_asked(&warned), expected);
        let (user, rhost, ruling) = ("alice", Some("::1"), &ruling(SecondFactor::Enroll, Source::Rule(1)));
        for (enforced, end) in [(true, ""), (false, " enforced=no")] {
            let pending = line(Event::EnrollmentPending { user, rhost, ruling, enforced });
            assert_eq!(pending, format!("enrollment-pending user=alice rhost=::1 second_factor=enroll by=rule-1{end}"));
        }
    }

    #[test]
    fn a_rollout_logs_what_it_does_not_do() {
        let (user, rhost, enforced) = ("alice", None, false);
        let refused = Verdict::Refused(Refusal::Wrong { failures: 2, clock_behind: None });
        let line = Event::Login { user, rhost, verdict: &refused, enforced }.to_string();
        assert_eq!(line, "refused user=alice why=wrong failures=2 enforced=no");
        let accepted = Verdict::Accepted(Accepted { factor: Factor::Grace, recovery_left: None });
        let line = Event::Login { user, rhost, verdict: &accepted, enforced }.to_string();
        assert_eq!(line, "accepted user=alice factor=grace");
        let line = Event::Failed { user, rhost, error: &"e", hint: "h", enforced }.to_string();
        assert_eq!(line, "error user=alice error=\"e\" hint=\"h\" enforced=no");
    }

    #[test]
    fn a_failure_is_one_line_however_many_its_error_has() {
        let error = "cannot open \"/a\\b\"\nfake=line \u{1b}[2J é";
        let event =
            Event::Failed { user: "alice", rhost: Some("::1"), error: &error, hint: "say \"please\"", enforced: true };
        assert_eq!(
            event.to_string(),
            "error user=alice rhost=::1 error=\"cannot open '/a\\b'\\x0afake=line \\x1b[2J \\xc3\\xa9\" hint=\"say 'please'\""
        );
        assert_eq!(event.severity(), Severity::Error);

        let (whole, long) = ("x".repeat(1000), "\n".repeat(1001));
        let event = Event::Failed { user: "alice", rhost: None, error: &whole, hint: &long, enforced: true };
        let written = r"\x0a".repeat(1000);
        assert_eq!(event.to_string(), format!("error user=alice error=\"{whole}\" hint=\"{written}...\""));
    }

    #[test]
    fn a_change_says_whose_and_by_whom() {
        let line = |why| {
            let event = Event::Change { user: "alice", by: 1000, what: "disabled", why };
            assert_eq!(event.severity(), Severity::Notice);
            event.to_string()
        };
        assert_eq!(line(None), "disabled user=alice by_uid=1000");
        let refused = "refused user=alice by_uid=1000 change=disabled why=wrong failures=1";
        assert_eq!(line(Some(Refusal::Wrong { failures: 1, clock_behind: None })), refused);
    }

    #[test]
    fn set_up_during_a_login_says_who_and_from_where() {
        let line = |why| {
            let event = Event::EnrollmentDuringLogin { user: "alice", rhost: Some("::1"), why };
            assert_eq!(event.severity(), Severity::Notice);
            event.to_string()
        };
        assert_eq!(line(None), "enrolled-during-login user=alice rhost=::1");
        assert_eq!(line(Some("set-up-overtaken")), "refused user=alice rhost=::1 why=set-up-overtaken");
    }

    #[test]
    fn nothing_from_outside_ends_a_value_or_a_line() {
        for (hostile, written) in [
            ("a b", r"a\x20b"),
            ("a\nrefused user=bob", r"a\x0arefused\x20user\x3dbob"),
            ("a\r\0", r"a\x0d\x00"),
            ("\"a\"", r"\x22a\x22"),
            ("a=b", r"a\x3db"),
            (r"a\x0a", r"a\x5cx0a"),
            ("\u{1b}[2J\u{7f}", r"\x1b[2J\x7f"),
            ("é\u{202e}", r"\xc3\xa9\xe2\x80\xae"),
            ("\u{85}\u{2028}", r"\xc2\x85\xe2\x80\xa8"),
            ("DOM;a,b'c", "DOM;a,b'c"),
            (&"x".repeat(255), &"x".repeat(255)),
            (&"=".repeat(256), &(r"\x3d".repeat(255) + "...")),
        ] {
            let verdict = Verdict::Refused(Refusal::Malformed);
            let event = Event::Login { user: hostile, rhost: Some(hostile), verdict: &verdict, enforced: true };
            assert_eq!(event.to_string(), format!("refused user={written} rhost={written} why=malformed"));
            let event = Event::Change { user: hostile, by: 0, what: "unlocked", why: None };
            assert_eq!(event.to_string(), format!("unlocked user={written} by_uid=0"));
        }
    }

    #[test]
    fn an_empty_remote_host_is_no_remote_host() {
        let verdict = Verdict::Refused(Refusal::Malformed);
        let event = Event::Login { user: "alice", rhost: Some(""), verdict: &verdict, enforced: true };
        assert_eq!(event.to_string(), "refused user=alice why=malformed");
    }
}
