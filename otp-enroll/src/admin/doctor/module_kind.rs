//! What a module proves, known by its name.

use crate::pam::stack::Module;

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

/// Modules whose success proves a password, a key, a card or a finger: a first factor.
const FIRST_FACTORS: [&str; 28] = [
    "authd",
    "centrifydc",
    "extrausers",
    "fprintd",
    "himmelblau",
    "kanidm",
    "krb5",
    "ldap",
    "lsass",
    "mysql",
    "p11",
    "pgsql",
    "pkcs11",
    "pwdfile",
    "radius",
    "radius_auth",
    "sqlite",
    "ssh",
    "ssh_agent_auth",
    "sss",
    "systemd_home",
    "tacplus",
    "tcb",
    "u2f",
    "unix",
    "userdb",
    "vas3",
    "winbind",
];

/// Conditions that hold for users who have logged in before: root, a member of wheel, one who was asked a moment ago.
const OF_THE_CALLER: [&str; 3] = ["rootok", "timestamp", "wheel"];

/// Modules that run a program of the administrator.
const PROGRAMS: [&str; 2] = ["exec", "script"];

/// Modules whose PAM_SUCCESS does not prove who the user is.
const SILENT: [&str; 25] = [
    "cap",
    "cifscreds",
    "ecryptfs",
    "echo",
    "faillock",
    "fscrypt",
    "gdm",
    "gnome_keyring",
    "keyinit",
    "kwallet",
    "kwallet5",
    "lastlog",
    "limits",
    "loginuid",
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
];

/// Modules whose `auth` says PAM_IGNORE, whatever happens: no login passes or fails by them.
const IGNORED: &[&str] = &["env", "faildelay", "group", "issue", "mail", "warn"];

/// Whether its success surely proves a first factor.
pub(super) fn proves_the_user(module: &Module) -> bool {
    short_name(module).is_some_and(|name| FIRST_FACTORS.contains(&name))
}

/// Whether its success proves who has started the program, if the program knows that.
pub(super) fn proves_the_caller(module: &Module) -> bool {
    short_name(module).is_some_and(|name| OF_THE_CALLER.contains(&name))
}

/// `unix` of pam_unix.so.
fn short_name(module: &Module) -> Option<&str> {
    module.name().strip_prefix("pam_")?.strip_suffix(".so")
}

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
    /// Nothing: it always says PAM_IGNORE.
    Ignored,
    /// Nothing: it always succeeds.
    Permit,
    /// It always fails.
    Deny,
    /// Its file does not exist.
    Missing,
}

impl Role {
    pub(super) fn of(module: &Module) -> Self {
        match short_name(module) {
            Some("otp") if module.arguments.iter().any(|word| word == "deferred") => Self::Judge,
            Some("otp") => Self::SecondFactor,
            _ if !module.is_there => Self::Missing,
            Some("permit") => Self::Permit,
            Some("deny") => Self::Deny,
            Some(name) if CONDITIONS.contains(&name) => Self::Condition,
            Some(name) if PROGRAMS.contains(&name) => Self::Program,
            Some(name) if IGNORED.contains(&name) => Self::Ignored,
            Some(name) if SILENT.contains(&name) => Self::Silent,
            Some(_) | None => Self::Proof,
        }
    }
}
