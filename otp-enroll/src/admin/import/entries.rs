//! What an import goes through: the entries of a file, or the files of users.

use otp_core::decision::import::{Found, Outcome};
use otp_core::error::CoreError;
use otp_formats::source::{Source, Whose};

use super::shelf::Shelved;

/// What an import goes through, in places from 0.
pub(super) trait Entries: Sync {
    fn count(&self) -> usize;
    fn whose(&self, place: usize) -> Whose<'_>;
    /// `None` if there is nothing of this user; an error that says what keeps the entry from being read.
    fn entry(&self, place: usize) -> Result<Option<Entry>, Unreadable>;
    /// Whether the administrator has said that this entry may be an account with number 0.
    fn may_be_root(&self, _place: usize) -> bool {
        true
    }
    /// Who made the token of an entry that is nobody's.
    fn maker(&self, _place: usize) -> Option<String> {
        None
    }
}

/// What is to be imported of one user or token.
pub(super) struct Entry {
    pub(super) found: Found,
    pub(super) remarks: Vec<String>,
}

/// Why there is no entry where one was expected.
pub(super) struct Unreadable {
    pub(super) error: String,
    pub(super) hint: &'static str,
}

/// The result for one place.
pub(super) enum Answer {
    Done(Outcome, Vec<String>),
    /// For a token that the file gives to nobody.
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

    fn whose(&self, place: usize) -> Whose<'_> {
        Source::whose(self, place)
    }

    fn entry(&self, place: usize) -> Result<Option<Entry>, Unreadable> {
        Ok(Some(Entry { found: self.found(place), remarks: self.remarks(place) }))
    }

    fn may_be_root(&self, place: usize) -> bool {
        Source::may_be_root(self, place)
    }

    fn maker(&self, place: usize) -> Option<String> {
        Source::maker(self, place)
    }
}
