//! Errors of the store: what happened, to which file, and what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::record::error::RecordError;
use crate::store::files::confinement::{self, Denial, Sight};
use crate::value::path::folder;
use crate::value::system_error::{UNMAPPED_HINT, described, is_unmapped};

/// A record could not be read or written. Every such error refuses the login.
#[derive(Debug)]
pub enum StoreError {
    /// A system call failed.
    System {
        /// The verb of the text: `open`, `lock`.
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// A change of credentials is in force, but a power cut may undo it.
    Unflushed { path: PathBuf, error: io::Error },
    /// The file or directory is not trusted: a symlink, another user's file, too wide a mode.
    Untrusted { path: PathBuf, what: String },
    /// A user's file belongs to another user id than the account has. A changed user id (`usermod -u`) looks like this, and
    /// so does a file that another user has put there.
    OfOther { path: PathBuf, owner: u32 },
    /// The file holds no record of this user.
    Record { path: PathBuf, error: RecordError },
    /// The state directory is not known to be the one that belongs to the configuration.
    Identity { path: PathBuf, what: String },
    /// Other processes hold the lock, or win every race, for longer than a login may wait.
    Busy,
    /// The records are on another machine, which cannot be asked or does not answer. Nothing was written.
    Unreachable(String),
    /// A write was begun on another machine and is not known to be durable there: it may be in force or not. Whatever it was
    /// for has no answer.
    Unconfirmed(String),
}

impl StoreError {
    /// What to do next. Looks at the mounts and privileges of this process where they may be the reason.
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind grows with every release of std")]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::System { error, path, .. } => match error.kind() {
                io::ErrorKind::NotFound => absent(confinement::sight(path)),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room on that file system; nothing was lost"
                }
                io::ErrorKind::ReadOnlyFilesystem => read_only(confinement::sight(path)),
                io::ErrorKind::PermissionDenied => denied(confinement::denial()),
                _ => "look for the cause in the system log; nothing was lost",
            },
            Self::Unflushed { .. } => {
                "look for the cause in the system log; if new recovery codes were not shown, make others with \
                 `otp-enroll recovery`"
            }
            Self::Untrusted { what, .. } if is_unmapped(what) => UNMAPPED_HINT,
            Self::Untrusted { .. } => "fix its owner, group, mode or type: see FILES in pam_otp(8)",
            Self::OfOther { .. } => {
                "if the user's number was changed (usermod -u, a restore): otp-enroll admin adopt USER; else find out who put the \
                 file there"
            }
            Self::Record { error, .. } => error.hint(),
            Self::Identity { path, .. } => missing(confinement::sight(folder(path))),
            Self::Busy => "try again; if it happens again, look for a stopped process that holds the file (fuser)",
            Self::Unreachable(_) => {
                "look for the cause on the machines that keep the records; nothing was counted or used up"
            }
            Self::Unconfirmed(_) => {
                "look for the cause on the machines that keep the records; the code may be used up: try again with the \
                 next one"
            }
        }
    }
}

fn read_only(sight: Sight) -> &'static str {
    match sight {
        Sight::ReadOnlyHere => {
            "the sandbox of this service makes it read-only: add ReadWritePaths=- and the state directory to its unit, \
             or enable otp-agent.socket (locked-out.md, \"Read-only file system\"); nothing was lost"
        }
        Sight::Same | Sight::OtherHere => "find out why that file system is read-only; nothing was lost",
    }
}

/// What to do where a service's own mounts hide the state directory.
const HIDDEN: &str = "the sandbox of this service shows another folder there: take the state directory out of \
                      TemporaryFileSystem, InaccessiblePaths or ProtectHome in its unit; nothing is wrong with the records";

fn absent(sight: Sight) -> &'static str {
    match sight {
        Sight::OtherHere => HIDDEN,
        Sight::Same | Sight::ReadOnlyHere => {
            "if the state directory is missing, install the package again or run `make install`; one of your own: install -d -o \
             root -g pam_otp -m 1730 FOLDER"
        }
    }
}

fn missing(sight: Sight) -> &'static str {
    match sight {
        Sight::OtherHere => HIDDEN,
        Sight::Same | Sight::ReadOnlyHere => {
            "the records are not there, or not these: mount or restore the state directory; only if it is the right one, \
             run `otp-enroll admin init-store`"
        }
    }
}

fn denied(denial: Denial) -> &'static str {
    match denial {
        Denial::Root => {
            "root was denied: look for what SELinux or AppArmor denied, and for a CapabilityBoundingSet without \
             CAP_DAC_OVERRIDE in the service's unit; or enable otp-agent.socket"
        }
        Denial::NoNewPrivileges => {
            "the helper runs without its group: take NoNewPrivileges, or the setting that implies it, out of the service's \
             unit, let the service run as root, or enable otp-agent.socket; nothing is wrong with the installation"
        }
        Denial::Nosuid => {
            "the helper runs without its group: its file system is mounted nosuid here; mount it without, or enable \
                           otp-agent.socket"
        }
        Denial::Installation => {
            "the helper is not set-group-ID of the group that has the records: install the package again or run \
             `make install`"
        }
        Denial::Other => "check owner and mode, then what SELinux or AppArmor denied",
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { action, path, error } => {
                write!(f, "cannot {action} {}: {}", path.display(), described(error))
            }
            Self::Unflushed { path, error } => {
                write!(
                    f,
                    "the change is in force, but a power cut may undo it: cannot flush {}: {}",
                    path.display(),
                    described(error)
                )
            }
            Self::Untrusted { path, what } | Self::Identity { path, what } => write!(f, "{} {what}", path.display()),
            Self::OfOther { path, owner } => {
                write!(f, "{} belongs to uid {owner}, not to its user", path.display())
            }
            Self::Record { path, error } => write!(f, "{} {error}", path.display()),
            Self::Busy => f.write_str("the record is in use by other processes"),
            Self::Unreachable(why) => write!(f, "the records cannot be reached: {why}"),
            Self::Unconfirmed(why) => write!(f, "a write of the record is not confirmed: {why}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. } | Self::Unflushed { error, .. } => Some(error),
            Self::Record { error, .. } => Some(error),
            Self::Untrusted { .. }
            | Self::OfOther { .. }
            | Self::Identity { .. }
            | Self::Busy
            | Self::Unreachable(_)
            | Self::Unconfirmed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::system_error::owner;

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
                StoreError::OfOther { path: path(), owner: 1000 },
                "/var/lib/pam_otp/alice.state belongs to uid 1000, not to its user",
            ),
            (
                unreadable(RecordError::Version(3)),
                "/var/lib/pam_otp/alice.state has version 3; this program reads version 1",
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
                "/var/lib/pam_otp/alice.state was made for \"bob\" with uid 1",
            ),
            (
                unreadable(RecordError::Mismatch("the state belongs to another enrollment")),
                "/var/lib/pam_otp/alice.state is inconsistent: the state belongs to another enrollment",
            ),
            (
                StoreError::Identity { path: "/etc/pam_otp/store-id".into(), what: "is missing".into() },
                "/etc/pam_otp/store-id is missing",
            ),
            (StoreError::Busy, "the record is in use by other processes"),
            (StoreError::Unreachable("no answer in 2 s".into()), "the records cannot be reached: no answer in 2 s"),
            (
                StoreError::Unconfirmed("the standby is silent".into()),
                "a write of the record is not confirmed: the standby is silent",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn what_keeps_a_process_from_its_files_is_told_apart() {
        let said =
            [Denial::Root, Denial::NoNewPrivileges, Denial::Nosuid, Denial::Installation, Denial::Other].map(denied);
        for (said, words) in said.iter().zip([
            "CAP_DAC_OVERRIDE",
            "NoNewPrivileges",
            "mounted nosuid",
            "not set-group-ID",
            "SELinux or AppArmor",
        ]) {
            assert!(said.contains(words), "{said}");
        }
        assert!(said.contains(&system(io::ErrorKind::PermissionDenied).hint()));
        assert!(read_only(Sight::ReadOnlyHere).contains("ReadWritePaths=-"));
        assert!(missing(Sight::OtherHere).contains("TemporaryFileSystem"));
    }

    #[test]
    fn every_error_says_what_to_do() {
        let path = || PathBuf::from("/x");
        for (error, hint) in [
            (
                system(io::ErrorKind::NotFound),
                "if the state directory is missing, install the package again or run `make install`; one of your own: install -d -o \
             root -g pam_otp -m 1730 FOLDER",
            ),
            (system(io::ErrorKind::StorageFull), "make room on that file system; nothing was lost"),
            (system(io::ErrorKind::QuotaExceeded), "make room on that file system; nothing was lost"),
            (
                StoreError::Untrusted { path: path(), what: format!("belongs to {}, not to root", owner(65_534)) },
                "the file may be right: run the service outside that user namespace, or map root into it",
            ),
            (
                StoreError::OfOther { path: path(), owner: 1000 },
                "if the user's number was changed (usermod -u, a restore): otp-enroll admin adopt USER; else find out who put the \
                 file there",
            ),
            (system(io::ErrorKind::ReadOnlyFilesystem), "find out why that file system is read-only; nothing was lost"),
            (system(io::ErrorKind::Other), "look for the cause in the system log; nothing was lost"),
            (
                StoreError::Unflushed { path: path(), error: io::ErrorKind::Other.into() },
                "look for the cause in the system log; if new recovery codes were not shown, make others with \
                 `otp-enroll recovery`",
            ),
            (
                StoreError::Untrusted { path: path(), what: String::new() },
                "fix its owner, group, mode or type: see FILES in pam_otp(8)",
            ),
            (
                StoreError::Record { path: path(), error: RecordError::Missing },
                "restore both files of the user from a backup, or run `otp-enroll admin reset USER` so that the user can \
                 enroll again",
            ),
            (
                StoreError::Record { path: path(), error: RecordError::Version(2) },
                "install the version of pam_otp that wrote the record: nothing is wrong with the record itself",
            ),
            (
                StoreError::Record { path: path(), error: RecordError::OtherAccount(String::new()) },
                "if its number was changed: otp-enroll admin adopt USER; if the account is a new one with an old name, remove the \
                 old record: otp-enroll admin reset USER",
            ),
            (
                StoreError::Identity { path: path(), what: String::new() },
                "the records are not there, or not these: mount or restore the state directory; only if it is the right one, \
                 run `otp-enroll admin init-store`",
            ),
            (
                StoreError::Busy,
                "try again; if it happens again, look for a stopped process that holds the file (fuser)",
            ),
            (
                StoreError::Unreachable(String::new()),
                "look for the cause on the machines that keep the records; nothing was counted or used up",
            ),
            (
                StoreError::Unconfirmed(String::new()),
                "look for the cause on the machines that keep the records; the code may be used up: try again with the \
                 next one",
            ),
        ] {
            assert_eq!(error.hint(), hint);
        }
    }
}
