//! The program that sends: started, given the text, watched, and killed when it takes too long.

use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use otp_core::value::system_error::described;

use crate::leftovers::{Leftovers, now};

/// How long a program, and what it has started, may run.
const TIME: Duration = Duration::from_secs(10);
/// How long nothing happens until the program is looked at again, in milliseconds.
const WAIT: u16 = 20;
/// Most bytes of its output that are kept.
const MOST_OUTPUT: usize = 4096;
/// Most pieces of output that are read before the program is looked at again: a flood must not put that off.
const MOST_READS: u8 = 16;

/// What systemd gives its services.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What became of a program.
pub(crate) struct Outcome {
    pub(crate) result: Result<(), Failure>,
    pub(crate) output: Output,
}

/// Why a program has not sent.
pub(crate) enum Failure {
    Start(io::Error),
    Status(i32),
    Signal(Signal),
    Time,
    /// The kernel does not say how it ended.
    Unknown(Errno),
}

/// The beginning of what a program has written to standard output and standard error.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) kept: Vec<u8>,
    /// Whether there was more.
    pub(crate) is_cut: bool,
}

/// Runs a program, the number or address being its last argument and the text its standard input.
pub(crate) fn run(words: &[String], to: &str, text: &str, leftovers: &Leftovers) -> Outcome {
    let mut output = Output::default();
    let result = start(words, to).map_err(Failure::Start).and_then(|running| {
        let until = now().checked_add(TIME).unwrap_or_else(now);
        let (leader, result) = (running.leader, running.watch(text, until, &mut output));
        // A program may leave work to a process in the background, within its time. Of one that has failed nothing stays.
        leftovers.add(leader, if result.is_ok() { until } else { now() });
        result
    });
    Outcome { result, output }
}

/// A program that runs.
struct Running {
    leader: Pid,
    stdin: ChildStdin,
    output: PipeReader,
}

fn start(words: &[String], to: &str) -> io::Result<Running> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    let (output, written) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).arg(to).current_dir("/").process_group(0);
    command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").envs(credentials());
    command.stdin(Stdio::piped()).stdout(written.try_clone()?).stderr(written);
    let mut child = command.spawn()?;
    // Neither is unknown: the program was started with a pipe, and process numbers are small.
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    for pipe in [stdin.as_fd(), output.as_fd()] {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok(Running { leader, stdin, output })
}

/// Where systemd has put the credentials of the unit, such as the key of a gateway.
#[expect(clippy::disallowed_methods, reason = "systemd says so in the environment; it decides about no login")]
fn credentials() -> Option<(&'static str, std::ffi::OsString)> {
    const NAME: &str = "CREDENTIALS_DIRECTORY";
    Some((NAME, std::env::var_os(NAME)?))
}

impl Running {
    /// Until it ends or its time is over.
    fn watch(self, text: &str, until: Instant, output: &mut Output) -> Result<(), Failure> {
        let (mut stdin, mut pipe, mut rest) = (Some(self.stdin), Some(self.output), text.as_bytes());
        loop {
            // A program may close its input and still send: what counts is how it ends.
            stdin = stdin.and_then(|stdin| feed(stdin, &mut rest));
            let end = waitid(Id::Pid(self.leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
            pipe = pipe.and_then(|pipe| output.fill(pipe));
            match end {
                Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
                Ok(WaitStatus::Exited(_, status)) => return Err(Failure::Status(status)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Err(Failure::Signal(signal)),
                Ok(_) | Err(Errno::EINTR) if now() < until => {}
                Ok(_) | Err(Errno::EINTR) => return Err(Failure::Time),
                Err(error) => return Err(Failure::Unknown(error)),
            }
            let mut ready = Vec::with_capacity(2);
            ready.extend(stdin.as_ref().map(|stdin| PollFd::new(stdin.as_fd(), PollFlags::POLLOUT)));
            ready.extend(pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
            let _ = poll(&mut ready, PollTimeout::from(WAIT));
        }
    }
}

/// Writes what the pipe takes of the rest. The pipe is closed when all is written, or the program reads no more.
fn feed(mut stdin: ChildStdin, rest: &mut &[u8]) -> Option<ChildStdin> {
    while !rest.is_empty() {
        match stdin.write(rest) {
            Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (error.kind() == io::ErrorKind::WouldBlock).then_some(stdin),
        }
    }
    None
}

impl Output {
    /// Reads what is there. The pipe is closed when no process can write to it any more.
    fn fill(&mut self, mut pipe: PipeReader) -> Option<PipeReader> {
        let mut piece = [0; 4096];
        for _ in 0..MOST_READS {
            match pipe.read(&mut piece) {
                Ok(0) => return None,
                Ok(read) => {
                    let room = MOST_OUTPUT.saturating_sub(self.kept.len());
                    self.is_cut |= read > room;
                    self.kept.extend(piece.iter().take(read.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (error.kind() == io::ErrorKind::WouldBlock).then_some(pipe),
            }
        }
        Some(pipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the program cannot be started: {}", described(error)),
            Self::Status(status) => write!(f, "the program exited with status {status}"),
            Self::Signal(signal) => write!(f, "the program was killed by {signal}"),
            Self::Time => write!(f, "the program did not end in {} seconds, and was killed", TIME.as_secs()),
            Self::Unknown(error) => write!(f, "the program ended, and it is not known how: {}", error.desc()),
        }
    }
}
