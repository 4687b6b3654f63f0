//! Serves a user's requests about their own account: in the helper for users, in `otp-enroll` itself for root.
//!
//! Proofs are checked here, where the record is, and not in the program that the user runs.

pub mod carried;
mod destination;
pub(crate) mod devices;
mod first_device;

use std::cell::Cell;
use std::mem;

use crate::audit::{Event, Proof};
use crate::codes::attempt::{Attempt, Code};
use crate::codes::hotp_totp::Drift;
use crate::config::settings::Settings;
use crate::decision::future::Future;
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Policy, SecondFactor, Source, TermsFor};
use crate::decision::verify::{Factor, Limits, Refusal, Verdict, decide};
use crate::error::CoreError;
use crate::protocol::request::{
    Confidential, Declined, DeviceStatus, NotAccepted, PasscodeStatus, Reply, Request, Requirement, SendTo, Status,
    Token, UnenforcedRefusal,
};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::{Lock, State, Unenforced, Used};
use crate::service::accepted_devices;
use crate::service::awaited_pin::Verifying;
use crate::service::caller::Caller;
use crate::service::enrollment::{Accepted, Entropy, Offered, Purpose, new_enrollment, new_recovery_codes, revealed};
use crate::service::messenger::Messenger;
use crate::service::renaming;
use crate::store::{Store, change, update};
use crate::system::accounts;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Serves one user's requests. Holds a lock only while it answers one; what is offered is kept in `under_way`.
pub struct SelfService<'a, S> {
    pub store: &'a S,
    pub settings: &'a Settings,
    /// Sends codes and PINs.
    pub messenger: &'a dyn Messenger,
    pub account: &'a Account,
    pub entropy: Entropy,
    pub caller: Caller<'a>,
    pub under_way: &'a mut UnderWay,
}

/// An enrollment between two requests.
pub struct UnderWay {
    stage: Stage,
    /// What permits it.
    proof: Proof,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { stage: Stage::None, proof: Proof::Unneeded }
    }
}

/// The progress of an enrollment.
enum Stage {
    None,
    Offered(Offered),
    Verifying(Verifying),
    Accepted(Accepted),
}

/// A device that is to be added: an app, a token, or a number or address.
struct New<'r> {
    name: Option<&'r str>,
    token: Option<&'r Token>,
    to: Option<&'r SendTo>,
    /// How many recovery codes a first device gets.
    count: Option<u8>,
}

impl<S: Store> SelfService<'_, S> {
    /// Answers one request. Declines those of a login and of an administrator. The reply is durable.
    pub fn answer(&mut self, request: Request, now: UnixTime) -> Result<Reply, CoreError> {
        let reply = match request {
            Request::Status {} => self.status(now),
            Request::Enroll { count, .. } | Request::Add { count, .. } | Request::Recovery { count, .. }
                if !self.can_make(count) =>
            {
                Ok(Reply::Declined(Declined::CountUnfit { most: self.settings.recovery_codes }))
            }
            Request::Enroll { proof, count } => {
                let unfit = self.unfit_kind(Kinds::TOTP, now)?;
                unfit.map_or_else(|| self.enroll(proof.as_ref(), count, now), Ok)
            }
            Request::Add { name, proof, token, to, count } => {
                let new = New { name: name.as_deref(), token: token.as_ref(), to: to.as_ref(), count };
                self.add(&new, proof.as_ref(), now)
            }
            Request::SendAgain {} => self.send_pin(now),
            Request::Confirm { code, next } => self.confirm(&code, next.as_ref(), now),
            Request::Activate {} => self.activate(),
            Request::Rename { device, name, proof } => self.rename(&device, &name, &proof, now),
            Request::Remove { device, proof } => self.remove(&device, &proof, now),
            Request::Default { device, proof } => self.make_default(&device, &proof, now),
            Request::Resync { device, first, second } => self.resync(device.as_deref(), [&first, &second], now),
            Request::Recovery { proof: Some(proof), count } => self.renew_recovery(&proof, count, now),
            Request::Recovery { proof: None, .. } => self.unproved_recovery(),
            Request::Requirement {} => self.requirement(now),
            Request::Disable { proof } => self.disable(&proof, now),
            Request::Test { proof } => self.test(&proof, now),
            Request::ForgetAddresses {} => self.forget_addresses(),
            Request::Demand(_)
            | Request::Challenge { .. }
            | Request::Verify { .. }
            | Request::SendPin(_)
            | Request::SealKeys {}
            | Request::Adopt { .. }
            | Request::Enrolling(_)
            | Request::Administer(_)
            | Request::AdministerDevice(_)
            | Request::IssuePasscode(_) => Ok(Reply::Declined(Declined::NotPermitted)),
        };
        reply.inspect_err(|error| {
            let (user, hint) = (self.account.name.as_str(), error.hint());
            (self.caller.log)(&Event::Failed { user, rhost: None, error, hint, enforced: true });
        })
    }

    fn status(&self, now: UnixTime) -> Result<Reply, CoreError> {
        let record = self.store.read(self.account)?;
        let record = record.unwrap_or_else(|| Record::stranger(self.account));
        let status = Status::of(&record, &self.settings.limits, now);
        Ok(Reply::Status(status.under(&self.settings.policy, self.account, now)?))
    }

    /// Whether so many recovery codes may be made.
    fn can_make(&self, count: Option<u8>) -> bool {
        count.is_none_or(|count| (1..=self.settings.recovery_codes).contains(&count))
    }

    /// Offers a device in the middle of a login, which has asked for a passcode already where one is needed.
    pub(crate) fn enroll_first(&mut self) -> Result<Reply, CoreError> {
        self.under_way.stage = Stage::None;
        let (offered, now) = (self.new_offer()?, UnixTime::now());
        self.offer_in_login(offered, Kinds::TOTP, now)
    }

    /// The same for a number or an address.
    pub(crate) fn verify_first(&mut self, to: &SendTo, now: UnixTime) -> Result<Reply, CoreError> {
        self.under_way.stage = Stage::None;
        let offered = match self.destination_offered(&Record::stranger(self.account), to, None)? {
            Ok(offered) => offered,
            Err(declined) => return Ok(Reply::Declined(declined)),
        };
        self.offer_in_login(offered, Kinds::of(to.kind), now)
    }

    fn offer_in_login(&mut self, offered: Offered, kind: Kinds, now: UnixTime) -> Result<Reply, CoreError> {
        if let Some(unfit) = self.unfit_kind(kind, now)? {
            return Ok(unfit);
        }
        match self.fit_for_first()? {
            Ok(record) => self.offer(offered.based_on_none(record), self.unproved(), now),
            Err(unfit) => Ok(unfit),
        }
    }

    /// Offers a device: the first, or one that will replace the user's devices, for a code of one of them.
    fn enroll(&mut self, proof: Option<&Confidential>, count: Option<u8>, now: UnixTime) -> Result<Reply, CoreError> {
        self.under_way.stage = Stage::None;
        // The offer comes first: a proof must not be used up for an offer that cannot be made.
        let offered = self.new_offer()?.with_codes(count);
        match proof {
            Some(proof) if self.store.read(self.account)?.is_some_and(|record| record.is_enrolled()) => {
                self.offer_for_proof(offered, Purpose::Alone, proof, now)
            }
            proof => self.offer_first(offered, proof, now),
        }
    }

    fn new_offer(&self) -> Result<Offered, CoreError> {
        Offered::begin(self.settings, self.account.clone(), self.entropy, DeviceName::of_app())
    }

    /// The id of the record of a user who may enroll a first device without a proof, if there is a record; the error is what keeps
    /// the user from it.
    fn fit_for_first(&self) -> Result<Result<Option<EnrollmentId>, Reply>, CoreError> {
        Ok(match self.store.read(self.account)? {
            Some(record) if record.is_enrolled() => Err(Reply::Declined(Declined::ProofNeeded)),
            // The device of the former name must not be replaced without a proof.
            record if renaming::would_hide_former(self.store, self.account, record.as_ref())? => {
                Err(Reply::Verdict(Verdict::Refused(Refusal::Renamed)))
            }
            record => Ok(record.map(|record| record.credentials.enrollment)),
        })
    }

    /// Makes an offer to a user with a device, who proves it.
    fn offer_for_proof(
        &mut self,
        offered: Offered,
        purpose: Purpose,
        proof: &Confidential,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let what = match purpose {
            Purpose::Alone => "re-enrollment",
            Purpose::Beside => "another-device",
        };
        let (enrollment, verdict) = self.use_up(proof, &self.limits(now)?, what, now)?;
        self.offer_if_accepted(offered.based_on(enrollment, purpose), verdict, what, now)
    }

    /// Makes an offer if the proof that was used up for it was right.
    fn offer_if_accepted(
        &mut self,
        offered: Offered,
        verdict: Verdict,
        what: &str,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        match verdict {
            Verdict::Accepted(accepted) => {
                let (user, by, proof) = (self.account.name.as_str(), self.caller.uid, Proof::Used(accepted));
                // Now, not at the end: the enrollment may be broken off here, and the proof is used up.
                (self.caller.log)(&Event::Proved { user, by, what, proof });
                self.offer(offered, proof, now)
            }
            Verdict::Refused(why) => Ok(self.refused(what, why)),
        }
    }

    /// What permits a change that asks for no code.
    fn unproved(&self) -> Proof {
        if self.caller.is_trusted { Proof::Administrator } else { Proof::Unneeded }
    }

    fn offer(&mut self, offered: Offered, proof: Proof, now: UnixTime) -> Result<Reply, CoreError> {
        if offered.is_destination() {
            return self.verify(offered, proof, now);
        }
        let reply = offered.reply(self.settings);
        self.under_way.proof = proof;
        self.under_way.stage = Stage::Offered(offered);
        Ok(reply)
    }

    /// Takes a code of the offered device as proof that the seed arrived.
    pub(crate) fn confirm(
        &mut self,
        code: &Confidential,
        next: Option<&Confidential>,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let next = next.and_then(code_in);
        let checked = match &mut self.under_way.stage {
            Stage::Offered(offered) => {
                offered.check(self.settings, code_in(code).as_ref(), next.as_ref(), now)?.map_err(Declined::from)
            }
            Stage::Verifying(verifying) => verifying.check(self.settings, &code.into_typed(), now)?,
            Stage::None | Stage::Accepted(_) => return Ok(Reply::Declined(Declined::NothingOffered)),
        };
        match checked {
            Ok(accepted) => {
                let codes = accepted.recovery_codes();
                self.under_way.stage = Stage::Accepted(accepted);
                Ok(Reply::RecoveryCodes(codes))
            }
            Err(declined) => Ok(Reply::Declined(declined)),
        }
    }

    /// Puts the confirmed device in force.
    pub(crate) fn activate(&mut self) -> Result<Reply, CoreError> {
        let Stage::Accepted(accepted) = mem::replace(&mut self.under_way.stage, Stage::None) else {
            return Ok(Reply::Declined(Declined::NothingOffered));
        };
        let proof = self.under_way.proof;
        let what = match (accepted.purpose(), proof) {
            (Purpose::Beside, _) => "device-added",
            (Purpose::Alone, Proof::Used(accepted)) if accepted.factor != Factor::Passcode => "replaced",
            (Purpose::Alone, _) => "enrolled",
        };
        let Some(device) = accepted.activate(self.store, &self.caller.note(what))? else {
            return Ok(Reply::Declined(Declined::ChangedMeanwhile));
        };
        self.log(what, Some(device).filter(|_| accepted.purpose() == Purpose::Beside), proof);
        Ok(Reply::Changed(true))
    }

    /// All but the proof was looked at.
    fn unproved_recovery(&self) -> Result<Reply, CoreError> {
        let record = self.store.read(self.account)?;
        Ok(if record.is_some_and(|record| record.is_enrolled()) {
            Reply::Declined(Declined::ProofNeeded)
        } else {
            Reply::Verdict(Verdict::Refused(Refusal::NotEnrolled))
        })
    }

    fn renew_recovery(&self, proof: &Confidential, count: Option<u8>, now: UnixTime) -> Result<Reply, CoreError> {
        let (codes, set) = new_recovery_codes(self.settings, count, self.entropy)?;
        let (enrollment, are_these) = (new_enrollment(self.entropy)?, Cell::new(false));
        let verdict = self.change_with_proof(proof, now, "recovery-codes-renewed", |record, state| {
            are_these.set(true);
            let mut record = record.renewed(enrollment);
            (record.credentials.recovery, record.credentials.scratch) = (set.clone(), None);
            let used = Used::default();
            record.state = State { enrollment, used, scratch_used: used, graces: Vec::new(), ..state };
            Change::Record(Box::new(record))
        })?;
        // The question was asked again, since its answer was lost, and with that the codes.
        let done = if are_these.get() { Reply::RecoveryCodes(revealed(&codes)) } else { lost_codes() };
        Ok(self.proved(verdict, "recovery-codes-renewed", done))
    }

    fn requirement(&self, now: UnixTime) -> Result<Reply, CoreError> {
        let record = self.store.read(self.account)?;
        let user_override = record.map_or(Override::None, |record| record.credentials.user_override);
        Ok(Reply::Requirement(requirement(&self.settings.policy, self.account, user_override, now)?))
    }

    fn disable(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, CoreError> {
        let user_override = self.store.read(self.account)?.map(|record| record.credentials.user_override);
        let is_required = matches!(user_override, Some(Override::Required | Override::RequiredUntil(_)));
        if is_required && !user_override.is_some_and(|user_override| user_override.has_ended(now)) {
            return Ok(Reply::Declined(Declined::Required));
        }
        let enrollment = new_enrollment(self.entropy)?;
        let verdict = self.change_with_proof(proof, now, "disabled", |record, _| record.without_devices(enrollment))?;
        Ok(self.proved(verdict, "disabled", Reply::Changed(true)))
    }

    /// Accepts a code of any device: whether it works is what the user wants to know, and nothing is changed.
    fn test(&self, proof: &Confidential, now: UnixTime) -> Result<Reply, CoreError> {
        let (proving, attempt) = (self.limits(now)?, Attempt::parse(&proof.into_typed()));
        let verdict = update(self.store, self.account, &self.caller.note("tested"), |record| {
            let (mut state, verdict) = decide(&self.settings.limits, record, &attempt, now);
            if let Verdict::Accepted(accepted) = verdict {
                let id = accepted.factor.device();
                let device = record.credentials.devices.iter().find(|device| Some(device.id) == id);
                state.keep_count(&record.state, &proving, device);
            }
            (state, verdict)
        })?;
        Ok(self.proved(verdict, "tested", Reply::Verdict(verdict)))
    }

    /// Needs no proof, since it only takes access away.
    fn forget_addresses(&self) -> Result<Reply, CoreError> {
        let removed = update(self.store, self.account, &self.caller.note("forgot-addresses"), |record| {
            (record.without_graces(), !record.state.graces.is_empty())
        })?;
        if removed {
            self.log("forgot-addresses", None, self.unproved());
        }
        Ok(Reply::Changed(removed))
    }

    /// What is accepted as proof of a change.
    fn limits(&self, now: UnixTime) -> Result<Limits, CoreError> {
        let devices = accepted_devices::at_changes(&self.settings.policy, self.account, now)?;
        Ok(Limits { devices, ..self.settings.limits })
    }

    /// Declines a device of a kind that the policy does not accept here.
    fn unfit_kind(&self, kind: Kinds, now: UnixTime) -> Result<Option<Reply>, CoreError> {
        let accepted = self.limits(now)?.devices;
        Ok((!accepted.hold(kind)).then_some(Reply::Declined(Declined::KindNotAccepted { kind, accepted })))
    }

    /// Uses up a proof, and returns its enrollment and the verdict.
    fn use_up(
        &self,
        proof: &Confidential,
        limits: &Limits,
        what: &str,
        now: UnixTime,
    ) -> Result<(EnrollmentId, Verdict), CoreError> {
        let attempt = Attempt::parse(&proof.into_typed());
        Ok(update(self.store, self.account, &self.caller.origin.note(what), |record| {
            let (state, verdict) = decide(limits, record, &attempt, now);
            (state, (record.credentials.enrollment, verdict))
        })?)
    }

    /// Uses up a proof and, if it was accepted, changes the record in the same write.
    fn change_with_proof(
        &self,
        proof: &Confidential,
        now: UnixTime,
        what: &str,
        accepted: impl Fn(&Record, State) -> Change,
    ) -> Result<Verdict, CoreError> {
        let (limits, attempt) = (self.limits(now)?, Attempt::parse(&proof.into_typed()));
        Ok(change(self.store, self.account, &self.caller.origin.note(what), |record| {
            let Some(record) = record else {
                return (Change::Keep, Verdict::Refused(Refusal::NotEnrolled));
            };
            let (state, verdict) = decide(&limits, record, &attempt, now);
            match verdict {
                Verdict::Accepted(_) => (accepted(record, state), verdict),
                Verdict::Refused(_) => (left_by_refusal(record, state), verdict),
            }
        })?)
    }

    /// Logs the change that a proof was given for. The reply is `done`, or the refusal.
    fn proved(&self, verdict: Verdict, what: &str, done: Reply) -> Reply {
        match verdict {
            Verdict::Accepted(accepted) => {
                self.log(what, None, Proof::Used(accepted));
                done
            }
            Verdict::Refused(why) => self.refused(what, why),
        }
    }

    /// Logs that a change was refused, and says so.
    fn refused(&self, what: &str, why: Refusal) -> Reply {
        let (user, by) = (self.account.name.as_str(), self.caller.uid);
        (self.caller.log)(&Event::ChangeRefused { user, by, what, why });
        Reply::Verdict(Verdict::Refused(why))
    }

    fn log(&self, what: &str, device: Option<DeviceId>, proof: Proof) {
        let (user, by) = (self.account.name.as_str(), self.caller.uid);
        (self.caller.log)(&Event::Change { user, by, what, device, proof });
    }
}

/// What requires a second factor of a user with this override.
pub fn requirement(
    policy: &Policy,
    account: &Account,
    user_override: Override,
    now: UnixTime,
) -> Result<Option<Requirement>, CoreError> {
    let by_override = |second_factor: SecondFactor| Requirement {
        second_factor: second_factor.name().to_owned(),
        by: Source::Override.to_string(),
        service: None,
    };
    Ok(match Some(user_override).filter(|user_override| !user_override.has_ended(now)) {
        Some(Override::Required | Override::RequiredUntil(_)) => Some(by_override(SecondFactor::Required)),
        Some(Override::Enroll | Override::EnrollUntil(_)) => Some(by_override(SecondFactor::Enroll)),
        Some(Override::Exempt | Override::ExemptUntil(_)) => None,
        Some(Override::None) | None => {
            let member = |group: &str| accounts::is_member(account, group);
            policy.requirement(account.name.as_str(), now, member)?.map(|(ruling, service)| Requirement {
                second_factor: ruling.second_factor.name().to_owned(),
                by: ruling.source.to_string(),
                service: service.map(str::to_owned),
            })
        }
    })
}

/// New recovery codes are in force, and the user has not seen them.
fn lost_codes() -> Reply {
    Reply::Failed {
        error: "new recovery codes are in force, but the answer that showed them was lost".into(),
        hint: "make new ones again, with the next code: otp-enroll recovery".into(),
    }
}

/// What a refused proof leaves of the record: the wrong code that was counted, if it was one.
fn left_by_refusal(record: &Record, state: State) -> Change {
    if state == record.state { Change::Keep } else { Change::State(state) }
}

pub(crate) fn code_in(text: &Confidential) -> Option<Code> {
    Code::parse(text.expose().as_bytes())
}

impl Status {
    /// This status, with what a policy says of the user's devices: the kinds that it accepts, and the terms under which it does not.
    pub fn under(self, policy: &Policy, account: &Account, now: UnixTime) -> Result<Self, CoreError> {
        let accepted_kinds = accepted_devices::at_changes(policy, account, now)?;
        let member = |group: &str| accounts::is_member(account, group);
        let terms = policy.terms_for(account.name.as_str(), member)?;
        let is_accepted =
            |by: Kinds, device: &DeviceStatus| Kinds::one(&device.r#type).is_some_and(|kind| by.hold(kind));
        let not_accepted = terms.into_iter().map(|TermsFor { terms, source, service }| NotAccepted {
            by: source.to_string(),
            service: service.map(str::to_owned),
            accepted: terms.devices,
            devices: self
                .devices
                .iter()
                .filter(|device| !is_accepted(terms.devices, device))
                .map(|device| device.id)
                .collect(),
        });
        let not_accepted = not_accepted.filter(|terms| !terms.devices.is_empty()).collect();
        Ok(Self { accepted_kinds, not_accepted, ..self })
    }

    /// Whether the policy accepts a device of it as proof of a change.
    pub fn accepts(&self, device: &DeviceStatus) -> bool {
        Kinds::one(&device.r#type).is_some_and(|kind| self.accepted_kinds.hold(kind))
    }

    /// The status of a record, without what the policy says of it. A lock whose time is over counts as open.
    pub fn of(record: &Record, limits: &Limits, now: UnixTime) -> Self {
        let Record { credentials, state } = record;
        Self {
            user: credentials.user.as_str().to_owned(),
            enrolled: record.is_enrolled(),
            user_override: credentials.user_override.name().to_owned(),
            override_until: credentials.user_override.until().map(|time| time.to_string()),
            devices: credentials.devices.iter().map(|device| DeviceStatus::of(device, record)).collect(),
            recovery_codes_left: credentials.recovery_left(state).unwrap_or(0),
            passcode: credentials.passcode.as_ref().map(|issued| PasscodeStatus {
                until: issued.until.to_string(),
                service: issued.service.clone(),
                used: state.passcode_used,
                expired: issued.has_ended(now),
            }),
            failures: state.failures,
            lock: match state.lock {
                Lock::Until(time) if now < time => time.to_string(),
                Lock::Until(_) => Lock::Open.word().to_owned(),
                Lock::Open | Lock::UntilUnlocked => state.lock.word().to_owned(),
            },
            last_accepted: state.last_accepted.map(|time| time.to_string()),
            accepted_kinds: Kinds::ALL,
            not_accepted: Vec::new(),
            in_future: record.future(limits, now).into_iter().map(Future::word).collect(),
            unenforced: state
                .unenforced
                .as_ref()
                .map(|Unenforced { at, why }| Box::new(UnenforcedRefusal { at: at.to_string(), why: why.clone() })),
        }
    }
}

impl DeviceStatus {
    fn of(device: &Device, record: &Record) -> Self {
        let (period, drift) = match device.kind {
            Kind::Totp(clock) => (Some(clock.period.get()), clock.drift.map(Drift::get)),
            Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => (None, None),
        };
        let progress = record.state.devices.get(device.id);
        Self {
            id: device.id.0,
            name: device.name.as_str().to_owned(),
            r#type: device.kind.word().to_owned(),
            algorithm: device.algorithm.name().to_owned(),
            digits: device.digits.get(),
            period,
            created: device.created.to_string(),
            default: record.credentials.default == Some(device.id),
            last_used: progress.and_then(|progress| progress.used).map(|time| time.to_string()),
            confirmed: progress.is_some_and(|progress| progress.is_confirmed),
            awaits_resync: progress.is_some_and(|progress| progress.awaits_resync),
            serial: device.serial.as_ref().map(|serial| serial.as_str().to_owned()),
            drift,
            suite: match device.kind {
                Kind::Ocra(suite) => Some(suite.to_string()),
                Kind::Totp(_) | Kind::Hotp | Kind::Sent(_) => None,
            },
            to: match &device.kind {
                Kind::Sent(destination) => Some(destination.masked().to_string()),
                Kind::Totp(_) | Kind::Hotp | Kind::Ocra(_) => None,
            },
        }
    }
}

#[cfg(test)]
mod tests;
