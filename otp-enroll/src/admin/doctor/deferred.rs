//! Checks a login of two lines: `defer` looks at a code before the password is checked, `deferred` judges it after that.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::guarded::Guarded;
use super::service::{walk, walk_two_lines};
use super::simulate::{Answer, Way};
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, MODULE, Place, Stack};

/// Checks that each code is judged once, after the password.
pub(super) fn look_at(folders: &Folders, guarded: &Guarded, findings: &mut Vec<Finding>) {
    let Ok(stack) = Stack::read(folders, &guarded.name, Group::Auth) else { return };
    judge(&stack, &guarded.name, findings);
    let account = Stack::read(folders, &guarded.name, Group::Account);
    if line_with(&stack, "defer").is_some() && account.is_ok_and(|account| account.lines_of(MODULE).next().is_none()) {
        let what =
            "no account line of pam_otp.so: where a login passes over the line with deferred, nothing else refuses it";
        findings.push(Finding::note(&guarded.name, what.to_owned(), "add: account required pam_otp.so"));
    }
}

/// Our first line with this argument.
fn line_with<'a>(stack: &'a Stack, argument: &str) -> Option<&'a Place> {
    let has = |arguments: &[String]| arguments.iter().any(|given| given == argument);
    stack.lines_of(MODULE).find(|(module, _)| has(&module.arguments)).map(|(_, place)| place)
}

fn judge(stack: &Stack, service: &str, findings: &mut Vec<Finding>) {
    let (defer, deferred) = match (line_with(stack, "defer"), line_with(stack, "deferred")) {
        (None, None) => return,
        (Some(defer), Some(deferred)) => (defer, deferred),
        (Some(defer), None) => {
            let what = format!(
                "{defer}: no line with deferred follows: a code works more than once, and wrong codes are not counted"
            );
            let fix = "add after the modules that check passwords: auth required pam_otp.so deferred";
            findings.push(Finding::fault(service, what, fix));
            return;
        }
        (None, Some(deferred)) => {
            let what = format!("{deferred}: no line with forward_pass defer comes before it: every login is refused");
            let fix = "add before the modules that check passwords: auth required pam_otp.so forward_pass defer";
            findings.push(Finding::fault(service, what, fix));
            return;
        }
    };
    let mut fault = |what: String, fix: &str| findings.push(Finding::fault(service, what, fix));
    let right = walk(stack, &[Answer::Success], false);
    for (what, fix) in unjudged(stack, deferred, &right) {
        fault(what, fix);
    }
    if right.iter().any(|way| way.judged_nothing) {
        let what = format!(
            "{deferred}: logins that reach this line before the one with defer, or pass over that, are refused"
        );
        fault(what, "put the line with defer before it, and let each jump pass over both lines or none");
    }
    if right.iter().any(|way| way.judged_unproved && way.on_condition.is_none()) {
        let what = format!(
            "{deferred}: logins reach this line after a wrong password too: wrong codes are counted and right ones used up \
             by people who know no password"
        );
        fault(what, "let the module that checks passwords end the login: auth requisite pam_unix.so use_first_pass");
    }
    let wrong = walk(stack, &[Answer::AuthErr], true);
    if wrong.iter().any(|way| way.asked && !way.judged) {
        let what = format!(
            "{defer}: a wrong code ends the login here: it is not counted, and people who know no password learn which code \
             is right"
        );
        fault(
            what,
            "set the second column of that line to `required`, and let no line between the two end or jump after it",
        );
    }
    let refused = walk_two_lines(stack, &[Answer::Success], &[Answer::AuthErr], false);
    if refused.iter().any(|way| way.judged && way.answer == Answer::Success) {
        let what = format!("{deferred}: its refusal does not prevent the login: a code works more than once");
        fault(what, "set the second column of that line to `required`, and let no jump skip its refusal");
    }
}

/// What lets a login in between the two lines, as a fault and its fix each.
fn unjudged(stack: &Stack, deferred: &Place, ways: &BTreeSet<Way>) -> Vec<(String, &'static str)> {
    let unjudged = ways.iter().filter(|way| way.answer == Answer::Success && way.asked && !way.judged);
    let passed_by: BTreeSet<Option<(usize, bool)>> = unjudged.map(|way| way.passed_by).collect();
    let describe = |passed_by: Option<(usize, bool)>| {
        let jump = passed_by.and_then(|(at, by_yes)| {
            let entry = stack.entries.get(at)?;
            let result = if by_yes { "success" } else { "failure" };
            Some(format!("{}: when {} returns {result}, the login passes over", entry.place, entry.module()?.name()))
        });
        let way = jump.unwrap_or_else(|| "a login can pass over".to_owned());
        let what = format!("{way} {deferred}: a code works more than once, and is not counted");
        (
            what,
            "let every login reach that line: `[success=1 default=ignore]` in place of `sufficient`, see the examples",
        )
    };
    passed_by.into_iter().map(describe).collect()
}
