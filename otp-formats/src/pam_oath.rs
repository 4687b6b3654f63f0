//! The users file of liboath and pam_oath (`/etc/users.oath`), a device a line:
//! `TYPE USER PASSWORD SEED [COUNTER [LASTOTP [TIMESTAMP]]]`.

use std::io;
use std::ops::Range;

use otp_core::codes::attempt::Code;
use otp_core::codes::hotp_totp::{Algorithm, Clock, Digits, Period};
use otp_core::decision::import::{Found, Imported};
use otp_core::record::credentials::Kind;
use otp_core::value::secret::{NotASecret, Secret};
use otp_core::value::time::{Seconds, UnixTime};
use otp_core::value::user::UserName;

use crate::index::{Index, Row, faults_together};
use crate::source::{Entry, Fault, Read, Source, Whose};
use crate::text::{Parts, Text, line_at, unread};

/// A code accepted longer ago than this is in the past by every clock. TIMESTAMP is local time of a zone that it
/// does not name, and is read as UTC: a day for that, and one for a device whose clock is ahead.
const LATELY: Seconds = Seconds(2 * 86_400);

/// The lines with users.
pub struct UsersFile<T> {
    text: T,
    index: Index,
    now: UnixTime,
}

/// Parses a whole file. A fault is reported with its line number, without the line's text: it may be a seed. A user of whom
/// one line has a fault has no entry.
pub fn read<T: Text>(text: T, now: UnixTime) -> io::Result<Read<UsersFile<T>>> {
    let (mut index, mut faults, mut lines) = (Index::default(), Vec::new(), Parts::of(&text));
    while let Some(line) = lines.next_line()? {
        let entry = if line.is_too_long { Err("it is too long") } else { of_line(line.bytes, now) };
        let noted = entry.and_then(|entry| {
            entry.map_or(Ok(()), |(user, _)| index.note(&Whose::User(user.to_owned()), line.number, line.place))
        });
        if let Err(what) = noted {
            faults.push(Fault { line: line.number, what: what.to_owned() });
            user(line.bytes).into_iter().for_each(|user| index.leave_out(&Whose::User(user.to_owned())));
        }
    }
    faults.extend(index.put_together(|rows| faults_together(rows, |row| Ok(at(&text, row, now)?.1.secret))));
    faults.sort_unstable_by_key(|fault| fault.line);
    Ok(Read { entries: UsersFile { text, index, now }, faults })
}

impl<T: Text> Source for UsersFile<T> {
    fn count(&self) -> usize {
        self.index.count()
    }

    fn entry(&self, place: usize) -> Result<Entry, Fault> {
        let (whose, devices) = self.index.again(place, |row| at(&self.text, row, self.now))?;
        let found = Found { devices, scratch: Vec::new() };
        Ok(Entry { whose, may_be_root: true, found, remarks: Vec::new(), maker: None })
    }

    fn ranges(&self, place: usize) -> io::Result<Vec<Range<usize>>> {
        let range = |row: &Row| {
            let start = row.place();
            Ok(start..start.saturating_add(line_at(&self.text, start)?.len()))
        };
        self.index.rows(place).map(range).collect()
    }
}

/// The user and device of a line that had them when it was first read.
fn at(text: &impl Text, row: &Row, now: UnixTime) -> Result<(Whose, Imported), String> {
    let line = line_at(text, row.place()).map_err(|error| unread(&error))?;
    let (user, device) = of_line(&line, now)?.ok_or("it has no user any more")?;
    Ok((Whose::User(user.to_owned()), device))
}

/// The user and device of a line; none for a comment or a blank line.
fn of_line(bytes: &[u8], now: UnixTime) -> Result<Option<(&str, Imported)>, &'static str> {
    entry(str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?.trim_end_matches('\n'), now)
}

/// The user of a line, whatever else is wrong with it.
fn user(line: &[u8]) -> Option<&str> {
    let mut words = line.trim_ascii_end().split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
    str::from_utf8(words.nth(1)?).ok()
}

/// Only these part words for liboath.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t', '\r']).filter(|word| !word.is_empty())
}

/// The user and device of a line; none for a comment or a blank line.
fn entry(line: &str, now: UnixTime) -> Result<Option<(&str, Imported)>, &'static str> {
    let mut words = words(line);
    let Some(kind) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let (kind, digits) = device_type(kind)?;

    let user = words.next().ok_or("there is no user name")?;
    if UserName::parse(user).is_none() || user.chars().any(char::is_control) {
        return Err("the user name is not valid");
    }
    // `-`: nothing is typed before the code; `+`: a password that another module looks at.
    match words.next().ok_or("there is no password field")? {
        "-" | "+" => {}
        _ => return Err("there is a password, which cannot be imported: write - or + in its place"),
    }
    let secret = Secret::from_hex(words.next().ok_or("there is no seed")?).map_err(|why| match why {
        NotASecret::Encoding => "the seed is not HEX",
        NotASecret::Length => "the seed must have 80 to 512 bits",
    })?;

    let counter = words.next().map_or(Ok(0), number).map_err(|()| "the counter is not a number, or too large")?;
    let last =
        words.next().map(|word| Code::parse(word.as_bytes()).filter(|_| word.len() == usize::from(digits.get())));
    let last =
        last.map(|code| code.ok_or("the last code does not have the number of digits of the type")).transpose()?;
    let at = words.next().map(|word| moment(word).ok_or("the time of the last code cannot be read")).transpose()?;
    if words.next().is_some() {
        return Err("there is text after the time of the last code");
    }

    let (next, last) = match kind {
        // The counter is that of the last code, where there was one.
        Kind::Hotp => {
            (if last.is_some() { counter.checked_add(1).ok_or("the counter is used up")? } else { counter }, None)
        }
        // The counter means nothing, and which step the last code was is not noted.
        Kind::Totp(_) | Kind::Ocra(_) | Kind::Sent(_) => {
            (0, last.filter(|_| at.is_none_or(|at| now < at.after(LATELY))))
        }
    };
    let (algorithm, is_confirmed, name, serial) = (Algorithm::Sha1, true, None, None);
    Ok(Some((user, Imported { kind, secret, algorithm, digits, next, last, is_confirmed, name, serial })))
}

/// `HOTP`, `HOTP/E`, `HOTP/E/6` for a counter; `HOTP/T30`, `HOTP/T30/6` for time.
fn device_type(word: &str) -> Result<(Kind, Digits), &'static str> {
    const UNKNOWN: &str = "the type is not HOTP, HOTP/E, HOTP/T30 or one of these with /6, /7 or /8";
    let mut parts = word.split('/');
    match parts.next() {
        Some("HOTP") => {}
        Some("MOTP") => return Err("the type is MOTP, which is not supported"),
        Some(_) | None => return Err(UNKNOWN),
    }
    let kind = match parts.next() {
        None | Some("E") => Kind::Hotp,
        Some(time) => {
            let seconds = time.strip_prefix('T').and_then(|seconds| number(seconds).ok()).ok_or(UNKNOWN)?;
            Kind::Totp(Clock::of_app(Period::try_from(seconds)?))
        }
    };
    let digits = match parts.next() {
        None => Digits::SIX,
        Some(digits) => Digits::try_from(u8::try_from(number(digits).map_err(|()| UNKNOWN)?).unwrap_or(u8::MAX))?,
    };
    if parts.next().is_some() { Err(UNKNOWN) } else { Ok((kind, digits)) }
}

/// `2026-11-21T08:30:00L`, as if it were UTC.
fn moment(text: &str) -> Option<UnixTime> {
    let (day, time) = text.strip_suffix('L')?.split_once('T')?;
    let [year, month, day] = parts(day, '-')?;
    let [hour, minute, second] = parts(time, ':').filter(|[hour, minute, second]| {
        *hour < 24 && *minute < 60 && *second <= 60 // C's strftime knows leap seconds
    })?;
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    Some(UnixTime::midnight(year, month, day)?.after(Seconds(seconds)))
}

fn parts(text: &str, between: char) -> Option<[u64; 3]> {
    let parts: Option<Vec<u64>> = text.split(between).map(|part| number(part).ok()).collect();
    parts?.try_into().ok()
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Result<u64, ()> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| ()) } else { Err(()) }
}

#[cfg(test)]
mod tests;
