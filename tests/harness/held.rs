//! What the machine has once and one test at a time may have: the agent's place, a service's file, the lists of users.

use std::{
    fs::File,
    io::{self, Write},
    process,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// No test takes so long, however slow the machine is. One that hangs would keep all that wait for it, and nothing would say which.
const PATIENCE: Duration = Duration::from_secs(600);

/// Held until it is dropped, also against tests of other programs.
#[derive(Debug)]
pub struct Held {
    _lock: File,
    _until: Sender<()>,
}

impl Held {
    /// Waits until no other test has it.
    ///
    /// # Panics
    /// When no lock can be made. A test that has it for ten minutes ends the program and is named.
    pub fn take(name: &str) -> Held {
        let lock = File::create(format!("/run/lock/pam-otp-{name}")).unwrap();
        lock.lock().unwrap();
        let (until, dropped) = mpsc::channel();
        let (name, test) = (name.to_owned(), thread::current().name().unwrap_or("a thread of a test").to_owned());
        thread::spawn(move || {
            if dropped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Not eprintln: what a test prints is shown when it ends.
                let complaint = format!("error: {test} has held {name} for ten minutes, and other tests wait for it");
                let _ = writeln!(io::stderr(), "{complaint}");
                process::abort();
            }
        });
        Held { _lock: lock, _until: until }
    }
}
