//! Takes back what was turned on, byte for byte: PAM first, then sshd. At each moment every user can log in.

use nix::unistd::getuid;
use otp_core::audit::Event;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use super::diff::unified;
use super::kept::{Change, Kept, folder_of, lock};
use super::plan::{Plan, refused, service_named, spoken};
use super::standing::{Standing, changed};
use super::{reload, replace, trial};
use crate::client;
use crate::error::{CliError, plain};
use crate::ui::output::Output;

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
    let Some(kept) = Kept::load(&service)? else { return not_kept(&service, output) };
    let diffs = to_take_back(&kept)?;
    let told = diffs.iter().map(|diff| diff.diff.as_str()).collect::<String>();
    if dry_run {
        let answer =
            Answer { service: &service, would_change: Some(true), changed: false, files: diffs, left: Vec::new() };
        return output.result(&answer, || format!("{told}\nNothing was changed."));
    }
    if !yes {
        output.can_show_and_confirm()?;
        output.result(&(), || told)?;
        output.confirm(&format!("Take this back{}?", if has_drop_in(&kept) { ", and reload sshd" } else { "" }))?;
    }
    let _lock = lock()?;
    // Another run may have done it while this one asked.
    let Some(kept) = Kept::load(&service)? else { return not_kept(&service, output) };
    to_take_back(&kept)?;
    let as_they_are = kept.paths(|standing| matches!(standing, Standing::ByHand));
    if let Some(left) = take_back(&kept)? {
        output.insist(&left);
    }
    log(&service, "turned-off", None);
    let told = match as_they_are.as_slice() {
        [] => "all files are as they were before".to_owned(),
        [file] => format!("{file} was changed since and stays as it is; nothing of turn-on is in it"),
        files => {
            format!("{} were changed since and stay as they are; nothing of turn-on is in them", files.join(" and "))
        }
    };
    let answer = Answer { service: &service, would_change: None, changed: true, files: diffs, left: as_they_are };
    output.done(&answer, &format!("{service}: off; {told}"))
}

/// What the log says of a change.
pub(super) fn log(service: &str, what: &'static str, until: Option<UnixTime>) {
    let by = getuid().as_raw();
    client::log(&Event::Service { service, what, by, until });
}

/// A service that this program has not turned on.
fn not_kept(service: &str, output: &Output) -> Result<(), CliError> {
    match Plan::of(service, false) {
        Ok(plan) if !plan.on.is_empty() => {
            let places: Vec<String> = plan.on.iter().map(ToString::to_string).collect();
            Err(refused(
                format!("{service} was not turned on by turn-on: {} was written by hand", places.join(", ")),
                "to turn it off, take that line out by hand".into(),
            ))
        }
        // What keeps it from being turned on keeps nobody from it being off; doctor tells of lines in other files.
        Ok(_) | Err(_) => {
            let answer = Answer { service, would_change: None, changed: false, files: Vec::new(), left: Vec::new() };
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
    if !changed.is_empty() {
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
    let ours = ours.filter(|(_, standing)| matches!(standing, Standing::After)).map(|(change, _)| change);
    Ok(ours
        .map(|Change { path, before, after }| Diff {
            path: path.display().to_string(),
            diff: unified(path, Some(after), before.as_deref()),
        })
        .collect())
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
        if matches!(change.standing(kept.key), Standing::After) {
            revert(change, &kept.service).map_err(|error| failed(change, &error))?;
        }
    }
    let Some(change) = kept.changes.iter().find(|change| change.is_drop_in()) else { return Ok(()) };
    let was_there = matches!(change.standing(kept.key), Standing::After);
    if was_there {
        revert(change, &kept.service).map_err(|error| failed(change, &error))?;
    }
    let settings = crate::admin::doctor::sshd::settings(None).ok();
    reload::test().and_then(|()| reload::reload(settings.as_ref())).map_err(|error| {
        // With the drop-in sshd was content. Users are asked for the password alone in either case.
        if was_there {
            let _ = replace::put(&change.path, &change.after, None, &folder_of(&kept.service));
        }
        again(format!("{} asks for no code any more, but {error}", kept.service))
    })
}

fn revert(change: &Change, service: &str) -> std::io::Result<()> {
    match &change.before {
        Some(before) => replace::put(&change.path, before, Some(&change.after), &folder_of(service)),
        None => replace::remove(&change.path, &change.after),
    }
}
