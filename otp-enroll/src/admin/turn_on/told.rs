//! What doctor tells of services that were turned on: trials, what was interrupted, and copies that cannot be used.

use otp_core::value::time::UnixTime;

use super::kept::{Kept, is_busy};
use crate::admin::doctor::finding::Finding;

pub(crate) fn findings(now: UnixTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (service, kept) in Kept::all() {
        match kept {
            Ok(kept) => {
                findings.extend(trial(&kept, now));
                // One that runs is not interrupted.
                findings.extend(interrupted(&kept).filter(|_| !is_busy()));
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
    if now.until(until).is_none() {
        let what = format!("its trial should have ended at {until}, and was not taken back");
        return Some(Finding::warning(
            service,
            what,
            &format!("take it back: otp-enroll admin turn-off {service}; {fix}"),
        ));
    }
    Some(match kept.unendable() {
        None => Finding::note(service, format!("it is on trial until {until}, and taken back then"), &fix),
        Some(by_hand) => {
            let what =
                format!("it is on trial until {until}, and cannot be taken back then: its files were changed since");
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
