//! One engine for all imports: each user is enrolled whole or not at all, many at a time, told in the order of the file.

use std::sync::atomic::{AtomicBool, Ordering};

use otp_core::decision::import::{Import, Others, Outcome};
use otp_core::error::CoreError;
use otp_core::record::change::Change;
use otp_core::record::credentials::Serial;
use otp_core::record::id::EnrollmentId;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::files::first_records::{FirstRecords, Written};
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::accounts::account;
use otp_core::system::random;
use otp_core::value::secret::Secret;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;
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

/// A user whose devices are to be imported.
pub(super) struct Candidate {
    account: Account,
    import: Import,
    /// Tokens that may be in the stock.
    numbered: Vec<(Serial, Secret)>,
    remarks: Vec<String>,
    /// The id of the new enrollment.
    enrollment: EnrollmentId,
}

impl Engine<'_> {
    /// Enrolls each by itself, and tells of each. Returns what is to be told at the end.
    pub(super) fn each(&self, entries: &impl Entries, shelf: &Shelf, output: &Output) -> Result<Tally, CliError> {
        let act = |place| {
            let (named, candidate) = self.candidate(entries, place, shelf);
            (named, candidate.map_or_else(|answer| answer, |candidate| self.one(&candidate, shelf)))
        };
        in_order(entries.count(), act, self.dry_run, output)
    }

    /// Whose a place is, and what is to be done there. What is no candidate has its answer already, as an error.
    pub(super) fn candidate(
        &self,
        entries: &impl Entries,
        place: usize,
        shelf: &Shelf,
    ) -> (Named, Result<Candidate, Result<Answer, CoreError>>) {
        let (named, entry) = entries.entry(place);
        let candidate = match &named {
            Named::Whose(Whose::User(user)) => self.of_user(user, entry, shelf),
            Named::Whose(Whose::Serial(_)) | Named::Line(_) => Err(self.of_nobody(entry, shelf)),
        };
        (named, candidate)
    }

    fn of_user(
        &self,
        user: &str,
        entry: Result<Option<Entry>, Unreadable>,
        shelf: &Shelf,
    ) -> Result<Candidate, Result<Answer, CoreError>> {
        let account = account(user).map_err(Err)?.ok_or(Ok(Answer::NoSuchUser))?;
        let entry = entry.map_err(|unreadable| Ok(Answer::Unreadable(unreadable)))?.ok_or(Ok(Answer::Nothing))?;
        let Entry { may_be_root, found, mut remarks, .. } = entry;
        if account.uid == 0 && !may_be_root {
            let error = "is an account of root, to which a file of tokens gives none by itself".to_owned();
            return Err(Ok(Answer::Unreadable(Unreadable {
                error,
                hint: "if it is root's, say so: --map FILE, with the serial number and root",
            })));
        }
        if self.others == Others::Beside && !found.scratch.is_empty() {
            remarks.push("its scratch codes are not imported with --add".to_owned());
        }
        // As random as the id of an enrollment.
        let new = || new_enrollment(random::entropy).map_err(Err);
        let (enrollment, salt) = (new()?, new()?.0);
        let numbered = shelf.numbered(&found);
        let import = Import::new(found, self.others, salt, UnixTime::now());
        Ok(Candidate { account, import, numbered, remarks, enrollment })
    }

    /// Enrolls one user, whole or not at all.
    pub(super) fn one(&self, candidate: &Candidate, shelf: &Shelf) -> Result<Answer, CoreError> {
        let Candidate { account, import, enrollment, .. } = candidate;
        if self.dry_run {
            let record = self.store.read_open(account)?;
            let outcome = import.into_record(account, record.as_ref(), *enrollment).1;
            return Ok(Answer::Done(outcome, candidate.remarks.clone()));
        }
        let outcome = self
            .store
            .change_open(account, &Note::here("imported"), |record| import.into_record(account, record, *enrollment))?;
        candidate.done(outcome, shelf)
    }

    /// Puts a token without a user into the stock.
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

impl Candidate {
    /// Writes the record of a user who has none, so far as many are written together.
    pub(super) fn write(&self, records: &FirstRecords<'_>) -> Option<(Written, Outcome)> {
        match self.import.into_record(&self.account, None, self.enrollment) {
            (Change::Record(record), outcome) => Some((records.write(&self.account, &record)?, outcome)),
            (Change::Keep | Change::State(_) | Change::Nothing, _) => None,
        }
    }

    /// What follows a change that is durable.
    pub(super) fn done(&self, outcome: Outcome, shelf: &Shelf) -> Result<Answer, CoreError> {
        if let Some(what) = outcome.word() {
            client::log_change(self.account.name.as_str(), what);
        }
        if !matches!(outcome, Outcome::HasOthers | Outcome::TooMany | Outcome::Unfit) {
            shelf.take(&self.numbered)?;
        }
        Ok(Answer::Done(outcome, self.remarks.clone()))
    }
}

/// Acts for each place, many at a time, and tells of each in their order. Returns what is to be told at the end.
pub(super) fn in_order(
    count: usize,
    act: impl Fn(usize) -> (Named, Result<Answer, CoreError>) + Sync,
    dry_run: bool,
    output: &Output,
) -> Result<Tally, CliError> {
    let mut telling = Telling::begin(count, dry_run, output)?;
    workers::each(count, telling.stop, act, |place, (named, answer)| telling.tell(place, &named, answer));
    telling.end()
}

/// What tells of each place, in their order.
pub(super) struct Telling<'a> {
    /// No place is begun any more.
    pub(super) stop: &'static AtomicBool,
    count: usize,
    tally: Tally,
    progress: Progress,
    /// Why it could not be told.
    untold: Option<CliError>,
    output: &'a Output,
}

impl<'a> Telling<'a> {
    pub(super) fn begin(count: usize, dry_run: bool, output: &'a Output) -> Result<Self, CliError> {
        let stop = signals::between_users().map_err(ScreenError::Signals)?;
        let progress = Progress::new("importing", count, output);
        Ok(Self { stop, count, tally: Tally::new(dry_run), progress, untold: None, output })
    }

    pub(super) fn tell(&mut self, place: usize, named: &Named, answer: Result<Answer, CoreError>) {
        self.progress.clear();
        if let Err(error) = self.tally.report(place, named, answer.unwrap_or_else(Answer::Failed), self.output) {
            // The output is closed: the same as an interruption.
            self.stop.store(true, Ordering::Relaxed);
            self.untold.get_or_insert(error);
        }
        self.progress.step();
    }

    /// What is to be told at the end; an error if not all was done.
    pub(super) fn end(self) -> Result<Tally, CliError> {
        drop(self.progress);
        let done = self.tally.processed();
        if done < self.count {
            return Err(CliError::Interrupted { done, of: self.count, why: self.untold.map(Box::new) });
        }
        self.untold.map_or(Ok(self.tally), Err)
    }
}
