//! Tokens as comma-separated values: a heading that names the columns, or one of the layouts that makers and other programs write.

mod columns;
mod described;
mod layouts;

use std::ops::Range;

use crate::csv::columns::Columns;
use crate::csv_rows::{Fields, Row, Rows};
use crate::map::Map;
use crate::seed::Encoding;
use crate::source::{Fault, Read};
use crate::tokens::{Format, Token, Tokens, without_domain};

/// What the command line says of a file.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// How seeds are written, where the layout leaves it open.
    pub encoding: Option<Encoding>,
    /// Users are written with a domain (`alice@example.org`) that their accounts do not have.
    pub without_domain: bool,
}

/// What the fields of a row are.
enum Layout {
    /// As the first row says.
    Columns(Columns),
    /// `serial, seed, type, digits, period or counter`; LinOTP and privacyIDEA read and write it.
    Oath,
    /// The log of Yubico's personalization tool, in either of its two forms.
    Yubico,
}

/// A file and its layout.
pub struct File<'t> {
    text: &'t [u8],
    layout: Layout,
    options: Options,
}

/// Parses a whole file. Where its layout is not known, there is one fault and no token.
pub fn read<'t>(text: &'t [u8], options: Options, map: &Map) -> Read<Tokens<File<'t>>> {
    let mut rows = Rows::of(text).peekable();
    let (mut faults, mut layout) = (Vec::new(), Layout::Oath);
    if let Some(first) = rows.peek() {
        let fields = match first.fault {
            Some(fault) => Err(fault.to_owned()),
            None => Fields::of(text.get(first.range.clone()).unwrap_or_default()).map_err(str::to_owned),
        };
        match fields.and_then(|fields| Layout::of(&fields)) {
            Ok(known) => layout = known,
            Err(what) => faults.push(Fault { line: first.line, what }),
        }
    }
    let (is_heading, is_log) = (matches!(layout, Layout::Columns(_)), matches!(layout, Layout::Yubico));
    // Without a layout, no row can be read.
    let most = if faults.is_empty() { usize::MAX } else { 0 };
    let says_nothing = |row: &Row| {
        let fields = Fields::of(text.get(row.range.clone()).unwrap_or_default());
        is_log && fields.is_ok_and(|fields| layouts::is_start_of_log(&fields))
    };
    let rows = rows.skip(usize::from(is_heading)).take(most).filter(|row| !says_nothing(row));
    let places = rows.map(|row| (row.line, row.fault.map_or(Ok(row.range), |fault| Err(fault.to_owned()))));
    let mut read = Tokens::of(File { text, layout, options }, places, map);
    faults.append(&mut read.faults);
    Read { entries: read.entries, faults }
}

impl Layout {
    fn of(first: &Fields) -> Result<Self, String> {
        if let Some(columns) = Columns::of(first)? {
            Ok(Self::Columns(columns))
        } else if layouts::is_of_yubico(first) {
            Ok(Self::Yubico)
        } else if (2..=5).contains(&first.count()) {
            Ok(Self::Oath)
        } else {
            Err("its layout is not known: write a heading such as serial,user,secret,type,digits,period,counter".into())
        }
    }
}

impl Format for File<'_> {
    fn token(&self, range: Range<usize>) -> Result<Token, String> {
        let fields = Fields::of(self.text.get(range).unwrap_or_default())?;
        let mut token = match &self.layout {
            Layout::Columns(columns) => columns.token(&fields, self.options.encoding),
            Layout::Oath => layouts::oath(&fields, self.options.encoding),
            Layout::Yubico => layouts::yubico(&fields),
        }?;
        if self.options.without_domain {
            token.user = token.user.map(|user| without_domain(&user).to_owned());
        }
        Ok(token)
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, clippy::wildcard_enum_match_arm, reason = "a test that goes wrong panics, and so fails")]
mod tests;
