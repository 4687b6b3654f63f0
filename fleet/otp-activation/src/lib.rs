//! A program that systemd starts with a listening socket: it serves connections, and ends when it is idle.

mod listening;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Seconds without a connection after which the program ends. The socket stays: the next connection starts it again.
const IDLE: u8 = 10;

/// What is done with connections.
pub trait Service {
    /// Serves a connection, in a thread of its own if that takes time.
    fn accept(&self, connection: OwnedFd);

    /// Whether nothing is under way, nor remembered that the next process would not know. Asked about once a second as long
    /// as no connection comes.
    fn is_idle(&self) -> bool;
}

/// Serves the connections to the socket that was passed, until the program is idle. `masked` is what no new file permits,
/// even if the program is killed right after it has made one.
pub fn run(name: &str, masked: Mode, service: &impl Service) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    umask(masked);
    // No core file, and no other process reads this one's memory.
    let _ = set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let Some(listener) = listening::socket() else {
        eprintln_of_no_socket(name);
        return ExitCode::FAILURE;
    };
    serve(&listener, service).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "an administrator has started it by hand")]
fn eprintln_of_no_socket(name: &str) {
    eprintln!("{name}: no socket was passed; systemd starts it: systemctl enable --now {name}.socket");
}

fn serve(listener: &UnixListener, service: &impl Service) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut idle = 0u8;
    loop {
        match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1000u16)) {
            Ok(0) => {
                idle = if service.is_idle() { idle.saturating_add(1) } else { 0 };
                if idle >= IDLE {
                    return Ok(());
                }
            }
            Ok(_) => {
                idle = 0;
                match listener.accept() {
                    Ok((stream, _)) => service.accept(stream.into()),
                    // Out of descriptors: connections that are served end soon.
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
