//! What an import goes through: the entries of a file, or the files of users.

use otp_core::decision::import::Outcome;
use otp_core::error::CoreError;
use otp_formats::source::{Entry, Fault, Source, Whose};

use super::shelf::Shelved;

/// What an import goes through, in places from 0.
pub(super) trait Entries: Sync {
    fn count(&self) -> usize;
    /// Whether there are tokens without a user.
    fn has_stock(&self) -> bool {
        false
    }
    /// Whose it is, and what there is: `None` if there is nothing, an error that says what keeps it from being read.
    fn entry(&self, place: usize) -> (Named, Result<Option<Entry>, Unreadable>);
}

/// What a place is called in the report.
pub(super) enum Named {
    Whose(Whose),
    /// The line of an entry that cannot be read again.
    Line(usize),
}

/// Why there is no entry where one was expected.
pub(super) struct Unreadable {
    pub(super) error: String,
    pub(super) hint: &'static str,
}

/// The result for one place.
pub(super) enum Answer {
    Done(Outcome, Vec<String>),
    /// For a token that the file gives to no user.
    Shelved(Shelved, Vec<String>),
    Nothing,
    NoSuchUser,
    Unreadable(Unreadable),
    Failed(CoreError),
}

impl<S: Source> Entries for S {
    fn count(&self) -> usize {
        Source::count(self)
    }

    fn has_stock(&self) -> bool {
        Source::has_stock(self)
    }

    fn entry(&self, place: usize) -> (Named, Result<Option<Entry>, Unreadable>) {
        match Source::entry(self, place) {
            Ok(entry) => (Named::Whose(entry.whose.clone()), Ok(Some(entry))),
            Err(Fault { line, what }) => {
                let hint = "the file is not what it was when the import began: import it again";
                (Named::Line(line), Err(Unreadable { error: what, hint }))
            }
        }
    }
}
