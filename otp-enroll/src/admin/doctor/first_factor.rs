//! What is known of the password, key or card when a login reaches a line of pam_otp.so.

use std::collections::BTreeSet;

use super::module_kind::{Role, proves_the_caller, proves_the_user};
use super::programs::knows_its_caller;
use super::simulate::{Answer, FirstFactor, arrivals, asked_first};
use crate::pam::pam_conf::{Control, Group};
use crate::pam::stack::{Entry, Folders, Module, Place, Stack, What};

/// The line that a wrong password does not go beyond. `auth substack common-auth` does go on.
pub(super) const PASSWORD: &str = "auth requisite pam_unix.so";

/// What each of our lines may find when a login reaches it.
pub(super) fn at_our_lines(stack: &Stack, service: &str) -> BTreeSet<(usize, FirstFactor)> {
    arrivals(stack, every_answer, |at, module, answer| said_of(at, module, answer, service))
}

/// Our lines that ask for a code before anything else was asked, and the first lines after them that ask for a password, key
/// or card.
pub(super) fn after_our_lines(stack: &Stack, service: &str) -> BTreeSet<(usize, usize)> {
    let found = asked_first(stack, every_answer, |at, module, answer| said_of(at, module, answer, service));
    let is_known = |at: usize| stack.entries.get(at).and_then(Entry::module).is_some_and(proves_the_user);
    found.into_iter().filter(|(_, proof)| is_known(*proof)).collect()
}

/// What this answer of the module at this entry says of the first factor.
fn said_of(at: usize, module: &Module, answer: Answer, service: &str) -> FirstFactor {
    match (Role::of(module), answer) {
        (Role::Proof, Answer::Success) if proves_the_user(module) => FirstFactor::Proved,
        (Role::Proof | Role::Program, Answer::Success) => FirstFactor::Doubtful(at),
        (Role::Proof | Role::Program, _) => FirstFactor::Refused(at),
        (Role::Condition, Answer::Success) if is_proof_of_caller(module, service) => FirstFactor::Proved,
        _ => FirstFactor::Unasked,
    }
}

/// Whether a condition proves who has started the program.
pub(super) fn is_proof_of_caller(module: &Module, service: &str) -> bool {
    knows_its_caller(service) && proves_the_caller(module)
}

/// This distribution's line that asks for a password, and that a wrong password does not go beyond.
pub(super) fn password_line(folders: &Folders) -> String {
    let file = folders.password_file().filter(|file| {
        let Ok(mut stack) = Stack::read(folders, file, Group::Auth) else { return false };
        stack.entries.push(ours());
        let known = at_our_lines(&stack, file);
        !known.is_empty() && known.iter().all(|(_, known)| *known == FirstFactor::Proved)
    });
    file.map_or_else(|| PASSWORD.to_owned(), |file| format!("auth include {file}"))
}

/// A line of pam_otp.so after a file.
fn ours() -> Entry {
    let control = Control::parse("required").unwrap_or_else(Control::refusing);
    let module = Module { file: "pam_otp.so".into(), is_there: true, control, arguments: Vec::new() };
    Entry { level: 0, what: What::Module(module), place: Place { file: "".into(), line: 0 } }
}

/// Every result that a module may return, as far as its line tells them apart.
fn every_answer(role: Role, module: &Module) -> Vec<Answer> {
    let failures = module.control.kinds_of_failure().into_iter().map(Answer::Failure);
    // pam_sss.so ignore_unknown_user and its like: no password was checked.
    let may_ignore = module.arguments.iter().any(|word| word.starts_with("ignore_"));
    match role {
        Role::Ignored => vec![Answer::Ignore],
        Role::Permit => vec![Answer::Success],
        Role::Deny => vec![Answer::Denied],
        Role::Missing => vec![Answer::ModuleUnknown],
        Role::Proof | Role::Program if !may_ignore => failures.chain([Answer::Success]).collect(),
        Role::Proof | Role::Condition | Role::Program | Role::Silent | Role::SecondFactor | Role::Judge => {
            failures.chain([Answer::Success, Answer::Ignore]).collect()
        }
    }
}
