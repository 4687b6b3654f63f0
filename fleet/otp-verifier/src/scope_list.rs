//! What an administrator says of scopes on a verifier's own machine: which users hosts may ask about.

use crate::command_line::ScopeCommand;
use crate::config::Config;
use crate::database::hosts::Host;
use crate::database::session::Session;
use crate::error::Error;
use crate::told::{told, warned};

pub(crate) fn run(config: &Config, command: &ScopeCommand) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    let before = |is_new| if is_new { "" } else { " (as before)" };
    match command {
        ScopeCommand::List { scope: None } => {
            let mut scopes = session.scopes()?;
            let hosts = session.hosts(&keys)?;
            for scope in hosts.iter().filter_map(|host| host.scope.as_ref()) {
                scopes.entry(scope.clone()).or_default();
            }
            scopes.iter().try_for_each(|(scope, users)| {
                let hosts = with_scope(&hosts, scope);
                let hosts = if hosts.is_empty() { "no host".to_owned() } else { hosts.join(", ") };
                let users = if *users == 1 { "1 user".to_owned() } else { format!("{users} users") };
                told(&format!("{:<40} {users:<12} {hosts}", scope.escape_debug().to_string()))
            })
        }
        ScopeCommand::List { scope: Some(scope) } => {
            let users = session.users_of_scope(&keys, scope)?;
            if users.is_empty() {
                let is_given = !with_scope(&session.hosts(&keys)?, scope).is_empty();
                let error =
                    if is_given { format!("{scope} lists nobody") } else { format!("there is no scope {scope}") };
                return Err(Error::new(error, "see: otp-verifier scope list"));
            }
            users.iter().try_for_each(|(user, is_genuine)| {
                told(&format!("{}{}", user.escape_debug(), if *is_genuine { "" } else { " altered" }))
            })
        }
        ScopeCommand::Add { scope, user } => {
            let is_added = session.add_to_scope(&keys, scope, user)?;
            told(&format!("{scope}: {user} is listed{}", before(is_added)))?;
            if !with_scope(&session.hosts(&keys)?, scope).is_empty() || session.has_token_with(scope)? {
                return Ok(());
            }
            let is_new = is_added && session.users_of_scope(&keys, scope)?.len() == 1;
            told(&format!("{scope}{}: no host has it, and no token", if is_new { " is new" } else { "" }))
        }
        ScopeCommand::Remove { scope, user } => {
            let is_removed = session.remove_from_scope(scope, user)?;
            told(&format!("{scope}: {user} is not listed any more{}", before(is_removed)))
        }
    }
}

fn with_scope<'a>(hosts: &'a [Host], scope: &str) -> Vec<&'a str> {
    hosts.iter().filter(|host| host.scope.as_deref() == Some(scope)).map(|host| host.id.as_str()).collect()
}

/// Warns where the scope of a host or token is empty: the host may ask about no user then.
pub(crate) fn warn_of_nobody(session: &Session, scope: Option<&str>) -> Result<(), Error> {
    let Some(scope) = scope else { return Ok(()) };
    if session.has_users(scope)? {
        return Ok(());
    }
    warned(&format!("the scope {scope} lists nobody, so that the host may ask about no user: otp-verifier scope add"))
}
