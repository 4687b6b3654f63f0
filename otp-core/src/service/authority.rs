//! Whom a program asks about an account, and the one interface to it. Nothing above knows which authority answers.

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::decision::demand::Demand;
use crate::decision::verify::Verdict;
use crate::error::CoreError;
use crate::protocol::request::{Reply, Request};
use crate::value::login_context::LoginContext;

/// Answers about one account.
pub trait Authority {
    /// Must a code be given at this login? Only reads.
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError>;

    /// What to show before the question: of the default device, or of the one that was named in place of a code. Durable,
    /// and sent where it is to be sent, when it returns.
    ///
    /// As it stands here it is right for an authority none of whose devices takes a challenge.
    fn challenge(&self, _login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        Ok(if named.is_some() { Challenge::NoSuchDevice } else { Challenge::None })
    }

    /// Is this a good code? Durable when it returns.
    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError>;

    /// Enrollment, changes and administration. What the reply says is durable.
    fn request(&mut self, request: Request) -> Result<Reply, CoreError>;
}
