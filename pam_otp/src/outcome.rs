//! How a login can end, and the one table from there to PAM's result codes.

use std::fmt;

use otp_core::decision::verify::Refusal;
use otp_core::error::CoreError;
use pam::constants::PamResultCode;

use crate::host::ConversationError;

/// How a login ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A second factor was verified, or (`defer`) would be.
    Verified,
    /// Policy asks for none.
    NotAsked,
    /// A second factor was asked for and not given.
    Refused(Refusal),
    /// It could not be decided.
    Failed(ModuleError),
}

/// How a step around authentication ended.
#[derive(Debug)]
pub(crate) enum EnrollmentOutcome {
    /// No enrollment is pending: this step is about something else.
    NotConcerned,
    /// An enrollment is pending and comes next.
    Pending,
    /// Nothing stands in the way.
    Done,
    /// A device was offered and not enrolled.
    Refused,
    /// It could not be decided, or not be done.
    Failed(Outcome),
}

impl EnrollmentOutcome {
    /// The table for account, password and setcred.
    pub(crate) fn pam_code(&self) -> PamResultCode {
        match self {
            Self::NotConcerned => PamResultCode::PAM_IGNORE,
            Self::Pending => PamResultCode::PAM_NEW_AUTHTOK_REQD,
            Self::Done => PamResultCode::PAM_SUCCESS,
            Self::Refused => PamResultCode::PAM_AUTHTOK_ERR,
            Self::Failed(outcome) => outcome.pam_code(),
        }
    }
}

/// What kept a login from being decided.
#[derive(Debug)]
pub(crate) enum ModuleError {
    /// The module's line in the PAM file has an argument that is not known, or is not possible here.
    Argument(String),
    /// Configuration, records, name service or helper.
    Core(CoreError),
    /// The prompt was not answered.
    Conversation(ConversationError),
    /// A password was to be taken from the module before us, or handed on, and could not.
    NoPassword,
    /// PAM_USER changed while a person typed or read.
    UserChanged,
    /// A pending enrollment could not be noted in the PAM transaction.
    NoPendingEnrollment,
    /// What was seen could not be kept for the line with `deferred`.
    NotDeferred,
    /// The line with `deferred` was reached, and no line with `defer` before it.
    NothingDeferred,
    /// The line with `deferred` was reached after the line with `defer` had failed.
    DeferFailed,
    /// A code was looked at, and the line with `deferred` was not reached.
    NotJudged,
    /// An enrollment is pending for another user than PAM_USER.
    PendingForAnother,
    /// An enrollment was pending, and the step that leads through it never came.
    EnrollmentMissed,
}

impl Outcome {
    /// The same where refusals are not enforced yet: a host that is to call again still is; all other users pass like
    /// users who were asked for nothing.
    pub(crate) fn unless_rollout(self, enforced: bool) -> Self {
        match self {
            Self::Refused(_) | Self::Failed(_) if !enforced && !self.is_incomplete() => Self::NotAsked,
            Self::Verified | Self::NotAsked | Self::Refused(_) | Self::Failed(_) => self,
        }
    }

    fn is_incomplete(&self) -> bool {
        matches!(self, Self::Failed(ModuleError::Conversation(ConversationError::Again)))
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
                | Refusal::RecoveryUsed
                | Refusal::RecoveryUnknown
                | Refusal::PasscodeUsed
                | Refusal::PasscodeUnknown
                | Refusal::PasscodeExpired
                | Refusal::PasscodeElsewhere
                | Refusal::KindNotAccepted { .. }
                | Refusal::Locked(_)
                | Refusal::Malformed
                | Refusal::NotEnrolled
                | Refusal::EnrollmentNotOffered
                | Refusal::HostBudget
                | Refusal::HostNotPermitted
                | Refusal::Renamed
                | Refusal::Sealed(_),
            ) => PamResultCode::PAM_AUTH_ERR,
            Self::Failed(error) => error.pam_code(),
        }
    }
}

impl ModuleError {
    fn pam_code(&self) -> PamResultCode {
        match self {
            Self::Argument(_)
            | Self::Core(CoreError::Config(_) | CoreError::UnknownGroup(_) | CoreError::NoLookHere) => {
                PamResultCode::PAM_SERVICE_ERR
            }
            Self::Core(
                CoreError::Store(_)
                | CoreError::Names { .. }
                | CoreError::NoAnswer { .. }
                | CoreError::Limit(_)
                | CoreError::NoAccount(_)
                | CoreError::Entropy
                | CoreError::Helper(_)
                | CoreError::Agent(_)
                | CoreError::Authority(_)
                | CoreError::NotSent(..),
            )
            | Self::NoPendingEnrollment
            | Self::NotDeferred
            | Self::DeferFailed => PamResultCode::PAM_AUTHINFO_UNAVAIL,
            Self::Core(CoreError::Privileges) => PamResultCode::PAM_ABORT,
            Self::Core(CoreError::NoEnrollmentHere)
            | Self::UserChanged
            | Self::PendingForAnother
            | Self::NothingDeferred
            | Self::NotJudged
            | Self::NoPassword => PamResultCode::PAM_AUTH_ERR,
            Self::Conversation(ConversationError::Failed) => PamResultCode::PAM_CONV_ERR,
            Self::Conversation(ConversationError::Again) => PamResultCode::PAM_INCOMPLETE,
            Self::Conversation(ConversationError::NoName) => PamResultCode::PAM_USER_UNKNOWN,
            // For setcred, libpam repeats what authenticate's result led to; after PAM_IGNORE an error would be ignored
            // too. PAM_INCOMPLETE is always returned to the host, which then opens no session either.
            Self::EnrollmentMissed => PamResultCode::PAM_INCOMPLETE,
        }
    }

    /// What the administrator can do.
    pub(crate) fn hint(&self) -> &str {
        match self {
            Self::Argument(_) => "correct the module's line in the PAM file: see pam_otp(8)",
            Self::Core(error) => error.hint(),
            Self::Conversation(_) => "the client went away, or cannot answer a second prompt",
            Self::NoPassword => "with use_first_pass a module earlier in the stack must ask for the password",
            Self::NoPendingEnrollment => "pam_putenv or pam_set_data failed: the host is short of memory",
            Self::NotDeferred => "pam_set_data failed: the host is short of memory",
            Self::NothingDeferred => {
                "put the line `pam_otp.so forward_pass defer` before the modules that check passwords, and let no line before \
                 it jump over it: see pam_otp(8)"
            }
            Self::DeferFailed => "the error before this one says why",
            Self::NotJudged => {
                "put the line `auth required pam_otp.so deferred` after the modules that check passwords, and let none of \
                 them jump over it: see pam_otp(8); or, if a key came after a wrong password, connect again"
            }
            Self::EnrollmentMissed => {
                "the PAM file needs an account and a password line with pam_otp.so too: see the examples"
            }
            Self::UserChanged => "the PAM application changed PAM_USER during its conversation",
            Self::PendingForAnother => "a module after this one, or the PAM application, changed PAM_USER",
        }
    }
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(argument) => write!(f, "the module argument {argument} cannot be honoured"),
            Self::Core(error) => error.fmt(f),
            Self::Conversation(ConversationError::Failed | ConversationError::Again) => {
                f.write_str("the conversation gave no answer")
            }
            Self::Conversation(ConversationError::NoName) => f.write_str("the host gave no user name that is UTF-8"),
            Self::NoPassword => f.write_str("there is no password to take a code from, or it cannot be handed on"),
            Self::NoPendingEnrollment | Self::NotDeferred => f.write_str("the PAM transaction takes no note"),
            Self::NothingDeferred => f.write_str("no line of pam_otp.so has left a code to this one"),
            Self::DeferFailed => f.write_str("the line with defer has failed, and left no code to this one"),
            Self::NotJudged => f.write_str("the code that was left to a later line of pam_otp.so was not judged"),
            Self::EnrollmentMissed => f.write_str("an enrollment is pending, and the login did not come through it"),
            Self::UserChanged => f.write_str("the user name changed during the conversation"),
            Self::PendingForAnother => f.write_str("the user name changed while this user's enrollment was pending"),
        }
    }
}

impl std::error::Error for ModuleError {}

impl From<CoreError> for ModuleError {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}

impl From<ConversationError> for ModuleError {
    fn from(error: ConversationError) -> Self {
        Self::Conversation(error)
    }
}

#[cfg(test)]
mod tests {
    use otp_core::config::paths;
    use otp_core::error::HelperError;
    use otp_core::store::error::StoreError;

    use super::*;

    #[test]
    fn every_error_says_what_happened_and_what_to_do_and_refuses() {
        let went_away = "the client went away, or cannot answer a second prompt";
        for (error, text, hint, code) in [
            (
                ModuleError::Argument("nulok".into()),
                "the module argument nulok cannot be honoured",
                "correct the module's line in the PAM file: see pam_otp(8)",
                PamResultCode::PAM_SERVICE_ERR,
            ),
            (
                ModuleError::from(CoreError::UnknownGroup("staff".into())),
                "a policy rule names the group staff, which does not exist",
                "correct the rule or create the group; if a directory service has it, find out why that does not answer (`getent group NAME`)",
                PamResultCode::PAM_SERVICE_ERR,
            ),
            (
                ModuleError::from(CoreError::Entropy),
                "the kernel gave no random bytes",
                "nothing was changed; look for a seccomp filter that denies getrandom(2)",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::from(CoreError::from(StoreError::Unreachable("no answer in 2 s".into()))),
                "the records cannot be reached: no answer in 2 s",
                "look for the cause on the machines that keep the records; nothing was counted or used up",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::from(CoreError::from(StoreError::Unconfirmed("the standby is silent".into()))),
                "a write of the record is not confirmed: the standby is silent",
                "look for the cause on the machines that keep the records; the code may be used up: try again with the next one",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::from(CoreError::from(HelperError::Unintelligible)),
                "the helper HELPER gave an answer that cannot be parsed (is it of another version?)",
                "install module, otp-enroll, helper and agent of the same version, then restart the service",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::from(ConversationError::Failed),
                "the conversation gave no answer",
                went_away,
                PamResultCode::PAM_CONV_ERR,
            ),
            (
                ModuleError::from(ConversationError::Again),
                "the conversation gave no answer",
                went_away,
                PamResultCode::PAM_INCOMPLETE,
            ),
            (
                ModuleError::from(ConversationError::NoName),
                "the host gave no user name that is UTF-8",
                went_away,
                PamResultCode::PAM_USER_UNKNOWN,
            ),
            (
                ModuleError::NoPassword,
                "there is no password to take a code from, or it cannot be handed on",
                "with use_first_pass a module earlier in the stack must ask for the password",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                ModuleError::UserChanged,
                "the user name changed during the conversation",
                "the PAM application changed PAM_USER during its conversation",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                ModuleError::from(CoreError::Privileges),
                "the process cannot return to its caller's user id",
                "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied",
                PamResultCode::PAM_ABORT,
            ),
            (
                ModuleError::NoPendingEnrollment,
                "the PAM transaction takes no note",
                "pam_putenv or pam_set_data failed: the host is short of memory",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::from(CoreError::NoEnrollmentHere),
                "a process that is not root cannot enroll a device during a login",
                "the user can run otp-enroll, or log in through a service that runs as root (such as sshd)",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                ModuleError::PendingForAnother,
                "the user name changed while this user's enrollment was pending",
                "a module after this one, or the PAM application, changed PAM_USER",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                ModuleError::EnrollmentMissed,
                "an enrollment is pending, and the login did not come through it",
                "the PAM file needs an account and a password line with pam_otp.so too: see the examples",
                PamResultCode::PAM_INCOMPLETE,
            ),
            (
                ModuleError::from(CoreError::NoLookHere),
                "a code cannot be looked at here without its being counted",
                "use one line, pam_otp.so forward_pass: see pam_otp(8)",
                PamResultCode::PAM_SERVICE_ERR,
            ),
            (
                ModuleError::NotDeferred,
                "the PAM transaction takes no note",
                "pam_set_data failed: the host is short of memory",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::NothingDeferred,
                "no line of pam_otp.so has left a code to this one",
                "put the line `pam_otp.so forward_pass defer` before the modules that check passwords, and let no line before it jump over it: see pam_otp(8)",
                PamResultCode::PAM_AUTH_ERR,
            ),
            (
                ModuleError::DeferFailed,
                "the line with defer has failed, and left no code to this one",
                "the error before this one says why",
                PamResultCode::PAM_AUTHINFO_UNAVAIL,
            ),
            (
                ModuleError::NotJudged,
                "the code that was left to a later line of pam_otp.so was not judged",
                "put the line `auth required pam_otp.so deferred` after the modules that check passwords, and let none of them jump over it: see pam_otp(8); or, if a key came after a wrong password, connect again",
                PamResultCode::PAM_AUTH_ERR,
            ),
        ] {
            assert_eq!(error.to_string(), text.replace("HELPER", paths::HELPER));
            assert_eq!(error.hint(), hint, "{text}");
            assert_eq!(Outcome::Failed(error).pam_code(), code, "{text}");
        }
    }

    #[test]
    fn in_a_rollout_all_users_pass_unless_the_host_is_to_ask_again() {
        type Case = (fn() -> Outcome, PamResultCode, PamResultCode);
        let cases: [Case; 5] = [
            (|| Outcome::Verified, PamResultCode::PAM_SUCCESS, PamResultCode::PAM_SUCCESS),
            (|| Outcome::NotAsked, PamResultCode::PAM_IGNORE, PamResultCode::PAM_IGNORE),
            (|| Outcome::Refused(Refusal::Malformed), PamResultCode::PAM_AUTH_ERR, PamResultCode::PAM_IGNORE),
            (
                || Outcome::Failed(ConversationError::Failed.into()),
                PamResultCode::PAM_CONV_ERR,
                PamResultCode::PAM_IGNORE,
            ),
            (
                || Outcome::Failed(ConversationError::Again.into()),
                PamResultCode::PAM_INCOMPLETE,
                PamResultCode::PAM_INCOMPLETE,
            ),
        ];
        for (outcome, enforced, in_rollout) in cases {
            assert_eq!(outcome().unless_rollout(true).pam_code(), enforced);
            assert_eq!(outcome().unless_rollout(false).pam_code(), in_rollout);
        }
    }
}
