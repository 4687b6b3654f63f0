//! Keeps a trial, from a login that went through what is tried: the log shows that our module accepted it.

use std::fs;

use otp_core::value::time::UnixTime;
use serde::Serialize;

use super::kept::{Kept, lock};
use super::off::log;
use super::plan::{refused, service_named, spoken};
use super::standing::Standing;
use super::trial;
use crate::admin::doctor::TWINS;
use crate::admin::sessions::evidence::{Process, is_accepted, is_accepted_in};
use crate::admin::sessions::logind::{SESSIONS, of_process, sessions};
use crate::error::{CliError, plain};
use crate::ui::output::Output;

/// Programs that ask PAM and go on as parents of what they start, without a session of logind of their own.
const PARENTS: [&str; 4] = ["sudo", "sudo-i", "su", "su-l"];

/// Ticks of a second in /proc, on every Linux.
const TICKS: u64 = 100;

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    service: &'a str,
    changed: bool,
}

pub(crate) fn confirm(name: &str, output: &Output) -> Result<(), CliError> {
    let service = service_named(name)?;
    let Some(kept) = Kept::load(&service)? else {
        return Err(refused(
            format!("{service} is not turned on by turn-on"),
            format!("a trial begins with: otp-enroll admin turn-on {} --try 5m", spoken(&service)),
        ));
    };
    if kept.until.is_none() {
        let text = format!("{service}: on, and no trial runs: nothing to confirm");
        return output.done(&Answer { service: &service, changed: false }, &text);
    }
    let standings = kept.standings();
    let odd = standings.iter().find(|standing| !matches!(standing, Standing::After));
    if let Some(standing) = odd.or(standings.first().filter(|_| !kept.is_done)) {
        let what = if let Standing::Changed(what) = standing {
            what
        } else {
            "a turn-on or turn-off of it was interrupted, or runs now"
        };
        return Err(refused(
            format!("{service} is not as turn-on has written it: {what}"),
            format!("take it back: otp-enroll admin turn-off {}", spoken(&service)),
        ));
    }
    let is_parent = PARENTS.contains(&service.as_str());
    if is_parent { by_parents(&service, kept.at) } else { by_session(&service, kept.at) }?;
    let _lock = lock(output)?;
    // The timer may have ended it in the meantime.
    if Kept::load(&service)?.is_none_or(|now| now != kept) {
        return Err(refused(format!("the trial of {service} has just ended"), "see: otp-enroll admin doctor".into()));
    }
    trial::disarm(&service)?;
    kept.end_trial().map_err(|error| CliError::Reported {
        error: format!("the trial has no end any more, but its note cannot be removed: {}", plain(&error)),
        hint: "run this again".into(),
    })?;
    log(&service, "turn-on-confirmed", None);
    output.done(&Answer { service: &service, changed: true }, &format!("{service}: confirmed; it stays on"))
}

/// Our session came through the service after it was turned on, with a code.
fn by_session(service: &str, at: UnixTime) -> Result<(), CliError> {
    let hint = format!(
        "log in through {service} with a code, from another terminal, and run there: otp-enroll admin turn-on {} --confirm",
        spoken(service)
    );
    let missing = |what: String| Err(refused(what, hint.clone()));
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let (Some(id), _) = of_process(&group) else {
        return missing("this command runs in no session that systemd-logind knows".into());
    };
    let all = sessions(SESSIONS.as_ref())?.unwrap_or_default();
    let Some(session) = all.into_iter().find(|session| session.id == id) else {
        return missing(format!("systemd-logind does not know the session {id}, in which this command runs"));
    };
    if session.service != service {
        return missing(format!("this session came through {}, and not through {service}", session.service));
    }
    if session.since < at {
        return missing(format!("this session began before {service} was turned on"));
    }
    if !is_accepted(&session, at) {
        return missing(format!(
            "the journal shows no code of {} that was accepted at the login of this session",
            session.user
        ));
    }
    Ok(())
}

/// A process above ours has asked for a code after the service was turned on.
fn by_parents(service: &str, at: UnixTime) -> Result<(), CliError> {
    let twin = TWINS.iter().find(|(name, _, _)| *name == service).map(|(_, twin, _)| *twin);
    let services: Vec<&str> = [service].into_iter().chain(twin).collect();
    if is_accepted_in(&ancestors(), &services, at) {
        return Ok(());
    }
    let forget = if service == "sudo" { "sudo -k; " } else { "" };
    Err(refused(
        format!("the journal shows no code that was accepted by a {service} above this command since it was turned on"),
        format!(
            "become root by {service} with a code: {forget}{service} {}otp-enroll admin turn-on {service} --confirm",
            if service == "su" { "-c '" } else { "" }
        ) + if service == "su" { "'" } else { "" },
    ))
}

/// The processes above ours, and when they began.
fn ancestors() -> Vec<Process> {
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
    let (mut found, mut pid) = (Vec::new(), std::os::unix::process::parent_id());
    while pid > 1 && found.len() < 100 {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
        // The name is between brackets, and may hold anything.
        let Some((_, rest)) = text.rsplit_once(") ") else { break };
        let number = |field: usize| rest.split(' ').nth(field).and_then(|text| text.parse::<u64>().ok());
        let (Some(parent), Some(ticks)) = (number(1), number(19)) else { break };
        found.push(Process { pid, since: UnixTime(boot.saturating_add(ticks / TICKS)) });
        pid = u32::try_from(parent).unwrap_or(0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_above_ours_are_found() {
        let found = ancestors();
        assert_eq!(found.first().map(|process| process.pid), Some(std::os::unix::process::parent_id()));
        let now = UnixTime::now();
        assert!(found.iter().all(|process| process.since <= now && process.since.0 > 1_600_000_000));
    }
}
