//! The authority of a process that may not open the records itself: the agent, about users that this process may ask about.

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::decision::demand::Demand;
use crate::decision::verify::Verdict;
use crate::error::{CoreError, HelperError};
use crate::protocol::agent_socket;
use crate::protocol::login_messages;
use crate::protocol::request::{Reply, Request};
use crate::service::authority::Authority;
use crate::value::login_context::LoginContext;

/// Asks the agent about one user. No name is looked up here.
pub struct AgentAuthority<'a> {
    /// The login name, as it was typed.
    pub user: &'a str,
}

impl AgentAuthority<'_> {
    fn ask<T>(&self, question: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, CoreError> {
        let question = login_messages::ask_about(self.user, question);
        let line = agent_socket::ask_line(&question).map_err(|error| CoreError::Agent(HelperError::Io(error)))?;
        let line = std::str::from_utf8(&line).unwrap_or_default();
        login_messages::answer(line, read).map_err(CoreError::Agent)
    }
}

impl Authority for AgentAuthority<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        match self.ask(&login_messages::ask_demand(login), Demand::read)? {
            // The agent only verifies.
            Demand::Enroll(_) | Demand::Passcode(_) => Err(CoreError::NoEnrollmentHere),
            demand @ (Demand::Code { .. } | Demand::Grace { .. } | Demand::Nothing(_)) => Ok(demand),
        }
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.ask(&login_messages::ask_challenge(login, named), Challenge::read)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.ask(&login_messages::ask_verify(login, typed), Verdict::read)
    }

    fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}
