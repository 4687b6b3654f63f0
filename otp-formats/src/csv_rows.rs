//! Rows of comma-separated values (RFC 4180), one at a time: where each stands in the text, and its fields.
//!
//! The csv crate keeps what it reads in buffers that are not wiped, so this calls its core, which has none.

use std::io;

use csv_core::{ReadRecordResult, Reader};
use zeroize::Zeroizing;

use crate::text::{LONGEST as LONGEST_LINE, Parts, Text, entry_at, first_line};

/// Bytes of a row at most, and fields.
const LONGEST: usize = 4096;
const MOST_FIELDS: usize = 64;

/// The byte order mark that spreadsheets put before a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One row of a text.
pub(crate) struct Row {
    pub(crate) line: usize,
    /// Where it begins.
    pub(crate) place: usize,
    /// Its fields, or why it cannot be read.
    pub(crate) fields: Result<Fields, &'static str>,
}

/// The rows of a text that are neither blank nor comments. One with a fault ends with its line.
pub(crate) struct Rows<T> {
    parts: Parts<T>,
}

/// The fields of a row, wiped when dropped.
pub(crate) struct Fields {
    text: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
}

impl<T: Text> Rows<T> {
    pub(crate) fn of(text: T) -> Self {
        Self { parts: Parts::of(text) }
    }

    fn next_row(&mut self) -> io::Result<Option<Row>> {
        if self.parts.place == 0 && self.parts.ahead()?.starts_with(MARK) {
            self.parts.pass(MARK.len());
        }
        loop {
            let ahead = self.parts.ahead()?;
            let line = ahead.get(..first_line(ahead)).unwrap_or_default();
            let is_blank = line.len() <= LONGEST_LINE && line.trim_ascii().is_empty();
            if ahead.is_empty() {
                return Ok(None);
            } else if line.starts_with(b"#") || is_blank {
                self.parts.pass_line()?;
            } else {
                break;
            }
        }
        let (line, place) = (self.parts.line, self.parts.place);
        let fields = match read(self.parts.ahead()?) {
            Ok((fields, length)) => {
                self.parts.pass(length);
                fields.checked()
            }
            Err(what) => {
                self.parts.pass_line()?;
                Err(what)
            }
        };
        Ok(Some(Row { line, place, fields }))
    }
}

impl<T: Text> Iterator for Rows<T> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        self.next_row().transpose()
    }
}

/// The row that stands at a place, where there was one without fault.
pub(crate) fn row_at(text: &impl Text, place: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    entry_at(text, place, |bytes| read(bytes).ok().map(|(_, length)| length))
}

/// The first row of a text, and how many bytes it is long, its end of line among them.
fn read(text: &[u8]) -> Result<(Fields, usize), &'static str> {
    let mut fields = Zeroizing::new(vec![0; text.len().min(LONGEST)]);
    let (mut ends, mut reader) = (vec![0; MOST_FIELDS], Reader::new());
    let (result, mut length, mut written, mut count) = reader.read_record(text, &mut fields, &mut ends);
    match result {
        ReadRecordResult::Record => {}
        ReadRecordResult::InputEmpty => {
            // The end of the text ends the row, too, unless it stands between quotation marks.
            let quotes = text.iter().filter(|byte| **byte == b'"').count();
            if quotes % 2 == 1 {
                return Err("a quotation mark is not closed");
            }
            let (text, ends) =
                (fields.get_mut(written..).unwrap_or_default(), ends.get_mut(count..).unwrap_or_default());
            let (result, _, more, fields) = reader.read_record(b"", text, ends);
            if result != ReadRecordResult::Record {
                return Err("it has too many fields");
            }
            (written, count) = (written.saturating_add(more), count.saturating_add(fields));
        }
        ReadRecordResult::OutputFull => return Err("it is too long, or a quotation mark is not closed"),
        ReadRecordResult::OutputEndsFull => return Err("it has too many fields"),
        ReadRecordResult::End => return Err("it is empty"),
    }
    let ends_in_return = length.checked_sub(1).and_then(|last| text.get(last)) == Some(&b'\r');
    if ends_in_return && text.get(length) == Some(&b'\n') {
        length = length.saturating_add(1);
    }
    fields.truncate(written);
    ends.truncate(count);
    Ok((Fields { text: fields, ends }, length))
}

impl Fields {
    /// The fields of a row that has no fault.
    pub(crate) fn of(row: &[u8]) -> Result<Self, &'static str> {
        read(row)?.0.checked()
    }

    fn checked(self) -> Result<Self, &'static str> {
        if str::from_utf8(&self.text).is_ok() { Ok(self) } else { Err("it is not UTF-8") }
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// A field without blanks around it; empty if there is none.
    pub(crate) fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let field = start.zip(self.ends.get(place)).and_then(|(start, end)| self.text.get(start..*end));
        field.and_then(|field| str::from_utf8(field).ok()).unwrap_or_default().trim()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).map(|place| self.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<(usize, &[u8], Vec<String>)> {
        let told = |Row { line, place, fields }| {
            let row = row_at(&text, place).unwrap();
            let again = Fields::of(&row);
            let fields = match fields {
                Err(fault) => vec![format!("! {fault}")],
                Ok(fields) => fields.iter().map(str::to_owned).collect(),
            };
            assert!(again.is_ok_and(|again| again.iter().eq(&fields)) || fields[0].starts_with('!'));
            (line, &text[place..][..row.len()], fields)
        };
        Rows::of(text).map(Result::unwrap).map(told).collect()
    }

    #[test]
    fn rows_stand_where_they_are_in_the_text() {
        let text = b"\xef\xbb\xbfa, b\r\n\r\n# a comment\n\"c\r\nd\",\"e \"\"f\"\"\"\r\ng,,\n  \nh";
        let read = rows(text);
        let expected: [(usize, &[u8], &[&str]); 4] = [
            (1, b"a, b\r\n", &["a", "b"]),
            (4, b"\"c\r\nd\",\"e \"\"f\"\"\"\r\n", &["c\r\nd", "e \"f\""]),
            (6, b"g,,\n", &["g", "", ""]),
            (8, b"h", &["h"]),
        ];
        assert_eq!(read.len(), expected.len());
        for (read, (line, part, fields)) in read.iter().zip(expected) {
            assert_eq!(
                (read.0, read.1, read.2.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
                (line, part, fields)
            );
        }
    }

    #[test]
    fn a_row_with_a_fault_ends_with_its_line() {
        let long = format!("a,b\n{},x\nc,d\n\"open,e\nf,g", "x".repeat(5000));
        let read = rows(long.as_bytes());
        let faults: Vec<_> = read.iter().map(|row| (row.0, row.2[0].as_str())).collect();
        let too_long = "! it is too long, or a quotation mark is not closed";
        let unclosed = "! a quotation mark is not closed";
        assert_eq!(faults, [(1, "a"), (2, too_long), (3, "c"), (4, unclosed), (5, "f")]);
        let many = ",".repeat(100);
        assert_eq!(rows(many.as_bytes())[0].2[0], "! it has too many fields");
        assert_eq!(Fields::of(b"a\xff,b").err(), Some("it is not UTF-8"));
    }
}
