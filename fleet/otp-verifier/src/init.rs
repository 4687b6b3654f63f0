//! What a new fleet needs, and what a further verifier does: authority, certificate, keys, tables.
//!
//! Authority and keys are made for a database that has no fleet. With others than its own, a verifier would open no record, and
//! seal records that no other verifier opens.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use otp_core::record::seal::KeyId;

use crate::authority::{Authority, SECRET, certificates, name_of_key, put};
use crate::command_line::Init;
use crate::config::{Config, PATIENCE};
use crate::database::fleet::{COPY, FleetRow, Foreign, foreign};
use crate::database::migrations;
use crate::error::Error;
use crate::keys::Keys;
use crate::told::told;

pub(crate) fn init(config: &Config, how: &Init) -> Result<(), Error> {
    let session = config.servers_as(how.owners.clone(), how.owner_password.clone())?.connect()?.with_patience(PATIENCE);
    let has_tables = session.has_tables()?;
    // A row that was removed by hand is written again, with keys under which all there is opens.
    let (fleet, in_use) = if has_tables { (session.fleet()?, session.keys_in_use()?) } else { (None, Vec::new()) };
    may_make(config, fleet.as_ref(), &in_use)?;
    make(config, &how.names)?;
    let run = migrations::migrate(&session)?;
    told(
        &run.last().map_or("The tables are up to date.".into(), |number| format!("The tables have version {number}.")),
    )?;
    session.note_fleet(&FleetRow { key: config.keys()?.present(), authority: name_of_authority(config)? })?;
    // Another `init` may have been first.
    may_make(config, session.fleet()?.as_ref(), &[])?;
    told("Next: otp-verifier check; systemctl enable --now otp-verifier.service")
}

/// Whether what is here belongs to the fleet of the database, or the database has none.
fn may_make(config: &Config, fleet: Option<&FleetRow>, in_use: &[KeyId]) -> Result<(), Error> {
    let Some(key) = fleet.map(|fleet| fleet.key).or_else(|| in_use.first().copied()) else { return Ok(()) };
    let keys = || config.keys();
    // The authority of a site signs elsewhere.
    let is_signed = config.certificate().exists();
    for (path, is_needed) in
        [(config.key_file(), true), (config.authority(), true), (config.authority_key(), !is_signed)]
    {
        if is_needed && !path.exists() {
            let text = format!(
                "the database has a fleet, whose records are sealed under {key}, and {} is not here",
                path.display()
            );
            return Err(Error::new(text, COPY));
        }
    }
    let keys = keys()?;
    let other = in_use.iter().find(|id| !keys.ids().contains(id)).map(|id| Foreign::Key(*id));
    if let Some(other) = fleet.and_then(|fleet| foreign(Some(*fleet), &keys)).or(other) {
        return Err(other.into());
    }
    Ok(())
}

fn make(config: &Config, names: &[String]) -> Result<(), Error> {
    if !config.folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&config.folder);
        made.map_err(|error| Error::io("create", &config.folder, &error))?;
    }
    if !config.authority().exists() {
        Authority::make(config)?;
        told(&made(&config.authority()))?;
    }
    if !config.certificate().exists() {
        Authority::load(config)?.make_verifier(config, names)?;
        told(&made(&config.certificate()))?;
    }
    if !config.key_file().exists() {
        put(&config.key_file(), &Keys::with_new(None)?, SECRET)?;
        told(&made(&config.key_file()))?;
        told("It opens all seeds: keep a copy of it apart from copies of the database.")?;
    }
    Ok(())
}

fn made(path: &Path) -> String {
    format!("{} is made.", path.display())
}

/// Whether this is the authority that the database has noted.
pub(crate) fn is_of_authority(config: &Config, fleet: &FleetRow) -> Result<bool, Error> {
    let all = certificates(&config.authority())?;
    Ok(all.iter().filter_map(name_of_key).any(|name| name == fleet.authority))
}

/// What names the key of the fleet's authority.
fn name_of_authority(config: &Config) -> Result<[u8; 32], Error> {
    let path = config.authority();
    let name = certificates(&path)?.first().and_then(name_of_key);
    name.ok_or_else(|| Error::new(format!("{}: no certificate can be read", path.display()), COPY))
}

#[cfg(test)]
mod tests;
