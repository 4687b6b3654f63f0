//! Gives the record of a renamed account to its new name, after telling what speaks for a rename and what against it.

use std::fs;

use nix::unistd::{User, getuid};
use otp_core::error::CoreError;
use otp_core::record::Record;
use otp_core::service::caller::Caller;
use otp_core::service::renaming::{self, Renamed};
use otp_core::store::files::open::FileStore;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;

const DAY: u64 = 86_400;

/// The answer as JSON.
#[derive(Serialize)]
struct Done<'a> {
    user: &'a str,
    from: &'a str,
    changed: bool,
}

/// The two ways out for an account that has the number of a record whose account is gone.
pub(super) fn ways_out(former: &str, user: &str) -> String {
    format!(
        "if the account was renamed: otp-enroll admin rename {former} {user}; if the number went to another person: otp-enroll \
         admin disable {former}"
    )
}

pub(super) fn rename(store: &FileStore, old: &str, new: &Account, yes: bool, output: &Output) -> Result<(), CliError> {
    let user = new.name.as_str();
    let refuse = |error: String, hint: String| Err(CliError::Reported { error, hint });
    let Some(name) = UserName::parse(old).filter(|name| *name != new.name) else {
        return Err(CliError::Usage("name the account before and after it was renamed: OLD NEW".into()));
    };
    let former = Account { name, ..new.clone() };
    let done = |changed, text: &str| output.done(&Done { user, from: old, changed }, &format!("{user}: {text}"));
    let Some(owner) = store.owner_of(&former).map_err(CoreError::from)? else {
        if store.holds(new).map_err(CoreError::from)? {
            return done(false, &format!("has a record, and {old} has none: nothing to do"));
        }
        return Err(CliError::NoRecord(old.to_owned()));
    };
    if renaming::is_present(&Account { uid: owner, ..former.clone() })? {
        return refuse(
            format!("the account {old} exists, and the record is its own"),
            "two names with one number are two users, each with a second factor of its own".into(),
        );
    }
    if owner != new.uid {
        return refuse(
            format!("the record of {old} belongs to uid {owner}, and {user} has uid {}", new.uid),
            format!(
                "if {user} is the same person, see \"belongs to uid\" in locked-out.md; else: otp-enroll admin disable {old}"
            ),
        );
    }
    let Some(record) = store.read(&former).map_err(CoreError::from)? else {
        return Err(CliError::NoRecord(old.to_owned()));
    };
    let question = format!("{} Give the record of {old} to {user}?", evidence(old, new, &record));
    if yes {
        output.advise(&evidence(old, new, &record))?;
    } else {
        output.confirm(&question)?;
    }
    let caller = Caller { uid: getuid().as_raw(), is_trusted: true, log: &client::log };
    match renaming::rename(store, &former.name, new, caller)? {
        Renamed::Done => done(true, &format!("has the record of {old} now")),
        Renamed::NoRecord => Err(CliError::NoRecord(old.to_owned())),
        Renamed::HasRecord => refuse(
            format!("{user} has a record of its own"),
            format!(
                "remove the one that is not needed: otp-enroll admin disable {user}, or otp-enroll admin disable {old}"
            ),
        ),
    }
}

/// What is known of the age of record and account.
fn evidence(old: &str, new: &Account, record: &Record) -> String {
    let found = User::from_name(new.name.as_str()).ok().flatten();
    let home = found.and_then(|found| born(&found.dir).map(|time| (found.dir, time)));
    let password = fs::read_to_string("/etc/shadow").ok().and_then(|text| last_change(&text, new.name.as_str()));
    let first = record.credentials.devices.iter().map(|device| device.created).min();
    let mut told = vec![match first {
        Some(time) => format!("The record of {old} has a device since {}.", time.day()),
        None => format!("The record of {old} has no device."),
    }];
    let user = &new.name;
    told.extend(home.as_ref().map(|(path, time)| format!("{} was made on {}.", path.display(), time.day())));
    told.extend(password.map(|time| format!("The password of {user} was changed last on {}.", time.day())));
    let home = home.map(|(_, time)| time);
    told.push(match (first, judge(first, home, password)) {
        (None, _) | (_, Age::Unknown) => format!(
            "Whether {user} is the same person cannot be told from that: the number may have gone to another person."
        ),
        (Some(_), Age::Older) => format!("The account is older than the device: {user} probably is the same person."),
        (Some(_), Age::Younger) => format!(
            "The home folder is younger than the device: {user} may be another person, to whom the number went. Then \
             answer no, and run: otp-enroll admin disable {old}."
        ),
    });
    told.join(" ")
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
