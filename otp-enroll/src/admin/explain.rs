//! Which rule decides about a login, and its result, in words.

use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{SecondFactor, Source};
use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;
use serde::Serialize;

use super::foreseen::{Foreseen, Outcome, at_fault, foresee};
use super::host_in_fleet::HostInFleet;
use super::known_user::KnownUser;
use super::of_fleet;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::style;

/// The answer as JSON.
#[derive(Serialize)]
struct Explained<'a> {
    user: &'a str,
    service: &'a str,
    rhost: Option<&'a str>,
    tty: Option<&'a str>,
    has_device: bool,
    decided_by: String,
    file: String,
    line: Option<usize>,
    second_factor: &'a str,
    /// The kinds of device whose codes are accepted.
    accepted_kinds: Kinds,
    required_from: Option<String>,
    /// At a line of the module.
    outcome: Outcome,
    enforced: bool,
    /// The PAM files of the service have such a line.
    has_line: bool,
}

/// What the PAM files of a service tell of its logins.
pub(super) struct PamFiles {
    /// They have a line of the module, without which nothing is asked.
    pub(super) has_line: bool,
    /// Whether each line offers enrollment, if there is one.
    pub(super) offered: Option<bool>,
    /// What there is to say of a service without a file.
    pub(super) remark: Option<String>,
}

pub(super) fn explain(
    site: &Site,
    store: &FileStore,
    account: &Account,
    place: &LoginContext,
    files: &PamFiles,
    output: &Output,
) -> Result<(), CliError> {
    let PamFiles { has_line, offered, remark } = files;
    let place = &LoginContext { enroll: offered.unwrap_or(true), ..place.clone() };
    let (host, now) = (HostInFleet::default(), UnixTime::now());
    let known = if site.config.is_of_fleet(account.name.as_str()) {
        let status = of_fleet::client(site, account.clone()).status()?;
        KnownUser::of_fleet(Some(&status), &host, place)?
    } else {
        KnownUser::of_record(site, store.read(account).map_err(CoreError::from)?.as_ref(), place, now)
    };
    let foreseen = foresee(site, store, account, &known, place, now);
    let Foreseen { ruling, has_device, outcome, former_name, may_be_remembered } =
        foreseen.map_err(|error| at_fault(site, error))?;
    let outcome = outcome.if_offered(*offered);
    let rule = match ruling.source {
        Source::Rule(number) => number.checked_sub(1).and_then(|place| site.config.settings.policy.rules.get(place)),
        Source::Override | Source::Nullok | Source::Default => None,
    };
    let explained = Explained {
        user: account.name.as_str(),
        service: &place.service,
        rhost: place.rhost.as_deref(),
        tty: place.tty.as_deref(),
        has_device,
        decided_by: ruling.source.to_string(),
        file: site.path.display().to_string(),
        line: rule.map(|rule| rule.line),
        second_factor: ruling.second_factor.name(),
        accepted_kinds: ruling.devices,
        required_from: ruling.required_from.map(|from| from.day()),
        outcome,
        enforced: site.config.settings.enforce,
        has_line: *has_line,
    };
    output.painted(&explained, style::facts, || text(&explained, ruling.source))?;
    if let Some(former) = former_name {
        for line in [
            format!("If the account was renamed: otp-enroll admin rename {former} {}", account.name),
            format!("If its number went to another person: otp-enroll admin disable {former}"),
        ] {
            output.advise(&layout::escaped(&line))?;
        }
    }
    if outcome == Outcome::NotPushed {
        let line =
            format!("To give the record of this host to the fleet: otp-enroll admin fleet push {}", account.name);
        output.advise(&layout::escaped(&line))?;
    }
    if may_be_remembered {
        output.advise(
            "If the fleet remembers this address (grace), no code is asked for: its verifiers alone know that.",
        )?;
    }
    if let Some(remark) = remark {
        output.advise(&layout::escaped(remark))?;
    }
    if place.rhost.is_some() && place.address().is_none() {
        output.advise("The remote host is a name, not an address: rules with a network do not match it.")?;
    }
    Ok(())
}

/// What is said of a service that asks nothing.
pub(super) fn without_line(service: &str) -> String {
    format!("the PAM files of {service} have no line of pam_otp.so")
}

fn text(explained: &Explained<'_>, source: Source) -> String {
    let Explained { user, service, file, second_factor, .. } = explained;
    let from = explained.rhost.map_or_else(String::new, |rhost| format!(" from {rhost}"));
    let on = explained.tty.map_or_else(String::new, |tty| format!(" on {tty}"));
    let decided = match (source, explained.line) {
        (Source::Override, _) => "the override of this user (otp-enroll admin require, exempt)".to_owned(),
        (Source::Nullok, _) => "nullok in the PAM file".to_owned(),
        (Source::Rule(number), Some(line)) => format!("rule {number}, {file}:{line}"),
        (Source::Rule(number), None) => format!("rule {number}, {file}"),
        (Source::Default, _) => format!("policy.second_factor, {file}: no rule matches"),
    };
    let until =
        explained.required_from.as_ref().map_or_else(String::new, |day| format!(" until it is required, from {day}"));
    let outcome = match (explained.outcome, explained.enforced) {
        (Outcome::NotAsked, _) => "not asked for a code",
        (Outcome::Grace, _) => "let in without being asked: this address is remembered (grace)",
        (Outcome::Enroll, true) => "led through enrollment during the login",
        (Outcome::Enroll, false) => "not asked for a code (enforce = false; it would be led through enrollment)",
        (Outcome::EnrollIfOffered, true) => {
            "led through enrollment during the login if the auth line has the argument enroll; else asked for a code and \
             refused"
        }
        (Outcome::EnrollIfOffered, false) => "let in without a code (enforce = false)",
        (Outcome::Asked, true) => "asked for a code",
        (Outcome::Passcode, true) if !explained.has_device && *second_factor == SecondFactor::Enroll.name() => {
            "asked for the passcode that was issued; then led through enrollment if the auth line has the argument enroll"
        }
        (Outcome::Passcode, true) if explained.has_device => {
            "asked for a code, and no device of the user is accepted: the passcode that was issued is, or a recovery code"
        }
        (Outcome::Passcode, true) => "asked for the passcode that was issued: the user has no device",
        (Outcome::KindNotAccepted, true) => {
            "asked for a code and refused: no device of the user is accepted; a recovery code is"
        }
        (Outcome::NoPasscode, true) => {
            "asked for a passcode and refused: the user has none that is good (otp-enroll admin issue)"
        }
        (Outcome::Renamed, true) => {
            "asked for a code and refused: the account has the number of a record whose account is gone"
        }
        (Outcome::NotPushed, true) => {
            "asked for a code and refused: this host has a record of the user, and the fleet, whose record counts, has none"
        }
        (Outcome::Refused, true) if !explained.accepted_kinds.hold(Kinds::TOTP) => {
            "asked for a code and refused: the user has no device, and none that is accepted can be set up there"
        }
        (Outcome::Refused, true) if *second_factor == SecondFactor::Enroll.name() => {
            "asked for a code and refused: the user has no device, and the auth line lacks the argument enroll"
        }
        (Outcome::Refused, true) => "asked for a code and refused: the user has no device",
        (
            Outcome::Asked
            | Outcome::Refused
            | Outcome::KindNotAccepted
            | Outcome::Renamed
            | Outcome::NotPushed
            | Outcome::Passcode
            | Outcome::NoPasscode,
            false,
        ) => "asked for a code, and let in without one (enforce = false)",
    };
    let kinds = Some(explained.accepted_kinds).filter(|kinds| !kinds.are_all());
    let kinds = kinds.map(|kinds| format!("Kinds          {} (no other kind of device is accepted)", kinds.listed()));
    let lines = [
        format!("Login          {user} through {service}{from}{on}"),
        format!("Device         {}", if explained.has_device { "yes" } else { "none" }),
        format!("Decided by     {decided}"),
        format!("Second factor  {second_factor}{until}"),
    ];
    let outcomes = if explained.has_line {
        vec![format!("The login is   {outcome}")]
    } else {
        let none = without_line(service);
        vec![format!("The login is   not asked for a code: {none}"), format!("With a line    {outcome}")]
    };
    let lines = lines.into_iter().chain(kinds).chain(outcomes);
    lines.map(|line| layout::escaped(&line).into_owned()).collect::<Vec<_>>().join("\n")
}
