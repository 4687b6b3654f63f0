//! A user's own second factor, kept by a fleet: the verifiers do what is asked, and the policy of this host says which kinds of
//! device are accepted and who needs a passcode.

use otp_core::audit::Event;
use otp_core::decision::verify::{Refusal, Verdict};
use otp_core::error::{CoreError, NoAuthority};
use otp_core::protocol::request::{Confidential, Reply, Request};
use otp_core::service::accepted_devices;
use otp_core::service::demanded::Known;
use otp_core::service::self_service::carried::proof_in;
use otp_core::service::self_service::requirement;
use otp_core::value::login_context::LoginContext;
use otp_core::value::user::Account;
use otp_wire::{Problem, SELF, SelfAnswer, SelfEvent, SelfQuestion};

use crate::fleet_authority::{FleetAuthority, PATIENCE, PATIENCE_OF_SENDING, unusable};
use crate::upstream::UpstreamError;

/// Through what a user asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// A user's program.
    Program,
    /// A PAM host, in the middle of a login.
    Login,
}

impl Through {
    /// In place of a PAM service.
    fn service(self) -> &'static str {
        match self {
            Self::Program => "otp-enroll",
            Self::Login => "login",
        }
    }
}

impl FleetAuthority<'_> {
    /// Asks for one step or change. The reply is durable; what is under way goes with the next request.
    pub(crate) fn self_service(
        &self,
        request: Request,
        under_way: Option<Confidential>,
        through: Through,
    ) -> Result<(Reply, Option<Confidential>), CoreError> {
        let Some(account) = self.account else {
            return Ok((Reply::Verdict(Verdict::Refused(Refusal::UnknownUser)), None));
        };
        let login = LoginContext { service: through.service().to_owned(), ..LoginContext::default() };
        if let Request::Requirement {} = request {
            return Ok((self.required(account, &login)?, None));
        }
        let policy = self.policy();
        let (lost, patience) = (Lost::of(&request), patience_for(&request));
        let question = SelfQuestion {
            id: self.id()?,
            user: self.user(),
            place: self.place(&login),
            request,
            under_way,
            accepted: accepted_devices::at_changes(policy, account, self.now())?,
            passcode: accepted_devices::want_passcode(policy, account)?,
            in_login: through == Through::Login,
        };
        let answer = self.upstream.ask::<SelfAnswer>(SELF, question.id, &question, self.deadline(patience));
        let SelfAnswer { reply, under_way, event, .. } = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok((self.not_answered(error, lost)?, None)),
        };
        if let Some(event) = event {
            self.log_of(&event, &reply);
        }
        if let Reply::Status(status) = reply {
            return Ok((Reply::Status(status.under(policy, account, self.now())?), under_way));
        }
        Ok((reply, under_way))
    }

    /// What the policy of this host requires of the user, with the override that the fleet has.
    fn required(&self, account: &Account, login: &LoginContext) -> Result<Reply, CoreError> {
        let record = match self.outline(login, self.id()?) {
            Ok(record) => record,
            Err(error) => return self.not_answered(error, Lost::Nothing),
        };
        let outline = match &record {
            Some(record) => {
                Some(record.read().ok_or_else(|| unusable("the outline of the record contradicts itself"))?)
            }
            None => None,
        };
        let Known { user_override, .. } = Known::of(outline.as_ref());
        Ok(Reply::Requirement(requirement(self.policy(), account, user_override, self.now())?))
    }

    /// What a refusal of this host is for its user. It is no verdict: another host may do it.
    fn not_answered(&self, error: UpstreamError, lost: Lost) -> Result<Reply, CoreError> {
        match error {
            UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
                let error = format!("the authority refuses this host: {error}");
                let user = self.account.map_or("", |account| account.name.as_str());
                (self.log)(&Event::Failed { user, rhost: None, error: &error, hint: &hint, enforced: true });
                Ok(Reply::Failed { error, hint })
            }
            error @ (UpstreamError::NotJoined(_)
            | UpstreamError::UnfitFiles(_)
            | UpstreamError::Unreachable(_)
            | UpstreamError::Unusable(_)) => {
                let error = CoreError::from(error);
                Err(match (error, lost.hint()) {
                    (CoreError::Authority(why), Some(hint)) if why.is_unreachable => {
                        CoreError::Authority(NoAuthority { hint: hint.to_owned(), ..why })
                    }
                    (error, _) => error,
                })
            }
        }
    }

    /// Logs what was done as this host would log it of its own records.
    fn log_of(&self, event: &SelfEvent, reply: &Reply) {
        let (user, by) = (self.account.map_or("", |account| account.name.as_str()), self.by);
        let (SelfEvent::Change { what, .. } | SelfEvent::Proved { what, .. } | SelfEvent::Refused { what }) = event;
        let is_word = what.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let proof = match event {
            SelfEvent::Change { by: words, .. } | SelfEvent::Proved { by: words, .. } => proof_in(words),
            SelfEvent::Refused { .. } => None,
        };
        match (event, proof, reply) {
            (SelfEvent::Change { device, .. }, Some(proof), _) if is_word => {
                (self.log)(&Event::Change { user, by, what, device: *device, proof });
            }
            (SelfEvent::Proved { .. }, Some(proof), _) if is_word => {
                (self.log)(&Event::Proved { user, by, what, proof });
            }
            (SelfEvent::Refused { .. }, _, Reply::Verdict(Verdict::Refused(why))) if is_word => {
                (self.log)(&Event::ChangeRefused { user, by, what, why: *why });
            }
            // It is done, and in the audit of the fleet.
            _ => {
                let (error, hint) = ("a change was made that this agent does not know", "upgrade the agent");
                (self.log)(&Event::Failed { user, rhost: None, error: &error, hint, enforced: true });
            }
        }
    }
}

/// What may have been done where no verifier answers: one may have, and its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// A change, or a proof that was used up.
    Change,
    /// A new device that may be in force, with recovery codes that the user has not seen.
    Device,
    /// The same of new recovery codes alone.
    Codes,
}

impl Lost {
    fn of(request: &Request) -> Self {
        if let Request::Activate {} = request {
            Self::Device
        } else if let Request::Recovery { proof: Some(_), .. } = request {
            Self::Codes
        } else if request.proof().is_some() {
            Self::Change
        } else {
            Self::Nothing
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Change => {
                Some("it may have been done all the same: look with `otp-enroll status` before you repeat it")
            }
            Self::Device => Some(
                "the device may be in force all the same: look with `otp-enroll status`; if it is there, make new recovery \
                 codes with `otp-enroll recovery`, else start again",
            ),
            Self::Codes => Some("new codes may be in force that were not shown: run `otp-enroll recovery` again"),
        }
    }
}

/// A message takes its time.
fn patience_for(request: &Request) -> std::time::Duration {
    if matches!(request, Request::Add { to: Some(_), .. } | Request::SendAgain {}) {
        PATIENCE_OF_SENDING
    } else {
        PATIENCE
    }
}
