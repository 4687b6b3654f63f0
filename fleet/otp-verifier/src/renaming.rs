//! A record goes to another name, in one statement: at no moment is a code good under both.

use otp_core::protocol::administration::Renamed;
use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::store::error::StoreError;
use otp_core::store::note::Origin;
use otp_core::store::{Loaded, Store as _, Swap};
use otp_core::value::user::UserName;

use crate::answered::of_no_host;
use crate::store::PgStore;

/// How often a record may change under our hands.
const MOST_LOSSES: usize = 8;

/// Gives the record of one name to another that has none. Neither is looked up: the fleet does not know accounts.
pub(crate) fn rename(
    store: &PgStore<'_>,
    old: &UserName,
    new: &UserName,
    origin: Origin<'_>,
) -> Result<Renamed, StoreError> {
    let (former, account) = (of_no_host(old.clone()), of_no_host(new.clone()));
    let event = format!("renamed to {new}");
    let (note, refused) = (origin.note(&event), origin.note("rename-refused"));
    for _ in 0..MOST_LOSSES {
        let Some(Loaded { record: Record { credentials, state }, hold }) = store.load(&former)? else {
            store.only_note(&former, &refused)?;
            return Ok(Renamed::NoRecord);
        };
        if let Some(Loaded { record, hold }) = store.load(&account)? {
            if !record.is_blank() {
                store.only_note(&former, &refused)?;
                return Ok(Renamed::HasRecord);
            }
            // One that says nothing is as good as none.
            if store.remove(&account, hold, &origin.note("disabled"))? == Swap::Lost {
                continue;
            }
        }
        let credentials = Credentials { user: new.clone(), ..credentials };
        if store.give(&former, &hold, &account, &Record { credentials, state }, &note)? == Swap::Done {
            return Ok(Renamed::Done);
        }
    }
    Err(StoreError::Busy)
}

#[cfg(test)]
mod tests;
