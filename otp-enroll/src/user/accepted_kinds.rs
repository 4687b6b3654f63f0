//! The kinds of device that the policy lets a user add, and accepts as proof of a change.

use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::{Declined, Status};
use otp_core::record::credentials::is_named;

use crate::error::CliError;

/// Declines a device of a kind that is not accepted, before anything is asked.
pub(crate) fn check(status: &Status, kind: Kinds) -> Result<(), CliError> {
    let accepted = status.accepted_kinds;
    if accepted.hold(kind) { Ok(()) } else { Err(CliError::Declined(Declined::KindNotAccepted { kind, accepted })) }
}

/// Whether this is the word of a kind, or names a device, that is not accepted.
pub(crate) fn is_refused(status: &Status, named: &str) -> bool {
    let named = named.trim();
    let mut devices = status.devices.iter().filter(|device| !status.accepts(device));
    devices.any(|device| is_named(device.id, &device.name, named) || device.r#type.eq_ignore_ascii_case(named))
}
