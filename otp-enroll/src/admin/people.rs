//! Everybody who can log in, as the name service lists them.

use std::process::Command;

use otp_core::site;
use otp_core::user::Account;

use crate::problem::Problem;

/// Numeric ids from here on are people's (UID_MIN in login.defs), up to `nobody`.
const PEOPLE: std::ops::Range<u32> = 1000..65_534;

/// Root and the people, except who has a shell that lets nobody in.
pub(super) fn all() -> Result<Vec<Account>, Problem> {
    // glibc's own tool: it asks every source that nsswitch.conf names, and there is no safe call for that.
    let listing = Command::new("getent").arg("passwd").output().map_err(|error| Problem::Tool("getent", error))?;
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let mut people = Vec::new();
    for line in listing.lines() {
        let mut fields = line.split(':');
        let (name, uid, shell) = (fields.next(), fields.nth(1), fields.nth(3));
        let uid: Option<u32> = uid.and_then(|uid| uid.parse().ok());
        let person = uid.is_some_and(|uid| uid == 0 || PEOPLE.contains(&uid));
        let shell = shell.is_some_and(|shell| !shell.ends_with("/nologin") && !shell.ends_with("/false"));
        if let Some(name) = name.filter(|_| person && shell) {
            people.extend(site::account(name)?);
        }
    }
    Ok(people)
}

/// Those of them who are in a group.
pub(super) fn of_group(group: &str) -> Result<Vec<Account>, Problem> {
    let mut members = Vec::new();
    for account in all()? {
        if site::is_member(&account, group)? {
            members.push(account);
        }
    }
    Ok(members)
}
