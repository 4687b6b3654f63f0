//! Tokens as comma-separated values: a heading that names the columns, or one of the layouts that makers and other programs write.

mod columns;
mod described;
mod layouts;

use std::io;
use std::ops::Range;

use crate::csv::columns::Columns;
use crate::csv_rows::{Fields, Row, Rows, row_at};
use crate::map::Map;
use crate::seed::Encoding;
use crate::source::{Fault, Read};
use crate::text::{Text, unread};
use crate::tokens::{self, Format, Place, Token, Tokens, without_domain};

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
pub struct File<T> {
    text: T,
    layout: Layout,
    options: Options,
}

/// Parses a whole file. Where its layout is not known, there is one fault and no token.
pub fn read<T: Text>(text: T, options: Options, map: Map) -> io::Result<Read<Tokens<File<T>>>> {
    let (mut faults, mut layout) = (Vec::new(), Layout::Oath);
    // Without a layout, no row can be read.
    let mut most = usize::MAX;
    if let Some(first) = Rows::of(&text).next().transpose()? {
        match first.fields.map_err(str::to_owned).and_then(|fields| Layout::of(&fields)) {
            Ok(known) => layout = known,
            Err(what) => {
                faults.push(Fault { line: first.line, what });
                most = 0;
            }
        }
    }
    let file = File { text, layout, options };
    let is_heading = matches!(file.layout, Layout::Columns(_));
    let rows = Rows::of(&file.text).skip(usize::from(is_heading)).take(most);
    let places = rows.filter_map(|row| row.map(|row| file.place(row)).transpose());
    let (index, more) = tokens::index(&file, places, &map)?;
    faults.extend(more);
    Ok(Read { entries: Tokens::of(file, index, map), faults })
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

impl<T: Text> File<T> {
    /// What a row says; nothing where a log says when it began.
    fn place(&self, Row { line, place, fields }: Row) -> Option<Place> {
        let is_log = matches!(self.layout, Layout::Yubico);
        if is_log && fields.as_ref().is_ok_and(layouts::is_start_of_log) {
            return None;
        }
        let token = fields.map_err(str::to_owned).and_then(|fields| self.of_fields(&fields));
        Some(Place { line, place, token })
    }

    fn of_fields(&self, fields: &Fields) -> Result<Token, String> {
        let mut token = match &self.layout {
            Layout::Columns(columns) => columns.token(fields, self.options.encoding),
            Layout::Oath => layouts::oath(fields, self.options.encoding),
            Layout::Yubico => layouts::yubico(fields),
        }?;
        if self.options.without_domain {
            token.user = token.user.map(|user| without_domain(&user).to_owned());
        }
        Ok(token)
    }
}

impl<T: Text> Format for File<T> {
    fn token(&self, place: usize) -> Result<Token, String> {
        self.of_fields(&Fields::of(&row_at(&self.text, place).map_err(|error| unread(&error))?)?)
    }

    fn range(&self, place: usize) -> io::Result<Range<usize>> {
        Ok(place..place.saturating_add(row_at(&self.text, place)?.len()))
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, clippy::wildcard_enum_match_arm, reason = "a test that goes wrong panics, and so fails")]
mod tests;
