//! Serves one user's requests about their own account: in the helper for everybody, in the same process for root.
//!
//! What must be proved is checked here, where it is stored, and not in the front end that asked.

use zeroize::Zeroizing;

use crate::attempt::{Attempt, Code};
use crate::audit::Event;
use crate::authority::LocalAuthority;
use crate::decide::{Refusal, Verdict, decide};
use crate::enroll::{Confirmed, NotConfirmed, Pending};
use crate::error::Error;
use crate::record::{Credentials, Device, DeviceName, EnrolmentId, Kind, Lock, Record, Requirement, State};
use crate::recovery::{RecoveryCode, RecoverySet};
use crate::request::{Confidential, Declined, DeviceStatus, Offer, Reply, Request, Status};
use crate::site::Site;
use crate::store::{Next, Store, change, update};
use crate::time::UnixTime;
use crate::user::Account;

/// Where random bytes come from.
pub type Entropy = fn(&mut [u8]) -> Result<(), Error>;

/// A user's requests, from the first to the last. Holds a lock only while it answers, and an offer in between.
pub struct SelfService<'a> {
    site: &'a Site,
    account: Account,
    /// The uid on whose behalf, for the log.
    by: u32,
    entropy: Entropy,
    log: &'a dyn Fn(&Event<'_>),
    offer: Option<(Pending, Basis)>,
}

/// The record for which an offer was made: what it replaces, when it is confirmed, must still be this.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// There was no device.
    NotEnrolled,
    /// There was, and a code or recovery code of it was given.
    Proved(EnrolmentId),
}

impl<'a> SelfService<'a> {
    /// Serves `account`.
    pub fn new(site: &'a Site, account: Account, by: u32, entropy: Entropy, log: &'a dyn Fn(&Event<'_>)) -> Self {
        Self { site, account, by, entropy, log, offer: None }
    }

    /// Answers one request. What the reply says is durable.
    pub fn answer(&mut self, request: Request, now: UnixTime) -> Reply {
        let reply = match request {
            Request::Status {} => self.status(now),
            Request::Enrol { proof } => self.enrol(proof.as_ref(), now),
            Request::Confirm { code } => self.confirm(&code, now),
            Request::Recovery { proof } => self.renew_recovery(&proof, now),
            Request::Disable { proof } => self.disable(&proof, now),
            Request::Test { proof } => self.test(&proof, now),
            Request::Demand(place) => self.authority().and_then(|local| local.demand(&place)).map(Reply::Demand),
            Request::Verify { typed } => {
                self.authority().and_then(|local| local.verify(&typed.into_typed(), now)).map(Reply::Verdict)
            }
        };
        reply.unwrap_or_else(|error| Reply::Failed { error: error.to_string(), hint: error.hint().into() })
    }

    fn authority(&self) -> Result<LocalAuthority<'a>, Error> {
        LocalAuthority::for_account(self.site, self.account.clone())
    }

    fn status(&self, now: UnixTime) -> Result<Reply, Error> {
        let loaded = self.site.store()?.load(&self.account)?;
        let record = loaded.map_or_else(|| Record::stranger(&self.account), |loaded| loaded.record);
        Ok(Reply::Status(Status::of(&record, now)))
    }

    fn enrol(&mut self, proof: Option<&Confidential>, now: UnixTime) -> Result<Reply, Error> {
        self.offer = None;
        let pending = self.new_device()?; // before the proof, which is spent only for an offer that can be made
        let store = self.site.store()?;
        let basis = match (store.load(&self.account)?, proof) {
            (Some(loaded), Some(proof)) if loaded.record.is_enrolled() => {
                let (enrolment, verdict) = self.spend(proof, now)?;
                if let Verdict::Refused(why) = verdict {
                    self.logged("re-enrolment", Some(why));
                    return Ok(Reply::Verdict(verdict));
                }
                Basis::Proved(enrolment)
            }
            (Some(loaded), None) if loaded.record.is_enrolled() => return Ok(Reply::Declined(Declined::ProofNeeded)),
            (None | Some(_), _) => Basis::NotEnrolled,
        };
        let offer = Offer::of(&pending, &self.site.issuer(), &self.account);
        self.offer = Some((pending, basis));
        Ok(Reply::Offer(offer))
    }

    fn confirm(&mut self, code: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let Some((pending, basis)) = self.offer.take() else {
            return Ok(Reply::Declined(Declined::NothingOffered));
        };
        let Some(code) = Code::parse(code.expose().as_bytes()) else {
            self.offer = Some((pending, basis));
            return Ok(Reply::Declined(Declined::NotConfirmed { clock_off: None }));
        };
        match pending.confirm(&code, now) {
            Ok(confirmed) => self.activate(&confirmed, basis),
            Err(NotConfirmed { pending, clock_off }) => {
                self.offer = Some((pending, basis));
                Ok(Reply::Declined(Declined::NotConfirmed { clock_off }))
            }
        }
    }

    fn activate(&self, confirmed: &Confirmed, basis: Basis) -> Result<Reply, Error> {
        let (codes, set) = self.new_recovery_codes()?;
        let enrolment = self.new_enrolment()?;
        let store = self.site.store()?;
        let activated = change(&store, &self.account, |record| {
            let found = match record {
                Some(record) if record.is_enrolled() => Basis::Proved(record.credentials.enrolment),
                Some(_) | None => Basis::NotEnrolled,
            };
            if found != basis {
                return (Next::Keep, false);
            }
            let requirement = record.map_or(Requirement::Policy, |record| record.credentials.requirement);
            let record = confirmed.record(&self.account, requirement, enrolment, set.clone());
            (Next::Record(Box::new(record)), true)
        })?;
        if !activated {
            return Ok(Reply::Declined(Declined::ChangedMeanwhile));
        }
        self.logged("enrolled", None);
        Ok(revealed(&codes))
    }

    fn renew_recovery(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let (codes, set) = self.new_recovery_codes()?;
        let enrolment = self.new_enrolment()?;
        let verdict = self.change_with_proof(proof, now, |record, mut state| {
            state.enrolment = enrolment;
            state.spent = 0;
            let devices = record.credentials.devices.iter().map(Device::duplicate).collect();
            let credentials = Credentials {
                user: record.credentials.user.clone(),
                uid: record.credentials.uid,
                requirement: record.credentials.requirement,
                enrolment,
                devices,
                recovery: set.clone(),
            };
            Next::Record(Box::new(Record { credentials, state }))
        })?;
        Ok(match verdict {
            Verdict::Accepted(_) => {
                self.logged("recovery-codes-renewed", None);
                revealed(&codes)
            }
            Verdict::Refused(why) => {
                self.logged("recovery-codes-renewed", Some(why));
                Reply::Verdict(verdict)
            }
        })
    }

    fn disable(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let loaded = self.site.store()?.load(&self.account)?;
        if loaded.is_some_and(|loaded| loaded.record.credentials.requirement == Requirement::Required) {
            return Ok(Reply::Declined(Declined::Required));
        }
        let enrolment = self.new_enrolment()?;
        let verdict = self.change_with_proof(proof, now, |record, _| record.without_devices(enrolment))?;
        Ok(match verdict {
            Verdict::Accepted(_) => {
                self.logged("disabled", None);
                Reply::Disabled
            }
            Verdict::Refused(why) => {
                self.logged("disabled", Some(why));
                Reply::Verdict(verdict)
            }
        })
    }

    fn test(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, Error> {
        let (_, verdict) = self.spend(proof, now)?;
        let why = match verdict {
            Verdict::Accepted(_) => None,
            Verdict::Refused(why) => Some(why),
        };
        self.logged("tested", why);
        Ok(Reply::Verdict(verdict))
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
        accepted: impl Fn(&Record, State) -> Next,
    ) -> Result<Verdict, Error> {
        let (limits, attempt) = (self.site.config.limits, Attempt::parse(&proof.into_typed()));
        let store = self.site.store()?;
        Ok(change(&store, &self.account, |record| {
            let Some(record) = record else {
                return (Next::Keep, Verdict::Refused(Refusal::NotEnrolled));
            };
            let (state, verdict) = decide(&limits, record, &attempt, now);
            match verdict {
                Verdict::Accepted(_) => (accepted(record, state), verdict),
                Verdict::Refused(_) if state == record.state => (Next::Keep, verdict),
                Verdict::Refused(_) => (Next::State(state), verdict),
            }
        })?)
    }

    fn new_device(&self) -> Result<Pending, Error> {
        let config = &self.site.config.code;
        let mut seed = Zeroizing::new(vec![0; config.algorithm.seed_length()]);
        (self.entropy)(&mut seed)?;
        let name = DeviceName::parse("authenticator").map_err(|_| Error::Entropy)?;
        Pending::new(seed, name, config, self.site.config.limits.window).ok_or(Error::Entropy)
    }

    fn new_enrolment(&self) -> Result<EnrolmentId, Error> {
        let mut id = [0; 16];
        (self.entropy)(&mut id)?;
        Ok(EnrolmentId(id))
    }

    fn new_recovery_codes(&self) -> Result<(Vec<RecoveryCode>, Option<RecoverySet>), Error> {
        let mut salt = [0; 16];
        (self.entropy)(&mut salt)?;
        let codes: Result<Vec<_>, Error> = (0..self.site.config.recovery_codes)
            .map(|_| {
                let mut random = Zeroizing::new([0; 10]);
                (self.entropy)(random.as_mut_slice())?;
                Ok(RecoveryCode::new(*random))
            })
            .collect();
        let codes = codes?;
        let set = (!codes.is_empty()).then(|| RecoverySet::of(salt, &codes));
        Ok((codes, set))
    }

    fn logged(&self, what: &str, why: Option<Refusal>) {
        (self.log)(&Event::Change { user: self.account.name.as_str(), by: self.by, what, why });
    }
}

fn revealed(codes: &[RecoveryCode]) -> Reply {
    Reply::RecoveryCodes(codes.iter().map(|code| Confidential::new(&code.reveal())).collect())
}

impl Offer {
    fn of(pending: &Pending, issuer: &str, account: &Account) -> Self {
        let (algorithm, digits, period) = pending.shape();
        let user = account.name.as_str();
        Self {
            user: user.to_owned(),
            issuer: issuer.to_owned(),
            secret: Confidential::new(&pending.secret().base32()),
            hex: Confidential::new(&pending.secret().hex()),
            uri: Confidential::new(&pending.uri(issuer, user)),
            algorithm: algorithm.name().to_owned(),
            digits: digits.get(),
            period: period.get(),
        }
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
            recovery_codes_left: record.recovery_left().unwrap_or(0),
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
