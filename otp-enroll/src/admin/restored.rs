//! After a restore: codes that were used since the backup must not work again.

use std::sync::atomic::Ordering;

use otp_core::error::CoreError;
use otp_core::record::change::Change;
use otp_core::record::credentials::Kind;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::{Note, Unsaid};
use otp_core::system::config_file::Site;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use super::list;
use super::not_done::NotDone;
use crate::client;
use crate::error::{CliError, ScreenError};
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::ui::signals;

/// What is asked first.
const QUESTION: &str = "\
Records were restored from a backup: codes up to now are used up, tokens with a counter wait for a resync, passcodes and\n\
remembered addresses end. Do this for all users";

const CODES_STAY: &str = "\
Recovery codes are as they were in the backup: one that was used since then works once more. To void them all:\n\
otp-enroll admin restored --void-recovery. ";

const NEXT: &str = "\
A device that was removed since the backup is back, and one that was added since is gone: tell your users.\n\
Tokens with a counter: otp-enroll resync, or otp-enroll admin resync USER.";

/// The answer for one user.
#[derive(Serialize)]
struct Restored<'a> {
    user: &'a str,
    changed: bool,
    /// Devices whose codes wait for a resync.
    awaits_resync: Vec<&'a str>,
}

pub(super) fn restored(
    site: &Site,
    store: &FileStore,
    void_recovery: bool,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    let window = site.config.settings.limits.window;
    if !yes {
        let also = if void_recovery { ", and void all recovery codes?" } else { "?" };
        output.confirm(&format!("{}{also}", QUESTION.replace('\n', " ")))?;
    }
    let stop = signals::between_users().map_err(ScreenError::Signals)?;
    let stems = list::stems(store, output)?;
    let (mut done, mut failed, mut progress) = (0usize, 0usize, Progress::new("users", stems.len(), output));
    for stem in &stems {
        if stop.load(Ordering::Relaxed) {
            drop(progress);
            return Err(CliError::Interrupted { done, of: stems.len(), why: None });
        }
        match one(store, stem, void_recovery, window) {
            Ok(Some((user, waiting))) if !waiting.is_empty() || output.json => {
                progress.clear();
                let awaits_resync: Vec<_> = waiting.iter().map(String::as_str).collect();
                let text = format!("{user}: {} waits for a resync", waiting.join(", "));
                output.done(&Restored { user: &user, changed: true, awaits_resync }, &text)?;
            }
            Ok(_) => {}
            Err(error) => {
                progress.clear();
                failed = failed.saturating_add(1);
                NotDone { user: stem, error: error.to_string(), hint: error.hint() }.tell(output)?;
            }
        }
        done = done.saturating_add(1);
        progress.step();
    }
    drop(progress);
    let kept = if void_recovery { "" } else { CODES_STAY };
    output.advise(&format!("\n{kept}{NEXT}")).map_err(CliError::although_done)?;
    if failed == 0 { Ok(()) } else { Err(CliError::NotDone(failed)) }
}

/// One record, and the names of devices that wait now; `None` if nothing is enrolled there.
fn one(
    store: &FileStore,
    stem: &str,
    void_recovery: bool,
    window: u64,
) -> Result<Option<(String, Vec<String>)>, CoreError> {
    let (account, _) = list::read_of(store, stem)?;
    let (enrollment, now) = (new_enrollment(random::entropy)?, UnixTime::now());
    let Unsaid(waiting) =
        change(store, &account, &Note::here("restored"), |record| match record.filter(|record| !record.is_blank()) {
            Some(record) => {
                let devices = record.credentials.devices.iter().filter(|device| device.kind == Kind::Hotp);
                let waiting: Vec<_> = devices.map(|device| device.name.as_str().to_owned()).collect();
                (
                    Change::Record(Box::new(record.restored(void_recovery, window, enrollment, now))),
                    Unsaid(Some(waiting)),
                )
            }
            None => (Change::Keep, Unsaid(None)),
        })?;
    let user = account.name.as_str();
    if waiting.is_some() {
        client::log_change(user, "restored");
    }
    Ok(waiting.map(|waiting| (user.to_owned(), waiting)))
}
