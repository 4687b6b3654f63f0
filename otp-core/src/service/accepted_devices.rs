//! The kinds of device that the policy accepts of a user: at a login, as proof of a change, and to be added.

use crate::decision::kinds::Kinds;
use crate::decision::policy::Policy;
use crate::error::CoreError;
use crate::system::accounts;
use crate::value::login_context::LoginContext;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Those that are accepted at a login. No override changes them.
pub fn at(policy: &Policy, account: &Account, login: &LoginContext, now: UnixTime) -> Result<Kinds, CoreError> {
    let member = |group: &str| accounts::is_member(account, group);
    policy.devices(account.name.as_str(), login, now, member)
}

/// Those that a user may set up in the middle of a login: accepted there, and to be added.
pub fn to_set_up(policy: &Policy, account: &Account, login: &LoginContext, now: UnixTime) -> Result<Kinds, CoreError> {
    Ok(at(policy, account, login, now)?.and(at_changes(policy, account, now)?))
}

/// Those that are accepted as proof of a change, and may be added: the same from wherever the user comes.
pub fn at_changes(policy: &Policy, account: &Account, now: UnixTime) -> Result<Kinds, CoreError> {
    at(policy, account, &LoginContext::of_changes(), now)
}

/// Whether the policy wants a passcode before the first device. An administrator could issue one, and need not.
pub fn want_passcode(policy: &Policy, account: &Account) -> Result<bool, CoreError> {
    let member = |group: &str| accounts::is_member(account, group);
    policy.wants_passcode(account.name.as_str(), member)
}
