//! Checks a service that calls the module: users whom its stacks lock out, or let in against policy.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;

use otp_core::config::module_arguments::Arguments;

use super::finding::{Finding, Severity};
use super::first_factor::{is_proof_of_caller, password_line};
use super::guarded::Guarded;
use super::module_kind::Role;
use super::simulate::{Answer, Refusal, Way, refused_without_code, ways};
use super::sshd;
use crate::error::plain;
use crate::pam::pam_conf::{Dispute, Group};
use crate::pam::stack::{Entry, Folders, Garbled, MODULE, Module, Place, Stack, Unreadable};

/// Checks a service, if it calls the module.
pub(super) fn look_at(folders: &Folders, name: &str, findings: &mut Vec<Finding>) -> Option<Guarded> {
    let auth = match Stack::read(folders, name, Group::Auth) {
        Ok(stack) => stack,
        Err(_) if !folders.name_module(name, 0) => return None, // broken, but it does not call the module
        Err(unreadable) => {
            findings.push(refused_for_want_of(&unreadable, name));
            return None;
        }
    };
    let first = auth.lines_of(MODULE).next()?.1.clone();
    for group in [Group::Account, Group::Session] {
        findings
            .extend(Stack::read(folders, name, group).err().map(|unreadable| refused_for_want_of(&unreadable, name)));
    }
    findings.extend(auth.garbled.iter().map(|line| unparsed(name, line)));
    findings.extend(auth.disputed.iter().map(|(place, why)| disputed(name, place, *why)));
    let mut lines = Vec::new();
    for (module, place) in auth.lines_of(MODULE) {
        findings.extend(module_fault(name, module, place));
        match arguments(module) {
            Ok(arguments) => lines.push((place.clone(), arguments)),
            Err(argument) => findings.push(Finding::fault(
                name,
                format!("{place}: the module argument {argument:?} cannot be honoured: every login is refused"),
                "correct it; pam_otp(8) lists all arguments",
            )),
        }
    }
    let found = Auth::of(&auth, name, &first);
    found.judge(findings);
    let alone = |ways: &[Way]| ways.iter().any(|way| way.asked && !way.proved && way.on_condition.is_none());
    let (by_code_alone, by_nothing) = (alone(&found.accepted), alone(&found.unasked));
    if name != sshd::SERVICE {
        let fix =
            format!("unless that program checks a password or key itself, put before it: {}", password_line(folders));
        if by_nothing {
            let what = format!("{first}: users who need no code get in without any check");
            findings.push(Finding::fault(name, what, &fix));
        } else if by_code_alone {
            findings.push(Finding::note(name, format!("{first}: a code alone, without a password, is enough"), &fix));
        }
    }
    Some(Guarded { name: name.to_owned(), lines, by_code_alone, by_nothing })
}

/// `U+00A0`
pub(super) fn code_point(letter: char) -> String {
    format!("U+{:04X}", u32::from(letter))
}

/// A line that libpam cannot parse.
pub(super) fn unparsed(service: &str, Garbled { place, odd_blank, .. }: &Garbled) -> Finding {
    let what = format!("{place}: libpam cannot parse this line and refuses every login that reaches it");
    match odd_blank {
        Some(blank) => Finding::fault(
            service,
            format!("{what}: a character in it looks like a blank and is none ({})", code_point(*blank)),
            "put a plain blank in its place",
        ),
        None => Finding::fault(
            service,
            what,
            "write it as in pam.conf(5): group, control, module, arguments; no CR at its end, no backslash at the file's",
        ),
    }
}

fn disputed(service: &str, place: &Place, why: Dispute) -> Finding {
    let (why, fix) = match why {
        Dispute::Length => (
            "the line is longer than 1,022 bytes: libpam before 1.6 takes the rest for a line of its own",
            "break it, with a backslash at the end of a part or a comment in two",
        ),
        Dispute::Gap => (
            "the line has no words and follows one that ends in a backslash: libpam since 1.6 ends that line here",
            "remove it",
        ),
    };
    Finding::warning(service, format!("{place}: {why}"), fix)
}

fn refused_for_want_of(unreadable: &Unreadable, service: &str) -> Finding {
    let from = unreadable.from.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    let what = format!("{from}{} cannot be read: {}", unreadable.file.display(), plain(&unreadable.error));
    Finding::fault(service, format!("{what}: logins through this service are refused"), "name a file that exists")
}

/// The `auth` group of a service.
struct Auth<'a> {
    stack: &'a Stack,
    service: &'a str,
    /// The first line that calls the module.
    line: &'a Place,
    /// Ways that end in a login when the code is correct.
    accepted: Vec<Way>,
    /// Ways that end in a login for users who need no code.
    unasked: Vec<Way>,
}

/// The number of faults of a stack by itself.
pub(super) fn faults_of(stack: &Stack, service: &str) -> usize {
    let mut findings = Vec::new();
    if let Some((_, line)) = stack.lines_of(MODULE).next() {
        Auth::of(stack, service, line).judge(&mut findings);
    }
    findings.iter().filter(|finding| finding.severity == Severity::Fault).count()
}

impl<'a> Auth<'a> {
    fn of(stack: &'a Stack, service: &'a str, line: &'a Place) -> Self {
        let (accepted, unasked) = (ways_in(stack, &[Answer::Success]), ways_in(stack, &[Answer::Ignore]));
        Self { stack, service, line, accepted, unasked }
    }

    fn judge(&self, findings: &mut Vec<Finding>) {
        let Self { service, line, .. } = self;
        let after_the_module = |answers: &[Answer]| ways_in(self.stack, answers).iter().any(|way| way.asked);
        if after_the_module(&[Answer::AuthErr, Answer::UserUnknown]) {
            findings.push(Finding::fault(
                service,
                format!("{line}: a wrong code does not prevent the login"),
                "set the second column of that line to `required`, and let no jump skip its refusal",
            ));
        } else if after_the_module(&[Answer::AuthinfoUnavail, Answer::ServiceErr]) {
            findings.push(Finding::warning(
                service,
                format!("{line}: logins need no code while configuration or records cannot be read"),
                "if this is not intended, set the second column to `required`",
            ));
        }
        let passing = self.accepted.iter().filter(|way| !way.asked);
        let passed_by: BTreeSet<(usize, bool)> = passing.filter_map(|way| way.passed_by).collect();
        for (at, by_yes) in passed_by {
            let Some(entry) = self.stack.entries.get(at) else { continue };
            let Some(module) = entry.module() else { continue };
            let (name, place, result) = (module.name(), &entry.place, if by_yes { "success" } else { "failure" });
            let by = Some((at, by_yes));
            let is_unproved = |way: &Way| way.passed_by == by && way.on_condition == by && !way.proved;
            let is_free = name != "pam_rootok.so" && !is_proof_of_caller(module, service);
            findings.push(if is_free && self.accepted.iter().any(|way| !way.asked && is_unproved(way)) {
                let what = format!(
                    "{place}: users for whom {} returns {result} get in with neither password nor code",
                    told(module)
                );
                Finding::warning(
                    service,
                    what,
                    "if this is not intended, move the line below those that ask for password and code",
                )
            } else if matches!(Role::of(module), Role::Condition | Role::Program) {
                let (who, fix) = match (name, by_yes) {
                    ("pam_rootok.so", true) => ("root needs".to_owned(), "normal; to change it, "),
                    _ => (format!("users for whom {name} returns {result} need"), "if this is not intended, "),
                };
                let what = format!("{place}: {who} no code ({name} comes first)");
                Finding::note(service, what, &format!("{fix}move the line of pam_otp.so above it"))
            } else {
                let fix = if place.file == line.file {
                    "move the line of pam_otp.so above it, and correct the numbers of jumps over both"
                } else {
                    "move the line of pam_otp.so above the one that includes this file, or change that one to \
                     `auth substack` instead of `auth include` or `@include`"
                };
                let what = format!("{place}: when {name} returns {result}, the login ends before pam_otp.so runs");
                Finding::fault(service, what, fix)
            });
        }
        if self.accepted.iter().any(|way| way.asked_again) {
            findings.push(Finding::warning(
                service,
                format!("{line}: a login asks for a code twice, and no code is accepted twice"),
                "keep only one line of pam_otp.so in that group and in the files it includes",
            ));
        }
        if self.accepted.is_empty() {
            let missing = self.stack.modules().find(|(module, _)| Role::of(module) == Role::Missing);
            // One in a file of the distribution is passed over by a right login.
            let is_own =
                |(module, place): &(&Module, &Place)| Role::of(module) == Role::Deny && place.file == line.file;
            let fix = match (missing, self.stack.modules().filter(is_own).last()) {
                (Some((module, place)), _) => format!("install {}, or remove the line {place}", module.file.display()),
                (None, Some((module, place))) => {
                    format!(
                        "{} always refuses: let a right login pass over the line {place}, or remove it",
                        module.name()
                    )
                }
                (None, None) => "find the module in that group that always refuses".to_owned(),
            };
            let what = format!("{line}: no user can log in, even with a correct code");
            findings.push(Finding::fault(service, what, &fix));
        } else {
            findings.extend(self.refused_without_code());
        }
    }

    /// Users who need no code, and are refused: all of them, or after a right password.
    fn refused_without_code(&self) -> Option<Finding> {
        let Self { stack, service, .. } = self;
        // What is added goes after all of ours.
        let (_, line) = stack.lines_of(MODULE).last()?;
        let proves = |role: Role, module: &Module| match role {
            Role::Proof | Role::Program => true,
            Role::Condition => is_proof_of_caller(module, service),
            Role::SecondFactor
            | Role::Judge
            | Role::Silent
            | Role::Ignored
            | Role::Permit
            | Role::Deny
            | Role::Missing => false,
        };
        let refusals = refused_without_code(stack, |role| results(role, false), proves);
        let without = walk(stack, &[Answer::Ignore], false);
        let answers: BTreeSet<Answer> = if refusals.is_empty() && self.unasked.is_empty() {
            without.iter().filter(|way| way.asked).map(|way| way.answer).collect()
        } else {
            refusals.iter().map(|refusal| refusal.answer).collect()
        };
        if answers.is_empty() && !self.unasked.is_empty() {
            return None;
        }
        let is_ignored = answers.contains(&Answer::Ignore);
        let is_denied = [Answer::Denied, Answer::ModuleUnknown].iter().any(|denial| answers.contains(denial));
        let who = if self.unasked.is_empty() {
            "users who need no code are refused".to_owned()
        } else {
            format!("users who need no code are refused after a right password ({})", self.names_of(&refusals))
        };
        // With pam_permit.so these logins would pass, too: only the missing success refuses them now.
        let opens =
            |way: &Way| way.asked && !way.proved && way.on_condition.is_none() && way.answer == Answer::NoDecision;
        let (why, fix) = if is_ignored {
            ("because that line counts PAM_IGNORE as a refusal", "add to the second column of that line: ignore=ignore")
        } else if is_denied {
            (
                "because a line that always refuses follows",
                "in the second column of that line, write for `ignore` what it says for `success`",
            )
        } else if self.asks_for_a_password() && without.iter().any(opens) {
            (
                NOBODY,
                "end the login before that line after a wrong password: auth requisite pam_unix.so; and add after it: \
                 auth required pam_permit.so",
            )
        } else {
            (NOBODY, "add after it: auth required pam_permit.so")
        };
        Some(Finding::fault(service, format!("{line}: {who}, {why}"), fix))
    }

    /// Whether a module of the stack checks who the user is. Where none does, the program has done it: sshd with a key.
    fn asks_for_a_password(&self) -> bool {
        self.stack.entries.iter().filter_map(Entry::module).any(|module| Role::of(module) == Role::Proof)
    }

    /// The modules that have accepted the users.
    fn names_of(&self, refusals: &BTreeSet<Refusal>) -> String {
        let at: BTreeSet<usize> = refusals.iter().map(|refusal| refusal.proved_by).collect();
        let entries = at.into_iter().filter_map(|at| self.stack.entries.get(at));
        let names = entries.filter_map(|entry| Some(format!("{}: {}", entry.place, entry.module()?.name())));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// A module and what it is told: `pam_succeed_if.so (user ingroup staff)`.
pub(super) fn told(module: &Module) -> String {
    let words: Vec<&str> = module.arguments.iter().map(String::as_str).filter(|word| *word != "quiet").collect();
    if words.is_empty() { module.name().to_owned() } else { format!("{} ({})", module.name(), words.join(" ")) }
}

/// A jump is no success to libpam.
const NOBODY: &str = "because no other module returns success";

/// Ways that end in a login when the module returns one of these results.
pub(super) fn ways_in(stack: &Stack, answers: &[Answer]) -> Vec<Way> {
    walk(stack, answers, false).into_iter().filter(|way| way.answer == Answer::Success).collect()
}

/// All ways through a stack when the module returns one of these results. Other modules return success if
/// `others_agree`, else every result they may return.
pub(super) fn walk(stack: &Stack, ours: &[Answer], others_agree: bool) -> BTreeSet<Way> {
    walk_two_lines(stack, ours, ours, others_agree)
}

/// The same where a line with `deferred` returns other results than the line that asks.
pub(super) fn walk_two_lines(stack: &Stack, asks: &[Answer], judges: &[Answer], others_agree: bool) -> BTreeSet<Way> {
    ways(stack, |role| match role {
        Role::SecondFactor => asks.to_vec(),
        Role::Judge => judges.to_vec(),
        Role::Proof
        | Role::Condition
        | Role::Program
        | Role::Silent
        | Role::Ignored
        | Role::Permit
        | Role::Deny
        | Role::Missing => results(role, others_agree),
    })
}

/// The results of a module that is not ours: success if they agree, else every one.
fn results(role: Role, others_agree: bool) -> Vec<Answer> {
    match role {
        Role::SecondFactor | Role::Judge => Vec::new(),
        Role::Ignored => vec![Answer::Ignore],
        Role::Permit => vec![Answer::Success],
        Role::Deny => vec![Answer::Denied],
        Role::Missing => vec![Answer::ModuleUnknown],
        Role::Proof | Role::Condition | Role::Program | Role::Silent if others_agree => vec![Answer::Success],
        Role::Silent => vec![Answer::Success, Answer::Ignore, Answer::AuthErr],
        Role::Condition | Role::Program => vec![Answer::Success, Answer::AuthErr],
        Role::Proof => vec![Answer::Success, Answer::AuthErr, Answer::UserUnknown, Answer::AuthinfoUnavail],
    }
}

/// The line's arguments; the error is the one that the module rejects.
fn arguments(module: &Module) -> Result<Arguments, String> {
    let given: Vec<CString> = module.arguments.iter().filter_map(|word| CString::new(word.as_str()).ok()).collect();
    Arguments::parse(&given.iter().map(CString::as_c_str).collect::<Vec<_>>())
}

/// Checks the module's file: it must exist, and only root may change it.
fn module_fault(service: &str, module: &Module, place: &Place) -> Option<Finding> {
    let file = &module.file;
    let fault =
        |what: &str, fix: &str| Some(Finding::fault(service, format!("{place}: {} {what}", file.display()), fix));
    match fs::metadata(file) {
        Err(error) => fault(
            &format!("cannot be loaded ({}): every login is refused", plain(&error)),
            "install the module there, or remove the line",
        ),
        Ok(found) if found.uid() != 0 || found.mode() & 0o022 != 0 => {
            fault("can be changed by users other than root", "make root its owner, and writable by root only")
        }
        Ok(_) => None,
    }
}
