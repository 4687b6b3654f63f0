//! The sender: starts the programs that send codes, for the agent and the verifier, and has no right of root.
//!
//! It is started with a listening socket by systemd, and ends when it is idle. One connection in one sentence: may this user
//! ask, read a line, may that go there, which program does the configuration name, start it, say what became of it.

mod connection;
mod leftovers;
mod places;
mod program;
mod redaction;

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use nix::sys::stat::Mode;
use otp_activation::Service;

use crate::leftovers::Leftovers;
use crate::places::Places;

fn main() -> ExitCode {
    // It makes no file. A program that leaves a message in another one's folder, such as gammu-smsd's, lets its group read it.
    otp_activation::run("otp-sender", Mode::S_IWGRP | Mode::S_IRWXO, &Sender::default())
}

#[derive(Default)]
struct Sender {
    places: Arc<Places>,
    leftovers: Arc<Leftovers>,
}

impl Service for Sender {
    fn accept(&self, connection: OwnedFd) {
        self.leftovers.end();
        let Some(place) = Places::take(&self.places) else {
            connection::turn_away(&connection);
            return;
        };
        let leftovers = Arc::clone(&self.leftovers);
        // Fails where the kernel has no more threads; the agent then reads the end of the connection.
        let _ = thread::Builder::new().spawn(move || {
            connection::serve(&connection, &leftovers);
            drop(place);
        });
    }

    fn is_idle(&self) -> bool {
        // What is left of a program ends with this process, so that one waits for it.
        self.leftovers.end() && self.places.are_free()
    }
}
