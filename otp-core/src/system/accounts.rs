//! Accounts and groups from the name service.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User};
use otp_nss::Answer;

use crate::error::CoreError;
use crate::system::name_service;
use crate::value::user::{Account, UserName};

/// More descriptors than a service of the name service opens at a time.
const DESCRIPTORS: u8 = 8;

/// More memory than a service needs to be loaded, in bytes. It is reserved and not touched.
const MEMORY: usize = 32 << 20;

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
        None => Err(CoreError::Names { subject: subject(), errno: Errno::EINVAL }),
    })
    .transpose()
}

/// The number of a group, after each member on its list; `None` if it does not exist.
pub fn group(name: &str, each: &mut dyn FnMut(&CStr)) -> nix::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    otp_nss::group(&name, each).map_err(Errno::from_raw)
}

/// Whether an account is in a group, by primary or supplementary membership.
///
/// A "no" is believed only if every service that was asked could answer: getgrouplist(3) reports no failure.
pub fn is_member(account: &Account, group: &str) -> Result<bool, CoreError> {
    let subject = || format!("the group {group:?}");
    let refuse = |errno| CoreError::Names { subject: format!("the groups of {:?}", account.name.as_str()), errno };
    let name = CString::new(account.name.as_str()).map_err(|_| refuse(Errno::EINVAL))?;
    let mut is_listed = false;
    let found = self::group(group, &mut |member| is_listed |= member == name.as_c_str())
        .map_err(|errno| CoreError::Names { subject: subject(), errno })?;
    let found = found.ok_or_else(|| CoreError::UnknownGroup(group.to_owned()))?;
    if found == account.gid || is_listed {
        return Ok(true);
    }
    let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(account.gid)).map_err(refuse)?;
    if groups.contains(&Gid::from_raw(found)) {
        return Ok(true);
    }
    prove_resources(DESCRIPTORS).map_err(|error| refuse(errno_of(&error)))?;
    let configuration = name_service::configuration().map_err(|error| refuse(errno_of(&error)))?;
    let ask = |service: &[u8]| otp_nss::ask(service, &name, account.gid, found);
    match name_service::each_service(&configuration, ask) {
        Answer::Member => Ok(true),
        Answer::NotMember | Answer::NotFound | Answer::Absent => Ok(false),
        Answer::Failed(errno) => {
            Err(CoreError::NoAnswer { user: account.name.as_str().to_owned(), errno: Errno::from_raw(errno) })
        }
    }
}

/// Fails where a look-up could fail for lack of descriptors or memory: a service that cannot be loaded looks like one
/// that is not installed.
fn prove_resources(descriptors: u8) -> io::Result<()> {
    let Some(more) = descriptors.checked_sub(1) else {
        return Vec::<u8>::new().try_reserve_exact(MEMORY).map_err(|_| Errno::ENOMEM.into());
    };
    let _held = File::open("/")?;
    prove_resources(more)
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
