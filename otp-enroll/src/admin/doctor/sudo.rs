//! What the Defaults of sudo make of its line: other PAM services, and other users' codes.

use super::finding::Finding;
use super::sudoers::{self, Other};
use crate::pam::stack::Folders;

pub(super) const SERVICE: &str = "sudo";

/// Checks sudo, which asks for a code.
pub(super) fn look_at(folders: &Folders, findings: &mut Vec<Finding>) {
    let defaults = sudoers::defaults();
    for Other { name, by, command, .. } in sudoers::others(&defaults) {
        if !folders.may_ask(&name) {
            findings.push(Finding::warning(
                SERVICE,
                format!("`{command}` uses the service {name}, which asks for no code ({by} in the Defaults of sudo)"),
                &format!("put the same lines into the file {name}"),
            ));
        }
    }
    if let Some((by, whose)) = sudoers::other_password(&defaults) {
        findings.push(Finding::warning(
            SERVICE,
            format!(
                "sudo asks for the password and the code of {whose}, and not of who runs it ({by} in its Defaults)"
            ),
            "if users are to prove their own second factor, take that out of the Defaults",
        ));
    }
}
