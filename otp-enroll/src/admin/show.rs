//! One user's second factor, and the last refusals; never a seed.

use otp_core::protocol::request::Status;
use otp_core::system::config_file::Site;
use serde::Serialize;

use super::of_fleet;
use super::refusals::Refusals;
use crate::client::{Client, account};
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

pub(super) fn show(site: &Site, client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    // A name that is mistyped is no user without a device.
    let is_blank = !status.enrolled && status.user_override == "none" && status.passcode.is_none();
    if is_blank && account(&status.user).is_err() {
        return Err(CliError::NoSuchUser(status.user));
    }
    let refusals = if site.config.is_of_fleet(&status.user) {
        Refusals::of_fleet(of_fleet::refusals(&status.user)?)
    } else {
        Refusals::of(&status.user)
    };
    output.painted(&Shown { status: &status, refusals: &refusals }, style::facts, || {
        let lines: Vec<_> = refusals.lines().iter().flat_map(|line| fitted(line)).collect();
        format!("{}\n{}", commands::described(&status), lines.join("\n"))
    })
}
