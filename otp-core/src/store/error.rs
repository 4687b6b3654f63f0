//! What can keep a record from being read or written, with its file and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::record::Damage;

/// The absence of an answer. Every one of them refuses a login.
#[derive(Debug)]
pub enum StoreError {
    /// The system refused an operation.
    System {
        /// What was tried, as a verb: `open`, `lock`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What is there must not be trusted: a symlink, somebody else's file, too wide a mode.
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What is there is not a record of this user.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// Somebody holds the lock, or wins every race, for longer than a login may wait.
    Busy,
}

impl StoreError {
    /// What to do next.
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind grows with every release of std")]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::System { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => "the state directory is made by the package or by `make install`",
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on that file system; nothing was lost"
                }
                io::ErrorKind::PermissionDenied => "check owner and mode, and what SELinux or AppArmor denied",
                _ => "look for the cause in the system log; nothing was changed",
            },
            Self::Untrusted { .. } => "mend its owner, group, mode or type: see FILES in pam_otp(8)",
            Self::Damaged { .. } => {
                "restore it from a backup, or `otp-enroll admin reset USER` to let the user enrol anew"
            }
            Self::Busy => "try again; if it stays so, look for a stopped process that holds the file (fuser)",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { action, path, error } => write!(f, "cannot {action} {}: {error}", path.display()),
            Self::Untrusted { path, what } => write!(f, "{} {what}", path.display()),
            Self::Damaged { path, damage } => write!(f, "{} {damage}", path.display()),
            Self::Busy => f.write_str("the record is in use by other processes"),
        }
    }
}
