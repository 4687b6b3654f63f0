//! The authority of a process that opens the records itself.

use std::cell::OnceCell;

use crate::audit::Event;
use crate::codes::attempt::{Attempt, Typed};
use crate::codes::challenge::Challenge;
use crate::config::settings::Settings;
use crate::decision::challenge::RANDOM;
use crate::decision::demand::Demand;
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Ruling, SecondFactor};
use crate::decision::verify::{Limits, Refusal, Verdict, look};
use crate::error::CoreError;
use crate::protocol::request::{Declined, Reply, Request};
use crate::record::Record;
use crate::record::credentials::{Device, Kind};
use crate::record::state::State;
use crate::service::accepted_devices;
use crate::service::administration;
use crate::service::authority::Authority;
use crate::service::caller::Caller;
use crate::service::demanded::{demanded, outline, remembered, ruling};
use crate::service::device_orders;
use crate::service::enrollment::Entropy;
use crate::service::judged::{Bare, counted, judged};
use crate::service::messenger::Messenger;
use crate::service::passcode_orders;
use crate::service::renaming;
use crate::service::self_service::{SelfService, UnderWay};
use crate::store::files::on_demand::Files;
use crate::store::note::Note;
use crate::store::{Store, update};
use crate::system::accounts;
use crate::system::config_file::Site;
use crate::system::random;
use crate::value::login_context::LoginContext;
use crate::value::request_id::RequestId;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Answers about one account from a store.
pub struct LocalAuthority<'a, S> {
    store: S,
    settings: &'a Settings,
    messenger: &'a dyn Messenger,
    account: Option<Account>,
    caller: Caller<'a>,
    entropy: Entropy,
    /// The ruling as it was when the demand was read.
    ruled: OnceCell<Ruling>,
    /// Whether the account was found to be renamed when the demand was read.
    renamed: OnceCell<bool>,
    under_way: UnderWay,
}

/// With the files of this host.
impl<'a> LocalAuthority<'a, Files<'a>> {
    /// Looks up a typed name. The answers for an unknown user are those for a user with a device.
    pub fn for_name(site: &'a Site, name: &str, caller: Caller<'a>) -> Result<Self, CoreError> {
        let files = site.files();
        match files.ready().map_err(CoreError::from) {
            // Opened again for the demand, which then fails: a caller may have another authority to ask.
            Err(error) if !error.is_for_agent() => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self::on(files, &site.config.settings, site, accounts::account(name)?, caller))
    }

    /// The authority for an account that the caller has looked up.
    pub fn for_account(site: &'a Site, account: Account, caller: Caller<'a>) -> Self {
        Self::on(site.files(), &site.config.settings, site, Some(account), caller)
    }
}

impl<'a, S: Store> LocalAuthority<'a, S> {
    /// The authority for an account that the caller has looked up, if there is one, on any store.
    pub fn on(
        store: S,
        settings: &'a Settings,
        messenger: &'a dyn Messenger,
        account: Option<Account>,
        caller: Caller<'a>,
    ) -> Self {
        Self {
            store,
            settings,
            messenger,
            account,
            caller,
            entropy: random::entropy,
            ruled: OnceCell::new(),
            renamed: OnceCell::new(),
            under_way: UnderWay::default(),
        }
    }

    /// The same, in the middle of an enrollment.
    pub fn resuming(self, under_way: UnderWay) -> Self {
        Self { under_way, ..self }
    }

    pub fn store(&self) -> &S {
        &self.store
    }

    /// How far an enrollment is.
    pub fn under_way(&mut self) -> &mut UnderWay {
        &mut self.under_way
    }

    /// The same with another source of random bytes.
    #[cfg(test)]
    pub(crate) fn with_entropy(self, entropy: Entropy) -> Self {
        Self { entropy, ..self }
    }

    /// Enrollment and changes; `None` for an unknown account.
    fn service(&mut self) -> Option<SelfService<'_, S>> {
        let Self { store, settings, messenger, account, caller, entropy, under_way, .. } = self;
        Some(SelfService {
            store,
            settings,
            messenger: *messenger,
            account: account.as_ref()?,
            entropy: *entropy,
            caller: *caller,
            under_way,
        })
    }

    fn demand_at(&self, login: &LoginContext, now: UnixTime) -> Result<Demand, CoreError> {
        self.store.ready()?;
        let Some(account) = &self.account else { return Ok(Demand::OF_THE_UNKNOWN) };
        let known = outline(&self.store, account)?;
        let ruling = ruling(&self.settings.policy, account, known.user_override, login, now)?;
        // Already set: keep the first.
        let _ = self.ruled.set(ruling);
        if self.is_renamed(account, !known.is_blank || ruling.second_factor == SecondFactor::Skip)? {
            return Ok(Demand::OF_THE_RENAMED);
        }
        let grace = self.settings.grace;
        demanded(ruling, known.devices, &|| self.messenger.kinds(), login, || {
            remembered(&self.store, account, login, grace, now)
        })
    }

    fn verify_at(&self, login: &LoginContext, typed: &Typed, now: UnixTime) -> Result<Verdict, CoreError> {
        self.verify_asked(self.caller.origin.id, login, typed, now)
    }

    /// Verifies for a question with this id.
    fn verify_asked(
        &self,
        id: Option<RequestId>,
        login: &LoginContext,
        typed: &Typed,
        now: UnixTime,
    ) -> Result<Verdict, CoreError> {
        let (settings, is_trusted) = (self.settings, self.caller.is_trusted);
        self.judge(&self.caller.asking(id).note("login"), login, typed, now, &|limits, record, attempt| {
            counted(settings, is_trusted, login, now, limits, record, attempt)
        })
    }

    /// Challenges a device, and returns the challenge once it is durable. Codes are sent by the agent alone.
    fn challenge_at(&self, login: &LoginContext, typed: Option<&Typed>, now: UnixTime) -> Result<Challenge, CoreError> {
        let none = if typed.is_some() { Challenge::NoSuchDevice } else { Challenge::None };
        self.store.ready()?;
        let (store, Some(account)) = (&self.store, &self.account) else { return Ok(none) };
        let accepted = self.devices(login, now)?;
        let named = typed.map(|typed| typed.text().unwrap_or_default());
        let Some(record) = store.read(account)? else { return Ok(none) };
        match record.credentials.challenged_device(named, accepted).map(|device| &device.kind) {
            Some(Kind::Sent(destination)) if login.send => {
                self.messenger.challenge(&account.name, destination.channel(), login, typed)
            }
            Some(Kind::Ocra(_)) => {
                let mut random = [0; RANDOM];
                (self.entropy)(&mut random)?;
                Ok(update(store, account, &self.caller.note("challenge"), |record| {
                    match record.credentials.challenged_device(named, accepted) {
                        Some(device @ Device { kind: Kind::Ocra(suite), .. }) => {
                            let (state, question) = record.challenge(device, *suite, &random, now);
                            (state, Challenge::Question(question))
                        }
                        Some(_) | None => (record.state.clone(), none.clone()),
                    }
                })?)
            }
            Some(Kind::Totp(_) | Kind::Hotp | Kind::Sent(_)) | None => Ok(none),
        }
    }

    fn look_at(&self, login: &LoginContext, typed: &Typed, now: UnixTime) -> Result<Verdict, CoreError> {
        if !self.caller.is_trusted {
            return Err(CoreError::NoLookHere);
        }
        self.judge(&self.caller.note("look"), login, typed, now, &|limits, record, attempt| {
            (record.state.clone(), look(limits, record, attempt, login, now))
        })
    }

    /// The kinds of device that are accepted at this login: those of the ruling.
    fn devices(&self, login: &LoginContext, now: UnixTime) -> Result<Kinds, CoreError> {
        match (self.ruled.get(), &self.account) {
            (Some(ruling), _) => Ok(ruling.devices),
            // In the helper, question and answer are of two processes.
            (None, Some(account)) => accepted_devices::at(&self.settings.policy, account, login, now),
            (None, None) => Ok(Kinds::ALL),
        }
    }

    /// The verdict of `decide` on what was typed, once the state that goes with it is durable. Not generic: this is code in
    /// every PAM host.
    fn judge(
        &self,
        note: &Note<'_>,
        login: &LoginContext,
        typed: &Typed,
        now: UnixTime,
        decide: &dyn Fn(&Limits, &Record, &Attempt) -> (State, Verdict),
    ) -> Result<Verdict, CoreError> {
        self.store.ready()?;
        let limits = Limits { devices: self.devices(login, now)?, ..self.settings.limits };
        let (verdict, bare) = judged(&self.store, self.account.as_ref(), &limits, typed, note, now, decide)?;
        let (Some(account), Some(bare)) = (&self.account, bare) else { return Ok(verdict) };
        // Found out at the question, but in the helper, where question and answer are of two processes.
        if self.is_renamed(account, !bare.is_blank)? {
            return Ok(Verdict::Refused(Refusal::Renamed));
        }
        self.without_device(verdict, bare, login, now)
    }

    /// Whether the account has no record, or a blank one, but had one under another name; found out once. `is_known` says
    /// that this is no question: there is a record, or the policy asks no user.
    fn is_renamed(&self, account: &Account, is_known: bool) -> Result<bool, CoreError> {
        if let Some(renamed) = self.renamed.get() {
            return Ok(*renamed);
        }
        let renamed = !is_known && renaming::former_name(&self.store, account)?.is_some();
        Ok(*self.renamed.get_or_init(|| renamed))
    }

    /// The verdict through this PAM line on a user without a device.
    fn without_device(
        &self,
        verdict: Verdict,
        bare: Bare,
        login: &LoginContext,
        now: UnixTime,
    ) -> Result<Verdict, CoreError> {
        let ruling = match (self.ruled.get(), &self.account) {
            (Some(ruling), _) => *ruling,
            // In the helper, question and answer are of two processes.
            (None, Some(account)) => ruling(&self.settings.policy, account, bare.user_override, login, now)?,
            (None, None) => return Ok(verdict),
        };
        Ok(verdict.without_device(ruling.second_factor, bare.has_expired_passcode, login))
    }

    /// Leaves a trace of a verdict that was asked for through the helper: its caller may be no PAM host, and log nothing. The
    /// address is not in it: the caller chooses that, and others ban what the log names.
    fn log(&self, login: &LoginContext, verdict: &Verdict) {
        if let Some(account) = &self.account {
            let (user, by, service) = (account.name.as_str(), self.caller.uid, login.service.as_str());
            (self.caller.log)(&Event::Verified { user, by, service, claimed_rhost: None, verdict });
        }
    }

    /// A login goes on without the message, with another device.
    fn not_sent(&self, error: CoreError) -> Result<Challenge, CoreError> {
        let (CoreError::NotSent(channel, _), Some(account)) = (&error, &self.account) else { return Err(error) };
        let (user, kind) = (Some(account.name.as_str()), channel.word());
        (self.caller.log)(&Event::NotSent { user, kind, error: &error });
        Ok(Challenge::NotSent)
    }

    /// Serves a request at `now`.
    pub(crate) fn request_at(&mut self, request: Request, now: UnixTime) -> Result<Reply, CoreError> {
        if !matches!(request, Request::Demand(_) | Request::Challenge { .. } | Request::Verify { .. }) {
            self.store.renew();
        }
        match request {
            Request::Demand(login) => Ok(Reply::Login(self.demand_at(&login, now)?.words())),
            Request::Challenge { login, named } => {
                let named = named.map(|named| named.into_typed());
                let challenge = self.challenge_at(&login, named.as_ref(), now).or_else(|error| self.not_sent(error))?;
                Ok(Reply::Login(challenge.words()))
            }
            Request::Verify { id, login, typed } => {
                let verdict = self.verify_asked(id, &login, &typed.into_typed(), now)?;
                self.log(&login, &verdict);
                Ok(Reply::Login(verdict.words()))
            }
            Request::Administer(order) => self.administer(|account| {
                administration::carry_out(&self.store, self.settings, account, order, self.entropy, self.caller)
                    .map(Reply::Changed)
            }),
            Request::AdministerDevice(order) => self.administer(|account| {
                device_orders::carry_out(&self.store, self.settings, account, &order, self.entropy, self.caller)
            }),
            Request::IssuePasscode(order) => self
                .administer(|account| passcode_orders::issue(&self.store, account, &order, self.entropy, self.caller)),
            Request::Status {}
            | Request::Enroll { .. }
            | Request::Add { .. }
            | Request::SendAgain {}
            | Request::Confirm { .. }
            | Request::Activate {}
            | Request::Rename { .. }
            | Request::Remove { .. }
            | Request::Default { .. }
            | Request::Resync { .. }
            | Request::Recovery { .. }
            | Request::Requirement {}
            | Request::Disable { .. }
            | Request::Test { .. }
            | Request::SendPin(_)
            | Request::SealKeys {}
            | Request::Adopt { .. }
            | Request::Enrolling(_)
            | Request::ForgetAddresses {} => match self.service() {
                Some(mut service) => service.answer(request, now),
                None => Ok(UNKNOWN_USER),
            },
        }
    }

    /// Serves the requests of an enrollment during a login, and declines all others: code that a login never needs is not
    /// linked into its host.
    pub fn enroll_during_login(&mut self, request: Request) -> Result<Reply, CoreError> {
        self.store.renew();
        let Some(mut service) = self.service() else { return Ok(UNKNOWN_USER) };
        if let Request::Enroll { proof: None, count: None } = request {
            service.enroll_first()
        } else if let Request::Add { to: Some(to), .. } = request {
            service.verify_first(&to, UnixTime::now())
        } else if let Request::SendAgain {} = request {
            service.send_pin(UnixTime::now())
        } else if let Request::Confirm { code, next: _ } = request {
            service.confirm(&code, None, UnixTime::now())
        } else if let Request::Activate {} = request {
            service.activate()
        } else {
            Ok(Reply::Declined(Declined::NotPermitted))
        }
    }

    fn administer(&self, how: impl Fn(&Account) -> Result<Reply, CoreError>) -> Result<Reply, CoreError> {
        match &self.account {
            None => Ok(UNKNOWN_USER),
            Some(_) if !self.caller.is_trusted => Ok(Reply::Declined(Declined::NotPermitted)),
            Some(account) => how(account),
        }
    }
}

const UNKNOWN_USER: Reply = Reply::Verdict(Verdict::Refused(Refusal::UnknownUser));

impl<S: Store> Authority for LocalAuthority<'_, S> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.demand_at(login, UnixTime::now())
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.challenge_at(login, named, UnixTime::now())
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.verify_at(login, typed, UnixTime::now())
    }

    fn look(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.look_at(login, typed, UnixTime::now())
    }

    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        self.request_at(request, UnixTime::now())
    }
}

#[cfg(test)]
mod tests;
