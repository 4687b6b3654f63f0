//! Gives the record of an account to the number that the account has now, after telling what speaks for it and what against.

use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::value::user::Account;

use super::same_person::{evidence, first_device};
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::commands::Changed;

pub(super) fn adopt(store: &FileStore, account: &Account, yes: bool, output: &Output) -> Result<(), CliError> {
    let user = account.name.as_str();
    let Some((record, numbers)) = store.whatever_number(account).map_err(CoreError::from)? else {
        return Err(CliError::NoRecord(user.to_owned()));
    };
    if numbers.are_all(account.uid) {
        return output
            .done(&Changed { user, changed: false }, &format!("{user}: the record has uid {} already", account.uid));
    }
    let told = evidence(user, account, first_device(&record));
    if yes {
        output.advise(&told)?;
    } else {
        output.confirm(&format!("{told} Give the record of uid {} to {user}, uid {}?", numbers.inside, account.uid))?;
    }
    let changed = give(store, account)?;
    output.done(&Changed { user, changed }, &format!("{user}: the record has uid {} now", account.uid))
}

/// Gives the record to the account's number, and logs that.
pub(super) fn give(store: &FileStore, account: &Account) -> Result<bool, CliError> {
    let changed = store.adopt(account).map_err(CoreError::from)?;
    if changed {
        client::log_change(account.name.as_str(), "adopted");
    }
    Ok(changed)
}
