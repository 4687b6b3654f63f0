//! What is said after a device came beside others.

use otp_core::text;

use crate::client::Client;
use crate::error::CliError;
use crate::language::{fill, tr};
use crate::ui::output::Output;
use crate::user::device_lines::{ChangedDevice, subject};

/// Tells of the device that was added last.
pub(crate) fn tell(client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    // Numbers ascend, and none is given twice.
    let Some(device) = status.devices.last() else { return Ok(()) };
    let left = status.recovery_codes_left;
    let codes = match left {
        0 => tr(text!("There are no recovery codes; get some with: otp-enroll recovery")),
        1 => tr(text!("Your recovery codes stay as they are; 1 is left. New ones: otp-enroll recovery")),
        left => fill(text!("Your recovery codes stay as they are; {number} are left."), &[("number", &left)]),
    };
    let answer =
        ChangedDevice { changed: true, recovery_codes_left: Some(left), ..ChangedDevice::about(&status, device) };
    output.done(&answer, &fill(text!("{device} is set up."), &[("device", &subject(device))]))?;
    // A PIN is no code, and the next code is sent.
    if device.to.is_none() {
        output.advise(&tr(text!("The code you typed is used up: log in with the next one.")))?;
    }
    output.advise(&codes)
}
