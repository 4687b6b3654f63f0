//! What a rollout (`enforce = false`) has shown: who would have been refused, and why.

use otp_core::error::Error;
use otp_core::record::Unenforced;
use otp_core::site::{self, Site};
use otp_core::store::FileStore;
use serde::Serialize;

use super::list;
use crate::own;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::say::Voice;

/// The last login of somebody that would have been refused.
#[derive(Serialize)]
struct WouldHaveBeenRefused<'a> {
    user: &'a str,
    at: String,
    why: &'a str,
}

/// First who has a device and gave no good code, then who has none.
pub(super) fn report(site: &Site, store: &FileStore, service: &str, voice: &Voice) -> Result<(), Problem> {
    voice.advise("Logins that would have been refused, the last one of each user:")?;
    let stems = store.stems().map_err(Error::from)?;
    let mut progress = Progress::new("reading records", stems.len(), voice);
    for stem in stems {
        progress.step();
        // A record that cannot be used tells nothing here; it is named below, and by `admin list`.
        let Ok(credentials) = store.credentials(&stem) else { continue };
        let Some(account) = site::account(credentials.user.as_str())? else { continue };
        let Ok(record) = store.read(&account) else { continue };
        if let Some(Unenforced { at, why }) = record.and_then(|record| record.state.unenforced) {
            let (user, at) = (account.name.as_str(), at.to_string());
            let refused = WouldHaveBeenRefused { user, at, why: &why };
            progress.clear();
            voice.result(&refused, || format!("{user:<24}  {}  {why}", own::moment(&refused.at)))?;
        }
    }
    drop(progress);
    voice.advise(&format!("\nUsers without a device, and what a login through {service} would be:"))?;
    list::without_device(site, service, voice)
}
