//! Everything that can keep this crate from giving an answer. A refusal is an answer and not among them.

use std::fmt;

use crate::config::error::ConfigError;
use crate::store::error::StoreError;

/// The absence of an answer: no login, whatever the policy says.
#[derive(Debug)]
pub enum Error {
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
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Config(_) => "mend the file and try it with `otp-enroll admin check`",
            Self::Store(error) => error.hint(),
            Self::Names { .. } => "check /etc/nsswitch.conf and the services it names",
            Self::NoAccount(_) => "whoever is gone for good, `otp-enroll admin disable USER` removes the record",
            Self::UnknownGroup(_) => "make the group or correct the rule; `otp-enroll admin check` finds such rules",
            Self::Entropy => "getrandom(2) failed; nothing was changed",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Names { subject, errno } => write!(f, "cannot look up {subject}: {}", errno.desc()),
            Self::NoAccount(user) => write!(f, "there is no user {user:?} any more"),
            Self::UnknownGroup(group) => write!(f, "a policy rule names the group {group}, which does not exist"),
            Self::Entropy => f.write_str("the system gives no random bytes"),
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreError> for Error {
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
        let names = Error::Names { subject: "the user \"alice\"".into(), errno: nix::errno::Errno::EIO };
        for (error, text, hint) in [
            (
                Error::from(config),
                "/etc/x:3: code.digits: no",
                "mend the file and try it with `otp-enroll admin check`",
            ),
            (Error::from(StoreError::Busy), "the record is in use by other processes", StoreError::Busy.hint()),
            (
                names,
                "cannot look up the user \"alice\": I/O error",
                "check /etc/nsswitch.conf and the services it names",
            ),
            (
                Error::NoAccount("alice".into()),
                "there is no user \"alice\" any more",
                "whoever is gone for good, `otp-enroll admin disable USER` removes the record",
            ),
            (
                Error::UnknownGroup("staff".into()),
                "a policy rule names the group staff, which does not exist",
                "make the group or correct the rule; `otp-enroll admin check` finds such rules",
            ),
            (Error::Entropy, "the system gives no random bytes", "getrandom(2) failed; nothing was changed"),
        ] {
            assert_eq!((error.to_string().as_str(), error.hint()), (text, hint));
        }
    }
}
