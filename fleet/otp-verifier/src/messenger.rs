//! Codes by text message and e-mail: this verifier sends none yet, and says so.

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::decision::kinds::Kinds;
use otp_core::error::CoreError;
use otp_core::protocol::request::PinToSend;
use otp_core::service::messenger::Messenger;
use otp_core::value::destination::Channel;
use otp_core::value::login_context::LoginContext;
use otp_core::value::user::UserName;

pub(crate) struct NoMessenger;

impl Messenger for NoMessenger {
    fn kinds(&self) -> Result<Kinds, CoreError> {
        Ok(Kinds::NONE)
    }

    fn check(&self, _: Channel) -> Result<(), CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn challenge(&self, _: &UserName, _: Channel, _: &LoginContext, _: Option<&Typed>) -> Result<Challenge, CoreError> {
        Ok(Challenge::NotSent)
    }

    fn send_pin(&self, _: &UserName, _: &PinToSend) -> Result<Challenge, CoreError> {
        Ok(Challenge::NotSent)
    }
}
