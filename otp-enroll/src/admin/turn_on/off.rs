//! Takes back what was turned on, byte for byte: PAM first, then sshd. At each moment every user can log in.

use std::fs;
use std::path::Path;

use nix::unistd::getuid;
use otp_core::audit::Event;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use super::diff::{unified, without_tabs};
use super::kept::{Change, Kept, folder_of, lock};
use super::plan::{Plan, refused, service_named, spoken};
use super::standing::{Standing, changed};
use super::{drop_in, lines, reload, replace, trial};
use crate::admin::doctor::TWINS;
use crate::admin::doctor::sshd;
use crate::client;
use crate::error::{CliError, plain};
use crate::ui::output::Output;
use crate::ui::style;

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<bool>,
    changed: bool,
    files: Vec<Diff>,
    /// Files that were changed by others since, and stay so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
}

/// A file, and what becomes of it.
#[derive(Serialize)]
pub(super) struct Diff {
    pub(super) path: String,
    pub(super) diff: String,
}

pub(crate) fn turn_off(name: &str, yes: bool, dry_run: bool, output: &Output) -> Result<(), CliError> {
    let service = service_named(name)?;
    if let Some((name, _, _)) = TWINS.iter().find(|(name, twin, _)| *twin == service && is_kept_with(name, twin)) {
        let hint = format!("to turn off both: otp-enroll admin turn-off {name}");
        return Err(refused(format!("{service} was turned on with {name}"), hint));
    }
    let Some(kept) = Kept::load(&service)? else {
        if !dry_run {
            trial::disarm(&service)?; // it would end nothing, every 10 minutes
        }
        return not_kept(&service, dry_run, output);
    };
    let diffs = to_take_back(&kept)?;
    let told = diffs.iter().map(|diff| without_tabs(&diff.diff)).collect::<String>();
    if dry_run {
        let answer =
            Answer { service: &service, would_change: Some(true), changed: false, files: diffs, left: Vec::new() };
        return output.painted(&answer, style::diffs, || format!("{told}\nNothing was changed."));
    }
    if !yes {
        output.can_show_and_confirm()?;
        output.painted(&(), style::diffs, || told)?;
        output.confirm(&format!("Take this back{}?", if has_drop_in(&kept) { ", and reload sshd" } else { "" }))?;
    }
    let _lock = lock(output)?;
    // Another run may have done it while this one asked.
    let Some(kept) = Kept::load(&service)? else { return not_kept(&service, false, output) };
    to_take_back(&kept)?;
    let taken_out = kept.paths(|standing| matches!(standing, Standing::Changed(_)));
    let as_they_are = kept.paths(|standing| matches!(standing, Standing::ByHand));
    if let Some(left) = take_back(&kept)? {
        output.insist(&left);
    }
    log(&service, "turned-off", None);
    let told = files_now(&taken_out, &as_they_are);
    let answer = Answer { service: &service, would_change: None, changed: true, files: diffs, left: as_they_are };
    output.done(&answer, &format!("{service}: off; {told}"))
}

/// How the files are that were not as turn-on had written them, and all others.
fn files_now(taken_out: &[String], left: &[String]) -> String {
    let mut told = Vec::new();
    if !taken_out.is_empty() {
        told.push(format!(
            "what turn-on wrote is taken out of {}; what was changed there since stays",
            taken_out.join(" and ")
        ));
    }
    match left {
        [] => {}
        [file] => told.push(format!("{file} was changed since and stays as it is; nothing of turn-on is in it")),
        files => told.push(format!(
            "{} were changed since and stay as they are; nothing of turn-on is in them",
            files.join(" and ")
        )),
    }
    if told.is_empty() { "all files are as they were before".to_owned() } else { told.join("; ") }
}

/// Whether a service was turned on, and its twin with it.
fn is_kept_with(service: &str, twin: &str) -> bool {
    let is_twin = |change: &Change| change.path.file_name().is_some_and(|name| name == twin);
    Kept::load(service).ok().flatten().is_some_and(|kept| kept.changes.iter().any(is_twin))
}

/// What the log says of a change.
pub(super) fn log(service: &str, what: &'static str, until: Option<UnixTime>) {
    let by = getuid().as_raw();
    client::log(&Event::Service { service, what, by, until });
}

/// A service that this program has not turned on.
fn not_kept(service: &str, dry_run: bool, output: &Output) -> Result<(), CliError> {
    match Plan::of(service, false) {
        Ok(plan) if !plan.on.is_empty() => {
            let places: Vec<String> = plan.on.iter().map(ToString::to_string).collect();
            let what = format!("{service} was not turned on by turn-on: {} was written by hand", places.join(", "));
            let files = plan.on.iter().map(|place| place.file.as_path());
            let open = files.filter(|file| fs::read(file).is_ok_and(|text| lines::is_without_password(&text)));
            let Some(file) = open.map(Path::display).next() else {
                return Err(refused(what, "to turn it off, take that line out by hand".into()));
            };
            // Without our line alone, every login would be let in.
            Err(refused(
                what,
                format!(
                    "in one edit of {file}: put the line for the password back (such as @include common-auth; it may be a \
                     comment there), and take out the lines of pam_otp.so and pam_permit.so below it. Only then change \
                     sshd's AuthenticationMethods ({})",
                    drop_in::FILE
                ),
            ))
        }
        // A service that turn-on refuses may be off all the same; doctor tells of lines in other files.
        Ok(_) | Err(_) => {
            let would_change = dry_run.then_some(false);
            let answer = Answer { service, would_change, changed: false, files: Vec::new(), left: Vec::new() };
            output.done(&answer, &format!("{service}: nothing is turned on by turn-on"))
        }
    }
}

fn has_drop_in(kept: &Kept) -> bool {
    kept.changes.iter().any(Change::is_drop_in)
}

/// What is to be taken back; the error names what was changed since.
fn to_take_back(kept: &Kept) -> Result<Vec<Diff>, CliError> {
    let standings = kept.standings();
    let changed = changed(&standings);
    let is_over = kept.is_over() && kept.unendable().is_none();
    if !changed.is_empty() && !is_over {
        return Err(refused(
            format!("files were changed since {} was turned on, so they are not taken back", kept.service),
            format!(
                "by hand: {}; then run turn-off again, for the rest. The files before are in {}",
                changed.join("; "),
                folder_of(&kept.service).display()
            ),
        ));
    }
    let ours = kept.changes.iter().rev().zip(standings.iter().rev());
    let diff = |(change, standing): (&Change, &Standing)| {
        let path = change.path.display().to_string();
        match standing {
            Standing::After => {
                let diff = unified(&change.path, Some(&change.after), change.before.as_deref());
                Some(Diff { path, diff })
            }
            Standing::Changed(_) => {
                let (now, rest) = change.taken_out()?;
                Some(Diff { path, diff: unified(&change.path, Some(&now), Some(&rest)) })
            }
            Standing::Before | Standing::ByHand => None,
        }
    };
    Ok(ours.filter_map(diff).collect())
}

/// Takes all back, and forgets it. What a run that was killed has done is not done again. What is left of a timer is told.
pub(super) fn take_back(kept: &Kept) -> Result<Option<String>, CliError> {
    restore(kept)?;
    // A timer that is left finds nothing to take back.
    let disarmed = trial::disarm(&kept.service);
    kept.forget().map_err(|error| CliError::Reported {
        error: format!(
            "all is taken back, and {} cannot be removed: {}",
            folder_of(&kept.service).display(),
            plain(&error)
        ),
        hint: "remove that folder".into(),
    })?;
    Ok(disarmed.err().map(|error| format!("the timer of the trial may be left, and does nothing: {error}")))
}

/// The files are as they were, PAM's first: sshd asks two questions until PAM asks but one.
fn restore(kept: &Kept) -> Result<(), CliError> {
    let again = |what: String| CliError::Reported {
        error: what,
        hint: format!("then run again: otp-enroll admin turn-off {}", spoken(&kept.service)),
    };
    let failed = |change: &Change, error: &std::io::Error| {
        again(format!("{} could not be taken back: {}", change.path.display(), plain(error)))
    };
    for change in kept.changes.iter().rev().filter(|change| !change.is_drop_in()) {
        revert(change, kept).map_err(|error| failed(change, &error))?;
    }
    let Some(change) = kept.changes.iter().find(|change| change.is_drop_in()) else { return Ok(()) };
    let was_there = matches!(change.standing(kept.key), Standing::After);
    revert(change, kept).map_err(|error| failed(change, &error))?;
    let read_again = reload::servers().and_then(|servers| {
        // Where none runs, sshd reads it when it is started; it may be gone altogether.
        if servers.is_empty() {
            return Ok(());
        }
        reload::test()?;
        reload::reload(&servers, &sshd::settings(None).unwrap_or_default())
    });
    read_again.map_err(|error| {
        // With the drop-in sshd was content. Users are asked for the password alone in either case.
        if was_there {
            let _ = replace::put(&change.path, &change.after, None, &folder_of(&kept.service));
        }
        again(format!("{} asks for no code any more, but {error}", kept.service))
    })
}

/// The file as it was before; after a trial, one that was changed since without what was written into it.
fn revert(change: &Change, kept: &Kept) -> std::io::Result<()> {
    let staging = folder_of(&kept.service);
    match (change.standing(kept.key), &change.before) {
        (Standing::After, Some(before)) => replace::put(&change.path, before, Some(&change.after), &staging),
        (Standing::After, None) => replace::remove(&change.path, &change.after),
        (Standing::Changed(_), _) if kept.is_over() => match change.taken_out() {
            Some((now, rest)) => replace::put(&change.path, &rest, Some(&now), &staging),
            None => Err(std::io::Error::other("it was changed in the meantime")),
        },
        (Standing::Before | Standing::ByHand | Standing::Changed(_), _) => Ok(()),
    }
}
