//! What an administrator says of hosts on a verifier's own machine: which there are, and what each may.

use std::fs;

use otp_core::store::error::StoreError;
use serde::Serialize;

use crate::authority::subject;
use crate::command_line::{AddHost, HostCommand};
use crate::config::Config;
use crate::database::hosts::{Changed, Host, NewScope};
use crate::database::session::Session;
use crate::error::Error;
use crate::joining::is_name;
use crate::keys::Keys;
use crate::right::Right;
use crate::scope_list::warn_of_nobody;
use crate::told::{told, told_json, warned};

#[derive(Serialize)]
struct Listed<'a> {
    host: &'a str,
    active: bool,
    /// Whether a verifier has written its row: without that it may do nothing.
    genuine: bool,
    rights: Vec<&'static str>,
    scope: Option<&'a str>,
}

pub(crate) fn run(config: &Config, command: &HostCommand) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    let changed = |name: &str, done: Result<Changed, StoreError>| match done? {
        Changed::Yes => Ok(()),
        Changed::NoHost => Err(Error::new(format!("no host {name}"), "see: otp-verifier host list")),
        Changed::Altered => Err(Error::new(
            format!("the row of host {name} was not written by a verifier, so the host may do nothing"),
            "look for who writes to the database; then: otp-verifier host remove, and let the host join again",
        )),
    };
    match command {
        HostCommand::List { json } => {
            let hosts = session.hosts(&keys)?;
            if *json {
                return told_json(&hosts.iter().map(listed).collect::<Vec<_>>());
            }
            hosts.iter().try_for_each(|host| told(&line(host)))
        }
        HostCommand::Add(how) => add(&session, &keys, how),
        HostCommand::Suspend { host } => {
            changed(host, session.suspend(&keys, host))?;
            told(&format!("{host}: suspended"))
        }
        HostCommand::Resume { host } => {
            changed(host, session.resume(&keys, host))?;
            told(&format!("{host}: active"))
        }
        HostCommand::Remove { host } => {
            let removed = session.remove_host(host);
            changed(host, removed.map(|is_done| if is_done { Changed::Yes } else { Changed::NoHost }))?;
            told(&format!("{host}: removed"))
        }
        HostCommand::Rights { host, rights: words, scope, all_users } => {
            let new = match scope {
                Some(scope) => NewScope::Of(scope),
                None if *all_users => NewScope::AllUsers,
                None => NewScope::Kept,
            };
            let rights = rights(words)?;
            let before = session.hosts(&keys)?.into_iter().find(|before| before.id == *host);
            changed(host, session.set_rights(&keys, host, &rights, new))?;
            told_of(&session, &keys, host)?;
            warn_of_lost_login(before.as_ref(), &rights)
        }
    }
}

/// Tells what a host may now, as the list does.
fn told_of(session: &Session, keys: &Keys, name: &str) -> Result<(), Error> {
    let hosts = session.hosts(keys)?;
    let Some(host) = hosts.iter().find(|host| host.id == name) else { return Ok(()) };
    told(&line(host))?;
    warn_of_nobody(session, host.scope.as_deref())
}

/// A host that had the right to log users in, and is given others in its place, refuses the users of the fleet.
fn warn_of_lost_login(before: Option<&Host>, rights: &[Right]) -> Result<(), Error> {
    let Some(Host { id, .. }) =
        before.filter(|before| before.rights.contains(&Right::Login) && !rights.contains(&Right::Login))
    else {
        return Ok(());
    };
    let all = [Right::Login].iter().chain(rights).map(|right| right.word()).collect::<Vec<_>>().join(",");
    warned(&format!(
        "{id} may not ask about logins any more, and refuses the fleet's users; if it is to: otp-verifier host rights {id} {all}"
    ))
}

pub(crate) fn rights(words: &[String]) -> Result<Vec<Right>, Error> {
    let rights: Option<Vec<Right>> = words.iter().map(|word| Right::parse(word)).collect();
    rights.ok_or_else(|| Error::new("no such right", "rights are login, enroll, import, export, admin"))
}

/// A host whose certificate was made elsewhere.
fn add(session: &Session, keys: &Keys, how: &AddHost) -> Result<(), Error> {
    let (path, rights) = (&how.certificate, rights(&how.rights)?);
    let pem = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let (named, key) = subject(&pem).ok_or_else(|| {
        Error::new(format!("{}: no certificate in PEM", path.display()), "give it the certificate of the host")
    })?;
    let name = how.name.clone().or(named).filter(|name| is_name(name)).ok_or_else(|| {
        let error = format!("{}: its subject has no common name that could be a host's", path.display());
        Error::new(error, "say --name: letters, digits, hyphens and dots")
    })?;
    if !session.add_host(keys, &name, &key, &rights, how.scope.as_deref())? {
        let error = format!("a host of the name {name}, or with this key, is in the fleet");
        return Err(Error::new(
            error,
            "see: otp-verifier host list; with another key: otp-verifier host remove NAME first",
        ));
    }
    told(&format!("{name}: added"))?;
    warn_of_nobody(session, how.scope.as_deref())
}

fn listed(host: &Host) -> Listed<'_> {
    Listed {
        host: &host.id,
        active: host.is_active,
        genuine: host.is_genuine,
        rights: host.rights.iter().map(|right| right.word()).collect(),
        scope: host.scope.as_deref(),
    }
}

fn line(host: &Host) -> String {
    let Listed { host, active, genuine, rights, scope } = listed(host);
    let status = match (genuine, active) {
        (false, _) => "altered",
        (true, true) => "active",
        (true, false) => "suspended",
    };
    let scope = scope.map_or_else(|| "all users".to_owned(), |scope| format!("scope {}", scope.escape_debug()));
    format!("{host:<40} {status:<10} {:<24} {scope}", rights.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::is_in_manual;

    #[test]
    fn the_manual_shows_a_host() {
        let rights = vec!["login", "enroll"];
        assert!(is_in_manual(&[Listed { host: "web1", active: true, genuine: true, rights, scope: None }]));
    }
}
