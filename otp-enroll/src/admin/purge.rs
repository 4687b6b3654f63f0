//! Removes the records of accounts that are gone, after listing them.

use std::path::Path;

use otp_core::error::CoreError;
use otp_core::protocol::request::Order;
use otp_core::service::renaming::former_name;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts::{account, account_of};
use otp_core::system::config_file::Site;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use super::list;
use crate::error::CliError;
use crate::ui::output::Output;

#[derive(Serialize)]
struct Gone<'a> {
    user: &'a str,
    would_change: bool,
}

pub(super) fn purge(site: &Site, store: &FileStore, dry_run: bool, yes: bool, output: &Output) -> Result<(), CliError> {
    let (mut gone, mut renamed, mut at_home, mut present) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
    for stem in list::stems(store, output)? {
        match list::read_of(store, &stem) {
            Err(CoreError::NoAccount(user)) => {
                let Some(name) = UserName::parse(&user) else { continue };
                let remains = Account { name, ..Account::nobody() };
                match renamed_to(store, &remains)? {
                    Some(new) => renamed.push((user, new)),
                    // With another name and another number at once nothing else tells that the person is there still.
                    None if Path::new("/home").join(&user).is_dir() => at_home.push(user),
                    None => gone.push(remains),
                }
            }
            Ok(_) | Err(_) => present = present.saturating_add(1),
        }
    }
    for (old, new) in &renamed {
        output.warn(&format!("the record of {old} stays: {new} has its number. {}", super::rename::ways_out(old, new)));
    }
    for user in &at_home {
        output.warn(&format!(
            "the record of {user} stays: /home/{user} is there. If the account was renamed: otp-enroll admin rename {user} NEW; if \
             it is gone: otp-enroll admin disable {user}"
        ));
    }
    if gone.is_empty() {
        return output.advise("No record is removed.");
    }
    // A name service without any user would make all records remains.
    if gone.len() > present.max(1) {
        return Err(CliError::Reported {
            error: format!(
                "the accounts of {} records are gone, and those of {present} are there: the name service may be at fault",
                gone.len()
            ),
            hint: "nothing was removed; look with `getent passwd`, or remove single records: otp-enroll admin disable"
                .into(),
        });
    }
    for account in &gone {
        let user = account.name.as_str();
        if dry_run || !yes {
            output.done(&Gone { user, would_change: true }, &format!("{user}: the account is gone"))?;
        }
    }
    if dry_run {
        return output.advise(&format!("\n{} would be removed; nothing was changed.", gone.len()));
    }
    if !yes {
        output.confirm(&format!("Remove {}?", if gone.len() == 1 { "this record" } else { "these records" }))?;
    }
    // One of these accounts may have been made since.
    let mut still = Vec::with_capacity(gone.len());
    for remains in gone {
        if account(remains.name.as_str())?.is_none() {
            still.push(remains);
        }
    }
    super::every(site, &still, output, Order::Disable)?.1
}

/// The account that has the number of a record whose own account is gone, if the record is in its way.
fn renamed_to(store: &FileStore, remains: &Account) -> Result<Option<String>, CoreError> {
    let Some(uid) = store.owner_of(remains)? else { return Ok(None) };
    let Some(new) = account_of(uid)? else { return Ok(None) };
    Ok(former_name(store, &new)?.filter(|former| *former == remains.name).map(|_| new.name.to_string()))
}
