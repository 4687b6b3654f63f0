//! The import of a bundle that was made on another host: read whole before anything is changed, listed, asked about.

use std::collections::BTreeMap;
use std::io::Seek;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use otp_core::decision::arrival::Arrival;
use otp_core::decision::import::Outcome;
use otp_core::error::CoreError;
use otp_core::protocol::request::Order;
use otp_core::record::Record;
use otp_core::record::credentials::Override;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::accounts::account;
use otp_core::system::random;
use otp_formats::bundle::{BundleError, Head, Reader};
use otp_formats::source::Whose;
use serde::Serialize;

use super::engine;
use super::entries::{Answer, Named, Unreadable};
use super::report::Tally;
use crate::admin::encryption::{self, Key, Opened};
use crate::cli::bundle::ImportBundle;
use crate::client;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Root's record may come from any person who knows the recipient or the passphrase.
const ROOT_UNNAMED: Unreadable = Unreadable {
    error: String::new(),
    hint: "age does not say who wrote a bundle; if you know, name the user after the bundle",
};

/// A bundle that was read to its end once.
struct Bundle<'a> {
    path: &'a Path,
    head: Head,
    /// What is imported of it, in the order of the file.
    guests: Vec<Guest>,
    how: &'a ImportBundle,
    store: &'a FileStore,
}

/// A record of the bundle that is to be imported.
struct Guest {
    /// Its number in the bundle, from 0.
    number: usize,
    /// The user of this host.
    user: String,
    /// Whether the command line names the user.
    is_named: bool,
}

/// Records as they come out of the bundle. Who needs one takes it; those before it wait for who needs them.
struct Feed {
    records: Reader<Opened>,
    next: usize,
    waiting: BTreeMap<usize, Record>,
}

/// What a bundle is, as JSON.
#[derive(Serialize)]
struct Brought<'a> {
    host: &'a str,
    made: String,
    users: usize,
}

pub(super) fn import(how: &ImportBundle, store: &FileStore, output: &Output) -> Result<(), CliError> {
    if how.add {
        return Err(CliError::Usage(
            "--add does not go with a bundle: a record comes as a whole; --replace puts it in place of another".into(),
        ));
    }
    let renamed = renamed(&how.rename)?;
    let asks = !how.yes && !how.dry_run;
    if asks {
        output.can_confirm()?;
    }
    let path = encryption::named(&how.file);
    let input = encryption::input(&how.file, output)?;
    let key = Key::of(how.identity.as_deref(), how.passphrase_file.as_deref(), output)?;
    let (head, guests, passed_over, reader) = whole(&path, key.open(&path, input)?, how, &renamed, output)?;
    let mut reader = reader;
    let bundle = Bundle { path: &path, head, guests, how, store };
    let made = layout::escaped(&bundle.head.made.to_string()).into_owned();
    let brought = Brought { host: &bundle.head.host, made: made.clone(), users: bundle.guests.len() };
    let (users, host) = (counted(bundle.guests.len()), &bundle.head.host);
    output.result(&brought, || format!("A bundle of {host}, made {made}: {users}.\n"))?;
    if passed_over > 0 {
        let them = if passed_over == 1 { "One record has".to_owned() } else { format!("{passed_over} records have") };
        output.advise(&format!("{them} no device, only an override: such come with --with-overrides.\n"))?;
    }
    if asks || how.dry_run {
        let tally;
        (tally, reader) = bundle.each(reader, true, output)?;
        if how.dry_run {
            return tally.close(0, "", output);
        }
        output.confirm(&format!(
            "Import {} from this bundle?",
            if bundle.guests.len() == 1 { "this" } else { "these" }
        ))?;
    }
    let (tally, _) = bundle.each(reader, false, output)?;
    let next = format!(
        "Codes that were used on {host} are used here, too. A user whose record is still there has the same device on two\n\
         hosts: one code may let in once on each. Delete the bundle when all hosts have it: any person who opens it has every key."
    );
    tally.close(0, &next, output)
}

fn counted(users: usize) -> String {
    if users == 1 { "one user".into() } else { format!("{users} users") }
}

/// OLD=NEW of the command line.
fn renamed(options: &[String]) -> Result<BTreeMap<&str, &str>, CliError> {
    let mut renamed = BTreeMap::new();
    for option in options {
        let names = option.split_once('=').filter(|(old, new)| !old.is_empty() && !new.is_empty());
        let Some((old, new)) = names else {
            return Err(CliError::Usage(format!("--rename {option}: write the name there and the name here, OLD=NEW")));
        };
        if renamed.insert(old, new).is_some() {
            return Err(CliError::Usage(format!("--rename names {old} twice")));
        }
    }
    Ok(renamed)
}

/// Reads to the end of the bundle, so that nothing is changed for one that is cut off. Returns what is to be imported, how many
/// were passed over, and the reader at the beginning again.
fn whole(
    path: &Path,
    opened: Opened,
    how: &ImportBundle,
    renamed: &BTreeMap<&str, &str>,
    output: &Output,
) -> Result<(Head, Vec<Guest>, usize, Reader<Opened>), CliError> {
    let failed = |error| encryption::unreadable(path, error);
    let mut reader = Reader::begin(opened).map_err(failed)?;
    let head = reader.head().clone();
    let (mut guests, mut passed_over, mut number) = (Vec::new(), 0usize, 0usize);
    let mut unseen: Vec<&str> = how.users.iter().map(String::as_str).chain(renamed.keys().copied()).collect();
    {
        let mut progress = Progress::counting("reading the bundle", output);
        while let Some(record) = reader.next_record().map_err(failed)? {
            progress.step();
            let name = record.credentials.user.as_str();
            unseen.retain(|unseen| *unseen != name);
            let is_told = renamed.contains_key(name) || how.users.iter().any(|user| user == name);
            let is_wanted = how.users.is_empty() || is_told;
            let brings =
                record.is_enrolled() || (how.with_overrides && record.credentials.user_override != Override::None);
            if is_wanted && brings {
                let user = renamed.get(name).copied().unwrap_or(name).to_owned();
                guests.push(Guest { number, user, is_named: is_told });
            } else if is_wanted && !record.is_blank() {
                passed_over = passed_over.saturating_add(1);
            }
            number = number.saturating_add(1);
        }
    }
    if let Some(user) = unseen.first() {
        return Err(CliError::Reported {
            error: format!("{} has no record of {user}", path.display()),
            hint: "nothing was changed; write the name that the user has in the bundle: --dry-run lists them".into(),
        });
    }
    for new in renamed.values() {
        if guests.iter().filter(|guest| guest.user == *new).count() > 1 {
            return Err(CliError::Reported {
                error: format!("{new} would get two records of the bundle"),
                hint: "nothing was changed; name the users to import after the bundle".into(),
            });
        }
    }
    Ok((head, guests, passed_over, again(path, reader)?))
}

/// The reader at the beginning again.
fn again(path: &Path, reader: Reader<Opened>) -> Result<Reader<Opened>, CliError> {
    let failed = |error| encryption::unreadable(path, error);
    let mut opened = reader.into_inner();
    opened.rewind().map_err(|error| failed(BundleError::Unreadable(error)))?;
    Reader::begin(opened).map_err(failed)
}

impl Bundle<'_> {
    /// Goes through all guests, and tells of each.
    fn each(
        &self,
        reader: Reader<Opened>,
        dry_run: bool,
        output: &Output,
    ) -> Result<(Tally, Reader<Opened>), CliError> {
        let feed = Mutex::new(Feed { records: reader, next: 0, waiting: BTreeMap::new() });
        let act = |place: usize| {
            let user = self.guests.get(place).map_or("", |guest| &guest.user);
            (Named::Whose(Whose::User(user.to_owned())), self.one(place, &feed, dry_run))
        };
        let tally = engine::in_order(self.guests.len(), act, dry_run, output)?;
        let feed = feed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let reader = if dry_run { again(self.path, feed.records)? } else { feed.records };
        Ok((tally, reader))
    }

    fn one(&self, place: usize, feed: &Mutex<Feed>, dry_run: bool) -> Result<Answer, CoreError> {
        let Some(guest) = self.guests.get(place) else { return Ok(Answer::Nothing) };
        // Taken also where it is of no use, so that it does not wait.
        let taken = feed.lock().unwrap_or_else(PoisonError::into_inner).take(guest.number, &self.guests);
        let record = match taken {
            Ok(record) => record,
            Err(error) => {
                let error = format!("the bundle {error}");
                return Ok(Answer::Unreadable(Unreadable { error, hint: "it was whole a moment ago: import again" }));
            }
        };
        let Some(account) = account(&guest.user)? else { return Ok(Answer::NoSuchUser) };
        if account.uid == 0 && !guest.is_named {
            let error = format!("{} is an account of root, which comes only if it is named", guest.user);
            return Ok(Answer::Unreadable(Unreadable { error, ..ROOT_UNNAMED }));
        }
        let (replace, with_override) = (self.how.replace, self.how.with_overrides);
        let arrival = Arrival { record: &record, replace, with_override, passcode_at: None };
        let enrollment = new_enrollment(random::entropy)?;
        let outcome = if dry_run {
            let here = self.store.read_open(&account)?;
            let outcome = arrival.into_record(&account, here.as_ref(), enrollment).1;
            if outcome != Outcome::HasOthers {
                return Ok(Answer::Done(outcome, self.remarks(&record, here.as_ref(), outcome)));
            }
            outcome
        } else {
            self.store.change_open(&account, &Note::here("imported"), |here| {
                arrival.into_record(&account, here, enrollment)
            })?
        };
        if outcome == Outcome::HasOthers {
            let hint = "to replace it by what is in the bundle: --replace";
            return Ok(Answer::Unreadable(Unreadable { error: "has a second factor already".into(), hint }));
        }
        if let Some(what) = outcome.word() {
            client::log_change(account.name.as_str(), what);
        }
        let there = record.credentials.user_override;
        if self.how.with_overrides && there != Override::None {
            client::log_change(account.name.as_str(), Order::Override(there).word());
        }
        Ok(Answer::Done(outcome, self.of_override(there)))
    }

    /// What a record brings, and what it takes the place of.
    fn remarks(&self, record: &Record, here: Option<&Record>, outcome: Outcome) -> Vec<String> {
        let mut remarks = Vec::new();
        if matches!(outcome, Outcome::Imported | Outcome::Replaced) && record.is_enrolled() {
            let left = record.credentials.recovery_left(&record.state).unwrap_or(0);
            remarks.push(format!("{} with {left} recovery codes left", devices(record)));
        }
        if outcome == Outcome::Replaced
            && let Some(here) = here
        {
            remarks.push(format!("in place of {}", devices(here)));
        }
        remarks.extend(self.of_override(record.credentials.user_override));
        remarks
    }

    /// What becomes of the override of the other host.
    fn of_override(&self, there: Override) -> Vec<String> {
        match (there, self.how.with_overrides) {
            (Override::None, _) => Vec::new(),
            (_, true) => vec![format!("override {}", there.name())],
            (_, false) => vec![format!("its override {} does not come: --with-overrides", there.name())],
        }
    }
}

/// The names of a record's devices.
fn devices(record: &Record) -> String {
    let devices = &record.credentials.devices;
    let names = devices.iter().map(|device| {
        let (name, kind) = (device.name.as_str(), device.kind.word());
        let progress = record.state.devices.get(device.id);
        let mark = match progress {
            Some(progress) if !progress.is_confirmed => ", not confirmed yet",
            Some(progress) if progress.awaits_resync => ", waits for a resync",
            Some(_) | None => "",
        };
        format!("{name} ({kind}{mark})")
    });
    names.collect::<Vec<_>>().join(", ")
}

impl Feed {
    /// The record with this number in the bundle. Numbers are asked for nearly in their order, each once.
    fn take(&mut self, number: usize, guests: &[Guest]) -> Result<Record, BundleError> {
        if let Some(record) = self.waiting.remove(&number) {
            return Ok(record);
        }
        loop {
            let record = self.records.next_record()?.ok_or(BundleError::Cut)?;
            let this = self.next;
            self.next = this.saturating_add(1);
            if this == number {
                return Ok(record);
            }
            if guests.binary_search_by_key(&this, |guest| guest.number).is_ok() {
                self.waiting.insert(this, record);
            }
        }
    }
}
