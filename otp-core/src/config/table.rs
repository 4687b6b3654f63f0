//! One table of a TOML file, read key by key: every error names file, line and key, and every unknown key is an error.

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

impl<'t> Source<'t> {
    pub(super) fn document(self) -> Result<Spanned<DeTable<'t>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| self.error(error.span(), error.message().replace('\n', ", ")))
    }

    pub(super) fn section(self, document: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        let (prefix, span, table) = (String::new(), document.span(), document.get_ref());
        Section { source: self, prefix, span, table, known: Vec::new() }
    }

    fn error(self, span: Option<Range<usize>>, what: String) -> ConfigError {
        ConfigError { path: self.path.to_owned(), line: span.and_then(|span| self.line(&span)), what }
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
    ) -> Result<(), ConfigError> {
        if let Some(found) = self.get(key) {
            *field = read(Value(found.get_ref())).ok_or_else(|| self.wrong_value(key, found, wanted))?;
        }
        Ok(())
    }

    /// Reads the table under a key, if the key is set.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'t>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        self.get(key).map_or(Ok(()), |found| self.read_table(key, found, read))
    }

    /// Reads the tables of an array of tables in their order, each with the number of its first line, from 1.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'t>, usize) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let Some(found) = self.get(key) else { return Ok(()) };
        let wrong = || self.wrong_value(key, found, &format!("written [[{}{key}]]", self.prefix));
        let tables = found.get_ref().as_array().ok_or_else(wrong)?;
        // Lines are counted from one table to the next: there may be thousands of tables, and every login reads them.
        let (mut counted, mut line) = (0, 1usize);
        tables.iter().try_for_each(|table| {
            let start = table.span().start;
            let between = self.source.text.get(counted..start).unwrap_or_default();
            line = line.saturating_add(between.matches('\n').count());
            counted = start;
            self.read_table(key, table, |section| read(section, line))
        })
    }

    fn read_table(
        &self,
        key: &str,
        found: &'t Spanned<DeValue<'t>>,
        read: impl FnOnce(&mut Section<'t>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let table = found.get_ref().as_table().ok_or_else(|| self.wrong_value(key, found, "a table"))?;
        let prefix = format!("{}{key}.", self.prefix);
        let mut section = Section { source: self.source, prefix, span: found.span(), table, known: Vec::new() };
        read(&mut section)?;
        section.end()
    }

    /// Fails for keys that the program does not know.
    pub(super) fn end(&self) -> Result<(), ConfigError> {
        match self.table.keys().find(|key| !self.known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let known = self.known.join(", ");
                let what = format!("unknown key {}{}; known keys: {known}", self.prefix, key.get_ref().escape_debug());
                Err(self.source.error(Some(key.span()), what))
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// An error of the table as a whole.
    pub(super) fn error(&self, what: &str) -> ConfigError {
        self.source.error(Some(self.span.clone()), format!("{} {what}", self.prefix.trim_end_matches('.')))
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn wrong_value(&self, key: &str, found: &Spanned<DeValue<'_>>, wanted: &str) -> ConfigError {
        self.source.error(Some(found.span()), format!("{}{key} must be {wanted}", self.prefix))
    }
}

impl Value<'_> {
    /// 1 to `most` characters, none of them a control character.
    pub(super) fn text(&self, most: usize) -> Option<String> {
        let fits = |text: &&str| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        self.0.as_str().filter(fits).map(str::to_owned)
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
