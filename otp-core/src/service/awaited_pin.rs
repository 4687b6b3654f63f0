//! A number or an address that waits for the PIN that was sent there.

use crate::codes::attempt::Typed;
use crate::config::settings::Settings;
use crate::decision::pin::Pin;
use crate::error::CoreError;
use crate::protocol::request::Declined;
use crate::service::enrollment::{Accepted, Offered};
use crate::value::time::UnixTime;

/// A device that waits for its PIN.
pub(crate) struct Verifying {
    pub(crate) offered: Offered,
    /// `None` if none was sent yet.
    pub(crate) pin: Option<Pin>,
}

impl Verifying {
    /// Takes the PIN as proof that the destination is the user's.
    pub(crate) fn check(
        &mut self,
        settings: &Settings,
        pin: &Typed,
        now: UnixTime,
    ) -> Result<Result<Accepted, Declined>, CoreError> {
        let Some(sent) = &mut self.pin else { return Ok(Err(Declined::PinExpired)) };
        match sent.check(pin, now) {
            Ok(()) => Ok(Ok(self.offered.verified(settings, now)?)),
            Err(why) => Ok(Err(why.into())),
        }
    }
}
