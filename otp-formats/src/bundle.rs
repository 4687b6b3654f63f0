//! Records of many users as one text, one after the other: what is inside a bundle, which otp-enroll encrypts. All of it or
//! nothing is good: only this program writes it.

use std::fmt;
use std::io::{self, Read, Write};

use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::{LARGEST, ReadContext};
use otp_core::record::error::RecordError;
use otp_core::record::state_slot::{SLOT_SIZE, Slot};
use otp_core::value::system_error::described;
use otp_core::value::time::UnixTime;
use zeroize::Zeroizing;

/// The first line.
const BEGINNING: &str = "pam_otp-bundle ";

/// The format that this program writes, and the only one it reads.
const VERSION: &str = "1";

/// Most bytes of a line that is not of a record.
const LONGEST_LINE: usize = 320;

/// Blanks after the last line. What encrypts has a buffer of this size, which is not wiped: they overwrite what was in it.
const PADDING: usize = 65_536;

/// Where a bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub host: String,
    pub made: UnixTime,
}

/// Writes a bundle, record by record, in the order of the names of their files.
pub struct Writer<W> {
    output: W,
    records: u64,
}

/// Reads a bundle, record by record.
pub struct Reader<R> {
    input: R,
    head: Head,
    records: u64,
    /// The name of the file of the record before.
    before: Option<String>,
}

/// Why a bundle cannot be read. No error quotes a record.
#[derive(Debug)]
pub enum BundleError {
    Unreadable(io::Error),
    /// It ends too early.
    Cut,
    NotABundle,
    Version(String),
    Head,
    /// What stands before a record, by its number.
    Frame(u64),
    Record(u64, RecordError),
    State(u64),
    /// A record that is not after the one before it: there would be two of one user.
    Order(u64),
    Miscounted {
        said: u64,
        read: u64,
    },
    TooLong,
}

impl<W: Write> Writer<W> {
    pub fn begin(mut output: W, head: &Head) -> io::Result<Self> {
        // A name that was set by hand may be anything.
        let host: String = head.host.chars().filter(char::is_ascii_graphic).take(255).collect();
        write!(output, "{BEGINNING}{VERSION}\nhost {host}\ntime {}\n", head.made.0)?;
        Ok(Self { output, records: 0 })
    }

    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let credentials = record.credentials.encode();
        let slot = Slot { sequence: 1, state: record.state.clone() }.encode();
        // Eight devices always fit.
        let slot = slot.ok_or(io::ErrorKind::InvalidData)?;
        // The slot without its padding.
        let state = slot.trim_ascii_end();
        writeln!(self.output, "record {} {}", credentials.len(), state.len())?;
        self.output.write_all(credentials.as_bytes())?;
        self.output.write_all(state)?;
        self.output.write_all(b"\n")?;
        self.records = self.records.saturating_add(1);
        Ok(())
    }

    /// Returns what was written to.
    pub fn end(mut self) -> io::Result<W> {
        writeln!(self.output, "end {}", self.records)?;
        for _ in 0..PADDING.checked_div(BLANKS.len()).unwrap_or(0) {
            self.output.write_all(&BLANKS)?;
        }
        Ok(self.output)
    }
}

const BLANKS: [u8; 1024] = [b' '; 1024];

impl<R: Read> Reader<R> {
    pub fn begin(mut input: R) -> Result<Self, BundleError> {
        let first = line(&mut input)
            .map_err(|error| if let BundleError::Head = error { BundleError::NotABundle } else { error })?;
        let version = first.strip_prefix(BEGINNING).ok_or(BundleError::NotABundle)?;
        if version != VERSION {
            let is_number = version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if is_number { BundleError::Version(version.to_owned()) } else { BundleError::NotABundle });
        }
        let (host, made) = (line(&mut input)?, line(&mut input)?);
        let host = host.strip_prefix("host ").filter(|host| host.bytes().all(|byte| byte.is_ascii_graphic()));
        let made = made.strip_prefix("time ").and_then(number);
        let (Some(host), Some(made)) = (host, made) else { return Err(BundleError::Head) };
        Ok(Self { input, head: Head { host: host.to_owned(), made: UnixTime(made) }, records: 0, before: None })
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What is read from, to begin again.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next record; `None` after the last one, where the bundle is whole.
    pub fn next_record(&mut self) -> Result<Option<Record>, BundleError> {
        let line = line(&mut self.input)?;
        if let Some(said) = line.strip_prefix("end ").and_then(number) {
            let read = self.records;
            self.nothing_follows()?;
            return if said == read { Ok(None) } else { Err(BundleError::Miscounted { said, read }) };
        }
        self.records = self.records.saturating_add(1);
        let this = self.records;
        let lengths = line.strip_prefix("record ").and_then(|lengths| lengths.split_once(' '));
        let lengths = lengths.and_then(|(credentials, state)| {
            let [credentials, state] = [credentials, state].map(|text| usize::try_from(number(text)?).ok());
            Some((credentials.filter(|length| *length <= LARGEST)?, state.filter(|length| *length < SLOT_SIZE)?))
        });
        let (credentials, state) = lengths.ok_or(BundleError::Frame(this))?;
        let text = self.exactly(credentials)?;
        let read = Credentials::decode(&text, ReadContext::ANYONE);
        let credentials = read.map_err(|error| BundleError::Record(this, error))?;
        let mut slot = [b' '; SLOT_SIZE];
        if let Some(end) = slot.last_mut() {
            *end = b'\n';
        }
        let text = self.exactly(state.saturating_add(1))?;
        slot.iter_mut().zip(&*text).for_each(|(to, from)| *to = *from);
        let slot = Slot::decode(&slot).ok_or(BundleError::State(this))?;
        let record = Record::new(credentials, slot.state).map_err(|error| BundleError::Record(this, error))?;
        let stem = record.credentials.user.file_stem();
        if self.before.as_ref().is_some_and(|before| *before >= stem) {
            return Err(BundleError::Order(this));
        }
        self.before = Some(stem);
        Ok(Some(record))
    }

    fn exactly(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.input.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    fn nothing_follows(&mut self) -> Result<(), BundleError> {
        let mut part = [0; 1024];
        let mut length = 0usize;
        loop {
            let more = match self.input.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(more) => more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            length = length.saturating_add(more);
            let is_blank = part.get(..more).is_some_and(|part| part.iter().all(|byte| *byte == b' '));
            if length > PADDING || !is_blank {
                return Err(BundleError::TooLong);
            }
        }
    }
}

/// The next line, without its end.
fn line(input: &mut impl Read) -> Result<String, BundleError> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    let mut byte = [0];
    while line.len() < LONGEST_LINE {
        input.read_exact(&mut byte).map_err(unreadable)?;
        let [read] = byte;
        if read == b'\n' {
            return String::from_utf8(line).map_err(|_| BundleError::Head);
        }
        line.push(read);
    }
    Err(BundleError::Head)
}

/// A number as it is written here, without signs and zeros before it.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn unreadable(error: io::Error) -> BundleError {
    // What decrypts reports a part that was cut off or changed as invalid data.
    let is_cut = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
    if is_cut { BundleError::Cut } else { BundleError::Unreadable(error) }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {}", described(error)),
            Self::Cut => f.write_str("is cut off or damaged"),
            Self::NotABundle => f.write_str("holds no bundle of otp-enroll"),
            Self::Version(version) => {
                write!(f, "holds a bundle of version {version}; this program reads version {VERSION}")
            }
            Self::Head => f.write_str("has a line that no bundle has"),
            Self::Frame(record) => write!(f, "has a line before its record {record} that no bundle has"),
            Self::Record(record, error) => write!(f, "has a record that is of no use: number {record} {error}"),
            Self::State(record) => {
                write!(f, "has a record that is of no use: number {record} says not how far its devices have come")
            }
            Self::Order(record) => {
                write!(f, "has two records of one user, or records in disorder: see number {record}")
            }
            Self::Miscounted { said, read } => write!(f, "has {read} records and says that it has {said}"),
            Self::TooLong => f.write_str("goes on after its end"),
        }
    }
}

#[cfg(test)]
mod tests;
