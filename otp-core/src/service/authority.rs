//! The authority that a program asks about an account: one trait. No caller knows which authority answers.

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

    /// The challenge of the default device, or of the device that the user named instead of a code. It is durable when this
    /// returns.
    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError>;

    /// Is this code right? The verdict is durable when this returns.
    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError>;

    /// Would this code be right? Nothing is counted or used up, so the answer is not for the person who typed it.
    ///
    /// This default is for an authority whose callers are not trusted: they could try all codes.
    fn look(&self, _login: &LoginContext, _typed: &Typed) -> Result<Verdict, CoreError> {
        Err(CoreError::NoLookHere)
    }

    /// Enrollment, changes and administration. The reply is durable.
    ///
    /// This default is for an authority that is asked by logins alone.
    fn request(&mut self, _request: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}
