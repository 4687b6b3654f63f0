//! The progress of long work: a line on standard error, if it is a terminal, that makes way for every result.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ui::output::Output;
use crate::ui::signals::{self, INTERRUPTED};

/// One piece of work, in steps of about the same length.
pub(crate) struct Progress {
    what: &'static str,
    done: usize,
    /// How many steps there are, where that is known.
    of: Option<usize>,
    watched: bool,
    /// Whether the results go to the same place.
    shared: bool,
}

/// The one line of this process, which the thread that waits for signals needs too.
static LINE: Mutex<Line> = Mutex::new(Line { width: 0, guarded: false });

struct Line {
    /// Columns of what stands there.
    width: usize,
    /// Whether an interruption clears it.
    guarded: bool,
}

/// Redraw every 16 steps at first, every 256 later.
const NOTICEABLE: usize = 256;
const AT_FIRST: usize = 16;

/// What a terminal writes after the line for Ctrl-C.
const ECHO: &str = "^C";

impl Progress {
    pub(crate) fn new(what: &'static str, of: usize, output: &Output) -> Self {
        Self::begin(what, Some(of), output)
    }

    /// Work of unknown size. Its first step may take long.
    pub(crate) fn counting(what: &'static str, output: &Output) -> Self {
        let progress = Self::begin(what, None, output);
        progress.show(what);
        progress
    }

    fn begin(what: &'static str, of: Option<usize>, output: &Output) -> Self {
        let watched = !output.quiet && io::stderr().is_terminal();
        let mut line = lock();
        if watched && !line.guarded {
            // Who watches elsewhere is ended by the signal itself, and is not if told to ignore it (nohup).
            line.guarded = signals::on_interruption(interrupt).is_ok();
        }
        Self { what, done: 0, of, watched, shared: io::stdout().is_terminal() }
    }

    /// One step more is done.
    pub(crate) fn step(&mut self) {
        self.done = self.done.saturating_add(1);
        let pace = if self.done < NOTICEABLE { AT_FIRST } else { NOTICEABLE };
        if self.watched && self.done.is_multiple_of(pace) {
            let Self { what, done, of, .. } = &*self;
            self.show(&match of {
                Some(of) => {
                    let percent = done.saturating_mul(100).checked_div(*of).unwrap_or(100);
                    format!("{what}: {percent} % ({done} of {of})")
                }
                None => format!("{what}: {done}"),
            });
        }
    }

    fn show(&self, text: &str) {
        if self.watched {
            let mut line = lock();
            line.width = text.len();
            // If it cannot be shown, the work goes on all the same.
            let _ = write!(io::stderr(), "\r{text}");
        }
    }

    /// Makes way for a result.
    pub(crate) fn clear(&mut self) {
        if self.shared {
            lock().erase(0);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        lock().erase(0);
    }
}

impl Line {
    /// Clears the line, and this many columns after it.
    fn erase(&mut self, after: usize) {
        let columns = self.width.saturating_add(after);
        if columns > 0 {
            let _ = write!(io::stderr(), "\r{:columns$}\r", "");
            self.width = 0;
        }
    }
}

fn interrupt() {
    let mut line = lock(); // until the end: no thread may draw any more
    line.erase(ECHO.len());
    std::process::exit(INTERRUPTED);
}

/// A panic elsewhere is no reason to leave the line.
fn lock() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}
