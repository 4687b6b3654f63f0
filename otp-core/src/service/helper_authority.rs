//! The authority of a process that is not root: the set-group-ID helper, about the caller's own account. Where a fleet keeps the
//! record of that account, the helper says so, and self service is the agent's.

use nix::errno::Errno;
use nix::unistd::getuid;

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::decision::demand::Demand;
use crate::decision::verify::Verdict;
use crate::error::CoreError;
use crate::protocol::helper_process::Helper;
use crate::protocol::login_messages;
use crate::protocol::request::{Reply, Request};
use crate::service::agent_authority::FleetSelfService;
use crate::service::authority::Authority;
use crate::system::{accounts, random};
use crate::value::login_context::LoginContext;

/// Asks the installed helper.
#[derive(Default)]
pub struct HelperAuthority {
    /// One process serves all requests of [`Authority::request`]: enrollment takes several.
    conversation: Option<Helper>,
    /// In its place, where a fleet keeps the record.
    fleet: Option<FleetSelfService>,
}

impl Authority for HelperAuthority {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        match ask(&login_messages::ask_demand(login), Demand::read)? {
            // Programs that are not root often only authenticate, and never reach the hook that enforces an enrollment.
            Demand::Enroll(_) | Demand::Passcode(_) => Err(CoreError::NoEnrollmentHere),
            demand @ (Demand::Code { .. } | Demand::Grace { .. } | Demand::Nothing(_)) => Ok(demand),
        }
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        ask(&login_messages::ask_challenge(login, named), Challenge::read)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        ask(&login_messages::ask_verify(random::request_id()?, login, typed), Verdict::read)
    }

    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        if let Some(fleet) = &mut self.fleet {
            return fleet.request(request);
        }
        let helper = match &mut self.conversation {
            Some(helper) => helper,
            none => none.insert(Helper::start()?),
        };
        let reply = helper.ask(&request)?;
        let Reply::KeptByFleet {} = reply else { return Ok(reply) };
        self.conversation = None;
        let uid = getuid().as_raw();
        let account = accounts::account_of(uid)?;
        let unknown = || CoreError::Names { subject: format!("the user id {uid}"), errno: Errno::ENOENT };
        let fleet = FleetSelfService::of(account.ok_or_else(unknown)?.name.as_str());
        self.fleet.insert(fleet).request(request)
    }
}

/// One question, one answer, one process: no helper waits while the user types.
fn ask<T>(question: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, CoreError> {
    let line = Helper::start()?.ask_line(question)?;
    Ok(login_messages::answer(&line, read)?)
}
