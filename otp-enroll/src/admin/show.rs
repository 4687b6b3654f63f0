//! One user's second factor, and the last refusals; never a seed.

use otp_core::protocol::request::Status;
use serde::Serialize;

use super::refusals::Refusals;
use crate::client::Client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::ui::style;
use crate::user::commands;
use crate::user::device_lines::fitted;

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: &'a Status,
    #[serde(flatten)]
    refusals: &'a Refusals,
}

/// What is known of the user on this host.
pub(super) struct Of {
    pub(super) is_account: bool,
    pub(super) is_of_fleet: bool,
}

pub(super) fn show(client: &mut Client<'_>, of: &Of, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    // A name that is mistyped is no user without a device.
    if !of.is_account && !status.enrolled && status.user_override == "none" && status.passcode.is_none() {
        return Err(CliError::NoSuchUser(status.user));
    }
    let refusals = Refusals::of(&status.user);
    output.painted(&Shown { status: &status, refusals: &refusals }, style::facts, || {
        let mut lines = refusals.lines();
        if of.is_of_fleet {
            let user = &status.user;
            lines.push(format!("                 on all hosts: otp-verifier audit --user {user}, on a verifier"));
        }
        let lines: Vec<_> = lines.iter().flat_map(|line| fitted(line)).collect();
        format!("{}\n{}", commands::described(&status), lines.join("\n"))
    })
}
