//! Errors: why this crate gave no answer. A refusal is an answer, not an error.

use std::fmt;
use std::io;

use crate::config::error::ConfigError;
use crate::config::paths;
use crate::store::error::StoreError;
use crate::store::files::confinement;
use crate::value::destination::Channel;
use crate::value::system_error::{UNMAPPED_HINT, described, is_unmapped};

/// No answer could be given. Every error refuses the login.
#[derive(Debug)]
pub enum CoreError {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// A record cannot be used.
    Store(StoreError),
    /// The name service did not answer.
    Names {
        /// What was looked up: `the user "alice"`.
        subject: String,
        errno: nix::errno::Errno,
    },
    /// A service of the name service could not say which groups a user is in.
    NoAnswer { user: String, errno: nix::errno::Errno },
    /// A resource limit is too low and cannot be raised.
    Limit(&'static str),
    /// A record exists whose account does not.
    NoAccount(String),
    /// A policy rule names a group that does not exist.
    UnknownGroup(String),
    /// The kernel gave no random bytes.
    Entropy,
    /// The helper gave no answer.
    Helper(HelperError),
    /// The agent gave no answer.
    Agent(HelperError),
    /// A code was not sent: the agent gave no answer.
    NotSent(Channel, HelperError),
    /// The authority of the fleet gave no answer.
    Authority(NoAuthority),
    /// The real user id, which was changed while a record was locked, could not be restored.
    Privileges,
    /// The login must enroll a device, and this authority cannot.
    NoEnrollmentHere,
    /// The code was only to be looked at, and this authority counts each wrong one.
    NoLookHere,
}

/// Why the authority of the fleet gave no answer.
#[derive(Debug)]
pub struct NoAuthority {
    /// Whether no verifier answered at all, or not the agent. Only then is there another way in.
    pub is_unreachable: bool,
    /// What was found out.
    pub why: String,
    pub hint: String,
}

/// Why the helper or the agent gave no answer.
#[derive(Debug)]
pub enum HelperError {
    /// It could not be reached, or the pipe to it broke.
    Io(io::Error),
    /// It reported an error of its own.
    Reports { error: String, hint: String },
    /// The answer cannot be parsed: program and helper have different versions.
    Unintelligible,
    /// The helper answers about its caller's own account, and the login is for another one.
    OtherUser,
}

/// What to do about an agent that is not there.
const AGENT_HINT: &str =
    "look for the agent's errors with `systemctl status otp-agent.socket otp-agent.service`: see otp-agent(8)";

const OTHER_VERSION_HINT: &str =
    "install module, otp-enroll, helper and agent of the same version, then restart the service";

impl CoreError {
    /// Whether this process may not open or write the records, or not those of this user: then the agent may answer.
    pub fn is_for_agent(&self) -> bool {
        let is_denied = |error: &io::Error| {
            let number = error.raw_os_error().map(nix::errno::Errno::from_raw);
            matches!(number, Some(nix::errno::Errno::EACCES | nix::errno::Errno::EROFS))
        };
        match self {
            Self::Store(StoreError::System { error, .. }) => is_denied(error),
            Self::Helper(HelperError::OtherUser) => true,
            // EPERM, too: AppArmor, and filters of system calls, start no helper without new privileges.
            Self::Helper(HelperError::Io(error)) => {
                matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
            }
            Self::Helper(HelperError::Reports { .. }) => confinement::denial().is_of_sandbox(),
            Self::Config(_)
            | Self::Store(_)
            | Self::Names { .. }
            | Self::NoAnswer { .. }
            | Self::Limit(_)
            | Self::NoAccount(_)
            | Self::UnknownGroup(_)
            | Self::Entropy
            | Self::Helper(HelperError::Unintelligible)
            | Self::Agent(_)
            | Self::NotSent(..)
            | Self::Authority(_)
            | Self::Privileges
            | Self::NoEnrollmentHere
            | Self::NoLookHere => false,
        }
    }

    /// The same, where the agent was asked to send a code.
    pub(crate) fn of_sending(self, channel: Channel) -> Self {
        if let Self::Agent(why) = self { Self::NotSent(channel, why) } else { self }
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            Self::Config(error) if is_unmapped(&error.what) => UNMAPPED_HINT,
            Self::Config(_) => "fix the file, then check it with `otp-enroll admin check`",
            Self::Store(error) => error.hint(),
            Self::Names {
                errno: nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE | nix::errno::Errno::ENOMEM,
                ..
            } => "raise the limits of the process (`ulimit -n`, `ulimit -v`)",
            Self::NoAnswer { .. } => {
                "start the services on the line `group` (or `initgroups`) of /etc/nsswitch.conf, or take them off it"
            }
            Self::Limit(_) => {
                "the process lacks CAP_SYS_RESOURCE: raise the limit where it is started (limits.conf, systemd)"
            }
            Self::Names { .. } => "check /etc/nsswitch.conf and the services it names",
            Self::NoAccount(_) => {
                "if the account was removed for good, `otp-enroll admin purge` removes such records, after listing them; if it was \
                 renamed, `otp-enroll admin rename USER NEW`; otherwise check the name service (`getent passwd USER`)"
            }
            Self::UnknownGroup(_) => {
                "correct the rule or create the group; if a directory service has it, find out why that does not answer \
                 (`getent group NAME`)"
            }
            Self::Entropy => "nothing was changed; look for a seccomp filter that denies getrandom(2)",
            Self::Helper(HelperError::Io(_)) => {
                "check that the helper is installed and set-group-ID pam_otp, and that SELinux or AppArmor lets the service \
                 start it"
            }
            Self::NotSent(_, HelperError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                "an administrator enables it: systemctl enable --now otp-agent.socket: see otp-agent(8)"
            }
            Self::Agent(HelperError::Io(_)) | Self::NotSent(_, HelperError::Io(_)) => AGENT_HINT,
            Self::Authority(NoAuthority { hint, .. })
            | Self::Helper(HelperError::Reports { hint, .. })
            | Self::Agent(HelperError::Reports { hint, .. })
            | Self::NotSent(_, HelperError::Reports { hint, .. }) => hint,
            Self::Helper(HelperError::Unintelligible)
            | Self::Agent(HelperError::Unintelligible)
            | Self::NotSent(_, HelperError::Unintelligible) => OTHER_VERSION_HINT,
            Self::Helper(HelperError::OtherUser)
            | Self::Agent(HelperError::OtherUser)
            | Self::NotSent(_, HelperError::OtherUser) => {
                "a service that asks about other users must run as root (FreeRADIUS: user = root in radiusd.conf), or be \
                 named in [[agent.host]] where otp-agent.socket is enabled: see otp-agent(8)"
            }
            Self::Privileges => {
                "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied"
            }
            Self::NoEnrollmentHere => {
                "the user can run otp-enroll, or log in through a service that runs as root (such as sshd)"
            }
            Self::NoLookHere => "use one line, pam_otp.so forward_pass: see pam_otp(8)",
        }
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Names { subject, errno } => {
                write!(f, "cannot look up {subject}: {}", described(&(*errno).into()))
            }
            Self::NoAnswer { user, errno } => {
                let unknown = *errno == nix::errno::Errno::UnknownErrno;
                let why = if unknown { "no reason was given".into() } else { described(&(*errno).into()) };
                write!(f, "a name service does not say which groups {user:?} is in: {why}")
            }
            Self::Limit(limit) => write!(f, "the limit {limit} is too low and cannot be raised"),
            Self::NoAccount(user) => write!(f, "the user {user:?} does not exist any more"),
            Self::UnknownGroup(group) => write!(f, "a policy rule names the group {group}, which does not exist"),
            Self::Entropy => f.write_str("the kernel gave no random bytes"),
            Self::Helper(error) => write!(f, "the helper {} {error}", paths::HELPER),
            Self::Agent(error) | Self::NotSent(_, error) => write!(f, "the agent {} {error}", paths::AGENT),
            Self::Authority(error) => error.fmt(f),
            Self::Privileges => f.write_str("the process cannot return to its caller's user id"),
            Self::NoEnrollmentHere => f.write_str("a process that is not root cannot enroll a device during a login"),
            Self::NoLookHere => f.write_str("a code cannot be looked at here without its being counted"),
        }
    }
}

impl fmt::Display for HelperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be reached: {}", described(error)),
            Self::Reports { error, hint: _ } => write!(f, "reports: {error}"),
            Self::Unintelligible => f.write_str("gave an answer that cannot be parsed (is it of another version?)"),
            Self::OtherUser => f.write_str("answers a process that is not root only about its own user"),
        }
    }
}

impl std::error::Error for CoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Helper(error) | Self::Agent(error) | Self::NotSent(_, error) => Some(error),
            Self::Names { errno, .. } | Self::NoAnswer { errno, .. } => Some(errno),
            Self::Limit(_)
            | Self::NoAccount(_)
            | Self::UnknownGroup(_)
            | Self::Entropy
            | Self::Authority(_)
            | Self::Privileges
            | Self::NoEnrollmentHere
            | Self::NoLookHere => None,
        }
    }
}

impl std::error::Error for HelperError {}

impl NoAuthority {
    /// The words at the beginning of an error, by which the module knows one that the agent reports.
    const UNREACHABLE: &str = "authority unreachable: ";
    const UNUSABLE: &str = "authority gives no answer: ";

    /// What the hint is where no verifier answers.
    pub const HINT: &str =
        "ask the verifiers with `otp-agent hello`; if a code was given it may be used up: try again with the next one";

    /// Of the agent itself, or of what it reports. `None` if that is no error of the authority.
    pub fn of_agent(error: &HelperError) -> Option<Self> {
        let HelperError::Reports { error, hint } = error else {
            let why = format!("the agent {} {error}", paths::AGENT);
            let is_unreachable = matches!(error, HelperError::Io(_));
            let hint = if is_unreachable { AGENT_HINT } else { OTHER_VERSION_HINT }.to_owned();
            return Some(Self { is_unreachable, why, hint });
        };
        let unreachable = error.strip_prefix(Self::UNREACHABLE);
        let why = unreachable.or_else(|| error.strip_prefix(Self::UNUSABLE))?.to_owned();
        Some(Self { is_unreachable: unreachable.is_some(), why, hint: hint.clone() })
    }
}

impl fmt::Display for NoAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_unreachable { Self::UNREACHABLE } else { Self::UNUSABLE }, self.why)
    }
}

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
                "fix the file, then check it with `otp-enroll admin check`",
            ),
            (CoreError::from(StoreError::Busy), "the record is in use by other processes", StoreError::Busy.hint()),
            (
                names,
                "cannot look up the user \"alice\": Input/output error",
                "check /etc/nsswitch.conf and the services it names",
            ),
            (
                CoreError::Names { subject: "the groups of \"alice\"".into(), errno: nix::errno::Errno::EMFILE },
                "cannot look up the groups of \"alice\": Too many open files",
                "raise the limits of the process (`ulimit -n`, `ulimit -v`)",
            ),
            (
                CoreError::NoAnswer { user: "alice".into(), errno: nix::errno::Errno::ECONNREFUSED },
                "a name service does not say which groups \"alice\" is in: Connection refused",
                "start the services on the line `group` (or `initgroups`) of /etc/nsswitch.conf, or take them off it",
            ),
            (
                CoreError::Limit("RLIMIT_NOFILE"),
                "the limit RLIMIT_NOFILE is too low and cannot be raised",
                "the process lacks CAP_SYS_RESOURCE: raise the limit where it is started (limits.conf, systemd)",
            ),
            (
                CoreError::NoAccount("alice".into()),
                "the user \"alice\" does not exist any more",
                "if the account was removed for good, `otp-enroll admin purge` removes such records, after listing them; if it was \
                 renamed, `otp-enroll admin rename USER NEW`; otherwise check the name service (`getent passwd USER`)",
            ),
            (
                CoreError::UnknownGroup("staff".into()),
                "a policy rule names the group staff, which does not exist",
                "correct the rule or create the group; if a directory service has it, find out why that does not answer \
                 (`getent group NAME`)",
            ),
            (
                CoreError::Entropy,
                "the kernel gave no random bytes",
                "nothing was changed; look for a seccomp filter that denies getrandom(2)",
            ),
            (
                CoreError::Privileges,
                "the process cannot return to its caller's user id",
                "setresuid(2) failed: look for a seccomp filter, and for what SELinux or AppArmor denied",
            ),
            (
                CoreError::NoEnrollmentHere,
                "a process that is not root cannot enroll a device during a login",
                "the user can run otp-enroll, or log in through a service that runs as root (such as sshd)",
            ),
            (
                CoreError::NoLookHere,
                "a code cannot be looked at here without its being counted",
                "use one line, pam_otp.so forward_pass: see pam_otp(8)",
            ),
        ] {
            assert_eq!((error.to_string().as_str(), error.hint()), (text, hint));
        }
    }

    #[test]
    fn a_helper_that_may_not_be_started_leaves_the_agent() {
        use nix::errno::Errno;
        for (errno, expected) in [
            (Errno::EPERM, true),
            (Errno::EACCES, true),
            (Errno::ENOENT, true),
            (Errno::EAGAIN, false),
            (Errno::ENOMEM, false),
            (Errno::EPIPE, false),
        ] {
            let error = CoreError::from(HelperError::Io(errno.into()));
            assert_eq!(error.is_for_agent(), expected, "{errno}");
        }
    }

    #[test]
    fn every_error_of_the_helper_names_the_helper() {
        let reported = HelperError::Reports { error: "cannot open /a".into(), hint: "look there".into() };
        for (error, text, hint) in [
            (
                HelperError::Io(nix::errno::Errno::ENOENT.into()),
                "cannot be reached: No such file or directory",
                "check that the helper is installed and set-group-ID pam_otp, and that SELinux or AppArmor lets the service \
                 start it",
            ),
            (reported, "reports: cannot open /a", "look there"),
            (
                HelperError::Unintelligible,
                "gave an answer that cannot be parsed (is it of another version?)",
                "install module, otp-enroll, helper and agent of the same version, then restart the service",
            ),
            (
                HelperError::OtherUser,
                "answers a process that is not root only about its own user",
                "a service that asks about other users must run as root (FreeRADIUS: user = root in radiusd.conf), or be named \
                 in [[agent.host]] where otp-agent.socket is enabled: see otp-agent(8)",
            ),
        ] {
            let error = CoreError::from(error);
            assert_eq!(error.to_string(), format!("the helper {} {text}", paths::HELPER));
            assert_eq!(error.hint(), hint);
        }
    }

    #[test]
    fn an_error_of_the_authority_is_known_in_what_the_agent_reports() {
        for (is_unreachable, text) in
            [(true, "authority unreachable: v:1: timed out"), (false, "authority gives no answer: v:1: timed out")]
        {
            let reported = HelperError::Reports { error: text.into(), hint: "look there".into() };
            let error = NoAuthority::of_agent(&reported).unwrap();
            assert_eq!((error.is_unreachable, error.why.as_str()), (is_unreachable, "v:1: timed out"));
            let error = CoreError::Authority(error);
            assert_eq!((error.to_string().as_str(), error.hint(), error.is_for_agent()), (text, "look there", false));
        }
        let gone =
            CoreError::Authority(NoAuthority::of_agent(&HelperError::Io(io::ErrorKind::TimedOut.into())).unwrap());
        let text = format!("authority unreachable: the agent {} cannot be reached: timed out", paths::AGENT);
        assert_eq!((gone.to_string(), gone.hint()), (text, AGENT_HINT));
        let odd = NoAuthority::of_agent(&HelperError::Unintelligible).unwrap();
        assert!(!odd.is_unreachable, "an answer that cannot be read is no sign of a network that is cut");
        let other = HelperError::Reports { error: "/etc/x:1: no".into(), hint: "look there".into() };
        assert!(NoAuthority::of_agent(&other).is_none());
    }

    #[test]
    fn a_user_namespace_is_no_reason_to_change_the_file() {
        let what = format!("belongs to {}, and must belong to root", crate::value::system_error::owner(65_534));
        let error = CoreError::from(ConfigError { path: "/etc/x".into(), line: None, what });
        assert_eq!(error.hint(), UNMAPPED_HINT);
    }
}
