//! The audit log: one line for each verdict or change, in stable `key=value` form.
//!
//! No line holds a code, a seed or the user's text. A value has no control character, and no blank unless it is quoted: a
//! character that could end a value or a line becomes `\xNN`, and a text that is too long ends in `...`.

use std::fmt::{self, Write};

use crate::decision::policy::Ruling;
use crate::decision::verify::{Accepted, Factor, Refusal, Verdict};
use crate::record::id::DeviceId;
use crate::record::state::Lock;
use crate::value::time::UnixTime;

/// Most bytes of a value: a whole login name or host name. A client must not choose the length of a line: syslog takes a
/// few kilobytes, and daemons cut a longer line or drop it.
pub const LONGEST_VALUE: usize = 255;

/// Most bytes of an error or a hint.
const LONGEST_TEXT: usize = 1000;

/// One line of the audit log. `user` and `rhost` are as the host reported them.
pub enum Event<'a> {
    /// A verdict on a login.
    Login {
        user: &'a str,
        rhost: Option<&'a str>,
        verdict: &'a Verdict,
        /// Whether the refusal is enforced, which it is not during a rollout.
        enforced: bool,
    },
    /// The policy demanded no code.
    NotAsked { user: &'a str, rhost: Option<&'a str>, ruling: &'a Ruling },
    /// The policy requires an enrollment before this login is let in.
    EnrollmentPending {
        user: &'a str,
        rhost: Option<&'a str>,
        ruling: &'a Ruling,
        /// Whether the enrollment is enforced, which it is not during a rollout.
        enforced: bool,
    },
    /// A login or request got no answer.
    Failed {
        user: &'a str,
        rhost: Option<&'a str>,
        error: &'a dyn fmt::Display,
        hint: &'a str,
        /// Whether the error refuses the login, which it does not during a rollout.
        enforced: bool,
    },
    /// A login led through an enrollment.
    EnrollmentDuringLogin {
        user: &'a str,
        rhost: Option<&'a str>,
        /// Why no device was enrolled: `enrollment-incomplete`, `enrollment-overtaken`; `None` if one was.
        why: Option<&'a str>,
    },
    /// The verdict of helper or agent on a login through a host that cannot open the records, such as a screen locker.
    Verified {
        user: &'a str,
        /// The real user id of the caller.
        by: u32,
        /// The PAM service, as the caller says.
        service: &'a str,
        /// The remote host that a caller of the agent claims. Others ban what a log names, so its key is none of theirs.
        claimed_rhost: Option<&'a str>,
        verdict: &'a Verdict,
    },
    /// Credentials or state were changed.
    Change {
        user: &'a str,
        /// The real user id of the caller.
        by: u32,
        /// The change: `enrolled`, `unlocked`.
        what: &'a str,
        /// The device that was changed, if it was one.
        device: Option<DeviceId>,
        proof: Proof,
    },
    /// A record was moved to the new name of its account.
    Renamed {
        user: &'a str,
        /// The former name.
        from: &'a str,
        /// The real user id of the caller.
        by: u32,
    },
    /// A service was turned on or off by root: `turned-on`, `turned-off`, `turn-on-confirmed`.
    Service {
        service: &'a str,
        what: &'a str,
        /// The real user id of the caller.
        by: u32,
        /// When a trial ends.
        until: Option<UnixTime>,
    },
    /// Seeds were sealed, or written in plain text again, by root: `sealed`, `unsealed`.
    Sealing {
        what: &'a str,
        /// What keeps the key from now on.
        keeper: &'a str,
        /// How many records were written.
        records: usize,
        /// The real user id of the caller.
        by: u32,
    },
    /// A proof was used up for a change that is made in a later step. If that never comes, this line is its only trace.
    Proved {
        user: &'a str,
        /// The real user id of the caller.
        by: u32,
        /// The change: `re-enrollment`.
        what: &'a str,
        proof: Proof,
    },
    /// A change was refused.
    ChangeRefused {
        user: &'a str,
        /// The real user id of the caller.
        by: u32,
        /// The change.
        what: &'a str,
        why: Refusal,
    },
    /// A message with a code was not sent.
    NotSent {
        /// The user it is for; `None` in the sender, which does not know.
        user: Option<&'a str>,
        /// `sms` or `email`.
        kind: &'a str,
        error: &'a dyn fmt::Display,
    },
    /// A message with a code was sent.
    Sent {
        user: &'a str,
        /// The user id of the process that asked for it.
        by: u32,
        /// `sms` or `email`.
        kind: &'a str,
        /// What was in it: `code` or `pin`.
        what: &'a str,
    },
    /// What a program that sends has written: a line of it.
    SenderOutput {
        /// `sms` or `email`.
        kind: &'a str,
        text: &'a str,
    },
}

/// What permitted a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The change needs no proof: a first device, addresses to forget.
    Unneeded,
    /// Root made it.
    Administrator,
    /// A code, a recovery code or a passcode, used up by this.
    Used(Accepted),
}

/// A text as a line spells it, so that a line about a user can be found again.
pub fn value(text: &str) -> String {
    Value(text).to_string()
}

/// The severity of a line, in syslog's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A login as it should be.
    Info,
    /// A refusal or a change.
    Notice,
    /// Logins are refused until an administrator acts.
    Error,
}

impl Event<'_> {
    pub fn severity(&self) -> Severity {
        match self {
            Event::Login { verdict: Verdict::Accepted(_), .. }
            | Event::Verified { verdict: Verdict::Accepted(_), .. }
            | Event::NotAsked { .. }
            | Event::EnrollmentPending { .. }
            | Event::Sent { .. }
            | Event::SenderOutput { .. } => Severity::Info,
            Event::Login { verdict: Verdict::Refused(_), .. }
            | Event::Verified { verdict: Verdict::Refused(_), .. }
            | Event::EnrollmentDuringLogin { .. }
            | Event::Change { .. }
            | Event::Proved { .. }
            | Event::ChangeRefused { .. }
            | Event::Renamed { .. }
            | Event::Sealing { .. }
            | Event::Service { .. } => Severity::Notice,
            Event::Failed { .. } | Event::NotSent { .. } => Severity::Error,
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
            Event::Verified { user, by, service, claimed_rhost, verdict } => {
                let (caller, service, claimed) = (Caller(user, *by), Value(service), Claimed(*claimed_rhost));
                match verdict {
                    Verdict::Accepted(accepted) => {
                        write!(f, "accepted {caller} service={service}{claimed}{}", How(accepted))
                    }
                    Verdict::Refused(why) => write!(f, "refused {caller} service={service}{claimed} {}", Why(*why)),
                }
            }
            Event::Change { user, by, what, device: None, proof } => write!(f, "{what} {}{proof}", Caller(user, *by)),
            Event::Change { user, by, what, device: Some(device), proof } => {
                write!(f, "{what} {} changed_device={device}{proof}", Caller(user, *by))
            }
            Event::Proved { user, by, what, proof } => write!(f, "proved {} change={what}{proof}", Caller(user, *by)),
            Event::ChangeRefused { user, by, what, why } => {
                write!(f, "refused {} change={what} {}", Caller(user, *by), Why(*why))
            }
            Event::Renamed { user, from, by } => {
                write!(f, "renamed {} from={}", Caller(user, *by), Value(from))
            }
            Event::Service { service, what, by, until } => {
                write!(f, "{what} service={} by_uid={by}{}", Value(service), Proof::Administrator)?;
                until.map_or(Ok(()), |until| write!(f, " until={until}"))
            }
            Event::Sealing { what, keeper, records, by } => {
                write!(f, "{what} keeper={keeper} records={records} by_uid={by}{}", Proof::Administrator)
            }
            Event::NotSent { user, kind, error } => {
                let error = error.to_string();
                f.write_str("not-sent ")?;
                user.map_or(Ok(()), |user| write!(f, "user={} ", Value(user)))?;
                write!(f, "kind={kind} error=\"{}\"", Line(&error))
            }
            Event::Sent { user, by, kind, what } => write!(f, "sent {} kind={kind} what={what}", Caller(user, *by)),
            Event::SenderOutput { kind, text } => write!(f, "sender-output kind={kind} text=\"{}\"", Line(text)),
        }
    }
}

struct Who<'a>(&'a str, Option<&'a str>);
struct Caller<'a>(&'a str, u32);
struct Claimed<'a>(Option<&'a str>);
struct By<'a>(&'a Ruling);
struct Enforced(bool);
struct How<'a>(&'a Accepted);
/// The device, how many recovery codes are left, and the wrong codes before.
struct Details<'a>(&'a Accepted);
struct Why(Refusal);
/// A text without blanks.
struct Value<'a>(&'a str);
/// A text with blanks, inside quotation marks.
struct Line<'a>(&'a str);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user={}", Value(self.0))?;
        // Some hosts set PAM_RHOST to an empty text for a local login.
        self.1.filter(|rhost| !rhost.is_empty()).map_or(Ok(()), |rhost| write!(f, " rhost={}", Value(rhost)))
    }
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user={} by_uid={}", Value(self.0), self.1)
    }
}

impl fmt::Display for Claimed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None | Some("") => Ok(()),
            Some(rhost) => write!(f, " claimed_rhost={}", Value(rhost)),
        }
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
        write!(f, " factor={}{}", self.0.factor.word(), Details(self.0))
    }
}

impl fmt::Display for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.factor.device().map_or(Ok(()), |device| write!(f, " device={device}"))?;
        self.0.recovery_left.map_or(Ok(()), |left| write!(f, " recovery_left={left}"))?;
        if self.0.failures == 0 { Ok(()) } else { write!(f, " failures={}", self.0.failures) }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unneeded => f.write_str(" proof=none"),
            Self::Administrator => f.write_str(" proof=admin"),
            Self::Used(accepted) => {
                let word = match accepted.factor {
                    Factor::Totp(_) | Factor::Hotp(_) | Factor::Ocra(_) | Factor::Sent(..) => "code",
                    Factor::Recovery => "recovery-code",
                    Factor::Scratch => "scratch-code",
                    Factor::Passcode => "passcode",
                    Factor::Grace => "grace",
                };
                write!(f, " proof={word}{}", Details(accepted))
            }
        }
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
            Refusal::KindNotAccepted { failures: Some(failures) } => write!(f, " failures={failures}"),
            Refusal::Replayed { clock_behind: Some(gap) } => write!(f, " clock_behind={}s", gap.0),
            Refusal::Locked(Lock::Until(time)) => write!(f, " until={time}"),
            Refusal::Locked(Lock::UntilUnlocked | Lock::Open) => f.write_str(" until=unlocked"),
            Refusal::Renamed => write!(f, " hint=\"{}\"", Line(Refusal::HINT_OF_RENAMED)),
            Refusal::Sealed(why) => write!(f, " hint=\"{}\"", Line(why.hint())),
            Refusal::Replayed { clock_behind: None }
            | Refusal::RecoveryUsed
            | Refusal::RecoveryUnknown
            | Refusal::PasscodeUsed
            | Refusal::PasscodeUnknown
            | Refusal::PasscodeExpired
            | Refusal::PasscodeElsewhere
            | Refusal::KindNotAccepted { failures: None }
            | Refusal::Malformed
            | Refusal::NotEnrolled
            | Refusal::EnrollmentNotOffered
            | Refusal::HostBudget
            | Refusal::HostNotPermitted
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

/// Writes at most `longest` bytes of a text: the result of `letter` for each, or `\xNN` if that is `None`.
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
    use crate::decision::kinds::Kinds;
    use crate::decision::policy::{SecondFactor, Source};
    use crate::decision::verify::Factor;
    use crate::record::id::DeviceId;
    use crate::value::time::{Seconds, UnixTime};

    fn login(verdict: Verdict) -> (String, Severity) {
        let event = Event::Login { user: "alice", rhost: Some("203.0.113.9"), verdict: &verdict, enforced: true };
        (event.to_string(), event.severity())
    }

    #[test]
    fn an_accepted_login_is_logged_with_its_factor() {
        for (factor, recovery_left, expected) in [
            (Factor::Totp(DeviceId(1)), Some(10), "factor=totp device=1 recovery_left=10"),
            (Factor::Totp(DeviceId(8)), None, "factor=totp device=8"),
            (Factor::Hotp(DeviceId(2)), Some(0), "factor=hotp device=2 recovery_left=0"),
            (Factor::Recovery, Some(9), "factor=recovery recovery_left=9"),
            (Factor::Passcode, None, "factor=passcode"),
        ] {
            let line = format!("accepted user=alice rhost=203.0.113.9 {expected}");
            let verdict = |failures| Verdict::Accepted(Accepted { factor, recovery_left, failures });
            assert_eq!(login(verdict(2)), (format!("{line} failures=2"), Severity::Info));
            assert_eq!(login(verdict(0)), (line, Severity::Info));
        }
    }

    #[test]
    fn a_refused_login_is_logged_with_its_reason() {
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
            (Refusal::PasscodeUsed, "why=passcode-used"),
            (Refusal::PasscodeUnknown, "why=passcode-unknown"),
            (Refusal::PasscodeExpired, "why=passcode-expired"),
            (Refusal::PasscodeElsewhere, "why=passcode-elsewhere"),
            (Refusal::KindNotAccepted { failures: None }, "why=kind-not-accepted"),
            (Refusal::KindNotAccepted { failures: Some(3) }, "why=kind-not-accepted failures=3"),
            (Refusal::Locked(until), "why=locked until=2025-11-21T18:33:40Z"),
            (Refusal::Locked(Lock::UntilUnlocked), "why=locked until=unlocked"),
            (Refusal::Malformed, "why=malformed"),
            (Refusal::NotEnrolled, "why=not-enrolled"),
            (Refusal::EnrollmentNotOffered, "why=enrollment-not-offered"),
            (Refusal::HostBudget, "why=host-budget"),
            (Refusal::HostNotPermitted, "why=host-not-permitted"),
            (
                Refusal::Renamed,
                "why=renamed hint=\"the account was renamed, or its number went to another person: `otp-enroll admin doctor` \
                 names the old record; then `otp-enroll admin rename OLD NEW`, or `otp-enroll admin disable OLD`\"",
            ),
            (Refusal::UnknownUser, "why=unknown-user"),
        ] {
            let line = format!("refused user=alice rhost=203.0.113.9 {expected}");
            assert_eq!(login(Verdict::Refused(why)), (line, Severity::Notice));
        }
    }

    #[test]
    fn a_login_without_a_question_is_logged_with_the_rule() {
        let line = |event: Event<'_>| {
            assert_eq!(event.severity(), Severity::Info);
            event.to_string()
        };
        let not_asked = |ruling: &Ruling| line(Event::NotAsked { user: "alice", rhost: None, ruling });
        let ruling = |second_factor, source| Ruling {
            second_factor,
            source,
            required_from: None,
            passcode: false,
            devices: Kinds::ALL,
        };
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
    fn a_rollout_logs_what_is_not_enforced() {
        let (user, rhost, enforced) = ("alice", None, false);
        let refused = Verdict::Refused(Refusal::Wrong { failures: 2, clock_behind: None });
        let line = Event::Login { user, rhost, verdict: &refused, enforced }.to_string();
        assert_eq!(line, "refused user=alice why=wrong failures=2 enforced=no");
        let accepted = Verdict::Accepted(Accepted { factor: Factor::Grace, recovery_left: None, failures: 0 });
        let line = Event::Login { user, rhost, verdict: &accepted, enforced }.to_string();
        assert_eq!(line, "accepted user=alice factor=grace");
        let line = Event::Failed { user, rhost, error: &"e", hint: "h", enforced }.to_string();
        assert_eq!(line, "error user=alice error=\"e\" hint=\"h\" enforced=no");
    }

    #[test]
    fn an_error_of_several_lines_is_logged_as_one_line() {
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
    fn a_change_is_logged_with_user_and_caller() {
        let line = |event: Event<'_>| {
            assert_eq!(event.severity(), Severity::Notice);
            event.to_string()
        };
        let (user, by, what) = ("alice", 1000, "disabled");
        let used = |factor, recovery_left| Proof::Used(Accepted { factor, recovery_left, failures: 0 });
        for (proof, written) in [
            (Proof::Unneeded, "proof=none"),
            (Proof::Administrator, "proof=admin"),
            (used(Factor::Totp(DeviceId(2)), Some(9)), "proof=code device=2 recovery_left=9"),
            (used(Factor::Hotp(DeviceId(3)), None), "proof=code device=3"),
            (used(Factor::Recovery, Some(0)), "proof=recovery-code recovery_left=0"),
            (used(Factor::Passcode, None), "proof=passcode"),
        ] {
            let change = line(Event::Change { user, by, what, device: None, proof });
            assert_eq!(change, format!("disabled user=alice by_uid=1000 {written}"));
            let proved = line(Event::Proved { user, by, what: "re-enrollment", proof });
            assert_eq!(proved, format!("proved user=alice by_uid=1000 change=re-enrollment {written}"));
        }
        let refused = "refused user=alice by_uid=1000 change=disabled why=wrong failures=1";
        let why = Refusal::Wrong { failures: 1, clock_behind: None };
        assert_eq!(line(Event::ChangeRefused { user, by, what, why }), refused);
    }

    #[test]
    fn a_service_that_is_turned_on_is_logged_with_the_end_of_its_trial() {
        let line = |what, until| Event::Service { service: "a b", what, by: 0, until };
        assert_eq!(line("turned-off", None).to_string(), "turned-off service=a\\x20b by_uid=0 proof=admin");
        let until = line("turned-on", Some(UnixTime(1_795_847_721)));
        let expected = "turned-on service=a\\x20b by_uid=0 proof=admin until=2026-11-28T06:35:21Z";
        assert_eq!((until.to_string().as_str(), until.severity()), (expected, Severity::Notice));
    }

    #[test]
    fn a_sealing_is_logged_with_its_keeper() {
        let event = Event::Sealing { what: "sealed", keeper: "tpm2", records: 12, by: 0 };
        let expected = "sealed keeper=tpm2 records=12 by_uid=0 proof=admin";
        assert_eq!((event.to_string().as_str(), event.severity()), (expected, Severity::Notice));
    }

    #[test]
    fn a_verdict_of_helper_or_agent_is_logged_with_its_caller_and_without_an_address_to_ban() {
        let verdict = Verdict::Refused(Refusal::HostBudget);
        let (user, by, service, claimed_rhost) = ("alice", 998, "radiusd", Some("203.0.113.9"));
        let event = Event::Verified { user, by, service, claimed_rhost, verdict: &verdict };
        let expected = "refused user=alice by_uid=998 service=radiusd claimed_rhost=203.0.113.9 why=host-budget";
        assert_eq!((event.to_string().as_str(), event.severity()), (expected, Severity::Notice));
        let line = |verdict| {
            let event =
                Event::Verified { user: "alice", by: 1000, service: "a b", claimed_rhost: None, verdict: &verdict };
            (event.to_string(), event.severity())
        };
        let head = |word| format!("{word} user=alice by_uid=1000 service=a\\x20b ");
        let recovery = Verdict::Accepted(Accepted { factor: Factor::Recovery, recovery_left: Some(9), failures: 0 });
        assert_eq!(line(recovery), (head("accepted") + "factor=recovery recovery_left=9", Severity::Info));
        let locked = Verdict::Refused(Refusal::Locked(Lock::UntilUnlocked));
        assert_eq!(line(locked), (head("refused") + "why=locked until=unlocked", Severity::Notice));
    }

    #[test]
    fn a_message_that_was_not_sent_is_an_error_and_what_its_program_wrote_is_not() {
        let error = "the program \"x\"\nexited with status 1";
        let line = |user| {
            let event = Event::NotSent { user, kind: "sms", error: &error };
            assert_eq!(event.severity(), Severity::Error);
            event.to_string()
        };
        let end = r#"kind=sms error="the program 'x'\x0aexited with status 1""#;
        assert_eq!(line(None), format!("not-sent {end}"));
        assert_eq!(line(Some("a b")), format!("not-sent user=a\\x20b {end}"));
        let event = Event::SenderOutput { kind: "email", text: "550 \"no\"\u{1b}[2J" };
        assert_eq!(event.to_string(), r#"sender-output kind=email text="550 'no'\x1b[2J""#);
        assert_eq!(event.severity(), Severity::Info);
    }

    #[test]
    fn an_enrollment_during_a_login_is_logged_with_user_and_address() {
        let line = |why| {
            let event = Event::EnrollmentDuringLogin { user: "alice", rhost: Some("::1"), why };
            assert_eq!(event.severity(), Severity::Notice);
            event.to_string()
        };
        assert_eq!(line(None), "enrolled-during-login user=alice rhost=::1");
        assert_eq!(line(Some("enrollment-overtaken")), "refused user=alice rhost=::1 why=enrollment-overtaken");
    }

    #[test]
    fn no_text_from_outside_ends_a_value_or_a_line() {
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
            let event =
                Event::Change { user: hostile, by: 0, what: "unlocked", device: None, proof: Proof::Administrator };
            assert_eq!(event.to_string(), format!("unlocked user={written} by_uid=0 proof=admin"));
        }
    }

    #[test]
    fn an_empty_remote_host_is_not_logged() {
        let verdict = Verdict::Refused(Refusal::Malformed);
        let event = Event::Login { user: "alice", rhost: Some(""), verdict: &verdict, enforced: true };
        assert_eq!(event.to_string(), "refused user=alice why=malformed");
    }
}
