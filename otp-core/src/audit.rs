//! What the administrator reads: one line for each decision or change, in stable `key=value` form.
//!
//! Never a code, a seed or what was typed. Values hold no blank and no control character: what could end a value or a
//! line is written `\xNN`.

use std::fmt;

use crate::authority::Demand;
use crate::decide::{Accepted, Factor, Refusal, Verdict};
use crate::record::Lock;

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
    },
    /// Policy asked for nothing.
    NotAsked {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// By which rule.
        demand: &'a Demand,
    },
    /// A login could not be decided.
    Failed {
        /// As the host named them.
        user: &'a str,
        /// Where from, as the host reported it.
        rhost: Option<&'a str>,
        /// What kept it from being decided, and what to do.
        error: &'a dyn fmt::Display,
        /// What to do about it.
        hint: &'a str,
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
            Event::Login { verdict: Verdict::Accepted(_), .. } | Event::NotAsked { .. } => Severity::Info,
            Event::Login { verdict: Verdict::Refused(_), .. } | Event::Change { .. } => Severity::Notice,
            Event::Failed { .. } => Severity::Error,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Login { user, rhost, verdict: Verdict::Accepted(accepted) } => {
                write!(f, "accepted {}{}", Who(user, *rhost), How(accepted))
            }
            Event::Login { user, rhost, verdict: Verdict::Refused(why) } => {
                write!(f, "refused {} {}", Who(user, *rhost), Why(*why))
            }
            Event::NotAsked { user, rhost, demand: Demand::Nothing(second_factor, source) } => {
                write!(f, "not-asked {} second_factor={} by={source}", Who(user, *rhost), second_factor.name())
            }
            Event::NotAsked { user, rhost, demand: Demand::Code } => write!(f, "asked {}", Who(user, *rhost)),
            Event::Failed { user, rhost, error, hint } => {
                write!(f, "error {} error=\"{}\" hint=\"{}\"", Who(user, *rhost), Line(&error.to_string()), Line(hint))
            }
            Event::Change { user, by, what, why: None } => write!(f, "{what} user={} by_uid={by}", Value(user)),
            Event::Change { user, by, what, why: Some(why) } => {
                write!(f, "refused user={} by_uid={by} change={what} {}", Value(user), Why(*why))
            }
        }
    }
}

struct Who<'a>(&'a str, Option<&'a str>);
struct How<'a>(&'a Accepted);
struct Why(Refusal);
/// Text without blanks.
struct Value<'a>(&'a str);
/// Text with blanks, between quotation marks.
struct Line<'a>(&'a str);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user={}", Value(self.0))?;
        self.1.map_or(Ok(()), |rhost| write!(f, " rhost={}", Value(rhost)))
    }
}

impl fmt::Display for How<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.factor {
            Factor::Totp(device) => write!(f, " factor=totp device={device}")?,
            Factor::Hotp(device) => write!(f, " factor=hotp device={device}")?,
            Factor::Recovery => write!(f, " factor=recovery")?,
        }
        self.0.recovery_left.map_or(Ok(()), |left| write!(f, " recovery_left={left}"))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Wrong { failures } => write!(f, "why=wrong failures={failures}"),
            Refusal::Replayed { clock_behind: None } => f.write_str("why=replayed"),
            Refusal::Replayed { clock_behind: Some(gap) } => write!(f, "why=replayed clock_behind={}s", gap.0),
            Refusal::Spent => f.write_str("why=recovery-spent"),
            Refusal::UnknownRecovery => f.write_str("why=recovery-unknown"),
            Refusal::Locked(Lock::Until(time)) => write!(f, "why=locked until={time}"),
            Refusal::Locked(Lock::UntilUnlocked | Lock::Open) => f.write_str("why=locked until=unlocked"),
            Refusal::Malformed => f.write_str("why=malformed"),
            Refusal::NotEnrolled => f.write_str("why=not-enrolled"),
            Refusal::UnknownUser => f.write_str("why=unknown-user"),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'"' | b'\\' | b'=' => write!(f, "\\x{byte:02x}"),
            b'!'..=b'~' => write!(f, "{}", char::from(byte)),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'"' => f.write_str("'"),
            b' '..=b'~' => write!(f, "{}", char::from(byte)),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}
