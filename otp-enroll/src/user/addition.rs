//! `otp-enroll add`: one more device, or the first.

use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::{Declined, Request, Status};
use otp_core::record::credentials::{DeviceName, same};
use otp_core::record::id::MOST_DEVICES;
use otp_core::text;

use crate::cli::{Addition, Enrollment};
use crate::client::Client;
use crate::error::{CliError, declined_text};
use crate::language::fill;
use crate::ui::output::{Output, say};
use crate::ui::prompt;
use crate::ui::terminal::Terminal;
use crate::user::accepted_kinds;
use crate::user::commands::{begin_and_confirm, prepare};
use crate::user::destination;
use crate::user::goal::Goal;
use crate::user::proof;
use crate::user::token;

pub(crate) fn add(client: &mut Client<'_>, addition: &Addition, output: &Output) -> Result<(), CliError> {
    let Addition { name, token: is_token, sms, email, described, enrollment } = addition;
    let to = destination::named(sms.as_deref(), email.as_deref());
    let status = client.status()?;
    check(&status, enrollment)?;
    if *is_token {
        token::check(described)?;
    }
    to.as_ref().map_or(Ok(()), destination::check)?;
    let kind = match &to {
        Some(to) => Kinds::of(to.kind),
        None if *is_token => token::kind(described),
        None => Kinds::TOTP,
    };
    accepted_kinds::check(&status, kind)?;
    prepare(enrollment, output)?;
    let base = match &to {
        Some(to) => DeviceName::of(to.kind),
        None if *is_token => DeviceName::of_token(),
        None => DeviceName::of_app(),
    };
    let name = named(&status, name.as_deref(), &base, output)?;
    if *is_token {
        return token::add(client, &status, name, described, enrollment, output);
    }
    if let Some(to) = to {
        return destination::add(client, &status, name, to, enrollment, output);
    }
    let goal = if status.enrolled { Goal::Another } else { Goal::First };
    let mut request = Request::Add { name, proof: None, token: None, to: None, count: enrollment.count };
    if status.enrolled {
        request = proof::proved(client, request, output)?;
    }
    begin_and_confirm(client, request, goal, enrollment, output)
}

/// Whether the options about recovery codes go with what the user has.
pub(crate) fn check(status: &Status, enrollment: &Enrollment) -> Result<(), CliError> {
    if status.enrolled && enrollment.save_recovery.is_some() {
        return Err(CliError::Usage(
            "--save-recovery does not go with another device: the recovery codes stay; new ones: otp-enroll recovery"
                .into(),
        ));
    }
    if status.enrolled && enrollment.count.is_some() {
        return Err(CliError::Usage(
            "--count does not go with another device: the recovery codes stay; new ones: otp-enroll recovery --count N"
                .into(),
        ));
    }
    Ok(())
}

/// The name that was chosen, on the command line or in the guide; `None` for one of ours. A name that cannot be given is
/// found out before a code is used up.
pub(crate) fn named(
    status: &Status,
    chosen: Option<&str>,
    base: &DeviceName,
    output: &Output,
) -> Result<Option<String>, CliError> {
    if status.devices.len() >= MOST_DEVICES {
        return Err(CliError::Declined(Declined::TooManyDevices));
    }
    if let Some(chosen) = chosen {
        fits(status, chosen).map_err(CliError::Declined)?;
        return Ok(Some(chosen.to_owned()));
    }
    let terminal = Terminal::here();
    if output.json || !terminal.interactive {
        return Ok(None);
    }
    let proposal = base.free(|name| is_taken(status, name));
    loop {
        let line =
            prompt::ask(&terminal, &fill(text!("Name of the new device [{name}]: "), &[("name", &proposal.as_str())]))?;
        let chosen = line.expose().trim();
        if chosen.is_empty() {
            return Ok(Some(proposal.as_str().to_owned()));
        }
        if prompt::is_yes_or_no(chosen) {
            say(&fill(text!("Press Enter for {name}, or type another name."), &[("name", &proposal.as_str())]))?;
            continue;
        }
        match fits(status, chosen) {
            Ok(()) => return Ok(Some(chosen.to_owned())),
            Err(declined) => say(&declined_text(declined))?,
        }
    }
}

/// Whether a new device can have this name.
pub(crate) fn fits(status: &Status, name: &str) -> Result<(), Declined> {
    DeviceName::chosen(name)?;
    if is_taken(status, name) { Err(Declined::NameTaken) } else { Ok(()) }
}

fn is_taken(status: &Status, name: &str) -> bool {
    status.devices.iter().any(|device| same(&device.name, name))
}
