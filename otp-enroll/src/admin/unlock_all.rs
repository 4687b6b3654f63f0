//! Undoes the locks that the wrong codes of one host of the fleet have caused.

use otp_core::protocol::administration::Listed;
use otp_core::protocol::request::{Order, Status};
use otp_core::system::config_file::Site;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use super::{every, of_fleet};
use crate::error::CliError;
use crate::ui::output::Output;

/// What is said of a user whom nothing was done for.
#[derive(Serialize)]
struct Locked<'a> {
    user: &'a str,
    lock: &'a str,
    failures: u32,
}

pub(super) fn unlock(site: &Site, host: &str, dry_run: bool, yes: bool, output: &Output) -> Result<(), CliError> {
    let mut locked: Vec<Status> = Vec::new();
    of_fleet::each(Some(host), |listed| {
        match listed {
            Listed::Status(status) => locked.push(status),
            // Whether it is locked is not known.
            Listed::Unusable { user, error, .. } => output.warn(&format!("{user}: {error}")),
        }
        Ok(())
    })?;
    if locked.is_empty() {
        return output.advise(&format!("No user is locked by wrong codes of {host}."));
    }
    if dry_run {
        return locked.iter().try_for_each(|Status { user, lock, failures, .. }| {
            let locked = Locked { user, lock, failures: *failures };
            output.result(&locked, || format!("{user}: is locked; {failures} wrong codes"))
        });
    }
    let names: Vec<&str> = locked.iter().map(|status| status.user.as_str()).collect();
    if !yes {
        output.confirm(&format!("Unlock {}?", names.join(", ")))?;
    }
    // They need no account on this host.
    let named = |name: &&str| UserName::parse(name).map(|name| Account { name, ..Account::nobody() });
    let accounts: Vec<Account> = names.iter().filter_map(named).collect();
    every(site, &accounts, output, Order::Unlock)?.1
}
