//! Everybody who can log in, as the name service lists them.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Error as IoError};
use std::process::{Command, Stdio};

use nix::unistd::{Group, User};
use otp_core::error::Error;
use otp_core::site;
use otp_core::user::Account;

use crate::problem::Problem;
use crate::progress::Progress;
use crate::say::Voice;

/// Numeric ids from here on are people's (UID_MIN in login.defs), but for `nobody`; those of a domain are far above.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65_534;

/// Everybody who can log in. A domain may not list its users to everybody who asks: who is not listed is not among them.
pub(super) fn all(voice: &Voice) -> Result<Vec<Account>, Problem> {
    Ok(names(voice)?.iter().map(|name| person(name)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The names of all accounts, each once. Whether it is a [`person`], and which account it means, is not taken from a
/// listing, whose lines hold what users say of themselves.
pub(super) fn names(voice: &Voice) -> Result<Vec<String>, Problem> {
    let mut progress = Progress::counting("asking for the names of users", voice);
    // glibc's own tool: it asks every source that nsswitch.conf names, and there is no safe call for that.
    let failed = |error| Problem::Tool("getent", error);
    let mut getent = Command::new("getent");
    let mut getent = getent.arg("passwd").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut listing = getent.stdout.take().map(BufReader::new).ok_or_else(|| failed(IoError::other("no output")))?;
    let (mut names, mut line) = (Vec::new(), Vec::new());
    while listing.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        progress.step();
        names.extend(String::from_utf8_lossy(&line).split([':', '\n']).next().map(str::to_owned));
        line.clear();
    }
    let status = getent.wait().map_err(failed)?;
    if !status.success() {
        return Err(failed(IoError::other(status.to_string())));
    }
    let mut seen = HashSet::with_capacity(names.len());
    Ok(names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect())
}

/// Those who are in a group: by its own list, which names users of a domain too, and by what is said of each user.
pub(super) fn of_group(name: &str, voice: &Voice) -> Result<Vec<Account>, Problem> {
    let group =
        Group::from_name(name).map_err(|errno| Error::Names { subject: format!("the group {name:?}"), errno })?;
    let group = group.ok_or_else(|| Problem::NoSuchGroup(name.to_owned()))?;
    let mut members: Vec<Account> = Vec::new();
    for account in all(voice)? {
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

/// The account of a name, if somebody can log in with it: root's or a person's, unless its shell lets nobody in.
pub(super) fn person(name: &str) -> Result<Option<Account>, Error> {
    site::account_if(name, |user: &User| {
        let uid = user.uid.as_raw();
        let shell = user.shell.file_name().unwrap_or_default();
        (uid == 0 || (uid >= FIRST_PERSON && uid != NOBODY)) && shell != "nologin" && shell != "false"
    })
}
