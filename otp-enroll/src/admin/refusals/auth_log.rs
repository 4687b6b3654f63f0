//! The file of a syslog daemon. It does not tell who sent a line.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek, SeekFrom, Take};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use otp_core::value::time::{Seconds, UnixTime};

use super::line::{Reader, Refusal};

/// Where distributions keep it, and the file before the last rotation.
const FILES: [[&str; 2]; 2] = [["/var/log/auth.log", "/var/log/auth.log.1"], ["/var/log/secure", "/var/log/secure.1"]];

/// Bytes at the end of a file that are looked at for one user; for all users it is read as a whole, since any user can fill it.
const MOST_BYTES: u64 = 8 << 20;

/// Bytes of a line that are looked at: ours are shorter.
const LONGEST_LINE: u64 = 1 << 14;

/// The zones of the world are that far from UTC at most, and a time without a year has no zone either.
const FARTHEST_ZONE: Seconds = Seconds(14 * 3600);

/// The last refusals since then, and the file; `None` if there is none. Without a time, only the end of a file is looked at.
pub(super) fn newest_first(
    reader: &Reader,
    since: Option<UnixTime>,
    number: usize,
) -> Option<(Vec<Refusal>, &'static str)> {
    let beginning = since.is_none().then_some(MOST_BYTES);
    let since = Since(since, UnixTime::now());
    FILES.iter().find_map(|[present, before]| {
        let mut found = of_file(&mut opened(present, beginning).ok()?, reader, &since, number).ok()?;
        if found.len() < number
            && let Ok(mut file) = opened(before, beginning)
        {
            found.extend(of_file(&mut file, reader, &since, number.saturating_sub(found.len())).ok()?);
        }
        Some((found, *present))
    })
}

/// From when on lines count, and the present time, by which a time without a year is understood.
struct Since(Option<UnixTime>, UnixTime);

impl Since {
    /// Whether a line of that time counts; so does one whose time cannot be read.
    fn has(&self, time: &str) -> bool {
        let Some(since) = self.0 else { return true };
        read_time(time, self.1).is_none_or(|time| time >= since)
    }
}

/// `2026-11-28T06:35:21.548108+01:00`, or `Nov  1 21:14:17`, which is the latest of such a day that it can be.
fn read_time(text: &str, now: UnixTime) -> Option<UnixTime> {
    let clock = |text: &str| {
        let mut parts = text.split(':').map_while(|part| part.parse::<u64>().ok());
        let (hours, minutes) = (parts.next()?, parts.next()?);
        Some(Seconds(
            hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(parts.next().unwrap_or(0))?,
        ))
    };
    if let Some((time, rest)) = text.split_at_checked("2026-11-28T06:35:21".len())
        && let Some(time) = UnixTime::read(&format!("{time}Z"))
    {
        let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        return match zone.split_at_checked(1)? {
            ("+", ahead) => Some(UnixTime(time.0.checked_sub(clock(ahead)?.0)?)),
            ("-", behind) => Some(time.after(clock(behind)?)),
            _ => Some(time),
        };
    }
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_whitespace();
    let month = (MONTHS.find(words.next()?)? / 3).checked_add(1)?;
    let (day, clock) = (words.next()?.parse().ok()?, clock(words.next()?)?);
    let year: u64 = now.to_string().split('-').next()?.parse().ok()?;
    let latest = now.after(FARTHEST_ZONE);
    let of_year =
        |year| Some(UnixTime::midnight(year, u64::try_from(month).ok()?, day)?.after(clock).after(FARTHEST_ZONE));
    of_year(year).filter(|time| *time <= latest.after(FARTHEST_ZONE)).or_else(|| of_year(year.checked_sub(1)?))
}

/// The file, or as many bytes of its end.
fn opened(path: &str, most: Option<u64>) -> io::Result<BufReader<Take<File>>> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = File::metadata(&file)?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let length = metadata.len();
    file.seek(SeekFrom::Start(most.map_or(0, |most| length.saturating_sub(most))))?;
    // What is written meanwhile is of the next time.
    Ok(BufReader::new(file.take(most.unwrap_or(length).min(length))))
}

/// The refusals of a file, so many at most, the newest ones.
fn of_file(file: &mut impl BufRead, reader: &Reader, since: &Since, number: usize) -> io::Result<Vec<Refusal>> {
    let mut found = VecDeque::new();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&bytes);
        let refusal = parts(line.trim_end_matches('\n'))
            .and_then(|(time, program, message)| reader.read(time, program, message))
            .filter(|refusal| since.has(&refusal.time));
        if let Some(refusal) = refusal {
            if found.len() == number {
                found.pop_front();
            }
            found.push_back(refusal);
        }
    }
    Ok(found.into_iter().rev().collect())
}

/// Time, program and message of a line: `Nov 21 21:14:17 host sshd[123]: …`, or with a time of RFC 3339.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let is_full = line.starts_with(|c: char| c.is_ascii_digit());
    let (time, rest) = if is_full { line.split_once(' ')? } else { line.split_at_checked("Nov 21 21:14:17".len())? };
    let (_host, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (tag, message) = rest.split_once(": ")?;
    let program = tag.split('[').next().filter(|program| !program.contains(' '))?;
    Some((time, program, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_both_forms_come_first() {
        let line = "sshd[12]: pam_otp(sshd:auth): refused user=alice rhost=192.0.2.1 why=";
        let text = format!(
            "Nov  1 21:14:17 host {line}replayed\nNov 21 21:14:17 host sshd[12]: Connection closed\n\
             2026-11-28T06:35:21.548108+00:00 host {line}malformed\nshort\n\n\u{fffd} odd\n\
             2026-11-28T06:35:22.548108+00:00 host sshd[12]: Invalid user x: {line}wrong\n\
             2026-11-28T06:35:23.548108+00:00 host otp-helper[3]: refused user=alice by_uid=1 change=tested why=locked\n"
        );
        let told = |number| {
            let found = of_file(&mut text.as_bytes(), &Reader::of("alice"), &Since(None, UnixTime(0)), number).unwrap();
            found.iter().map(|refusal| format!("{}: {}", refusal.time, refusal.told())).collect::<Vec<_>>()
        };
        let all = [
            "2026-11-28T06:35:23.548108+00:00: locked, change: tested",
            "2026-11-28T06:35:21.548108+00:00: malformed, sshd, from 192.0.2.1",
            "Nov  1 21:14:17: replayed, sshd, from 192.0.2.1",
        ];
        assert_eq!(told(5), all);
        assert_eq!(told(2), all[..2]);
    }

    #[test]
    fn a_line_before_that_time_does_not_count() {
        let now = UnixTime::midnight(2026, 1, 2).unwrap();
        let since = Since(UnixTime::midnight(2026, 1, 1), now);
        for (time, counts) in [
            ("2026-01-01T00:00:00.000001+00:00", true),
            ("2026-01-01T00:30:00.000001+01:00", false),
            ("2025-12-31T23:30:00.000001-01:00", true),
            ("2025-12-31T23:59:59Z", false),
            ("Jan  2 00:00:00", true),
            ("Jan  1 00:00:00", true),
            ("Dec 31 12:00:00", true), // in a zone of the west
            ("Dec 31 09:00:00", false),
            ("Dec  1 21:14:17", false),
            ("Feb  1 21:14:17", false), // of last year
            ("neither", true),
        ] {
            assert_eq!(since.has(time), counts, "{time}");
        }
    }
}
