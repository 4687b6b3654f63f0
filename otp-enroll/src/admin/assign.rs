//! Gives a token in stock to a user: by the records of this host, or by the fleet.
//!
//! Killed at any point, the token is in stock or with the user or, for a moment, both: the stock says for whom it is, and the
//! next command finds out which. So too where the answer of the fleet is lost.

mod on_its_way;

use otp_core::codes::hotp_totp::Period;
use otp_core::error::CoreError;
use otp_core::protocol::administration::Listed;
use otp_core::protocol::request::{Confidential, Declined, DeviceOrder, Request, Status, Token};
use otp_core::record::credentials::{DeviceName, Kind, Serial, same};
use otp_core::record::credentials_toml::spare::Spare;
use otp_core::store::files::open::FileStore;
use otp_core::store::files::stock::LockedStock;
use otp_core::system::config_file::Site;
use otp_core::value::user::{Account, UserName};

use super::devices::UNCONFIRMED;
use super::of_fleet;
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
    let serial = Serial::parse(named.trim()).ok_or_else(|| none(named))?;
    let client = &mut of_fleet::client(site, account.clone());
    let Some(stock) = store.stock().map_err(CoreError::from)? else {
        return had(client, &serial, output);
    };
    let locked = stock.lock().map_err(CoreError::from)?;
    let Some(spare) = locked.get(&serial).map_err(CoreError::from)? else {
        return had(client, &serial, output);
    };
    if let Some(sealed) = &spare.sealed {
        return Err(CliError::Reported {
            error: format!("the token {} {}", serial.as_str(), sealed.why.text()),
            hint: sealed.why.hint().into(),
        });
    }
    let spare = on_its_way::unless_given(site, store, &locked, spare, account, &serial)?;
    unless_in_fleet(site, account, &serial)?;
    let device = give(client, &locked, spare, &account.name, &serial, name)?;
    drop(locked);
    let Some(device) = device else { return had(client, &serial, output) };
    let after = client.status()?;
    let Some(added) = after.devices.iter().find(|added| added.id == device) else { return Ok(()) };
    let answer =
        ChangedDevice { changed: true, confirmed: Some(added.confirmed), ..ChangedDevice::about(&after, added) };
    output.done(&answer, &format!("{}: {} {UNCONFIRMED}", account.name, subject(added)))
}

/// A token that another user of the fleet has would let in both with one code. The stock cannot know: the same file may have been
/// imported again, here or on another host.
fn unless_in_fleet(site: &Site, account: &Account, serial: &Serial) -> Result<(), CliError> {
    if !site.config.is_of_fleet(account.name.as_str()) {
        return Ok(());
    }
    of_fleet::each(None, |listed| match listed {
        Listed::Status(status)
            if status.user != account.name.as_str() && on_its_way::is_among(&status, serial).is_some() =>
        {
            let (other, serial) = (&status.user, serial.as_str());
            Err(CliError::Reported {
                error: format!("{other} has the token {serial} in the fleet"),
                hint: format!(
                    "to take it from {other}: otp-enroll admin remove {other} DEVICE; to forget the copy in stock: otp-enroll admin tokens \
                     --remove {serial}"
                ),
            })
        }
        Listed::Status(_) | Listed::Unusable { .. } => Ok(()),
    })
}

/// Adds it to the user's devices, and takes it out of the stock. `None` if the user had it.
fn give(
    client: &mut Client<'_>,
    locked: &LockedStock<'_>,
    spare: Spare,
    user: &UserName,
    serial: &Serial,
    name: Option<&str>,
) -> Result<Option<u8>, CliError> {
    let was_on_its_way = spare.user.as_ref() == Some(user);
    let name = name_for(&client.status()?, &spare, serial, was_on_its_way, name)
        .map_err(|declined| CliError::Declined(declined).about(user.as_str()))?;
    let token = described(&spare).ok_or_else(|| none(serial.as_str()))?;
    let spare = Spare { user: Some(user.clone()), ..spare };
    locked.replace(&spare).map_err(CoreError::from)?;
    let order = DeviceOrder::Add { name, token, code: None, next: None };
    let device = match client.change_device(Request::AdministerDevice(order)) {
        Ok(device) => Some(device),
        Err(CliError::Declined(Declined::SeedKnown)) => None,
        Err(error) => return Err(on_its_way::not_given(locked, spare, was_on_its_way, error)),
    };
    locked.remove(serial).map_err(|error| CliError::Reported {
        error: format!("{user} has the token, but it could not be taken out of the stock: {error}"),
        hint: "run the same command again".to_owned(),
    })?;
    Ok(device)
}

/// The name that the device gets; `None` for one of the authority's. The user may have the token under this very name, by a command
/// that was interrupted: its seed is to be found known then, and not its name taken.
fn name_for(
    status: &Status,
    spare: &Spare,
    serial: &Serial,
    was_on_its_way: bool,
    name: Option<&str>,
) -> Result<Option<String>, Declined> {
    if was_on_its_way && on_its_way::is_among(status, serial).is_some() {
        return Ok(None);
    }
    if let Some(name) = name {
        addition::fits(status, name)?;
        return Ok(Some(name.to_owned()));
    }
    let is_taken = |name: &str| status.devices.iter().any(|device| same(&device.name, name));
    let proposed = Some(&spare.device.name).filter(|name| **name != DeviceName::of_token());
    Ok(proposed.map(|name| name.free(is_taken).as_str().to_owned()))
}

/// The answer where the token is not in stock: the user has it, or there is none.
fn had(client: &mut Client<'_>, serial: &Serial, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    let device = on_its_way::is_among(&status, serial).ok_or_else(|| none(serial.as_str()))?;
    let text = format!("{}: had this token already: device {}, {}", status.user, device.id, device.name);
    output.done(&ChangedDevice::about(&status, device), &text)
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

#[cfg(test)]
mod tests;
