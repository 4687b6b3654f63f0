//! The agent: answers PAM hosts that cannot open the records themselves, and services that are named in the configuration.
//!
//! It is started with a listening socket by systemd, serves each connection in a thread, and ends when it is idle. One
//! connection in one sentence: who asks (the kernel says), read a line, may this one ask that, look, decide, commit, log,
//! answer.

mod answer;
mod asker;
mod budgets;
mod connection;
mod crowd;
mod lines;
mod listening;
mod memory;
mod permission;
mod sending;
mod sends;
mod together;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use otp_core::protocol::agent_socket;

use crate::asker::Asker;
use crate::crowd::Crowd;
use crate::memory::Memory;

/// Seconds without a connection after which the agent ends. The socket stays: the next connection starts it again.
const IDLE: u8 = 10;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    // A new file is accessible only to its user from the start, even if the agent is killed right after.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    // No core file, and no other process reads this one's memory.
    let _ = set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let Some(listener) = listening::socket() else {
        eprintln_of_no_socket();
        return ExitCode::FAILURE;
    };
    serve(&listener).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "an administrator has started it by hand")]
fn eprintln_of_no_socket() {
    eprintln!("otp-agent: no socket was passed; systemd starts it: systemctl enable --now otp-agent.socket");
}

/// Serves connections until there is none for some time.
fn serve(listener: &UnixListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let (crowd, memory) = (Arc::new(Crowd::default()), Arc::new(Memory::default()));
    let mut idle = 0u8;
    loop {
        match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1000u16)) {
            Ok(0) => {
                // A budget that is open would be new again in the next process.
                let is_idle = crowd.is_empty() && memory.budgets.are_whole();
                idle = if is_idle { idle.saturating_add(1) } else { 0 };
                if idle >= IDLE {
                    return Ok(());
                }
            }
            Ok(_) => {
                idle = 0;
                accept(listener, &crowd, &memory);
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives the next connection a thread, or a refusal if its user has too many.
fn accept(listener: &UnixListener, crowd: &Arc<Crowd>, memory: &Arc<Memory>) {
    let Ok((stream, _)) = listener.accept() else {
        // Out of descriptors: connections that are served end soon.
        thread::sleep(std::time::Duration::from_millis(10));
        return;
    };
    let socket = Arc::new(OwnedFd::from(stream));
    // A process without credentials is gone and waits for no answer.
    let Ok(asker) = agent_socket::peer(&socket) else { return };
    let Ok(gid) = agent_socket::group_of_peer(&socket) else { return };
    let Some(place) = Crowd::enter(crowd, asker, &socket) else {
        connection::turn_away(&socket);
        return;
    };
    let memory = Arc::clone(memory);
    // Fails where the kernel has no more threads; the asker then reads the end of the connection.
    let _ = thread::Builder::new().spawn(move || {
        connection::serve(&Asker { uid: asker, gid, socket: &socket }, &place, &memory);
    });
}
