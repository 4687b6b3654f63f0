//! sshd reads its configuration again, after it was found good, and it is made sure that it did.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::admin::doctor::sshd::{PROGRAMS, Settings};
use crate::error::{CliError, plain};

/// Where systemd is process 1.
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// Its names in systemd: Debian's, and that of others.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];

/// sshd writes its number there whenever it has read its configuration.
const PID_FILE: &str = "/run/sshd.pid";

/// So long a slow machine may take for that.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);

/// Whether sshd accepts its configuration: `sshd -t`.
pub(super) fn test() -> Result<(), CliError> {
    let failed = |error| CliError::Tool { program: "sshd -t", error };
    let program = PROGRAMS.iter().find(|path| Path::new(path).exists());
    let program = program.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    run(Command::new(program).arg("-t"), "sshd -t")
}

/// Has the running sshd read its configuration, and waits until it has. One that does not run reads it when it is started.
pub(super) fn reload(settings: Option<&Settings>) -> Result<(), CliError> {
    let file = settings.and_then(|settings| settings.get("pidfile")).map_or(PID_FILE, String::as_str);
    let file = Path::new(file);
    let before = mark(file);
    let is_active = |unit: &&&str| {
        let mut systemctl = Command::new("systemctl");
        systemctl.args(["--quiet", "is-active", unit]).stdin(Stdio::null());
        systemctl.status().is_ok_and(|status| status.success())
    };
    let has_systemd = Path::new(SYSTEMD).is_dir();
    if let Some(unit) = UNITS.iter().filter(|_| has_systemd).find(is_active) {
        run(Command::new("systemctl").args(["reload", unit]), "systemctl reload")?;
    } else if let Some(pid) = running(file) {
        let failed = |error: nix::errno::Errno| CliError::Tool { program: "sshd", error: error.into() };
        kill(pid, Signal::SIGHUP).map_err(failed)?;
    } else {
        return Ok(());
    }
    if before.is_none() {
        return Ok(()); // it does not say when it has read it
    }
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if mark(file).is_some_and(|now| Some(now) != before) && running(file).is_some() {
            return Ok(());
        }
        thread::sleep(STEP);
        waited = waited.saturating_add(STEP);
    }
    let error = io::Error::other("it was told to read its configuration again, and has not done so");
    Err(CliError::Tool { program: "sshd", error })
}

/// Which writing of the file this is.
fn mark(file: &Path) -> Option<(u64, i64, i64)> {
    let found = fs::metadata(file).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

/// The sshd whose number is in the file.
fn running(file: &Path) -> Option<Pid> {
    let number: i32 = fs::read_to_string(file).ok()?.trim().parse().ok().filter(|number| *number > 1)?;
    let program = fs::read_link(format!("/proc/{number}/exe")).ok()?;
    // A program that was replaced by an update is told with ` (deleted)` after it.
    let is_sshd = program.file_name()?.to_str()?.starts_with("sshd");
    is_sshd.then(|| Pid::from_raw(number))
}

/// Runs a program. What it says of a failure becomes the error.
pub(super) fn run(command: &mut Command, name: &'static str) -> Result<(), CliError> {
    let failed = |error| CliError::Tool { program: name, error };
    let output = command.stdin(Stdio::null()).output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace("\r\n", "; ").replace('\n', "; ");
    let said = if said.is_empty() { plain(&io::Error::other(output.status.to_string())) } else { said };
    Err(failed(io::Error::other(said)))
}
