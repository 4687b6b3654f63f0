//! One table of a TOML file, read key by key: every error names file, line and key, and every unknown key is an error.
//!
//! An error does not end the reading, so that an administrator learns of all errors at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::ConfigError;
use crate::value::time::UnixTime;

/// The configuration file.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) path: &'t Path,
    pub(super) text: &'t str,
    /// The errors that were found.
    pub(super) errors: &'t RefCell<Errors>,
}

/// The errors of one reading, those of TOML itself first.
#[derive(Default)]
pub(super) struct Errors {
    pub(super) all: Vec<ConfigError>,
    /// How many of them are of TOML itself.
    of_toml: usize,
}

impl Errors {
    /// A value that is no TOML is not judged as well.
    fn add(&mut self, error: ConfigError) {
        if !self.all.iter().take(self.of_toml).any(|before| before.line == error.line) {
            self.all.push(error);
        }
    }
}

/// A table, and the keys that the program knows in it.
pub(super) struct Section<'t> {
    source: Source<'t>,
    /// The name of the table and a dot; empty at the top.
    prefix: String,
    span: Range<usize>,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

/// The value of a key.
pub(super) struct Value<'t>(&'t DeValue<'t>);

/// Empties comment lines, which are most of a configuration, so that a login does not parse them.
///
/// A line that begins with `#` is a comment unless it is inside a multi-line string, and TOML allows no control characters
/// in a comment. A text with either is returned unchanged.
pub(super) fn without_comments(text: &str) -> Cow<'_, str> {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    loop {
        let end = rest.bytes().position(|byte| byte.is_ascii_control());
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        if !line.starts_with('#') {
            kept.push_str(line);
        }
        if after.is_empty() {
            break;
        }
        let Some(next) = after.strip_prefix('\n') else { return Cow::Borrowed(text) };
        kept.push('\n');
        rest = next;
    }
    if kept.contains("\"\"\"") || kept.contains("'''") { Cow::Borrowed(text) } else { Cow::Owned(kept) }
}

/// Keys that are in no table.
pub(super) const OF_NO_TABLE: [&str; 7] =
    ["issuer", "language", "state_directory", "seal_keys", "authority", "local", "enforce"];

impl<'t> Source<'t> {
    /// What could be parsed. Text that is no TOML is an error for each place, and what surrounds it is read.
    pub(super) fn document(self) -> Spanned<DeTable<'t>> {
        let (document, faults) = DeTable::parse_recoverable(self.text);
        let faults = faults.into_iter().map(|error| self.error(error.span(), error.message().replace('\n', ", ")));
        let mut errors = self.errors.borrow_mut();
        errors.all.extend(faults);
        errors.of_toml = errors.all.len();
        document
    }

    pub(super) fn section(self, document: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        let (prefix, span, table) = (String::new(), document.span(), document.get_ref());
        Section { source: self, prefix, span, table, known: Vec::new() }
    }

    fn error(self, span: Option<Range<usize>>, what: String) -> ConfigError {
        ConfigError { path: self.path.to_owned(), line: span.and_then(|span| self.line(&span)), what }
    }

    fn note(self, span: Range<usize>, what: String) {
        self.errors.borrow_mut().add(self.error(Some(span), what));
    }

    fn line(self, span: &Range<usize>) -> Option<usize> {
        let before = self.text.get(..span.start)?;
        Some(before.matches('\n').count().saturating_add(1))
    }
}

impl<'t> Section<'t> {
    /// Sets a field, which holds the default, to the value of a key, if the key is set. `wanted` ends the sentence
    /// "KEY must be".
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        wanted: &str,
        read: impl FnOnce(Value<'t>) -> Option<T>,
    ) {
        if let Some(found) = self.get(key) {
            match read(Value(found.get_ref())) {
                Some(value) => *field = value,
                None => self.wrong_value(key, found, wanted),
            }
        }
    }

    /// Reads the table under a key, if the key is set.
    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'t>)) {
        if let Some(found) = self.get(key) {
            self.read_table(key, found, read);
        }
    }

    /// Reads the tables of an array of tables in their order, each with the number of its first line, from 1.
    pub(super) fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'t>, usize)) {
        let Some(found) = self.get(key) else { return };
        let Some(tables) = found.get_ref().as_array() else {
            return self.wrong_value(key, found, &format!("written [[{}{key}]]", self.prefix));
        };
        // Lines are counted from one table to the next: there may be thousands of tables, and every login reads them.
        let (mut counted, mut line) = (0, 1usize);
        for table in tables {
            let start = table.span().start;
            let between = self.source.text.get(counted..start).unwrap_or_default();
            line = line.saturating_add(between.matches('\n').count());
            counted = start;
            self.read_table(key, table, |section| read(section, line));
        }
    }

    fn read_table(&self, key: &str, found: &'t Spanned<DeValue<'t>>, read: impl FnOnce(&mut Section<'t>)) {
        let Some(table) = found.get_ref().as_table() else { return self.wrong_value(key, found, "a table") };
        let prefix = format!("{}{key}.", self.prefix);
        let mut section = Section { source: self.source, prefix, span: found.span(), table, known: Vec::new() };
        read(&mut section);
        section.end();
    }

    /// An error for each key that the program does not know.
    pub(super) fn end(&self) {
        for key in self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let known = self.known.join(", ");
            let key_here = key.get_ref().as_ref();
            // Where one appends to a file, the last table goes on.
            let of_no_table = if !self.prefix.is_empty() && OF_NO_TABLE.contains(&key_here) {
                format!("; {key_here} comes before the first [table]")
            } else {
                String::new()
            };
            let what =
                format!("unknown key {}{}{of_no_table}; known keys: {known}", self.prefix, key_here.escape_debug());
            self.source.note(key.span(), what);
        }
    }

    /// Leaves a key to another reader of the file.
    pub(super) fn leave(&mut self, key: &'static str) {
        self.known.push(key);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// An error of the table as a whole.
    pub(super) fn error(&self, what: &str) {
        self.source.note(self.span.clone(), format!("{} {what}", self.prefix.trim_end_matches('.')));
    }

    /// The number of errors so far.
    pub(super) fn errors(&self) -> usize {
        self.source.errors.borrow().all.len()
    }

    /// An error of a key's value, which was read already. `wanted` ends the sentence "KEY must be".
    pub(super) fn reject(&self, key: &'static str, wanted: &str) {
        if let Some(found) = self.table.get(key) {
            self.wrong_value(key, found, wanted);
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn wrong_value(&self, key: &str, found: &Spanned<DeValue<'_>>, wanted: &str) {
        self.source.note(found.span(), format!("{}{key} must be {wanted}", self.prefix));
    }
}

impl Value<'_> {
    /// 1 to `most` characters, none of them a control character.
    pub(super) fn text(&self, most: usize) -> Option<String> {
        let fits = |text: &&str| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        self.0.as_str().filter(fits).map(str::to_owned)
    }

    /// The same, in which lines may end.
    pub(super) fn lines(&self, most: usize) -> Option<String> {
        let fits = |text: &&str| {
            (1..=most).contains(&text.chars().count())
                && !text.chars().any(|letter| letter.is_control() && letter != '\n')
        };
        self.0.as_str().filter(fits).map(str::to_owned)
    }

    /// Whether it is a list of texts, at least one, and `take` takes each.
    pub(super) fn each_text(&self, take: &mut dyn FnMut(&str) -> bool) -> bool {
        let all = self.0.as_array().filter(|all| !all.is_empty());
        all.is_some_and(|all| all.iter().all(|one| one.get_ref().as_str().is_some_and(&mut *take)))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.0.as_array().is_some_and(|all| all.is_empty())
    }

    /// At least one text, each as [`Value::text`] reads it.
    pub(super) fn texts(&self, most: usize) -> Option<Vec<String>> {
        let all = self.0.as_array().filter(|all| !all.is_empty())?;
        all.iter().map(|one| Value(one.get_ref()).text(most)).collect()
    }

    pub(super) fn truth(&self) -> Option<bool> {
        self.0.as_bool()
    }

    /// A date without a time, as the moment at which it begins in UTC.
    pub(super) fn date(&self) -> Option<UnixTime> {
        let moment = self.0.as_datetime().filter(|moment| moment.time.is_none() && moment.offset.is_none())?;
        let date = moment.date?;
        UnixTime::midnight(date.year.into(), date.month.into(), date.day.into())
    }

    /// A whole number that is not negative.
    pub(super) fn number<T: TryFrom<u64>>(&self) -> Option<T> {
        let number = self.0.as_integer()?;
        T::try_from(u64::from_str_radix(number.as_str(), number.radix()).ok()?).ok()
    }
}
