//! Removes records that are in a bundle, each only if it is as it was when the bundle was made: a code that was used since then
//! would be good again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state_slot::Slot;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::{Note, Unsaid};
use otp_core::value::user::Account;

use crate::admin::not_done::NotDone;
use crate::client;
use crate::error::{CliError, ScreenError};
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;
use crate::user::commands::Changed;

/// A user who is in the bundle, with what tells whether the record has changed.
pub(super) struct Leaving {
    pub(super) account: Account,
    enrollment: EnrollmentId,
    state: u64,
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Removed,
    Gone,
    Changed,
}

impl Leaving {
    /// Of a record as it is in the bundle.
    pub(super) fn of(account: Account, record: &Record) -> Self {
        Self { account, enrollment: record.credentials.enrollment, state: fingerprint(record) }
    }
}

/// Of the state that is in the bundle. Only root may write here, and has no reason to forge one.
fn fingerprint(record: &Record) -> u64 {
    let slot = Slot { sequence: 1, state: record.state.clone() };
    let mut hasher = DefaultHasher::new();
    slot.encode().hash(&mut hasher);
    hasher.finish()
}

/// Removes them, and tells of each. Returns for how many it failed.
pub(super) fn remove(users: &[Leaving], store: &FileStore, output: &Output) -> Result<usize, CliError> {
    let stop = signals::between_users().map_err(ScreenError::Signals)?;
    let mut progress = Progress::new("removing", users.len(), output);
    let mut failures = 0usize;
    for (done, leaving) in users.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            drop(progress);
            return Err(CliError::Reported {
                error: format!("interrupted: the bundle is whole, and {done} of {} records were removed", users.len()),
                hint: "the others are still here; to remove them, run it again with another file".into(),
            });
        }
        let user = leaving.account.name.as_str();
        let step = |record: Option<&Record>| match record {
            None => (Change::Keep, Unsaid(Left::Gone)),
            Some(record) if is_as_it_was(leaving, record) => (Change::Nothing, Unsaid(Left::Removed)),
            Some(_) => (Change::Keep, Unsaid(Left::Changed)),
        };
        progress.clear();
        match change(store, &leaving.account, &Note::here("moved"), step) {
            Ok(Unsaid(Left::Removed)) => {
                client::log_change(user, "moved");
                output.done(
                    &Changed { user, changed: true },
                    &format!("{user}: moved: the record is in the bundle alone"),
                )?;
            }
            Ok(Unsaid(Left::Gone)) => {
                output.done(&Changed { user, changed: false }, &format!("{user}: the record is gone already"))?;
            }
            Ok(Unsaid(Left::Changed)) => {
                failures = failures.saturating_add(1);
                let hint = "it is still here; export this user again";
                NotDone { user, error: "has used or changed the record since it was exported".into(), hint }
                    .tell(output)?;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let error = otp_core::error::CoreError::from(error);
                NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output)?;
            }
        }
        progress.step();
    }
    Ok(failures)
}

fn is_as_it_was(leaving: &Leaving, record: &Record) -> bool {
    record.credentials.enrollment == leaving.enrollment && fingerprint(&record.departing()) == leaving.state
}

#[cfg(test)]
mod tests {
    use otp_core::record::credentials::Override;
    use otp_core::record::state::Unenforced;
    use otp_core::value::time::UnixTime;
    use otp_core::value::user::UserName;

    use super::*;

    fn record(enrollment: u8) -> Record {
        let account = Account { name: UserName::parse("alice").unwrap(), ..Account::nobody() };
        Record::begin(&account, EnrollmentId([enrollment; 16]), Override::Required, Vec::new(), None)
    }

    #[test]
    fn a_record_that_was_used_or_changed_since_it_was_read_stays() {
        let leaving = Leaving::of(Account::nobody(), &record(1).departing());
        assert!(is_as_it_was(&leaving, &record(1)));
        assert!(!is_as_it_was(&leaving, &record(2)), "changed by a command");
        let (mut used, mut wrong, mut logged) = (record(1), record(1), record(1));
        used.state.last_accepted = Some(UnixTime(1));
        wrong.state.failures = 1;
        assert!(!is_as_it_was(&leaving, &used) && !is_as_it_was(&leaving, &wrong));
        // What does not leave does not keep it here either.
        logged.state.unenforced = Some(Unenforced { at: UnixTime(1), why: "wrong".into() });
        assert!(is_as_it_was(&leaving, &logged));
    }
}
