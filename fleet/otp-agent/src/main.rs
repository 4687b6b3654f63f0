//! The agent: answers PAM hosts that cannot open the records themselves, and services that are named in the configuration.
//!
//! It is started with a listening socket by systemd, serves each connection in a thread, and ends when it is idle. One
//! connection in one sentence: who asks (the kernel says), read a line, may this one ask that, look, decide, commit, log,
//! answer.

mod administration;
mod answer;
mod asker;
mod break_glass;
mod budgets;
mod command;
mod command_error;
mod connection;
mod crowd;
mod fleet_authority;
mod hello;
mod join;
mod lines;
mod memory;
mod per_minute;
mod permission;
mod renew;
mod sends;
#[cfg(test)]
mod test_verifier;
mod together;
mod upstream;

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use nix::sys::stat::Mode;
use otp_activation::Service;
use otp_core::protocol::agent_socket;

use crate::asker::Asker;
use crate::crowd::Crowd;
use crate::memory::Memory;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some() {
        return command::run(arguments);
    }
    // A new file is accessible only to its user.
    otp_activation::run("otp-agent", Mode::S_IRWXG | Mode::S_IRWXO, &Agent::default())
}

#[derive(Default)]
struct Agent {
    crowd: Arc<Crowd>,
    memory: Arc<Memory>,
}

impl Service for Agent {
    /// Gives the connection a thread, or a refusal if its user has too many.
    fn accept(&self, connection: OwnedFd) {
        let socket = Arc::new(connection);
        // A process without credentials is gone and waits for no answer.
        let Ok(peer) = agent_socket::peer(&socket) else { return };
        let (uid, gid) = (peer.uid(), peer.gid());
        let Some(place) = Crowd::enter(&self.crowd, uid, &socket) else {
            connection::turn_away(&socket);
            return;
        };
        let memory = Arc::clone(&self.memory);
        // Fails where the kernel has no more threads; the asker then reads the end of the connection.
        let _ = thread::Builder::new().spawn(move || {
            connection::serve(&Asker { uid, gid, socket: &socket }, &place, &memory);
        });
    }

    fn is_idle(&self) -> bool {
        // A budget that is open would be new again in the next process.
        self.crowd.is_empty() && self.memory.budgets.are_whole()
    }
}
