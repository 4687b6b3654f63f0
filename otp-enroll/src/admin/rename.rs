//! Gives the record of a renamed account to its new name, after telling what speaks for a rename and what against it.

use nix::unistd::getuid;
use otp_core::error::CoreError;
use otp_core::protocol::administration::Renamed;
use otp_core::service::caller::Caller;
use otp_core::service::renaming;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use super::adopt;
use super::same_person::{evidence, first_device};
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;

/// The answer as JSON.
#[derive(Serialize)]
pub(super) struct Done<'a> {
    pub(super) user: &'a str,
    pub(super) from: &'a str,
    pub(super) changed: bool,
}

/// The two ways out for an account that has the number of a record whose account is gone.
pub(super) fn ways_out(former: &str, user: &str) -> String {
    format!(
        "if the account was renamed: otp-enroll admin rename {former} {user}; if the number went to another person: otp-enroll \
         admin disable {former}"
    )
}

pub(super) fn rename(store: &FileStore, old: &str, new: &Account, yes: bool, output: &Output) -> Result<(), CliError> {
    let user = new.name.as_str();
    let refuse = |error: String, hint: String| Err(CliError::Reported { error, hint });
    let former = Account { name: name_before(old, new)?, ..new.clone() };
    let done = |changed, text: &str| output.done(&Done { user, from: old, changed }, &format!("{user}: {text}"));
    let Some(owner) = store.owner_of(&former).map_err(CoreError::from)? else {
        if store.holds(new).map_err(CoreError::from)? {
            // What a run that was killed has left, which would refuse a later account of that name.
            if accounts::account(old)?.is_none() {
                store.purge(&former).map_err(CoreError::from)?;
            }
            return done(false, &was_done(old));
        }
        return Err(CliError::NoRecord(old.to_owned()));
    };
    if renaming::is_present(&Account { uid: owner, ..former.clone() })? {
        return refuse(
            format!("the account {old} exists, and the record is its own"),
            "two names with one number are two users, each with a second factor of its own".into(),
        );
    }
    // With another number, too, it takes two steps: the record moves with its number, and gets the new one.
    let former = Account { uid: owner, ..former };
    let Some(record) = store.read(&former).map_err(CoreError::from)? else {
        return Err(CliError::NoRecord(old.to_owned()));
    };
    confirm(old, new, first_device(&record), yes, output)?;
    let caller = Caller::here(getuid().as_raw(), true, &client::log);
    match renaming::rename(store, &former.name, &Account { uid: owner, ..new.clone() }, caller)? {
        Renamed::Done => {
            if owner != new.uid {
                adopt::give(store, new)?;
            }
            done(true, &is_done(old))
        }
        Renamed::NoRecord => Err(CliError::NoRecord(old.to_owned())),
        Renamed::HasRecord | Renamed::OnItsWay => Err(has_record(old, user)),
    }
}

/// The name before, which is another one.
pub(super) fn name_before(old: &str, new: &Account) -> Result<UserName, CliError> {
    UserName::parse(old)
        .filter(|name| *name != new.name)
        .ok_or_else(|| CliError::Usage("name the account before and after it was renamed: OLD NEW".into()))
}

/// Asks whether it is the same person, after telling what is known of that.
pub(super) fn confirm(
    old: &str,
    new: &Account,
    first: Option<UnixTime>,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    let told = evidence(old, new, first);
    if yes {
        output.advise(&told)
    } else {
        output.confirm(&format!("{told} Give the record of {old} to {}?", new.name))
    }
}

pub(super) fn is_done(old: &str) -> String {
    format!("has the record of {old} now")
}

pub(super) fn was_done(old: &str) -> String {
    format!("has a record, and {old} has none: nothing to do")
}

pub(super) fn has_record(old: &str, user: &str) -> CliError {
    CliError::Reported {
        error: format!("{user} has a record of its own"),
        hint: format!(
            "remove the one that is not needed: otp-enroll admin disable {user}, or otp-enroll admin disable {old}"
        ),
    }
}
