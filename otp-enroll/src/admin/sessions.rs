//! Ends the sessions of users who were just required to have a second factor.

pub(super) mod evidence;
pub(super) mod logind;
pub(super) mod unmet;

use otp_core::value::user::Account;

use self::logind::loginctl;
use crate::error::CliError;
use crate::ui::alternate_screen;
use crate::ui::output::Output;

/// Lists the users with sessions, asks, and ends the sessions through logind. The override stays even if this fails.
pub(super) fn end(accounts: &[Account], yes: bool, output: &Output) -> Result<(), CliError> {
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    if names.is_empty() {
        return output.advise("All of them were required already; no session was ended.");
    }
    let go_on = |users: &[&str], why| CliError::SessionsGoOn { users: users.join(" "), why: Box::new(why) };
    let listing = loginctl(&["list-users", "--no-legend"]).map_err(|why| go_on(&names, why))?;
    let present: Vec<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let mut concerned: Vec<&str> = names.into_iter().filter(|name| present.contains(name)).collect();
    if concerned.is_empty() {
        return output.advise("None of them has a session; no session was ended.").map_err(CliError::although_done);
    }
    output.advise(&format!("Users with sessions: {}", concerned.join(", "))).map_err(|why| go_on(&concerned, why))?;
    if !yes {
        alternate_screen::stage("interrupted: a second factor is required from now on; no session was ended");
        output.confirm("End all of their sessions now?").map_err(|why| go_on(&concerned, why))?;
    }
    let mut told = Ok(());
    while let Some(name) = concerned.first() {
        loginctl(&["terminate-user", name]).map_err(|why| go_on(&concerned, why))?;
        told = told.and(output.advise(&format!("{name}: sessions ended")).map_err(CliError::although_done));
        concerned.remove(0);
    }
    told
}
