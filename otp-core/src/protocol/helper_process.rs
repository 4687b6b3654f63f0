//! The pipe to the helper, both ends: requests and replies are lines of JSON.
//!
//! The pipe is a socket pair: writing to it raises no SIGPIPE in a PAM host, and reading from it can have a deadline without
//! a thread.

use std::io::{self, BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::config::paths;
use crate::protocol::request::{LONGEST_LINE, Reply, Request};

/// How long the helper may take for one answer. It waits for a lock at most two thirds of that time.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running helper and the caller's end of the pipe. The helper ends when this is dropped.
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
        // A process group of its own: Ctrl-C is for the program in the foreground, which decides about a change under way.
        helper
            .process_group(0)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null());
        Ok(Self { process: helper.spawn()?, socket: io::BufReader::new(ours) })
    }

    /// Sends a request and waits for the reply.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        write_line(self.socket.get_mut(), request)?;
        read_line(&mut self.socket)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends a line and waits for a line.
    pub fn ask_line(&mut self, request: &str) -> io::Result<Zeroizing<String>> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut line = Zeroizing::new(String::with_capacity(4096));
        (&mut self.socket).take(LONGEST_LINE).read_line(&mut line)?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper waits for a request, or it is stuck: no host may keep a child process because of it. A change is durable
        // before it is answered, so killing the helper loses nothing.
        if self.process.kill().is_ok() {
            // Fails in a host that ignores SIGCHLD or reaps every child itself; then no child is left to wait for.
            let _ = self.process.wait();
        }
    }
}

/// Writes one message and its newline in one call.
pub fn write_line(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer(&mut *line, message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one message; `None` at the end of the input. A line that is too long or no message is an error.
pub fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    from.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&line)?)) }
}
