//! What files of tokens have in common: an entry for each token, whose it is, and the tokens of one user together.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use otp_core::codes::hotp_totp::{Algorithm, Digits};
use otp_core::decision::import::{Found, Imported};
use otp_core::record::credentials::{DeviceName, Kind, Serial};
use otp_core::value::secret::Secret;

use crate::index::{Index, Row, faults_together};
use crate::map::Map;
use crate::source::{Entry, Fault, Source, Whose, is_user};

/// A token as a file describes it.
pub struct Token {
    pub device: Imported,
    /// Whose it is, if the file says it.
    pub user: Option<String>,
    pub maker: Option<String>,
    pub remarks: Vec<String>,
}

/// A format with a token an entry. A token is read twice: to find faults, and when it is wanted. So its seed is in memory
/// only as long as it is looked at.
pub trait Format: Sync {
    /// The token that stands there, or what is wrong with it, without a word of it.
    fn token(&self, place: usize) -> Result<Token, String>;
    /// Where it stands in the text.
    fn range(&self, place: usize) -> io::Result<Range<usize>>;
}

/// An entry when it is first read.
pub(crate) struct Place {
    pub(crate) line: usize,
    /// What [`Format::token`] finds it by. It grows from entry to entry.
    pub(crate) place: usize,
    pub(crate) token: Result<Token, String>,
}

/// The tokens of a file that have no fault.
pub struct Tokens<F> {
    format: F,
    index: Index,
    map: Map,
}

impl Token {
    /// A token that no user has used.
    pub(crate) fn new(kind: Kind, secret: Secret, algorithm: Algorithm, digits: Digits) -> Self {
        let device = Imported {
            kind,
            secret,
            algorithm,
            digits,
            next: 0,
            last: None,
            is_confirmed: false,
            name: Some(DeviceName::of_token()),
            serial: None,
        };
        Self { device, user: None, maker: None, remarks: Vec::new() }
    }

    /// Notes a name that the file proposes. One that no device may have is not taken.
    pub(crate) fn named(mut self, name: &str) -> Self {
        if let Ok(name) = DeviceName::chosen(name) {
            self.device.name = Some(name);
        }
        self
    }

    /// Notes the number; an empty text is none.
    pub(crate) fn numbered(mut self, serial: &str) -> Result<Self, String> {
        if !serial.is_empty() {
            let serial = Serial::parse(serial).ok_or("a serial number has 1 to 40 printable ASCII characters")?;
            self.device.serial = Some(serial);
        }
        Ok(self)
    }

    /// Notes user and maker; an empty text is none.
    pub(crate) fn of(mut self, user: &str, maker: &str) -> Self {
        self.user = Some(user).filter(|user| !user.is_empty()).map(str::to_owned);
        let maker: String = maker.chars().filter(|letter| !letter.is_control()).take(80).collect();
        self.maker = Some(maker.trim().to_owned()).filter(|maker| !maker.is_empty());
        self
    }
}

/// A user name without what follows its last `@`.
pub(crate) fn without_domain(user: &str) -> &str {
    user.rsplit_once('@').map_or(user, |(name, _)| name)
}

/// `SHA1`, `SHA-1`, `hmac-sha1` and the like; nothing is SHA-1.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
    match plain.strip_prefix("HMAC").unwrap_or(&plain) {
        "" => Ok(Algorithm::Sha1),
        name => Algorithm::parse(name).ok_or_else(|| "its hash is none of SHA1, SHA256 and SHA512".to_owned()),
    }
}

/// Notes whose each token is, and what is wrong with the others, in the order of the file.
pub(crate) fn index(
    format: &impl Format,
    places: impl Iterator<Item = io::Result<Place>>,
    map: &Map,
) -> io::Result<(Index, Vec<Fault>)> {
    let (mut index, mut serials, mut faults) = (Index::default(), Index::default(), Vec::new());
    for place in places {
        let Place { line, place, token } = place?;
        let noted = token.and_then(|token| {
            if let Some(serial) = &token.device.serial {
                serials.note(&Whose::Serial(serial.as_str().to_owned()), line, place)?;
            }
            Ok(index.note(&owner(&token, map)?.0, line, place)?)
        });
        faults.extend(noted.err().map(|what| Fault { line, what }));
    }
    let mut copies = HashSet::new();
    faults.extend(serials.put_together(|rows| {
        let first = rows.first().map_or(0, Row::line);
        let fault = |row: &Row| {
            copies.insert(row.place());
            Fault { line: row.line(), what: format!("the serial number is the one of line {first}") }
        };
        rows.iter().skip(1).map(fault).collect()
    }));
    drop(serials);
    index.remove(&copies);
    let secret = |row: &Row| Ok(format.token(row.place())?.device.secret);
    faults.extend(index.put_together(|rows| faults_together(rows, secret)));
    faults.sort_by_key(|fault| fault.line);
    Ok((index, faults))
}

/// Who gets a token, and whether the map says so, and not the file alone. The map comes before what the file says.
fn owner(token: &Token, map: &Map) -> Result<(Whose, bool), String> {
    let serial = token.device.serial.as_ref();
    let mapped = serial.and_then(|serial| map.user(serial));
    match (mapped.or(token.user.as_deref()), serial) {
        (Some(user), _) if !is_user(user) => Err("the user name is not valid".to_owned()),
        (Some(user), _) => Ok((Whose::User(user.to_owned()), mapped.is_some())),
        (None, Some(serial)) => Ok((Whose::Serial(serial.as_str().to_owned()), false)),
        (None, None) => Err("it has neither a user nor a serial number".to_owned()),
    }
}

impl<F: Format> Tokens<F> {
    pub(crate) fn of(format: F, index: Index, map: Map) -> Self {
        Self { format, index, map }
    }
}

impl<F: Format> Source for Tokens<F> {
    fn count(&self) -> usize {
        self.index.count()
    }

    fn has_stock(&self) -> bool {
        self.index.has_stock
    }

    fn entry(&self, place: usize) -> Result<Entry, Fault> {
        let (whose, tokens) = self.index.again(place, |row| {
            let token = self.format.token(row.place())?;
            let (owner, is_by_map) = owner(&token, &self.map)?;
            Ok((owner, (token, is_by_map)))
        })?;
        // A file of tokens comes from their maker, who is not the one to give root a device.
        let may_be_root = tokens.iter().all(|(_, is_by_map)| *is_by_map);
        let (mut found, mut remarks) = (Found { devices: Vec::new(), scratch: Vec::new() }, Vec::new());
        let mut made = None;
        for (Token { device, maker, remarks: more, .. }, _) in tokens {
            found.devices.push(device);
            remarks.extend(more);
            made = made.or(maker);
        }
        Ok(Entry { whose, may_be_root, found, remarks, maker: made })
    }

    fn ranges(&self, place: usize) -> io::Result<Vec<Range<usize>>> {
        self.index.rows(place).map(|row| self.format.range(row.place())).collect()
    }
}
