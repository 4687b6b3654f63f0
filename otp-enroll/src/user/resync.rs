//! `otp-enroll resync`: a hardware token is found again by two codes in a row.

use otp_core::codes::attempt::Code;
use otp_core::decision::verify::Refusal;
use otp_core::protocol::request::{Confidential, Declined, DeviceStatus, Request, Status};
use otp_core::record::state::Lock;
use otp_core::text;

use crate::client::Client;
use crate::error::CliError;
use crate::language::{fill, tr};
use crate::ui::dialog::Asks;
use crate::ui::output::Output;
use crate::user::commands::enrolled;
use crate::user::device_lines::{ChangedDevice, subject};
use crate::user::devices::device;
use crate::user::token;

pub(crate) fn resync(client: &mut Client<'_>, named: Option<&str>, output: &Output) -> Result<(), CliError> {
    let status = enrolled(client)?;
    let token = token_of(&status, named)?;
    is_open(&status)?;
    let [first, second] = codes(token.digits, output)?;
    let request = Request::Resync { device: Some(token.id.to_string()), first, second };
    client.change_device(request).map_err(token::not_in_a_row)?;
    tell(client, token, output)
}

/// The token that is meant, or the only one.
pub(crate) fn token_of<'s>(status: &'s Status, named: Option<&str>) -> Result<&'s DeviceStatus, CliError> {
    let is_token = |device: &&DeviceStatus| device.r#type == "hotp" || device.drift.is_some();
    let mut tokens = status.devices.iter().filter(is_token);
    match named {
        Some(named) => Some(device(status, named)?).filter(is_token).ok_or(CliError::Declined(Declined::NotAToken)),
        None => match (tokens.next(), tokens.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(CliError::Declined(Declined::WhichToken)),
            (None, _) if status.enrolled => Err(CliError::Declined(Declined::NotAToken)),
            (None, _) => Err(CliError::Refused(Refusal::NotEnrolled)),
        },
    }
}

/// A locked record refuses all codes of a token: no user waits for two of them first.
pub(crate) fn is_open(status: &Status) -> Result<(), CliError> {
    if status.lock == Lock::Open.word() {
        return Ok(());
    }
    let until = Some(status.lock.clone()).filter(|lock| lock != Lock::UntilUnlocked.word());
    Err(CliError::IsLocked { until })
}

/// Asks for two codes in a row.
pub(crate) fn codes(digits: u8, output: &Output) -> Result<[Confidential; 2], CliError> {
    let ask = |asks, question| {
        let code = output.ask_code(asks, &tr(question))?;
        if Code::of_length(code.expose().as_bytes(), digits).is_some() {
            Ok(code)
        } else {
            Err(CliError::NotACode(digits))
        }
    };
    Ok([ask(Asks::Code, token::CODE)?, ask(Asks::NextCode, token::NEXT)?])
}

/// Tells that a token works again.
pub(crate) fn tell(client: &mut Client<'_>, token: &DeviceStatus, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    let drift = status.devices.iter().find(|device| device.id == token.id).and_then(|device| device.drift);
    let answer = ChangedDevice { changed: true, drift, ..ChangedDevice::about(&status, token) };
    let text = fill(
        text!("{device} works again. Both codes are used up: the next one is good."),
        &[("device", &subject(token))],
    );
    output.done(&answer, &text)
}
