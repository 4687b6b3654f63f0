//! Account and session lines that refuse every login.

use super::finding::Finding;
use super::guarded::Guarded;
use super::module_kind::Role;
use super::programs::needs_a_session;
use super::service::walk;
use super::simulate::Answer;
use crate::pam::pam_conf::{Action, Control, Group};
use crate::pam::stack::{Folders, Stack, What};

/// Reports an account group, and for programs that need one a session group, that accepts no login, even where every module
/// that may succeed does.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, findings: &mut Vec<Finding>) {
    for group in [Group::Account, Group::Session] {
        if group == Group::Session && !needs_a_session(&guarded.name) {
            continue;
        }
        let Ok(stack) = Stack::read(folders, &guarded.name, group) else { continue };
        if walk(&stack, &[Answer::Success], true).iter().any(|way| way.answer == Answer::Success) {
            continue;
        }
        let name = group.name();
        let refusing = stack.entries.iter().find_map(|entry| Some((&entry.place, decisive(&entry.what)?)));
        let (what, fix) = match refusing {
            Some((place, why)) => (
                format!("{place}: every login is refused after the code, in the group {name}: {why}"),
                "correct or remove that line".to_owned(),
            ),
            None => (
                format!("every login is refused after the code: no line of the group {name} accepts it"),
                format!("add after the lines of that group: {name} required pam_permit.so"),
            ),
        };
        findings.push(Finding::fault(&guarded.name, what, &fix));
    }
}

/// Why a line refuses every login that reaches it.
fn decisive(what: &What) -> Option<String> {
    let control = match what {
        What::Substack => return None,
        What::Broken(control) => control,
        What::Module(module) => &module.control,
    };
    let (result, why) = refusal(what)?;
    matches!(control.action(result), Action::Bad | Action::Die).then_some(why)
}

/// The only result that comes of a line, and why it is a refusal.
fn refusal(what: &What) -> Option<(&'static str, String)> {
    let unparsed = || "libpam cannot parse the line".to_owned();
    match what {
        What::Substack => None,
        What::Broken(_) => Some(("module_unknown", unparsed())),
        What::Module(module) if module.control == Control::refusing() => Some(("success", unparsed())),
        What::Module(module) => match Role::of(module) {
            Role::Missing => Some(("module_unknown", format!("{} does not exist", module.file.display()))),
            Role::Deny => Some(("auth_err", format!("{} always refuses", module.name()))),
            Role::SecondFactor
            | Role::Judge
            | Role::Proof
            | Role::Condition
            | Role::Program
            | Role::Silent
            | Role::Ignored
            | Role::Permit => None,
        },
    }
}
