//! Lines of the log that cost an asker nothing: errors, and refusals that are not counted as a wrong code.
//!
//! journald drops what a unit writes beyond a limit (10,000 lines in 30 seconds), without regard to users. One user who
//! asks in a loop must not hide the lines of others.

use crate::per_minute::PerMinute;

/// Most lines about the questions of one asker within a minute.
const MOST: usize = 1000;

/// The lines about each asker.
#[derive(Default)]
pub(crate) struct Lines(PerMinute<About>);

/// Who is counted as one asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum About {
    /// A user id that may ask.
    Asker(u32),
    /// All who may not: one user may have thousands of user ids (subuid(5)).
    Strangers,
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
        match self.0.count(about) {
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
