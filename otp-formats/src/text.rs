//! The text of a file, read where it stands: no more of it is in memory than is looked at, and that is wiped.

use std::io::{self, Read};
use std::ops::Range;

use otp_core::value::system_error::described;
use zeroize::Zeroizing;

/// Bytes of a line at most.
pub(crate) const LONGEST: usize = 1 << 16;

/// Bytes that are read at a time where a text is gone through.
const PART: usize = 4 * LONGEST;

/// Bytes that are read first: a small text needs, and wipes, no large buffer.
const FIRST: usize = 1 << 12;

/// Enough for nearly every entry.
const SOME: usize = 512;

/// A text that can be read by position, again and again.
pub trait Text: Sync {
    /// Reads from a place on. Fewer bytes than fit mean that the text ends with them.
    fn read_at(&self, place: usize, into: &mut [u8]) -> io::Result<usize>;
}

impl Text for [u8] {
    fn read_at(&self, place: usize, into: &mut [u8]) -> io::Result<usize> {
        self.get(place..).unwrap_or_default().read(into)
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn read_at(&self, place: usize, into: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(place, into)
    }
}

/// A text from its beginning to its end, a part at a time.
pub(crate) struct Parts<T> {
    text: T,
    buffer: Zeroizing<Vec<u8>>,
    /// What of the buffer comes next.
    next: Range<usize>,
    /// Whether the text ends with the buffer.
    is_last: bool,
    /// Where that stands in the text, and in which line.
    pub(crate) place: usize,
    pub(crate) line: usize,
    /// Whether the last line was cut, and the rest of it comes next.
    is_within: bool,
}

/// A line of a text.
pub(crate) struct Line<'p> {
    pub(crate) number: usize,
    pub(crate) place: usize,
    /// The line with its end, or the beginning of one that is too long.
    pub(crate) bytes: &'p [u8],
    pub(crate) is_too_long: bool,
}

impl<T: Text> Parts<T> {
    pub(crate) fn of(text: T) -> Self {
        let buffer = Zeroizing::new(Vec::new());
        Self { text, buffer, next: 0..0, is_last: false, place: 0, line: 1, is_within: false }
    }

    /// What comes next: more than the longest line, or all that is left.
    pub(crate) fn ahead(&mut self) -> io::Result<&[u8]> {
        while self.next.len() <= LONGEST && !self.is_last {
            let length = self.next.len();
            if self.buffer.len() < PART {
                // Growing in place would leave the old copy behind, unwiped.
                let mut larger = Zeroizing::new(vec![0; if length == 0 { FIRST } else { PART }]);
                let rest = self.buffer.get(self.next.clone()).unwrap_or_default();
                larger.get_mut(..length).unwrap_or_default().copy_from_slice(rest);
                self.buffer = larger;
            } else {
                self.buffer.copy_within(self.next.clone(), 0);
            }
            let rest = self.buffer.get_mut(length..).unwrap_or_default();
            let more = self.text.read_at(self.place.saturating_add(length), rest)?;
            self.is_last = more < rest.len();
            self.next = 0..length.saturating_add(more);
        }
        Ok(self.buffer.get(self.next.clone()).unwrap_or_default())
    }

    /// Goes on behind so many bytes of what is ahead.
    pub(crate) fn pass(&mut self, bytes: usize) {
        let start = self.next.start;
        self.next.start = start.saturating_add(bytes).min(self.next.end);
        let passed = self.buffer.get(start..self.next.start).unwrap_or_default();
        self.line = self.line.saturating_add(passed.iter().filter(|byte| **byte == b'\n').count());
        self.place = self.place.saturating_add(passed.len());
    }

    /// Goes on behind the end of this line, however far that is.
    pub(crate) fn pass_line(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.ahead()?;
            let (length, is_end) = (first_line(ahead), ahead.is_empty());
            let is_whole = length.checked_sub(1).and_then(|last| ahead.get(last)) == Some(&b'\n');
            self.pass(length);
            if is_whole || is_end {
                return Ok(());
            }
        }
    }

    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.is_within {
            self.pass_line()?;
        }
        let length = first_line(self.ahead()?);
        self.is_within = length > LONGEST;
        let (number, place, is_too_long) = (self.line, self.place, self.is_within);
        let start = self.next.start;
        self.pass(length.min(LONGEST));
        let bytes = self.buffer.get(start..self.next.start).unwrap_or_default();
        Ok(Some(Line { number, place, bytes, is_too_long }).filter(|line| !line.bytes.is_empty()))
    }
}

/// Why an entry cannot be read again.
pub(crate) fn unread(error: &io::Error) -> String {
    format!("it cannot be read: {}", described(error))
}

/// The bytes to the end of the first line.
pub(crate) fn first_line(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end.saturating_add(1))
}

/// The entry that stands at a place, if `length` can tell where it ends; otherwise what there is from there on.
pub(crate) fn entry_at(
    text: &impl Text,
    place: usize,
    length: impl Fn(&[u8]) -> Option<usize>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut entry = Zeroizing::new(Vec::new());
    for size in [SOME, LONGEST] {
        // Growing in place would leave the old copy behind, unwiped.
        entry = Zeroizing::new(vec![0; size]);
        let read = text.read_at(place, &mut entry)?;
        entry.truncate(read);
        // What ends where the buffer ends may be longer.
        if let Some(length) = length(&entry).filter(|length| *length < size) {
            entry.truncate(length);
            break;
        } else if read < size {
            break;
        }
    }
    Ok(entry)
}

/// The line that stands at a place.
pub(crate) fn line_at(text: &impl Text, place: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    entry_at(text, place, |bytes| Some(first_line(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, place, length, and whether it is too long.
    fn lines(text: &[u8]) -> Vec<(usize, usize, usize, bool)> {
        let (mut parts, mut lines) = (Parts::of(text), Vec::new());
        while let Some(line) = parts.next_line().unwrap() {
            assert!(text[line.place..].starts_with(line.bytes));
            lines.push((line.number, line.place, line.bytes.len(), line.is_too_long));
        }
        lines
    }

    #[test]
    fn lines_have_their_numbers_and_places_wherever_a_part_ends() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\na\nbc"), [(1, 0, 1, false), (2, 1, 2, false), (3, 3, 2, false)]);
        for length in [1, 7, 100, LONGEST - 1, LONGEST] {
            let line = [vec![b'x'; length - 1], vec![b'\n']].concat();
            let count = 3 * PART / length + 1;
            let expected: Vec<_> = (0..count).map(|number| (number + 1, number * length, length, false)).collect();
            assert_eq!(lines(&line.repeat(count)), expected, "{length}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        for length in [LONGEST + 1, PART - 1, PART, PART + 1, 5 * PART] {
            let text = [&b"a\n"[..], &vec![b'x'; length - 1], b"\nb\n"].concat();
            let expected = [(1, 0, 2, false), (2, 2, LONGEST, true), (3, 2 + length, 2, false)];
            assert_eq!(lines(&text), expected, "{length}");
            assert_eq!(lines(&text[..text.len() - 3]).len(), 2, "{length}, without an end");
        }
    }

    #[test]
    fn a_line_is_read_where_it_stands_however_long_it_is() {
        for length in [1, SOME - 1, SOME, SOME + 1, LONGEST - 1, LONGEST] {
            let line = [vec![b'x'; length - 1], vec![b'\n']].concat();
            let text = [b"a\n", &line[..], b"b"].concat();
            assert_eq!(*line_at(&&text[..], 2).unwrap(), line, "{length}");
            assert_eq!(*line_at(&&text[..], 2 + length).unwrap(), b"b");
            assert_eq!(*line_at(&&text[..], 9 + length).unwrap(), b"");
        }
    }
}
