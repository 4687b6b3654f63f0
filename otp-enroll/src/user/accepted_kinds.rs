//! The kinds of device that the policy lets a user add.

use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::{Declined, Status};

use crate::error::CliError;

/// Declines a device of a kind that is not accepted, before anything is asked.
pub(crate) fn check(status: &Status, kind: Kinds) -> Result<(), CliError> {
    let accepted = status.accepted_kinds;
    if accepted.hold(kind) { Ok(()) } else { Err(CliError::Declined(Declined::KindNotAccepted { kind, accepted })) }
}
