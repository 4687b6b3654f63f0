//! Turns the second factor on for a service: shows what is written, asks, writes it, and takes all back if anything is wrong.
//! At each moment every user can log in.

mod compared;
pub(super) mod confirm;
mod diff;
mod draft;
mod drop_in;
pub(super) mod kept;
mod lines;
mod next_steps;
pub(super) mod off;
mod plan;
mod reload;
mod replace;
mod standing;
pub(super) mod told;
mod trial;
mod without;

use otp_core::value::time::{Seconds, UnixTime};
use serde::Serialize;

use self::diff::{unified, without_tabs};
use self::kept::{Change, Kept, folder_of, lock};
use self::off::{Diff, log, take_back};
use self::plan::{Plan, refused, service_named, spoken};
use self::standing::{Standing, changed};
use super::doctor;
use super::doctor::finding::Finding;
use super::doctor::sshd::SERVICE;
use crate::cli::Common;
use crate::error::{CliError, plain};
use crate::language::moment;
use crate::ui::output::{Output, columns};
use crate::ui::style;

/// What `PasswordAuthentication no` does not mean.
const PASSWORDS: &str = "Passwords still work: PAM asks for them, and then for the code.";

/// What the command line asks for.
pub(super) struct Wish<'a> {
    pub(super) service: &'a str,
    /// A key and a code.
    pub(super) key: bool,
    /// The length of a trial.
    pub(super) trial: Option<&'a str>,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    service: &'a str,
    /// The services that ask for a code now.
    services: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<bool>,
    changed: bool,
    files: Vec<Diff>,
    findings: Vec<Finding>,
    /// When the trial ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial_until: Option<String>,
}

pub(super) fn turn_on(wish: &Wish<'_>, common: &Common, output: &Output) -> Result<(), CliError> {
    let service = service_named(wish.service)?;
    if wish.key && service != SERVICE {
        return Err(CliError::Usage("--key is for ssh alone: other services know no keys".into()));
    }
    let trial = wish.trial.map(trial::length).transpose()?;
    if trial.is_some() {
        trial::is_possible(&service)?;
    }
    if !wish.dry_run && !wish.yes {
        output.can_show_and_confirm()?;
    }
    let earlier = Kept::load(&service)?;
    if let Some(kept) = &earlier
        && settle(kept, wish, common, output)? == Settled::IsOn
    {
        return Ok(());
    }
    let plan = Plan::of(&service, wish.key)?;
    for remark in &plan.remarks {
        output.warn(remark);
    }
    if plan.changes.is_empty() && earlier.is_none() {
        return is_on(&service, &plan.names, None, wish, common, output);
    }
    let findings = draft::examine(&plan, wish.key, common, output)?;
    let faults = draft::faults(&findings);
    let diffs = diffs(&plan);
    let drawn = {
        let diffs = diffs.iter().map(|diff| without_tabs(&diff.diff)).collect::<String>();
        let verdict = if faults == 0 { "doctor finds no fault in these files." } else { "" };
        let passwords = if plan.has_drop_in() && !wish.key { PASSWORDS } else { "" };
        [diffs, passwords.to_owned(), told(&findings), verdict.to_owned()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
    };
    let shown = || drawn.join("\n");
    let answer = |changed, would_change, findings, trial_until: Option<UnixTime>| Answer {
        service: &service,
        services: &plan.names,
        would_change,
        changed,
        files: diffs,
        findings,
        trial_until: trial_until.map(|until| until.to_string()),
    };
    let is_silent = output.quiet && wish.yes && !wish.dry_run && faults == 0;
    if !output.json && !is_silent {
        output.painted(&(), style::diffs, shown)?;
    }
    if faults > 0 {
        if output.json {
            output.result(&answer(false, Some(false), findings, None), String::new)?;
        }
        return Err(refused(
            if faults == 1 {
                "doctor finds a fault in these files".into()
            } else {
                format!("doctor finds {faults} faults in these files")
            },
            "fix what it names, and run this again".into(),
        ));
    }
    if wish.dry_run {
        if output.json {
            return output.result(&answer(false, Some(true), findings, None), String::new);
        }
        return output.advise("Nothing was changed.");
    }
    if !wish.yes {
        output.confirm(&question(&plan, trial))?;
    }
    let _lock = lock(output)?;
    if Kept::load(&service)? != earlier {
        return Err(refused(
            format!("another command has turned {service} on or off in the meantime"),
            "see: otp-enroll admin doctor".into(),
        ));
    }
    let at = UnixTime::now();
    // What is completed stays on trial.
    let until = trial.map(|length| at.after(length)).or_else(|| earlier.as_ref().and_then(|kept| kept.until));
    let changes = with_earlier(&plan, earlier.as_ref());
    let kept = Kept { service: service.clone(), at, key: wish.key, changes, until, is_done: false };
    kept.keep()?;
    let now = write(&kept, &plan, common, output).map_err(|error| match take_back(&kept) {
        Ok(_) => CliError::TakenBack { why: Box::new(error) },
        Err(also) => CliError::Reported {
            error: format!("{error}; and not all could be taken back: {also}"),
            hint: format!("keep this session open, and run: otp-enroll admin turn-off {}", spoken(&service)),
        },
    })?;
    log(&service, "turned-on", until);
    let text = next_steps::of(&kept, &plan.names, common);
    output.done_lines(&answer(true, None, now, until), &text)
}

/// Whether something is left to do.
#[derive(PartialEq, Eq)]
enum Settled {
    IsOn,
    TurnOn,
}

/// What becomes of an earlier turn-on: it stands, or it is completed where it was interrupted or a file is as it was before.
fn settle(kept: &Kept, wish: &Wish<'_>, common: &Common, output: &Output) -> Result<Settled, CliError> {
    let service = &kept.service;
    let standings = kept.standings();
    let all = |wanted: fn(&Standing) -> bool| standings.iter().all(wanted);
    if kept.is_done && all(|standing| matches!(standing, Standing::After)) {
        if kept.key != wish.key {
            let how = if kept.key { "with" } else { "without" };
            return Err(refused(
                format!("{service} is on {how} --key"),
                format!("turn it off first: otp-enroll admin turn-off {}", spoken(service)),
            ));
        }
        if wish.trial.is_some() && kept.until.is_none() {
            return Err(refused(
                format!("{service} is on, and not on trial"),
                format!("for a trial, turn it off first: otp-enroll admin turn-off {}", spoken(service)),
            ));
        }
        let plan = Plan::of(service, kept.key)?;
        if plan.changes.is_empty() {
            is_on(service, &plan.names, kept.until, wish, common, output)?;
            return Ok(Settled::IsOn);
        }
        // A file of its twin has come since.
    }
    let changed = changed(&standings);
    if !changed.is_empty() {
        return Err(refused(
            format!("{service} was turned on, and files were changed since"),
            format!(
                "by hand: {}; then: otp-enroll admin turn-off {}. The files before are in {}",
                changed.join("; "),
                spoken(service),
                folder_of(service).display()
            ),
        ));
    }
    let off_first = format!("turn it off first: otp-enroll admin turn-off {}", spoken(service));
    if kept.key != wish.key {
        let how = if kept.key { "with" } else { "without" };
        return Err(refused(format!("{service} was turned on {how} --key, and is not as it was written"), off_first));
    }
    if kept.until.is_some_and(|until| UnixTime::now() >= until) {
        return Err(refused(format!("the trial of {service} should have ended, and has not"), off_first));
    }
    let gone = kept.paths(|standing| !matches!(standing, Standing::After));
    let what = match (kept.is_done, gone.as_slice()) {
        (false, _) => format!("{service} was interrupted when it was turned on or off"),
        (true, []) => format!("{service} is not on in all its files any more"),
        (true, gone) => {
            format!("{service} was turned on, and what turn-on wrote is gone since from {}", gone.join(" and "))
        }
    };
    output.advise(&format!("{what}: what is missing is written again."))?;
    Ok(Settled::TurnOn)
}

/// What will have been changed when the plan is done: the files that are as an earlier turn-on has written them, too.
fn with_earlier(plan: &Plan, earlier: Option<&Kept>) -> Vec<Change> {
    let kept = earlier.iter().flat_map(|kept| kept.changes.iter().zip(kept.standings()));
    let stands = kept.filter(|(_, standing)| matches!(standing, Standing::After)).map(|(change, _)| change);
    let mut changes: Vec<Change> = stands.chain(&plan.changes).cloned().collect();
    changes.sort_by_key(|change| !change.is_drop_in());
    changes
}

/// Writes all files: sshd asks two questions before PAM does. What doctor says of it then.
fn write(kept: &Kept, plan: &Plan, common: &Common, output: &Output) -> Result<Vec<Finding>, CliError> {
    match kept.until {
        Some(until) => trial::arm(&kept.service, until)?,
        None => trial::disarm(&kept.service)?, // of an earlier trial whose copies are lost
    }
    let staging = folder_of(&kept.service);
    let put = |change: &Change| {
        replace::put(&change.path, &change.after, change.before.as_deref(), &staging).map_err(|error| {
            CliError::Reported {
                error: format!("{} could not be written: {}", change.path.display(), plain(&error)),
                hint: String::new(),
            }
        })
    };
    if kept.service == SERVICE {
        let servers = reload::servers()?;
        plan.changes.iter().filter(|change| change.is_drop_in()).try_for_each(put)?;
        reload::test()?;
        let settings = plan::settings()?;
        let unmet = drop_in::unmet(&settings, kept.key);
        if !unmet.is_empty() {
            return Err(CliError::Reported {
                error: format!("sshd does not take over {}", unmet.join(", ")),
                hint: String::new(),
            });
        }
        // Also where it is as it must be: a server may not have read it.
        reload::reload(&servers, &settings)?;
    }
    plan.changes.iter().filter(|change| !change.is_drop_in()).try_for_each(put)?;
    let (_, findings) = doctor::examine(common, None, None, output)?;
    let findings = about(findings, &plan.names);
    match draft::faults(&findings) {
        0 => {
            kept.finish().map_err(|error| CliError::Reported {
                error: format!("{} could not be written to: {}", staging.display(), plain(&error)),
                hint: String::new(),
            })?;
            Ok(findings)
        }
        faults => {
            for Finding { severity, what, fix, .. } in &findings {
                output.insist(&format!("{}: {what}; {fix}", severity.name()));
            }
            Err(CliError::Faults(faults))
        }
    }
}

/// The findings about these services.
fn about(findings: Vec<Finding>, names: &[String]) -> Vec<Finding> {
    let is_about = |finding: &Finding| finding.subjects.iter().any(|subject| names.contains(subject));
    findings.into_iter().filter(is_about).collect()
}

/// A service that needs no change.
fn is_on(
    service: &str,
    names: &[String],
    until: Option<UnixTime>,
    wish: &Wish<'_>,
    common: &Common,
    output: &Output,
) -> Result<(), CliError> {
    let (_, findings) = doctor::examine(common, None, None, output)?;
    let findings = about(findings, names);
    let faults = draft::faults(&findings);
    let text = if faults == 0 {
        let trial = until.map_or_else(String::new, |until| format!(", on trial until {}", moment(&until.to_string())));
        format!("{service}: already on{trial}; nothing was changed")
    } else {
        format!("{service}: already on, with a fault\n{}", told(&findings))
    };
    let trial_until = until.map(|until| until.to_string());
    let answer = Answer {
        service,
        services: names,
        would_change: wish.dry_run.then_some(false),
        changed: false,
        files: Vec::new(),
        findings,
        trial_until,
    };
    output.done_lines(&answer, &text)?;
    if faults == 0 { Ok(()) } else { Err(CliError::Faults(faults)) }
}

fn diffs(plan: &Plan) -> Vec<Diff> {
    let of = |(change, shown): (&Change, &Option<Vec<u8>>)| Diff {
        path: change.path.display().to_string(),
        diff: unified(&change.path, change.before.as_deref().or(shown.as_deref()), Some(&change.after)),
    };
    plan.changes.iter().zip(&plan.shown).map(of).collect()
}

fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.text(columns())).collect::<Vec<_>>().join("\n")
}

fn question(plan: &Plan, trial: Option<Seconds>) -> String {
    let write = match plan.changes.as_slice() {
        [] => "Complete it",
        [_] => "Write this file",
        _ => "Write these files",
    };
    let reload = if plan.service == SERVICE { ", and reload sshd" } else { "" };
    let trial = trial.map_or_else(String::new, |length| format!(", for a trial of {length}"));
    format!("{write}{reload}{trial}?")
}
