//! The authority of a process that may not open the records itself: the agent, about users that this process may ask about.

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::decision::demand::Demand;
use crate::decision::verify::Verdict;
use crate::error::{CoreError, HelperError};
use crate::protocol::agent_socket::{self, Patience};
use crate::protocol::login_messages;
use crate::protocol::request::{PinToSend, Reply, Request};
use crate::service::authority::Authority;
use crate::value::login_context::LoginContext;

/// Asks the agent about one user. No name is looked up here.
pub struct AgentAuthority<'a> {
    /// The login name, as it was typed.
    pub user: &'a str,
}

impl AgentAuthority<'_> {
    fn ask<T>(&self, question: &str, patience: Patience, read: impl FnOnce(&str) -> Option<T>) -> Result<T, CoreError> {
        let question = login_messages::ask_about(self.user, question);
        let line =
            agent_socket::ask_line(&question, patience).map_err(|error| CoreError::Agent(HelperError::Io(error)))?;
        let line = std::str::from_utf8(&line).unwrap_or_default();
        login_messages::answer(line, read).map_err(CoreError::Agent)
    }
}

impl AgentAuthority<'_> {
    /// Has the PIN of a new number or address sent. No module asks for this in a login's few words.
    pub(crate) fn send_pin(&self, pin: &PinToSend) -> Result<Challenge, CoreError> {
        let request = login_messages::ask_to_send(pin);
        self.ask(&request, Patience::OF_SENDING, Challenge::read).map_err(|error| error.of_sending(pin.kind))
    }
}

impl Authority for AgentAuthority<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        match self.ask(&login_messages::ask_demand(login), Patience::default(), Demand::read)? {
            // The agent only verifies.
            Demand::Enroll(_) | Demand::Passcode(_) => Err(CoreError::NoEnrollmentHere),
            demand @ (Demand::Code { .. } | Demand::Grace { .. } | Demand::Nothing(_)) => Ok(demand),
        }
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        let patience = if login.send { Patience::OF_SENDING } else { Patience::default() };
        self.ask(&login_messages::ask_challenge(login, named), patience, Challenge::read)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.ask(&login_messages::ask_verify(login, typed), Patience::default(), Verdict::read)
    }

    fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}
