//! Records that cannot be used, also of users who cannot log in now, and records whose account is gone or renamed.

use otp_core::error::CoreError;
use otp_core::record::state::Progress;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts;
use otp_core::value::user::{Account, UserName};

use super::super::list;
use super::super::rename::ways_out;
use super::super::same_person::seems_new;
use super::finding::{Finding, some};
use crate::error::CliError;
use crate::ui::output::Output;

pub(super) fn look_at(store: &FileStore, output: &Output, findings: &mut Vec<Finding>) -> Result<(), CliError> {
    let (mut gone, mut unconfirmed, mut new, mut lost) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for stem in list::stems(store, output)? {
        match list::read_of(store, &stem) {
            Err(CoreError::NoAccount(user)) => match renamed(store, &user)? {
                Some(finding) => findings.push(finding),
                None => gone.push(user),
            },
            // The same finding as that for the login of a user, who may be none that can log in: told once.
            Err(error @ CoreError::Store(_)) => {
                findings.push(Finding::fault("records", format!("{stem}: {error}"), error.hint()));
            }
            Ok((account, Some(record))) => {
                let name = account.name.to_string();
                let has = |is: fn(&Progress) -> bool| record.state.devices.values().any(is);
                new.extend(seems_new(&account, &record).then(|| name.clone()));
                lost.extend(has(|progress| progress.awaits_resync).then(|| name.clone()));
                unconfirmed.extend(has(|progress| !progress.is_confirmed).then_some(name));
            }
            // What is in no record is told for the users who can log in.
            Ok(_) | Err(_) => {}
        }
    }
    findings.extend(left_behind(&gone));
    findings.extend(not_confirmed(&unconfirmed));
    findings.extend(younger(&new));
    findings.extend(waiting(&lost));
    let unknown: Vec<String> = store
        .not_entered()
        .map_err(CoreError::from)?
        .iter()
        .map(|account| account.name.to_string())
        .filter(|name| !gone.contains(name))
        .collect();
    findings.extend(not_entered(&unknown));
    for stem in store.states_alone().map_err(CoreError::from)? {
        let what = format!("{stem}.state is there and {stem}.toml is not: this user counts as not enrolled");
        let fix = format!("restore {stem}.toml from a backup, or run otp-enroll admin reset {stem}");
        findings.push(Finding::fault("records", what, &fix));
    }
    Ok(())
}

/// A record whose account is gone, while its number is that of another account.
fn renamed(store: &FileStore, user: &str) -> Result<Option<Finding>, CoreError> {
    let Some(name) = UserName::parse(user) else { return Ok(None) };
    let former = Account { name, ..Account::nobody() };
    let Some(uid) = store.owner_of(&former)? else { return Ok(None) };
    // A record that cannot be read is reported as such, and refuses as well.
    if store.see(&Account { uid, ..former }).is_ok_and(|seen| seen.is_none_or(|seen| !seen.outline.binds())) {
        return Ok(None);
    }
    Ok(accounts::account_of(uid)?.map(|new| {
        let what = format!(
            "there is a record of {user} and no such account, but {} has its number, {uid}: logins of {} are refused \
             (why=renamed), unless it has a record too",
            new.name, new.name
        );
        Finding::fault("records", what, &ways_out(user, new.name.as_str()))
    }))
}

fn not_entered(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        let what = format!(
            "the records of {} are not in the index by number: if such an account is renamed, its second factor is not asked \
             for any more",
            some(names)
        );
        Finding::warning("records", what, "otp-enroll admin init-store")
    })
}

fn not_confirmed(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        let what = format!("tokens of {} have shown no right code yet", some(names));
        let fix = "the first right code at a login confirms a token; if its codes are refused, its seed or its description is \
                   wrong: otp-enroll admin remove USER DEVICE (the only one: admin reset USER), then add it again";
        Finding::note("records", what, fix)
    })
}

fn younger(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        let what = format!("the home folders of {} are younger than their devices", some(names));
        let fix = "if such an account was removed and made again for another person: otp-enroll admin disable USER; a home that \
                   was moved to another disk is younger, too";
        Finding::note("records", what, fix)
    })
}

fn waiting(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        let what =
            format!("tokens of {} wait for a resync since records were restored: their codes are refused", some(names));
        Finding::warning("records", what, "otp-enroll resync, or otp-enroll admin resync USER")
    })
}

fn left_behind(gone: &[String]) -> Option<Finding> {
    let first = gone.first()?;
    let what = format!("there are records of {}, and no such account", some(gone));
    let fix = CoreError::NoAccount(first.clone()).hint().to_owned();
    Some(Finding::note("records", what, &fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_are_gone_are_one_note() {
        assert!(left_behind(&[]).is_none());
        let gone = ["ann", "ben", "cat", "dan", "eve", "fay"].map(str::to_owned);
        let note = left_behind(&gone).unwrap();
        assert_eq!(note.what, "there are records of ann, ben, cat, dan, eve and 1 more, and no such account");
        assert!(
            note.fix.starts_with("if the account was removed for good, ") && note.fix.contains("getent"),
            "{note:?}"
        );
    }
}
