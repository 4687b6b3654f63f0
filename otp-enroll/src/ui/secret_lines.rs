//! Lines that may hold a key or recovery codes: in one buffer, which is wiped when it is dropped or outgrown. They leave it
//! as `&str` only, never as a `String` of their own.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;

use serde::Serialize;
use zeroize::Zeroizing;

/// Bytes to begin with: a page with a QR code in colours takes some 4000.
const USUAL: usize = 8192;

pub(crate) struct SecretLines {
    /// Each line with its newline.
    text: Zeroizing<String>,
    /// Where each line ends, before its newline; a line may hold others.
    ends: Vec<usize>,
}

impl SecretLines {
    pub(crate) fn new() -> Self {
        Self::with_capacity(USUAL)
    }

    fn with_capacity(bytes: usize) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(bytes)), ends: Vec::new() }
    }

    /// The value as a line of JSON.
    pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        let mut line = Self::new();
        serde_json::to_writer(&mut line, value)?;
        line.end();
        Ok(line)
    }

    /// Adds a line: `format_args!` writes into the buffer, where `format!` would make a `String`.
    pub(crate) fn add(&mut self, line: fmt::Arguments<'_>) {
        let _ = fmt::Write::write_fmt(self, line); // `write_str` takes everything
        self.end();
    }

    pub(crate) fn add_blank(&mut self) {
        self.end();
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The lines, without their newlines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end.saturating_add(1)));
        starts.zip(&self.ends).map(|(start, end)| self.text.get(start..*end).unwrap_or_default())
    }

    /// All of it, a newline after each line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn end(&mut self) {
        self.ends.push(self.text.len());
        self.push("\n");
    }

    fn push(&mut self, more: &str) {
        let wanted = self.text.len().saturating_add(more.len());
        if wanted > self.text.capacity() {
            // Growing in place would leave the old copy behind, unwiped.
            let mut larger = Zeroizing::new(String::with_capacity(wanted.saturating_mul(2)));
            larger.push_str(&self.text);
            self.text = larger;
        }
        self.text.push_str(more);
    }
}

impl<'a> FromIterator<&'a str> for SecretLines {
    fn from_iter<T: IntoIterator<Item = &'a str>>(lines: T) -> Self {
        let mut all = Self::new();
        lines.into_iter().for_each(|line| all.add(format_args!("{line}")));
        all
    }
}

impl fmt::Write for SecretLines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// For serde_json, which writes whole characters.
impl io::Write for SecretLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for SecretLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretLines(..)")
    }
}

/// Writes to standard output past std's buffer, which keeps what was written, and whose lock an interrupted write may
/// hold.
pub(crate) fn put(text: &str) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::memory::{Needle, copies};

    #[test]
    fn lines_are_what_was_added() {
        let mut lines = SecretLines::new();
        lines.add(format_args!("{}-{}", "one", 2));
        lines.add_blank();
        lines.add(format_args!("a name with\na newline"));
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one-2", "", "a name with\na newline"]);
        assert_eq!((lines.len(), lines.text()), (3, "one-2\n\na name with\na newline\n"));
        assert_eq!(SecretLines::json(&["é", "\""]).unwrap().text(), "[\"é\",\"\\\"\"]\n");
        assert_eq!(format!("{lines:?}"), "SecretLines(..)");
    }

    #[test]
    fn growing_and_dropping_leave_no_copy_in_memory() {
        let needle = Needle::new(1);
        let mut lines = SecretLines::with_capacity(40);
        needle.spell(|secret| {
            for _ in 0..50 {
                lines.add(format_args!("{secret}"));
            }
        });
        assert_eq!(copies(&needle), 50, "only the buffer in use holds it");
        drop(lines);
        assert_eq!(copies(&needle), 0);
    }
}
