//! Account lines that refuse every login.

use super::finding::Finding;
use super::guarded::Guarded;
use super::module_kind::Role;
use crate::pam::pam_conf::{Action, Control, Group};
use crate::pam::stack::{Entry, Folders, Stack, What};

/// Reports the first line that each login reaches and that accepts none. What comes after a line that may end or jump is not
/// looked at: it may be meant for some logins alone.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, findings: &mut Vec<Finding>) {
    let Ok(stack) = Stack::read(folders, &guarded.name, Group::Account) else { return };
    for Entry { what, place, level: _ } in &stack.entries {
        let control = match what {
            What::Substack => continue,
            What::Broken(control) => control,
            What::Module(module) => &module.control,
        };
        if let Some((result, why)) = refusal(what)
            && matches!(control.action(result), Action::Bad | Action::Die)
        {
            let what = format!("{place}: every login is refused after the code: {why}");
            findings.push(Finding::fault(&guarded.name, what, "correct or remove that line"));
            return;
        }
        if control.may_leave() {
            return;
        }
    }
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
            | Role::Permit => None,
        },
    }
}
