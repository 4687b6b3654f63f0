//! Programs that answer each question of PAM with the same text: a question for the code gets the password.

use std::path::Path;

use otp_core::config::module_arguments::{Arguments, FirstPass};
use otp_core::decision::policy::{Policy, SecondFactor};

use super::finding::Finding;
use super::first_factor::at_our_lines;
use super::guarded::Guarded;
use super::programs;
use super::ruled;
use super::simulate::FirstFactor;
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, Stack};

/// Checks the lines of such a program that use this configuration, and that ask after the password was asked for.
pub(super) fn look_at(
    folders: &Folders,
    guarded: &Guarded,
    config: &Path,
    policy: &Policy,
    findings: &mut Vec<Finding>,
) {
    let name = guarded.name.as_str();
    let is_asked = |second_factor| second_factor != SecondFactor::Skip;
    if !programs::has_one_field(name) || !ruled::may_be(policy, name, is_asked) {
        return;
    }
    let Ok(stack) = Stack::read(folders, name, Group::Auth) else { return };
    let arrivals = at_our_lines(&stack, name);
    let is_second = |place| {
        let mut known =
            arrivals.iter().filter(|(at, _)| stack.entries.get(*at).is_some_and(|entry| &entry.place == place));
        known.any(|(_, known)| *known != FirstFactor::Unasked)
    };
    // With `enroll`, more is at fault, and told elsewhere.
    let asks = |said: &Arguments| {
        said.config == config && said.first_pass == FirstPass::Ignore && !said.forward_pass && !said.enroll
    };
    for (place, _) in guarded.asking().filter(|(place, said)| asks(said) && is_second(place)) {
        let what = format!(
            "{place}: {name} has one field and answers the question for the code with the password: users with a device are \
             refused"
        );
        let fix = if programs::runs_as_its_user(name) {
            "use the lines of the example screen-locker: users then type <password><code>"
        } else {
            "use the lines of the example password-and-code-as-one: users then type <password><code>; or add a rule that skips \
             this service"
        };
        findings.push(Finding::fault(name, what, fix));
    }
}
