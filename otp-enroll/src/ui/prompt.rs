//! A question at the terminal, and the line that answers it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use nix::sys::termios::{FlushArg, tcflush};
use otp_core::text;
use zeroize::{Zeroize, Zeroizing};

use crate::error::AskError;
use crate::language::tr;
use crate::ui::alternate_screen::{self, Hidden};
use crate::ui::terminal::Terminal;

/// Bytes of an answer that are kept.
pub(crate) const LONGEST_LINE: usize = 256;

/// Asks for a line. Without a terminal the question is not shown, and the answer is read all the same.
pub(crate) fn ask(terminal: &Terminal, question: &str) -> Result<Line, AskError> {
    // Not std's standard input: its buffer would keep what was typed, and take more than this line.
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    if !terminal.interactive {
        return read_line(input);
    }
    alternate_screen::ask(question, || {
        let answer = read_line(input);
        alternate_screen::answered(!matches!(answer, Err(AskError::Closed)))?; // Ctrl-D is none
        answer
    })
}

/// The same; what is typed is not shown. An [`alternate_screen::AlternateScreen`] must be alive.
pub(crate) fn ask_hidden(terminal: &Terminal, question: &str) -> Result<Line, AskError> {
    let _hidden = Hidden::begin()?;
    ask(terminal, question)
}

/// Whether an answer is a yes or a no, of English or of a language that this program speaks: no name of a file or of a device.
pub(crate) fn is_yes_or_no(answer: &str) -> bool {
    let words = ["y", "yes", "n", "no", "j", "ja", "nein", "o", "oui", "non"];
    let answer = answer.trim().to_lowercase();
    words.contains(&answer.as_str()) || [text!("y"), text!("yes")].into_iter().any(|word| tr(word) == answer)
}

/// Forgets what was typed before it was asked for.
pub(crate) fn forget_what_is_typed(terminal: &Terminal) {
    if terminal.interactive {
        let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH); // a terminal that is gone is found out by asking
    }
}

/// A typed line, without its end; wiped on drop.
pub(crate) struct Line(Zeroizing<String>);

impl Line {
    /// The text. What was not UTF-8 is one replacement character, which is right in no answer.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(..)")
    }
}

/// Reads to the end of the line and no further; of a line that is too long the beginning is kept.
fn read_line(mut input: impl Read) -> Result<Line, AskError> {
    let mut kept = Zeroizing::new(Vec::with_capacity(LONGEST_LINE)); // never grows: growing leaves a copy behind
    let mut byte = Zeroizing::new([0]);
    let mut ended = true;
    loop {
        match input.read(&mut *byte) {
            Ok(0) if ended => return Err(AskError::Closed),
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) => {
                ended = false;
                if kept.len() < LONGEST_LINE {
                    kept.extend_from_slice(&*byte);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(AskError::Io(error)),
        }
    }
    if kept.last() == Some(&b'\r') {
        kept.pop();
    }
    let text = String::from_utf8(std::mem::take(&mut *kept)).unwrap_or_else(|error| {
        error.into_bytes().zeroize();
        char::REPLACEMENT_CHARACTER.to_string()
    });
    Ok(Line(Zeroizing::new(text)))
}

#[cfg(test)]
mod tests;
