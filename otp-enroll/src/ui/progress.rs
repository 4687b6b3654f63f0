//! The progress of long work: a line on standard error, if it is a terminal, that makes way for every result.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ui::output::Output;
use crate::ui::signals::{self, INTERRUPTED};

/// With the number of steps, and where it is not known. The line ends with blanks, and the cursor goes back to its
/// beginning: indicatif leaves it at the right edge, where the `^C` of an interruption would begin a line that stays.
const MEASURED: &str = "{prefix}: {percent} % ({pos} of {len}){wide_msg}\x1b[999D";
const COUNTING: &str = "{prefix}: {pos}{wide_msg}\x1b[999D";

/// The line of this process, which the thread that waits for signals needs too.
static LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// One piece of work, in steps of about the same length. The line is drawn 20 times a second at most.
pub(crate) struct Progress {
    line: ProgressBar,
    /// Holds this line alone: it can be cleared without being drawn again at once, which `ProgressBar::suspend` does.
    lines: MultiProgress,
    /// Whether the results go to the same place.
    shared: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, of: usize, output: &Output) -> Self {
        Self::begin(what, u64::try_from(of).ok(), MEASURED, output)
    }

    /// Work of unknown size. Its first step may take long.
    pub(crate) fn counting(what: &'static str, output: &Output) -> Self {
        let progress = Self::begin(what, None, COUNTING, output);
        progress.line.tick();
        progress
    }

    fn begin(what: &'static str, of: Option<u64>, template: &str, output: &Output) -> Self {
        // Hidden too if standard error is not a terminal, or TERM is not set or dumb.
        let target = if output.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let lines = MultiProgress::with_draw_target(target);
        let line = lines.add(ProgressBar::with_draw_target(of, ProgressDrawTarget::hidden()).with_prefix(what));
        if let Ok(style) = ProgressStyle::with_template(template) {
            line.set_style(style);
        }
        if !line.is_hidden() {
            *LINE.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
            // Fails if an import answers interruptions itself. Without a line the signal itself ends the program, unless it
            // is ignored (nohup).
            let _ = signals::on_interruption(interrupt);
        }
        Self { line, lines, shared: io::stdout().is_terminal() }
    }

    /// So many steps more are done.
    pub(crate) fn advance(&mut self, steps: usize) {
        self.line.inc(u64::try_from(steps).unwrap_or(u64::MAX));
    }

    /// One step more is done.
    pub(crate) fn step(&mut self) {
        self.advance(1);
    }

    /// Makes way for a result.
    pub(crate) fn clear(&mut self) {
        if self.shared {
            // If standard error fails, the work goes on all the same.
            let _ = self.lines.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

fn interrupt() {
    let line = LINE.lock().unwrap_or_else(PoisonError::into_inner); // until the end: no line may begin any more
    line.iter().for_each(ProgressBar::finish_and_clear);
    std::process::exit(INTERRUPTED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [MEASURED, COUNTING] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
