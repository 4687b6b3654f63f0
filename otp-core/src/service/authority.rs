//! Who answers "must this user give a code, and is this one good, here, now?".
//!
//! In a root process it is the local store; for everybody else it is the helper at the end of a pipe.

use crate::system::accounts;
use std::cell::OnceCell;

use crate::codes::attempt::{Attempt, Typed};
use crate::decision::policy::{Ruling, SecondFactor};
use crate::decision::verify::{Refusal, Verdict, decide};
use crate::error::Error;
use crate::record::Record;
use crate::record::credentials::Requirement;
use crate::record::state::Unenforced;
use crate::store::files::open::FileStore;
use crate::store::files::reread::{Following, Seen};
use crate::store::{Store, update};
use crate::system::config_file::Site;
use crate::value::login_context::LoginContext;
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};
use crate::value::user::Account;

/// What a login must do before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Ask for a code, whether or not there is a device.
    Code,
    /// A code was given from the same address a moment ago: let in without asking.
    Remembered,
    /// Ask nothing: policy says so.
    Nothing(Ruling),
    /// There is no device, and policy wants one set up before this login is let in.
    SetUp(Ruling),
}

/// The local store, asked about one user.
pub struct LocalAuthority<'a> {
    site: &'a Site,
    store: FileStore,
    account: Option<Account>,
    /// What was seen when it was asked whether a code is demanded.
    seen: OnceCell<Seen>,
}

impl<'a> LocalAuthority<'a> {
    /// Looks a typed name up.
    pub fn for_name(site: &'a Site, name: &str) -> Result<Self, Error> {
        Ok(Self { site, store: site.store()?, account: accounts::account(name)?, seen: OnceCell::new() })
    }

    /// Speaks for an account that is known already.
    pub fn for_account(site: &'a Site, account: Account) -> Result<Self, Error> {
        Ok(Self { site, store: site.store()?, account: Some(account), seen: OnceCell::new() })
    }

    /// Whether a code is asked for. Somebody unknown is asked like somebody enrolled.
    pub fn demand(&self, place: &LoginContext, now: UnixTime) -> Result<Demand, Error> {
        let Some(account) = &self.account else { return Ok(Demand::Code) };
        let seen = self.store.see(account)?;
        let personal = seen.as_ref().map_or(Requirement::Policy, |seen| seen.outline.requirement);
        let ruling = rule(self.site, account, personal, place, now)?;
        let has_device = seen.as_ref().is_some_and(|seen| seen.outline.has_device);
        if let Some(seen) = seen {
            // The first look is as good as a later one.
            let _ = self.seen.set(seen);
        }
        demanded(self.site, place, ruling, has_device, |address, length| {
            Ok(self.store.read(account)?.is_some_and(|record| remembers(&record, address, length, now)))
        })
    }

    /// Whether an answer is good. When this returns, what it returns is durable.
    pub fn verify(&self, place: &LoginContext, typed: &Typed, now: UnixTime) -> Result<Verdict, Error> {
        let (config, attempt) = (&self.site.config, Attempt::parse(typed));
        let step = |record: &Record| {
            let (mut state, verdict) = decide(&config.limits, record, &attempt, now);
            match verdict {
                Verdict::Accepted(_) => {
                    if let (Some(_), Some(address)) = (config.grace, place.address()) {
                        state.remember(address, now);
                    }
                }
                Verdict::Refused(why) if !config.enforce && record.is_enrolled() => {
                    state.unenforced = Some(Unenforced { at: now, why: why.word().to_owned() });
                }
                Verdict::Refused(_) => {}
            }
            (state, verdict)
        };
        match &self.account {
            Some(account) => {
                let store = Following { store: &self.store, seen: self.seen.get() };
                Ok(update(&store, account, step)?)
            }
            None => {
                // The work of a refusal, for nobody's sake: the time tells nothing.
                let _ = step(&Record::stranger(&Account::nobody()));
                self.store.rehearse();
                Ok(Verdict::Refused(Refusal::UnknownUser))
            }
        }
    }
}

/// What a login would be, for administration, which has read the user's record already.
pub fn foresee(
    site: &Site,
    account: &Account,
    record: Option<&Record>,
    place: &LoginContext,
    now: UnixTime,
) -> Result<(Ruling, Demand), Error> {
    let personal = record.map_or(Requirement::Policy, |record| record.credentials.requirement);
    let ruling = rule(site, account, personal, place, now)?;
    let has_device = record.is_some_and(Record::is_enrolled);
    let demand = demanded(site, place, ruling, has_device, |address, length| {
        Ok(record.is_some_and(|record| remembers(record, address, length, now)))
    })?;
    Ok((ruling, demand))
}

fn rule(
    site: &Site,
    account: &Account,
    personal: Requirement,
    place: &LoginContext,
    now: UnixTime,
) -> Result<Ruling, Error> {
    let member = |group: &str| accounts::is_member(account, group);
    site.config.policy.ruling(account.name.as_str(), personal, place, now, member)
}

/// What must be done, where `remembered` says whether a code was given from this address in that time.
fn demanded(
    site: &Site,
    place: &LoginContext,
    ruling: Ruling,
    has_device: bool,
    remembered: impl FnOnce(Address, Seconds) -> Result<bool, Error>,
) -> Result<Demand, Error> {
    Ok(match (ruling.second_factor, has_device) {
        (SecondFactor::Skip, _) | (SecondFactor::Optional, false) => Demand::Nothing(ruling),
        (SecondFactor::Enroll, false) => Demand::SetUp(ruling),
        (SecondFactor::Required, false) => Demand::Code,
        (SecondFactor::Required | SecondFactor::Enroll | SecondFactor::Optional, true) => {
            match place.address().zip(site.config.grace) {
                Some((address, length)) if remembered(address, length)? => Demand::Remembered,
                Some(_) | None => Demand::Code,
            }
        }
    })
}

fn remembers(record: &Record, address: Address, length: Seconds, now: UnixTime) -> bool {
    record.is_enrolled() && record.state.remembers(address, length, now)
}

#[cfg(test)]
mod tests;
