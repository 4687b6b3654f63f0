//! sshd reads its configuration again, after it was found good, and it is made sure that it did.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::plan::refused;
use crate::admin::doctor::sshd::Settings;
use crate::admin::doctor::sshd_files::program;
use crate::admin::doctor::sshd_servers::{self, Mark, Server, Untold};
use crate::error::{CliError, plain};

/// Where systemd is process 1.
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// So long a slow machine may take for that.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);

/// Whether sshd accepts its configuration: `sshd -t`.
pub(super) fn test() -> Result<(), CliError> {
    let failed = |error| CliError::Tool { program: "sshd -t", error };
    let program = program().map_err(|_| failed(io::ErrorKind::NotFound.into()))?;
    run(Command::new(program).arg("-t"), "sshd -t")
}

/// Whether it is known how each server was started, and will be.
pub(super) fn can_be_told() -> Result<(), CliError> {
    servers()?;
    sshd_servers::to_come().map(|_| ()).map_err(refused_for)
}

/// The servers that read the usual configuration. The error is one of which that cannot be told.
pub(super) fn servers() -> Result<Vec<Server>, CliError> {
    let all = sshd_servers::all().map_err(refused_for)?;
    Ok(all.into_iter().filter(Server::is_usual).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn refused_for(untold: Untold) -> CliError {
    let hint = "start it without options, set them in its configuration, and run this again";
    refused(untold.to_string(), hint.into())
}

/// Has every server read the configuration, and waits until each has. One that does not run reads it when it is started.
pub(super) fn reload(servers: &[Server], settings: &Settings) -> Result<(), CliError> {
    let before: Vec<(&Server, Mark)> = servers.iter().map(|server| (server, server.mark(settings))).collect();
    let units: BTreeSet<&str> = servers.iter().filter_map(|server| server.unit).collect();
    for unit in units {
        run(Command::new("systemctl").args(["reload", unit]), "systemctl reload")?;
    }
    for server in servers.iter().filter(|server| server.unit.is_none()) {
        let failed = |error: nix::errno::Errno| CliError::Tool { program: "sshd", error: error.into() };
        kill(Pid::from_raw(server.pid), Signal::SIGHUP).map_err(failed)?;
    }
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if before.iter().all(|(server, before)| server.mark(settings).has_read_since(before)) {
            return Ok(());
        }
        if servers.iter().any(Server::is_gone) {
            break;
        }
        thread::sleep(STEP);
        waited = waited.saturating_add(STEP);
    }
    let why = match servers.iter().find(|server| server.is_gone()) {
        Some(server) => format!(
            "it has ended instead of reading its configuration again: no user can log in by ssh until it is started: {}",
            server.unit.map_or_else(|| "/usr/sbin/sshd".to_owned(), |unit| format!("systemctl start {unit}"))
        ),
        None => "it was told to read its configuration again, and has not done so".to_owned(),
    };
    Err(CliError::Tool { program: "sshd", error: io::Error::other(why) })
}

/// Whether sshd could listen again where its configuration says: it ends where it can on no address.
pub(super) fn can_listen(settings: &Settings) -> Result<(), CliError> {
    let addresses = settings.get("listenaddress").map_or("", String::as_str).split_whitespace();
    let addresses: Vec<IpAddr> =
        addresses.filter_map(|address| Some(address.parse::<SocketAddr>().ok()?.ip())).collect();
    let is_lost = |address: &IpAddr| {
        let tried = UdpSocket::bind((*address, 0));
        tried.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    match addresses.first() {
        Some(address) if addresses.iter().all(is_lost) => Err(refused(
            format!(
                "sshd listens on {address}, an address that this machine has lost: it would end when it is reloaded"
            ),
            "give the machine that address again, or correct ListenAddress; then run this again".into(),
        )),
        Some(_) | None => Ok(()),
    }
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
