//! One-time tokens, by which hosts join: a new one, those there are, and one less. What a token is, is in its file alone: here it has
//! an id, which is its hash.

use otp_core::protocol::request::Confidential;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use otp_wire::Invitation;
use serde::Serialize;

use crate::authority::Authority;
use crate::command_line::{Token, TokenCommand};
use crate::config::Config;
use crate::database::tokens::Known;
use crate::error::Error;
use crate::hosts::rights;
use crate::joining::hash;
use crate::scope_list::warn_of_nobody;
use crate::told::{told, told_json};

#[derive(Serialize)]
struct Listed<'a> {
    token: &'a str,
    /// `usable`, `used`, `ended`, or `altered`: no verifier has made it.
    standing: &'static str,
    rights: Vec<&'static str>,
    scope: Option<&'a str>,
    until: String,
    used_by: Option<&'a str>,
}

pub(crate) fn run(config: &Config, how: &Token) -> Result<(), Error> {
    match &how.command {
        None => make(config, how),
        Some(TokenCommand::List { json }) => list(config, *json),
        Some(TokenCommand::Remove { id }) => {
            if !config.session()?.0.remove_token(id)? {
                return Err(Error::new(format!("no token {id}"), "see: otp-verifier token list"));
            }
            told(&format!("{id}: removed"))
        }
    }
}

/// Prints what `otp-agent join` reads.
fn make(config: &Config, how: &Token) -> Result<(), Error> {
    let (rights, authority) = (rights(&how.rights)?, Authority::load(config)?);
    // No host could join by it.
    authority.issuer()?;
    let mut secret = [0; 32];
    random::entropy(&mut secret)?;
    let token = Confidential::of_bytes(&secret);
    let seconds = how.minutes.saturating_mul(60);
    let (session, keys) = config.session()?;
    session.add_token(&keys, &hash(token.expose()), &rights, how.scope.as_deref(), seconds)?;
    warn_of_nobody(&session, how.scope.as_deref())?;
    told_json(&Invitation { verifiers: config.verifiers.clone(), authority: authority.certificate, token })
}

fn list(config: &Config, json: bool) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    let (tokens, now) = (session.tokens(&keys)?, UnixTime::now());
    let tokens: Vec<_> = tokens.iter().map(|token| listed(token, now)).collect();
    if json { told_json(&tokens) } else { tokens.iter().try_for_each(|token| told(&line(token))) }
}

fn listed(token: &Known, now: UnixTime) -> Listed<'_> {
    let standing = match token {
        Known { is_genuine: false, .. } => "altered",
        Known { used_by: Some(_), .. } => "used",
        Known { expires, .. } if *expires <= now => "ended",
        Known { .. } => "usable",
    };
    Listed {
        token: &token.id,
        standing,
        rights: token.rights.iter().map(|right| right.word()).collect(),
        scope: token.scope.as_deref(),
        until: token.expires.to_string(),
        used_by: token.used_by.as_deref(),
    }
}

fn line(token: &Listed<'_>) -> String {
    let Listed { token: id, standing, rights, scope, until, used_by } = token;
    let scope = scope.map_or_else(|| "all users".to_owned(), |scope| format!("scope {}", scope.escape_debug()));
    let used_by = used_by.map(|host| format!(" by {}", host.escape_debug())).unwrap_or_default();
    format!("{id} {until} {:<20} {:<24} {scope}", format!("{standing}{used_by}"), rights.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::is_in_manual;

    #[test]
    fn the_manual_shows_a_token() {
        let token = Listed {
            token: "5f2b1e7a90c4d3865f2b1e7a90c4d3865f2b1e7a90c4d3865f2b1e7a90c4d386",
            standing: "used",
            rights: vec!["login"],
            scope: Some("staff"),
            until: "2026-11-21T08:30:00Z".into(),
            used_by: Some("web1"),
        };
        assert!(is_in_manual(&[&token]));
        assert!(!is_in_manual(&[Listed { standing: "lost", ..token }]));
    }
}
