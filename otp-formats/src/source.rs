//! What every format has: devices, whose they are, where they stand in the file, and faults.

use std::ops::Range;

use otp_core::decision::import::Found;
use otp_core::value::user::UserName;
use serde::Serialize;
use zeroize::Zeroizing;

/// The good entries of a file. Devices are made one entry at a time, so that all seeds stay in one buffer, which is wiped.
pub trait Source: Sync {
    /// The number of entries; their places run from 0, in the order of the file.
    fn count(&self) -> usize;
    /// For places below [`Source::count`].
    fn whose(&self, place: usize) -> Whose<'_>;
    /// Whether the administrator has said that this entry may be an account with number 0.
    fn may_be_root(&self, _place: usize) -> bool {
        true
    }
    /// At least one device, and no more than a record may have.
    fn found(&self, place: usize) -> Found;
    /// Where the entry stands in the text.
    fn ranges(&self, place: usize) -> Vec<Range<usize>>;
    /// What could not be imported as it was, in sentences for the administrator.
    fn remarks(&self, _place: usize) -> Vec<String> {
        Vec::new()
    }
    /// Who made the token of an entry that the file gives to nobody.
    fn maker(&self, _place: usize) -> Option<String> {
        None
    }
}

/// Who gets the devices of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    User(&'a str),
    /// A token that the file gives to nobody.
    Serial(&'a str),
}

/// Whether a text can be the name of a user.
pub(crate) fn is_user(text: &str) -> bool {
    UserName::parse(text).is_some() && !text.chars().any(char::is_control)
}

/// What was read.
pub struct Read<S> {
    pub entries: S,
    /// In the order of the file.
    pub faults: Vec<Fault>,
}

/// Why an entry cannot be imported. It never quotes the entry, which may contain a seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub line: usize,
    #[serde(rename = "fault")]
    pub what: String,
}

/// The text without what was taken from it, so that the rest can be fixed and imported again.
pub fn without(text: &[u8], mut taken: Vec<Range<usize>>) -> Zeroizing<Vec<u8>> {
    taken.sort_unstable_by_key(|range| range.start);
    // Large enough from the beginning: a text that grows leaves copies of itself behind.
    let mut rest = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut end = 0;
    for range in taken {
        rest.extend_from_slice(text.get(end..range.start).unwrap_or_default());
        end = end.max(range.end);
    }
    rest.extend_from_slice(text.get(end..).unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_text_keeps_its_order() {
        assert_eq!(*without(b"one\ntwo\nthree\n", vec![8..14, 0..4]), b"two\n");
        assert_eq!(*without(b"one", vec![]), b"one");
        assert_eq!(*without(b"one", std::iter::once(0..3).collect()), b"");
    }
}
