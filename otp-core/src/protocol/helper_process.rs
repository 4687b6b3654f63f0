//! The pipe to the helper, both ends: requests and replies are lines of JSON.
//!
//! The pipe is a socket pair: writing to it raises no SIGPIPE in a PAM host, and reading from it can have a deadline without
//! a thread.

use std::ffi::CStr;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

use crate::config::paths;
use crate::protocol::request::{LONGEST_LINE, Reply, Request};

/// How long the helper may take for one answer. It waits for a lock at most two thirds of that time.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running helper and the caller's end of the pipe. The helper ends when this is dropped.
pub struct Helper {
    socket: WipedReader<UnixStream>,
    process: Pid,
}

impl Helper {
    /// Starts the installed helper, which answers about the account of its caller.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[c"otp-helper"])
    }

    /// Starts it for a caller that is root: it enrolls users in the middle of their logins, by the configuration at this path.
    pub fn start_for_root(config: &CStr) -> io::Result<Self> {
        Self::start_with(&[c"otp-helper", config])
    }

    /// With an empty environment. Folder and files of its caller it leaves by itself.
    fn start_with(arguments: &[&CStr]) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let mut streams = PosixSpawnFileActions::init()?;
        for stream in [0, 1] {
            streams.add_dup2(theirs.as_raw_fd(), stream)?;
        }
        // Last: in a host without standard streams our end may have this number.
        streams.add_open(2, "/dev/null", OFlag::O_RDWR, Mode::empty())?;
        // Not std::process: it would bring 20 symbols more, which the loader looks up in each login.
        let process = posix_spawn(paths::HELPER, &streams, &attributes()?, arguments, &NO_ENVIRONMENT)?;
        Ok(Self { process, socket: WipedReader::new(ours) })
    }

    /// Sends a request and waits for the reply.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        write_line(self.socket.get_mut(), request)?;
        read_line(&mut self.socket)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends a line and waits for a line.
    pub fn ask_line(&mut self, request: &str) -> io::Result<Zeroizing<String>> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        // Larger than all but the largest QR code: a buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(String::with_capacity(4096));
        (&mut self.socket).take(LONGEST_LINE).read_line(&mut line)?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper waits for a request, or it is stuck: no host may keep a child process because of it. A change is durable
        // before it is answered, so killing the helper loses nothing. If it has ended, its number may be another process's by now,
        // in a host that ignores SIGCHLD or reaps every child itself.
        if waitpid(self.process, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            // What may not be killed, in a sandbox, ends by itself when the pipe is closed. Of waiting, any other error says that
            // there is no child left.
            let is_killed = kill(self.process, Signal::SIGKILL).is_ok();
            while is_killed && waitpid(self.process, None) == Err(Errno::EINTR) {}
        }
    }
}

const NO_ENVIRONMENT: [&CStr; 0] = [];

/// Nothing of the host's signals is the helper's: not those that wait, nor those that it ignores. SIGALRM ends a helper that gets
/// no request.
fn attributes() -> io::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    let groups_and_signals = PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
        | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
        | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
    attributes.set_flags(groups_and_signals)?;
    // A process group of its own: Ctrl-C is for the program in the foreground, which decides about a change under way.
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&[Signal::SIGPIPE, Signal::SIGCHLD, Signal::SIGALRM].into_iter().collect())?;
    Ok(attributes)
}

/// A buffered reader whose buffer is wiped: what comes through it holds codes, keys and recovery codes.
pub struct WipedReader<R> {
    inner: R,
    buffer: Zeroizing<[u8; 4096]>,
    /// The part of the buffer that is not consumed.
    from: usize,
    to: usize,
}

impl<R> WipedReader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Zeroizing::new([0; 4096]), from: 0, to: 0 }
    }

    /// The other direction, where there is one.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }
}

impl<R: Read> Read for WipedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for WipedReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            self.to = self.inner.read(self.buffer.as_mut_slice())?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let end = self.from.saturating_add(amount).min(self.to);
        if let Some(consumed) = self.buffer.get_mut(self.from..end) {
            consumed.zeroize();
        }
        self.from = end;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_wiped_and_what_was_not_stays() {
        let long = "x".repeat(9000);
        let text = format!("123456\n{long}\nend");
        let mut reader = WipedReader::new(text.as_bytes());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "123456\n");
        assert_eq!(&reader.buffer[..7], &[0; 7]);
        assert_eq!(reader.buffer[7], b'x');
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), long);
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "end");
        assert!(reader.buffer[..].iter().all(|byte| matches!(byte, 0 | b'x')), "of a shorter read the rest is older");
        assert_eq!(reader.read_line(&mut line).unwrap(), 0);
    }
}
