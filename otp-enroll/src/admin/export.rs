//! Writes records to a new file: encrypted, for another host, or as another program takes them.

mod bundle;
mod elsewhere;
mod leaving;
mod of_host;
mod target;

use std::collections::BTreeSet;

use otp_core::error::CoreError;
use otp_core::record::Record;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::user::{Account, UserName};
use otp_formats::elsewhere::Elsewhere;

use super::account_or_record;
use super::list;
use crate::cli::bundle::{Export, ExportElsewhere};
use crate::error::CliError;
use crate::ui::output::Output;

pub(super) fn export(export: &Export, site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let who = match &export.elsewhere {
        None => return bundle::export(&export.bundle, site, store, output),
        Some(_) if !export.bundle.is_absent() => {
            return Err(CliError::Usage(
                "users and options go after oath or uri: otp-enroll admin export oath USER --to FILE".into(),
            ));
        }
        Some(who) => who,
    };
    match who {
        ExportElsewhere::Oath(who) => elsewhere::export(who, Elsewhere::PamOath, site, store, output),
        ExportElsewhere::Uri(who) => elsewhere::export(who, Elsewhere::Uri, site, store, output),
    }
}

/// Whose records are exported, in the order of their files.
enum Chosen {
    Users(Vec<Account>),
    /// Stems of all records.
    All(Vec<String>),
}

/// One of them.
enum One<'a> {
    Account(&'a Account),
    Stem(&'a str),
}

impl Chosen {
    /// All names are looked up before anything is written. A deleted account may have left a record.
    fn of(users: &[String], all: bool, site: &Site, store: &FileStore, output: &Output) -> Result<Self, CliError> {
        if all {
            return Ok(Self::All(of_host::stems(&site.config, list::stems(store, output)?)));
        }
        let names: BTreeSet<_> = users.iter().filter_map(|user| UserName::parse(user)).collect();
        let mut accounts: Vec<Account> = Vec::new();
        for name in names {
            let account = account_or_record(store, name.as_str())?;
            of_host::keeps(&site.config, account.name.as_str())?;
            // Two spellings may be one account.
            if accounts.iter().all(|other| other.name != account.name) {
                accounts.push(account);
            }
        }
        accounts.sort_by_key(|account| account.name.file_stem());
        Ok(Self::Users(accounts))
    }

    fn count(&self) -> usize {
        match self {
            Self::Users(accounts) => accounts.len(),
            Self::All(stems) => stems.len(),
        }
    }

    fn each(&self) -> impl Iterator<Item = One<'_>> {
        let (accounts, stems): (&[Account], &[String]) = match self {
            Self::Users(accounts) => (accounts, &[]),
            Self::All(stems) => (&[], stems),
        };
        accounts.iter().map(One::Account).chain(stems.iter().map(|stem| One::Stem(stem)))
    }
}

impl One<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Account(account) => account.name.as_str(),
            Self::Stem(stem) => stem,
        }
    }

    /// The account and its record, without what belongs to this host alone, and whether it has a passcode, which does. `None` if
    /// nothing is left.
    fn read(&self, store: &FileStore) -> Result<Option<(Account, Record, bool)>, CoreError> {
        let (account, record) = match self {
            Self::Account(account) => ((*account).clone(), store.read(account)?),
            Self::Stem(stem) => list::read_of(store, stem)?,
        };
        let record = store.opened(&account, record)?;
        let has_passcode = record.as_ref().is_some_and(|record| record.credentials.passcode.is_some());
        let leaving = record.map(|record| record.departing()).filter(|record| !record.is_blank());
        Ok(leaving.map(|record| (account, record, has_passcode)))
    }
}

fn counted(users: usize) -> String {
    if users == 1 { "One user".into() } else { format!("{users} users") }
}
