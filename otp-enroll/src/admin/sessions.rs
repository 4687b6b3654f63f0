//! Ends the sessions of users for whom a second factor was just made a requirement.

use std::process::Command;

use otp_core::user::Account;

use crate::problem::Problem;
use crate::say::Voice;

/// Names who of them has a session, asks, and ends their sessions through logind.
pub(super) fn end(accounts: &[Account], yes: bool, voice: &Voice) -> Result<(), Problem> {
    let listing = loginctl(&["list-users", "--no-legend"])?;
    let present: Vec<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let names = accounts.iter().map(|account| account.name.as_str());
    let concerned: Vec<&str> = names.filter(|name| present.contains(name)).collect();
    if concerned.is_empty() {
        return voice.advise("None of them has a session.");
    }
    voice.advise(&format!("These have sessions: {}", concerned.join(", ")))?;
    if !yes {
        voice.must_mean("End all of their sessions now?")?;
    }
    for name in concerned {
        loginctl(&["terminate-user", name])?;
        voice.advise(&format!("{name}'s sessions were ended"))?;
    }
    Ok(())
}

fn loginctl(arguments: &[&str]) -> Result<String, Problem> {
    let output = Command::new("loginctl").args(arguments).output().map_err(|error| Problem::Tool("loginctl", error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Problem::Tool("loginctl", std::io::Error::other(said)))
    }
}
