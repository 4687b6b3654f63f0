//! What a module proves, known by its name.

use super::stack::Module;

/// Modules that check a condition which an administrator set on purpose.
const CONDITIONS: [&str; 11] = [
    "access",
    "console",
    "listfile",
    "localuser",
    "rootok",
    "sepermit",
    "succeed_if",
    "time",
    "timestamp",
    "usertype",
    "wheel",
];

/// Modules that run a program of the administrator.
const PROGRAMS: [&str; 2] = ["exec", "script"];

/// Modules whose PAM_SUCCESS does not prove who the user is.
const SILENT: [&str; 31] = [
    "cap",
    "cifscreds",
    "ecryptfs",
    "echo",
    "env",
    "faildelay",
    "faillock",
    "fscrypt",
    "gdm",
    "gnome_keyring",
    "group",
    "issue",
    "keyinit",
    "kwallet",
    "kwallet5",
    "lastlog",
    "limits",
    "loginuid",
    "mail",
    "motd",
    "mount",
    "namespace",
    "nologin",
    "securetty",
    "selinux",
    "shells",
    "systemd",
    "tally",
    "tally2",
    "umask",
    "warn",
];

/// What PAM_SUCCESS of a module proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// pam_otp.so: it asks.
    SecondFactor,
    /// `pam_otp.so deferred`: it judges what an earlier line of the module has looked at.
    Judge,
    /// The user's identity, by password, ticket or card; assumed of unknown modules.
    Proof,
    /// A condition of the login that an administrator set on purpose.
    Condition,
    /// An administrator's program: an identity or a condition.
    Program,
    /// Nothing.
    Silent,
    /// Nothing: it always succeeds.
    Permit,
    /// It always fails.
    Deny,
    /// Its file does not exist.
    Missing,
}

impl Role {
    pub(super) fn of(module: &Module) -> Self {
        match module.name().strip_prefix("pam_").and_then(|rest| rest.strip_suffix(".so")) {
            Some("otp") if module.arguments.iter().any(|word| word == "deferred") => Self::Judge,
            Some("otp") => Self::SecondFactor,
            _ if !module.is_there => Self::Missing,
            Some("permit") => Self::Permit,
            Some("deny") => Self::Deny,
            Some(name) if CONDITIONS.contains(&name) => Self::Condition,
            Some(name) if PROGRAMS.contains(&name) => Self::Program,
            Some(name) if SILENT.contains(&name) => Self::Silent,
            Some(_) | None => Self::Proof,
        }
    }
}
