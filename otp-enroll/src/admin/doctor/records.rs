//! Records that cannot be used, also of users who cannot log in now, and records whose account is gone.

use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;

use super::super::list;
use super::finding::{Finding, some};
use crate::error::CliError;
use crate::ui::output::Output;

pub(super) fn look_at(store: &FileStore, output: &Output, findings: &mut Vec<Finding>) -> Result<(), CliError> {
    let mut gone = Vec::new();
    for stem in list::stems(store, output)? {
        match list::read_of(store, &stem) {
            Err(CoreError::NoAccount(user)) => gone.push(user),
            // The same finding as that for the login of a user, who may be none that can log in: told once.
            Err(error @ CoreError::Store(_)) => {
                findings.push(Finding::fault("records", format!("{stem}: {error}"), error.hint()));
            }
            // What is in no record is told for the users who can log in.
            Ok(_) | Err(_) => {}
        }
    }
    findings.extend(left_behind(&gone));
    Ok(())
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
