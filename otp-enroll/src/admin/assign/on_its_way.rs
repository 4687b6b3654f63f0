//! A token that is in stock and on its way to a user: whether it got there.
//!
//! Of a record of this host its seed tells, and no process is on the way with it any more: the stock is locked. An order to a fleet
//! may still arrive after its answer was lost. Such a token goes to no other user before the same command has found its seed known.

use otp_core::error::CoreError;
use otp_core::protocol::request::{DeviceStatus, Status};
use otp_core::record::credentials::Serial;
use otp_core::record::credentials_toml::spare::Spare;
use otp_core::store::files::open::FileStore;
use otp_core::store::files::stock::LockedStock;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;

use crate::admin::of_fleet;
use crate::error::CliError;

/// The token, unless another user got it, or may get it, by a command that was interrupted.
pub(super) fn unless_given(
    site: &Site,
    store: &FileStore,
    locked: &LockedStock<'_>,
    spare: Spare,
    account: &Account,
    serial: &Serial,
) -> Result<Spare, CliError> {
    let Some(other) = spare.user.as_ref().filter(|other| **other != account.name) else { return Ok(spare) };
    if site.config.is_of_fleet(other.as_str()) {
        let status = of_fleet::client(site, Account { name: other.clone(), ..Account::nobody() }).status()?;
        return Err(kept_for(&status, serial));
    }
    let Some(account) = accounts::account(other.as_str())? else {
        let serial = serial.as_str();
        return Err(CliError::Reported {
            error: format!("the token {serial} was on its way to {other}, and that account is gone"),
            hint: format!(
                "if it was renamed: `otp-enroll admin show` of its name of now tells whether it has the token; if no account has it: \
                 otp-enroll admin tokens --remove {serial}, and import it again"
            ),
        });
    };
    if has_it(store, &account, &spare)? {
        locked.remove(serial).map_err(CoreError::from)?;
        return Err(CliError::Reported {
            error: format!("{other} has the token {}", serial.as_str()),
            hint: format!("to take it from {other}: otp-enroll admin remove {other} DEVICE"),
        });
    }
    Ok(spare)
}

/// Whether a user has it in a record of this host.
fn has_it(store: &FileStore, account: &Account, spare: &Spare) -> Result<bool, CliError> {
    let record = store.read_open(account).map_err(CoreError::from)?;
    Ok(record.zip(spare.device.secret.open()).is_some_and(|(record, seed)| record.credentials.has_seed(seed)))
}

/// Why it goes to no other user than this one of the fleet. Its number alone does not prove that the fleet has it, nor that the order
/// was lost for good: the same command does.
pub(super) fn kept_for(status: &Status, serial: &Serial) -> CliError {
    let has = if is_among(status, serial).is_some() { "has" } else { "may get" };
    let (user, serial) = (&status.user, serial.as_str());
    CliError::Reported {
        error: format!("{user} {has} the token {serial} in the fleet: it was assigned, and that was interrupted"),
        hint: format!(
            "finish that first: otp-enroll admin assign {user} {serial}; to take it from {user} then: otp-enroll admin remove {user} DEVICE"
        ),
    }
}

/// The device with this number.
pub(super) fn is_among<'s>(status: &'s Status, serial: &Serial) -> Option<&'s DeviceStatus> {
    status.devices.iter().find(|device| device.serial.as_deref() == Some(serial.as_str()))
}

/// The error of an order that did not give it. It stays marked where the user may have it, or may have it yet, by this order or by an
/// earlier one.
pub(super) fn not_given(locked: &LockedStock<'_>, spare: Spare, was_on_its_way: bool, error: CliError) -> CliError {
    let (Some(user), Some(serial)) = (spare.user.clone(), spare.device.serial.clone()) else { return error };
    if is_without_answer(&error) {
        return CliError::PerhapsGiven {
            user: user.to_string(),
            serial: serial.as_str().to_owned(),
            why: Box::new(error),
        };
    }
    if !was_on_its_way {
        // Best effort: who is asked for the token next finds that this user does not have it.
        let _ = locked.replace(&Spare { user: None, ..spare });
    }
    error.about(user.as_str())
}

/// Whether an order was given to the agent, and no answer came.
fn is_without_answer(error: &CliError) -> bool {
    matches!(error, CliError::Core(CoreError::Agent(_)))
}
