//! Checks enrollment during a login: offered where it can work, and where the policy needs it.

use std::path::Path;

use otp_core::config::module_arguments::Arguments;
use otp_core::decision::policy::{Policy, SecondFactor};

use super::finding::Finding;
use super::guarded::Guarded;
use super::programs;
use super::ruled;
use super::service::walk;
use super::simulate::Answer;
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, MODULE, Place, Stack};

const ACCOUNT: &str = "account required pam_otp.so";
const PASSWORD: &str = "password [success=done ignore=ignore default=die] pam_otp.so";

/// Checks a service whose line offers enrollment: the lines that lead through it, and the program.
pub(super) fn check_offered(folders: &Folders, guarded: &Guarded, findings: &mut Vec<Finding>) {
    let name = &guarded.name;
    let Some((place, _)) = guarded.lines.iter().find(|(_, said)| said.enroll) else { return };
    if programs::sets_no_credentials(name) {
        findings.push(Finding::fault(
            name,
            format!("{place}: users without a device may be let in: this program leads through no enrollment, and the argument enroll \
                     promises one"),
            "remove the argument from that line; users enroll with otp-enroll, or through another service",
        ));
        return;
    }
    if let Some(reader) = reader_of_users_files(folders, name) {
        findings.push(Finding::fault(
            name,
            format!(
                "{reader}: pam_env.so reads the user's own file before pam_otp.so, and that file can remove the note of a \
                 pending enrollment: users without a device may be let in"
            ),
            "remove user_readenv from that line, or move it after the line of pam_otp.so",
        ));
    }
    let mut fault = |what: String, line: &str| {
        findings.push(Finding::fault(name, what, &format!("put before the other lines of that group: {line}")));
    };
    if let Ok(account) = Stack::read(folders, name, Group::Account) {
        let told = walk(&account, &[Answer::NewAuthtokReqd], true);
        match account.lines_of(MODULE).next() {
            None => fault(
                "the account group has no line of pam_otp.so: users who must set up a device during the login are refused, \
                 or let in where the application sets no credentials"
                    .to_owned(),
                ACCOUNT,
            ),
            Some((_, place)) if told.iter().any(|way| way.answer != Answer::NewAuthtokReqd) => fault(
                format!("{place}: the application does not learn that a device must be set up"),
                ACCOUNT,
            ),
            Some(_) => {}
        }
    }
    if let Ok(password) = Stack::read(folders, name, Group::Password) {
        let (enrollment, changed) =
            (walk(&password, &[Answer::Success], true), walk(&password, &[Answer::Ignore], true));
        match password.lines_of(MODULE).next() {
            None => fault(
                "the password group has no line of pam_otp.so: users who must set up a device are asked for a new password \
                 instead"
                    .to_owned(),
                PASSWORD,
            ),
            Some((_, place)) if enrollment.iter().any(|way| way.answer != Answer::Success || way.proved) => {
                fault(format!("{place}: other modules ask for a new password when a device is set up"), PASSWORD);
            }
            Some((_, place)) if changed.iter().all(|way| way.answer != Answer::Success) => {
                fault(format!("{place}: passwords cannot be changed"), PASSWORD);
            }
            Some(_) => {}
        }
    }
}

/// The line of pam_env.so that comes before one of ours and sets what the user's own file says.
fn reader_of_users_files(folders: &Folders, service: &str) -> Option<Place> {
    let auth = Stack::read(folders, service, Group::Auth).ok()?;
    let ours = auth.modules().filter(|(module, _)| module.name() == MODULE).count();
    let mut seen = 0usize;
    for (module, place) in auth.modules() {
        let reads = |word: &String| word.strip_prefix("user_readenv=").is_some_and(|value| value != "0");
        if module.name() == MODULE {
            seen = seen.saturating_add(1);
        } else if module.name() == "pam_env.so" && seen < ours && module.arguments.iter().any(reads) {
            return Some(place.clone());
        }
    }
    None
}

/// Checks that the lines which use this configuration offer the enrollment that its policy may demand.
pub(super) fn check_unoffered(guarded: &Guarded, config: &Path, policy: &Policy, findings: &mut Vec<Finding>) {
    let name = &guarded.name;
    if !ruled::may_be(policy, name, |second_factor| second_factor == SecondFactor::Enroll) {
        return;
    }
    let asks = |said: &Arguments| said.config == config && !said.enroll && !said.nullok;
    for (place, _) in guarded.asking().filter(|(_, said)| asks(said)) {
        let fix = if programs::sets_no_credentials(name) {
            "have them run otp-enroll first, or add a rule for this service: this program cannot lead through enrollment"
        } else {
            "add the argument enroll to that line, and the account and password lines of the example \
             password-and-code-with-set-up, or have them run otp-enroll first"
        };
        findings.push(Finding::warning(
            name,
            format!(
                "{place}: the policy is enroll, and this line does not offer it: users without a device are refused"
            ),
            fix,
        ));
    }
}
