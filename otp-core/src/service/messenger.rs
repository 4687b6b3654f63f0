//! What an authority needs of sending: whether codes are sent, and who sends them.

use std::path::Path;

use nix::errno::Errno;

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::config::paths;
use crate::decision::kinds::Kinds;
use crate::error::{CoreError, HelperError};
use crate::protocol::request::PinToSend;
use crate::service::agent_authority::AgentAuthority;
use crate::service::authority::Authority as _;
use crate::system::config_file::Site;
use crate::value::destination::Channel;
use crate::value::login_context::LoginContext;
use crate::value::user::UserName;

/// Sends codes and PINs to numbers and addresses.
pub trait Messenger {
    /// The kinds of device to which messages can be sent.
    fn kinds(&self) -> Result<Kinds, CoreError>;

    /// Whether a message can be sent now, as far as that is known before.
    fn check(&self, channel: Channel) -> Result<(), CoreError>;

    /// Challenges a user's device, and sends the code. The challenge is durable before it is sent.
    fn challenge(
        &self,
        user: &UserName,
        channel: Channel,
        login: &LoginContext,
        named: Option<&Typed>,
    ) -> Result<Challenge, CoreError>;

    /// Sends the PIN of a new number or address.
    fn send_pin(&self, user: &UserName, pin: &PinToSend) -> Result<Challenge, CoreError>;
}

/// The senders that the configuration names, by way of the agent: no other process starts them.
impl Messenger for Site {
    fn kinds(&self) -> Result<Kinds, CoreError> {
        self.sent_kinds()
    }

    fn check(&self, channel: Channel) -> Result<(), CoreError> {
        let absent = || CoreError::NotSent(channel, HelperError::Io(Errno::ENOENT.into()));
        Path::new(paths::AGENT).exists().then_some(()).ok_or_else(absent)
    }

    fn challenge(
        &self,
        user: &UserName,
        channel: Channel,
        login: &LoginContext,
        named: Option<&Typed>,
    ) -> Result<Challenge, CoreError> {
        let agent = AgentAuthority { user: user.as_str() };
        agent.challenge(login, named).map_err(|error| error.of_sending(channel))
    }

    fn send_pin(&self, user: &UserName, pin: &PinToSend) -> Result<Challenge, CoreError> {
        AgentAuthority { user: user.as_str() }.send_pin(pin)
    }
}

/// Where nothing is sent.
pub struct NoMessenger;

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
