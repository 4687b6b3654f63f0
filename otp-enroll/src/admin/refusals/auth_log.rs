//! The file of a syslog daemon. It does not tell who sent a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use super::line::{Reader, Refusal};

/// Where distributions keep it, and the file before the last rotation.
const FILES: [[&str; 2]; 2] = [["/var/log/auth.log", "/var/log/auth.log.1"], ["/var/log/secure", "/var/log/secure.1"]];

/// Bytes at the end of a file that are looked at.
const MOST_BYTES: u64 = 8 << 20;

/// The last refusals, and the file; `None` if there is none.
pub(super) fn newest_first(reader: &Reader, number: usize) -> Option<(Vec<Refusal>, &'static str)> {
    FILES.iter().find_map(|[present, before]| {
        let mut found = of_file(&end_of(present).ok()?, reader, number);
        if found.len() < number
            && let Ok(text) = end_of(before)
        {
            found.extend(of_file(&text, reader, number.saturating_sub(found.len())));
        }
        Some((found, *present))
    })
}

fn end_of(path: &str) -> io::Result<String> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = File::metadata(&file)?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(MOST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_file(text: &str, reader: &Reader, number: usize) -> Vec<Refusal> {
    let read = |line| {
        let (time, program, message) = parts(line)?;
        reader.read(time, program, message)
    };
    text.lines().rev().filter_map(read).take(number).collect()
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
            let found = of_file(&text, &Reader::of("alice"), number);
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
}
