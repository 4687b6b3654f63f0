//! The commands about the keys that seal seeds. A key that seals must be on all verifiers before: one that does not have it opens
//! no record that was sealed under it.

use std::fs;

use otp_core::record::seal::KeyId;

use crate::authority::{SECRET, put};
use crate::command_line::KeyCommand;
use crate::config::Config;
use crate::database::session::Session;
use crate::error::Error;
use crate::keys::{Keys, VERSION};
use crate::signed_state;
use crate::told::told;

pub(crate) fn run(config: &Config, command: &KeyCommand) -> Result<(), Error> {
    let keys = config.keys()?;
    match command {
        KeyCommand::List => list(&keys),
        KeyCommand::Add => add(config, &keys),
        KeyCommand::Use { id } => {
            let id = known(&keys, id)?;
            let bytes = keys.with_first(id).ok_or_else(|| unknown(id))?;
            // First in the database: a verifier without this key then serves no host, and seals nothing.
            config.session()?.0.seals_under(id)?;
            replace(config, &bytes)?;
            told(&format!("{id}: seals from now on. Copy the file to all verifiers, then: otp-verifier reseal"))
        }
        KeyCommand::Remove { id } => remove(config, &keys, known(&keys, id)?),
    }
}

fn list(keys: &Keys) -> Result<(), Error> {
    keys.ids().into_iter().try_for_each(|id| {
        let what = if id == keys.present() { "seals" } else { "opens" };
        told(&format!("{id} {what}"))
    })
}

fn add(config: &Config, keys: &Keys) -> Result<(), Error> {
    let bytes = Keys::with_new(Some(keys))?;
    let new = Keys::of_bytes(&bytes)?.ids().into_iter().find(|id| !keys.ids().contains(id));
    let new = new.ok_or_else(|| Error::new("the file holds as many keys as it can", "otp-verifier key remove"))?;
    replace(config, &bytes)?;
    told(&format!("{new}: opens, and does not seal yet."))?;
    told(&format!("Copy {} to all verifiers, then: otp-verifier key use {new}", config.key_file().display()))
}

fn remove(config: &Config, keys: &Keys, id: KeyId) -> Result<(), Error> {
    if id == keys.present() {
        return Err(Error::new(format!("{id} seals"), "let another one seal: otp-verifier key use"));
    }
    let session = config.session()?.0;
    if session.fleet()?.is_some_and(|fleet| fleet.key == id) {
        return Err(Error::new(format!("{id} seals on other verifiers"), "copy the file of keys from one of them"));
    }
    if let Some((what, hint)) = needs(&session, id)? {
        return Err(Error::new(format!("{what} {id}"), hint));
    }
    replace(config, &keys.without(id))?;
    told(&format!("{id}: removed. Backups of before need it: keep a copy."))
}

/// What needs a key, and what to do about that; `None` if nothing does.
fn needs(session: &Session, id: KeyId) -> Result<Option<(&'static str, &'static str)>, Error> {
    const SQL: &str = "SELECT 1 FROM otp.record WHERE substr(sealed, 1, 5) = $1 OR position($2 IN state) > 0 \
         UNION ALL SELECT 2 FROM otp.moving WHERE substr(sealed, 1, 5) = $1 OR position($2 IN state) > 0 \
         UNION ALL SELECT 3 FROM otp.host WHERE substr(mac, 1, 5) = $1 \
         UNION ALL SELECT 3 FROM otp.scope_user WHERE substr(mac, 1, 5) = $1 \
         UNION ALL SELECT 3 FROM otp.join_token WHERE substr(mac, 1, 5) = $1 LIMIT 1";
    let [a, b, c, d] = id.0;
    let key = [VERSION, a, b, c, d];
    let rows = session.read(SQL, &[&key.as_slice(), &signed_state::beginning(key)])?;
    let (records, before) = ("records are sealed under", "run otp-verifier reseal before");
    Ok(rows.first().map(|row| match row.try_get::<_, i32>(0) {
        Ok(2) => (records, "a record on its way to a host is: let it be pulled there, or pushed"),
        Ok(3) => ("hosts, scopes or tokens have MACs under", before),
        Ok(_) | Err(_) => (records, before),
    }))
}

/// As a whole. A verifier that runs takes it within seconds.
fn replace(config: &Config, bytes: &[u8]) -> Result<(), Error> {
    let (path, new) = (config.key_file(), config.key_file().with_extension("new"));
    let _ = fs::remove_file(&new); // of a command that was killed
    put(&new, bytes, SECRET)?;
    fs::rename(&new, &path).map_err(|error| Error::io("replace", &path, &error))
}

fn known(keys: &Keys, id: &str) -> Result<KeyId, Error> {
    keys.ids().into_iter().find(|known| known.to_string() == id).ok_or_else(|| unknown(id))
}

fn unknown(id: impl std::fmt::Display) -> Error {
    Error::new(format!("no key {id}"), "see: otp-verifier key list")
}
