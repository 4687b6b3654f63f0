//! Serves one user's requests about their own account: in the helper for everybody, in the same process for root.
//!
//! What must be proved is checked here, where it is stored, and not in the front end that asked.

use crate::audit::Event;
use crate::codes::attempt::{Attempt, Code};
use crate::decision::verify::{Refusal, Verdict, decide};
use crate::error::Error;
use crate::protocol::request::{Confidential, Declined, DeviceStatus, Reply, Request, Status};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, Kind, Requirement};
use crate::record::id::EnrolmentId;
use crate::record::state::{Lock, State};
use crate::service::authority::LocalAuthority;
use crate::service::enrollment::{Basis, Entropy, NotReady, SetUp, new_enrolment, new_recovery_codes, revealed};
use crate::store::{change, update};
use crate::system::config_file::Site;
use crate::value::login_context::LoginContext;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// A user's requests, from the first to the last. Holds a lock only while it answers, and an offer in between.
pub struct SelfService<'a> {
    site: &'a Site,
    account: Account,
    /// The uid on whose behalf, for the log.
    by: u32,
    entropy: Entropy,
    log: &'a dyn Fn(&Event<'_>),
    offer: Option<SetUp<'a>>,
}

impl<'a> SelfService<'a> {
    /// Serves `account`.
    pub fn new(site: &'a Site, account: Account, by: u32, entropy: Entropy, log: &'a dyn Fn(&Event<'_>)) -> Self {
        Self { site, account, by, entropy, log, offer: None }
    }

    /// Answers one request. What the reply says is durable.
    pub fn answer(&mut self, request: Request, now: UnixTime) -> Reply {
        // What comes of a login is logged by the host that asks, which knows where it comes from.
        let is_login = matches!(request, Request::Demand(_) | Request::Verify { .. });
        let reply = match request {
            Request::Status {} => self.status(now),
            Request::Enrol { proof } => self.enrol(proof.as_ref(), now),
            Request::Confirm { code } => self.confirm(&code, now),
            Request::Recovery { proof } => self.renew_recovery(&proof, now),
            Request::Disable { proof } => self.disable(&proof, now),
            Request::Test { proof } => self.test(&proof, now),
            Request::Forget {} => self.forget(),
            Request::Demand(place) => {
                self.authority().and_then(|local| local.demand(&place, now)).map(|demand| Reply::Login(demand.words()))
            }
            Request::Verify { typed } => self
                .authority()
                .and_then(|local| local.verify(&LoginContext::default(), &typed.into_typed(), now))
                .map(|verdict| Reply::Login(verdict.words())),
        };
        reply.unwrap_or_else(|error| {
            if !is_login {
                let (user, hint) = (self.account.name.as_str(), error.hint());
                (self.log)(&Event::Failed { user, rhost: None, error: &error, hint, enforced: true });
            }
            Reply::Failed { error: error.to_string(), hint: error.hint().into() }
        })
    }

    fn authority(&self) -> Result<LocalAuthority<'a>, Error> {
        LocalAuthority::for_account(self.site, self.account.clone())
    }

    fn status(&self, now: UnixTime) -> Result<Reply, Error> {
        let record = self.site.store()?.read(&self.account)?;
        let record = record.unwrap_or_else(|| Record::stranger(&self.account));
        Ok(Reply::Status(Status::of(&record, now)))
    }

    fn enrol(&mut self, proof: Option<&Confidential>, now: UnixTime) -> Result<Reply, Error> {
        self.offer = None;
        // Before the proof, which is spent only for an offer that can be made.
        let set_up = SetUp::begin(self.site, self.account.clone(), self.entropy, Basis::NotEnrolled)?;
        let store = self.site.store()?;
        let basis = match (store.read(&self.account)?, proof) {
            (Some(record), Some(proof)) if record.is_enrolled() => {
                let (enrolment, verdict) = self.spend(proof, now)?;
                if let Verdict::Refused(why) = verdict {
                    self.logged("re-enrolment", Some(why));
                    return Ok(Reply::Verdict(verdict));
                }
                Basis::Proved(enrolment)
            }
            (Some(record), None) if record.is_enrolled() => return Ok(Reply::Declined(Declined::ProofNeeded)),
            (None | Some(_), _) => Basis::NotEnrolled,
        };
        let set_up = set_up.based_on(basis);
        let offer = set_up.offer();
        self.offer = Some(set_up);
        Ok(Reply::Offer(offer))
    }

    fn confirm(&mut self, code: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let Some(set_up) = self.offer.take() else {
            return Ok(Reply::Declined(Declined::NothingOffered));
        };
        match set_up.check(Code::parse(code.expose().as_bytes()).as_ref(), now)? {
            Ok(ready) if ready.activate()? => {
                self.logged("enrolled", None);
                Ok(Reply::RecoveryCodes(ready.recovery_codes()))
            }
            Ok(_) => Ok(Reply::Declined(Declined::ChangedMeanwhile)),
            Err(NotReady { set_up, clock_off }) => {
                self.offer = Some(set_up);
                Ok(Reply::Declined(Declined::NotConfirmed { clock_off }))
            }
        }
    }

    fn renew_recovery(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let (codes, set) = new_recovery_codes(self.site, self.entropy)?;
        let enrolment = new_enrolment(self.entropy)?;
        let verdict = self.change_with_proof(proof, now, |record, state| {
            let mut record = record.renewed(enrolment);
            record.credentials.recovery = set.clone();
            record.state = State { enrolment, spent: 0, graces: Vec::new(), ..state };
            Change::Record(Box::new(record))
        })?;
        Ok(self.proved(verdict, "recovery-codes-renewed", Reply::RecoveryCodes(revealed(&codes))))
    }

    fn disable(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let record = self.site.store()?.read(&self.account)?;
        if record.is_some_and(|record| record.credentials.requirement == Requirement::Required) {
            return Ok(Reply::Declined(Declined::Required));
        }
        let enrolment = new_enrolment(self.entropy)?;
        let verdict = self.change_with_proof(proof, now, |record, _| record.without_devices(enrolment))?;
        Ok(self.proved(verdict, "disabled", Reply::Disabled))
    }

    fn test(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let (_, verdict) = self.spend(proof, now)?;
        Ok(self.proved(verdict, "tested", Reply::Verdict(verdict)))
    }

    /// Needs no proof: it only takes access away.
    fn forget(&self) -> Result<Reply, Error> {
        let store = self.site.store()?;
        let forgotten = update(&store, &self.account, |record| (record.forgetful(), !record.state.graces.is_empty()))?;
        if forgotten {
            self.logged("forgot-addresses", None);
        }
        Ok(Reply::Forgotten { changed: forgotten })
    }

    /// Spends a proof and says of which enrolment it was.
    fn spend(&self, proof: &Confidential, now: UnixTime) -> Result<(EnrolmentId, Verdict), Error> {
        let (limits, attempt) = (self.site.config.limits, Attempt::parse(&proof.into_typed()));
        let store = self.site.store()?;
        Ok(update(&store, &self.account, |record| {
            let (state, verdict) = decide(&limits, record, &attempt, now);
            (state, (record.credentials.enrolment, verdict))
        })?)
    }

    /// Spends a proof and, if it is good, changes the record, in one step: never one without the other.
    fn change_with_proof(
        &self,
        proof: &Confidential,
        now: UnixTime,
        accepted: impl Fn(&Record, State) -> Change,
    ) -> Result<Verdict, Error> {
        let (limits, attempt) = (self.site.config.limits, Attempt::parse(&proof.into_typed()));
        let store = self.site.store()?;
        Ok(change(&store, &self.account, |record| {
            let Some(record) = record else {
                return (Change::Keep, Verdict::Refused(Refusal::NotEnrolled));
            };
            let (state, verdict) = decide(&limits, record, &attempt, now);
            match verdict {
                Verdict::Accepted(_) => (accepted(record, state), verdict),
                Verdict::Refused(_) if state == record.state => (Change::Keep, verdict),
                Verdict::Refused(_) => (Change::State(state), verdict),
            }
        })?)
    }

    /// Logs what a proof was given for, done or refused, and picks the reply: `done`, or why it was refused.
    fn proved(&self, verdict: Verdict, what: &str, done: Reply) -> Reply {
        match verdict {
            Verdict::Accepted(_) => {
                self.logged(what, None);
                done
            }
            Verdict::Refused(why) => {
                self.logged(what, Some(why));
                Reply::Verdict(verdict)
            }
        }
    }

    fn logged(&self, what: &str, why: Option<Refusal>) {
        (self.log)(&Event::Change { user: self.account.name.as_str(), by: self.by, what, why });
    }
}

impl Status {
    /// What may be told about a record. A lock whose time is over is none.
    pub fn of(record: &Record, now: UnixTime) -> Self {
        let Record { credentials, state } = record;
        Self {
            user: credentials.user.as_str().to_owned(),
            enrolled: record.is_enrolled(),
            requirement: credentials.requirement.name().to_owned(),
            devices: credentials.devices.iter().map(DeviceStatus::of).collect(),
            recovery_codes_left: credentials.recovery_left(state).unwrap_or(0),
            failures: state.failures,
            lock: match state.lock {
                Lock::Until(time) if now < time => time.to_string(),
                Lock::Open | Lock::Until(_) => "open".to_owned(),
                Lock::UntilUnlocked => "until-unlocked".to_owned(),
            },
            last_accepted: state.last_accepted.map(|time| time.to_string()),
        }
    }
}

impl DeviceStatus {
    fn of(device: &Device) -> Self {
        let (r#type, period) = match device.kind {
            Kind::Totp(period) => ("totp", Some(period.get())),
            Kind::Hotp => ("hotp", None),
        };
        Self {
            id: device.id.0,
            name: device.name.as_str().to_owned(),
            r#type: r#type.to_owned(),
            algorithm: device.algorithm.name().to_owned(),
            digits: device.digits.get(),
            period,
            created: device.created.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
