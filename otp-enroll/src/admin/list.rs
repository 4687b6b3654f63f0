//! Users with and without a second factor.

use std::mem;

use otp_core::decision::verify::Limits;
use otp_core::error::CoreError;
use otp_core::protocol::request::{DeviceStatus, Status};
use otp_core::record::Record;
use otp_core::record::state::Unenforced;
use otp_core::store::error::StoreError;
use otp_core::store::files::list::FoundCredentials;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts::account;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use super::accounts::{self, Names, Shell};
use super::ahead::{self, LookUps};
use super::fleet_users::{FleetUsers, Found};
use super::foreseen::{Outcome, at_fault, foresee};
use super::known_user::KnownUser;
use crate::error::CliError;
use crate::language;
use crate::ui::listing::Listing;
use crate::ui::output::Output;
use crate::ui::progress::Progress;
use crate::user::passcode;

/// Characters of the column FACTOR.
const FACTOR_WIDTH: usize = 13;

/// A record that cannot be used.
#[derive(Serialize)]
pub(super) struct Unusable<'a> {
    pub(super) file: &'a str,
    pub(super) error: String,
    pub(super) hint: &'a str,
}

pub(super) fn list(store: &FileStore, limits: &Limits, output: &Output) -> Result<(), CliError> {
    let now = UnixTime::now();
    let stems = stems(store, output)?;
    let width = widest(&stems);
    let mut faults = 0usize;
    Listing::of(output, |listing| {
        let mut progress = Progress::new("reading records", stems.len(), output);
        let mut has_heading = false;
        let status = |read: Read| {
            let (_, record) = read?;
            Ok(record.filter(|record| !record.is_blank()).map(|record| Status::of(&record, limits, now)))
        };
        let statuses = |stems: &[String], look_ups: &LookUps| read_all(store, stems, look_ups).map(status).collect();
        ahead::each(&stems, statuses, |stem, status: Result<Option<Status>, CoreError>| {
            progress.step();
            let status = match status {
                Ok(None) => return Ok(()),
                Ok(Some(status)) => Ok(status),
                // The fault is not in this record, and the others would have it too.
                Err(error @ (CoreError::Names { .. } | CoreError::NoAnswer { .. })) => return Err(error.into()),
                Err(error) => Err(error),
            };
            if !mem::replace(&mut has_heading, true) {
                progress.clear();
                listing.heading(&heading(width))?;
            }
            match status {
                Ok(status) => listing.result(&mut progress, &status, || line(&status, width)),
                Err(error) => {
                    faults = faults.saturating_add(1);
                    let unusable = Unusable { file: stem, error: error.to_string(), hint: error.hint() };
                    listing.result(&mut progress, &unusable, || format!("{stem:<width$}  unusable: {error}"))
                }
            }
        })?;
        progress.clear();
        if !has_heading {
            listing.advise("No user has set up a second factor.")?;
        }
        Ok(())
    })?;
    if faults == 0 { Ok(()) } else { Err(CliError::Unusable(faults)) }
}

pub(super) fn heading(width: usize) -> String {
    format!("{:<width$}  {:<FACTOR_WIDTH$}  RECOVERY  OVERRIDE  LOCKED", "USER", "FACTOR")
}

pub(super) fn line(status: &Status, width: usize) -> String {
    let devices = Some(kinds_of(&status.devices)).filter(|kinds| !kinds.is_empty());
    let passcode = status.passcode.as_ref().filter(|passcode| passcode::is_good(passcode));
    let factor = match (devices, passcode) {
        (Some(devices), _) => devices,
        (None, Some(_)) => "passcode".to_owned(),
        (None, None) => "-".to_owned(),
    };
    let lock = match status.lock.as_str() {
        "open" => "-".into(),
        "until-unlocked" => "until unlocked".into(),
        time => format!("until {}", language::moment(time)),
    };
    let marked = |what: &str, names: Vec<&str>| {
        if names.is_empty() { String::new() } else { format!("  ! {what}: {}", names.join(", ")) }
    };
    let devices = |is: fn(&DeviceStatus) -> bool| {
        status.devices.iter().filter(|device| is(device)).map(|device| device.name.as_str()).collect()
    };
    let future = marked("in the future", status.in_future.iter().map(String::as_str).collect());
    let unconfirmed = marked("not confirmed yet", devices(|device| !device.confirmed));
    let lost = marked("waits for a resync", devices(|device| device.awaits_resync));
    let (user, left, user_override) = (&status.user, status.recovery_codes_left, &status.user_override);
    format!("{user:<width$}  {factor:<FACTOR_WIDTH$}  {left:>8}  {user_override:<8}  {lock}{future}{unconfirmed}{lost}")
}

/// The kinds of these devices, each once, and their number where it is another: `totp`, `totp,hotp`, `3 totp,sms`. Kinds that do
/// not fit the column are counted: `4 totp,+2`.
fn kinds_of(devices: &[DeviceStatus]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for device in devices {
        if !kinds.contains(&&*device.r#type) {
            kinds.push(&device.r#type);
        }
    }
    let number = if kinds.len() == devices.len() { String::new() } else { format!("{} ", devices.len()) };
    let all = format!("{number}{}", kinds.join(","));
    match kinds.as_slice() {
        [first, others @ ..] if all.len() > FACTOR_WIDTH => format!("{number}{first},+{}", others.len()),
        _ => all,
    }
}

/// The stems of all records, in order.
pub(super) fn stems(store: &FileStore, output: &Output) -> Result<Vec<String>, CliError> {
    let mut progress = Progress::counting("looking for records", output);
    Ok(store.stems(|| progress.step()).map_err(CoreError::from)?)
}

/// An account and its record, which may be gone.
type Read = Result<(Account, Option<Record>), CoreError>;

pub(super) fn read_of(store: &FileStore, stem: &str) -> Read {
    store.read_of(stem, known)
}

/// Some records and their accounts, which are looked up in one go.
fn read_all(store: &FileStore, stems: &[String], look_ups: &LookUps) -> impl Iterator<Item = Read> {
    let found: Vec<_> = stems.iter().map(|stem| store.find(stem)).collect();
    let with_account = |found: Result<FoundCredentials, StoreError>| -> Result<_, CoreError> {
        let found = found?;
        let account = known(found.user())?;
        Ok((found, account))
    };
    let found: Vec<_> = look_ups.ask(|| found.into_iter().map(with_account).collect());
    found.into_iter().map(|found| {
        let (found, account) = found?;
        let record = store.read_found(found, &account)?;
        Ok((account, record))
    })
}

fn known(user: &UserName) -> Result<Account, CoreError> {
    account(user.as_str())?.ok_or_else(|| CoreError::NoAccount(user.to_string()))
}

fn widest(names: &[String]) -> usize {
    names.iter().map(String::len).fold("USER".len(), usize::max)
}

/// What a service's PAM file says of logins through it.
#[derive(Clone, Copy)]
pub(super) struct LineOfService {
    /// Whether each line that calls the module offers enrollment; `None` if no file tells.
    pub(super) offered: Option<bool>,
    /// Whether a line sends codes.
    pub(super) send: bool,
    pub(super) shell: Shell,
}

/// A user without a device, and the result of a login of theirs.
#[derive(Serialize)]
struct WithoutDevice<'a> {
    user: &'a str,
    service: &'a str,
    outcome: Outcome,
    enforced: bool,
}

/// What is known before users are looked up one by one.
#[derive(Default)]
pub(super) struct Seen {
    /// The stems of those who have a device, in order.
    pub(super) with_device: Vec<String>,
    pub(super) fleet: FleetUsers,
}

impl Seen {
    pub(super) fn of(site: &Site, store: &FileStore, output: &Output) -> Result<Self, CliError> {
        let mut seen = Self { fleet: FleetUsers::of(site, output, |_, _| Ok(()))?, ..Self::default() };
        seen.read_records(site, store, output, |_, _, _| Ok(()))?;
        Ok(seen)
    }

    /// Reads the records of this host: that takes less than to look up each user by name, and whether there is a record. `tell`
    /// hears of each user whose last login would have been refused.
    pub(super) fn read_records(
        &mut self,
        site: &Site,
        store: &FileStore,
        output: &Output,
        mut tell: impl FnMut(&mut Progress, &Account, &Unenforced) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let stems = stems(store, output)?;
        let mut progress = Progress::new("reading records", stems.len(), output);
        let all_told = |stems: &[String], look_ups: &LookUps| {
            let read = read_all(store, stems, look_ups);
            stems.iter().zip(read).map(|(stem, read)| told(site, stem, read)).collect()
        };
        ahead::each(&stems, all_told, |stem, told: Result<Told, CoreError>| {
            progress.step();
            let Told { has_device, unenforced } = told?;
            if let Some((account, unenforced)) = unenforced {
                tell(&mut progress, &account, &unenforced)?;
            }
            if has_device {
                self.with_device.push(stem.clone());
            }
            Ok(())
        })
    }
}

/// What a record tells.
#[derive(Default)]
struct Told {
    /// It has a device, and its file name is the user's.
    has_device: bool,
    unenforced: Option<(Account, Unenforced)>,
}

/// Nothing if its user's is the fleet's.
fn told(site: &Site, stem: &str, read: Read) -> Result<Told, CoreError> {
    match read {
        Ok((account, _)) if site.config.is_of_fleet(account.name.as_str()) => Ok(Told::default()),
        Ok((account, Some(Record { credentials, state }))) => Ok(Told {
            has_device: credentials.has_device() && account.name.file_stem() == stem,
            unenforced: state.unenforced.map(|unenforced| (account, unenforced)),
        }),
        Err(error @ (CoreError::Names { .. } | CoreError::NoAnswer { .. })) => Err(error),
        // A record that cannot be used is told of where its user is.
        Ok((_, None)) | Err(_) => Ok(Told::default()),
    }
}

/// Lists users who can log in and have no device, with the result of a login through `service` without address and
/// terminal.
pub(super) fn without_device(
    site: &Site,
    store: &FileStore,
    service: &str,
    LineOfService { offered, send, shell }: LineOfService,
    names: Names,
    Seen { with_device, fleet }: &Seen,
    output: &Output,
) -> Result<(), CliError> {
    let enroll = offered.unwrap_or(true);
    let place = LoginContext { service: service.to_owned(), enroll, send, ..LoginContext::default() };
    let enforced = site.config.settings.enforce;
    let now = UnixTime::now();
    let names = names.answer(output)?;
    let width = widest(&names);
    let mut faults = 0usize;
    Listing::of(output, |listing| {
        listing.heading(&format!("{:<width$}  A LOGIN THROUGH {service} IS", "USER"))?;
        let mut progress = Progress::new("asking the policy", names.len(), output);
        let read = |names: &[String], look_ups: &LookUps| {
            let has_device = |name: &str| {
                let stem = UserName::parse(name).map(|name| name.file_stem());
                stem.is_some_and(|stem| with_device.binary_search(&stem).is_ok())
            };
            let account = |name: &String| if has_device(name) { Ok(None) } else { accounts::person(name, shell) };
            let accounts: Vec<_> = look_ups.ask(|| names.iter().map(account).collect());
            accounts
                .into_iter()
                .map(|account| Ok(account?.and_then(|account| read_without(site, store, account))))
                .collect()
        };
        ahead::each(&names, read, |_, read: Result<Option<Person>, CoreError>| {
            progress.step();
            let Some(person) = read? else { return Ok(()) };
            let name = person.account.name.clone();
            let user = name.as_str();
            match without(site, store, fleet, person, &place, now)? {
                Without::HasDevice => {}
                Without::Foreseen(outcome) => {
                    let outcome = outcome.if_offered(offered);
                    let without = WithoutDevice { user, service, outcome, enforced };
                    let text = outcome_text(outcome, enforced);
                    listing.result(&mut progress, &without, || format!("{user:<width$}  {text}"))?;
                }
                Without::Unusable { error, hint } => {
                    faults = faults.saturating_add(1);
                    let unusable = Unusable { file: user, error, hint: &hint };
                    listing
                        .result(&mut progress, &unusable, || format!("{user:<width$}  unusable: {}", unusable.error))?;
                }
            }
            Ok(())
        })
    })?;
    if faults == 0 { Ok(()) } else { Err(CliError::Unusable(faults)) }
}

/// A person who may have no device.
struct Person {
    account: Account,
    /// What this host has of it; `None` if its record is the fleet's.
    record: Option<Result<Option<Record>, CoreError>>,
}

/// `None` for a user who has a device by what this host has.
fn read_without(site: &Site, store: &FileStore, account: Account) -> Option<Person> {
    if site.config.is_of_fleet(account.name.as_str()) {
        return Some(Person { account, record: None });
    }
    match store.read(&account) {
        Ok(Some(record)) if record.is_enrolled() => None,
        record => Some(Person { account, record: Some(record.map_err(CoreError::from)) }),
    }
}

/// What there is to list of a user.
enum Without {
    HasDevice,
    Foreseen(Outcome),
    /// What is known of the user cannot be used.
    Unusable {
        error: String,
        hint: String,
    },
}

/// Of a user whose record is not this host's, it is `fleet` that knows.
fn without(
    site: &Site,
    store: &FileStore,
    fleet: &FleetUsers,
    Person { account, record }: Person,
    place: &LoginContext,
    now: UnixTime,
) -> Result<Without, CliError> {
    let known = match record {
        Some(Ok(record)) => KnownUser::of_record(site, record.as_ref(), place, now),
        Some(Err(error)) => return unusable(site, error),
        None => match fleet.find(site, &account, place)? {
            Found::HasDevice => return Ok(Without::HasDevice),
            Found::HasNone(known) => known,
            Found::Unusable { error, hint } => return Ok(Without::Unusable { error, hint }),
        },
    };
    match foresee(site, store, &account, &known, place, now) {
        Ok(foreseen) => Ok(Without::Foreseen(foreseen.outcome)),
        Err(error) => unusable(site, error),
    }
}

/// What is wrong with the record of one user; the others have every other fault, too.
fn unusable(site: &Site, error: CoreError) -> Result<Without, CliError> {
    match error {
        CoreError::Store(_) | CoreError::NoAccount(_) => {
            Ok(Without::Unusable { error: error.to_string(), hint: error.hint().to_owned() })
        }
        CoreError::Config(_)
        | CoreError::UnknownGroup(_)
        | CoreError::Names { .. }
        | CoreError::NoAnswer { .. }
        | CoreError::Limit(_)
        | CoreError::Entropy
        | CoreError::Helper(_)
        | CoreError::Agent(_)
        | CoreError::Authority(_)
        | CoreError::NotSent(..)
        | CoreError::Privileges
        | CoreError::NoEnrollmentHere
        | CoreError::NoLookHere => Err(at_fault(site, error)),
    }
}

fn outcome_text(outcome: Outcome, enforced: bool) -> &'static str {
    match outcome {
        Outcome::Renamed if enforced => "refused: it was renamed (otp-enroll admin doctor)",
        Outcome::NotPushed if enforced => "refused: its record is not the fleet's yet (otp-enroll admin fleet push)",
        Outcome::Asked | Outcome::Grace | Outcome::Refused | Outcome::KindNotAccepted if enforced => "refused",
        Outcome::Passcode if enforced => "asked for the passcode that was issued",
        Outcome::NoPasscode if enforced => "refused: it has no passcode (otp-enroll admin issue)",
        Outcome::Asked
        | Outcome::Grace
        | Outcome::Refused
        | Outcome::KindNotAccepted
        | Outcome::Renamed
        | Outcome::NotPushed
        | Outcome::Passcode
        | Outcome::NoPasscode => "let in (enforce = false), else refused",
        Outcome::Enroll if enforced => "led through enrollment",
        Outcome::Enroll => "let in (enforce = false), else led through enrollment",
        Outcome::EnrollIfOffered if enforced => "led through enrollment if the auth line has enroll, else refused",
        Outcome::EnrollIfOffered => "let in (enforce = false)",
        Outcome::NotAsked => "let in without a code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::device_lines;

    #[test]
    fn kinds_of_devices_fit_their_column() {
        for (devices, expected) in [
            ("totp", "totp"),
            ("totp,hotp", "totp,hotp"),
            ("totp,totp", "2 totp"),
            ("hotp,email", "hotp,email"),
            ("email,email,totp", "3 email,totp"),
            ("totp,hotp,sms", "totp,hotp,sms"),
            ("totp,hotp,email", "totp,+2"),
            ("totp,totp,hotp,ocra,sms,email,totp,totp", "8 totp,+4"),
        ] {
            let devices: Vec<_> = devices.split(',').map(device).collect();
            let kinds = kinds_of(&devices);
            assert!(kinds == expected && kinds.len() <= FACTOR_WIDTH, "{kinds}");
        }
        assert_eq!(kinds_of(&[]), "");
    }

    fn device(kind: &str) -> DeviceStatus {
        DeviceStatus { r#type: kind.into(), ..device_lines::tests::device(1, "phone") }
    }
}
