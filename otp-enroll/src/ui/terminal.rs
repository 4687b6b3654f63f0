//! The terminal: what it can show, and the questions asked on it.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use nix::sys::termios::{FlushArg, tcflush};
use zeroize::{Zeroize, Zeroizing};

use crate::ui::alternate_screen;
use otp_core::qr::Paint;

/// What is taken for granted where a terminal does not say: the size of a VT100.
const USUAL_SIZE: (usize, usize) = (80, 24);
/// Bytes of an answer that are kept.
const LONGEST_LINE: usize = 256;

/// What the terminal can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns; 80 if unknown.
    pub(crate) columns: usize,
    /// Rows; 24 if unknown.
    pub(crate) rows: usize,
    /// Colours are known to the terminal and wanted (<https://no-color.org>).
    pub(crate) colour: bool,
    /// Characters are encoded as UTF-8.
    pub(crate) utf8: bool,
    /// The background is light; only of interest without colours.
    pub(crate) light: bool,
    /// Escape sequences that move the cursor and switch the screen may be sent.
    pub(crate) escapes: bool,
    /// Somebody reads and types here: standard input and output are both terminals.
    pub(crate) interactive: bool,
}

impl Terminal {
    /// The terminal this program runs on.
    #[expect(clippy::disallowed_methods, reason = "decides how a page looks, never whether a login is let in")]
    pub(crate) fn here() -> Terminal {
        let size = terminal_size::terminal_size_of(io::stdout());
        let size = size.map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
        let environment = |name: &str| std::env::var_os(name)?.into_string().ok();
        Terminal::described_by(environment, io::stdin().is_terminal(), io::stdout().is_terminal(), size)
    }

    /// The terminal as the environment and the two ends describe it.
    fn described_by(
        environment: impl Fn(&str) -> Option<String>,
        typed: bool,
        shown: bool,
        size: Option<(usize, usize)>,
    ) -> Terminal {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let kind = set("TERM");
        // POSIX, Environment Variables §8.2: the first of these that is set and not empty.
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let escapes = shown && kind.as_deref().is_some_and(|kind| kind != "dumb");
        let (columns, rows) = size.unwrap_or(USUAL_SIZE);
        Terminal {
            columns,
            rows,
            colour: escapes && set("NO_COLOR").is_none() && !kind.as_deref().is_some_and(is_monochrome),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
            light: set("COLORFGBG").as_deref().is_some_and(has_light_background),
            escapes,
            interactive: typed && shown,
        }
    }

    /// How a QR code is painted here.
    pub(crate) fn paint(&self) -> Paint {
        match (self.colour, self.light) {
            (true, _) => Paint::Colour,
            (false, true) => Paint::PlainInverted,
            (false, false) => Paint::Plain,
        }
    }

    /// Forgets what was typed before it was asked for.
    pub(crate) fn forget_what_is_typed(&self) {
        if self.interactive {
            let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH); // a terminal that is gone is found out by asking
        }
    }

    /// Asks for a line. Without a terminal the question is not shown, and the answer is read all the same.
    pub(crate) fn ask(&mut self, prompt: &str) -> Result<Line, AskError> {
        if self.interactive {
            alternate_screen::ask(prompt)?;
        }
        // Not std's standard input: its buffer would keep what was typed, and take more than this line.
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let answer = read_line(input);
        if self.interactive {
            alternate_screen::answered(!matches!(answer, Err(AskError::Closed)))?; // Ctrl-D is none
        }
        answer
    }
}

/// Whether this is one of the DEC terminals that show no colours and take `38;5;16` for blinking.
fn is_monochrome(kind: &str) -> bool {
    kind.strip_prefix("vt").is_some_and(|model| model.starts_with(|c: char| c.is_ascii_digit()))
}

/// rxvt's convention, `foreground;background` or `foreground;default;background`: 0 to 6 and 8 are dark.
fn has_light_background(colours: &str) -> bool {
    let background = colours.rsplit(';').next().and_then(|last| last.parse::<u8>().ok());
    background.is_some_and(|colour| colour == 7 || (9..16).contains(&colour))
}

/// What somebody typed, without the line's end; wiped on drop.
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

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The input has ended: there will be no answer.
    Closed,
    /// The terminal failed.
    Io(io::Error),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Closed => f.write_str("the input ended before the question was answered"),
            AskError::Io(error) => write!(f, "the terminal cannot be used: {error}"),
        }
    }
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        AskError::Io(error)
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
