//! The authority of a process that may not open the records itself: the agent, about users that this process may ask about.

use nix::unistd::getuid;
use zeroize::Zeroizing;

use crate::codes::attempt::Typed;
use crate::codes::challenge::Challenge;
use crate::decision::demand::Demand;
use crate::decision::verify::Verdict;
use crate::error::{CoreError, HelperError};
use crate::protocol::agent_socket::{self, Patience};
use crate::protocol::enrollment_messages::{self, Step, Told};
use crate::protocol::login_messages;
use crate::protocol::request::{Adoption, Confidential, PinToSend, Question, Reply, Request};
use crate::record::key_ring::Ring;
use crate::record::seal::Shut;
use crate::service::authority::Authority;
use crate::system::{accounts, random};
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
    /// The demand, where enrollment in the middle of a login is possible: in a process of root, about a user whose record a fleet
    /// keeps.
    pub fn demand_with_enrollment(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.ask(&login_messages::ask_demand(login), Patience::default(), Demand::read)
    }

    /// A step of such an enrollment. `under_way` is what the agent brought with the step before.
    pub fn enroll_during_login(
        &self,
        step: &Step<'_>,
        under_way: &mut Option<Confidential>,
    ) -> Result<Told, CoreError> {
        let question = enrollment_messages::ask_step(self.user, step, under_way.as_ref());
        let patience =
            if let Step::SendTo(..) | Step::SendAgain = step { Patience::OF_SENDING } else { Patience::default() };
        let line =
            agent_socket::ask_line(&question, patience).map_err(|error| CoreError::Agent(HelperError::Io(error)))?;
        let read = enrollment_messages::read_step(std::str::from_utf8(&line).unwrap_or_default());
        let (told, carried) = read.map_err(CoreError::Agent)?;
        *under_way = carried;
        Ok(told)
    }

    /// Has the PIN of a new number or address sent. No module asks for this in a login's few words.
    pub(crate) fn send_pin(&self, pin: &PinToSend) -> Result<Challenge, CoreError> {
        let request = login_messages::ask_to_send(pin);
        self.ask(&request, Patience::OF_SENDING, Challenge::read).map_err(|error| error.of_sending(pin.kind))
    }
}

/// How long the agent is waited for: a message may take its sender some seconds.
fn patience_for(request: &Request) -> Patience {
    if matches!(request, Request::Add { to: Some(_), .. } | Request::SendAgain {}) {
        Patience::OF_SENDING
    } else {
        Patience::default()
    }
}

/// Self service about a user whose record a fleet keeps. It carries what is under way from one request to the next.
pub struct FleetSelfService {
    user: String,
    under_way: Option<Confidential>,
}

impl FleetSelfService {
    /// `user` is the name as the name service spells it.
    pub fn of(user: &str) -> Self {
        Self { user: user.to_owned(), under_way: None }
    }

    pub fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        let patience = patience_for(&request);
        let reply = asked_with(&self.user, request, self.under_way.clone(), patience)?;
        if let Reply::UnderWay { reply, carried } = reply {
            self.under_way = Some(carried);
            return Ok(*reply);
        }
        // What had no answer can be asked again.
        if !matches!(reply, Reply::Failed { .. }) {
            self.under_way = None;
        }
        Ok(reply)
    }
}

/// Has the agent give the record of this host to the fleet. Root asks this.
pub fn adopt(user: &str, with_passcode: bool) -> Result<Adoption, CoreError> {
    let reply = asked(user, Request::Adopt { with_passcode })?;
    if let Reply::Adopted(adopted) = reply {
        Ok(adopted)
    } else if let Reply::Failed { error, hint } = reply {
        Err(CoreError::Agent(HelperError::Reports { error, hint }))
    } else {
        Err(CoreError::Agent(HelperError::Unintelligible))
    }
}

/// A request that no module asks: it is written and read as the requests of programs are.
fn asked(user: &str, request: Request) -> Result<Reply, CoreError> {
    asked_with(user, request, None, Patience::default())
}

fn asked_with(
    user: &str,
    request: Request,
    under_way: Option<Confidential>,
    patience: Patience,
) -> Result<Reply, CoreError> {
    let unintelligible = |_| CoreError::Agent(HelperError::Unintelligible);
    // Of its full size at once: a buffer that grows leaves copies of what was typed behind.
    let mut line = Zeroizing::new(Vec::with_capacity(16_384));
    serde_json::to_writer(&mut *line, &Question { about: user.to_owned(), request, under_way })
        .map_err(unintelligible)?;
    line.push(b'\n');
    let question = std::str::from_utf8(&line).unwrap_or_default();
    let line = agent_socket::ask_line(question, patience);
    serde_json::from_slice(&line.map_err(|error| CoreError::Agent(HelperError::Io(error)))?).map_err(unintelligible)
}

/// Asks the agent for the keys of the user of this process, which is the helper.
pub fn seal_keys() -> Result<Ring, Shut> {
    let uid = getuid().as_raw();
    let account = accounts::account_of(uid).ok().flatten().ok_or(Shut::NoAgent)?;
    match asked(account.name.as_str(), Request::SealKeys {}) {
        Ok(Reply::SealKeys(keys)) => {
            let bytes = Zeroizing::new(base16ct::lower::decode_vec(keys.expose()).map_err(|_| Shut::NoAgent)?);
            Ring::of_user(&bytes, uid).ok_or(Shut::NoAgent)
        }
        // It is there, and has no keys.
        Ok(Reply::Failed { .. }) => Err(Shut::NoKey),
        Ok(_) | Err(_) => Err(Shut::NoAgent),
    }
}

impl Authority for AgentAuthority<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        match self.demand_with_enrollment(login)? {
            // Of the records of this host, the agent only verifies.
            Demand::Enroll(_) | Demand::Passcode(_) => Err(CoreError::NoEnrollmentHere),
            demand @ (Demand::Code { .. } | Demand::Grace { .. } | Demand::Nothing(_)) => Ok(demand),
        }
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        let patience = if login.send { Patience::OF_SENDING } else { Patience::default() };
        self.ask(&login_messages::ask_challenge(login, named), patience, Challenge::read)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.ask(&login_messages::ask_verify(random::request_id()?, login, typed), Patience::default(), Verdict::read)
    }
}
