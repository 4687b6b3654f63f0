//! Enrolls many users at once, with their devices from a file.

mod as_user;
mod bundle;
mod engine;
mod entries;
mod homes;
mod report;
mod shelf;
mod together;
mod tokens;
pub(super) mod workers;

use std::io;
use std::path::Path;

use otp_core::codes::hotp_totp::LOOK_AHEAD;
use otp_core::decision::import::Others;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use otp_formats::google_authenticator::Windows;
use otp_formats::seed::Encoding;
use otp_formats::source::{Read, Source, without};
use otp_formats::text::Text;
use otp_formats::{csv, pam_oath, uri};

use self::engine::Engine;
use self::homes::Homes;
use super::accounts;
use crate::cli::token_files::TokenFile;
use crate::cli::{ImportOptions, ImportedFile};
use crate::error::CliError;
use crate::private_file;
use crate::seed_file::{self, OF_ALL_USERS, SeedFile};
use crate::ui::output::Output;

const REPLACE: &str = "Replace the devices and recovery codes of users who have other devices than in this file?";

/// Where the file is of another module, which may go on accepting codes.
const OF_A_MODULE: &str = "\
Users can log in with the next code their device shows. An import brings no recovery codes: users get\n\
them with `otp-enroll recovery`. After you have switched PAM to pam_otp, run this command again, so\n\
that codes used in between cannot be used twice. Then delete ";

/// The same of tokens.
const OF_TOKENS: &str = "\
Each token is confirmed by its first right code at a login. Those without a user are in stock:\n\
`otp-enroll admin tokens` lists them, and `otp-enroll admin assign` gives one to a user. Then delete\n";

/// A file that was read, and what is said of it.
struct Input<'a> {
    file: &'a Path,
    text: &'a dyn Text,
    /// What the administrator does next.
    next: String,
    /// Where what has a fault goes; without it such a file is not imported.
    rejects: Option<&'a Path>,
}

/// Where the files are google-authenticator's.
const OF_HOMES: &str = "\
Users can log in with the next code their phone shows, and with their scratch codes. After you have switched PAM\n\
to pam_otp, run this command again, so that codes used in between cannot be used twice. Then remove the files:\n\
each holds the key of a user. Rate limits are not imported: [lockout] in pam_otp.toml is for all.";

pub(super) use self::as_user::answer as read_as_user;

pub(super) fn import(file: &ImportedFile, site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    match file {
        ImportedFile::Oath { file, rest, how } => {
            let rejects = rest.rejects.as_deref();
            can_be_done(how, rejects, output)?;
            let text = SeedFile::open(file, output)?;
            let next = format!("{OF_A_MODULE}{} and its copies: they\ncontain every user's key.", file.display());
            let read = pam_oath::read(&text, UnixTime::now()).map_err(unreadable(file))?;
            of_file(&Input { file, text: &text, next, rejects }, read, others(how, Others::Refuse), how, store, output)
        }
        ImportedFile::GoogleAuthenticator { users, all, from, how } => {
            can_be_done(how, None, output)?;
            let limits = &site.config.settings.limits;
            let windows = Windows { totp: limits.window.saturating_mul(2).saturating_add(1), hotp: LOOK_AHEAD };
            let users = if *all { accounts::Names::ask()?.answer(output)? } else { users.clone() };
            if asks_first(how) {
                output.confirm(REPLACE)?;
            }
            let homes = Homes { users, from, if_any: *all, windows };
            let engine = Engine { store, others: others(how, Others::Refuse), dry_run: how.dry_run };
            together::enroll(&engine, &homes, output)?.close(0, OF_HOMES, output)
        }
        ImportedFile::Pskc { tokens, options, rest, how } => {
            let rejects = rest.rejects.as_deref();
            can_be_done(how, rejects, output)?;
            let text = seed_file::read(&tokens.file, OF_ALL_USERS, output)?;
            let read = tokens::pskc(tokens, &text, options, output)?;
            of_tokens(&of(tokens, &text.as_slice(), rejects), read, how, store, output)
        }
        ImportedFile::Csv { tokens, seed_format, without_domain, rest, how } => {
            let rejects = rest.rejects.as_deref();
            can_be_done(how, rejects, output)?;
            let text = SeedFile::open(&tokens.file, output)?;
            let options = csv::Options { encoding: seed_format.map(Encoding::from), without_domain: *without_domain };
            let read = csv::read(&text, options, tokens::map(tokens, output)?).map_err(unreadable(&tokens.file))?;
            of_tokens(&of(tokens, &text, rejects), read, how, store, output)
        }
        ImportedFile::Uri { tokens, without_domain, rest, how } => {
            let rejects = rest.rejects.as_deref();
            can_be_done(how, rejects, output)?;
            let text = SeedFile::open(&tokens.file, output)?;
            let map = tokens::map(tokens, output)?;
            let read = uri::read(&text, *without_domain, map).map_err(unreadable(&tokens.file))?;
            of_tokens(&of(tokens, &text, rejects), read, how, store, output)
        }
        ImportedFile::Bundle(how) => bundle::import(how, store, output),
    }
}

fn unreadable(file: &Path) -> impl Fn(io::Error) -> CliError {
    |error| CliError::Unreadable { path: file.to_owned(), error }
}

/// What can be found out before the file is read.
fn can_be_done(how: &ImportOptions, rejects: Option<&Path>, output: &Output) -> Result<(), CliError> {
    if asks_first(how) {
        output.can_confirm()?;
    }
    rejects.map_or(Ok(()), private_file::can_be_written)?;
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

/// A file of tokens, and what is said of it.
fn of<'a>(TokenFile { file, .. }: &'a TokenFile, text: &'a dyn Text, rejects: Option<&'a Path>) -> Input<'a> {
    let next = format!("{OF_TOKENS}{} and its copies: they contain the key of every token.", file.display());
    Input { file, text, next, rejects }
}

/// Imports tokens, which come beside what their users have.
fn of_tokens(
    text: &Input<'_>,
    read: Read<impl Source>,
    how: &ImportOptions,
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    of_file(text, read, others(how, Others::Beside), how, store, output)
}

/// Imports what was read. If the file has a fault, nothing is imported, unless what has one is to be left out.
fn of_file(
    Input { file, text, next, rejects }: &Input<'_>,
    Read { entries, faults }: Read<impl Source>,
    others: Others,
    how: &ImportOptions,
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    report::faults(&faults, file, output)?;
    if !faults.is_empty() && rejects.is_none() {
        return Err(CliError::FaultyFile(faults.len()));
    }
    if asks_first(how) {
        output.confirm(REPLACE)?;
    }
    let tally = together::enroll(&Engine { store, others, dry_run: how.dry_run }, &entries, output)?;
    let is_whole = faults.is_empty() && tally.not_done.is_empty();
    if let Some(rejects) = rejects.filter(|_| !how.dry_run && !is_whole) {
        let is_done = |place: &usize| tally.not_done.binary_search(place).is_err();
        let taken = || (0..entries.count()).filter(is_done).map(|place| entries.ranges(place));
        private_file::write_by(rejects, |file| without(*text, taken(), file))?;
        output.advise(&format!(
            "\nWhat was not imported is in {}: fix it, import it, and delete it.",
            rejects.display()
        ))?;
    }
    tally.close(faults.len(), next, output)
}
