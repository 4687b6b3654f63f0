//! Lines that were meant to call the module and do not, or not as they seem to.

use super::finding::Finding;
use super::service::{code_point, unparsed};
use crate::pam::pam_conf::{Group, Line, lines};
use crate::pam::stack::{Folders, MODULE, Module, Place, Stack, odd_blank};

/// Reports lines whose module is missing and has a name like ours, lines of ours that begin with a dash, and, where none asks
/// for a code, those that libpam cannot parse or that are in another group.
pub(super) fn look_at(folders: &Folders, service: &str, findings: &mut Vec<Finding>) {
    let auth = Stack::read(folders, service, Group::Auth);
    let is_unasked = auth.is_ok_and(|auth| auth.lines_of(MODULE).next().is_none());
    for group in [Group::Auth, Group::Account, Group::Password, Group::Session] {
        let Ok(stack) = Stack::read(folders, service, group) else { continue };
        if is_unasked && group == Group::Auth {
            findings.extend(stack.garbled.iter().filter(|line| line.names_ours).map(|line| unparsed(service, line)));
        } else if is_unasked {
            let of_its_own = |(_, place): &(&Module, &Place)| place.file == folders.find(service);
            findings.extend(
                stack.lines_of(MODULE).find(of_its_own).map(|(_, place)| in_no_question(service, group, place)),
            );
        }
        for (module, place) in stack.modules() {
            findings.extend(judge(service, module, place));
            if module.name() == MODULE && begins_with_dash(place) {
                findings.push(Finding::note(
                    service,
                    format!(
                        "{place}: the line begins with a dash: if the module cannot be loaded, logins are refused and \
                             libpam logs no reason"
                    ),
                    "remove the dash",
                ));
            }
        }
    }
}

/// A line of ours in a service that asks for no code.
fn in_no_question(service: &str, group: Group, place: &Place) -> Finding {
    let group = group.name();
    let what =
        format!("{place}: this line is in the group {group}, and the group auth has none: no user is asked for a code");
    Finding::fault(service, what, "write auth in place of its first word, or remove the line")
}

fn judge(service: &str, module: &Module, place: &Place) -> Option<Finding> {
    let name = module.name();
    let is_meant = !module.is_there && name != MODULE && is_like_ours(name);
    is_meant.then(|| {
        let named = odd_blank(name).map_or_else(
            || name.to_owned(),
            |blank| format!("{name} (a character in it looks like a blank and is none: {})", code_point(blank)),
        );
        let what = format!(
            "{place}: there is no module {named}: libpam logs \"Module is unknown\", and refuses the logins for which it needs \
             the line"
        );
        Finding::fault(service, what, "write pam_otp.so")
    })
}

/// Whether a name is ours but for one letter, for the end of the file name, or for what follows what looks like a blank. Two
/// letters make pam_oath of it.
fn is_like_ours(name: &str) -> bool {
    let name = name.split(char::is_whitespace).next().unwrap_or_default();
    let stem = |name: &str| name.trim_end_matches(".so").replace('-', "_");
    distance(&stem(name), &stem(MODULE)) <= 1
}

/// The number of letters to change, add, remove or exchange with their neighbour.
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = (0..=other.len()).collect();
    let mut earlier: Option<(char, Vec<usize>)> = None;
    for (row, letter) in (1_usize..).zip(one.chars()) {
        let mut now = vec![row];
        for (column, wanted) in (0_usize..).zip(&other) {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let changed = at(&before, column).saturating_add(usize::from(letter != *wanted));
            let moved = at(&before, column.saturating_add(1)).min(at(&now, column)).saturating_add(1);
            let exchanged = match (&earlier, column.checked_sub(1)) {
                (Some((last, line)), Some(left)) if *last == *wanted && other.get(left) == Some(&letter) => {
                    at(line, left).saturating_add(1)
                }
                _ => usize::MAX,
            };
            now.push(changed.min(moved).min(exchanged));
        }
        earlier = Some((letter, before));
        before = now;
    }
    before.last().copied().unwrap_or(usize::MAX)
}

fn begins_with_dash(place: &Place) -> bool {
    let text = std::fs::read(&place.file).unwrap_or_default();
    let is_it = |line: &Line| line.number == place.line && line.words.first().is_some_and(|word| word.starts_with('-'));
    lines(&String::from_utf8_lossy(&text)).iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_like_ours_is_told_from_other_modules() {
        for name in [
            "pam_opt.so",
            "pam_otp",
            "pam-otp.so",
            "pam_otpt.so",
            "pam_top.so",
            "pam_totp.so",
            "pam_otp.so\u{a0}nullok",
            "otp_pam_otp",
        ] {
            assert_eq!(is_like_ours(name), name != "otp_pam_otp", "{name}");
        }
        for other in ["pam_unix.so", "pam_oath.so", "pam_env.so", "pam_u2f.so", "pam_krb5.so", ""] {
            assert!(!is_like_ours(other), "{other}");
        }
        assert_eq!((distance("abcd", "abdc"), distance("abcd", "acd"), distance("", "ab")), (1, 1, 2));
    }
}
