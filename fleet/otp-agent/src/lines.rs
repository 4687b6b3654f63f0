//! Lines of the log that cost an asker nothing: errors, and refusals that are not counted as a wrong code.
//!
//! journald drops what a unit writes beyond a limit (10,000 lines in 30 seconds), without regard to users. One user who
//! asks in a loop must not hide the lines of others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::budgets::now;

/// Most lines about the questions of one asker within [`TIME`].
const MOST: usize = 1000;
const TIME: Duration = Duration::from_secs(60);

/// The lines about each asker.
#[derive(Default)]
pub(crate) struct Lines(Mutex<HashMap<About, Written>>);

/// Who is counted as one asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum About {
    /// A user id that may ask.
    Asker(u32),
    /// All who may not: one user may have thousands of user ids (subuid(5)).
    Strangers,
}

struct Written {
    since: Instant,
    lines: usize,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Write,
    /// Write that there are more.
    WriteThatThereAreMore,
    Drop,
}

impl Lines {
    pub(crate) fn next(&self, about: About) -> Next {
        // No thread panics while it holds this.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, written| written.since.elapsed() < TIME);
        let written = all.entry(about).or_insert_with(|| Written { since: now(), lines: 0 });
        written.lines = written.lines.saturating_add(1);
        match written.lines {
            ..=MOST => Next::Write,
            lines if lines == MOST.saturating_add(1) => Next::WriteThatThereAreMore,
            _ => Next::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_ends_with_a_line_that_says_so_and_hides_no_others() {
        let lines = Lines::default();
        assert!((0..MOST).all(|_| lines.next(About::Strangers) == Next::Write));
        assert_eq!(lines.next(About::Strangers), Next::WriteThatThereAreMore);
        assert_eq!(lines.next(About::Strangers), Next::Drop);
        assert_eq!(lines.next(About::Asker(998)), Next::Write);
    }
}
