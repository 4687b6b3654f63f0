//! What every format has: devices, whose they are, where they stand in the file, and faults.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use otp_core::decision::import::Found;
use otp_core::value::user::UserName;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::text::Text;

/// The good entries of a file. Each is read again when it is wanted, so that no seed stays in memory.
pub trait Source: Sync {
    /// The number of entries; their places run from 0, in the order of the file.
    fn count(&self) -> usize;
    /// Whether there are entries without a user.
    fn has_stock(&self) -> bool {
        false
    }
    /// For places below [`Source::count`]. The fault is one that was not there when the file was first read.
    fn entry(&self, place: usize) -> Result<Entry, Fault>;
    /// Where the entry stands in the text.
    fn ranges(&self, place: usize) -> io::Result<Vec<Range<usize>>>;
}

/// What a file says of one user, or of one token.
pub struct Entry {
    pub whose: Whose,
    /// Whether the administrator has said that this entry may be an account with number 0.
    pub may_be_root: bool,
    /// At least one device, and no more than a record may have.
    pub found: Found,
    /// What could not be imported as it was, in sentences for the administrator.
    pub remarks: Vec<String>,
    /// The maker of the token, in an entry that the file gives to no user.
    pub maker: Option<String>,
}

/// Who gets the devices of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    User(String),
    /// A token that the file gives to no user.
    Serial(String),
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

/// Bytes that are copied at a time.
const PART: usize = 1 << 16;

/// Writes the text without what was taken from it, so that the rest can be fixed and imported again. What was taken comes
/// entry by entry, in the order in which they begin.
pub fn without(
    text: &(impl Text + ?Sized),
    taken: impl Iterator<Item = io::Result<Vec<Range<usize>>>>,
    rest: &mut impl Write,
) -> io::Result<()> {
    let (mut ahead, mut end) = (BTreeMap::new(), 0usize);
    let mut part = Zeroizing::new(vec![0; PART]);
    let mut copy = |mut place: usize, stop: usize| -> io::Result<()> {
        while place < stop {
            let length = stop.saturating_sub(place).min(PART);
            let read = text.read_at(place, part.get_mut(..length).unwrap_or_default())?;
            rest.write_all(part.get(..read).unwrap_or_default())?;
            place = if read < length { stop } else { place.saturating_add(read) };
        }
        Ok(())
    };
    for ranges in taken {
        let ranges = ranges?;
        let start = ranges.first().map_or(0, |range| range.start);
        ahead.extend(ranges.into_iter().map(|range| (range.start, range.end)));
        // All that stands before this entry is known by now.
        while let Some(next) = ahead.first_entry().filter(|next| *next.key() <= start) {
            let (start, stop) = next.remove_entry();
            copy(end, start)?;
            end = stop;
        }
    }
    for (start, stop) in ahead {
        copy(end, start)?;
        end = stop;
    }
    copy(end, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(text: &[u8], taken: Vec<Vec<Range<usize>>>) -> Vec<u8> {
        let mut rest = Vec::new();
        without(text, taken.into_iter().map(Ok), &mut rest).unwrap();
        rest
    }

    #[test]
    fn what_is_left_of_a_text_keeps_its_order() {
        let text = b"one\ntwo\nthree\nfour\n";
        assert_eq!(rest(text, vec![vec![0..4, 14..19], vec![8..14]]), b"two\n");
        assert_eq!(rest(text, vec![vec![4..8, 14..19]]), b"one\nthree\n");
        assert_eq!(rest(b"one", vec![]), b"one");
        assert_eq!(rest(b"one", vec![std::iter::once(0..3).collect()]), b"");
        let long: Vec<u8> = (0..=250).cycle().take(3 * PART + 7).collect();
        assert_eq!(
            rest(&long, vec![vec![5..6, PART * 2..PART * 3]]),
            [&long[..5], &long[6..PART * 2], &long[PART * 3..]].concat()
        );
    }

    #[test]
    fn what_cannot_be_read_or_written_is_no_rest() {
        let unread = std::iter::once(Err(io::ErrorKind::InvalidData.into()));
        assert!(without(&b"one"[..], unread, &mut Vec::new()).is_err());
        assert!(without(&b"one"[..], std::iter::empty(), &mut &mut [0; 2][..]).is_err());
    }
}
