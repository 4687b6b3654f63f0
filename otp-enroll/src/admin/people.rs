//! Everybody who can log in, as the name service lists them.

use std::collections::BTreeSet;
use std::process::Command;

use nix::unistd::{Group, User};
use otp_core::error::Error;
use otp_core::site;
use otp_core::user::Account;

use crate::problem::Problem;

/// Numeric ids from here on are people's (UID_MIN in login.defs), but for `nobody`; those of a domain are far above.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65_534;

/// Root and the people, except who has a shell that lets nobody in. A domain may not list its users to everybody who
/// asks: who is not listed is not among them.
pub(super) fn all() -> Result<Vec<Account>, Problem> {
    // glibc's own tool: it asks every source that nsswitch.conf names, and there is no safe call for that.
    let failed = |error| Problem::Tool("getent", error);
    let listing = Command::new("getent").arg("passwd").output().map_err(failed)?;
    if !listing.status.success() {
        return Err(failed(std::io::Error::other(listing.status.to_string())));
    }
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let mut seen = BTreeSet::new();
    let names = listing.lines().filter_map(|line| line.split(':').next()).filter(|name| seen.insert(*name));
    Ok(names.map(person).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Those who are in a group: by its own list, which names users of a domain too, and by what is said of each user.
pub(super) fn of_group(name: &str) -> Result<Vec<Account>, Problem> {
    let group =
        Group::from_name(name).map_err(|errno| Error::Names { subject: format!("the group {name:?}"), errno })?;
    let group = group.ok_or_else(|| Problem::NoSuchGroup(name.to_owned()))?;
    let mut members: Vec<Account> = Vec::new();
    for account in all()? {
        if site::is_member(&account, name)? {
            members.push(account);
        }
    }
    for listed in &group.mem {
        let more = person(listed)?.filter(|person| members.iter().all(|member| member.name != person.name));
        members.extend(more);
    }
    if members.is_empty() { Err(Problem::NobodyIn(name.to_owned())) } else { Ok(members) }
}

/// The account of a name, if somebody can log in with it.
fn person(name: &str) -> Result<Option<Account>, Error> {
    let refuse = |errno| Error::Names { subject: format!("the user {name:?}"), errno };
    let can_log_in = User::from_name(name).map_err(refuse)?.is_some_and(|user| {
        let uid = user.uid.as_raw();
        let shell = user.shell.file_name().unwrap_or_default();
        (uid == 0 || (uid >= FIRST_PERSON && uid != NOBODY)) && shell != "nologin" && shell != "false"
    });
    if can_log_in { site::account(name) } else { Ok(None) }
}
