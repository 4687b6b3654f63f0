//! A long answer: each result at once on a terminal, in blocks of whole lines to a file or a pipe.

use std::io::{self, IsTerminal, Write};
use std::mem;

use serde::Serialize;

use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// A pipe takes this many bytes atomically (PIPE_BUF): its reader never sees a part of a line, however this ends.
const WHOLE: usize = 4096;

/// Results on their way to standard output.
pub(crate) struct Listing<'a> {
    pub(crate) output: &'a Output,
    /// Whole lines that are not written yet.
    pending: String,
    /// Standard output is a terminal.
    watched: bool,
    /// A heading has nothing below it yet.
    is_bare: bool,
}

impl<'a> Listing<'a> {
    /// Everything that `tell` found is written when this returns, also where it could not go on.
    pub(crate) fn of(output: &'a Output, tell: impl FnOnce(&mut Self) -> Result<(), CliError>) -> Result<(), CliError> {
        let mut listing = Self { output, pending: String::new(), watched: io::stdout().is_terminal(), is_bare: false };
        let told = tell(&mut listing).and_then(|()| listing.end_table());
        let written = listing.write();
        told.and(written)
    }

    /// One result; how far the work is makes way for it.
    pub(crate) fn result(
        &mut self,
        progress: &mut Progress,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let line = self.output.line(value, || layout::escaped(&text()).into_owned())?;
        progress.clear();
        self.is_bare = false;
        self.add(&line)
    }

    /// Advice that is not part of the answer.
    pub(crate) fn advise(&mut self, text: &str) -> Result<(), CliError> {
        if self.output.is_advising() { self.add(&layout::escaped_lines(text, true)) } else { Ok(()) }
    }

    /// The heading of a table.
    pub(crate) fn heading(&mut self, text: &str) -> Result<(), CliError> {
        self.end_table()?;
        self.is_bare = true;
        if self.output.is_advising() { self.add(&self.output.heading(text)) } else { Ok(()) }
    }

    /// A table without a line says so.
    fn end_table(&mut self) -> Result<(), CliError> {
        if mem::take(&mut self.is_bare) && self.output.is_advising() { self.add("none") } else { Ok(()) }
    }

    fn add(&mut self, line: &str) -> Result<(), CliError> {
        if self.pending.len().saturating_add(line.len()) >= WHOLE {
            self.write()?;
        }
        self.pending.push_str(line);
        self.pending.push('\n');
        if self.watched { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), CliError> {
        let lines = mem::take(&mut self.pending);
        let mut output = io::stdout().lock();
        output.write_all(lines.as_bytes()).and_then(|()| output.flush()).map_err(CliError::Output)
    }
}
