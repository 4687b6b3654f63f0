//! The authority of a user whose record the fleet keeps: the verifiers say what the record holds and decide on codes, and the
//! policy of this host says who must give one.

pub(crate) mod self_service;

use std::cell::OnceCell;
use std::io;
use std::time::{Duration, Instant};

use otp_core::audit::{Event, LONGEST_VALUE};
use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::decision::demand::Demand;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{Policy, Ruling};
use otp_core::decision::verify::{Refusal, Verdict};
use otp_core::error::{CoreError, HelperError, NoAuthority};
use otp_core::protocol::request::{Adoption, Confidential, Reply, Request};
use otp_core::service::accepted_devices;
use otp_core::service::authority::Authority;
use otp_core::service::demanded::{Known, demanded, ruling};
use otp_core::service::renaming::former_name;
use otp_core::store::Store as _;
use otp_core::store::error::StoreError;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use otp_core::value::login_context::LoginContext;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;
use otp_wire::{
    ADOPT, AdoptAnswer, AdoptQuestion, BareOf, CHALLENGE, ChallengeAnswer, ChallengeQuestion, LET_IN, LetInAnswer,
    LetInQuestion, OUTLINE, OutlineAnswer, OutlineOf, OutlineQuestion, OverrideOf, Place, Problem, User, VERIFY,
    VerdictAnswer, VerifyQuestion, WOULD_ADOPT, WithoutCode,
};

use crate::budgets::now;
use crate::upstream::deadline::Deadline;
use crate::upstream::{self, NotOnce, Upstream, UpstreamError};

/// No account has this name: the name service separates the fields of an account with colons. A name that is typed and is no
/// account here may be one elsewhere in the fleet, whose record is not to be asked about.
const NO_ACCOUNT: &str = ":";

/// More bytes than any code with blanks has. A longer text is as malformed as an empty one, and asked as an empty one.
const LONGEST_CODE: usize = 1000;

/// The time of a question, with all that verifiers are asked for it and all of them that are asked. Its asker waits a second longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time of a challenge that may send a message.
const PATIENCE_OF_SENDING: Duration = Duration::from_secs(12);

/// Those of these kinds of device to which nothing is sent.
fn unsent(kinds: Kinds) -> Kinds {
    kinds.and(Kinds::TOTP.or(Kinds::HOTP).or(Kinds::OCRA))
}

/// Asks the fleet about one account.
pub(crate) struct FleetAuthority<'a> {
    site: &'a Site,
    /// `None` for a name that is no account here.
    account: Option<&'a Account>,
    upstream: &'a Upstream,
    /// The user id of the process that asks.
    by: u32,
    /// The id of the question, where the asker is believed about it.
    id: Option<RequestId>,
    /// Writes a line of the log.
    log: &'a dyn Fn(&Event<'_>),
    begun: Instant,
    /// The time of this question.
    now: OnceCell<UnixTime>,
}

impl<'a> FleetAuthority<'a> {
    pub(crate) fn new(
        site: &'a Site,
        account: Option<&'a Account>,
        upstream: &'a Upstream,
        (by, id): (u32, Option<RequestId>),
        log: &'a dyn Fn(&Event<'_>),
    ) -> Self {
        Self { site, account, upstream, by, id, log, begun: now(), now: OnceCell::new() }
    }

    fn now(&self) -> UnixTime {
        *self.now.get_or_init(UnixTime::now)
    }

    fn deadline(&self, patience: Duration) -> Deadline {
        Deadline::since(self.begun, patience)
    }

    fn id(&self) -> Result<RequestId, CoreError> {
        self.id.map_or_else(random::request_id, Ok)
    }

    fn user(&self) -> User {
        match self.account {
            Some(Account { name, uid, gid }) => User { name: name.as_str().to_owned(), uid: *uid, gid: *gid },
            None => User { name: NO_ACCOUNT.to_owned(), uid: u32::MAX, gid: u32::MAX },
        }
    }

    /// What the verifier learns of a login. The texts are cut as in the log; the policy has them whole.
    fn place(&self, login: &LoginContext) -> Place {
        let cut = |text: &str| text.get(..text.floor_char_boundary(LONGEST_VALUE)).unwrap_or_default().to_owned();
        let LoginContext { service, rhost, tty, .. } = login;
        Place { service: cut(service), rhost: rhost.as_deref().map(cut), tty: tty.as_deref().map(cut), by: self.by }
    }

    fn outline(&self, login: &LoginContext, id: RequestId) -> Result<Option<OutlineOf>, UpstreamError> {
        Ok(self.outlined(login, id)?.record)
    }

    fn outlined(&self, login: &LoginContext, id: RequestId) -> Result<OutlineAnswer, UpstreamError> {
        let question = OutlineQuestion { id, user: self.user(), place: self.place(login) };
        self.upstream.ask(OUTLINE, id, &question, self.deadline(PATIENCE))
    }

    /// Gives the record of this host to the fleet. Its passcode goes along if it is used up here, so that it is good once; it is sent
    /// once, too.
    pub(crate) fn adopt(&self, with_passcode: bool) -> Result<Result<Adoption, UpstreamError>, CoreError> {
        let question = self.adopt_question(Some(with_passcode))?;
        if !with_passcode {
            return Ok(self.asked_to_adopt(ADOPT, &question));
        }
        let answer = self.upstream.ask_once(ADOPT, question.id, &question, self.deadline(PATIENCE));
        Ok(answer.map(|AdoptAnswer { outcome, .. }| outcome).map_err(|error| match error {
            NotOnce::Undone(error) => error,
            NotOnce::Lost(why) => UpstreamError::Unreachable(format!("the record was sent, and no answer came: {why}")),
        }))
    }

    /// What would become of the record of this host and of its passcode.
    pub(crate) fn would_adopt(&self) -> Result<Result<Adoption, UpstreamError>, CoreError> {
        Ok(self.asked_to_adopt(WOULD_ADOPT, &self.adopt_question(None)?))
    }

    fn asked_to_adopt(&self, path: &str, question: &AdoptQuestion) -> Result<Adoption, UpstreamError> {
        let answer = self.upstream.ask::<AdoptAnswer>(path, question.id, question, self.deadline(PATIENCE));
        answer.map(|answer| answer.outcome)
    }

    /// With the record of this host, and its passcode as it is if `with_passcode` does not say.
    fn adopt_question(&self, with_passcode: Option<bool>) -> Result<AdoptQuestion, CoreError> {
        let account = self.account.ok_or_else(|| CoreError::NoAccount(NO_ACCOUNT.to_owned()))?;
        let missing = || {
            let error = format!("this host has no record of {}", account.name);
            let hint = "see: otp-enroll admin fleet status; a renamed account has it under the name before: otp-enroll admin rename OLD NEW";
            CoreError::Agent(HelperError::Reports { error, hint: hint.to_owned() })
        };
        let record = self.site.store()?.read_open(account)?.ok_or_else(missing)?;
        let record = match with_passcode {
            Some(is_good) => record.sent_with_passcode(is_good),
            None => record,
        };
        let (credentials, state) = record.texts().ok_or_else(|| unusable("the state is too long"))?;
        Ok(AdoptQuestion { id: self.id()?, user: self.user(), credentials: Confidential::new(&credentials), state })
    }

    /// The demand on an account, from what the verifier knows of it.
    fn demanded(
        &self,
        account: &Account,
        login: &LoginContext,
        OutlineAnswer { record, enrolls, sends, .. }: OutlineAnswer,
    ) -> Result<Demand, CoreError> {
        let outline = match &record {
            Some(record) => {
                Some(record.read().ok_or_else(|| unusable("the outline of the record contradicts itself"))?)
            }
            None => None,
        };
        let known = Known::of(outline.as_ref());
        if known.is_blank && self.waits_here(account) {
            return Ok(Demand::OF_THE_UNKNOWN);
        }
        let ruling = ruling(self.policy(), account, known.user_override, login, self.now())?;
        // Where the fleet wants a passcode before a first device, as the policy may.
        let ruling = Ruling { passcode: ruling.passcode || !enrolls, ..ruling };
        // It may have been a code of any device: the kinds of all must be accepted.
        let remembered = record.filter(|record| record.remembered).and_then(|record| record.kinds);
        let sends = || Ok(sends.unwrap_or(Kinds::NONE));
        demanded(ruling, known.devices, &sends, login, || Ok(remembered))
    }

    /// Whether this host has a record of a user whom the fleet does not know, also under a name that the account had before: it was not
    /// given to the fleet yet. A code is asked for then, and none lets in: no user is taken for one without a device meanwhile.
    fn waits_here(&self, account: &Account) -> bool {
        let store = match self.site.store() {
            Ok(store) => store,
            // A host without records of its own. A directory that is there and not trusted may have the user's.
            Err(CoreError::Store(StoreError::System { error, .. })) if error.kind() == io::ErrorKind::NotFound => {
                return false;
            }
            Err(_) => return true,
        };
        let binds = || -> Result<bool, CoreError> {
            Ok(store.outline(account)?.is_some_and(|outline| outline.binds())
                || former_name(&store, account)?.is_some())
        };
        binds().unwrap_or(true)
    }

    /// Has the verifier note a login without a code. Only then is it let in.
    fn let_in(&self, login: &LoginContext, id: RequestId, why: WithoutCode) -> Result<(), UpstreamError> {
        let question = LetInQuestion { id, user: self.user(), place: self.place(login), why };
        let LetInAnswer { .. } = self.upstream.ask(LET_IN, id, &question, self.deadline(PATIENCE))?;
        Ok(())
    }

    /// The verdict on a user without a device, by the policy of this host.
    fn without_device(
        &self,
        account: &Account,
        login: &LoginContext,
        verdict: Verdict,
        bare: &BareOf,
    ) -> Result<Verdict, CoreError> {
        let user_override = OverrideOf::read(bare.user_override.as_ref());
        let user_override = user_override.ok_or_else(|| unusable("the override of the record is unknown"))?;
        let ruling = ruling(self.policy(), account, user_override, login, self.now())?;
        Ok(verdict.without_device(ruling.second_factor, bare.expired_passcode, login))
    }

    fn accepted(&self, login: &LoginContext) -> Result<Kinds, CoreError> {
        let Some(account) = self.account else { return Ok(Kinds::ALL) };
        accepted_devices::at(self.policy(), account, login, self.now())
    }

    fn policy(&self) -> &Policy {
        &self.site.config.settings.policy
    }

    /// The refusal that a verifier's answer is, with a line in the log; or the error that it is.
    fn refused(&self, error: UpstreamError) -> Result<Refusal, CoreError> {
        let (refusal, Problem { error, hint }) = match error {
            UpstreamError::Forbidden(problem) => (Refusal::HostNotPermitted, problem),
            UpstreamError::Spent(problem) => (Refusal::HostBudget, problem),
            error @ (UpstreamError::NotJoined(_)
            | UpstreamError::UnfitFiles(_)
            | UpstreamError::Unreachable(_)
            | UpstreamError::Unusable(_)) => {
                return Err(error.into());
            }
        };
        // A host that may ask about some users is not to ask about a name that is none: that says nothing of the host.
        let Some(Account { name, .. }) = self.account else { return Ok(Refusal::UnknownUser) };
        let user = name.as_str();
        let error = format!("the authority refuses this host: {error}");
        (self.log)(&Event::Failed { user, rhost: None, error: &error, hint: &hint, enforced: true });
        Ok(refusal)
    }
}

fn unusable(why: &str) -> CoreError {
    UpstreamError::Unusable(why.to_owned()).into()
}

impl From<UpstreamError> for CoreError {
    fn from(error: UpstreamError) -> Self {
        let (is_unreachable, why, hint) = match error {
            UpstreamError::NotJoined(why) => (false, why, "let this host join its fleet: see otp-agent(8)"),
            UpstreamError::UnfitFiles(why) => (false, why, upstream::CORRECT),
            UpstreamError::Unreachable(why) => (true, why, NoAuthority::HINT),
            UpstreamError::Unusable(why) => (false, why, "upgrade the verifiers, and then the agent: see otp-agent(8)"),
            UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
                return Self::Authority(NoAuthority { is_unreachable: false, why: error, hint });
            }
        };
        Self::Authority(NoAuthority { is_unreachable, why, hint: hint.to_owned() })
    }
}

impl Authority for FleetAuthority<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        let id = self.id()?;
        let outline = match self.outlined(login, id) {
            Ok(outline) => outline,
            // The question comes, as for every user, and no answer to it is accepted.
            Err(error) => return self.refused(error).map(|_| Demand::OF_THE_UNKNOWN),
        };
        let Some(account) = self.account else { return Ok(Demand::OF_THE_UNKNOWN) };
        let demand = self.demanded(account, login, outline)?;
        let why = match demand {
            Demand::Nothing(_) => WithoutCode::NothingAsked,
            Demand::Grace { .. } => WithoutCode::Remembered,
            Demand::Code { .. } | Demand::Passcode(_) | Demand::Enroll(_) => return Ok(demand),
        };
        match self.let_in(login, id, why) {
            Ok(()) => Ok(demand),
            Err(error) => self.refused(error).map(|_| Demand::OF_THE_UNKNOWN),
        }
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        let none = if named.is_some() { Challenge::NoSuchDevice } else { Challenge::None };
        let is_long = named.is_some_and(|named| named.expose().len() > LONGEST_CODE);
        let accepted = self.accepted(login)?;
        let (accepted, patience) =
            if login.send { (accepted, PATIENCE_OF_SENDING) } else { (unsent(accepted), PATIENCE) };
        if self.account.is_none() || is_long || accepted == Kinds::NONE {
            return Ok(none);
        }
        let id = self.id()?;
        let (user, place, named) = (self.user(), self.place(login), named.map(Confidential::from));
        let question = ChallengeQuestion { id, user, place, named, accepted };
        match self.upstream.ask::<ChallengeAnswer>(CHALLENGE, id, &question, self.deadline(patience)) {
            Ok(answer) => {
                Challenge::read(&answer.challenge).ok_or_else(|| unusable("its challenge is none that is known"))
            }
            Err(error) => self.refused(error).map(|_| none),
        }
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        let id = self.id()?;
        let typed = if typed.expose().len() > LONGEST_CODE { Confidential::new("") } else { Confidential::from(typed) };
        let question = VerifyQuestion {
            id,
            user: self.user(),
            place: self.place(login),
            typed,
            accepted: self.accepted(login)?,
            as_one: login.as_one,
            enforced: self.site.config.settings.enforce,
        };
        let answer = match self.upstream.ask::<VerdictAnswer>(VERIFY, id, &question, self.deadline(PATIENCE)) {
            Ok(answer) => answer,
            Err(error) => return self.refused(error).map(Verdict::Refused),
        };
        // What it says of an account that is none here is for its time alone.
        let Some(account) = self.account else { return Ok(Verdict::Refused(Refusal::UnknownUser)) };
        let verdict = Verdict::read(&answer.verdict).ok_or_else(|| unusable("its verdict is none that is known"))?;
        match &answer.bare {
            Some(bare) => self.without_device(account, login, verdict, bare),
            None => Ok(verdict),
        }
    }

    /// Self service has what is under way beside its requests: see `self_service`.
    fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}

#[cfg(test)]
mod tests;
