//! A demand in two halves: what a store knows of a user before the question, and what the rules of this host make of it. Each
//! may run on a machine of its own.

use crate::decision::demand::{Demand, Devices};
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Policy, Ruling, SecondFactor};
use crate::error::CoreError;
use crate::record::credentials::{Outline, Override};
use crate::store::Store;
use crate::system::accounts;
use crate::value::login_context::LoginContext;
use crate::value::time::{Seconds, UnixTime};
use crate::value::user::Account;

/// What a store knows of a user before the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub user_override: Override,
    pub devices: Devices,
    /// Whether there is no record, or one that says nothing.
    pub is_blank: bool,
}

impl Known {
    /// What is known by an outline; `None` for a user without a record.
    pub fn of(outline: Option<&Outline>) -> Self {
        Self {
            user_override: outline.map_or(Override::None, |outline| outline.user_override),
            devices: Devices::of(outline),
            is_blank: outline.is_none_or(Outline::is_blank),
        }
    }
}

/// The store's half: what is known of a user.
pub fn outline(store: &impl Store, account: &Account) -> Result<Known, CoreError> {
    Ok(Known::of(store.outline(account)?.as_ref()))
}

/// The store's half: the kinds of all devices of a user, if a second factor was accepted within the grace period from where
/// this login comes from. It may have been a code of any of them. Reads the record as a whole.
pub fn remembered(
    store: &impl Store,
    account: &Account,
    login: &LoginContext,
    grace: Option<Seconds>,
    now: UnixTime,
) -> Result<Option<Kinds>, CoreError> {
    let Some((address, length)) = login.address().zip(grace) else { return Ok(None) };
    Ok(store.read(account)?.and_then(|record| record.remembered(address, length, now)))
}

/// The host's half: what the policy says of this login, with the groups that this host knows.
pub fn ruling(
    policy: &Policy,
    account: &Account,
    user_override: Override,
    login: &LoginContext,
    now: UnixTime,
) -> Result<Ruling, CoreError> {
    let member = |group: &str| accounts::is_member(account, group);
    policy.ruling(account.name.as_str(), user_override, login, now, member)
}

/// The host's half: what must be done at this login. `sends` says to which kinds of device codes are sent; it and `remembered` are
/// asked only if they make a difference.
pub fn demanded(
    ruling: Ruling,
    devices: Devices,
    sends: &dyn Fn() -> Result<Kinds, CoreError>,
    login: &LoginContext,
    remembered: impl FnOnce() -> Result<Option<Kinds>, CoreError>,
) -> Result<Demand, CoreError> {
    Demand::of(ruling, devices, offered(sends, &ruling, login), || {
        Ok(remembered()?.is_some_and(|kinds| ruling.devices.hold(kinds)))
    })
}

/// The kinds of device that a login can set up. A number or an address is among them only where no app is accepted: else what
/// the configuration says of senders makes no difference to the demand, and is not read.
fn offered(sends: &dyn Fn() -> Result<Kinds, CoreError>, ruling: &Ruling, login: &LoginContext) -> Kinds {
    if !login.enroll {
        Kinds::NONE
    } else if ruling.second_factor != SecondFactor::Enroll || ruling.devices.hold(Kinds::TOTP) || !login.send {
        Kinds::TOTP
    } else {
        // Where it cannot be read nothing is sent.
        sends().unwrap_or(Kinds::NONE)
    }
}
