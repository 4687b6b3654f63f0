//! Checks who is asked for a code: where a login goes on after a wrong password, or asks for the code first, people who know no
//! password are asked, too. Their wrong codes are counted, and lock the user; a right code is used up.

use std::path::Path;

use super::finding::Finding;
use super::first_factor::{PASSWORD, after_our_lines, at_our_lines, password_line};
use super::guarded::Guarded;
use super::module_kind::{Role, proves_the_user};
use super::programs::is_of_a_session;
use super::service::faults_of;
use super::simulate::FirstFactor;
use super::sshd::{self, Beforehand};
use crate::pam::pam_conf::{Control, Group};
use crate::pam::stack::{Entry, Folders, Place, Stack, What};

/// `sshd_config` is a draft of sshd's configuration.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, sshd_config: Option<&Path>, findings: &mut Vec<Finding>) {
    let service = guarded.name.as_str();
    let Ok(stack) = Stack::read(folders, service, Group::Auth) else { return };
    let file = folders.find(service);
    let after = after_wrong_password(&stack, service, &file);
    let before = || before_password(folders, &stack, service, &file);
    let Some((what, fix)) = after.or_else(before).or_else(|| judged_before(&stack, service)) else { return };
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
    findings.push(Finding::warning(service, format!("{what}{unless}"), &format!("{fix}{by_key}")));
}

/// A question after a wrong password, and what to do about it.
fn after_wrong_password(stack: &Stack, service: &str, file: &Path) -> Option<(String, String)> {
    let (ours, refusing) = asked_after_refusal(stack, service)?;
    let (line, entry) = (stack.entries.get(ours)?, stack.entries.get(refusing)?);
    let what = format!(
        "{}: a login is asked for a code after a wrong password, when {} ({}) has refused: wrong codes of people who know no \
         password can lock users",
        line.place,
        entry.module()?.name(),
        entry.place
    );
    Some((what, fix(stack, service, file, refusing)))
}

/// A question before any password, and what to do about it.
fn before_password(folders: &Folders, stack: &Stack, service: &str, file: &Path) -> Option<(String, String)> {
    let (ours, proof) = asked_before(stack, service)?;
    let (line, entry) = (stack.entries.get(ours)?, stack.entries.get(proof)?);
    let what = format!(
        "{}: a login is asked for a code before {} ({}) asks: wrong codes of people who know no password can lock users, and a \
         right code is used up by a wrong password",
        line.place,
        entry.module()?.name(),
        entry.place
    );
    let fix = if is_better(stack, &moved_after(stack, ours, proof), service) {
        let below = if entry.place.file == file {
            format!("the line {}", entry.place)
        } else {
            format!("the line that includes {}", entry.place.file.display())
        };
        format!("move that line below {below}")
    } else {
        format!(
            "write before that line, in place of those that check the password after it: {}",
            password_line(folders)
        )
    };
    Some((what, fix))
}

/// A line that asks for password and code in one, and judges the code before the password is checked.
fn judged_before(stack: &Stack, service: &str) -> Option<(String, String)> {
    let is_whole = |at: usize| {
        let module = stack.entries.get(at).and_then(Entry::module);
        let has = |word: &str| module.is_some_and(|module| module.arguments.iter().any(|argument| argument == word));
        has("forward_pass") && !has("defer")
    };
    let mut found = after_our_lines(stack, service).into_iter().filter(|_| !is_of_a_session(service));
    let (ours, proof) = found.find(|(ours, _)| is_whole(*ours))?;
    let (line, entry) = (stack.entries.get(ours)?, stack.entries.get(proof)?);
    let what = format!(
        "{}: a code is judged before {} ({}) checks the password: wrong codes of people who know no password can lock users, \
         and a right code is used up by a wrong password",
        line.place,
        entry.module()?.name(),
        entry.place
    );
    let fix = "where the program runs as root, write `forward_pass defer` there, and a line with `deferred` after those that check \
               the password: see the example password-and-code-as-one";
    Some((what, fix.to_owned()))
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
    at_our_lines(stack, service).into_iter().find_map(|(at, known)| match known {
        FirstFactor::Refused(by) if asks_by_itself(stack, at) => Some((at, by)),
        FirstFactor::Refused(_) | FirstFactor::Unasked | FirstFactor::Doubtful(_) | FirstFactor::Proved => None,
    })
}

/// A line of ours that asks for a code before any other entry asks for a password, and the entry that then does.
fn asked_before(stack: &Stack, service: &str) -> Option<(usize, usize)> {
    after_our_lines(stack, service).into_iter().find(|(ours, _)| asks_by_itself(stack, *ours))
}

/// Whether a line of ours asks, and leaves nothing to other lines.
fn asks_by_itself(stack: &Stack, at: usize) -> bool {
    let module = stack.entries.get(at).and_then(Entry::module);
    let is_other = |word: &String| ["send", "forward_pass", "defer"].contains(&word.as_str());
    module.is_some_and(|module| Role::of(module) == Role::SecondFactor && !module.arguments.iter().any(is_other))
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

/// Whether another stack asks for no code before the password or after a wrong one, and has no more faults than this one.
fn is_better(stack: &Stack, other: &Stack, service: &str) -> bool {
    asked_after_refusal(other, service).is_none()
        && asked_before(other, service).is_none()
        && faults_of(other, service) <= faults_of(stack, service)
}

/// Whether the entry begins a substack with the inner one in it.
fn is_around(stack: &Stack, at: usize, inner: usize) -> bool {
    let Some(Entry { level, what: What::Substack, .. }) = stack.entries.get(at) else { return false };
    let between = stack.entries.get(at.saturating_add(1)..=inner).unwrap_or_default();
    between.iter().all(|entry| entry.level > *level)
}

/// The stack with our line after the last entry of the file that asks for a password, or of our own file after that entry.
fn moved_after(stack: &Stack, ours: usize, proof: usize) -> Stack {
    let mut entries = stack.entries.clone();
    let (Some(from), Some(proof_file)) = (entries.get(ours), entries.get(proof).map(|entry| &entry.place.file)) else {
        return stack.clone();
    };
    let (level, is_ours) = (from.level, from.place.file == *proof_file);
    let part = entries.iter().skip(proof.saturating_add(1));
    let included =
        part.take_while(|entry| !is_ours && (entry.place.file == *proof_file || entry.level > level)).count();
    let after = proof.saturating_add(included);
    if let Some(moved) = entries.get_mut(ours..=after) {
        moved.rotate_left(1);
    }
    Stack { entries, ..stack.clone() }
}

/// The stack with an include in place of this substack.
fn as_include(stack: &Stack, at: usize) -> Stack {
    let mut entries = stack.entries.clone();
    let level = entries.remove(at).level;
    let inner = entries.iter_mut().skip(at).take_while(|entry| entry.level > level);
    inner.for_each(|entry| entry.level = entry.level.saturating_sub(1));
    Stack { entries, ..stack.clone() }
}

fn as_requisite(stack: &Stack, at: usize) -> Stack {
    let mut entries = stack.entries.clone();
    if let (Some(Entry { what: What::Module(module), .. }), Some(requisite)) =
        (entries.get_mut(at), Control::parse("requisite"))
    {
        module.control = requisite;
    }
    Stack { entries, ..stack.clone() }
}
