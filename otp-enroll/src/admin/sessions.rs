//! Ends the sessions of users for whom a second factor was just made a requirement.

use std::process::Command;

use otp_core::value::user::Account;

use crate::error::CliError;
use crate::ui::output::Output;

/// Names who of them has a session, asks, and ends their sessions through logind. The requirement stands, whatever comes
/// of this.
pub(super) fn end(accounts: &[Account], yes: bool, output: &Output) -> Result<(), CliError> {
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    if names.is_empty() {
        return output.advise("It is new for nobody: no session is ended.");
    }
    let go_on = |users: &[&str], why| CliError::SessionsGoOn { users: users.join(" "), why: Box::new(why) };
    let listing = loginctl(&["list-users", "--no-legend"]).map_err(|why| go_on(&names, why))?;
    let present: Vec<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let mut concerned: Vec<&str> = names.into_iter().filter(|name| present.contains(name)).collect();
    if concerned.is_empty() {
        return output.advise("None of them has a session.").map_err(CliError::although_done);
    }
    output.advise(&format!("These have sessions: {}", concerned.join(", "))).map_err(|why| go_on(&concerned, why))?;
    if !yes {
        output.must_mean("End all of their sessions now?").map_err(|why| go_on(&concerned, why))?;
    }
    let mut told = Ok(());
    while let Some(name) = concerned.first() {
        loginctl(&["terminate-user", name]).map_err(|why| go_on(&concerned, why))?;
        told = told.and(output.advise(&format!("{name}: sessions ended")).map_err(CliError::although_done));
        concerned.remove(0);
    }
    told
}

fn loginctl(arguments: &[&str]) -> Result<String, CliError> {
    let output =
        Command::new("loginctl").args(arguments).output().map_err(|error| CliError::Tool("loginctl", error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(CliError::Tool("loginctl", std::io::Error::other(said)))
    }
}
