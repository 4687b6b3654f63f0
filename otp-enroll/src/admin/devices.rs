//! One device of a user: add a token, remove a device, resynchronize a token.

use otp_core::codes::attempt::Code;
use otp_core::protocol::request::{Confidential, Declined, DeviceOrder, Request, Status};
use otp_core::record::id::MOST_DEVICES;

use crate::cli::TokenOptions;
use crate::client::Client;
use crate::error::CliError;
use crate::ui::dialog::Asks;
use crate::ui::output::Output;
use crate::user::device_lines::{ChangedDevice, subject};
use crate::user::{addition, devices, resync, token};

/// The text about a token that was never used.
pub(super) const UNCONFIRMED: &str = "is added, not confirmed yet: its first right code at a login confirms it";

/// Adds a token, by a code that it shows or, without one, unconfirmed.
pub(super) fn add(
    client: &mut Client<'_>,
    name: Option<&str>,
    options: &TokenOptions,
    code: Option<&str>,
    output: &Output,
) -> Result<(), CliError> {
    token::check(options)?;
    if options.ocra.is_some() && code.is_some() {
        let text = "--confirm does not go with --ocra: its first right response at a login confirms such a token";
        return Err(CliError::Usage(text.into()));
    }
    let before = client.status()?;
    let user = before.user.as_str();
    could_be_added(&before, name).map_err(|declined| CliError::Declined(declined).about(user))?;
    let digits = options.digits.unwrap_or(6);
    if code.is_some_and(|code| Code::of_length(code.as_bytes(), digits).is_none()) {
        return Err(CliError::NotACode(digits));
    }
    let screen = token::watch()?;
    let token = token::described(options, output)?;
    let mut ordered = |next: Option<Confidential>| {
        let (name, code) = (name.map(str::to_owned), code.map(Confidential::new));
        client.change_device(order(DeviceOrder::Add { name, token: token.clone(), code, next }))
    };
    let device = match ordered(None) {
        Err(error @ CliError::Declined(Declined::NextCodeNeeded)) => match output.ask_code(Asks::NextCode, token::NEXT)
        {
            Ok(next) => ordered(Some(next)).map_err(token::not_in_a_row),
            Err(CliError::Usage(_) | CliError::Ask(_)) => Err(error),
            Err(error) => Err(error),
        },
        Err(CliError::Declined(Declined::NotConfirmed { .. })) => Err(CliError::NotTheTokens),
        done => done,
    };
    drop(screen);
    let device = device.map_err(|error| error.about(user))?;
    let after = client.status()?;
    let Some(added) = after.devices.iter().find(|added| added.id == device) else { return Ok(()) };
    let answer =
        ChangedDevice { changed: true, confirmed: Some(added.confirmed), ..ChangedDevice::about(&after, added) };
    let state = if added.confirmed { "is added; the code is used up" } else { UNCONFIRMED };
    output.done(&answer, &format!("{user}: {} {state}", subject(added)))?;
    if after.recovery_codes_left == 0 {
        output.advise(&format!("{user} has no recovery codes; the user gets some with: otp-enroll recovery"))?;
    }
    Ok(())
}

fn could_be_added(status: &Status, name: Option<&str>) -> Result<(), Declined> {
    if status.devices.len() >= MOST_DEVICES {
        return Err(Declined::TooManyDevices);
    }
    name.map_or(Ok(()), |name| addition::fits(status, name))
}

/// Removes one of several devices.
pub(super) fn remove(client: &mut Client<'_>, named: &str, yes: bool, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    let about = |error: CliError| error.about(&status.user);
    let device = devices::removable(&status, named).map_err(about)?;
    if !yes {
        output.confirm(&format!("{}: {}", status.user, devices::question(device)))?;
    }
    client.change_device(order(DeviceOrder::Remove(device.id.to_string()))).map_err(about)?;
    devices::tell_removed(client, &status, device, output)
}

/// Finds a token again by two codes in a row.
pub(super) fn resync(client: &mut Client<'_>, named: Option<&str>, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    let about = |error: CliError| error.about(&status.user);
    let token = resync::token_of(&status, named).map_err(about)?;
    resync::is_open(&status)?;
    let [first, second] = resync::codes(token.digits, output)?;
    let order = order(DeviceOrder::Resync { device: Some(token.id.to_string()), first, second });
    client.change_device(order).map_err(token::not_in_a_row).map_err(about)?;
    resync::tell(client, token, output)
}

fn order(order: DeviceOrder) -> Request {
    Request::AdministerDevice(order)
}
