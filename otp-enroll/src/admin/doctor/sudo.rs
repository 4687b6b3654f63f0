//! What the Defaults of sudo make of its line: other PAM services, and other users' codes.

use super::super::turn_on::sudoers::{self, Other};
use super::finding::Finding;
use crate::pam::stack::Folders;

const SERVICE: &str = "sudo";

/// Checks sudo, if it asks for a code.
pub(super) fn look_at(
    folders: &Folders,
    asking: impl IntoIterator<Item = impl AsRef<str>>,
    findings: &mut Vec<Finding>,
) {
    if !asking.into_iter().any(|name| name.as_ref() == SERVICE) {
        return;
    }
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
