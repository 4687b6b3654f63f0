//! Enrolls many users at once, with their devices from a file.

mod bundle;
mod engine;
mod report;
mod workers;

use std::path::Path;

use otp_core::decision::import::Others;
use otp_core::store::files::open::FileStore;
use otp_core::value::time::UnixTime;
use otp_formats::pam_oath;
use otp_formats::source::{Read, Source, without};

use self::engine::Engine;
use crate::cli::{ImportOptions, ImportedFile};
use crate::error::CliError;
use crate::private_file;
use crate::seed_file::{self, OF_ALL_USERS};
use crate::ui::output::Output;

const REPLACE: &str = "Replace the devices and recovery codes of users who have other devices than in this file?";

/// Where the file is of another module, which may go on accepting codes.
const OF_A_MODULE: &str = "\
Users can log in with the next code their device shows. An import brings no recovery codes: users get\n\
them with `otp-enroll recovery`. After you have switched PAM to pam_otp, run this command again, so\n\
that codes used in between cannot be used twice. Then delete ";

/// A file that was read, and what is said of it.
struct Text<'a> {
    file: &'a Path,
    text: &'a [u8],
    /// What the administrator does next.
    next: String,
}

pub(super) fn import(file: &ImportedFile, store: &FileStore, output: &Output) -> Result<(), CliError> {
    match file {
        ImportedFile::Oath { file, how } => {
            can_be_done(how, output)?;
            let text = seed_file::read(file, OF_ALL_USERS, output)?;
            let next = format!("{OF_A_MODULE}{} and its copies: they\ncontain every user's key.", file.display());
            let read = pam_oath::read(&text, UnixTime::now());
            of_file(&Text { file, text: &text, next }, read, others(how, Others::Refuse), how, store, output)
        }
        ImportedFile::Bundle(how) => bundle::import(how, store, output),
    }
}

/// What can be found out before the file is read.
fn can_be_done(how: &ImportOptions, output: &Output) -> Result<(), CliError> {
    if asks_first(how) {
        output.can_confirm()?;
    }
    how.rejects.as_deref().map_or(Ok(()), private_file::can_be_written)?;
    Ok(())
}

fn asks_first(how: &ImportOptions) -> bool {
    how.replace && !how.yes && !how.dry_run
}

/// What becomes of other devices, where the command line does not say it.
fn others(how: &ImportOptions, unsaid: Others) -> Others {
    match (how.replace, how.add) {
        (true, _) => Others::Replace,
        (false, true) => Others::Beside,
        (false, false) => unsaid,
    }
}

/// Imports what was read. If the file has a fault, nothing is imported, unless what has one is to be left out.
fn of_file(
    Text { file, text, next }: &Text<'_>,
    Read { entries, faults }: Read<impl Source>,
    others: Others,
    how: &ImportOptions,
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    report::faults(&faults, file, output)?;
    if !faults.is_empty() && how.rejects.is_none() {
        return Err(CliError::FaultyFile(faults.len()));
    }
    if asks_first(how) {
        output.confirm(REPLACE)?;
    }
    let tally = Engine { store, others, dry_run: how.dry_run }.enroll(&entries, output)?;
    let is_whole = faults.is_empty() && tally.not_done.is_empty();
    if let Some(rejects) = how.rejects.as_deref().filter(|_| !how.dry_run && !is_whole) {
        let is_done = |place: &usize| tally.not_done.binary_search(place).is_err();
        let taken = (0..entries.count()).filter(is_done).flat_map(|place| entries.ranges(place)).collect();
        private_file::write(rejects, &without(text, taken))?;
    }
    tally.close(faults.len(), next, output)
}
