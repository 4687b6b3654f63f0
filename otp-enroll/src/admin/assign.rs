//! Gives a token in stock to a user.
//!
//! Killed at any point, the token is in stock or with the user or, for a moment, both: the stock says for whom it is, and the
//! next command finds out which.

use otp_core::codes::hotp_totp::Period;
use otp_core::error::CoreError;
use otp_core::protocol::request::{Confidential, Declined, DeviceOrder, Request, Token};
use otp_core::record::credentials::{DeviceName, Kind, Serial, same};
use otp_core::record::credentials_toml::spare::Spare;
use otp_core::store::files::open::FileStore;
use otp_core::store::files::stock::LockedStock;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::user::{Account, UserName};

use super::devices::UNCONFIRMED;
use super::tokens::none;
use crate::client::Client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::addition;
use crate::user::device_lines::{ChangedDevice, subject};

pub(super) fn assign(
    site: &Site,
    store: &FileStore,
    account: &Account,
    named: &str,
    name: Option<&str>,
    output: &Output,
) -> Result<(), CliError> {
    let user = account.name.as_str();
    let serial = Serial::parse(named.trim()).ok_or_else(|| none(named))?;
    let Some(stock) = store.stock().map_err(CoreError::from)? else {
        return had(store, account, &serial, output);
    };
    let locked = stock.lock().map_err(CoreError::from)?;
    let Some(spare) = locked.get(&serial).map_err(CoreError::from)? else {
        return had(store, account, &serial, output);
    };
    if let Some(sealed) = &spare.sealed {
        return Err(CliError::Reported {
            error: format!("the token {} {}", serial.as_str(), sealed.why.text()),
            hint: sealed.why.hint().into(),
        });
    }
    let spare = unless_given(store, &locked, spare, account, &serial)?;
    let client = &mut Client::of_root(site, account.clone());
    let status = client.status()?;
    let is_taken = |name: &str| status.devices.iter().any(|device| same(&device.name, name));
    let proposed = Some(&spare.device.name).filter(|name| **name != DeviceName::of_token());
    let name = match name {
        Some(name) => {
            addition::fits(&status, name).map_err(|declined| CliError::Declined(declined).about(user))?;
            Some(name.to_owned())
        }
        None => proposed.map(|name| name.free(is_taken).as_str().to_owned()),
    };
    let token = described(&spare).ok_or_else(|| none(named))?;
    let spare = Spare { user: Some(account.name.clone()), ..spare };
    locked.replace(&spare).map_err(CoreError::from)?;
    let order = DeviceOrder::Add { name, token, code: None, next: None };
    let device = match client.change_device(Request::AdministerDevice(order)) {
        Ok(device) => Some(device),
        Err(CliError::Declined(Declined::SeedKnown)) => None,
        Err(error) => {
            // Best effort: who is asked for the token next finds that this user does not have it.
            let _ = locked.replace(&Spare { user: None, ..spare });
            return Err(error.about(user));
        }
    };
    locked.remove(&serial).map_err(|error| CliError::Reported {
        error: format!("{user} has the token, but it could not be taken out of the stock: {error}"),
        hint: "run the same command again".to_owned(),
    })?;
    drop(locked);
    let Some(device) = device else { return had(store, account, &serial, output) };
    let after = client.status()?;
    let Some(added) = after.devices.iter().find(|added| added.id == device) else { return Ok(()) };
    let answer =
        ChangedDevice { changed: true, confirmed: Some(added.confirmed), ..ChangedDevice::about(&after, added) };
    output.done(&answer, &format!("{user}: {} {UNCONFIRMED}", subject(added)))
}

/// The token, unless another user got it by a command that was interrupted.
fn unless_given(
    store: &FileStore,
    locked: &LockedStock<'_>,
    spare: Spare,
    account: &Account,
    serial: &Serial,
) -> Result<Spare, CliError> {
    let Some(other) = spare.user.as_ref().filter(|other| **other != account.name) else { return Ok(spare) };
    if has_it(store, other, &spare)? {
        locked.remove(serial).map_err(CoreError::from)?;
        return Err(CliError::Reported {
            error: format!("{other} has the token {}", serial.as_str()),
            hint: format!("to take it from {other}: otp-enroll admin remove {other} DEVICE"),
        });
    }
    Ok(spare)
}

fn has_it(store: &FileStore, user: &UserName, spare: &Spare) -> Result<bool, CliError> {
    let Some(account) = accounts::account(user.as_str())? else { return Ok(false) };
    let record = store.read_open(&account).map_err(CoreError::from)?;
    Ok(record.zip(spare.device.secret.open()).is_some_and(|(record, seed)| record.credentials.has_seed(seed)))
}

/// The answer where the token is not in stock: the user has it, or there is none.
fn had(store: &FileStore, account: &Account, serial: &Serial, output: &Output) -> Result<(), CliError> {
    let record = store.read(account).map_err(CoreError::from)?;
    let devices = record.iter().flat_map(|record| &record.credentials.devices);
    let device = devices.into_iter().find(|device| device.serial.as_ref() == Some(serial));
    let device = device.ok_or_else(|| none(serial.as_str()))?;
    let (user, name) = (account.name.as_str(), device.name.as_str());
    let answer = ChangedDevice { user, device: device.id.0, name, ..ChangedDevice::default() };
    output.done(&answer, &format!("{user}: had this token already: device {}, {name}", device.id.0))
}

/// A token as an order describes it. The drift of its clock is found by a resync.
fn described(spare: &Spare) -> Option<Token> {
    let device = &spare.device;
    let (suite, period) = match &device.kind {
        Kind::Totp(clock) => (None, clock.period),
        Kind::Ocra(suite) => (Some(suite.to_string()), Period::THIRTY),
        Kind::Hotp | Kind::Sent(_) => (None, Period::THIRTY),
    };
    Some(Token {
        r#type: device.kind.word().to_owned(),
        suite,
        secret: Confidential::new(&device.secret.open()?.base32()),
        algorithm: device.algorithm.name().to_owned(),
        digits: device.digits.get(),
        period: period.get(),
        counter: spare.next,
        app: false,
        serial: device.serial.as_ref().map(|serial| serial.as_str().to_owned()),
    })
}
