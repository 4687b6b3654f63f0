//! What doctor tells of services that were turned on: trials, what was interrupted, and copies that cannot be used.

use std::path::Path;

use otp_core::value::time::UnixTime;

use super::kept::{Kept, is_busy};
use crate::admin::doctor::finding::Finding;
use crate::language::moment;
use crate::pam::stack::Folders;

/// `asking`: the services that ask for a code.
pub(crate) fn findings(now: UnixTime, folders: &Folders, asking: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (service, kept) in Kept::all() {
        match kept {
            Ok(kept) => {
                findings.extend(trial(&kept, now));
                // One that runs is not interrupted.
                findings.extend(interrupted(&kept).filter(|_| !is_busy()));
                let gone = kept.files_without_line().into_iter();
                findings.extend(gone.filter_map(|path| line_gone(&kept, path, folders, asking)));
            }
            Err(error) => {
                let what =
                    format!("it was turned on by turn-on, and cannot be turned off so, nor can a trial end: {error}");
                findings.push(Finding::fault(&service, what, &error.hint().unwrap_or_default()));
            }
        }
    }
    findings
}

/// A trial that has not ended.
fn trial(kept: &Kept, now: UnixTime) -> Option<Finding> {
    let (service, until) = (kept.service.as_str(), kept.until?);
    let fix = format!("to keep it, from a login with a code: otp-enroll admin turn-on {service} --confirm");
    let end = moment(&until.to_string());
    if now.until(until).is_none() {
        let what = format!("its trial should have ended at {end}, and was not taken back");
        return Some(Finding::warning(
            service,
            what,
            &format!("take it back: otp-enroll admin turn-off {service}; {fix}"),
        ));
    }
    Some(match kept.unendable() {
        None => Finding::note(service, format!("it is on trial until {end}, and taken back then"), &fix),
        Some(by_hand) => {
            let what =
                format!("it is on trial until {end}, and cannot be taken back then: its files were changed since");
            Finding::warning(service, what, &format!("by hand: {by_hand}; or {fix}"))
        }
    })
}

/// A turn-on that was killed before its end.
fn interrupted(kept: &Kept) -> Option<Finding> {
    let service = &kept.service;
    let what = "turning it on was interrupted, and some of its files may be written".to_owned();
    let fix = format!(
        "complete it: otp-enroll admin turn-on {service}; or take it back: otp-enroll admin turn-off {service}"
    );
    (!kept.is_done).then(|| Finding::warning(service, what, &fix))
}

/// A file that `turn-on` has written, and that has no line of ours any more: an update, or a tool, has written it since.
fn line_gone(kept: &Kept, path: &Path, folders: &Folders, asking: &[&str]) -> Option<Finding> {
    let name = path.file_name()?.to_str()?;
    if asking.contains(&name) {
        return None; // by a line in another file
    }
    let (service, file) = (kept.service.as_str(), path.display());
    if !folders.has(name) {
        let what = format!("{service} was turned on, and {file} is gone since");
        return Some(Finding::note(name, what, &format!("if that is intended: otp-enroll admin turn-off {service}")));
    }
    let key = if kept.key { " --key" } else { "" };
    let what = format!(
        "{service} was turned on, and the line of pam_otp.so is gone from {file} since: its logins are asked for no code"
    );
    let fix = format!(
        "find what has written the file (an update, Ansible), then: otp-enroll admin turn-on {service}{key}; if it is to be \
         off: otp-enroll admin turn-off {service}"
    );
    Some(Finding::fault(name, what, &fix))
}
