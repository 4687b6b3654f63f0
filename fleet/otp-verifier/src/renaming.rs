//! A record goes to another name, in one statement: at no moment is a code good under both.
//!
//! What stays under the old name, where the user has a device or a second factor is required, is a record without a device that requires
//! a second factor: hosts whose account has the old name still let no user in as one without a device.

use otp_core::error::CoreError;
use otp_core::protocol::administration::Renamed;
use otp_core::record::Record;
use otp_core::record::credentials::{Credentials, Override};
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::error::StoreError;
use otp_core::store::note::Origin;
use otp_core::store::{Loaded, Store as _, Swap};
use otp_core::system::random;
use otp_core::value::user::UserName;

use crate::answered::of_no_host;
use crate::store::moving::Given;
use crate::store::{MOST_LOSSES, PgStore};

/// Gives the record of one name to another that has no device. Neither is looked up: the fleet does not know accounts.
pub(crate) fn rename(
    store: &PgStore<'_>,
    old: &UserName,
    new: &UserName,
    origin: Origin<'_>,
) -> Result<Renamed, CoreError> {
    let (former, account) = (of_no_host(old.clone()), of_no_host(new.clone()));
    let event = format!("renamed to {new}");
    let refused = |why| store.only_note(&former, &origin.note("rename-refused")).map(|()| why);
    for _ in 0..MOST_LOSSES {
        let Some(Loaded { record, hold }) = store.load(&former)? else { return Ok(refused(Renamed::NoRecord)?) };
        let there = store.load(&account)?;
        let has_device = there.as_ref().is_some_and(|there| there.record.is_enrolled());
        let has_passcode = there.as_ref().is_some_and(|there| there.record.credentials.passcode.is_some());
        if has_device && !record.is_enrolled() {
            // What an earlier run has left: it had no answer.
            return Ok(refused(Renamed::NoRecord)?);
        }
        if has_device || has_passcode {
            return Ok(refused(Renamed::HasRecord)?);
        }
        if store.is_moving([old, new])? {
            return Ok(refused(Renamed::OnItsWay)?);
        }
        let left = if record.credentials.outline().binds() { Override::Required } else { Override::None };
        let left = Record::begin(&former, new_enrollment(random::entropy)?, left, Vec::new(), None);
        let (place, present) = there.map(|there| (there.hold, there.record.credentials.user_override)).unzip();
        let Record { credentials, state } = record;
        let user_override = stricter(credentials.user_override, present.unwrap_or(Override::None));
        let given = Record { credentials: Credentials { user: new.clone(), user_override, ..credentials }, state };
        let given = Given { to: &account, given: &given, in_place_of: place.as_ref(), left: &left };
        if store.give(&former, &hold, &given, &origin.note(&event))? == Swap::Done {
            return Ok(Renamed::Done);
        }
    }
    Err(StoreError::Busy.into())
}

/// One that requires a second factor of the new name stays: it was there so that no user is let in meanwhile.
fn stricter(given: Override, present: Override) -> Override {
    if present.is_strict() || given == Override::None { present } else { given }
}

#[cfg(test)]
mod tests;
