//! Everything that can keep this crate from giving an answer. A refusal is an answer and not among them.

use std::fmt;
use std::io;

use crate::config::error::ConfigError;
use crate::config::paths;
use crate::store::error::StoreError;

/// The absence of an answer: no login, whatever the policy says.
#[derive(Debug)]
pub enum CoreError {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The records cannot be used.
    Store(StoreError),
    /// The name service did not answer.
    Names {
        /// What was asked for.
        subject: String,
        /// Why there was no answer.
        errno: nix::errno::Errno,
    },
    /// There is a record, and nobody whose it is.
    NoAccount(String),
    /// A rule names a group that does not exist.
    UnknownGroup(String),
    /// The system gave no random bytes.
    Entropy,
    /// The helper could not be asked, or did not answer.
    Helper(HelperError),
    /// The real user id, which was set aside while a record was locked, did not come back.
    Privileges,
    /// This login would have to enroll a device, and this authority cannot.
    NoEnrollmentHere,
}

/// Why the helper gave no answer.
#[derive(Debug)]
pub enum HelperError {
    /// It could not be started, or the pipe to it broke.
    Io(io::Error),
    /// It says why.
    Reports {
        /// What happened.
        error: String,
        /// What to do next.
        hint: String,
    },
    /// Program and helper are not of the same version.
    Unintelligible,
    /// It answers about its caller's own account, and that is not whose login this is.
    OtherUser,
}

impl CoreError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Config(_) => "mend the file and try it with `otp-enroll admin check`",
            Self::Store(error) => error.hint(),
            Self::Names { .. } => "check /etc/nsswitch.conf and the services it names",
            Self::NoAccount(_) => "whoever is gone for good, `otp-enroll admin disable USER` removes the record",
            Self::UnknownGroup(_) => "make the group or correct the rule; `otp-enroll admin check` finds such rules",
            Self::Entropy => "getrandom(2) failed; nothing was changed",
            Self::Helper(_) => "check that the helper is installed, set-group-ID pam_otp, and may reach the records",
            Self::Privileges => {
                "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied"
            }
            Self::NoEnrollmentHere => "the user runs otp-enroll, or logs in where the host is root",
        }
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Names { subject, errno } => write!(f, "cannot look up {subject}: {}", errno.desc()),
            Self::NoAccount(user) => write!(f, "there is no user {user:?} any more"),
            Self::UnknownGroup(group) => write!(f, "a policy rule names the group {group}, which does not exist"),
            Self::Entropy => f.write_str("the system gives no random bytes"),
            Self::Helper(error) => write!(f, "the helper {} {error}", paths::HELPER),
            Self::Privileges => f.write_str("the process cannot go back to its caller's user id"),
            Self::NoEnrollmentHere => f.write_str("a process that is not root sets up no second factor"),
        }
    }
}

impl fmt::Display for HelperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be asked: {error}"),
            Self::Reports { error, hint } => write!(f, "says: {error} ({hint})"),
            Self::Unintelligible => f.write_str("gave an answer that cannot be understood"),
            Self::OtherUser => f.write_str("answers a process that is not root about its own user only"),
        }
    }
}

impl std::error::Error for CoreError {}

impl std::error::Error for HelperError {}

impl From<HelperError> for CoreError {
    fn from(error: HelperError) -> Self {
        Self::Helper(error)
    }
}

impl From<io::Error> for CoreError {
    fn from(error: io::Error) -> Self {
        Self::Helper(HelperError::Io(error))
    }
}

impl From<ConfigError> for CoreError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_happened_and_what_to_do() {
        let config = ConfigError { path: "/etc/x".into(), line: Some(3), what: "code.digits: no".into() };
        let names = CoreError::Names { subject: "the user \"alice\"".into(), errno: nix::errno::Errno::EIO };
        for (error, text, hint) in [
            (
                CoreError::from(config),
                "/etc/x:3: code.digits: no",
                "mend the file and try it with `otp-enroll admin check`",
            ),
            (CoreError::from(StoreError::Busy), "the record is in use by other processes", StoreError::Busy.hint()),
            (
                names,
                "cannot look up the user \"alice\": I/O error",
                "check /etc/nsswitch.conf and the services it names",
            ),
            (
                CoreError::NoAccount("alice".into()),
                "there is no user \"alice\" any more",
                "whoever is gone for good, `otp-enroll admin disable USER` removes the record",
            ),
            (
                CoreError::UnknownGroup("staff".into()),
                "a policy rule names the group staff, which does not exist",
                "make the group or correct the rule; `otp-enroll admin check` finds such rules",
            ),
            (CoreError::Entropy, "the system gives no random bytes", "getrandom(2) failed; nothing was changed"),
        ] {
            assert_eq!((error.to_string().as_str(), error.hint()), (text, hint));
        }
    }
}
