//! TOML 1.0 as far as a configuration needs it, read in one pass. Each key and value knows its line, and a fault does not end the
//! reading: an administrator learns of all at once.
//!
//! Every login reads the configuration, so this is small. What it takes is TOML with the same meaning, and what no configuration has
//! is a fault: times of day, fractions, whole numbers that are not plainly decimal.

use std::borrow::Cow;

use crate::value::time::days_in;

/// What is not TOML, or not TOML that is read here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: String,
}

/// A table: its keys in their order, each once.
#[derive(Debug)]
pub(super) struct Table<'t> {
    pub(super) entries: Vec<Entry<'t>>,
    made: Made,
}

#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    /// Where the key stands.
    pub(super) line: usize,
    pub(super) found: Found<'t>,
}

/// A value, and the line in which it begins.
#[derive(Debug)]
pub(super) struct Found<'t> {
    pub(super) line: usize,
    pub(super) value: Value<'t>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    /// A number, a date or a truth value, as it stands in the file.
    Bare(&'t str),
    /// In brackets, or tables that have a heading in two brackets each.
    List {
        all: Vec<Found<'t>>,
        by_headings: bool,
    },
    Table(Table<'t>),
}

/// What made a table says what may be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Its own heading: `[a]`.
    ByHeading,
    /// The heading of a table in it: `[a.b]`.
    OnTheWay,
    /// A key with dots in it: `a.b = 1`.
    ByDots,
    /// Braces.
    Inline,
}

/// Lists and tables in each other. Real ones have three.
const DEEPEST: usize = 16;

/// Reads a text. What cannot be read is a fault, and what surrounds it is read.
pub(super) fn read(text: &str) -> (Table<'_>, Vec<Fault>) {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, faults: Vec::new() };
    let mut root = Table::made(Made::ByHeading);
    let mut heading = Some(Vec::new());
    loop {
        reader.skip_lines();
        if reader.rest.is_empty() {
            break;
        }
        if let Err(fault) = reader.line_of(&mut root, &mut heading) {
            reader.faults.push(fault);
            reader.skip_line();
        }
    }
    (root, reader.faults)
}

impl<'t> Table<'t> {
    fn made(made: Made) -> Self {
        Self { entries: Vec::new(), made }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entry of a key, which is made if there is none.
    fn entry(&mut self, key: &Key<'t>, new: impl FnOnce() -> Value<'t>) -> Option<&mut Entry<'t>> {
        let known = self.entries.iter().position(|entry| entry.key == key.name);
        let at = known.unwrap_or(self.entries.len());
        if known.is_none() {
            let found = Found { line: key.line, value: new() };
            self.entries.push(Entry { key: key.name.clone(), line: key.line, found });
        }
        self.entries.get_mut(at)
    }

    /// The table under a key on the way of a heading; `None` if something else is there.
    fn step(&mut self, key: &Key<'t>) -> Option<&mut Table<'t>> {
        match &mut self.entry(key, || Value::Table(Table::made(Made::OnTheWay)))?.found.value {
            Value::Table(table) if table.made != Made::Inline => Some(table),
            Value::List { all, by_headings: true } => match &mut all.last_mut()?.value {
                Value::Table(table) => Some(table),
                Value::Text(_) | Value::Bare(_) | Value::List { .. } => None,
            },
            Value::Text(_) | Value::Bare(_) | Value::List { .. } | Value::Table(_) => None,
        }
    }

    /// The table that a heading stands for.
    fn at(&mut self, heading: &[Key<'t>]) -> Option<&mut Table<'t>> {
        heading.iter().try_fold(self, |table, key| table.step(key))
    }

    /// The table under a key with a dot behind it; `None` if what is there was not made by such keys.
    fn dot(&mut self, key: &Key<'t>) -> Option<&mut Table<'t>> {
        match &mut self.entry(key, || Value::Table(Table::made(Made::ByDots)))?.found.value {
            Value::Table(table) if table.made == Made::ByDots => Some(table),
            Value::Text(_) | Value::Bare(_) | Value::List { .. } | Value::Table(_) => None,
        }
    }
}

#[derive(Debug)]
struct Key<'t> {
    name: Cow<'t, str>,
    line: usize,
}

impl Key<'_> {
    #[cold]
    fn is_there_twice(&self) -> Fault {
        Fault { line: self.line, what: format!("duplicate key {}", shown(&self.name)) }
    }
}

/// A word of the file in an error: what would end its line, or turn it round, is left out.
#[cold]
pub(super) fn shown(word: &str) -> String {
    let is_shown = |letter: &char| {
        let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
        !letter.is_control() && !turns
    };
    word.chars().filter(is_shown).collect()
}

/// A control character that no line may have: all but the tab. Line ends are found on their own.
fn is_control(letter: char) -> bool {
    letter.is_ascii_control() && letter != '\t'
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
    faults: Vec<Fault>,
}

impl<'t> Reader<'t> {
    #[cold]
    fn fault(&self, what: &str) -> Fault {
        Fault { line: self.line, what: what.to_owned() }
    }

    /// Whether the text goes on with `token`, which is then behind us.
    fn takes(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn takes_line_end(&mut self) -> bool {
        let length = match self.rest.as_bytes() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return false,
        };
        self.take(length);
        self.line = self.line.saturating_add(1);
        true
    }

    /// Takes so many bytes, which end between two letters.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes what is before the first letter that `ends`.
    fn take_until(&mut self, ends: fn(char) -> bool) -> &'t str {
        self.take(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', ..] = self.rest.as_bytes() {
            self.take(1);
        }
    }

    fn skip_comment(&mut self) {
        if let text @ [b'#', ..] = self.rest.as_bytes() {
            self.take(before_control(text));
        }
    }

    /// Skips lines that begin with a comment: most of them.
    fn skip_comments(&mut self) {
        let (text, mut lines) = (self.rest.as_bytes(), 0usize);
        let mut rest = text;
        while let [b'#', ..] = rest
            && let Some([b'\n', next @ ..]) = rest.get(before_control(rest)..)
        {
            (rest, lines) = (next, lines.saturating_add(1));
        }
        self.take(text.len().saturating_sub(rest.len()));
        self.line = self.line.saturating_add(lines);
    }

    /// Skips blanks, line ends and comments: before a line that has something, and between the values of a list.
    fn skip_lines(&mut self) {
        loop {
            self.skip_comments();
            self.skip_blanks();
            self.skip_comment();
            if !self.takes_line_end() {
                return;
            }
        }
    }

    /// Goes on behind a fault.
    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.take(end);
        self.takes_line_end();
    }

    /// Reads a line that has something, or more if a value goes on. `heading` is `None` after a heading that cannot be read: the keys
    /// below it are read for their faults, and kept in no table.
    fn line_of(&mut self, root: &mut Table<'t>, heading: &mut Option<Vec<Key<'t>>>) -> Result<(), Fault> {
        if self.rest.starts_with('[') {
            *heading = None;
            *heading = Some(self.heading(root)?);
        } else if !self.rest.starts_with(is_control) {
            let mut of_no_heading = Table::made(Made::ByHeading);
            let table = heading.as_ref().and_then(|heading| root.at(heading));
            self.pair(table.unwrap_or(&mut of_no_heading), 0)?;
        }
        self.skip_blanks();
        self.skip_comment();
        if self.rest.is_empty() || self.takes_line_end() {
            return Ok(());
        }
        Err(self.fault(if self.rest.starts_with(is_control) {
            "a control character stands here; lines end with a line feed"
        } else {
            "the line does not end where its value ends; a comment begins with #"
        }))
    }

    fn heading(&mut self, root: &mut Table<'t>) -> Result<Vec<Key<'t>>, Fault> {
        self.takes("[");
        let is_of_list = self.takes("[");
        let mut keys = self.keys()?;
        let end = if is_of_list { "]]" } else { "]" };
        if !self.takes(end) {
            return Err(self.fault(&format!("the heading of a table ends with {end}")));
        }
        let Some(last) = keys.pop() else { return Ok(keys) };
        let taken = || Fault {
            line: last.line,
            what: format!("{} is no table that a heading can stand for", shown(&last.name)),
        };
        let new = || {
            if is_of_list {
                Value::List { all: Vec::new(), by_headings: true }
            } else {
                Value::Table(Table::made(Made::OnTheWay))
            }
        };
        let place = root.at(&keys).and_then(|table| table.entry(&last, new)).ok_or_else(taken)?;
        match &mut place.found.value {
            Value::List { all, by_headings: true } if is_of_list => {
                all.push(Found { line: last.line, value: Value::Table(Table::made(Made::ByHeading)) });
            }
            Value::Table(table) if !is_of_list && table.made == Made::OnTheWay => table.made = Made::ByHeading,
            // What stands below it is read, too, for its own faults.
            Value::Table(table) if !is_of_list && table.made == Made::ByHeading => {
                self.faults.push(last.is_there_twice());
            }
            Value::Text(_) | Value::Bare(_) | Value::List { .. } | Value::Table(_) => return Err(taken()),
        }
        keys.push(last);
        Ok(keys)
    }

    /// Reads a key and a value into a table.
    fn pair(&mut self, table: &mut Table<'t>, depth: usize) -> Result<(), Fault> {
        let mut keys = self.keys()?;
        if !self.takes("=") {
            return Err(self.fault("a key is followed by = and its value"));
        }
        self.skip_blanks();
        let (line, value) = (self.line, self.value(depth)?);
        let Some(last) = keys.pop() else { return Ok(()) };
        let Some(table) = keys.iter().try_fold(table, |table, key| table.dot(key)) else {
            return Err(last.is_there_twice());
        };
        if table.get(&last.name).is_some() {
            self.faults.push(last.is_there_twice());
        } else {
            table.entries.push(Entry { key: last.name, line: last.line, found: Found { line, value } });
        }
        Ok(())
    }

    /// Reads a key, or several with dots between them, and the blanks behind.
    fn keys(&mut self) -> Result<Vec<Key<'t>>, Fault> {
        let mut keys = Vec::new();
        loop {
            self.skip_blanks();
            let line = self.line;
            let name =
                if self.takes("\"") {
                    self.basic()?
                } else if self.takes("'") {
                    self.literal()?
                } else {
                    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '-';
                    Cow::Borrowed(Some(self.take_until(is_end)).filter(|name| !name.is_empty()).ok_or_else(|| {
                        self.fault("no key: it has letters, digits, - and _, and others only in quotes")
                    })?)
                };
            keys.push(Key { name, line });
            self.skip_blanks();
            if !self.takes(".") {
                return Ok(keys);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'t>, Fault> {
        if depth > DEEPEST {
            return Err(self.fault("lists and tables are nested too deeply"));
        }
        if self.takes("\"\"\"") {
            self.lines('"').map(Value::Text)
        } else if self.takes("'''") {
            self.lines('\'').map(Value::Text)
        } else if self.takes("\"") {
            self.basic().map(Value::Text)
        } else if self.takes("'") {
            self.literal().map(Value::Text)
        } else if self.takes("[") {
            self.list(depth)
        } else if self.takes("{") {
            self.inline(depth)
        } else {
            self.bare()
        }
    }

    fn bare(&mut self) -> Result<Value<'t>, Fault> {
        let word = self.take_until(|letter| matches!(letter, ',' | ']' | '}' | '#') || is_control(letter));
        let word = word.trim_end_matches([' ', '\t']);
        if word.is_empty() {
            return Err(self.fault("a value is missing"));
        }
        if ["true", "false"].contains(&word) || is_number(word) || date(word).is_some() {
            return Ok(Value::Bare(word));
        }
        Err(self.fault(&format!(
            "no value: {}; a text stands in quotes, a number is whole, and a date is like 2027-01-31",
            shown(word)
        )))
    }

    fn list(&mut self, depth: usize) -> Result<Value<'t>, Fault> {
        let mut all = Vec::new();
        loop {
            self.skip_lines();
            if self.takes("]") {
                return Ok(Value::List { all, by_headings: false });
            }
            all.push(Found { line: self.line, value: self.value(depth.saturating_add(1))? });
            self.skip_lines();
            if !self.takes(",") && !self.rest.starts_with(']') {
                return Err(self.fault("a list has commas between its values, and ends with ]"));
            }
        }
    }

    fn inline(&mut self, depth: usize) -> Result<Value<'t>, Fault> {
        let mut table = Table::made(Made::ByHeading);
        self.skip_blanks();
        while !self.takes("}") {
            self.pair(&mut table, depth.saturating_add(1))?;
            self.skip_blanks();
            let goes_on = self.takes(",");
            self.skip_blanks();
            if goes_on == self.rest.starts_with('}') {
                return Err(self.fault("a table in braces is one line with commas between its keys, and ends with }"));
            }
        }
        table.made = Made::Inline;
        Ok(Value::Table(table))
    }

    /// Reads a text behind its first single quote.
    fn literal(&mut self) -> Result<Cow<'t, str>, Fault> {
        let text = self.take_until(|letter| letter == '\'' || is_control(letter));
        if self.takes("'") { Ok(Cow::Borrowed(text)) } else { Err(self.fault("a text ends in its line, with '")) }
    }

    /// Reads a text behind its first double quote.
    fn basic(&mut self) -> Result<Cow<'t, str>, Fault> {
        let mut text = Cow::Borrowed("");
        loop {
            let plain = self.take_until(|letter| matches!(letter, '"' | '\\') || is_control(letter));
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else {
                text.to_mut().push_str(plain);
            }
            if self.takes("\"") {
                return Ok(text);
            } else if self.takes("\\") {
                text.to_mut().push(self.escaped()?);
            } else {
                return Err(self.fault("a text ends in its line, with \""));
            }
        }
    }

    /// Reads a text of several lines behind its first three quotes.
    fn lines(&mut self, quote: char) -> Result<Cow<'t, str>, Fault> {
        let (mut text, first) = (String::new(), self.line);
        self.takes_line_end();
        loop {
            let end = |letter: char| matches!(letter, '"' | '\'' | '\\') || is_control(letter);
            text.push_str(self.take_until(end));
            let Some(letter) = self.rest.chars().next() else {
                return Err(Fault { line: first, what: format!("a text of lines ends with {quote}{quote}{quote}") });
            };
            let quotes = self.rest.chars().take_while(|next| *next == quote).count();
            if quotes >= 3 {
                // Up to two of them belong to the text.
                self.take(quotes.min(5));
                text.extend(std::iter::repeat_n(quote, quotes.min(5).saturating_sub(3)));
                return Ok(Cow::Owned(text));
            } else if quotes > 0 {
                text.push_str(self.take(quotes));
            } else if letter == '\\' && quote == '"' {
                self.take(1);
                if !self.takes_line_behind_backslash() {
                    text.push(self.escaped()?);
                }
            } else if letter == '\n' || self.rest.starts_with("\r\n") {
                text.push_str(self.take(if letter == '\n' { 1 } else { 2 }));
                self.line = self.line.saturating_add(1);
            } else if is_control(letter) {
                return Err(self.fault("a text has a control character, which is written like \\u001b"));
            } else {
                text.push_str(self.take(letter.len_utf8()));
            }
        }
    }

    /// A backslash at the end of a line joins the next line that has something.
    fn takes_line_behind_backslash(&mut self) -> bool {
        let before = self.rest;
        self.skip_blanks();
        if !self.takes_line_end() {
            self.rest = before;
            return false;
        }
        loop {
            self.skip_blanks();
            if !self.takes_line_end() {
                return true;
            }
        }
    }

    /// Reads what a backslash stands for.
    fn escaped(&mut self) -> Result<char, Fault> {
        const LETTERS: [(&str, char); 7] =
            [("b", '\u{8}'), ("t", '\t'), ("n", '\n'), ("f", '\u{c}'), ("r", '\r'), ("\"", '"'), ("\\", '\\')];
        for (letter, meaning) in LETTERS {
            if self.takes(letter) {
                return Ok(meaning);
            }
        }
        let digits = if self.takes("u") {
            4
        } else if self.takes("U") {
            8
        } else {
            0
        };
        let hex = self.rest.get(..digits).filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let letter = hex.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        self.take(if letter.is_some() { digits } else { 0 });
        letter.ok_or_else(|| self.fault("no such letter; a backslash is written \\\\"))
    }
}

/// The number of bytes before the first control character that is no tab.
///
/// Most of a configuration is comments, and this is how they are read, so it looks at eight bytes at a time.
fn before_control(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let (words, tail) = bytes.as_chunks::<8>();
    let mut before = 0usize;
    for word in words {
        let found = controls(*word);
        if found != 0 {
            let first = usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            let at = if word.get(first) == Some(&b'\t') { word.iter().position(ends) } else { Some(first) };
            if let Some(at) = at {
                return before.saturating_add(at);
            }
        }
        before = before.saturating_add(8);
    }
    before.saturating_add(tail.iter().position(ends).unwrap_or(tail.len()))
}

/// Marks control characters among eight bytes: the lowest bit that is set is of the first one.
fn controls(word: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(word);
    // The high bit of a byte is set in the first if it is below 0x20, and in the second if it is 0x7f: never missed. What is set
    // wrongly is above one that is right.
    let (low, delete) = (word.wrapping_sub(EACH.wrapping_mul(0x20)), word.wrapping_add(EACH));
    (low | delete) & !word & EACH.wrapping_mul(0x80)
}

/// Whether a word is a whole number, perhaps with a sign.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    is_digits(digits) && (digits.len() == 1 || !digits.starts_with('0'))
}

/// A whole number that is not negative.
pub(super) fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

/// Year, month and day of a date without a time.
pub(super) fn date(word: &str) -> Option<[u64; 3]> {
    let mut parts = word.split('-').map(|part| Some((part.len(), part)).filter(|(_, part)| is_digits(part)));
    let [year, month, day] = [parts.next()??, parts.next()??, parts.next()??];
    let has_lengths = [year.0, month.0, day.0] == [4, 2, 2] && parts.next().is_none();
    let date @ [year, month, day] = [year.1.parse().ok()?, month.1.parse().ok()?, day.1.parse().ok()?];
    let is_day = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    (has_lengths && is_day).then_some(date)
}

fn is_digits(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests;
