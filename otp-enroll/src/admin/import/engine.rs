//! One engine for all imports: each user is enrolled whole or not at all, many at a time, told in the order of the file.

use std::sync::atomic::Ordering;

use otp_core::decision::import::{Import, Others, Outcome};
use otp_core::error::CoreError;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::accounts::account;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use otp_formats::source::{Entry, Whose};

use super::entries::{Answer, Entries, Named, Unreadable};
use super::report::Tally;
use super::shelf::Shelf;
use super::workers;
use crate::client;
use crate::error::{CliError, ScreenError};
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;

pub(super) struct Engine<'a> {
    pub(super) store: &'a FileStore,
    pub(super) others: Others,
    pub(super) dry_run: bool,
}

impl Engine<'_> {
    /// Enrolls all, and tells of each. Returns what is to be told at the end.
    pub(super) fn enroll(&self, entries: &impl Entries, output: &Output) -> Result<Tally, CliError> {
        let shelf = Shelf::open(self.store, entries.has_stock(), self.dry_run)?;
        let act = |place| {
            let (named, entry) = entries.entry(place);
            let answer = match &named {
                Named::Whose(Whose::User(user)) => self.one(user, entry, &shelf),
                Named::Whose(Whose::Serial(_)) | Named::Line(_) => self.of_nobody(entry, &shelf),
            };
            (named, answer)
        };
        in_order(entries.count(), act, self.dry_run, output)
    }

    /// Enrolls one user, whole or not at all.
    fn one(&self, user: &str, entry: Result<Option<Entry>, Unreadable>, shelf: &Shelf) -> Result<Answer, CoreError> {
        let Some(account) = account(user)? else { return Ok(Answer::NoSuchUser) };
        let Entry { may_be_root, found, mut remarks, .. } = match entry {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(Answer::Nothing),
            Err(unreadable) => return Ok(Answer::Unreadable(unreadable)),
        };
        if account.uid == 0 && !may_be_root {
            let error = "is an account of root, to which a file of tokens gives none by itself".to_owned();
            return Ok(Answer::Unreadable(Unreadable {
                error,
                hint: "if it is root's, say so: --map FILE, with the serial number and root",
            }));
        }
        if self.others == Others::Beside && !found.scratch.is_empty() {
            remarks.push("its scratch codes are not imported with --add".to_owned());
        }
        // As random as the id of an enrollment.
        let (enrollment, salt) = (new_enrollment(random::entropy)?, new_enrollment(random::entropy)?.0);
        let numbered = shelf.numbered(&found);
        let import = Import::new(found, self.others, salt, UnixTime::now());
        if self.dry_run {
            let record = self.store.read_open(&account)?;
            return Ok(Answer::Done(import.into_record(&account, record.as_ref(), enrollment).1, remarks));
        }
        let outcome = self.store.change_open(&account, &Note::here("imported"), |record| {
            import.into_record(&account, record, enrollment)
        })?;
        if let Some(what) = outcome.word() {
            client::log_change(account.name.as_str(), what);
        }
        if !matches!(outcome, Outcome::HasOthers | Outcome::TooMany | Outcome::Unfit) {
            shelf.take(&numbered)?;
        }
        Ok(Answer::Done(outcome, remarks))
    }

    /// Puts a token that is nobody's into the stock.
    fn of_nobody(&self, entry: Result<Option<Entry>, Unreadable>, shelf: &Shelf) -> Result<Answer, CoreError> {
        Ok(match entry {
            Ok(Some(Entry { found, remarks, maker, .. })) => {
                Answer::Shelved(shelf.put(self.store, found, maker)?, remarks)
            }
            Ok(None) => Answer::Nothing,
            Err(unreadable) => Answer::Unreadable(unreadable),
        })
    }
}

/// Acts for each place, many at a time, and tells of each in their order. Returns what is to be told at the end.
pub(super) fn in_order(
    count: usize,
    act: impl Fn(usize) -> (Named, Result<Answer, CoreError>) + Sync,
    dry_run: bool,
    output: &Output,
) -> Result<Tally, CliError> {
    let stop = signals::between_users().map_err(ScreenError::Signals)?;
    let mut tally = Tally::new(dry_run);
    let mut progress = Progress::new("importing", count, output);
    let mut untold = None;
    workers::each(count, stop, act, |place, (named, answer)| {
        progress.clear();
        if let Err(error) = tally.report(place, &named, answer.unwrap_or_else(Answer::Failed), output) {
            // The output is closed: the same as an interruption.
            stop.store(true, Ordering::Relaxed);
            untold.get_or_insert(error);
        }
        progress.step();
    });
    drop(progress);
    let done = tally.processed();
    if done < count {
        return Err(CliError::Interrupted { done, of: count, why: untold.map(Box::new) });
    }
    untold.map_or(Ok(tally), Err)
}
