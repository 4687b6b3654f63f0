//! A service that calls the module: whom its stacks would lock out, and whom they would let in against policy.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use otp_core::config::module_arguments::Arguments;
use otp_core::decision::policy::{Policy, Rule, SecondFactor};
use otp_core::value::login_context::LoginContext;

use super::module_kind::Role;
use super::pam_conf::Group;
use super::simulate::{Answer, Way, ways};
use super::stack::{Folders, Module, Place, Stack, Unreadable};
use super::{Finding, sshd};

/// The module's file.
const MODULE: &str = "pam_otp.so";

const SET_UP_ACCOUNT: &str = "account required pam_otp.so";
const SET_UP_PASSWORD: &str = "password [success=done ignore=ignore default=die] pam_otp.so";

/// A service whose `auth` group calls the module.
pub(super) struct Guarded {
    pub(super) name: String,
    /// The lines that call it, and what they say, as far as the module understands them.
    pub(super) lines: Vec<(Place, Arguments)>,
    /// A right code lets in without anything else.
    pub(super) by_code_alone: bool,
    /// Whoever policy asks for no code is let in without anything else.
    pub(super) by_nothing: bool,
}

impl Guarded {
    /// The first of its lines.
    pub(super) fn place(&self) -> String {
        self.lines.first().map_or_else(String::new, |(place, _)| place.to_string())
    }

    /// A login by it, from nowhere in particular.
    pub(super) fn login(&self) -> LoginContext {
        let nullok = self.lines.iter().any(|(_, said)| said.nullok);
        LoginContext { service: self.name.clone(), nullok, ..LoginContext::default() }
    }

    /// Whether one of its lines goes by this configuration.
    pub(super) fn goes_by(&self, path: &Path) -> bool {
        self.lines.iter().any(|(_, said)| said.config == path)
    }
}

/// Looks at a service, if it calls the module.
pub(super) fn look_at(folders: &Folders, name: &str, findings: &mut Vec<Finding>) -> Option<Guarded> {
    let auth = match Stack::read(folders, name, Group::Auth) {
        Ok(stack) => stack,
        Err(_) if !folders.text(name).contains(MODULE) => return None, // it may be broken, and is not ours
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
    for place in &auth.garbled {
        findings.push(Finding::fault(
            name,
            format!("{place}: libpam makes nothing of this line: whoever comes to it is refused"),
            "write it as in pam.conf(5): group, control, module, arguments; no CR at its end, no backslash at the file's",
        ));
    }
    let mut lines = Vec::new();
    for (module, place) in auth.lines_of(MODULE) {
        findings.extend(module_fault(name, module, place));
        match arguments(module) {
            Ok(arguments) => lines.push((place.clone(), arguments)),
            Err(argument) => findings.push(Finding::fault(
                name,
                format!("{place}: the module knows no argument {argument:?}: every login is refused"),
                "correct it; pam_otp(8) names all arguments",
            )),
        }
    }
    let found = Auth {
        accepted: ways_in(&auth, &[Answer::Success]),
        unasked: ways_in(&auth, &[Answer::Ignore]),
        stack: &auth,
        service: name,
        line: &first,
    };
    found.judge(findings);
    let alone = |ways: &[Way]| ways.iter().any(|way| way.asked && !way.proved && !way.on_condition);
    let (by_code_alone, by_nothing) = (alone(&found.accepted), alone(&found.unasked));
    if name != sshd::SERVICE {
        let mend = format!(
            "unless that program has asked for a password or key itself, put before it: {}",
            folders.password_line()
        );
        if by_nothing {
            let what = format!("{first}: whoever is asked for no code is let in with nothing at all");
            findings.push(Finding::fault(name, what, &mend));
        } else if by_code_alone {
            findings.push(Finding::note(name, format!("{first}: a code lets in without a password"), &mend));
        }
    }
    Some(Guarded { name: name.to_owned(), lines, by_code_alone, by_nothing })
}

fn refused_for_want_of(unreadable: &Unreadable, service: &str) -> Finding {
    let from = unreadable.from.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    let what = format!("{from}{} cannot be read: {}", unreadable.file.display(), unreadable.error);
    Finding::fault(service, format!("{what}: its logins are refused"), "name a file that is there")
}

/// Whether set-up during a login would work, where the policy has it.
pub(super) fn look_at_set_up(folders: &Folders, guarded: &Guarded, policy: &Policy, findings: &mut Vec<Finding>) {
    let name = &guarded.name;
    if !may_ask_for_set_up(policy, name) {
        return;
    }
    let mut fault = |what: String, line: &str| {
        findings.push(Finding::fault(name, what, &format!("put before the other lines of that group: {line}")));
    };
    if let Ok(account) = Stack::read(folders, name, Group::Account) {
        let told = walk(&account, &[Answer::NewAuthtokReqd], true);
        match account.lines_of(MODULE).next() {
            None => fault(
                "the account group has no line of pam_otp.so: whoever is to set up a device during the login is refused"
                    .to_owned(),
                SET_UP_ACCOUNT,
            ),
            Some((_, place)) if told.iter().any(|way| way.answer != Answer::NewAuthtokReqd) => fault(
                format!("{place}: the application is not told that a device is to be set up"),
                SET_UP_ACCOUNT,
            ),
            Some(_) => {}
        }
    }
    if let Ok(password) = Stack::read(folders, name, Group::Password) {
        let (set_up, changed) = (walk(&password, &[Answer::Success], true), walk(&password, &[Answer::Ignore], true));
        match password.lines_of(MODULE).next() {
            None => fault(
                "the password group has no line of pam_otp.so: nobody is led through set-up, and a new password is asked \
                 for in place of it"
                    .to_owned(),
                SET_UP_PASSWORD,
            ),
            Some((_, place)) if set_up.iter().any(|way| way.answer != Answer::Success || way.proved) => {
                fault(format!("{place}: other modules ask for a new password when a device is set up"), SET_UP_PASSWORD);
            }
            Some((_, place)) if changed.iter().all(|way| way.answer != Answer::Success) => {
                fault(format!("{place}: passwords cannot be changed"), SET_UP_PASSWORD);
            }
            Some(_) => {}
        }
    }
}

/// Whether some login by a service may be led through set-up.
fn may_ask_for_set_up(policy: &Policy, service: &str) -> bool {
    for rule in policy.rules.iter().filter(|rule| rule.service.as_ref().is_none_or(|name| name == service)) {
        let Rule { user, group, service: _, network, tty, terms, line: _ } = rule;
        if terms.second_factor == SecondFactor::Enroll {
            return true;
        }
        if user.is_none() && group.is_none() && network.is_none() && tty.is_none() {
            return false; // it decides for everybody
        }
    }
    policy.terms.second_factor == SecondFactor::Enroll
}

/// The `auth` group of a service.
struct Auth<'a> {
    stack: &'a Stack,
    service: &'a str,
    /// The first line that calls the module.
    line: &'a Place,
    /// The ways in for whoever gives a right code.
    accepted: Vec<Way>,
    /// Those for whoever policy asks for no code.
    unasked: Vec<Way>,
}

impl Auth<'_> {
    fn judge(&self, findings: &mut Vec<Finding>) {
        let Self { service, line, .. } = self;
        let after_the_module = |answers: &[Answer]| ways_in(self.stack, answers).iter().any(|way| way.asked);
        if after_the_module(&[Answer::AuthErr, Answer::UserUnknown]) {
            findings.push(Finding::fault(
                service,
                format!("{line}: a wrong code does not keep anybody out"),
                "write `required` in the second column of that line, and let no jump lead past its refusal",
            ));
        } else if after_the_module(&[Answer::AuthinfoUnavail, Answer::ServiceErr]) {
            findings.push(Finding::warning(
                service,
                format!("{line}: while configuration or records cannot be read, logins need no code"),
                "if that is not meant, write `required` in the second column",
            ));
        }
        let passing = self.accepted.iter().filter(|way| !way.asked);
        let passed_by: BTreeSet<(usize, bool)> = passing.filter_map(|way| way.passed_by).collect();
        for (at, by_yes) in passed_by {
            let Some(entry) = self.stack.entries.get(at) else { continue };
            let Some(module) = entry.module() else { continue };
            let (name, place, says) = (module.name(), &entry.place, if by_yes { "yes" } else { "no" });
            findings.push(if matches!(Role::of(module), Role::Condition | Role::Program) {
                let what = format!("{place}: whom {name} says {says} to is not asked for a code");
                Finding::note(service, what, "if that is not meant, put the line of pam_otp.so before it")
            } else {
                let mend = if place.file == line.file {
                    "put the line of pam_otp.so before it, and count anew the jumps that lead over both"
                } else {
                    "put the line of pam_otp.so before the one that includes this file, or let that one begin with \
                     `auth substack` in place of `auth include` or `@include`"
                };
                let what = format!("{place}: when {name} says {says}, the login is over before pam_otp.so is asked");
                Finding::fault(service, what, mend)
            });
        }
        if self.accepted.iter().any(|way| way.asked_again) {
            findings.push(Finding::warning(
                service,
                format!("{line}: a code is asked for twice in one login, and no code is taken twice"),
                "leave one line of pam_otp.so in that group, and in what it includes",
            ));
        }
        if self.accepted.is_empty() {
            let missing = self.stack.modules().find(|(module, _)| Role::of(module) == Role::Missing);
            let mend = match missing {
                Some((module, place)) => format!("install {}, or take the line out: {place}", module.file.display()),
                None => "look for a module in that group that always refuses".to_owned(),
            };
            let what = format!("{line}: nobody gets in, whatever code they give");
            findings.push(Finding::fault(service, what, &mend));
        } else if self.unasked.is_empty() {
            findings.push(Finding::fault(
                service,
                format!("{line}: whoever is asked for no code is refused, since no other module says yes"),
                "add behind it: auth required pam_permit.so",
            ));
        }
    }
}

/// The ways in, where the module may give these answers.
fn ways_in(stack: &Stack, answers: &[Answer]) -> Vec<Way> {
    walk(stack, answers, false).into_iter().filter(|way| way.answer == Answer::Success).collect()
}

/// All ways through a stack where ours gives these answers; others say yes, or whatever they can.
fn walk(stack: &Stack, ours: &[Answer], others_agree: bool) -> BTreeSet<Way> {
    ways(stack, |role| match role {
        Role::SecondFactor => ours.to_vec(),
        Role::Permit => vec![Answer::Success],
        Role::Deny => vec![Answer::AuthErr],
        Role::Missing => vec![Answer::ModuleUnknown],
        Role::Proof | Role::Condition | Role::Program | Role::Silent if others_agree => vec![Answer::Success],
        Role::Silent => vec![Answer::Success, Answer::Ignore, Answer::AuthErr],
        Role::Condition | Role::Program => vec![Answer::Success, Answer::AuthErr],
        Role::Proof => vec![Answer::Success, Answer::AuthErr, Answer::UserUnknown, Answer::AuthinfoUnavail],
    })
}

/// What the line says; the error is the argument that the module refuses.
fn arguments(module: &Module) -> Result<Arguments, String> {
    let given: Vec<CString> = module.arguments.iter().filter_map(|word| CString::new(word.as_str()).ok()).collect();
    Arguments::parse(&given.iter().map(CString::as_c_str).collect::<Vec<_>>())
}

/// Without its file every login is refused; a file that others can change is theirs.
fn module_fault(service: &str, module: &Module, place: &Place) -> Option<Finding> {
    let file = &module.file;
    let fault =
        |what: &str, mend: &str| Some(Finding::fault(service, format!("{place}: {} {what}", file.display()), mend));
    match fs::metadata(file) {
        Err(error) => fault(
            &format!("cannot be loaded ({error}): every login is refused"),
            "install the module there, or take the line out",
        ),
        Ok(found) if found.uid() != 0 || found.mode() & 0o022 != 0 => {
            fault("can be changed by others than root", "it must belong to root and be writable by root alone")
        }
        Ok(_) => None,
    }
}
