//! The commands about one of a user's devices: list, rename, remove, choose the default.

use std::io::{self, IsTerminal};

use otp_core::decision::verify::Refusal;
use otp_core::protocol::request::{Declined, DeviceStatus, Request, Status};
use otp_core::record::credentials::{DeviceName, is_named, same};
use otp_core::text;
use otp_core::value::time::UnixTime;

use crate::client::Client;
use crate::error::CliError;
use crate::language::{fill, tr};
use crate::ui::output::Output;
use crate::ui::terminal::Terminal;
use crate::user::commands::enrolled;
use crate::user::device_lines::{ChangedDevice, subject, table};
use crate::user::proof;

/// The devices, one per line.
pub(crate) fn list(client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    if status.devices.is_empty() {
        output.advise(&tr(text!("No second factor is set up. Set one up with: otp-enroll")))?;
    }
    let window = io::stdout().is_terminal().then(|| Terminal::here().columns);
    let lines = table(&status.devices, UnixTime::now(), window);
    status.devices.iter().zip(lines).try_for_each(|(device, line)| output.result(device, || line))
}

/// Gives a device another name.
pub(crate) fn rename(client: &mut Client<'_>, named: &str, name: &str, output: &Output) -> Result<(), CliError> {
    let status = enrolled(client)?;
    let device = device(&status, named)?;
    let name = DeviceName::chosen(name).map_err(|unfit| CliError::Declined(unfit.into()))?;
    let name = name.as_str();
    // Found out before a code is used up. The same name in other letters is no other device's.
    if status.devices.iter().any(|other| other.id != device.id && same(&other.name, name)) {
        return Err(CliError::Declined(Declined::NameTaken));
    }
    let answer = |changed| ChangedDevice { changed, name, ..ChangedDevice::about(&status, device) };
    if device.name == name {
        return output.done(&answer(false), &fill(text!("Device {id} had this name already."), &[("id", &device.id)]));
    }
    let proof = proof::ask(client, output)?;
    client.change_device(Request::Rename { device: device.id.to_string(), name: name.to_owned(), proof })?;
    let told = text!("{device} is called {name} now.");
    output.done(&answer(true), &fill(told, &[("device", &subject(device)), ("name", &name)]))
}

/// Removes one of several devices.
pub(crate) fn remove(client: &mut Client<'_>, named: &str, yes: bool, output: &Output) -> Result<(), CliError> {
    let status = enrolled(client)?;
    let device = removable(&status, named)?;
    if !yes {
        output.confirm(&question(device))?;
    }
    let proof = proof::ask(client, output)?;
    client.change_device(Request::Remove { device: device.id.to_string(), proof })?;
    tell_removed(client, &status, device, output)
}

/// Makes a device the default.
pub(crate) fn make_default(client: &mut Client<'_>, named: &str, output: &Output) -> Result<(), CliError> {
    let status = enrolled(client)?;
    let device = device(&status, named)?;
    if device.default {
        let told = fill(text!("{device} was the default already."), &[("device", &subject(device))]);
        return output.done(&ChangedDevice::about(&status, device), &told);
    }
    let proof = proof::ask(client, output)?;
    client.change_device(Request::Default { device: device.id.to_string(), proof })?;
    let answer = ChangedDevice { changed: true, ..ChangedDevice::about(&status, device) };
    output.done(&answer, &fill(text!("{device} is the default now."), &[("device", &subject(device))]))
}

/// The device that is meant.
pub(crate) fn device<'s>(status: &'s Status, named: &str) -> Result<&'s DeviceStatus, CliError> {
    let mut devices = status.devices.iter();
    devices.find(|device| is_named(device.id, &device.name, named)).ok_or(CliError::Declined(Declined::NoSuchDevice))
}

/// The device that is meant, unless it is the only one.
pub(crate) fn removable<'s>(status: &'s Status, named: &str) -> Result<&'s DeviceStatus, CliError> {
    if !status.enrolled {
        return Err(CliError::Refused(Refusal::NotEnrolled));
    }
    let device = device(status, named)?;
    if status.devices.len() == 1 { Err(CliError::Declined(Declined::OnlyDevice)) } else { Ok(device) }
}

/// Asks before a device is removed.
pub(crate) fn question(device: &DeviceStatus) -> String {
    let question = text!("Remove device {id}, {name}? Its codes will not be accepted any more.");
    fill(question, &[("id", &device.id), ("name", &device.name)])
}

/// Tells that a device is gone, and which one became the default.
pub(crate) fn tell_removed(
    client: &mut Client<'_>,
    before: &Status,
    device: &DeviceStatus,
    output: &Output,
) -> Result<(), CliError> {
    let after = client.status()?;
    let default = after.devices.iter().find(|device| device.default);
    let mut told = fill(text!("{device} is removed."), &[("device", &subject(device))]);
    if let Some(new) = default.filter(|_| device.default) {
        told.push(' ');
        told += &fill(text!("The default is now device {id}, {name}."), &[("id", &new.id), ("name", &new.name)]);
    }
    let default = default.map(|device| device.id);
    output.done(&ChangedDevice { changed: true, default, ..ChangedDevice::about(before, device) }, &told)
}
