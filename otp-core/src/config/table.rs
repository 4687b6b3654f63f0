//! One table of a TOML file, read key by key: every error names file, line and key, and every unknown key is an error.
//!
//! An error does not end the reading, so that an administrator learns of all errors at once.

use std::cell::RefCell;
use std::path::Path;

use crate::config::document::{self, Entry, Found, Table};
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
    #[cold]
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
    line: usize,
    table: &'t Table<'t>,
    known: Vec<&'static str>,
}

/// The value of a key.
pub(super) struct Value<'t>(&'t document::Value<'t>);

/// Keys that are in no table.
pub(super) const OF_NO_TABLE: [&str; 7] =
    ["issuer", "language", "state_directory", "seal_keys", "authority", "local", "enforce"];

impl<'t> Source<'t> {
    /// What could be parsed. Text that is no TOML is an error for each place, and what surrounds it is read.
    pub(super) fn document(self) -> Table<'t> {
        let (document, faults) = document::read(self.text);
        let faults = faults.into_iter().map(|fault| self.error(fault.line, fault.what));
        let mut errors = self.errors.borrow_mut();
        errors.all.extend(faults);
        errors.of_toml = errors.all.len();
        document
    }

    pub(super) fn section(self, document: &'t Table<'t>) -> Section<'t> {
        Section { source: self, prefix: String::new(), line: 1, table: document, known: Vec::new() }
    }

    #[cold]
    fn error(self, line: usize, what: String) -> ConfigError {
        ConfigError { path: self.path.to_owned(), line: Some(line), what }
    }

    #[cold]
    fn note(self, line: usize, what: String) {
        self.errors.borrow_mut().add(self.error(line, what));
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
            match read(Value(&found.value)) {
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

    /// Reads the tables of an array of tables in their order.
    pub(super) fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'t>)) {
        let Some(found) = self.get(key) else { return };
        let document::Value::List { all, .. } = &found.value else {
            return self.wrong_value(key, found, &format!("written [[{}{key}]]", self.prefix));
        };
        for table in all {
            self.read_table(key, table, &mut read);
        }
    }

    fn read_table(&self, key: &str, found: &'t Found<'t>, read: impl FnOnce(&mut Section<'t>)) {
        let document::Value::Table(table) = &found.value else { return self.wrong_value(key, found, "a table") };
        let prefix = format!("{}{key}.", self.prefix);
        let mut section = Section { source: self.source, prefix, line: found.line, table, known: Vec::new() };
        read(&mut section);
        section.end();
    }

    /// An error for each key that the program does not know.
    pub(super) fn end(&self) {
        for Entry { key, line, .. } in &self.table.entries {
            let key_here = key.as_ref();
            if self.known.contains(&key_here) {
                continue;
            }
            let known = self.known.join(", ");
            // Where one appends to a file, the last table goes on.
            let of_no_table = if !self.prefix.is_empty() && OF_NO_TABLE.contains(&key_here) {
                format!("; {key_here} comes before the first [table]")
            } else {
                String::new()
            };
            let what =
                format!("unknown key {}{}{of_no_table}; known keys: {known}", self.prefix, document::shown(key_here));
            self.source.note(*line, what);
        }
    }

    /// Leaves a key to another reader of the file.
    pub(super) fn leave(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// The line in which the table begins, from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// An error of the table as a whole.
    #[cold]
    pub(super) fn error(&self, what: &str) {
        self.source.note(self.line, format!("{} {what}", self.prefix.trim_end_matches('.')));
    }

    /// The number of errors so far.
    pub(super) fn errors(&self) -> usize {
        self.source.errors.borrow().all.len()
    }

    /// An error of a key's value, which was read already. `wanted` ends the sentence "KEY must be".
    #[cold]
    pub(super) fn reject(&self, key: &'static str, wanted: &str) {
        if let Some(entry) = self.table.get(key) {
            self.wrong_value(key, &entry.found, wanted);
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Found<'t>> {
        self.known.push(key);
        self.table.get(key).map(|entry| &entry.found)
    }

    #[cold]
    fn wrong_value(&self, key: &str, found: &Found<'_>, wanted: &str) {
        self.source.note(found.line, format!("{}{key} must be {wanted}", self.prefix));
    }
}

impl Value<'_> {
    fn as_str(&self) -> Option<&str> {
        if let document::Value::Text(text) = self.0 { Some(text) } else { None }
    }

    fn as_bare(&self) -> Option<&str> {
        if let document::Value::Bare(word) = self.0 { Some(word) } else { None }
    }

    fn as_list(&self) -> Option<&[Found<'_>]> {
        if let document::Value::List { all, .. } = self.0 { Some(all) } else { None }
    }

    /// 1 to `most` characters, none of them a control character.
    pub(super) fn text(&self, most: usize) -> Option<String> {
        self.lines(most).filter(|text| !text.contains('\n'))
    }

    /// The same, in which lines may end.
    pub(super) fn lines(&self, most: usize) -> Option<String> {
        let fits = |text: &&str| {
            (1..=most).contains(&text.chars().count())
                && !text.chars().any(|letter| letter.is_control() && letter != '\n')
        };
        self.as_str().filter(fits).map(str::to_owned)
    }

    /// Whether it is a list of texts, at least one, and `take` takes each.
    pub(super) fn each_text(&self, take: &mut dyn FnMut(&str) -> bool) -> bool {
        let all = self.as_list().filter(|all| !all.is_empty());
        all.is_some_and(|all| all.iter().all(|one| Value(&one.value).as_str().is_some_and(&mut *take)))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.as_list().is_some_and(<[_]>::is_empty)
    }

    /// At least one text, each as [`Value::text`] reads it.
    pub(super) fn texts(&self, most: usize) -> Option<Vec<String>> {
        let all = self.as_list().filter(|all| !all.is_empty())?;
        all.iter().map(|one| Value(&one.value).text(most)).collect()
    }

    pub(super) fn truth(&self) -> Option<bool> {
        self.as_bare()?.parse().ok()
    }

    /// A date without a time, as the moment at which it begins in UTC.
    pub(super) fn date(&self) -> Option<UnixTime> {
        let [year, month, day] = document::date(self.as_bare()?)?;
        UnixTime::midnight(year, month, day)
    }

    /// A whole number that is not negative.
    pub(super) fn number<T: TryFrom<u64>>(&self) -> Option<T> {
        T::try_from(document::number(self.as_bare()?)?).ok()
    }
}
