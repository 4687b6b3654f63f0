//! Accounts and groups from the name service.

use nix::unistd::{Gid, Group, Uid, User};

use crate::error::CoreError;
use crate::value::user::{Account, UserName};

/// The account of a login name; `None` if it does not exist.
pub fn account(name: &str) -> Result<Option<Account>, CoreError> {
    account_if(name, |_| true)
}

/// The account of a login name, if its entry in the name service is as wanted.
pub fn account_if(name: &str, wanted: impl FnOnce(&User) -> bool) -> Result<Option<Account>, CoreError> {
    if UserName::parse(name).is_none() {
        return Ok(None);
    }
    let answer = User::from_name(name).map(|user| user.filter(wanted));
    found(answer, || format!("the user {name:?}"))
}

/// The account of a numeric user id.
pub fn account_of(uid: u32) -> Result<Option<Account>, CoreError> {
    found(User::from_uid(Uid::from_raw(uid)), || format!("the user id {uid}"))
}

fn found(answer: nix::Result<Option<User>>, subject: impl Fn() -> String) -> Result<Option<Account>, CoreError> {
    let user = answer.map_err(|errno| CoreError::Names { subject: subject(), errno })?;
    user.map(|user| match UserName::parse(&user.name) {
        Some(name) => Ok(Account { name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
        None => Err(CoreError::Names { subject: subject(), errno: nix::errno::Errno::EINVAL }),
    })
    .transpose()
}

/// Whether an account is in a group, by primary or supplementary membership.
pub fn is_member(account: &Account, group: &str) -> Result<bool, CoreError> {
    let subject = || format!("the group {group:?}");
    let found = Group::from_name(group).map_err(|errno| CoreError::Names { subject: subject(), errno })?;
    let wanted = found.ok_or_else(|| CoreError::UnknownGroup(group.to_owned()))?.gid;
    if wanted == Gid::from_raw(account.gid) {
        return Ok(true);
    }
    let refuse = |errno| CoreError::Names { subject: format!("the groups of {:?}", account.name.as_str()), errno };
    let name = std::ffi::CString::new(account.name.as_str()).map_err(|_| refuse(nix::errno::Errno::EINVAL))?;
    let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(account.gid)).map_err(refuse)?;
    Ok(groups.contains(&wanted))
}
