//! How far a long piece of work is: a line on standard error that makes way for every result, where somebody watches.

use std::io::{self, IsTerminal, Write};

use crate::say::Voice;

/// One piece of work, in steps of about the same length.
pub(crate) struct Progress {
    what: &'static str,
    done: usize,
    of: usize,
    /// Columns of the line that stands there.
    width: usize,
    watched: bool,
    /// Whether the results go to the same place.
    shared: bool,
}

/// Work of fewer steps than this is over before anybody wonders.
const NOTICEABLE: usize = 256;

impl Progress {
    pub(crate) fn new(what: &'static str, of: usize, voice: &Voice) -> Self {
        let watched = !voice.quiet && io::stderr().is_terminal();
        Self { what, done: 0, of, width: 0, watched, shared: io::stdout().is_terminal() }
    }

    /// One step more is done.
    pub(crate) fn step(&mut self) {
        self.done = self.done.saturating_add(1);
        if self.watched && self.done.is_multiple_of(NOTICEABLE) {
            let percent = self.done.saturating_mul(100).checked_div(self.of).unwrap_or(100);
            let line = format!("{}: {percent} %", self.what);
            self.width = line.len();
            // Nobody is worse off when it cannot be shown.
            let _ = write!(io::stderr(), "\r{line}");
        }
    }

    /// Makes way for a result.
    pub(crate) fn clear(&mut self) {
        if self.shared {
            self.erase();
        }
    }

    fn erase(&mut self) {
        if self.width > 0 {
            let _ = write!(io::stderr(), "\r{:1$}\r", "", self.width);
            self.width = 0;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}
