//! The authority of a process that opens the records itself.

use std::cell::{Cell, OnceCell};

use crate::audit::Event;
use crate::codes::attempt::{Attempt, Typed};
use crate::codes::challenge::Challenge;
use crate::decision::challenge::RANDOM;
use crate::decision::demand::{Demand, Devices, is_in_grace};
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Ruling, SecondFactor};
use crate::decision::verify::{Factor, Limits, Refusal, Verdict, decide_login, look};
use crate::error::CoreError;
use crate::protocol::request::{Declined, Reply, Request};
use crate::record::Record;
use crate::record::credentials::{Device, Kind, Needed, Override};
use crate::record::state::{State, Unenforced};
use crate::service::accepted_devices;
use crate::service::administration;
use crate::service::agent_authority::AgentAuthority;
use crate::service::authority::Authority;
use crate::service::caller::Caller;
use crate::service::device_orders;
use crate::service::enrollment::Entropy;
use crate::service::passcode_orders;
use crate::service::renaming;
use crate::service::self_service::SelfService;
use crate::store::files::open::FileStore;
use crate::store::files::reread::{Following, Seen};
use crate::store::note::Note;
use crate::store::{Store, update, update_for};
use crate::system::accounts;
use crate::system::config_file::Site;
use crate::system::random;
use crate::value::login_context::LoginContext;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Answers about one account from the files.
pub struct LocalAuthority<'a> {
    site: &'a Site,
    account: Option<Account>,
    caller: Caller<'a>,
    entropy: Entropy,
    store: OnceCell<FileStore>,
    /// The credentials as they were when the demand was read.
    seen: OnceCell<Seen>,
    /// The ruling as it was when the demand was read.
    ruled: OnceCell<Ruling>,
    /// Whether the account was found to be renamed when the demand was read.
    renamed: OnceCell<bool>,
    /// Enrollment and changes; `None` for an unknown account.
    service: Option<SelfService<'a>>,
}

/// What the record of a user without a device says.
#[derive(Clone, Copy)]
struct Bare {
    user_override: Override,
    is_blank: bool,
    has_expired_passcode: bool,
}

impl Bare {
    fn of(record: &Record, now: UnixTime) -> Self {
        Self {
            user_override: record.credentials.user_override,
            is_blank: record.is_blank(),
            has_expired_passcode: record.has_expired_passcode(now),
        }
    }
}

impl<'a> LocalAuthority<'a> {
    /// Looks up a typed name. The answers for an unknown user are those for a user with a device.
    pub fn for_name(site: &'a Site, name: &str, caller: Caller<'a>) -> Result<Self, CoreError> {
        let store = match site.store() {
            Ok(store) => OnceCell::from(store),
            // Opened again for the demand, which then fails: a caller may have another authority to ask.
            Err(error) if error.is_for_agent() => OnceCell::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { store, ..Self::new(site, accounts::account(name)?, caller, random::entropy) })
    }

    /// The authority for an account that the caller has looked up, if there is one, on a store that the caller has opened.
    pub fn on(site: &'a Site, store: FileStore, account: Option<Account>, caller: Caller<'a>) -> Self {
        Self { store: OnceCell::from(store), ..Self::new(site, account, caller, random::entropy) }
    }

    /// The authority for an account that the caller has looked up.
    pub fn for_account(site: &'a Site, account: Account, caller: Caller<'a>) -> Self {
        Self::new(site, Some(account), caller, random::entropy)
    }

    pub(crate) fn new(site: &'a Site, account: Option<Account>, caller: Caller<'a>, entropy: Entropy) -> Self {
        let service = account.clone().map(|account| SelfService::new(site, account, entropy, caller));
        Self {
            site,
            account,
            caller,
            entropy,
            store: OnceCell::new(),
            seen: OnceCell::new(),
            ruled: OnceCell::new(),
            renamed: OnceCell::new(),
            service,
        }
    }

    /// The store, opened once for question and answer.
    fn store(&self) -> Result<&FileStore, CoreError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = self.site.store()?;
        Ok(self.store.get_or_init(|| store))
    }

    fn demand_at(&self, login: &LoginContext, now: UnixTime) -> Result<Demand, CoreError> {
        let store = self.store()?;
        let Some(account) = &self.account else { return Ok(Demand::OF_THE_UNKNOWN) };
        let seen = store.see(account)?;
        let user_override = seen.as_ref().map_or(Override::None, |seen| seen.outline.user_override);
        let ruling = ruling(self.site, account, user_override, login, now)?;
        // Already set: keep the first.
        let _ = self.ruled.set(ruling);
        let outline = seen.as_ref().map(|seen| &seen.outline);
        let devices = Devices::of(outline);
        let is_known = outline.is_some_and(|outline| !outline.is_blank());
        if self.is_renamed(store, account, is_known || ruling.second_factor == SecondFactor::Skip)? {
            return Ok(Demand::OF_THE_RENAMED);
        }
        if let Some(seen) = seen {
            // Already set: keep the first.
            let _ = self.seen.set(seen);
        }
        let Some((address, length)) = login.address().zip(self.site.config.grace) else {
            return Demand::of(ruling, devices, offered(self.site, &ruling, login), || Ok(false));
        };
        Demand::of(ruling, devices, offered(self.site, &ruling, login), || {
            Ok(store.read(account)?.is_some_and(|record| is_in_grace(&record, ruling.devices, address, length, now)))
        })
    }

    fn verify_at(&self, login: &LoginContext, typed: &Typed, now: UnixTime) -> Result<Verdict, CoreError> {
        let config = &self.site.config;
        // An untrusted caller chooses its address, which must not begin a grace.
        let address = login.address().filter(|_| self.caller.is_trusted);
        self.judge(login, typed, now, &|limits, record, attempt| {
            let (mut state, verdict) = decide_login(limits, record, attempt, login, now);
            match verdict {
                // The person at this address comes back with a device.
                Verdict::Accepted(accepted) if accepted.factor == Factor::Passcode => {}
                Verdict::Accepted(_) => {
                    if let (Some(_), Some(address)) = (config.grace, address) {
                        state.begin_grace(address, now);
                    }
                }
                Verdict::Refused(why) if !config.enforce && record.is_enrolled() => {
                    state.unenforced = Some(Unenforced { at: now, why: why.word().to_owned() });
                }
                Verdict::Refused(_) => {}
            }
            (state, verdict)
        })
    }

    /// Challenges a device, and returns the challenge once it is durable. Codes are sent by the agent alone.
    fn challenge_at(&self, login: &LoginContext, typed: Option<&Typed>, now: UnixTime) -> Result<Challenge, CoreError> {
        let none = if typed.is_some() { Challenge::NoSuchDevice } else { Challenge::None };
        let (store, Some(account)) = (self.store()?, &self.account) else { return Ok(none) };
        let accepted = self.devices(login, now)?;
        let named = typed.map(|typed| typed.text().unwrap_or_default());
        let Some(record) = store.read(account)? else { return Ok(none) };
        match record.credentials.challenged_device(named, accepted).map(|device| &device.kind) {
            Some(Kind::Sent(destination)) if login.send => {
                let agent = AgentAuthority { user: account.name.as_str() };
                agent.challenge(login, typed).map_err(|error| error.of_sending(destination.channel()))
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
        self.judge(login, typed, now, &|limits, record, attempt| {
            (record.state.clone(), look(limits, record, attempt, login, now))
        })
    }

    /// The kinds of device that are accepted at this login: those of the ruling.
    fn devices(&self, login: &LoginContext, now: UnixTime) -> Result<Kinds, CoreError> {
        match (self.ruled.get(), &self.account) {
            (Some(ruling), _) => Ok(ruling.devices),
            // In the helper, question and answer are of two processes.
            (None, Some(account)) => accepted_devices::at(self.site, account, login, now),
            (None, None) => Ok(Kinds::ALL),
        }
    }

    /// The verdict of `decide` on what was typed, once the state that goes with it is durable. Not generic: this is code in
    /// every PAM host.
    fn judge(
        &self,
        login: &LoginContext,
        typed: &Typed,
        now: UnixTime,
        decide: &dyn Fn(&Limits, &Record, &Attempt) -> (State, Verdict),
    ) -> Result<Verdict, CoreError> {
        let (store, attempt) = (self.store()?, Attempt::parse(typed));
        let limits = Limits { devices: self.devices(login, now)?, ..self.site.config.limits };
        let bare = Cell::new(None);
        let step = |record: &Record| {
            bare.set((!record.is_enrolled()).then(|| Bare::of(record, now)));
            decide(&limits, record, &attempt)
        };
        let note = self.caller.note("login");
        let needed = match attempt {
            Attempt::Code(_) => Needed::ForCode,
            Attempt::Passcode(_) => Needed::ForPasscode,
            Attempt::Recovery(_) | Attempt::Malformed => Needed::Nothing,
        };
        match &self.account {
            Some(account) => {
                let verdict = update_for(&Following { store, seen: self.seen.get() }, account, needed, &note, step)?;
                let Some(bare) = bare.get() else { return Ok(verdict) };
                // Found out at the question, but in the helper, where question and answer are of two processes.
                if self.is_renamed(store, account, !bare.is_blank)? {
                    return Ok(Verdict::Refused(Refusal::Renamed));
                }
                self.without_device(verdict, bare, login, now)
            }
            None => {
                // Do the work of a real refusal, so that timing does not reveal that the account is unknown.
                let nobody = Account::nobody();
                let _ = step(&Record::stranger(&nobody));
                store.rehearse_load();
                let verdict = Verdict::Refused(Refusal::UnknownUser);
                store.rehearse(&nobody, &Note { answer: Some(&verdict), ..note })?;
                Ok(verdict)
            }
        }
    }

    /// Whether the account has no record, or a blank one, but had one under another name; found out once. `is_known` says
    /// that this is no question: there is a record, or the policy asks no user.
    fn is_renamed(&self, store: &FileStore, account: &Account, is_known: bool) -> Result<bool, CoreError> {
        if let Some(renamed) = self.renamed.get() {
            return Ok(*renamed);
        }
        let renamed = !is_known && renaming::former_name(store, account)?.is_some();
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
            (None, Some(account)) => ruling(self.site, account, bare.user_override, login, now)?,
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
        match request {
            Request::Demand(login) => Ok(Reply::Login(self.demand_at(&login, now)?.words())),
            Request::Challenge { login, named } => {
                let named = named.map(|named| named.into_typed());
                let challenge = self.challenge_at(&login, named.as_ref(), now).or_else(|error| self.not_sent(error))?;
                Ok(Reply::Login(challenge.words()))
            }
            Request::Verify { login, typed } => {
                let verdict = self.verify_at(&login, &typed.into_typed(), now)?;
                self.log(&login, &verdict);
                Ok(Reply::Login(verdict.words()))
            }
            Request::Administer(order) => self.administer(|account| {
                administration::carry_out(self.site, account, order, self.entropy, self.caller).map(Reply::Changed)
            }),
            Request::AdministerDevice(order) => self
                .administer(|account| device_orders::carry_out(self.site, account, &order, self.entropy, self.caller)),
            Request::IssuePasscode(order) => {
                self.administer(|account| passcode_orders::issue(self.site, account, &order, self.entropy, self.caller))
            }
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
            | Request::ForgetAddresses {} => match &mut self.service {
                Some(service) => service.answer(request, now),
                None => Ok(UNKNOWN_USER),
            },
        }
    }

    /// Serves the requests of an enrollment during a login, and declines all others: code that a login never needs is not
    /// linked into its host.
    pub fn enroll_during_login(&mut self, request: Request) -> Result<Reply, CoreError> {
        let Some(service) = &mut self.service else { return Ok(UNKNOWN_USER) };
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

impl Authority for LocalAuthority<'_> {
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

/// The ruling and demand of a login, for administration, which has read the record already. A renamed account is refused
/// whatever the demand is: see [`renaming::former_name`].
pub fn foresee(
    site: &Site,
    account: &Account,
    record: Option<&Record>,
    login: &LoginContext,
    now: UnixTime,
) -> Result<(Ruling, Demand), CoreError> {
    let user_override = record.map_or(Override::None, |record| record.credentials.user_override);
    let ruling = ruling(site, account, user_override, login, now)?;
    let devices = Devices::of(record.map(|record| record.credentials.outline()).as_ref());
    let grace = login.address().zip(site.config.grace);
    let in_grace = record
        .zip(grace)
        .is_some_and(|(record, (from, length))| is_in_grace(record, ruling.devices, from, length, now));
    Ok((ruling, Demand::of(ruling, devices, offered(site, &ruling, login), || Ok::<_, CoreError>(in_grace))?))
}

/// The kinds of device that a login can set up. A number or an address is among them only where no app is accepted: else what
/// the configuration says of senders makes no difference to the demand, and is not read.
fn offered(site: &Site, ruling: &Ruling, login: &LoginContext) -> Kinds {
    if !login.enroll {
        Kinds::NONE
    } else if ruling.second_factor != SecondFactor::Enroll || ruling.devices.hold(Kinds::TOTP) || !login.send {
        Kinds::TOTP
    } else {
        // Where it cannot be read nothing is sent.
        site.sent_kinds().unwrap_or(Kinds::NONE)
    }
}

fn ruling(
    site: &Site,
    account: &Account,
    user_override: Override,
    login: &LoginContext,
    now: UnixTime,
) -> Result<Ruling, CoreError> {
    let member = |group: &str| accounts::is_member(account, group);
    site.config.policy.ruling(account.name.as_str(), user_override, login, now, member)
}

#[cfg(test)]
mod tests;
