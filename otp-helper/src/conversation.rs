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

/// Seconds that all of it may take. The helper goes by the configuration of its start, and a caller may keep it.
const LONGEST: u32 = 3600;

/// More requests than any program sends in one run.
const MOST_REQUESTS: usize = 100;

/// Answers each request until there are no more.
pub(crate) fn serve<T: DeserializeOwned>(mut answer: impl FnMut(T) -> Result<Reply, CoreError>) -> io::Result<()> {
    // Not through io::stdin, whose own buffer keeps what was typed.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from)?;
    let (mut input, mut output) = (WipedReader::new(input), io::stdout());
    let (mut left, mut patience) = (LONGEST, 0);
    for _ in 0..MOST_REQUESTS {
        (left, patience) = go_on(left, patience, alarm::cancel());
        if left == 0 {
            break;
        }
        alarm::set(patience);
        let Some(request) = read_line(&mut input)? else { break };
        let reply = answer(request);
        write_line(&mut output, &reply.unwrap_or_else(|error| failed(&error.to_string(), error.hint())))?;
    }
    Ok(())
}

/// What is left of the whole time, and the patience for the next request, where this is left of the patience for the one before.
fn go_on(left: u32, patience: u32, rest: Option<u32>) -> (u32, u32) {
    let left = left.saturating_sub(patience.saturating_sub(rest.unwrap_or(patience)));
    (left, PATIENCE.min(left))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_asks_every_quarter_of_an_hour_is_answered_for_one() {
        assert_eq!(go_on(LONGEST, 0, None), (3600, 900));
        assert_eq!(go_on(3600, 900, Some(890)), (3590, 900));
        // It waits nearly as long as it may each time.
        let (mut left, mut patience) = (LONGEST, PATIENCE);
        let answers = (0..5).map(|_| {
            (left, patience) = go_on(left, patience, Some(1));
            patience
        });
        assert_eq!(answers.collect::<Vec<_>>(), [900, 900, 900, 4, 1]);
    }
}
