//! What a module has to do with who somebody is, known by its name.

use super::stack::Module;

/// Modules whose yes is a condition that somebody set on purpose.
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

/// Modules that run a program of the administrator's.
const PROGRAMS: [&str; 2] = ["exec", "script"];

/// Modules whose yes says nothing about who it is.
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

/// What a module's yes is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Ours: the second factor.
    SecondFactor,
    /// It says who somebody is: a password, a ticket, a card. So does whatever is not known.
    Proof,
    /// It says something about the login, by which an administrator makes a difference on purpose.
    Condition,
    /// A program that somebody wrote: it may be either.
    Program,
    /// It does something, and its yes means nothing.
    Silent,
    /// It always says yes.
    Permit,
    /// It always says no.
    Deny,
    /// Its file is not there.
    Missing,
}

impl Role {
    pub(super) fn of(module: &Module) -> Self {
        match module.name().strip_prefix("pam_").and_then(|rest| rest.strip_suffix(".so")) {
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
