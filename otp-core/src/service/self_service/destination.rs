//! A number or an address becomes a device: a PIN is sent there, and typed here. Nothing is stored before.

use crate::audit::Proof;
use crate::codes::challenge::Challenge;
use crate::decision::kinds::Kinds;
use crate::decision::pin::{Pin, RANDOM};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, PinToSend, Reply, SendTo};
use crate::record::Record;
use crate::record::credentials::{Device, DeviceName, Kind};
use crate::service::awaited_pin::Verifying;
use crate::service::enrollment::Offered;
use crate::service::self_service::devices::name_for;
use crate::service::self_service::{SelfService, Stage};
use crate::store::Store;
use crate::value::destination::Destination;
use crate::value::time::UnixTime;

impl<S: Store> SelfService<'_, S> {
    /// The device for a destination, offered to a user with this record.
    pub(super) fn destination_offered(
        &self,
        record: &Record,
        to: &SendTo,
        name: Option<&str>,
    ) -> Result<Result<Offered, Declined>, CoreError> {
        let destination = match Destination::parse(to.kind, &to.to) {
            Ok(destination) => destination,
            Err(why) => return Ok(Err(why.into())),
        };
        if !self.messenger.kinds()?.hold(Kinds::of(to.kind)) {
            return Ok(Err(Declined::SendsNothing));
        }
        // Before a proof is used up.
        self.messenger.check(to.kind)?;
        let kind = Kind::Sent(destination);
        if record.credentials.devices.iter().any(|device| device.kind == kind) {
            return Ok(Err(Declined::DestinationKnown));
        }
        let name = match name_for(record, name, &DeviceName::of(to.kind)) {
            Ok(name) => name,
            Err(declined) => return Ok(Err(declined)),
        };
        Ok(Ok(Offered::of_destination(self.account.clone(), self.entropy, name, kind)?))
    }

    /// Keeps a device that waits for its PIN, and sends the PIN.
    pub(super) fn verify(&mut self, offered: Offered, proof: Proof, now: UnixTime) -> Result<Reply, CoreError> {
        self.under_way.proof = proof;
        self.under_way.stage = Stage::Verifying(Verifying { offered, pin: None });
        self.send_pin(now)
    }

    /// Sends a new PIN. The one before is good no longer, unless it is too early for another.
    pub(crate) fn send_pin(&mut self, now: UnixTime) -> Result<Reply, CoreError> {
        let Stage::Verifying(verifying) = &mut self.under_way.stage else {
            return Ok(Reply::Declined(Declined::NothingOffered));
        };
        let Device { name, kind: Kind::Sent(to), .. } = verifying.offered.device() else {
            return Ok(Reply::Declined(Declined::NothingOffered));
        };
        let mut random = [0; RANDOM];
        (self.entropy)(&mut random)?;
        let pin = Pin::draw(random, now);
        let message = PinToSend { kind: to.channel(), to: to.as_str().into(), pin: Confidential::new(&pin.text()) };
        let sent = self.messenger.send_pin(&self.account.name, &message)?;
        let reply =
            Reply::PinSent { name: name.as_str().to_owned(), to: to.masked().to_string(), answer: sent.words() };
        match (sent, &verifying.pin) {
            (Challenge::Sent(_), _) => verifying.pin = Some(pin),
            // There is nothing to type. What keeps it from being sent now will do so again, such as a country's prefix.
            (Challenge::NotSent, None) => {
                self.under_way.stage = Stage::None;
                return Ok(Reply::Declined(Declined::PinNotSent));
            }
            (Challenge::NotSent, Some(_))
            | (Challenge::None | Challenge::Question(_) | Challenge::Wait(_) | Challenge::NoSuchDevice, _) => {}
        }
        Ok(reply)
    }
}
