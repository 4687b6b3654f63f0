//! What files of tokens have in common: an entry for each token, whose it is, and the tokens of one user together.

use std::collections::HashMap;
use std::ops::Range;

use otp_core::codes::hotp_totp::{Algorithm, Digits};
use otp_core::decision::import::{Found, Imported};
use otp_core::record::credentials::{DeviceName, Kind, Serial};
use otp_core::record::id::MOST_DEVICES;
use otp_core::value::secret::Secret;

use crate::map::Map;
use crate::source::{Fault, Read, Source, Whose, is_user};

/// A token as a file describes it.
pub struct Token {
    pub device: Imported,
    /// Whose it is, if the file says it.
    pub user: Option<String>,
    pub maker: Option<String>,
    pub remarks: Vec<String>,
}

/// A format with a token an entry. A token is read twice: to find faults, and when it is wanted. So its seed is in memory
/// only in the text, which is wiped.
pub trait Format: Sync {
    /// The token that stands there, or what is wrong with it, without a word of it.
    fn token(&self, range: Range<usize>) -> Result<Token, String>;
}

/// The tokens of a file that have no fault.
pub struct Tokens<F> {
    format: F,
    /// Ordered by their owners.
    rows: Vec<Row>,
    /// The rows of each owner, in the order in which owners first appear.
    entries: Vec<Range<usize>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    User(Box<str>),
    /// Nobody; the number of the token.
    Nobody(Box<str>),
}

struct Row {
    owner: Owner,
    /// Whether the map says whose it is, and not the file alone.
    by_map: bool,
    line: usize,
    range: Range<usize>,
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

    /// Notes whose it is and who made it; an empty text is nobody.
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

impl<F: Format> Tokens<F> {
    /// Reads what stands at these lines and ranges. An entry of the map comes before what the file says.
    pub(crate) fn of(
        format: F,
        places: impl IntoIterator<Item = (usize, Result<Range<usize>, String>)>,
        map: &Map,
    ) -> Read<Self> {
        let (mut rows, mut faults, mut serials) = (Vec::new(), Vec::new(), HashMap::new());
        for (line, range) in places {
            let owned = range.and_then(|range| {
                let token = format.token(range.clone())?;
                let by_map = token.device.serial.as_ref().is_some_and(|serial| map.user(serial).is_some());
                Ok((owner(token, line, map, &mut serials)?, by_map, range))
            });
            match owned {
                Ok((owner, by_map, range)) => rows.push(Row { owner, by_map, line, range }),
                Err(what) => faults.push(Fault { line, what }),
            }
        }
        rows.sort_unstable_by(|one, other| (&one.owner, one.line).cmp(&(&other.owner, other.line)));
        let (mut entries, mut start) = (Vec::new(), 0usize);
        for of_one in rows.chunk_by(|one, other| one.owner == other.owner) {
            let end = start.saturating_add(of_one.len());
            let together = faults_together(&format, of_one);
            if together.is_empty() {
                entries.push(start..end);
            }
            faults.extend(together);
            start = end;
        }
        entries.sort_unstable_by_key(|range| rows.get(range.start).map(|row| (row.line, row.range.start)));
        faults.sort_by_key(|fault| fault.line);
        Read { entries: Self { format, rows, entries }, faults }
    }

    fn rows(&self, place: usize) -> &[Row] {
        self.entries.get(place).and_then(|range| self.rows.get(range.clone())).unwrap_or_default()
    }

    fn tokens(&self, place: usize) -> impl Iterator<Item = Token> {
        self.rows(place).iter().filter_map(|row| self.format.token(row.range.clone()).ok())
    }
}

/// Who gets a token.
fn owner(token: Token, line: usize, map: &Map, serials: &mut HashMap<Box<str>, usize>) -> Result<Owner, String> {
    let serial = token.device.serial;
    if let Some(serial) = &serial
        && let Some(first) = serials.insert(serial.as_str().into(), line)
    {
        return Err(format!("the serial number is the one of line {first}"));
    }
    let mapped = serial.as_ref().and_then(|serial| map.user(serial)).map(str::to_owned);
    match (mapped.or(token.user), serial) {
        (Some(user), _) if !is_user(&user) => Err("the user name is not valid".to_owned()),
        (Some(user), _) => Ok(Owner::User(user.into())),
        (None, Some(serial)) => Ok(Owner::Nobody(serial.as_str().into())),
        (None, None) => Err("it has neither a user nor a serial number".to_owned()),
    }
}

/// Faults between the tokens of one user.
fn faults_together(format: &impl Format, rows: &[Row]) -> Vec<Fault> {
    let (mut faults, mut seen): (Vec<Fault>, Vec<(usize, Secret)>) = (Vec::new(), Vec::new());
    if rows.len() == 1 {
        return faults;
    }
    for Row { line, range, .. } in rows {
        let Ok(Token { device: Imported { secret, .. }, .. }) = format.token(range.clone()) else { continue };
        if let Some((first, _)) = seen.iter().find(|(_, other)| other.expose() == secret.expose()) {
            faults.push(Fault { line: *line, what: format!("the seed is the one of line {first}, of the same user") });
        } else if seen.len() == MOST_DEVICES {
            faults.push(Fault { line: *line, what: format!("the user has more than {MOST_DEVICES} devices") });
            break;
        } else {
            seen.push((*line, secret));
        }
    }
    faults
}

impl<F: Format> Source for Tokens<F> {
    fn count(&self) -> usize {
        self.entries.len()
    }

    /// A file of tokens comes from their maker, who is not the one to give root a device.
    fn may_be_root(&self, place: usize) -> bool {
        self.rows(place).iter().all(|row| row.by_map)
    }

    fn whose(&self, place: usize) -> Whose<'_> {
        match self.rows(place).first().map(|row| &row.owner) {
            Some(Owner::User(user)) => Whose::User(user),
            Some(Owner::Nobody(serial)) => Whose::Serial(serial),
            None => Whose::User(""),
        }
    }

    fn found(&self, place: usize) -> Found {
        Found { devices: self.tokens(place).map(|token| token.device).collect(), scratch: Vec::new() }
    }

    fn ranges(&self, place: usize) -> Vec<Range<usize>> {
        self.rows(place).iter().map(|row| row.range.clone()).collect()
    }

    fn remarks(&self, place: usize) -> Vec<String> {
        self.tokens(place).flat_map(|token| token.remarks).collect()
    }

    fn maker(&self, place: usize) -> Option<String> {
        self.tokens(place).find_map(|token| token.maker)
    }
}
