//! Who has a second factor, and who has none.

use otp_core::error::Error;
use otp_core::policy::Place;
use otp_core::record::Record;
use otp_core::request::Status;
use otp_core::site::{self, Site};
use otp_core::store::FileStore;
use otp_core::time::UnixTime;
use serde::Serialize;

use super::explain::{self, Foreseen, Outcome};
use super::people;
use crate::own;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::say::Voice;

/// A record that cannot be used, in a list of those that can.
#[derive(Serialize)]
struct Unusable<'a> {
    file: &'a str,
    error: String,
    hint: &'a str,
}

pub(super) fn list(store: &FileStore, voice: &Voice) -> Result<(), Problem> {
    let (mut faults, now) = (0usize, UnixTime::now());
    let stems = store.stems().map_err(Error::from)?;
    let width = stems.iter().map(String::len).fold("USER".len(), usize::max);
    if stems.is_empty() {
        voice.advise("Nobody has set up a second factor.")?;
    } else {
        voice.advise(&format!("{:<width$}  FACTOR     RECOVERY  REQUIRED  LOCKED", "USER"))?;
    }
    let mut progress = Progress::new("reading records", stems.len(), voice);
    for stem in stems {
        progress.step();
        let found = listed(store, &stem, now);
        progress.clear();
        match found {
            Ok(status) => voice.result(&status, || {
                let factor = status.devices.iter().map(|device| device.r#type.as_str()).collect::<Vec<_>>().join(",");
                let factor = if factor.is_empty() { "-" } else { &factor };
                let lock = match status.lock.as_str() {
                    "open" => "-".into(),
                    "until-unlocked" => "until unlocked".into(),
                    time => format!("until {}", own::moment(time)),
                };
                let (user, left, requirement) = (&status.user, status.recovery_codes_left, &status.requirement);
                format!("{user:<width$}  {factor:<9}  {left:>8}  {requirement:<8}  {lock}")
            })?,
            Err(error) => {
                faults = faults.saturating_add(1);
                let unusable = Unusable { file: &stem, error: error.to_string(), hint: error.hint() };
                voice.result(&unusable, || format!("{stem:<width$}  unusable: {error}"))?;
            }
        }
    }
    if faults == 0 { Ok(()) } else { Err(Problem::Unusable(faults)) }
}

fn listed(store: &FileStore, stem: &str, now: UnixTime) -> Result<Status, Error> {
    let credentials = store.credentials(stem)?;
    let gone = || Error::Names {
        subject: format!("the user {:?}", credentials.user.as_str()),
        errno: nix::errno::Errno::ENOENT,
    };
    let account = site::account(credentials.user.as_str())?.ok_or_else(gone)?;
    let record = store.read(&account)?;
    Ok(Status::of(&record.unwrap_or_else(|| Record::stranger(&account)), now))
}

/// Somebody without a device, and what their next login would be.
#[derive(Serialize)]
struct WithoutDevice<'a> {
    user: &'a str,
    service: &'a str,
    outcome: Outcome,
    enforced: bool,
}

/// Everybody who can log in and has no device, and what a login through `service` from nowhere in particular would be.
pub(super) fn without_device(site: &Site, service: &str, voice: &Voice) -> Result<(), Problem> {
    let (place, enforced) = (Place { service: service.to_owned(), ..Place::default() }, site.config.enforce);
    let people = people::all()?;
    let width = people.iter().map(|account| account.name.as_str().len()).fold("USER".len(), usize::max);
    voice.advise(&format!("{:<width$}  A LOGIN BY {service} IS", "USER"))?;
    let mut faults = 0usize;
    let mut progress = Progress::new("asking the policy", people.len(), voice);
    for account in people {
        let user = account.name.as_str();
        progress.step();
        match explain::foresee(site, &account, &place) {
            Ok(Foreseen { has_device: true, .. }) => {}
            Ok(Foreseen { outcome, .. }) => {
                progress.clear();
                let text = match outcome {
                    Outcome::Asked | Outcome::Remembered | Outcome::Refused if enforced => "refused",
                    Outcome::Asked | Outcome::Remembered | Outcome::Refused => "let in (enforce = false), else refused",
                    Outcome::SetUp if enforced => "led through set-up",
                    Outcome::SetUp => "let in (enforce = false), else led through set-up",
                    Outcome::NotAsked => "let in without a code",
                };
                let without = WithoutDevice { user, service, outcome, enforced };
                voice.result(&without, || format!("{user:<width$}  {text}"))?;
            }
            Err(error @ (Error::Config(_) | Error::UnknownGroup(_) | Error::Names { .. } | Error::Entropy)) => {
                return Err(explain::at_fault(site, error));
            }
            Err(error @ Error::Store(_)) => {
                progress.clear();
                faults = faults.saturating_add(1);
                let unusable = Unusable { file: user, error: error.to_string(), hint: error.hint() };
                voice.result(&unusable, || format!("{user:<width$}  unusable: {error}"))?;
            }
        }
    }
    if faults == 0 { Ok(()) } else { Err(Problem::Unusable(faults)) }
}
