//! How a login can end, and the one table from there to PAM's result codes.

use otp_core::config::paths;
use std::fmt;

use otp_core::decision::verify::Refusal;
use otp_core::error::Error;
use pam::constants::PamResultCode;

use crate::host::Silence;

/// How a login ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A second factor was verified.
    Verified,
    /// Policy asks for none.
    NotAsked,
    /// A second factor was asked for and not given.
    Refused(Refusal),
    /// It could not be found out.
    Failed(Failure),
}

/// How a step around authentication ended.
#[derive(Debug)]
pub(crate) enum SetUpOutcome {
    /// No set-up is owed: this step is about something else.
    NotConcerned,
    /// Set-up is owed and comes next.
    Owed,
    /// Nothing stands in the way.
    Done,
    /// Set-up was offered and did not succeed.
    Refused,
    /// It could not be found out, or be done.
    Failed(Outcome),
}

impl SetUpOutcome {
    /// The table for account, password and setcred.
    pub(crate) fn pam_code(&self) -> PamResultCode {
        match self {
            Self::NotConcerned => PamResultCode::PAM_IGNORE,
            Self::Owed => PamResultCode::PAM_NEW_AUTHTOK_REQD,
            Self::Done => PamResultCode::PAM_SUCCESS,
            Self::Refused => PamResultCode::PAM_AUTHTOK_ERR,
            Self::Failed(outcome) => outcome.pam_code(),
        }
    }
}

/// What kept a login from being decided.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The module's line in the PAM file has an argument that is not known, or is not possible here.
    Argument(String),
    /// Configuration, records or name service.
    Core(Error),
    /// The helper could not be asked, or did not answer.
    Helper(String),
    /// Nobody answered the prompt.
    Silence(Silence),
    /// A password was to be taken from the module before us, or handed on, and could not.
    NoPassword,
    /// PAM_USER changed while a person typed or read.
    UserChanged,
    /// The real user id, which was put aside for a moment, did not come back.
    Caller,
    /// The PAM environment takes no mark that set-up is owed.
    NoMark,
    /// Set-up is owed, and this process may not do it.
    NoSetUp,
    /// Set-up was owed, and the step that leads through it never came.
    Missed,
}

impl Outcome {
    /// What becomes of it where refusals are not enforced yet: a host that is to be called again still is, everybody
    /// else passes as somebody who was asked for nothing.
    pub(crate) fn unless_rollout(self, enforced: bool) -> Self {
        match self {
            Self::Refused(_) | Self::Failed(_) if !enforced && !self.is_incomplete() => Self::NotAsked,
            Self::Verified | Self::NotAsked | Self::Refused(_) | Self::Failed(_) => self,
        }
    }

    fn is_incomplete(&self) -> bool {
        matches!(self, Self::Failed(Failure::Silence(Silence::Again)))
    }

    /// The table. Only policy leads to PAM_IGNORE, and only a verified second factor to PAM_SUCCESS.
    pub(crate) fn pam_code(&self) -> PamResultCode {
        match self {
            Self::Verified => PamResultCode::PAM_SUCCESS,
            Self::NotAsked => PamResultCode::PAM_IGNORE,
            Self::Refused(Refusal::UnknownUser) => PamResultCode::PAM_USER_UNKNOWN,
            Self::Refused(
                Refusal::Wrong { .. }
                | Refusal::Replayed { .. }
                | Refusal::Spent
                | Refusal::UnknownRecovery
                | Refusal::Locked(_)
                | Refusal::Malformed
                | Refusal::NotEnrolled,
            ) => PamResultCode::PAM_AUTH_ERR,
            Self::Failed(Failure::Argument(_) | Failure::Core(Error::Config(_) | Error::UnknownGroup(_))) => {
                PamResultCode::PAM_SERVICE_ERR
            }
            Self::Failed(
                Failure::Core(Error::Store(_) | Error::Names { .. } | Error::NoAccount(_) | Error::Entropy)
                | Failure::Helper(_)
                | Failure::NoMark,
            ) => PamResultCode::PAM_AUTHINFO_UNAVAIL,
            Self::Failed(Failure::Silence(Silence::Failed)) => PamResultCode::PAM_CONV_ERR,
            Self::Failed(Failure::Silence(Silence::Again)) => PamResultCode::PAM_INCOMPLETE,
            Self::Failed(Failure::Silence(Silence::NoName)) => PamResultCode::PAM_USER_UNKNOWN,
            Self::Failed(Failure::Caller) => PamResultCode::PAM_ABORT,
            Self::Failed(Failure::UserChanged | Failure::NoPassword | Failure::NoSetUp) => PamResultCode::PAM_AUTH_ERR,
            // In a process that has authenticated, libpam gives a result of setcred the weight that authenticate's had, and
            // nothing is heard of an error after PAM_IGNORE. This one it hands to the host whatever that was, and then
            // it opens no session either.
            Self::Failed(Failure::Missed) => PamResultCode::PAM_INCOMPLETE,
        }
    }
}

impl Failure {
    /// What the administrator can do.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Argument(_) => "correct the module's line in the PAM file: see pam_otp(8)",
            Self::Core(error) => error.hint(),
            Self::Helper(_) => "check that the helper is installed, set-group-ID pam_otp, and may reach the records",
            Self::Silence(_) => "the client went away, or cannot answer a second prompt",
            Self::NoPassword => "with use_first_pass a module earlier in the stack must ask for the password",
            Self::NoMark => "pam_putenv failed: the host is short of memory",
            Self::NoSetUp => "the user runs otp-enroll, or logs in where the host is root",
            Self::Missed => "the PAM file wants an account and a password line with pam_otp.so too: see the examples",
            Self::Caller => "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied",
            Self::UserChanged => "the PAM application changed PAM_USER during its conversation",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(argument) => write!(f, "the module argument {argument} cannot be honoured"),
            Self::Core(error) => error.fmt(f),
            Self::Helper(what) => write!(f, "the helper {} {what}", paths::HELPER),
            Self::Silence(Silence::Failed | Silence::Again) => f.write_str("the conversation gave no answer"),
            Self::Silence(Silence::NoName) => f.write_str("the host gave no user name that is UTF-8"),
            Self::NoPassword => f.write_str("there is no password to take a code from, or it cannot be handed on"),
            Self::NoMark => f.write_str("the PAM environment takes no variable"),
            Self::NoSetUp => f.write_str("a process that is not root sets up no second factor"),
            Self::Missed => f.write_str("set-up is owed, and the login did not come through it"),
            Self::Caller => f.write_str("the process cannot go back to its caller's user id"),
            Self::UserChanged => f.write_str("the user name changed during the conversation"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<Silence> for Failure {
    fn from(silence: Silence) -> Self {
        Self::Silence(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_happened_and_what_to_do_and_lets_nobody_in() {
        let went_away = "the client went away, or cannot answer a second prompt";
        for (failure, text, hint, code) in [
            (
                Failure::Argument("nulok".into()),
                "the module argument nulok cannot be honoured",
                "correct the module's line in the PAM file: see pam_otp(8)",
                PamResultCode::PAM_SERVICE_ERR,
            ),
            (
                Failure::from(Error::UnknownGroup("staff".into())),
                "a policy rule names the group staff, which does not exist",
                "make the group or correct the rule; `otp-enroll admin check` finds such rules",
                PamResultCode::PAM_SERVICE_ERR,
            ),
            (
                Failure::from(Error::Entropy),
                "the system gives no random bytes",
                "getrandom(2) failed; nothing was changed",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                Failure::Helper("is mute".into()),
                "the helper HELPER is mute",
                "check that the helper is installed, set-group-ID pam_otp, and may reach the records",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (Failure::from(Silence::Failed), "the conversation gave no answer", went_away, PamResultCode::PAM_CONV_ERR),
            (
                Failure::from(Silence::Again),
                "the conversation gave no answer",
                went_away,
                PamResultCode::PAM_INCOMPLETE,
            ),
            (
                Failure::from(Silence::NoName),
                "the host gave no user name that is UTF-8",
                went_away,
                PamResultCode::PAM_USER_UNKNOWN,
            ),
            (
                Failure::NoPassword,
                "there is no password to take a code from, or it cannot be handed on",
                "with use_first_pass a module earlier in the stack must ask for the password",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                Failure::UserChanged,
                "the user name changed during the conversation",
                "the PAM application changed PAM_USER during its conversation",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                Failure::Caller,
                "the process cannot go back to its caller's user id",
                "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied",
                PamResultCode::PAM_ABORT,
            ),
            (
                Failure::NoMark,
                "the PAM environment takes no variable",
                "pam_putenv failed: the host is short of memory",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                Failure::NoSetUp,
                "a process that is not root sets up no second factor",
                "the user runs otp-enroll, or logs in where the host is root",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                Failure::Missed,
                "set-up is owed, and the login did not come through it",
                "the PAM file wants an account and a password line with pam_otp.so too: see the examples",
                PamResultCode::PAM_INCOMPLETE,
            ),
        ] {
            assert_eq!(failure.to_string(), text.replace("HELPER", paths::HELPER));
            assert_eq!(failure.hint(), hint, "{text}");
            assert_eq!(Outcome::Failed(failure).pam_code(), code, "{text}");
        }
    }

    #[test]
    fn in_a_rollout_everybody_passes_but_whom_the_host_is_to_ask_again() {
        type Case = (fn() -> Outcome, PamResultCode, PamResultCode);
        let cases: [Case; 5] = [
            (|| Outcome::Verified, PamResultCode::PAM_SUCCESS, PamResultCode::PAM_SUCCESS),
            (|| Outcome::NotAsked, PamResultCode::PAM_IGNORE, PamResultCode::PAM_IGNORE),
            (|| Outcome::Refused(Refusal::Malformed), PamResultCode::PAM_AUTH_ERR, PamResultCode::PAM_IGNORE),
            (|| Outcome::Failed(Silence::Failed.into()), PamResultCode::PAM_CONV_ERR, PamResultCode::PAM_IGNORE),
            (|| Outcome::Failed(Silence::Again.into()), PamResultCode::PAM_INCOMPLETE, PamResultCode::PAM_INCOMPLETE),
        ];
        for (outcome, enforced, in_rollout) in cases {
            assert_eq!(outcome().unless_rollout(true).pam_code(), enforced);
            assert_eq!(outcome().unless_rollout(false).pam_code(), in_rollout);
        }
    }
}
