//! A heading: which field of a row is what.

use crate::csv::described::{Described, secret};
use crate::csv_rows::Fields;
use crate::seed::Encoding;
use crate::tokens::Token;

/// What a field can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Serial,
    User,
    Secret,
    Type,
    Algorithm,
    Digits,
    Period,
    Counter,
    Name,
    Maker,
    /// It says nothing that is kept.
    Model,
}

/// The fields in their order.
pub(super) struct Columns {
    order: Vec<Column>,
    /// Microsoft Entra's heading: seeds are Base32.
    is_entra: bool,
}

/// Names of columns, without blanks, hyphens and underscores. The second ones are those of other programs.
const NAMES: [(&str, Column); 19] = [
    ("serial", Column::Serial),
    ("serialnumber", Column::Serial),
    ("user", Column::User),
    ("upn", Column::User),
    ("secret", Column::Secret),
    ("secretkey", Column::Secret),
    ("seed", Column::Secret),
    ("type", Column::Type),
    ("algorithm", Column::Algorithm),
    ("hash", Column::Algorithm),
    ("hashfunction", Column::Algorithm),
    ("digits", Column::Digits),
    ("period", Column::Period),
    ("timeinterval", Column::Period),
    ("timestep", Column::Period),
    ("counter", Column::Counter),
    ("name", Column::Name),
    ("manufacturer", Column::Maker),
    ("model", Column::Model),
];

fn plain(name: &str) -> String {
    name.chars().filter(|letter| !" -_".contains(*letter)).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn column(name: &str) -> Option<Column> {
    let name = plain(name);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

impl Columns {
    /// Reads a heading; `None` if the row is none.
    pub(super) fn of(first: &Fields) -> Result<Option<Self>, String> {
        // A seed of ten bytes is longer than each of these names.
        if !first.iter().any(|name| column(name) == Some(Column::Secret)) {
            return Ok(None);
        }
        let mut order = Vec::new();
        for (number, name) in (1..).zip(first.iter()) {
            // Not quoted: the row may be no heading.
            let column = column(name).ok_or_else(|| {
                format!(
                    "the name of column {number} is not known; known are serial, user, secret, type, algorithm, digits, \
                     period, counter, name, manufacturer and model"
                )
            })?;
            if order.contains(&column) {
                return Err(format!("column {number} was there before"));
            }
            order.push(column);
        }
        let is_entra = first.iter().any(|name| plain(name) == "upn");
        Ok(Some(Self { order, is_entra }))
    }

    pub(super) fn token(&self, fields: &Fields, encoding: Option<Encoding>) -> Result<Token, String> {
        if fields.count() != self.order.len() {
            return Err(format!("it has {} fields, and the heading has {}", fields.count(), self.order.len()));
        }
        let field = |column| self.order.iter().position(|of| *of == column).map_or("", |place| fields.get(place));
        // Where only a counter is given, it is a token that counts presses.
        let kind = match field(Column::Type) {
            "" if field(Column::Period).is_empty() && !field(Column::Counter).is_empty() => "hotp",
            "" => "totp",
            kind => kind,
        };
        let described = Described {
            kind,
            algorithm: field(Column::Algorithm),
            digits: field(Column::Digits),
            period: field(Column::Period),
            counter: field(Column::Counter),
        };
        let encoding = if self.is_entra { Some(Encoding::Base32) } else { encoding };
        let token = described.token(secret(field(Column::Secret), encoding)?)?;
        let token = token.named(field(Column::Name)).of(field(Column::User), field(Column::Maker));
        token.numbered(field(Column::Serial))
    }
}
