//! The agent's socket, both ends: one line out, one line back, and an end to waiting. The sender's is another such socket.
//!
//! Nothing here waits in another call than poll(2), and no call raises SIGPIPE in a PAM host.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, connect, getsockopt, recv, send, socket,
    sockopt,
};
use zeroize::Zeroizing;

use crate::config::paths;
use crate::protocol::request::LONGEST_LINE;

/// Waits of one conversation with the agent, each of at most a tenth of a second: four seconds. Counted, so that a peer which
/// sends a byte at a time, and a user who sends signals, do not make it longer.
const MOST_WAITS: u8 = 40;
const WAIT: u16 = 100;

/// What is left of the time for one conversation.
pub struct Patience(u8);

impl Default for Patience {
    fn default() -> Self {
        Self(MOST_WAITS)
    }
}

impl Patience {
    /// With the agent while it sends a message, which may take the sender twelve seconds.
    pub const OF_SENDING: Self = Self(140);

    /// With the agent while it asks verifiers for an administrator, in at most three and in four seconds.
    pub const OF_ADMINISTRATION: Self = Self(80);

    /// So many waits, each of at most a tenth of a second.
    pub const fn of_waits(waits: u8) -> Self {
        Self(waits)
    }

    /// Waits until the socket is ready for `wanted`.
    fn wait(&mut self, socket: &impl AsFd, wanted: PollFlags) -> io::Result<()> {
        while let Some(left) = self.0.checked_sub(1) {
            self.0 = left;
            match poll(&mut [PollFd::new(socket.as_fd(), wanted)], PollTimeout::from(WAIT)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Lets a tenth of a second pass.
    fn pass(&mut self) -> io::Result<()> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::TimedOut)?;
        match poll(&mut [], PollTimeout::from(WAIT)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Asks the agent: sends a line and waits for a line.
pub fn ask_line(question: &str, patience: Patience) -> io::Result<Zeroizing<Vec<u8>>> {
    ask_line_at(paths::AGENT, question, patience)
}

/// Sends a line to the process that listens at a path, and waits for a line.
pub(super) fn ask_line_at(path: &str, question: &str, mut patience: Patience) -> io::Result<Zeroizing<Vec<u8>>> {
    let socket = connected(path, &mut patience)?;
    // The socket is in a folder of root's. Another user's process behind it would be a mistake of root's. Of a socket that
    // systemd listens at, systemd is the owner, whichever user the service runs as.
    let server = peer(&socket)?.uid();
    if server != 0 {
        return Err(io::Error::other(format!("its socket is served by uid {server}, not by root")));
    }
    ask_line_over(&socket, question, &mut patience)
}

/// Sends a line over a socket that is connected, and waits for a line. What is left of the patience is for the next one.
pub fn ask_line_over(socket: &OwnedFd, question: &str, patience: &mut Patience) -> io::Result<Zeroizing<Vec<u8>>> {
    send_line(socket, question.as_bytes(), patience)?;
    receive_line(socket, patience)
}

/// The process at the other end, with its effective user and group id, as it was when the two were connected.
pub fn peer(socket: &impl AsFd) -> io::Result<UnixCredentials> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?)
}

/// Whether the other end is closed: the process that asked no longer waits for the answer.
pub fn is_abandoned(socket: &impl AsFd) -> bool {
    let mut state = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let asked = poll(&mut state, PollTimeout::ZERO);
    asked.is_err() || state.iter().any(|state| state.any() == Some(true))
}

/// Sends a line.
pub fn send_line(socket: &OwnedFd, line: &[u8], patience: &mut Patience) -> io::Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        match send(socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::EAGAIN) => patience.wait(socket, PollFlags::POLLOUT)?,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits for a line, with its newline. An error if it is too long or the other end closes before its end.
pub fn receive_line(socket: &OwnedFd, patience: &mut Patience) -> io::Result<Zeroizing<Vec<u8>>> {
    let longest = usize::try_from(LONGEST_LINE).unwrap_or(usize::MAX);
    // Of its full size at once: a buffer that grows leaves copies of what was typed behind.
    let (mut line, mut length) = (Zeroizing::new(vec![0; longest]), 0usize);
    while let Some(rest) = line.get_mut(length..).filter(|rest| !rest.is_empty()) {
        patience.wait(socket, PollFlags::POLLIN)?;
        match recv(socket.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => length = length.saturating_add(received),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let received = line.get(..length).unwrap_or_default();
        if received.contains(&b'\n') {
            line.truncate(length);
            return Ok(line);
        }
    }
    Err(io::Error::other("the line is too long"))
}

fn connected(path: &str, patience: &mut Patience) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(path)?;
    loop {
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => return Ok(socket),
            // Too many wait already.
            Err(Errno::EAGAIN) => patience.pass()?,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn several_lines_are_asked_over_one_connection_and_silence_has_an_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = OwnedFd::from(ours);
        let server = std::thread::spawn(move || {
            let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines().map(Result::unwrap);
            for line in lines.by_ref().take(2) {
                (&theirs).write_all(format!("{line}!\n").as_bytes()).unwrap();
            }
            lines.next()
        });
        let mut patience = Patience::of_waits(20);
        for (question, answer) in [("one\n", "one!\n"), ("two\n", "two!\n")] {
            assert_eq!(*ask_line_over(&ours, question, &mut patience).unwrap(), answer.as_bytes());
        }
        let error = ask_line_over(&ours, "three\n", &mut Patience::of_waits(2)).unwrap_err();
        // The server has read it and goes: the end of the connection is as good as no answer.
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof), "{error}");
        assert_eq!(server.join().unwrap().as_deref(), Some("three"));
    }

    #[test]
    fn a_peer_that_says_nothing_is_waited_for_as_long_as_the_patience_lasts() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut patience = Patience::of_waits(2);
        let error = ask_line_over(&ours.into(), "x\n", &mut patience).unwrap_err();
        assert_eq!((error.kind(), patience.0), (io::ErrorKind::TimedOut, 0));
    }
}
