//! Progress on standard error: one line that changes on a terminal, a line for each piece of work elsewhere.

use std::{
    cell::RefCell,
    io::{self, IsTerminal, Write},
};

/// The last line printed.
#[derive(Default, Debug)]
pub(crate) struct Progress(RefCell<String>);

impl Progress {
    /// Shows a piece of work and its progress.
    pub(crate) fn part(&self, what: &str, done: usize, of: usize) {
        let percent = (done * 100).checked_div(of).unwrap_or(100);
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K{what} {percent} %");
        } else if *self.0.borrow() != what {
            eprintln!("{what}");
        }
        *self.0.borrow_mut() = what.to_owned();
    }

    /// Prints a result, which is kept on the terminal.
    pub(crate) fn result(&self, text: &str) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        eprintln!("{text}");
    }
}
