//! Conditions that lead past the password, and jumps that end in the middle of an included file.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::first_factor::{is_proof_of_caller, password_line};
use super::guarded::Guarded;
use super::module_kind::Role;
use super::service::{told, ways_in};
use super::simulate::{Answer, after};
use super::sshd;
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Entry, Folders, Stack};

pub(super) fn look_at(folders: &Folders, guarded: &Guarded, findings: &mut Vec<Finding>) {
    let service = guarded.name.as_str();
    let Ok(stack) = Stack::read(folders, service, Group::Auth) else { return };
    let by_nothing: BTreeSet<(usize, bool)> = ways_in(&stack, &[Answer::Ignore])
        .iter()
        .filter(|way| way.asked && !way.proved)
        .filter_map(|way| way.on_condition)
        .collect();
    for (at, by_yes) in by_nothing {
        let Some(entry) = stack.entries.get(at) else { continue };
        let Some(module) = entry.module().filter(|module| !is_proof_of_caller(module, service)) else { continue };
        let result = if by_yes { "success" } else { "failure" };
        let whom =
            format!("{}: users for whom {} returns {result} are asked for no password", entry.place, told(module));
        if service != sshd::SERVICE {
            let what = format!("{whom}, and get in without any check if they need no code");
            let fix =
                format!("if this is not intended, correct that line, or put before it: {}", password_line(folders));
            findings.push(Finding::warning(service, what, &fix));
        } else {
            let what = format!("{whom}: only a key that sshd demands keeps strangers out there");
            let fix =
                "see that sshd demands a key of just these users: sshd -T -C user=NAME | grep authenticationmethods";
            findings.push(Finding::note(service, what, fix));
        }
    }
    findings.extend((0..stack.entries.len()).filter_map(|at| jump_into_a_file(&stack, service, at)));
}

/// A jump over a part of an included file: over a module that proves who the user is, or to one that refuses.
fn jump_into_a_file(stack: &Stack, service: &str, at: usize) -> Option<Finding> {
    let entry = stack.entries.get(at)?;
    let (module, place, below) = (entry.module()?, &entry.place, at.checked_add(1)?);
    let (next, _) = after(stack, entry.level, below, module.control.longest_jump());
    let (target, skipped) = (stack.entries.get(next)?, stack.entries.get(below..next)?);
    let is_inside = target.place.file != place.file && target.place.file == skipped.last()?.place.file;
    let role = |entry: &Entry| entry.module().map(Role::of);
    let matters = role(target) == Some(Role::Deny)
        || skipped.iter().any(|entry| entry.place.file == target.place.file && role(entry) == Some(Role::Proof));
    (is_inside && matters).then(|| {
        let what = format!(
            "{place}: a jump of {} skips only a part of {} and goes on at line {} ({})",
            module.name(),
            target.place.file.display(),
            target.place.line,
            target.module().map_or("", |module| module.name())
        );
        let fix = "each line of an included file counts: raise the number so that the whole file is skipped, or write the \
                   lines that are meant here in its place";
        Finding::warning(service, what, fix)
    })
}
