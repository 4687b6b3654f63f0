//! Each server by itself, whether commits are confirmed, and whether keys and authority are those of the database.

use otp_core::store::error::StoreError;
use otp_core::value::user::UserName;

use super::Findings;
use crate::config::{Config, PATIENCE};
use crate::database::examination::Examined;
use crate::database::fleet::foreign;
use crate::database::macs;
use crate::database::session::Session;
use crate::database::{LATER, Servers};
use crate::error::Error;
use crate::init::is_of_authority;
use crate::keys::Keys;
use crate::signed_state::Signed;

const DATABASE: &str = "database";
const KEYS: &str = "keys";

/// Names in a finding; further ones are counted.
const NAMED: usize = 5;

/// Some records of a large table, all of a small one.
const SAMPLE: &str = "SELECT name, sealed, state FROM otp.record TABLESAMPLE SYSTEM (\
     (SELECT least(100, 200000 / greatest(reltuples, 1)) FROM pg_class WHERE oid = 'otp.record'::regclass)) LIMIT 2000";

pub(super) fn look_at(config: &Config, keys: Option<&Keys>, found: &mut Findings) {
    if config.without_standby {
        let what = "without_standby is set: codes that were used are good again after the database's machine is lost";
        found.warning(
            DATABASE,
            what,
            "take it out when there is a standby: it is for trying things out, and for the time without one",
        );
    }
    let mut readable = config.clone();
    for error in Servers::take_unreadable(&mut readable.database) {
        found.fault(DATABASE, error.to_string(), error.hint());
    }
    if readable.database.is_empty() {
        return;
    }
    let Some(servers) = found.good(DATABASE, readable.servers()) else { return };
    let Some(Examined { faults, unconfirmed, has_primary }) =
        found.good(DATABASE, servers.examine().map_err(Error::from))
    else {
        return;
    };
    for error in faults {
        found.fault(DATABASE, error.to_string(), error.hint());
    }
    if let Some(why) = unconfirmed {
        found.fault(DATABASE, format!("nothing can be confirmed, so nobody logs in: {why}"), LATER);
    }
    if !has_primary {
        return;
    }
    let Some(session) = found.good(DATABASE, servers.connect().map_err(Error::from)) else { return };
    let session = session.with_patience(PATIENCE);
    if let Some(Some(fleet)) = found.good(DATABASE, session.fleet().map_err(Error::from))
        && !is_of_authority(config, &fleet).unwrap_or(true)
    {
        let what = format!(
            "{} is not the authority that this fleet began with: hosts that joined under that one refuse this verifier",
            config.authority().display()
        );
        found.warning(
            DATABASE,
            what,
            "copy authority.pem and authority.key from another verifier, unless they are of your site",
        );
    }
    if let Some(keys) = keys {
        let faults = found.good(DATABASE, of_fleet(keys, &session).map_err(Error::from));
        faults.into_iter().flatten().for_each(|(what, fix)| found.fault(KEYS, what, fix));
    }
}

/// What is wrong with keys and rows, and what to do about it.
fn of_fleet(keys: &Keys, session: &Session) -> Result<Vec<(String, &'static str)>, StoreError> {
    let mut faults = Vec::new();
    let fleet = session.fleet()?;
    if let Some(foreign) = foreign(fleet, keys) {
        faults.push((foreign.text(), foreign.hint()));
    } else if let Some(fleet) = fleet.filter(|fleet| fleet.key != keys.present()) {
        let text = format!("{} seals here, and {} in the fleet", keys.present(), fleet.key);
        faults.push((text, "copy the file of keys from the verifier on which `otp-verifier key use` was run"));
    }
    let shut = shut(keys, session)?;
    if !shut.is_empty() {
        let text = format!("records that do not open with these keys: {}", some(&shut));
        faults.push((
            text,
            "restore the keys under which they were sealed; `otp-enroll admin reset USER` removes a damaged one",
        ));
    }
    let altered = macs::altered(session, keys)?;
    if !altered.is_empty() {
        let text = format!("{} rows were not written by a verifier with these keys: {}", altered.len(), some(&altered));
        faults.push((text, macs::ALTERED));
    }
    Ok(faults)
}

/// Users whose record does not open, of some.
fn shut(keys: &Keys, session: &Session) -> Result<Vec<String>, StoreError> {
    let mut shut = Vec::new();
    for row in session.read(SAMPLE, &[])? {
        let read = || Some((row.try_get(0).ok()?, row.try_get(1).ok()?, row.try_get(2).ok()?));
        let (name, sealed, state): (String, &[u8], &str) =
            read().ok_or_else(|| StoreError::Unreachable("a row cannot be read".into()))?;
        let is_good = |user| keys.open(&user, sealed).is_ok() && Signed::read(keys, &user, state).is_ok();
        if !UserName::parse(&name).is_some_and(is_good) {
            shut.push(name);
        }
    }
    Ok(shut)
}

fn some(names: &[String]) -> String {
    let named = names.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
