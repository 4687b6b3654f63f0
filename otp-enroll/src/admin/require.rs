//! Before many users are required to have a second factor: how many, who has no device, and whether root is among them.

use otp_core::record::credentials::Override;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use super::of_fleet;
use crate::error::CliError;
use crate::ui::output::Output;

/// Names in the question; further ones are counted.
const NAMED: usize = 5;

/// Asks before a second factor is required of all these users.
pub(super) fn confirm(site: &Site, accounts: &[Account], enroll: bool, output: &Output) -> Result<(), CliError> {
    let mut lacking = Vec::new();
    for account in accounts {
        // A record that cannot be read is reported when it is to be changed.
        if of_fleet::client(site, account.clone()).status().is_ok_and(|status| !status.enrolled) {
            lacking.push(account.name.as_str());
        }
    }
    let has_root = accounts.iter().any(|account| account.uid == 0);
    output.confirm(&question(accounts.len(), &lacking, has_root, enroll))
}

fn question(users: usize, lacking: &[&str], has_root: bool, enroll: bool) -> String {
    let whom = if users == 1 { "one user".to_owned() } else { format!("{users} users") };
    let root = if has_root { ", root among them" } else { "" };
    let outcome = match (lacking.len(), enroll) {
        (0, _) => "All of them have a device.".to_owned(),
        (1, true) => format!("{} has no device and must enroll one at the next login.", named(lacking)),
        (more, true) => format!("{more} have no device and must enroll one at their next login: {}.", named(lacking)),
        (1, false) => format!("{} has no device and will be refused.", named(lacking)),
        (more, false) => format!("{more} have no device and will be refused: {}.", named(lacking)),
    };
    format!("This requires a second factor of {whom}{root}. {outcome} Continue?")
}

fn named(names: &[&str]) -> String {
    let first = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The override as it is set, for good or until a day begins.
pub(super) fn ending(user_override: Override, until: Option<&str>, now: UnixTime) -> Result<Override, CliError> {
    let Some(text) = until else { return Ok(user_override) };
    match day(text) {
        Some(end) if now < end => Ok(user_override.ending(end).unwrap_or(user_override)),
        Some(_) => Err(CliError::Usage(format!("--until {text}: that day has begun already"))),
        None => Err(CliError::Usage(format!("--until {text}: write a date like 2027-01-31"))),
    }
}

/// The beginning of a day that is written as `2027-01-31`.
fn day(text: &str) -> Option<UnixTime> {
    let mut parts = text.split('-').map(|part| part.parse().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    UnixTime::midnight(year, month, day).filter(|time| time.day() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_counts_and_names_those_who_will_be_refused() {
        for (users, lacking, has_root, enroll, expected) in [
            (1, &[][..], false, false, "one user. All of them have a device."),
            (2, &["ann"], false, false, "2 users. ann has no device and will be refused."),
            (
                9,
                &["root", "ann", "ben", "cat", "dan", "eve", "fay"],
                true,
                false,
                "9 users, root among them. 7 have no device and will be refused: root, ann, ben, cat, dan and 2 more.",
            ),
            (
                3,
                &["ann", "ben"],
                false,
                true,
                "3 users. 2 have no device and must enroll one at their next login: ann, ben.",
            ),
        ] {
            let expected = format!("This requires a second factor of {expected} Continue?");
            assert_eq!(question(users, lacking, has_root, enroll), expected);
        }
    }

    #[test]
    fn an_override_ends_on_a_day_to_come() {
        let now = UnixTime(1_763_750_020);
        let end = UnixTime(1_763_769_600);
        for (without, until) in [
            (Override::Required, Override::RequiredUntil(end)),
            (Override::Enroll, Override::EnrollUntil(end)),
            (Override::Exempt, Override::ExemptUntil(end)),
        ] {
            assert_eq!(ending(without, None, now).unwrap(), without);
            assert_eq!(ending(without, Some("2025-11-22"), now).unwrap(), until);
        }
        for (wrong, why) in [
            ("2025-11-21", "has begun already"),
            ("2025-02-30", "write a date"),
            ("2026-1-31", "write a date"),
            ("2026-01-31-1", "write a date"),
            ("tomorrow", "write a date"),
        ] {
            let error = ending(Override::Required, Some(wrong), now).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(why), "{error}");
        }
    }
}
