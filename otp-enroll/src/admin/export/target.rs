//! Where an export goes: a new file without a name until it is whole, or standard output.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::admin::not_done::NotDone;
use crate::error::{CliError, FileError};
use crate::private_file;
use crate::ui::output::Output;

pub(super) struct Target<'a> {
    path: &'a Path,
    /// Standard output.
    is_output: bool,
}

impl<'a> Target<'a> {
    /// Finds out whether it can be written, before anything is asked or read.
    pub(super) fn of(path: &'a Path, output: &Output) -> Result<Self, CliError> {
        let is_output = path.as_os_str() == "-";
        if is_output && io::stdout().is_terminal() {
            return Err(CliError::Usage("--to - would write to the terminal; send it to a file or a program".into()));
        }
        if is_output && output.json {
            return Err(CliError::Usage("--to - and --json both want standard output; name a file".into()));
        }
        if !is_output {
            private_file::can_be_written(path)?;
        }
        Ok(Self { path, is_output })
    }

    pub(super) fn is_output(&self) -> bool {
        self.is_output
    }

    /// Fills it. When this returns, a file is on the disk, or there is none.
    pub(super) fn fill(&self, fill: impl Fn(&mut dyn Write) -> Result<(), CliError>) -> Result<(), CliError> {
        if self.is_output {
            // Not std's standard output, whose buffer would keep what was written.
            let file = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(CliError::Output)?;
            let mut output = BufWriter::new(file);
            fill(&mut output)?;
            return output.flush().map_err(CliError::Output);
        }
        let failure = RefCell::new(None);
        let written = private_file::write_by(self.path, |file| {
            *failure.borrow_mut() = None;
            fill(file).map_err(|error| {
                if let CliError::Output(error) = error {
                    return error;
                }
                *failure.borrow_mut() = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        match (written, failure.into_inner()) {
            (Ok(()), _) => Ok(()),
            (Err(error @ FileError::Remains { .. }), _) | (Err(error), None) => Err(error.into()),
            (Err(_), Some(failure)) => Err(failure),
        }
    }

    /// Tells of a user who is not in it. Standard output is taken.
    pub(super) fn tell_not_done(&self, not_done: &NotDone<'_>, output: &Output) -> Result<(), CliError> {
        if self.is_output {
            output.insist(&format!("{}: failed: {}; {}", not_done.user, not_done.error, not_done.hint));
            Ok(())
        } else {
            not_done.tell(output)
        }
    }

    /// Advice that is not part of the answer.
    pub(super) fn advise(&self, text: &str, output: &Output) -> Result<(), CliError> {
        if self.is_output {
            output.warn(text);
            Ok(())
        } else {
            output.advise(text)
        }
    }
}
