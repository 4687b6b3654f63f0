//! What can keep a record from being read or written, with its file and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::record::error::RecordError;

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
    /// A change of credentials is in force for everybody, but may not outlive a power cut.
    Unflushed {
        /// The file or directory.
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
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: RecordError,
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
                io::ErrorKind::ReadOnlyFilesystem => "find out why that file system is read-only; nothing was lost",
                io::ErrorKind::PermissionDenied => "check owner and mode, and what SELinux or AppArmor denied",
                _ => "look for the cause in the system log; nothing was lost",
            },
            Self::Unflushed { .. } => {
                "look for the cause in the system log; recovery codes that were not shown: `otp-enroll recovery`"
            }
            Self::Untrusted { .. } => "mend its owner, group, mode or type: see FILES in pam_otp(8)",
            Self::Record { .. } => {
                "restore it from a backup, or `otp-enroll admin reset USER` to let the user enroll anew"
            }
            Self::Busy => "try again; if it stays so, look for a stopped process that holds the file (fuser)",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { action, path, error } => write!(f, "cannot {action} {}: {error}", path.display()),
            Self::Unflushed { path, error } => {
                write!(
                    f,
                    "the change is in force, but a power cut may undo it: cannot flush {}: {error}",
                    path.display()
                )
            }
            Self::Untrusted { path, what } => write!(f, "{} {what}", path.display()),
            Self::Record { path, error } => write!(f, "{} {error}", path.display()),
            Self::Busy => f.write_str("the record is in use by other processes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(kind: io::ErrorKind) -> StoreError {
        StoreError::System { action: "open", path: "/var/lib/pam_otp/alice.toml".into(), error: kind.into() }
    }

    #[test]
    fn every_error_names_its_file() {
        let path = || PathBuf::from("/var/lib/pam_otp/alice.state");
        let unreadable = |error| StoreError::Record { path: path(), error };
        for (error, text) in [
            (system(io::ErrorKind::PermissionDenied), "cannot open /var/lib/pam_otp/alice.toml: permission denied"),
            (
                StoreError::Unflushed { path: path(), error: io::ErrorKind::PermissionDenied.into() },
                "the change is in force, but a power cut may undo it: cannot flush /var/lib/pam_otp/alice.state: \
                 permission denied",
            ),
            (
                StoreError::Untrusted { path: path(), what: "is a symbolic link".into() },
                "/var/lib/pam_otp/alice.state is a symbolic link",
            ),
            (
                unreadable(RecordError::Version(3)),
                "/var/lib/pam_otp/alice.state is of version 3, and this program reads version 1",
            ),
            (
                unreadable(RecordError::Missing),
                "/var/lib/pam_otp/alice.state is missing, although the user is enrolled",
            ),
            (
                unreadable(RecordError::Malformed("line 4: odd".into())),
                "/var/lib/pam_otp/alice.state cannot be read: line 4: odd",
            ),
            (
                unreadable(RecordError::OtherAccount("\"bob\" with uid 1".into())),
                "/var/lib/pam_otp/alice.state belongs to \"bob\" with uid 1",
            ),
            (
                unreadable(RecordError::Mismatch("the state belongs to another enrollment")),
                "/var/lib/pam_otp/alice.state does not fit: the state belongs to another enrollment",
            ),
            (StoreError::Busy, "the record is in use by other processes"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn every_error_says_what_to_do() {
        let path = || PathBuf::from("/x");
        for (error, hint) in [
            (system(io::ErrorKind::NotFound), "the state directory is made by the package or by `make install`"),
            (system(io::ErrorKind::StorageFull), "make room on that file system; nothing was lost"),
            (system(io::ErrorKind::QuotaExceeded), "make room on that file system; nothing was lost"),
            (system(io::ErrorKind::PermissionDenied), "check owner and mode, and what SELinux or AppArmor denied"),
            (system(io::ErrorKind::ReadOnlyFilesystem), "find out why that file system is read-only; nothing was lost"),
            (system(io::ErrorKind::Other), "look for the cause in the system log; nothing was lost"),
            (
                StoreError::Unflushed { path: path(), error: io::ErrorKind::Other.into() },
                "look for the cause in the system log; recovery codes that were not shown: `otp-enroll recovery`",
            ),
            (
                StoreError::Untrusted { path: path(), what: String::new() },
                "mend its owner, group, mode or type: see FILES in pam_otp(8)",
            ),
            (
                StoreError::Record { path: path(), error: RecordError::Missing },
                "restore it from a backup, or `otp-enroll admin reset USER` to let the user enroll anew",
            ),
            (StoreError::Busy, "try again; if it stays so, look for a stopped process that holds the file (fuser)"),
        ] {
            assert_eq!(error.hint(), hint);
        }
    }
}
