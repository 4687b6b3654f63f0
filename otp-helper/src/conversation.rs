//! The helper's end of the pipe: lines in, lines out, and an end to waiting.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::unistd::alarm;
use otp_core::error::CoreError;
use otp_core::protocol::helper_process::{WipedReader, read_line, write_line};
use otp_core::protocol::request::{Reply, Request};
use serde::de::DeserializeOwned;

/// Seconds that a caller may take between two requests, enough to find a phone. After that SIGALRM ends the helper.
const PATIENCE: u32 = 900;

/// More requests than any program sends in one run.
const MOST_REQUESTS: usize = 100;

/// Answers each request until there are no more.
pub(crate) fn serve<T: DeserializeOwned>(mut answer: impl FnMut(T) -> Result<Reply, CoreError>) -> io::Result<()> {
    // Not through io::stdin, whose own buffer keeps what was typed.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from)?;
    let (mut input, mut output) = (WipedReader::new(input), io::stdout());
    for _ in 0..MOST_REQUESTS {
        alarm::set(PATIENCE);
        let Some(request) = read_line(&mut input)? else { break };
        let reply = answer(request);
        write_line(&mut output, &reply.unwrap_or_else(|error| failed(&error.to_string(), error.hint())))?;
    }
    Ok(())
}

/// Answers the first request with an error that holds for all.
pub(crate) fn fail_once(error: &str, hint: &str) -> ExitCode {
    answer_once(&failed(error, hint))
}

/// Gives the first request an answer that holds for all.
pub(crate) fn answer_once(reply: &Reply) -> ExitCode {
    // A socket that is closed with an unread request may lose the answer.
    alarm::set(PATIENCE);
    let _ = read_line::<Request>(&mut io::stdin().lock());
    // Fails only if the caller has gone.
    let _ = write_line(&mut io::stdout(), reply);
    ExitCode::FAILURE
}

pub(crate) fn failed(error: &str, hint: &str) -> Reply {
    Reply::Failed { error: error.to_owned(), hint: hint.to_owned() }
}
