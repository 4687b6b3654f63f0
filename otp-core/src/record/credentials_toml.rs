//! Credentials as TOML: how the file is written and read.

pub mod carried;
pub mod spare;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Drift, Period};
use crate::codes::ocra::Suite;
use crate::codes::passcode::Issued;
use crate::codes::recovery::{MOST_CODES, RecoverySet};
use crate::record::credentials::{Credentials, Device, DeviceName, Kind, Outline, Override, Serial};
use crate::record::error::RecordError;
use crate::record::id::{DeviceId, EnrollmentId, MOST_DEVICES, from_hex};
use crate::record::seal::{Sealed, SealedParts, Seed};
use crate::value::destination::{Channel, Destination};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::{Account, UserName};

/// The format that this program writes, and the only one it reads.
pub const VERSION: u64 = 1;

/// More bytes than any record has.
pub const LARGEST: usize = 12_288;

/// The tables of recovery codes, and of those from google-authenticator.
const RECOVERY: &str = "[recovery]";
const SCRATCH: &str = "[scratch]";

/// The key of the number of scratch codes.
const SCRATCH_CODES: &str = "scratch_codes";

/// The key of what is sealed, in place of seeds or of hashes.
const SEALED: &str = "sealed";

/// The table of the seeds of all devices, where they are sealed.
const SEEDS: &str = "[seeds]";

/// The key of the number of passcodes.
const PASSCODES: &str = "passcodes";

/// The line of the head about a default device that takes a challenge.
const CHALLENGE: &str = "challenge";

/// What reading credentials needs besides the bytes.
#[derive(Clone, Copy)]
pub struct ReadContext<'a> {
    /// The account that the record must belong to; `None` in a list of all records.
    pub account: Option<&'a Account>,
}

impl Credentials {
    /// The contents of the file. [`Credentials::decode`] reads them back.
    pub fn encode(&self) -> Zeroizing<String> {
        // Large enough for every record: a buffer that grows leaves copies of seeds behind.
        let mut text = Zeroizing::new(String::with_capacity(LARGEST));
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "# Second factor of one user; written by otp-enroll, which changes it safely.")?;
        writeln!(text, "version = {VERSION}")?;
        writeln!(text, "user = {}", quoted(self.user.as_str()))?;
        writeln!(text, "uid = {}", self.uid)?;
        writeln!(text, "enrollment = \"{}\"", self.enrollment)?;
        writeln!(text, "override = \"{}\"", self.user_override.name())?;
        if let Some(until) = self.user_override.until() {
            writeln!(text, "override_until = {}", until.0)?;
        }
        let Counts { recovery_codes, scratch_codes, passcode, devices, digits, challenge } = Counts::of(self);
        writeln!(text, "recovery_codes = {recovery_codes}")?;
        if scratch_codes > 0 {
            writeln!(text, "{SCRATCH_CODES} = {scratch_codes}")?;
        }
        if passcode {
            writeln!(text, "{PASSCODES} = 1")?;
        }
        writeln!(text, "devices = {devices}")?;
        if let (Some(default), Some(digits)) = (self.default, digits) {
            writeln!(text, "last_id = {}\ndefault = {default}\ndigits = {}", self.last_id, digits.get())?;
            if challenge {
                writeln!(text, "{CHALLENGE} = 1")?;
            }
        }
        for (table, set) in [(RECOVERY, &self.recovery), (SCRATCH, &self.scratch)] {
            let Some(set) = set else { continue };
            writeln!(text, "\n{table}\nsalt = \"{}\"", base16ct::lower::encode_string(&set.salt))?;
            if let (SCRATCH, Some(sealed)) = (table, &self.sealed.scratch) {
                writeln!(text, "{SEALED} = \"{sealed}\"")?;
                continue;
            }
            writeln!(text, "codes = [")?;
            for hash in &set.hashes {
                writeln!(text, "  \"{}\",", base16ct::lower::encode_string(hash))?;
            }
            writeln!(text, "]")?;
        }
        if let Some(Issued { salt, hash, until, service }) = &self.passcode {
            let [salt, hash] = [salt.as_slice(), hash].map(base16ct::lower::encode_string);
            writeln!(text, "\n[passcode]\nsalt = \"{salt}\"")?;
            match &self.sealed.passcode {
                Some(sealed) => writeln!(text, "{SEALED} = \"{sealed}\"")?,
                None => writeln!(text, "hash = \"{hash}\"")?,
            }
            writeln!(text, "until = {}", until.0)?;
            if let Some(service) = service {
                writeln!(text, "service = {}", quoted(service))?;
            }
        }
        if let Some(sealed) = &self.sealed.seeds {
            writeln!(text, "\n{SEEDS}\n{SEALED} = \"{sealed}\"")?;
        }
        self.devices.iter().try_for_each(|device| write_device(text, device))
    }

    /// Reads a credentials file: the keys that [`Credentials::encode`] writes, in its order, each on its own line.
    /// Blank lines and comment lines are skipped; anything else is an error.
    pub fn decode(bytes: &[u8], context: ReadContext<'_>) -> Result<Self, RecordError> {
        let mut lines = Lines::of(utf8(bytes)?);
        let (mut credentials, counts) = lines.head()?;
        if lines.take(RECOVERY) {
            credentials.recovery = Some(lines.recovery()?);
        }
        if counts.scratch_codes > 0 && lines.take(SCRATCH) {
            let (set, sealed) = lines.scratch(counts.scratch_codes)?;
            (credentials.scratch, credentials.sealed.scratch) = (Some(set), sealed);
        }
        if counts.passcode && lines.take("[passcode]") {
            let (issued, sealed) = lines.passcode()?;
            (credentials.passcode, credentials.sealed.passcode) = (Some(issued), sealed);
        }
        if lines.take(SEEDS) {
            credentials.sealed.seeds = Some(lines.value(SEALED, sealed)?);
        }
        credentials.devices.reserve_exact(counts.devices.min(MOST_DEVICES));
        while lines.take("[[device]]") {
            credentials.devices.push(lines.device()?);
        }
        lines.end()?;
        if counts != Counts::of(&credentials) {
            return Err(RecordError::Malformed(
                "its top does not match its recovery codes, passcode and devices".into(),
            ));
        }
        let is_sealed = credentials.sealed.seeds.is_some();
        let fits = |device: &Device| device.secret.open().is_some() != is_sealed;
        if !credentials.devices.iter().all(fits) || (is_sealed && credentials.devices.is_empty()) {
            return Err(RecordError::Malformed("a device has no secret, or one beside sealed seeds".into()));
        }
        let ids = &credentials.devices;
        let ascending = ids.is_sorted_by(|one, next| one.id < next.id)
            && ids.iter().all(|device| device.id.0 > 0 && device.id <= credentials.last_id);
        if ids.len() > MOST_DEVICES || !ascending {
            let text = "device ids must ascend from 1 to last_id, with at most 8 devices";
            return Err(RecordError::Malformed(text.into()));
        }
        context.check(&credentials)?;
        Ok(credentials)
    }

    /// Fails for a record of another user, and for an account whose user id is not that of its enrollment.
    pub fn belongs_to(&self, account: &Account) -> Result<(), RecordError> {
        if self.user == account.name && self.uid == account.uid {
            Ok(())
        } else {
            Err(RecordError::OtherAccount(format!("{} with uid {}", quoted(self.user.as_str()), self.uid)))
        }
    }
}

/// The lines of a device.
fn write_device(text: &mut String, device: &Device) -> fmt::Result {
    writeln!(text, "\n[[device]]\nid = {}\nname = {}", device.id, quoted(device.name.as_str()))?;
    match &device.kind {
        Kind::Totp(Clock { period, drift }) => {
            writeln!(text, "type = \"totp\"\nperiod = {}", period.get())?;
            if let Some(drift) = drift {
                writeln!(text, "drift = {}", drift.get())?;
            }
        }
        Kind::Hotp => writeln!(text, "type = \"hotp\"")?,
        Kind::Ocra(suite) => writeln!(text, "type = \"ocra\"\nsuite = \"{suite}\"")?,
        Kind::Sent(destination) => {
            writeln!(text, "type = \"{}\"\nto = {}", device.kind.word(), quoted(destination.as_str()))?;
        }
    }
    writeln!(text, "algorithm = \"{}\"\ndigits = {}", device.algorithm.name(), device.digits.get())?;
    writeln!(text, "created = {}", device.created.0)?;
    if let Some(serial) = &device.serial {
        writeln!(text, "serial = {}", quoted(serial.as_str()))?;
    }
    match &device.secret {
        Seed::Open(secret) => writeln!(text, "secret = \"{}\"", *secret.base32()),
        Seed::Shut => Ok(()),
    }
}

impl<'a> ReadContext<'a> {
    /// A record of any account.
    pub const ANYONE: Self = Self { account: None };

    /// A record that must belong to this account.
    pub fn of(account: &'a Account) -> Self {
        Self { account: Some(account) }
    }

    fn check(self, credentials: &Credentials) -> Result<(), RecordError> {
        self.account.map_or(Ok(()), |account| credentials.belongs_to(account))
    }
}

impl Outline {
    /// Reads the part above the seeds. Does not check the part below.
    pub fn decode(bytes: &[u8], context: ReadContext<'_>) -> Result<Self, RecordError> {
        let (head, counts) = Lines::of(utf8(bytes)?).head()?;
        context.check(&head)?;
        let Counts { recovery_codes: _, scratch_codes: _, passcode, devices, digits, challenge } = counts;
        Ok(Self { user_override: head.user_override, devices, digits, challenge, passcode })
    }
}

/// What the header says of the rest; a mismatch means a truncated file.
#[derive(PartialEq, Eq)]
struct Counts {
    recovery_codes: usize,
    /// The head has no line about none: most records hold none.
    scratch_codes: usize,
    /// Whether there is one. The head has no line about none: most records hold none, and each login reads the head.
    passcode: bool,
    devices: usize,
    /// Those that are typed with a password as one.
    digits: Option<Digits>,
    /// Whether that one takes a challenge. The head has no line if it does not.
    challenge: bool,
}

impl Counts {
    fn of(credentials: &Credentials) -> Self {
        let count = |set: &Option<RecoverySet>| set.as_ref().map_or(0, |set| set.hashes.len());
        let (recovery_codes, scratch_codes) = (count(&credentials.recovery), count(&credentials.scratch));
        let Outline { devices, digits, challenge, passcode, user_override: _ } = credentials.outline();
        Self { recovery_codes, scratch_codes, passcode, devices, digits, challenge }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|_| RecordError::Malformed("it is not UTF-8".into()))
}

/// The lines of a file that are neither blank nor comments, with their numbers. Reads TOML in a few dozen lines: a file
/// that only this program writes needs no more, no copy of a seed is made, and no login pays for a general parser.
struct Lines<'a> {
    /// Whether the last line of the file ends: a number that is cut off is another number.
    is_whole: bool,
    /// The next line, which each optional key looks at.
    ahead: Option<&'a str>,
    /// Number of that line, from 1; at the end, of the last line of all.
    number_ahead: usize,
    /// What follows that line.
    rest: &'a str,
    /// Number of the line that was read last.
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut lines = Self { is_whole: text.ends_with('\n'), ahead: None, number_ahead: 0, rest: text, number: 0 };
        lines.look_ahead();
        lines
    }

    fn look_ahead(&mut self) {
        self.ahead = None;
        while self.ahead.is_none() && !self.rest.is_empty() {
            let end = self.rest.find('\n').map_or(usize::MAX, |end| end.saturating_add(1));
            let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
            self.rest = rest;
            self.number_ahead = self.number_ahead.saturating_add(1);
            self.ahead = Some(line.trim_ascii()).filter(|line| !line.is_empty() && !line.starts_with('#'));
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.ahead;
        self.number = self.number_ahead;
        self.look_ahead();
        line
    }

    /// Takes the next line if it equals `line`.
    fn take(&mut self, line: &str) -> bool {
        let found = self.ahead == Some(line);
        if found {
            self.next();
        }
        found
    }

    /// The value on the next line, which must have this key.
    fn value<T>(&mut self, key: &str, read: impl Fn(&'a str) -> Option<T>) -> Result<T, RecordError> {
        read(self.text(key)?).ok_or_else(|| self.error(key, "has an invalid value"))
    }

    /// The same as it stands.
    fn text(&mut self, key: &str) -> Result<&'a str, RecordError> {
        let line = self.next().ok_or_else(|| RecordError::Malformed(format!("it ends before {key}")))?;
        // No error quotes the line: it may hold a seed.
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = "));
        value.ok_or_else(|| self.error(key, "is expected here"))
    }

    /// The value on the next line, if that has this key.
    fn if_next<T>(&mut self, key: &str, read: impl Fn(&'a str) -> Option<T>) -> Result<Option<T>, RecordError> {
        if self.ahead.is_some_and(|line| line.starts_with(key)) { self.value(key, read).map(Some) } else { Ok(None) }
    }

    /// The keys before the first table.
    fn head(&mut self) -> Result<(Credentials, Counts), RecordError> {
        let version = self.value("version", number)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let mut credentials = Credentials {
            user: self.value("user", |text| UserName::parse(&unquoted(text)?))?,
            uid: self.value("uid", number)?,
            enrollment: self.value("enrollment", |text| EnrollmentId::parse(between_quotes(text)?))?,
            user_override: self.user_override()?,
            recovery: None,
            scratch: None,
            passcode: None,
            sealed: SealedParts::default(),
            devices: Vec::new(),
            default: None,
            last_id: DeviceId(0),
        };
        let recovery_codes = self.value("recovery_codes", number)?;
        let scratch_codes = self.if_next(SCRATCH_CODES, |text| number(text).filter(|count| *count > 0))?.unwrap_or(0);
        let passcode = self.if_next(PASSCODES, |text| (text == "1").then_some(()))?.is_some();
        let devices = self.value("devices", number)?;
        let (mut digits, mut challenge) = (None, false);
        if devices > 0 {
            credentials.last_id = DeviceId(self.value("last_id", number)?);
            credentials.default = Some(DeviceId(self.value("default", number)?));
            digits = Some(self.value("digits", |text| Digits::try_from(number::<u8>(text)?).ok())?);
            challenge = self.if_next(CHALLENGE, |text| (text == "1").then_some(()))?.is_some();
        }
        Ok((credentials, Counts { recovery_codes, scratch_codes, passcode, devices, digits, challenge }))
    }

    fn user_override(&mut self) -> Result<Override, RecordError> {
        let user_override = self.value("override", |text| Override::parse(between_quotes(text)?, None))?;
        let ending = |text| Override::parse(user_override.name(), Some(UnixTime(number(text)?)));
        Ok(self.if_next("override_until", ending)?.unwrap_or(user_override))
    }

    fn recovery(&mut self) -> Result<RecoverySet, RecordError> {
        let salt = self.value("salt", hex)?;
        self.codes(salt)
    }

    fn codes(&mut self, salt: [u8; 16]) -> Result<RecoverySet, RecordError> {
        self.value("codes", |text| (text == "[").then_some(()))?;
        let mut hashes = Vec::with_capacity(usize::from(MOST_CODES));
        while !self.take("]") {
            let line = self.next().ok_or_else(|| self.error("codes", "is not closed"))?;
            let hash = line.strip_suffix(',').and_then(hex).filter(|_| hashes.len() < usize::from(MOST_CODES));
            hashes.push(hash.ok_or_else(|| self.error("codes", "has an invalid value"))?);
        }
        if hashes.is_empty() { Err(self.error("codes", "is empty")) } else { Ok(RecoverySet { salt, hashes }) }
    }

    /// Scratch codes; sealed, zeros stand in the places of so many hashes.
    #[cold] // few records hold them, and every PAM host holds this
    fn scratch(&mut self, codes: usize) -> Result<(RecoverySet, Option<Sealed>), RecordError> {
        let salt = self.value("salt", hex)?;
        if let Some(sealed) = self.sealed()? {
            let hashes = vec![[0; 32]; codes.min(usize::from(MOST_CODES))];
            return Ok((RecoverySet { salt, hashes }, Some(sealed)));
        }
        self.codes(salt).map(|set| (set, None))
    }

    #[cold] // few records hold one, and every PAM host holds this
    fn passcode(&mut self) -> Result<(Issued, Option<Sealed>), RecordError> {
        let salt = self.value("salt", hex)?;
        let sealed = self.sealed()?;
        let hash = if sealed.is_some() { [0; 32] } else { self.value("hash", hex)? };
        let until = UnixTime(self.value("until", number)?);
        let service = self.if_next("service", |text| unquoted(text).filter(|service| !service.is_empty()))?;
        Ok((Issued { salt, hash, until, service }, sealed))
    }

    fn sealed(&mut self) -> Result<Option<Sealed>, RecordError> {
        self.if_next(SEALED, sealed)
    }

    fn seed(&mut self) -> Result<Seed, RecordError> {
        let seed = self.if_next("secret", |text| Secret::from_base32(between_quotes(text)?).ok())?;
        Ok(seed.map_or(Seed::Shut, Seed::Open))
    }

    fn device(&mut self) -> Result<Device, RecordError> {
        let id = DeviceId(self.value("id", number)?);
        let name = self.value("name", |text| DeviceName::parse(&unquoted(text)?))?;
        let kind = match self.value("type", between_quotes)? {
            "totp" => Kind::Totp(Clock {
                period: self.value("period", |text| Period::try_from(number::<u64>(text)?).ok())?,
                drift: self.if_next("drift", |text| Drift::of(signed(text)?))?,
            }),
            "hotp" => Kind::Hotp,
            "ocra" => Kind::Ocra(
                self.value("suite", |text| Suite::parse(between_quotes(text)?).filter(|suite| suite.is_for_logins()))?,
            ),
            word => match Channel::ALL.into_iter().find(|channel| channel.word() == word) {
                Some(channel) => Kind::Sent(self.value("to", |text| Destination::read(channel, &unquoted(text)?))?),
                None => return Err(self.error("type", "has an invalid value")),
            },
        };
        Ok(Device {
            id,
            name,
            kind,
            algorithm: self.value("algorithm", |text| Algorithm::parse(between_quotes(text)?))?,
            digits: self.value("digits", |text| Digits::try_from(number::<u8>(text)?).ok())?,
            created: UnixTime(self.value("created", number)?),
            serial: self.if_next("serial", |text| Serial::parse(&unquoted(text)?))?,
            secret: self.seed()?,
        })
    }

    fn end(&mut self) -> Result<(), RecordError> {
        match self.next() {
            Some(_) => Err(RecordError::Malformed(format!("line {}: no line is expected here", self.number))),
            None if !self.is_whole => Err(RecordError::Malformed("it ends in the middle of a line".into())),
            None => Ok(()),
        }
    }

    #[cold]
    fn error(&self, key: &str, what: &str) -> RecordError {
        RecordError::Malformed(format!("line {}: {key} {what}", self.number))
    }
}

/// Decimal, without sign and without leading zeros.
fn number<T: FromStr>(text: &str) -> Option<T> {
    // Behind its first character, what can be parsed is digits.
    let plain = text == "0" || matches!(text.bytes().next()?, b'1'..=b'9');
    text.parse().ok().filter(|_| plain)
}

/// Decimal, with `-` before a negative number.
fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(negative) => number::<i64>(negative).filter(|number| *number > 0)?.checked_neg(),
        None => number(text),
    }
}

fn sealed(text: &str) -> Option<Sealed> {
    Sealed::parse(between_quotes(text)?)
}

/// Bytes in lower-case hexadecimal, between quotation marks.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_hex(between_quotes(text)?)
}

fn between_quotes(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a TOML basic string, in the one spelling that [`quoted`] gives it.
fn unquoted(text: &str) -> Option<String> {
    let between = between_quotes(text)?;
    if between.bytes().all(is_plain) {
        return Some(between.to_owned());
    }
    let mut letters = between.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '"' => return None,
            '\\' => match letters.next()? {
                escaped @ ('"' | '\\') => escaped,
                'u' => {
                    let code: String = letters.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == 4)?)?
                }
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain).filter(|plain| quoted(plain) == text)
}

/// Whether a byte stands for itself in a TOML basic string, whatever its neighbours are.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::seal::SealKey;

    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn device(id: u8, kind: Kind) -> Device {
        Device {
            id: DeviceId(id),
            name: DeviceName::parse("Alice's \"phone\" №1 \\").unwrap(),
            kind,
            secret: Secret::from_base32(SEED).unwrap().into(),
            algorithm: Algorithm::Sha1,
            digits: Digits::SIX,
            created: UnixTime(1_763_750_000),
            serial: None,
        }
    }

    fn of_token(id: u8, drift: i64) -> Device {
        let clock = Clock { period: Period::THIRTY, drift: Some(Drift::of(drift).unwrap()) };
        Device { serial: Serial::parse("GALT10007123 \"A\""), ..device(id, Kind::Totp(clock)) }
    }

    fn sent(id: u8, channel: Channel, to: &str) -> Device {
        device(id, Kind::Sent(Destination::parse(channel, to).unwrap()))
    }

    fn full() -> Credentials {
        Credentials {
            user: UserName::parse("weird \"user\"\\\n\u{7f}é").unwrap(),
            uid: u32::MAX,
            enrollment: EnrollmentId([0xab; 16]),
            user_override: Override::Required,
            devices: vec![device(1, Kind::Totp(Clock::of_app(Period::THIRTY))), device(7, Kind::Hotp)],
            default: Some(DeviceId(1)),
            last_id: DeviceId(9),
            recovery: Some(RecoverySet { salt: [1; 16], hashes: vec![[2; 32]; 10] }),
            sealed: SealedParts::default(),
            scratch: None,
            passcode: None,
        }
    }

    fn passcode(service: Option<&str>) -> Option<Issued> {
        let service = service.map(str::to_owned);
        Some(Issued { salt: [3; 16], hash: [4; 32], until: UnixTime(1_764_405_000), service })
    }

    fn scratch() -> Option<RecoverySet> {
        Some(RecoverySet { salt: [5; 16], hashes: vec![[6; 32]; 10] })
    }

    fn error_of(text: &str) -> String {
        Credentials::decode(text.as_bytes(), ReadContext::ANYONE).unwrap_err().to_string()
    }

    #[test]
    fn a_text_has_one_spelling() {
        for (text, plain) in [
            (r#""al ice~""#, Some("al ice~")),
            (r#""\\""#, Some(r"\")),
            (r#""\\\\""#, Some(r"\\")),
            (r#""\"""#, Some("\"")),
            ("\"\"\"", None),
            (r#""\""#, None),
            (r#""a"b""#, None),
            (r#""\u0041""#, None),
            (r#""\n""#, None),
        ] {
            assert_eq!(unquoted(text).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn decoding_undoes_encoding() {
        for credentials in [
            full(),
            Credentials { devices: vec![], recovery: None, user_override: Override::None, ..full() },
            Credentials { user_override: Override::Enroll, default: Some(DeviceId(7)), ..full() },
            Credentials { passcode: passcode(None), ..full() },
            Credentials { scratch: scratch(), ..full() },
            Credentials { scratch: scratch(), recovery: None, passcode: passcode(None), ..full() },
            Credentials { passcode: passcode(Some("my \"sshd\"")), devices: vec![], recovery: None, ..full() },
            Credentials { devices: vec![of_token(2, 20), of_token(9, -20)], default: Some(DeviceId(9)), ..full() },
            Credentials {
                devices: vec![sent(1, Channel::Sms, "+61412345678"), sent(7, Channel::Email, "o'neil@example.org")],
                default: Some(DeviceId(7)),
                ..full()
            },
            Credentials { user_override: Override::RequiredUntil(UnixTime(1_800_000_000)), ..full() },
            Credentials { user_override: Override::EnrollUntil(UnixTime(1_800_000_000)), ..full() },
            Credentials { user_override: Override::ExemptUntil(UnixTime(1_800_000_000)), ..full() },
        ] {
            let text = credentials.encode();
            let back = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).unwrap();
            assert_eq!(*back.encode(), *text);
            assert_eq!(back.user, credentials.user);
            assert_eq!(
                (back.recovery.as_ref(), back.scratch.as_ref(), back.passcode.as_ref()),
                (credentials.recovery.as_ref(), credentials.scratch.as_ref(), credentials.passcode.as_ref())
            );
            assert_eq!(back.user_override, credentials.user_override);
            let shapes = |of: &Credentials| {
                let shape =
                    |device: &Device| (device.id, device.name.clone(), device.kind.clone(), device.serial.clone());
                of.devices.iter().map(shape).collect::<Vec<_>>()
            };
            assert_eq!(shapes(&back), shapes(&credentials));
            assert!(
                back.devices.is_empty() || (back.default, back.last_id) == (credentials.default, credentials.last_id)
            );
        }
    }

    #[test]
    fn the_outline_is_the_part_above_the_seeds() {
        let account = Account { name: full().user, uid: u32::MAX, gid: 0 };
        let outline =
            |text: &str| Outline::decode(text.as_bytes(), ReadContext::of(&account)).map_err(|error| error.to_string());
        for (devices, count) in [(full().devices, 2), (vec![], 0)] {
            let text = Credentials { devices, ..full() }.encode();
            let outline = outline(&text).unwrap();
            assert_eq!((outline.user_override, outline.devices), (Override::Required, count));
            assert_eq!((outline.digits, outline.passcode), ((count > 0).then_some(Digits::SIX), false));
        }
        let alone = Credentials { devices: vec![], recovery: None, user_override: Override::None, ..full() };
        assert!(outline(&alone.encode()).unwrap().is_blank());
        let outline_of_passcode = outline(&Credentials { passcode: passcode(None), ..alone }.encode()).unwrap();
        assert!(outline_of_passcode.passcode && !outline_of_passcode.is_blank());
        // An invalid seed is reported when a code is verified; an error above it is reported at once.
        let good = full().encode();
        assert_eq!(outline(&good.replace(SEED, "A")).unwrap().devices, 2);
        assert_eq!(
            outline(&good.replace("version = 1", "version = 2")).err().unwrap(),
            RecordError::Version(2).to_string()
        );
        assert!(outline(&good.replace("required", "require")).err().unwrap().contains("line 6: override"));
        let other = Account { uid: 7, ..account.clone() };
        assert!(matches!(Outline::decode(good.as_bytes(), ReadContext::of(&other)), Err(RecordError::OtherAccount(_))));
    }

    #[test]
    fn a_destination_is_read_in_one_spelling() {
        let devices = vec![sent(1, Channel::Sms, "+61412345678"), sent(7, Channel::Email, "a@x")];
        let good = Credentials { devices, ..full() }.encode();
        assert!(good.contains("digits = 6\nchallenge = 1\n"), "{}", *good);
        for (from, to, expected) in [
            ("+61412345678", "61412345678", "to has an invalid value"),
            ("+61412345678", "+61 412345678", "to has an invalid value"),
            ("\"a@x\"", "\"-a@x\"", "to has an invalid value"),
            ("\"sms\"", "\"fax\"", "type has an invalid value"),
            ("\"sms\"", "\"email\"", "to has an invalid value"),
            ("to = \"a@x\"\n", "", "to is expected here"),
            ("challenge = 1\n", "", "its top does not match its recovery codes, passcode and devices"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, *good);
            let error = error_of(&changed);
            assert!(error.ends_with(expected), "{from} {to}: {error}");
        }
    }

    #[test]
    fn the_largest_record_is_encoded_without_growing_the_buffer() {
        let longest = |id| Device {
            secret: Secret::new(Zeroizing::new(vec![9; 64])).unwrap().into(),
            name: DeviceName::parse(&"\u{10FFFF}".repeat(40)).unwrap(),
            serial: Serial::parse(&"\"".repeat(40)),
            ..sent(id, Channel::Email, &format!("{}@{}x", "a".repeat(64), "a.".repeat(94)))
        };
        let user = UserName::parse(&"\n".repeat(255)).unwrap();
        let passcode = passcode(Some(&"\"".repeat(255)));
        let most =
            Credentials { user, devices: (1..=8).map(longest).collect(), passcode, scratch: scratch(), ..full() };
        assert!(most.encode().len() <= LARGEST);
    }

    #[test]
    fn what_this_program_would_not_write_is_an_error_with_its_line() {
        let good = full().encode();
        let with = |from: &str, to: &str| {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, *good, "{from}");
            error_of(&changed)
        };
        let invalid = |line: u8, key: &str| format!("cannot be read: line {line}: {key} has an invalid value");
        let expected = |line: u8, key: &str| format!("cannot be read: line {line}: {key} is expected here");
        assert_eq!(with("version = 1", "version = 2"), "has version 2; this program reads version 1");
        assert_eq!(with("version = 1", "version = 01"), invalid(2, "version"));
        assert_eq!(with("uid = ", "colour = 1\nuid = "), expected(4, "uid"));
        assert_eq!(with("uid = 4294967295", "uid = -1"), invalid(4, "uid"));
        assert_eq!(with("uid = 4294967295", "uid = +1"), invalid(4, "uid"));
        assert_eq!(with("user = \"", "user = \"\""), invalid(3, "user"));
        assert_eq!(with("user = \"weird", "user = \"\\u12"), invalid(3, "user"));
        assert_eq!(with("user = \"weird", "user = \"\\u0077eird"), invalid(3, "user"));
        assert_eq!(with("user = \"weird", "user = \"\u{1b}weird"), invalid(3, "user"));
        assert_eq!(with("enrollment = \"ab", "enrollment = \"AB"), invalid(5, "enrollment"));
        assert_eq!(with("override = \"required\"", "override = \"maybe\""), invalid(6, "override"));
        assert_eq!(with("devices = 2", "devices = two"), invalid(8, "devices"));
        assert_eq!(with("devices = 2", "scratch_codes = 0\ndevices = 2"), invalid(8, "scratch_codes"));
        for miscount in [
            ("devices = 2", "devices = 3"),
            ("recovery_codes = 10", "recovery_codes = 9"),
            ("recovery_codes = 10", "recovery_codes = 10\npasscodes = 1"),
            ("digits = 6", "digits = 7"),
            ("default = 1", "default = 2"),
        ] {
            let text = "cannot be read: its top does not match its recovery codes, passcode and devices";
            assert_eq!(with(miscount.0, miscount.1), text);
        }
        assert_eq!(with("salt = \"0101", "salt = \"01"), invalid(14, "salt"));
        assert_eq!(with("  \"0202", "  \"0X02"), invalid(16, "codes"));
        assert_eq!(with("codes = [", &format!("codes = [\n  \"{}\",", "02".repeat(32))), invalid(26, "codes"));
        assert_eq!(with("id = 1", "id = 256"), invalid(29, "id"));
        let (before_codes, _) = good.split_once("  \"").unwrap();
        assert_eq!(error_of(&format!("{before_codes}]\n")), "cannot be read: line 16: codes is empty");
        assert_eq!(error_of(before_codes), "cannot be read: line 15: codes is not closed");
        assert_eq!(with("type = \"totp\"", "type = \"fax\""), invalid(31, "type"));
        assert_eq!(with("period = 30", "period = 0"), invalid(32, "period"));
        assert_eq!(with("period = 30\n", ""), expected(32, "period"));
        assert_eq!(with("algorithm = \"SHA1\"", "algorithm = \"MD5\""), invalid(33, "algorithm"));
        assert_eq!(with("SHA1\"\ndigits = 6", "SHA1\"\ndigits = 9"), invalid(34, "digits"));
        for (line, key, value) in [(9, "last_id", "x"), (10, "default", "0x1"), (11, "digits", "9")] {
            let there = good.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            assert_eq!(with(there, &format!("{key} = {value}")), invalid(line, key));
            // After the last key of the header comes a blank line.
            let next = if key == "digits" { line + 1 } else { line };
            assert_eq!(with(&format!("{there}\n"), ""), expected(next, key));
        }
        assert_eq!(with("period = 30", "period = 30\ndrift = 21"), invalid(33, "drift"));
        assert_eq!(with("period = 30", "period = 30\ndrift = -0"), invalid(33, "drift"));
        assert_eq!(with("created = 1763750000", "created = 1763750000\nserial = \"\""), invalid(36, "serial"));
        assert_eq!(with("type = \"hotp\"", "type = \"hotp\"\nperiod = 30"), expected(42, "algorithm"));
        let disordered = "cannot be read: device ids must ascend from 1 to last_id, with at most 8 devices";
        for disorder in [("id = 7", "id = 1"), ("last_id = 9", "last_id = 6")] {
            assert_eq!(with(disorder.0, disorder.1), disordered);
        }
        let from_none = good.replacen("default = 1", "default = 0", 1).replacen("\nid = 1", "\nid = 0", 1);
        assert_eq!(error_of(&from_none), disordered);
        let passcode = Credentials { passcode: passcode(Some("sshd")), ..full() }.encode();
        for (from, to, expected) in [
            ("passcodes = 1", "passcodes = 0", invalid(8, "passcodes")),
            ("passcodes = 1", "passcodes = 2", invalid(8, "passcodes")),
            ("passcodes = 1\n", "", "cannot be read: line 28: no line is expected here".to_owned()),
            ("salt = \"03", "salt = \"3", invalid(30, "salt")),
            ("hash = \"04", "hash = \"", invalid(31, "hash")),
            ("until = 1764405000", "until = 01", invalid(32, "until")),
            ("until = 1764405000\n", "", expected(32, "until")),
            ("service = \"sshd\"", "service = \"\"", invalid(33, "service")),
            (
                "service = \"sshd\"",
                "service = \"sshd\"\nuses = 2",
                "cannot be read: line 34: no line is expected here".to_owned(),
            ),
        ] {
            assert_ne!(passcode.replacen(from, to, 1), *passcode, "{from}");
            assert_eq!(error_of(&passcode.replacen(from, to, 1)), expected, "{from}");
        }
        assert_eq!(error_of(""), "cannot be read: it ends before version");
        assert_eq!(error_of(&format!("{}id = 3\n", *good)), "cannot be read: line 46: no line is expected here");
        assert_eq!(
            Credentials::decode(b"\xff", ReadContext::ANYONE).unwrap_err().to_string(),
            "cannot be read: it is not UTF-8"
        );
    }

    #[test]
    fn sealed_scratch_codes_that_the_head_does_not_count_are_an_error() {
        let key = crate::record::seal::SealKey::new(&[7; 32]);
        let with = Credentials { scratch: scratch(), ..full() };
        let text = with.sealed((key.id(), &key), |_| Ok::<_, ()>(())).unwrap().encode();
        let count = text.lines().find(|line| line.starts_with(SCRATCH_CODES)).unwrap();
        let error = error_of(&text.replacen(&format!("{count}\n"), "", 1));
        assert!(error.ends_with("no line is expected here"), "{error}");
    }

    #[test]
    fn a_number_has_one_spelling() {
        for bad in
            ["", "+", "-", "+1", "-1", "01", "00", " 1", "1 ", "1_0", "0x1", "1.0", "\u{661}", "18446744073709551616"]
        {
            assert_eq!(number::<u64>(bad), None, "{bad}");
            assert_eq!(signed(&format!("-{bad}")), None, "-{bad}");
        }
        let good = [0, 1, 9, 10, 100, u64::MAX];
        assert_eq!(good.map(|it| number(&it.to_string())), good.map(Some));
        assert_eq!(
            ["0", "5", "-5", "-20", "-0", "--5"].map(signed),
            [Some(0), Some(5), Some(-5), Some(-20), None, None]
        );
    }

    #[test]
    fn blank_lines_and_comments_make_no_difference() {
        let good = full().encode();
        let read = |text: &str| Credentials::decode(text.as_bytes(), ReadContext::ANYONE).map(|it| it.encode());
        let spread = good.replace('\n', " \r\n\n \t\n# a comment\n");
        for same in [&*good, &spread, &format!("\n\n{}\n\n#\n", *good)] {
            assert_eq!(read(same).as_deref(), Ok(&*good), "{same}");
        }
        assert_eq!(error_of(&format!("{}\n\nid = 3\n", *good)), "cannot be read: line 48: no line is expected here");
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error_wherever_that_is() {
        let key = SealKey::new(&[1; 32]);
        // Its last line is a number, and the beginning of one is another number.
        let sealed = full().sealed((key.id(), &key.of_user(u32::MAX)), |_| Ok::<_, ()>(())).unwrap();
        for good in [full().encode(), sealed.encode()] {
            for end in 0..good.len() {
                assert!(Credentials::decode(&good.as_bytes()[..end], ReadContext::ANYONE).is_err(), "{end}: {}", *good);
            }
        }
        assert_eq!(error_of(full().encode().trim_end()), "cannot be read: it ends in the middle of a line");
    }

    #[test]
    fn each_override_may_end_and_none_does_not() {
        let with = |line: &str| full().encode().replacen("override = \"required\"", line, 1);
        let read =
            |line: &str| Credentials::decode(with(line).as_bytes(), ReadContext::ANYONE).map(|it| it.user_override);
        let end = UnixTime(1_800_000_000);
        for (word, without, ending) in [
            ("required", Override::Required, Override::RequiredUntil(end)),
            ("enroll", Override::Enroll, Override::EnrollUntil(end)),
            ("exempt", Override::Exempt, Override::ExemptUntil(end)),
        ] {
            assert_eq!(read(&format!("override = \"{word}\"")), Ok(without));
            assert_eq!(read(&format!("override = \"{word}\"\noverride_until = 1800000000")), Ok(ending));
        }
        let error = read("override = \"none\"\noverride_until = 1800000000").unwrap_err();
        assert_eq!(error.to_string(), "cannot be read: line 7: override_until has an invalid value");
        for wrong in ["override_until = soon", "override_until = -1", "override_until=1"] {
            assert!(read(&format!("override = \"exempt\"\n{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_error_never_quotes_a_seed() {
        let good = full().encode();
        for broken in [SEED.to_lowercase(), format!("{SEED}A="), format!("{SEED}\\x")] {
            let text = error_of(&good.replacen(SEED, &broken, 1));
            assert!(!text.to_uppercase().contains("GEZD"), "{text}");
        }
    }

    #[test]
    fn a_record_of_another_uid_is_refused() {
        let record = full();
        let account = Account { name: record.user.clone(), uid: 1, gid: 1 };
        assert!(matches!(record.belongs_to(&account), Err(RecordError::OtherAccount(_))));
        assert_eq!(record.belongs_to(&Account { uid: u32::MAX, ..account }), Ok(()));
    }
}
