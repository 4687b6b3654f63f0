//! Enrolls many users at once, with the devices that they have in another module's file.

mod pam_oath;
mod seed_file;
mod source;
mod workers;

use otp_core::system::accounts::account;
use otp_core::system::random;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::getuid;
use otp_core::audit::Event;
use otp_core::decision::import::{Import, Outcome};
use otp_core::error::Error;
use otp_core::service::enrollment::new_enrolment;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use self::source::{Fault, People};
use super::not_done::NotDone;
use crate::cli::ForeignFile;
use crate::client;
use crate::error::{CliError, ScreenError};
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;
use crate::user::commands::Changed;

/// What is to be imported, and how.
pub(super) struct Asked<'a> {
    pub(super) format: ForeignFile,
    pub(super) file: &'a Path,
    pub(super) dry_run: bool,
    pub(super) replace: bool,
    pub(super) yes: bool,
}

/// What came of one user.
enum Answer {
    Done(Outcome),
    NoSuchUser,
    Failed(Error),
}

/// What would be done for one user.
#[derive(Serialize)]
struct WouldChange<'a> {
    user: &'a str,
    would_change: bool,
}

/// An interruption ends an import between two users.
static STOP: AtomicBool = AtomicBool::new(false);

/// Looks at the whole file first, and does nothing where there is a fault in it.
pub(super) fn import(asked: &Asked<'_>, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let is_to_be_meant = asked.replace && !asked.yes && !asked.dry_run;
    if is_to_be_meant {
        output.somebody_to_ask()?;
    }
    let text = seed_file::read(asked.file, output)?;
    let found = match asked.format {
        ForeignFile::Oath => pam_oath::read(&text, UnixTime::now()),
    };
    let people = found.or_else(|faults| refuse(&faults, asked.file, output))?;
    if is_to_be_meant {
        output.must_mean("Replace devices and recovery codes of those who have others than in this file?")?;
    }
    let watched = signals::on_interruption(|| STOP.store(true, Ordering::Relaxed));
    watched.map_err(|error| CliError::Screen(ScreenError::Signals(error)))?;
    enroll(&people, asked, store, output)
}

fn refuse<T>(faults: &[Fault], file: &Path, output: &Output) -> Result<T, CliError> {
    for fault in faults {
        output.result(fault, || format!("{}:{}: {}", file.display(), fault.line, fault.what))?;
    }
    Err(CliError::FaultyFile(faults.len()))
}

fn enroll(people: &impl People, asked: &Asked<'_>, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let (count, mut tally) = (people.count(), Tally::default());
    let mut progress = Progress::new("importing", count, output);
    let act = |place| one(people, place, asked, store).unwrap_or_else(Answer::Failed);
    let mut untold = None;
    workers::each(count, &STOP, act, |place, answer| {
        progress.clear();
        if let Err(error) = tally.report(people.name(place), &answer, asked.dry_run, output) {
            // Nobody listens any more: as good as an interruption.
            STOP.store(true, Ordering::Relaxed);
            untold.get_or_insert(error);
        }
        progress.step();
    });
    drop(progress);
    let done = tally.seen_to();
    if done < count {
        return Err(CliError::Interrupted { done, of: count, why: untold.map(Box::new) });
    }
    untold.map_or(Ok(()), Err)?;
    tally.close(asked, output)?;
    if tally.not_done == 0 { Ok(()) } else { Err(CliError::NotDone(tally.not_done)) }
}

/// Enrolls one user, whole or not at all.
fn one(people: &impl People, place: usize, asked: &Asked<'_>, store: &FileStore) -> Result<Answer, Error> {
    let Some(account) = account(people.name(place))? else { return Ok(Answer::NoSuchUser) };
    let import = Import::new(people.devices(place), asked.replace, UnixTime::now());
    let enrollment = new_enrolment(random::entropy)?;
    if asked.dry_run {
        let record = store.read(&account)?;
        return Ok(Answer::Done(import.into_record(&account, record.as_ref(), enrollment).1));
    }
    let outcome = change(store, &account, |record| import.into_record(&account, record, enrollment))?;
    let what = match outcome {
        Outcome::Imported | Outcome::Replaced => Some("imported"),
        Outcome::CaughtUp => Some("caught-up"),
        Outcome::Already | Outcome::HasOthers | Outcome::Unfit => None,
    };
    if let Some(what) = what {
        client::log(&Event::Change { user: account.name.as_str(), by: getuid().as_raw(), what, why: None });
    }
    Ok(Answer::Done(outcome))
}

const CAUGHT_UP: [&str; 2] = [
    "was imported already; codes used since then are spent",
    "was imported already; codes used since then would be spent",
];

/// How many there were of each kind.
#[derive(Default)]
struct Tally {
    imported: usize,
    already: usize,
    not_done: usize,
}

impl Tally {
    fn report(&mut self, user: &str, answer: &Answer, dry_run: bool, output: &Output) -> Result<(), CliError> {
        let (place, changed, [done, would_be]) = match answer {
            Answer::Done(Outcome::Imported) => (&mut self.imported, true, ["imported", "would be imported"]),
            Answer::Done(Outcome::Replaced) => (&mut self.imported, true, ["replaced", "would be replaced"]),
            Answer::Done(Outcome::CaughtUp) => (&mut self.already, true, CAUGHT_UP),
            Answer::Done(Outcome::Already) => (&mut self.already, false, ["was imported already"; 2]),
            Answer::Done(Outcome::HasOthers) => {
                let hint = "to put what the file says in its place: --replace";
                return self.not_done(user, "has a second factor already".into(), hint, output);
            }
            Answer::Done(Outcome::Unfit) => {
                return self.not_done(user, "has no device in the file, or too many".into(), "fix the file", output);
            }
            Answer::NoSuchUser => {
                return self.not_done(
                    user,
                    "there is no such user".into(),
                    "make the account, and import again",
                    output,
                );
            }
            Answer::Failed(error) => return self.not_done(user, error.to_string(), error.hint(), output),
        };
        *place = place.saturating_add(1);
        if dry_run {
            output.done(&WouldChange { user, would_change: changed }, &format!("{user}: {would_be}"))
        } else {
            output.done(&Changed { user, changed }, &format!("{user}: {done}"))
        }
    }

    fn not_done(&mut self, user: &str, error: String, hint: &str, output: &Output) -> Result<(), CliError> {
        self.not_done = self.not_done.saturating_add(1);
        NotDone { user, error, hint }.tell(output)
    }

    fn seen_to(&self) -> usize {
        self.imported.saturating_add(self.already).saturating_add(self.not_done)
    }

    /// What is left for people to do.
    fn close(&self, asked: &Asked<'_>, output: &Output) -> Result<(), CliError> {
        let Self { imported, already, not_done } = self;
        if asked.dry_run {
            return output.advise(&format!(
                "\n{imported} would be imported, {already} were already, {not_done} could not be; nothing was changed."
            ));
        }
        let file = asked.file.display();
        output
            .advise(&format!(
                "\n{imported} imported, {already} were already, {not_done} not done.\n\
                 Counters go on behind the last code that was accepted; codes that change with time are good from the\n\
                 next one on. Nobody has recovery codes from this: users get them with `otp-enroll recovery`.\n\
                 Import once more when PAM asks pam_otp instead: codes used until then are spent by that. Then remove\n\
                 {file} and its copies: whoever has it can make every code."
            ))
            .map_err(CliError::although_done)
    }
}
