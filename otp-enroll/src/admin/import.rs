//! Enrolls many users at once, with their devices from another module's file.

mod pam_oath;
mod source;
mod workers;

use otp_core::system::accounts::account;
use otp_core::system::random;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::getuid;
use otp_core::audit::{Event, Proof};
use otp_core::decision::import::{Import, Outcome};
use otp_core::error::CoreError;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use self::source::{Fault, ImportSource};
use super::not_done::NotDone;
use crate::cli::ForeignFile;
use crate::client;
use crate::error::{CliError, ScreenError};
use crate::seed_file::{self, OF_ALL_USERS};
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;
use crate::user::commands::Changed;

pub(super) struct Asked<'a> {
    pub(super) format: ForeignFile,
    pub(super) file: &'a Path,
    pub(super) dry_run: bool,
    pub(super) replace: bool,
    pub(super) yes: bool,
}

/// The result for one user.
enum Answer {
    Done(Outcome),
    NoSuchUser,
    Failed(CoreError),
}

#[derive(Serialize)]
struct WouldChange<'a> {
    user: &'a str,
    would_change: bool,
}

/// An interruption ends an import between two users.
static STOP: AtomicBool = AtomicBool::new(false);

/// Reads the whole file first, and imports nothing if it has a fault.
pub(super) fn import(asked: &Asked<'_>, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let asks_first = asked.replace && !asked.yes && !asked.dry_run;
    if asks_first {
        output.can_confirm()?;
    }
    let text = seed_file::read(asked.file, OF_ALL_USERS, output)?;
    let found = match asked.format {
        ForeignFile::Oath => pam_oath::read(&text, UnixTime::now()),
    };
    let users = found.or_else(|faults| refuse(&faults, asked.file, output))?;
    if asks_first {
        output.confirm("Replace the devices and recovery codes of users who have other devices than in this file?")?;
    }
    let watched = signals::on_interruption(|| STOP.store(true, Ordering::Relaxed));
    watched.map_err(|error| CliError::Screen(ScreenError::Signals(error)))?;
    enroll(&users, asked, store, output)
}

fn refuse<T>(faults: &[Fault], file: &Path, output: &Output) -> Result<T, CliError> {
    for fault in faults {
        output.result(fault, || {
            layout::escaped(&format!("{}:{}: {}", file.display(), fault.line, fault.what)).into_owned()
        })?;
    }
    Err(CliError::FaultyFile(faults.len()))
}

fn enroll(users: &impl ImportSource, asked: &Asked<'_>, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let (count, mut tally) = (users.count(), Tally::default());
    let mut progress = Progress::new("importing", count, output);
    let act = |place| one(users, place, asked, store).unwrap_or_else(Answer::Failed);
    let mut untold = None;
    workers::each(count, &STOP, act, |place, answer| {
        progress.clear();
        if let Err(error) = tally.report(users.name(place), &answer, asked.dry_run, output) {
            // The output is closed: the same as an interruption.
            STOP.store(true, Ordering::Relaxed);
            untold.get_or_insert(error);
        }
        progress.step();
    });
    drop(progress);
    let done = tally.processed();
    if done < count {
        return Err(CliError::Interrupted { done, of: count, why: untold.map(Box::new) });
    }
    untold.map_or(Ok(()), Err)?;
    tally.close(asked, output)?;
    if tally.not_done == 0 { Ok(()) } else { Err(CliError::NotDone(tally.not_done)) }
}

/// Enrolls one user, whole or not at all.
fn one(users: &impl ImportSource, place: usize, asked: &Asked<'_>, store: &FileStore) -> Result<Answer, CoreError> {
    let Some(account) = account(users.name(place))? else { return Ok(Answer::NoSuchUser) };
    let import = Import::new(users.devices(place), asked.replace, UnixTime::now());
    let enrollment = new_enrollment(random::entropy)?;
    if asked.dry_run {
        let record = store.read(&account)?;
        return Ok(Answer::Done(import.into_record(&account, record.as_ref(), enrollment).1));
    }
    let outcome = change(store, &account, |record| import.into_record(&account, record, enrollment))?;
    let what = match outcome {
        Outcome::Imported => Some("imported"),
        Outcome::Replaced => Some("replaced"),
        Outcome::CaughtUp => Some("caught-up"),
        Outcome::Already | Outcome::HasOthers | Outcome::Unfit => None,
    };
    if let Some(what) = what {
        let (user, by) = (account.name.as_str(), getuid().as_raw());
        client::log(&Event::Change { user, by, what, device: None, proof: Proof::Administrator });
    }
    Ok(Answer::Done(outcome))
}

const CAUGHT_UP: [&str; 2] = [
    "was imported already; codes used since then are used up here too",
    "was imported already; codes used since then would be used up here too",
];

/// Numbers of results.
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
                let hint = "to replace it by the devices in the file: --replace";
                return self.not_done(user, "has a second factor already".into(), hint, output);
            }
            Answer::Done(Outcome::Unfit) => {
                return self.not_done(user, "has no device in the file, or too many".into(), "fix the file", output);
            }
            Answer::NoSuchUser => {
                return self.not_done(
                    user,
                    "there is no such user".into(),
                    "create the account, and import again",
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

    fn processed(&self) -> usize {
        self.imported.saturating_add(self.already).saturating_add(self.not_done)
    }

    /// Totals, and what the administrator does next.
    fn close(&self, asked: &Asked<'_>, output: &Output) -> Result<(), CliError> {
        let Self { imported, already, not_done } = self;
        if asked.dry_run {
            return output.advise(&format!(
                "\n{imported} would be imported, {already} were imported already, {not_done} would fail; nothing was changed."
            ));
        }
        let file = asked.file.display();
        output
            .advise(&format!(
                "\n{imported} imported, {already} were imported already, {not_done} failed.\n\
                 Users can log in with the next code their device shows. An import brings no recovery codes: users get\n\
                 them with `otp-enroll recovery`. After you have switched PAM to pam_otp, run this command again, so\n\
                 that codes used in between cannot be used twice. Then delete {file} and its copies: they\n\
                 contain every user's key."
            ))
            .map_err(CliError::although_done)
    }
}
