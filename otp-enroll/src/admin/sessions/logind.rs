//! The sessions of systemd-logind: read from its files, ended by loginctl.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use otp_core::value::time::UnixTime;

use crate::error::CliError;

/// Where logind keeps a file for each session. `loginctl` has no option that lists user, service, host and time at once and
/// is the same in all versions; libsystemd reads these files, too.
pub(crate) const SESSIONS: &str = "/run/systemd/sessions";

/// A login that logind knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) uid: u32,
    /// The PAM service through which the user came.
    pub(crate) service: String,
    /// `PAM_RHOST`.
    pub(crate) rhost: Option<String>,
    pub(crate) tty: Option<String>,
    /// When it was opened, after the authentication.
    pub(crate) since: UnixTime,
}

/// All sessions of users, in the order of their beginning; `None` where there is no logind. Greeters, lock screens, cron jobs
/// and managers of services are no logins.
pub(crate) fn sessions(folder: &Path) -> Result<Option<Vec<Session>>, CliError> {
    let unreadable = |path: &Path, error| CliError::Unreadable { path: path.to_owned(), error };
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        files => files.map_err(|error| unreadable(folder, error))?,
    };
    let mut sessions = Vec::new();
    for file in files {
        let path = file.map_err(|error| unreadable(folder, error))?.path();
        // Beside each file is a FIFO, ID.ref, by which logind learns of the session's end.
        let Some(id) = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.contains('.')) else {
            continue;
        };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // it has just ended
            text => text.map_err(|error| unreadable(&path, error))?,
        };
        let is_login = field(&text, "CLASS").is_none_or(|class| class.starts_with("user"));
        if is_login {
            let odd = || unreadable(&path, io::Error::new(io::ErrorKind::InvalidData, "a field is missing in it"));
            sessions.push(session(id, &text).ok_or_else(odd)?);
        }
    }
    sessions.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
    Ok(Some(sessions))
}

fn session(id: &str, text: &str) -> Option<Session> {
    let microseconds: u64 = field(text, "REALTIME")?.parse().ok()?;
    Some(Session {
        id: id.to_owned(),
        user: field(text, "USER")?,
        uid: field(text, "UID")?.parse().ok()?,
        service: field(text, "SERVICE").unwrap_or_default(),
        rhost: field(text, "REMOTE_HOST"),
        tty: field(text, "TTY"),
        since: UnixTime(microseconds / 1_000_000),
    })
}

/// A value of a file of assignments; logind puts what has special characters between quotes.
fn field(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return Some(value.to_owned());
    };
    let (mut plain, mut letters) = (String::with_capacity(quoted.len()), quoted.chars());
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    Some(plain)
}

/// The session of a process, and the user whose service manager started it, by its control group (the text of
/// `/proc/self/cgroup`).
pub(crate) fn of_process(cgroup: &str) -> (Option<&str>, Option<u32>) {
    let parts = || cgroup.lines().flat_map(|line| line.rsplit(':').next().unwrap_or_default().split('/'));
    let session = parts().find_map(|part| part.strip_prefix("session-")?.strip_suffix(".scope"));
    let manager = parts().find_map(|part| part.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok());
    (session, manager)
}

pub(crate) fn loginctl(arguments: &[&str]) -> Result<String, CliError> {
    let output = Command::new("loginctl")
        .args(arguments)
        .output()
        .map_err(|error| CliError::Tool { program: "loginctl", error })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(CliError::Tool { program: "loginctl", error: io::Error::other(said) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    /// As systemd-logind 252 writes it for a login through sshd.
    const SSH: &str = "\
# This is private data. Do not parse.
UID=1001
USER=alice
ACTIVE=1
IS_DISPLAY=0
STATE=active
REMOTE=1
TYPE=tty
ORIGINAL_TYPE=tty
CLASS=user
SCOPE=session-17.scope
FIFO=/run/systemd/sessions/17.ref
REMOTE_HOST=203.0.113.9
SERVICE=sshd
LEADER=4711
AUDIT=17
REALTIME=1795847721548108
MONOTONIC=5154321098
TTY=pts/0
";

    fn alice(id: &str) -> Session {
        Session {
            id: id.into(),
            user: "alice".into(),
            uid: 1001,
            service: "sshd".into(),
            rhost: Some("203.0.113.9".into()),
            tty: Some("pts/0".into()),
            since: UnixTime(1_795_847_721),
        }
    }

    #[test]
    fn the_files_of_logind_are_sessions_and_its_pipes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(sessions(&folder.path().join("none")).unwrap(), None);
        assert_eq!(sessions(folder.path()).unwrap(), Some(vec![]));
        write("17", SSH);
        nix::unistd::mkfifo(&folder.path().join("17.ref"), Mode::S_IRUSR).unwrap();
        write("c3", &SSH.replace("CLASS=user", "CLASS=greeter"));
        write("18", &SSH.replace("CLASS=user", "CLASS=background"));
        write("19", &SSH.replace("CLASS=user", "CLASS=manager"));
        let console = "UID=0\nUSER=root\nCLASS=user-early\nSERVICE=login\nREALTIME=1000000\nTTY=tty1\n";
        write("5", console);
        let root = Session {
            id: "5".into(),
            user: "root".into(),
            uid: 0,
            service: "login".into(),
            rhost: None,
            tty: Some("tty1".into()),
            since: UnixTime(1),
        };
        assert_eq!(sessions(folder.path()).unwrap(), Some(vec![root, alice("17")]));
        for line in ["UID=1001", "USER=alice", "REALTIME=1795847721548108"] {
            write("20", &SSH.replace(line, "X=1"));
            let error = sessions(folder.path()).unwrap_err();
            assert!(error.to_string().contains("/20: a field is missing in it"), "{error}");
        }
    }

    #[test]
    fn what_is_between_quotes_is_read_as_it_was_meant() {
        let text = "A=\"b c\"\nD=\"e \\\" \\\\ \\$ f\"\nG=\"\nH=i\"j\n";
        let values = ["A", "D", "G", "H", "K"].map(|key| field(text, key));
        assert_eq!(
            values,
            [Some("b c"), Some("e \" \\ $ f"), Some("\""), Some("i\"j"), None].map(|it| it.map(str::to_owned))
        );
    }

    #[test]
    fn a_process_is_in_the_session_of_its_control_group() {
        for (cgroup, expected) in [
            ("0::/user.slice/user-1001.slice/session-17.scope\n", (Some("17"), None)),
            ("1:name=systemd:/user.slice/user-0.slice/session-c3.scope\n0::/x\n", (Some("c3"), None)),
            ("0::/user.slice/user-1001.slice/user@1001.service/app.slice/tmux.scope\n", (None, Some(1001))),
            ("0::/system.slice/cron.service\n", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(of_process(cgroup), expected, "{cgroup}");
        }
    }
}
