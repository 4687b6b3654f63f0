//! Whether an account is the person whose record this is, as far as its age tells: a name or a number may have gone to another
//! person.

use std::fs;

use nix::unistd::User;
use otp_core::record::Record;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

const DAY: u64 = 86_400;

/// What is known of the age of a record, which has its first device since then, and of the account.
pub(super) fn evidence(of: &str, account: &Account, first: Option<UnixTime>) -> String {
    let found = User::from_name(account.name.as_str()).ok().flatten();
    let home = found.and_then(|found| born(&found.dir).map(|time| (found.dir, time)));
    let password = fs::read_to_string("/etc/shadow").ok().and_then(|text| last_change(&text, account.name.as_str()));
    let mut told = vec![match first {
        Some(time) => format!("The record of {of} has a device since {}.", time.day()),
        None => format!("The record of {of} has no device."),
    }];
    let user = &account.name;
    told.extend(home.as_ref().map(|(path, time)| format!("{} was made on {}.", path.display(), time.day())));
    told.extend(password.map(|time| format!("The password of {user} was changed last on {}.", time.day())));
    let home = home.map(|(_, time)| time);
    told.push(match (first, judge(first, home, password)) {
        (None, _) | (_, Age::Unknown) => format!(
            "Whether {user} is the same person cannot be told from that: name or number may have gone to another person."
        ),
        (Some(_), Age::Older) => format!("The account is older than the device: {user} probably is the same person."),
        (Some(_), Age::Younger) => format!(
            "The home folder is younger than the device: {user} may be another person, who got the name or the number. Then \
             answer no, and run: otp-enroll admin disable {of}."
        ),
    });
    told.join(" ")
}

/// Whether an account seems to be younger than its own record: it was removed and made again, perhaps for another person.
pub(super) fn seems_new(account: &Account, record: &Record) -> bool {
    let first = first_device(record);
    let found = User::from_name(account.name.as_str()).ok().flatten();
    let Some(home) = found.and_then(|found| born(&found.dir)).filter(|home| first.is_some_and(|first| first < *home))
    else {
        return false;
    };
    // Few get here, so that not every record costs a look at all passwords.
    let password = fs::read_to_string("/etc/shadow").ok().and_then(|text| last_change(&text, account.name.as_str()));
    judge(first, Some(home), password) == Age::Younger
}

/// Since when the record has a device.
pub(super) fn first_device(record: &Record) -> Option<UnixTime> {
    record.credentials.devices.iter().map(|device| device.created).min()
}

#[derive(Debug, PartialEq, Eq)]
enum Age {
    Older,
    Younger,
    Unknown,
}

/// The age of an account beside that of its device. A password may be changed at any time, and a home folder may be moved
/// to another disk: a date after the device says less than one before it.
fn judge(device: Option<UnixTime>, home: Option<UnixTime>, password: Option<UnixTime>) -> Age {
    let Some(device) = device else { return Age::Unknown };
    // The password's change is known to the day.
    let is_older =
        password.is_some_and(|time| time.0.saturating_add(DAY) <= device.0) || home.is_some_and(|time| time <= device);
    if is_older {
        Age::Older
    } else if home.is_some() {
        Age::Younger
    } else {
        Age::Unknown
    }
}

fn born(path: &std::path::Path) -> Option<UnixTime> {
    let born = fs::metadata(path).ok()?.created().ok()?;
    born.duration_since(std::time::UNIX_EPOCH).ok().map(|since| UnixTime(since.as_secs()))
}

/// The third field of shadow(5): days since 1970. 0 says that the password must be changed, and nothing of a date.
fn last_change(shadow: &str, user: &str) -> Option<UnixTime> {
    let line = shadow.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))?;
    let days: u64 = line.split(':').nth(1)?.parse().ok().filter(|days| *days > 0)?;
    days.checked_mul(DAY).map(UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_is_older_than_the_device_is_told_from_a_younger_one() {
        let at = |day: u64| Some(UnixTime(20_000 * DAY + day * DAY));
        for (home, password, expected) in [
            (at(1), None, Age::Older),
            (None, at(1), Age::Older),
            (at(20), at(1), Age::Older),
            (at(20), at(20), Age::Younger),
            (at(20), None, Age::Younger),
            (None, at(10), Age::Unknown),
            (None, at(20), Age::Unknown),
            (None, None, Age::Unknown),
        ] {
            assert_eq!(judge(at(10), home, password), expected, "{home:?} {password:?}");
        }
        assert_eq!(judge(None, at(1), at(1)), Age::Unknown);
    }

    #[test]
    fn the_last_change_of_a_password_is_read_from_the_users_own_line() {
        let shadow = "root:*:19000:0:99999:7:::\nal:!:19001::::::\nalice:$y$x:19002:0:::::\nbob:x:0:::::::\ncat:x\n";
        assert_eq!(last_change(shadow, "alice"), Some(UnixTime(19_002 * DAY)));
        for user in ["bob", "cat", "dan", "ali"] {
            assert_eq!(last_change(shadow, user), None, "{user}");
        }
    }
}
