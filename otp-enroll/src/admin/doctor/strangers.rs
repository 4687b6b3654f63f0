//! Checks who is asked for a code: where a login goes on after a wrong password, people who know no password are asked, too.
//! Their wrong codes are counted, and lock the user; a right code is used up.

use std::path::Path;

use super::finding::Finding;
use super::first_factor::{PASSWORD, at_our_lines};
use super::guarded::Guarded;
use super::module_kind::{Role, proves_the_user};
use super::service::faults_of;
use super::simulate::FirstFactor;
use super::sshd::{self, Beforehand};
use crate::pam::pam_conf::{Control, Group};
use crate::pam::stack::{Entry, Folders, Place, Stack, What};

/// `sshd_config` is a draft of sshd's configuration.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, sshd_config: Option<&Path>, findings: &mut Vec<Finding>) {
    let service = guarded.name.as_str();
    let Ok(stack) = Stack::read(folders, service, Group::Auth) else { return };
    let Some((ours, refusing)) = asked_after_refusal(&stack, service) else { return };
    let (Some(line), Some(entry)) = (stack.entries.get(ours), stack.entries.get(refusing)) else { return };
    let Some(module) = entry.module() else { return };
    // A login that has shown sshd a key is no stranger's.
    let (unless, by_key) = if service == sshd::SERVICE {
        let by_key = format!(", or have sshd verify a key first: {}", sshd::KEY_AND_CODE);
        match sshd::beforehand(sshd_config) {
            Beforehand::Proved => return,
            Beforehand::Nothing => ("", by_key),
            Beforehand::Unknown => {
                (", unless sshd verifies a key first (its configuration could not be checked)", by_key)
            }
        }
    } else {
        ("", String::new())
    };
    let what = format!(
        "{}: a login is asked for a code after a wrong password, when {} ({}) has refused: wrong codes of people who know no \
         password can lock users{unless}",
        line.place,
        module.name(),
        entry.place
    );
    let fix = fix(&stack, service, &folders.find(service), refusing);
    findings.push(Finding::warning(service, what, &format!("{fix}{by_key}")));
}

/// The line of a substack in this file that would end a login after a wrong password as an include, where nothing does now.
pub(crate) fn substack_to_include(stack: &Stack, service: &str, file: &Path) -> Option<Place> {
    let (_, refusing) = asked_after_refusal(stack, service)?;
    let around = (0..refusing).filter(|at| is_around(stack, *at, refusing));
    let is_better = |at: &usize| is_better(stack, &as_include(stack, *at), service);
    around
        .filter(is_better)
        .find_map(|at| stack.entries.get(at))
        .map(|entry| entry.place.clone())
        .filter(|place| place.file == file)
}

/// A line of ours that asks for a code after another entry has refused a password. With `send` it is a fault, and with
/// `forward_pass` the code is typed before any password is checked: both are reported elsewhere.
fn asked_after_refusal(stack: &Stack, service: &str) -> Option<(usize, usize)> {
    let asks = |at: usize| {
        let module = stack.entries.get(at).and_then(Entry::module);
        module.is_some_and(|module| {
            let is_other = |word: &String| word == "send" || word == "forward_pass";
            Role::of(module) == Role::SecondFactor && !module.arguments.iter().any(is_other)
        })
    };
    at_our_lines(stack, service)
        .into_iter()
        .find_map(|(at, known)| if let FirstFactor::Refused(by) = known { asks(at).then_some((at, by)) } else { None })
}

/// The smallest change after which a wrong password ends the login, and nothing else is worse than before.
fn fix(stack: &Stack, service: &str, file: &Path, refusing: usize) -> String {
    if let Some(place) = substack_to_include(stack, service, file) {
        return format!("write `include` in place of `substack`: {place}");
    }
    // Files that others include belong to the distribution, and to other services.
    let here = (refusing..).zip(stack.entries.iter().skip(refusing)).filter(|(_, entry)| entry.place.file == file);
    for (at, entry) in here {
        let Some(module) = entry.module() else { continue };
        let may_end = at == refusing || Role::of(module) == Role::Deny;
        if may_end && is_better(stack, &as_requisite(stack, at), service) {
            return format!("set the second column of that line to `requisite`: {}", entry.place);
        }
    }
    let known: Vec<&str> = stack
        .modules()
        .filter(|(module, _)| module.is_there && proves_the_user(module))
        .map(|(module, _)| module.name())
        .collect();
    let unix = known.iter().rposition(|name| *name == UNIX);
    // One before it, such as that of a fingerprint reader, is another way in.
    let other = known.iter().skip(unix.map_or(0, |at| at.saturating_add(1))).last();
    let place = stack.entries.get(refusing).map(|entry| &entry.place);
    let in_place_of = match place.filter(|place| place.file != file) {
        Some(place) => format!("in place of the line that includes {}", place.file.display()),
        None => "in place of the lines that check the password".to_owned(),
    };
    match other {
        Some(other) if unix.is_some() => format!(
            "write {in_place_of} these: `auth [success=1 default=ignore] {UNIX}`, `auth requisite {other} use_first_pass`, `auth \
             required pam_permit.so`"
        ),
        Some(other) => format!("write {in_place_of}: auth requisite {other}"),
        None => format!("write {in_place_of}: {PASSWORD}"),
    }
}

/// The module of local passwords.
const UNIX: &str = "pam_unix.so";

/// Whether another stack asks nobody for a code after a wrong password, and has no fault that this one has not.
fn is_better(stack: &Stack, other: &Stack, service: &str) -> bool {
    asked_after_refusal(other, service).is_none() && faults_of(other, service) <= faults_of(stack, service)
}

/// Whether the entry begins a substack with the inner one in it.
fn is_around(stack: &Stack, at: usize, inner: usize) -> bool {
    let Some(Entry { level, what: What::Substack, .. }) = stack.entries.get(at) else { return false };
    let between = stack.entries.get(at.saturating_add(1)..=inner).unwrap_or_default();
    between.iter().all(|entry| entry.level > *level)
}

/// The stack with an include in place of this substack.
fn as_include(stack: &Stack, at: usize) -> Stack {
    let mut entries = stack.entries.clone();
    let level = entries.remove(at).level;
    let inner = entries.iter_mut().skip(at).take_while(|entry| entry.level > level);
    inner.for_each(|entry| entry.level = entry.level.saturating_sub(1));
    Stack { entries, garbled: stack.garbled.clone() }
}

fn as_requisite(stack: &Stack, at: usize) -> Stack {
    let mut entries = stack.entries.clone();
    if let (Some(Entry { what: What::Module(module), .. }), Some(requisite)) =
        (entries.get_mut(at), Control::parse("requisite"))
    {
        module.control = requisite;
    }
    Stack { entries, garbled: stack.garbled.clone() }
}
