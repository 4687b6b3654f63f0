//! What a rollout (`enforce = false`) has shown: who would have been refused, and why.

use otp_core::error::Error;
use otp_core::record::Unenforced;
use otp_core::site::{self, Site};
use otp_core::store::{FileStore, Store};
use otp_core::user::Account;
use serde::Serialize;

use super::list::{self, Unusable};
use crate::own;
use crate::problem::Problem;
use crate::say::Voice;

/// The last login of somebody that would have been refused.
#[derive(Serialize)]
struct WouldHaveBeenRefused<'a> {
    user: &'a str,
    at: String,
    why: &'a str,
}

/// First who has a device and gave no good code, then who has none. A record that cannot be used refuses its user, so it
/// is named too, and keeps the others from nothing.
pub(super) fn report(site: &Site, store: &FileStore, service: &str, voice: &Voice) -> Result<(), Problem> {
    voice.advise("Logins that would have been refused, the last one of each user:")?;
    let mut faults = 0usize;
    for stem in store.stems().map_err(Error::from)? {
        match last_refusal(store, &stem) {
            Ok(Some((account, Unenforced { at, why }))) => {
                let (user, at) = (account.name.as_str(), at.to_string());
                let refused = WouldHaveBeenRefused { user, at, why: &why };
                voice.result(&refused, || format!("{user:<24}  {}  {why}", own::moment(&refused.at)))?;
            }
            Ok(None) => {}
            Err(error) => {
                faults = faults.saturating_add(1);
                let unusable = Unusable { file: &stem, error: error.to_string(), hint: error.hint() };
                voice.result(&unusable, || format!("{stem:<24}  unusable: {error}"))?;
            }
        }
    }
    voice.advise(&format!("\nUsers without a device, and what a login through {service} would be:"))?;
    list::without_device(site, service, voice)?;
    if faults == 0 { Ok(()) } else { Err(Problem::Unusable(faults)) }
}

fn last_refusal(store: &FileStore, stem: &str) -> Result<Option<(Account, Unenforced)>, Error> {
    let credentials = store.credentials(stem)?;
    let Some(account) = site::account(credentials.user.as_str())? else { return Ok(None) };
    let record = store.load(&account)?.map(|loaded| loaded.record);
    Ok(record.and_then(|record| Some((account, record.state.unenforced?))))
}
