//! The pipe to the helper: both ends of "a line of JSON each".
//!
//! It is a socket pair: writing to one raises no SIGPIPE in a PAM host, and reading from it can have a deadline without
//! a thread.

use crate::config::paths;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::protocol::request::{LONGEST_LINE, Reply, Request};

/// How long the helper may take for one answer; it waits for a lock at most two thirds of it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running helper, our end of the pipe. It ends when this is dropped.
pub struct Helper {
    socket: io::BufReader<UnixStream>,
    process: Child,
}

impl Helper {
    /// Starts the installed helper with an empty environment.
    pub fn start() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let (input, output) = (OwnedFd::from(theirs.try_clone()?), OwnedFd::from(theirs));
        let mut helper = Command::new(paths::HELPER);
        // A group of its own: Ctrl-C is for the program in front, which decides what becomes of a change under way.
        helper
            .process_group(0)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null());
        Ok(Self { process: helper.spawn()?, socket: io::BufReader::new(ours) })
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        write_line(self.socket.get_mut(), request)?;
        read_line(&mut self.socket)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Asks with a line and waits for a line.
    pub fn ask_line(&mut self, request: &str) -> io::Result<Zeroizing<String>> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut line = Zeroizing::new(String::with_capacity(4096));
        (&mut self.socket).take(LONGEST_LINE).read_line(&mut line)?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It is waiting for a request, or it is stuck: a host must not keep a child because of us. A change is durable
        // before it is answered, so nothing can be lost by this.
        if self.process.kill().is_ok() {
            // Fails in a host that ignores SIGCHLD or reaps every child itself; then there is nothing to wait for.
            let _ = self.process.wait();
        }
    }
}

/// Writes one message and its newline at once.
pub fn write_line(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer(&mut *line, message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one message; `None` at the end of the input. A line that is too long or not a message is an error.
pub fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    from.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&line)?)) }
}
