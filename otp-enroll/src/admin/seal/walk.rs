//! Writes all records again, sealed or in plain text. It may be interrupted and begun again: what is done is left as it is.

use std::sync::atomic::Ordering;

use otp_core::error::CoreError;
use otp_core::record::change::Change;
use otp_core::record::credentials::Credentials;
use otp_core::record::seal::KeyId;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::{accounts, random};
use otp_core::value::user::{Account, UserName};

use crate::admin::import::workers;
use crate::admin::list;
use crate::admin::not_done::NotDone;
use crate::error::{CliError, ScreenError};
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;

/// How records are to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Under(KeyId),
    Plain,
}

/// How they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Records in which a seed is in plain text.
    pub(super) plain: usize,
    /// Records in which something is sealed, by the key.
    pub(super) sealed: Vec<(KeyId, usize)>,
    /// Records that could not be read.
    pub(super) unreadable: usize,
}

impl Goal {
    fn is_met_by(self, credentials: &Credentials) -> bool {
        match self {
            Self::Under(id) => credentials.is_sealed_under(id),
            Self::Plain => credentials.all_sealed().next().is_none(),
        }
    }
}

impl Counted {
    pub(super) fn under(&self, id: KeyId) -> usize {
        self.sealed.iter().find(|(key, _)| *key == id).map_or(0, |(_, count)| *count)
    }

    pub(super) fn sealed(&self) -> usize {
        self.sealed.iter().map(|(_, count)| *count).sum()
    }

    fn add(&mut self, id: KeyId) {
        match self.sealed.iter_mut().find(|(key, _)| *key == id) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.sealed.push((id, 1)),
        }
    }
}

/// How the records and the tokens in stock are.
pub(super) fn count(store: &FileStore, output: &Output) -> Result<Counted, CliError> {
    let stems = list::stems(store, output)?;
    let (mut counted, mut progress) = (Counted::default(), Progress::new("reading", stems.len(), output));
    for stem in &stems {
        match of_stem(store, stem) {
            Ok((_, Some(credentials))) => match credentials.all_sealed().next() {
                Some(sealed) => counted.add(sealed.key),
                None if credentials.has_secrets() => counted.plain = counted.plain.saturating_add(1),
                None => {}
            },
            Ok((_, None)) => {}
            Err(_) => counted.unreadable = counted.unreadable.saturating_add(1),
        }
        progress.step();
    }
    Ok(counted)
}

/// Writes again what is otherwise. Returns how many records were written; those that could not be are told.
pub(super) fn walk(store: &FileStore, goal: Goal, what: &'static str, output: &Output) -> Result<usize, CliError> {
    let stop = signals::between_users().map_err(ScreenError::Signals)?;
    let stems = list::stems(store, output)?;
    let mut progress = Progress::new(what, stems.len(), output);
    let (mut done, mut written, mut failed, mut untold) = (0usize, 0usize, 0usize, None);
    let act = |place: usize| stems.get(place).map_or(Ok(false), |stem| again(store, stem, goal));
    workers::each(stems.len(), stop, act, |place, answer| {
        done = done.saturating_add(1);
        match answer {
            Ok(true) => written = written.saturating_add(1),
            Ok(false) => {}
            Err(error) => {
                failed = failed.saturating_add(1);
                progress.clear();
                let user = stems.get(place).map_or("", String::as_str);
                let told = NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output);
                if let Err(error) = told {
                    stop.store(true, Ordering::Relaxed);
                    untold.get_or_insert(error);
                }
            }
        }
        progress.step();
    });
    drop(progress);
    if done < stems.len() {
        return Err(CliError::Interrupted { done, of: stems.len(), why: untold.map(Box::new) });
    }
    failed = failed.saturating_add(tokens(store, goal, output)?);
    if failed == 0 { Ok(written) } else { Err(CliError::NotDone(failed)) }
}

/// The account of a record, and its credentials as they are in the file.
fn of_stem(store: &FileStore, stem: &str) -> Result<(Account, Option<Credentials>), CoreError> {
    let (account, record) = store.read_of(stem, |name| account(store, name))?;
    Ok((account, record.map(|record| record.credentials)))
}

/// An account that is gone may have left a record: its number is that of the files.
fn account(store: &FileStore, name: &UserName) -> Result<Account, CoreError> {
    if let Some(account) = accounts::account(name.as_str())? {
        return Ok(account);
    }
    let gone = Account { name: name.clone(), ..Account::nobody() };
    let uid = store.owner_of(&gone)?.unwrap_or(gone.uid);
    Ok(Account { uid, gid: uid, ..gone })
}

/// Writes one record again, under a new enrollment; `false` if it is as it is to be.
fn again(store: &FileStore, stem: &str, goal: Goal) -> Result<bool, CoreError> {
    let (account, credentials) = of_stem(store, stem)?;
    if credentials.is_none_or(|credentials| !credentials.has_secrets() || goal.is_met_by(&credentials)) {
        return Ok(false);
    }
    let enrollment = new_enrollment(random::entropy)?;
    Ok(change(store, &account, &Note::here("sealed"), |record| {
        match record.filter(|record| record.credentials.has_secrets()) {
            Some(record) => (Change::Record(Box::new(record.renewed(enrollment))), true),
            None => (Change::Keep, false),
        }
    })?)
}

/// The tokens in stock. Returns for how many it failed.
fn tokens(store: &FileStore, goal: Goal, output: &Output) -> Result<usize, CliError> {
    let Some(stock) = store.stock().map_err(CoreError::from)? else { return Ok(0) };
    let (locked, mut failed) = (stock.lock().map_err(CoreError::from)?, 0usize);
    for file in stock.names().map_err(CoreError::from)? {
        let written = stock.of_file(&file).and_then(|spare| match spare {
            Some(spare) if stock.sealed_under(&file)? != under(goal) => locked.replace(&spare),
            Some(_) | None => Ok(()),
        });
        if let Err(error) = written.map_err(CoreError::from) {
            failed = failed.saturating_add(1);
            NotDone { user: &file, error: error.to_string(), hint: error.hint() }.tell(output)?;
        }
    }
    Ok(failed)
}

fn under(goal: Goal) -> Option<KeyId> {
    match goal {
        Goal::Under(id) => Some(id),
        Goal::Plain => None,
    }
}
