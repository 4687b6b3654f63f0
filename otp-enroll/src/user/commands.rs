//! The commands for a user's own second factor.

use std::path::Path;

use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{SecondFactor, Source};
use otp_core::decision::verify::Refusal;
use otp_core::protocol::request::{Declined, Reply, Request, Requirement, Status};
use otp_core::record::credentials::Override;
use otp_core::text;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use crate::cli::Enrollment;
use crate::client::{Client, unexpected};
use crate::error::CliError;
use crate::language::{fill, moment, tr};
use crate::private_file;
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::style;
use crate::unconfirmed_file;
use crate::user::accepted_kinds;
use crate::user::device_lines::{day, fact, not_accepted, paragraph};
use crate::user::first_device;
use crate::user::goal::Goal;
use crate::user::interactive;
use crate::user::passcode;
use crate::user::proof;
use crate::user::scripted;

/// The answer of a change as JSON.
#[derive(Serialize)]
pub(crate) struct Changed<'a> {
    pub(crate) user: &'a str,
    pub(crate) changed: bool,
}

/// Enrolls a user without a device; shows the status of a user with one.
pub(crate) fn enroll(client: &mut Client<'_>, enrollment: &Enrollment, output: &Output) -> Result<(), CliError> {
    enrollment.picture().map_err(CliError::Usage)?;
    let status = client.status()?;
    if status.enrolled {
        show(&status, output)?;
        return output.advise(&format!(
            "\n{}",
            tr(text!("Another device:        otp-enroll add\nA new phone instead:   otp-enroll reset"))
        ));
    }
    prepare(enrollment, output)?;
    begin_and_confirm(client, Request::Enroll { proof: None, count: enrollment.count }, Goal::First, enrollment, output)
}

/// Replaces all devices by one.
pub(crate) fn reset(client: &mut Client<'_>, enrollment: &Enrollment, output: &Output) -> Result<(), CliError> {
    prepare(enrollment, output)?;
    let status = client.status()?;
    accepted_kinds::check(&status, Kinds::TOTP)?;
    if let several @ 2.. = status.devices.len() {
        let warning = text!(
            "this replaces all {number} devices and the recovery codes; to replace one device: otp-enroll add, then \
             otp-enroll remove DEVICE"
        );
        output.warn(&fill(warning, &[("number", &several)]));
    }
    let goal = if status.enrolled { Goal::Instead } else { Goal::First };
    let mut request = Request::Enroll { proof: None, count: enrollment.count };
    if status.enrolled {
        request = proof::proved(client, request, output)?;
    }
    begin_and_confirm(client, request, goal, enrollment, output)
}

/// Finds out what will fail before a code is used up.
pub(crate) fn prepare(enrollment: &Enrollment, output: &Output) -> Result<(), CliError> {
    let terminal = output.terminal()?;
    scripted::somewhere_for_codes(enrollment.save_recovery.as_deref(), terminal.interactive)?;
    match enrollment.picture().map_err(CliError::Usage)? {
        Some((_, path)) => Ok(private_file::can_be_written(&path)?),
        None => Ok(()),
    }
}

/// Asks for an offer, and leads from there to a device that works.
pub(crate) fn begin_and_confirm(
    client: &mut Client<'_>,
    request: Request,
    goal: Goal,
    enrollment: &Enrollment,
    output: &Output,
) -> Result<(), CliError> {
    let picture = enrollment.picture().map_err(CliError::Usage)?;
    let terminal = output.terminal()?;
    let Reply::Offer(offer) = first_device::ask(client, request, output)? else { return Err(unexpected()) };
    let (save, picture) = (enrollment.save_recovery.as_deref(), picture.as_ref());
    let enrolled = if output.json || !terminal.interactive {
        scripted::enroll(client, &offer, goal, save, picture, output, &terminal)
    } else {
        interactive::enroll(client, &offer, goal, save, picture, output)
    };
    unconfirmed_file::discard();
    enrolled.map_err(|error| goal.ended_by(error))
}

pub(crate) fn status(client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    show(&client.status()?, output)
}

fn show(status: &Status, output: &Output) -> Result<(), CliError> {
    output.painted(status, style::facts, || described(status))
}

/// A status for people, a line for each fact.
pub(crate) fn described(status: &Status) -> String {
    let mut lines = fact(text!("User"), &status.user);
    let is_set_up = if status.enrolled { text!("set up") } else { text!("not set up") };
    lines.extend(fact(text!("Second factor"), &tr(is_set_up)));
    lines.extend(status.devices.iter().flat_map(paragraph));
    let refused = |terms| not_accepted(terms, status.devices.len());
    lines.extend(status.not_accepted.iter().flat_map(refused));
    let future = |what: &str| {
        let is_future = status.in_future.iter().any(|time| time == what);
        if is_future { format!(" ({})", tr(text!("in the future"))) } else { String::new() }
    };
    if status.enrolled {
        let left = fill(text!("{number} left"), &[("number", &status.recovery_codes_left)]);
        lines.extend(fact(text!("Recovery codes"), &left));
        let last = status.last_accepted.as_deref().map_or_else(|| tr(text!("never")), moment);
        lines.extend(fact(text!("Last accepted"), &format!("{last}{}", future("last_accepted"))));
    }
    let passcode = status.passcode.as_ref().map(|passcode| passcode::described(passcode, &moment(&passcode.until)));
    lines.extend(passcode.iter().flat_map(|passcode| fact(text!("Passcode"), passcode)));
    if status.failures > 0 {
        let failures = fill(text!("{number} in a row"), &[("number", &status.failures)]);
        lines.extend(fact(text!("Wrong codes"), &failures));
    }
    match status.lock.as_str() {
        "open" => {}
        "until-unlocked" => lines.extend(fact(text!("Locked"), &tr(text!("until an administrator unlocks")))),
        time => {
            let until = fill(text!("until {time}"), &[("time", &moment(time))]);
            lines.extend(fact(text!("Locked"), &format!("{until}{}", future("lock"))));
        }
    }
    if !status.in_future.is_empty() {
        let what = fill(text!("{names}: the clock was ahead"), &[("names", &status.in_future.join(", "))]);
        lines.extend(fact(text!("In the future"), &what));
    }
    if status.user_override != Override::None.name() {
        let set = match status.override_until.as_deref() {
            Some(time) => fill(
                text!("{word} until {day} (set for this user)"),
                &[("word", &status.user_override), ("day", &day(time))],
            ),
            None => fill(text!("{word} (set for this user)"), &[("word", &status.user_override)]),
        };
        lines.extend(fact(text!("Override"), &set));
    }
    lines.iter().map(|line| layout::escaped(line)).collect::<Vec<_>>().join("\n")
}

/// Removes the second factor.
pub(crate) fn disable(client: &mut Client<'_>, yes: bool, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    if !status.enrolled {
        return output
            .done(&Changed { user: &status.user, changed: false }, &tr(text!("No second factor was set up.")));
    }
    // Times as text: in UTC, so in order.
    let has_ended = status.override_until.as_ref().is_some_and(|end| *end <= UnixTime::now().to_string());
    if status.user_override == Override::Required.name() && !has_ended {
        return Err(CliError::Declined(Declined::Required)); // do not ask for a code in vain
    }
    let user = &status.user;
    match client.requirement() {
        Some(required) if yes => output.warn(&outcome_without(user, &required)),
        Some(required) => output.confirm(&format!("{} Continue?", outcome_without(user, &required)))?,
        None if yes => {}
        None => output.confirm(&fill(
            text!("{user} will have no second factor, and cannot log in where one is required. Continue?"),
            &[("user", user)],
        ))?,
    }
    let proof = proof::ask(client, output)?;
    client.change(Request::Disable { proof })?;
    output.done(&Changed { user: &status.user, changed: true }, &tr(text!("The second factor is removed.")))
}

/// What a user meets without the second factor that is required.
fn outcome_without(user: &str, required: &Requirement) -> String {
    let Requirement { second_factor, by, service } = required;
    let through = service.as_ref().map_or_else(String::new, |service| format!(" at logins through {service}"));
    let by = match by.strip_prefix("rule-") {
        Some(number) => format!("Rule {number} of the policy"),
        None if *by == Source::Override.to_string() => "The administrator".to_owned(),
        None => "The policy".to_owned(),
    };
    let outcome = if *second_factor == SecondFactor::Enroll.name() {
        "must set up another one at the next login, or is refused"
    } else {
        "will be refused"
    };
    format!("{by} requires a second factor of {user}{through}. Without one {user} {outcome}.")
}

/// New recovery codes.
pub(crate) fn recovery(
    client: &mut Client<'_>,
    save: Option<&Path>,
    count: Option<u8>,
    output: &Output,
) -> Result<(), CliError> {
    let status = enrolled(client)?;
    let terminal = output.terminal()?;
    scripted::somewhere_for_codes(save, terminal.interactive)?;
    let request = proof::proved(client, Request::Recovery { proof: None, count }, output)?;
    let Reply::RecoveryCodes(codes) = client.ask(request)? else { return Err(unexpected()) };
    if output.json || !terminal.interactive {
        scripted::recovery_codes(&codes, &status.user, save, output)
    } else {
        interactive::recovery_codes(&terminal, &codes, &status.user, save, output)
    }
}

/// The status of a user with a device; an error for one without.
pub(crate) fn enrolled(client: &mut Client<'_>) -> Result<Status, CliError> {
    let status = client.status()?;
    if status.enrolled { Ok(status) } else { Err(CliError::Refused(Refusal::NotEnrolled)) }
}

/// Forgets remembered addresses (grace).
pub(crate) fn forget_addresses(client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    let status = client.status()?;
    let changed = client.change(Request::ForgetAddresses {})?;
    let told = if changed {
        text!("You will be asked for a code at every next login.")
    } else {
        text!("No address was remembered.")
    };
    output.done(&Changed { user: &status.user, changed }, &tr(told))
}

/// Checks a code, and uses it up.
pub(crate) fn test(client: &mut Client<'_>, output: &Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Right<'a> {
        user: &'a str,
        right: bool,
        recovery_codes_left: u8,
    }
    let status = enrolled(client)?;
    let proof = proof::ask_for(client, text!("Code to try: "), output)?;
    client.ask(Request::Test { proof })?;
    let left = client.status()?.recovery_codes_left;
    let answer = Right { user: &status.user, right: true, recovery_codes_left: left };
    output.done(&answer, &tr(text!("That code is correct. It is used up now: log in with the next one.")))
}
