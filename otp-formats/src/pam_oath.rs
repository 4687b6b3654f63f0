//! The users file of liboath and pam_oath (`/etc/users.oath`), a device a line:
//! `TYPE USER PASSWORD SEED [COUNTER [LASTOTP [TIMESTAMP]]]`.

use std::collections::HashSet;
use std::ops::Range;

use otp_core::codes::attempt::Code;
use otp_core::codes::hotp_totp::{Algorithm, Clock, Digits, Period};
use otp_core::decision::import::{Found, Imported};
use otp_core::record::credentials::Kind;
use otp_core::record::id::MOST_DEVICES;
use otp_core::value::secret::{NotASecret, Secret};
use otp_core::value::time::{Seconds, UnixTime};
use otp_core::value::user::UserName;

use crate::source::{Fault, Read, Source, Whose};

/// A code accepted longer ago than this is in the past by every clock. TIMESTAMP is local time of a zone that it
/// does not name, and is read as UTC: a day for that, and one for a device whose clock is ahead.
const LATELY: Seconds = Seconds(2 * 86_400);

/// The lines with users, ordered by name.
pub struct UsersFile<'t> {
    lines: Vec<Line<'t>>,
    /// Each user's lines, in the order in which users first appear.
    users: Vec<Range<usize>>,
    now: UnixTime,
}

/// A line without fault.
struct Line<'t> {
    number: usize,
    range: Range<usize>,
    user: &'t str,
    text: &'t str,
}

/// Parses a whole file. A fault is reported with its line number, without the line's text: it may be a seed. A user of whom
/// one line has a fault has no entry.
pub fn read(text: &[u8], now: UnixTime) -> Read<UsersFile<'_>> {
    let (mut lines, mut faults, mut unfit, mut end) = (Vec::new(), Vec::new(), HashSet::new(), 0usize);
    for (number, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let start = end;
        end = end.saturating_add(bytes.len());
        let line = str::from_utf8(bytes).map_err(|_| "it is not UTF-8").map(|text| text.trim_end_matches('\n'));
        match line.and_then(|text| Ok((text, entry(text, now)?))) {
            Ok((_, None)) => {}
            Ok((text, Some((user, _)))) => lines.push(Line { number, range: start..end, user, text }),
            Err(what) => {
                faults.push(Fault { line: number, what: what.to_owned() });
                unfit.extend(line.ok().and_then(|text| words(text).nth(1)));
            }
        }
    }
    lines.sort_unstable_by(|one, other| (one.user, one.number).cmp(&(other.user, other.number)));
    let (mut users, mut start) = (Vec::new(), 0usize);
    for of_one in lines.chunk_by(|one, other| one.user == other.user) {
        let end = start.saturating_add(of_one.len());
        let together = faults_together(of_one, now);
        if together.is_empty() && of_one.first().is_some_and(|line| !unfit.contains(line.user)) {
            users.push(start..end);
        }
        faults.extend(together);
        start = end;
    }
    users.sort_unstable_by_key(|range| lines.get(range.start).map(|line| line.number));
    faults.sort_unstable_by_key(|fault| fault.line);
    Read { entries: UsersFile { lines, users, now }, faults }
}

/// Faults between the lines of one user.
fn faults_together(lines: &[Line<'_>], now: UnixTime) -> Vec<Fault> {
    let (mut faults, mut seen): (Vec<Fault>, Vec<(usize, Secret)>) = (Vec::new(), Vec::new());
    if lines.len() == 1 {
        return faults;
    }
    for Line { number, text, .. } in lines {
        let Ok(Some((_, Imported { secret, .. }))) = entry(text, now) else { continue };
        if let Some((first, _)) = seen.iter().find(|(_, other)| other.expose() == secret.expose()) {
            faults
                .push(Fault { line: *number, what: format!("the seed is the one of line {first}, of the same user") });
        } else if seen.len() == MOST_DEVICES {
            faults.push(Fault { line: *number, what: format!("the user has more than {MOST_DEVICES} devices") });
            break;
        } else {
            seen.push((*number, secret));
        }
    }
    faults
}

impl Source for UsersFile<'_> {
    fn count(&self) -> usize {
        self.users.len()
    }

    fn whose(&self, place: usize) -> Whose<'_> {
        Whose::User(self.lines(place).first().map_or("", |line| line.user))
    }

    fn found(&self, place: usize) -> Found {
        let entries = self.lines(place).iter().filter_map(|line| entry(line.text, self.now).ok()?);
        Found { devices: entries.map(|(_, device)| device).collect(), scratch: Vec::new() }
    }

    fn ranges(&self, place: usize) -> Vec<Range<usize>> {
        self.lines(place).iter().map(|line| line.range.clone()).collect()
    }
}

impl<'t> UsersFile<'t> {
    fn lines(&self, place: usize) -> &[Line<'t>] {
        self.users.get(place).and_then(|range| self.lines.get(range.clone())).unwrap_or_default()
    }
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
