//! Checks lines with `send`: nothing may be sent to a user before a password, a key or the like is proved. Else a
//! stranger can send messages to any user, at the site's cost.

use std::path::Path;

use super::finding::Finding;
use super::first_factor::{PASSWORD, at_our_lines};
use super::guarded::Guarded;
use super::programs;
use super::simulate::FirstFactor;
use super::sshd::{self, Beforehand};
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, MODULE, Module, Place, Stack};

const REMOVE: &str = "remove the argument send from that line";

/// `sshd_config` is a draft of sshd's configuration.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, sshd_config: Option<&Path>, findings: &mut Vec<Finding>) {
    let service = guarded.name.as_str();
    for (group, name) in [(Group::Account, "account"), (Group::Session, "session")] {
        let Ok(stack) = Stack::read(folders, service, group) else { continue };
        for (_, place) in stack.lines_of(MODULE).filter(|(module, _)| sends(module)) {
            let what = format!("{place}: the argument send has no effect in the group {name}: nothing is sent there");
            findings.push(Finding::note(service, what, &format!("{REMOVE}, or write it on the auth line")));
        }
    }
    let Ok(stack) = Stack::read(folders, service, Group::Auth) else { return };
    let lines: Vec<(usize, &Place)> = (0..)
        .zip(&stack.entries)
        .filter_map(|(at, entry)| {
            let is_one = entry.module().is_some_and(|module| module.name() == MODULE && sends(module));
            is_one.then_some((at, &entry.place))
        })
        .collect();
    let Some((_, first)) = lines.first() else { return };
    if programs::asks_once(service) {
        let what = format!(
            "{first}: codes are sent, and {service} usually answers the question for the code with the password: users are sent \
             a message at each login, and refused"
        );
        findings.push(Finding::warning(service, what, &format!("if it does, {REMOVE}")));
    }
    let mut arrivals = at_our_lines(&stack, service);
    arrivals.retain(|(_, known)| *known != FirstFactor::Proved);
    if arrivals.is_empty() {
        return; // sshd need not be asked
    }
    let beforehand = if service == sshd::SERVICE { sshd::beforehand(sshd_config) } else { Beforehand::Nothing };
    for (at, place) in lines {
        let known = arrivals.iter().filter(|(reached, _)| *reached == at).map(|(_, known)| *known);
        findings.extend(judge(&stack, service, place, &known.collect::<Vec<_>>(), beforehand));
    }
}

/// The argument, whatever the others are: a line that cannot be honoured is reported elsewhere.
fn sends(module: &Module) -> bool {
    module.arguments.iter().any(|word| word == "send")
}

/// The worst that can be said of a line.
fn judge(
    stack: &Stack,
    service: &str,
    place: &Place,
    known: &[FirstFactor],
    beforehand: Beforehand,
) -> Option<Finding> {
    if beforehand == Beforehand::Proved {
        return None;
    }
    let name_of = |at: usize| {
        let entry = stack.entries.get(at)?;
        Some(format!("{} ({})", entry.module()?.name(), entry.place))
    };
    let mut refused =
        known.iter().filter_map(|known| if let FirstFactor::Refused(at) = known { name_of(*at) } else { None });
    let mut doubtful =
        known.iter().filter_map(|known| if let FirstFactor::Doubtful(at) = known { name_of(*at) } else { None });
    let by_key = if service == sshd::SERVICE {
        format!(", or have sshd verify a key first: {}", sshd::KEY_AND_CODE)
    } else {
        String::new()
    };
    let (what, fix) = if let Some(module) = refused.next_back() {
        (
            format!(
                "{place}: codes are sent although no password was right: a login reaches this line when {module} has refused"
            ),
            format!("let a wrong password end the login before that line: {PASSWORD}{by_key}"),
        )
    } else if known.contains(&FirstFactor::Unasked) {
        (
            format!(
                "{place}: codes are sent although no password was right: a login reaches this line without being asked for one"
            ),
            format!("put before it, where no jump passes over it: {PASSWORD}{by_key}"),
        )
    } else {
        let what = format!(
            "{place}: codes are sent when {} has succeeded, and doctor does not know whether that proves a password or key",
            doubtful.next_back()?
        );
        return Some(Finding::warning(
            service,
            what,
            &format!("if it does not, put before the line: {PASSWORD}{by_key}"),
        ));
    };
    Some(match beforehand {
        Beforehand::Unknown => Finding::warning(
            service,
            format!("{what}, unless sshd verifies a key first (its configuration could not be checked)"),
            &fix,
        ),
        Beforehand::Nothing | Beforehand::Proved => Finding::fault(service, what, &fix),
    })
}
