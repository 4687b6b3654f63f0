//! A file of a user, read as that user: this program, started again, takes the user's number and groups for good before it
//! looks at the path. So a link, or a file that a server keeps from root, is what it is for its user.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{User, initgroups, setresgid, setresuid};
use zeroize::Zeroizing;

use crate::error::CliError;

/// The file of google-authenticator has some hundred bytes.
pub(super) const LARGEST: usize = 1 << 16;

/// A file server that does not answer holds an import up for so long, and no longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The command of the program that reads.
const COMMAND: [&str; 2] = ["admin", "read-as-user"];

/// The first line of its answer, before the text.
const TEXT: &str = "text ";
const MISSING: &str = "missing";
const DENIED: &str = "denied";
const REFUSED: &str = "refused ";

/// What became of a file.
pub(super) enum Reading {
    Text {
        text: Zeroizing<Vec<u8>>,
        mode: u32,
    },
    Missing,
    /// The user may not open it, or may not enter a folder on the way.
    Denied,
    /// Why it is not taken.
    Refused(String),
}

/// Reads a file as its user would.
pub(super) fn read(user: &User, path: &Path) -> io::Result<Reading> {
    let mut program = Command::new("/proc/self/exe");
    program.args(COMMAND).arg("--").arg(&user.name).arg(path);
    program.env_clear().stdin(Stdio::null()).stderr(Stdio::null()).process_group(0); // Ctrl-C is for us
    let mut child = program.stdout(Stdio::piped()).spawn()?;
    let mut pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (tell, told) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        // Large enough from the beginning: a text that grows leaves copies of itself behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(LARGEST.saturating_mul(2)));
        let most = u64::try_from(answer.capacity()).unwrap_or(u64::MAX).saturating_sub(1);
        let _ = tell.send(pipe.by_ref().take(most).read_to_end(&mut answer).map(|_| answer));
    })?;
    let answer = told.recv_timeout(PATIENCE);
    let _ = child.kill(); // ended by itself, but for one that waits for a file server
    // Not here: a file server of the user's own can keep it from ending, for as long as it likes.
    thread::Builder::new().spawn(move || child.wait())?;
    let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    understood(&answer).ok_or_else(|| io::Error::other("the program that reads it ended without an answer"))
}

fn understood(answer: &[u8]) -> Option<Reading> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let (line, text) = (str::from_utf8(answer.get(..end)?).ok()?, answer.get(end.checked_add(1)?..)?);
    match line {
        MISSING => Some(Reading::Missing),
        DENIED => Some(Reading::Denied),
        _ => match (line.strip_prefix(TEXT), line.strip_prefix(REFUSED)) {
            (Some(mode), _) => {
                let mode = u32::from_str_radix(mode, 8).ok()?;
                Some(Reading::Text { text: Zeroizing::new(text.to_vec()), mode })
            }
            (None, Some(why)) => Some(Reading::Refused(why.to_owned())),
            (None, None) => None,
        },
    }
}

/// What the program that was started again does.
pub(crate) fn answer(user: &str, path: &Path) -> Result<(), CliError> {
    let reading = become_user(user).map_err(io::Error::from).and_then(|uid| opened(path, uid));
    let mut output = io::stdout().lock();
    let told = match reading {
        Ok(Reading::Text { text, mode }) => writeln!(output, "{TEXT}{mode:o}").and_then(|()| output.write_all(&text)),
        Ok(Reading::Missing) => writeln!(output, "{MISSING}"),
        Ok(Reading::Denied) => writeln!(output, "{DENIED}"),
        Ok(Reading::Refused(why)) => writeln!(output, "{REFUSED}{why}"),
        Err(error) => writeln!(output, "{REFUSED}{}", otp_core::value::system_error::described(&error)),
    };
    told.and_then(|()| output.flush()).map_err(CliError::Output)
}

/// Takes the number and the groups of a user, for good.
fn become_user(name: &str) -> nix::Result<u32> {
    let user = User::from_name(name)?.ok_or(Errno::ENOENT)?;
    let c_name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    initgroups(&c_name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    Ok(user.uid.as_raw())
}

fn opened(path: &Path, uid: u32) -> io::Result<Reading> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => examined(&file, uid),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENOTDIR) => Ok(Reading::Missing),
            Some(Errno::EACCES | Errno::EPERM) => Ok(Reading::Denied),
            Some(Errno::ELOOP) => Ok(Reading::Refused("it is a symbolic link".to_owned())),
            Some(_) | None => Err(error),
        },
    }
}

/// The text of a regular file of this user or of root.
pub(super) fn examined(file: &File, uid: u32) -> io::Result<Reading> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Reading::Refused("it is not a regular file".to_owned()));
    }
    if ![uid, 0].contains(&metadata.uid()) {
        return Ok(Reading::Refused(format!("it belongs to uid {}, not to its user", metadata.uid())));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LARGEST.saturating_add(2)));
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut text)?;
    if text.len() > LARGEST {
        return Ok(Reading::Refused("it is too large for a file of google-authenticator".to_owned()));
    }
    Ok(Reading::Text { text, mode: metadata.mode() & 0o7777 })
}
