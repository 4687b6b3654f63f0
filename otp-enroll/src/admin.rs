//! For the system administrator: who has what, unlock, reset, disable, check. Never shows a seed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Group, geteuid, getuid};
use otp_core::audit::Event;
use otp_core::error::Error;
use otp_core::record::{EnrolmentId, Record};
use otp_core::request::Status;
use otp_core::site::{self, Site};
use otp_core::store::{FileStore, Next, Store, StoreError, change};
use otp_core::time::UnixTime;
use otp_core::user::Account;
use serde::Serialize;

use crate::cli::{Admin, Common};
use crate::desk;
use crate::own::{self, Changed};
use crate::problem::Problem;
use crate::say::Voice;

/// Runs one command.
pub(crate) fn run(command: &Admin, common: &Common, voice: &Voice) -> Result<(), Problem> {
    if !geteuid().is_root() {
        return Err(Problem::NotRoot("administer second factors"));
    }
    if let Admin::Check = command {
        return check(common, voice);
    }
    let site = Site::load(common.config.as_deref().unwrap_or(site::CONFIG.as_ref()))?;
    let store = site.store()?;
    match command {
        Admin::List => list(&store, voice),
        Admin::Show { user } => {
            let account = account(user)?;
            let record = store.load(&account).map_err(Error::from)?.map(|loaded| loaded.record);
            own::show(&Status::of(&record.unwrap_or_else(|| Record::stranger(&account)), UnixTime::now()), voice)
        }
        Admin::Unlock { users } => each(users, voice, "unlocked", "was not locked", |account| unlock(&store, account)),
        Admin::Reset { users, yes } => {
            sure(*yes, voice, "Forget devices and recovery codes of", users)?;
            each(users, voice, "reset", "had no second factor", |account| {
                let enrolment = new_enrolment()?;
                forget(&store, account, |record| record.without_devices(enrolment))
            })
        }
        Admin::Disable { users, yes } => {
            sure(*yes, voice, "Forget everything about the second factor of", users)?;
            each(users, voice, "disabled", "had no second factor", |account| forget(&store, account, |_| Next::Nothing))
        }
        Admin::Check => Ok(()), // served above, since it must also run where the configuration cannot be read
    }
}

fn account(user: &str) -> Result<Account, Problem> {
    site::account(user)?.ok_or_else(|| Problem::NoSuchUser(user.to_owned()))
}

fn sure(yes: bool, voice: &Voice, question: &str, users: &[String]) -> Result<(), Problem> {
    if yes { Ok(()) } else { voice.must_mean(&format!("{question} {}?", users.join(", "))) }
}

/// Does something to each user, logs and reports it. All names are looked up before anything is done to one of them.
fn each(
    users: &[String],
    voice: &Voice,
    what: &str,
    otherwise: &str,
    act: impl Fn(&Account) -> Result<bool, Error>,
) -> Result<(), Problem> {
    let accounts = users.iter().map(|user| account(user)).collect::<Result<Vec<_>, _>>()?;
    for account in accounts {
        let user = account.name.as_str();
        let changed = act(&account)?;
        if changed {
            desk::log(&Event::Change { user, by: getuid().as_raw(), what, why: None });
        }
        voice.done(&Changed { user, changed }, &format!("{user} {}", if changed { what } else { otherwise }))?;
    }
    Ok(())
}

fn unlock(store: &FileStore, account: &Account) -> Result<bool, Error> {
    Ok(change(store, account, |record| match record.map(|record| (record, record.unlocked())) {
        Some((record, state)) if state != record.state => (Next::State(state), true),
        Some(_) | None => (Next::Keep, false),
    })?)
}

/// Removes what `how` says from a record; a record that cannot be read is removed whole.
fn forget(store: &FileStore, account: &Account, how: impl Fn(&Record) -> Next) -> Result<bool, Error> {
    match change(store, account, |record| record.map_or((Next::Keep, false), |record| (how(record), true))) {
        Err(StoreError::Damaged { .. } | StoreError::Untrusted { .. }) => Ok(store.purge(account)?),
        answer => Ok(answer?),
    }
}

fn new_enrolment() -> Result<EnrolmentId, Error> {
    let mut id = [0; 16];
    site::entropy(&mut id)?;
    Ok(EnrolmentId(id))
}

/// A record that cannot be used, in a list of those that can.
#[derive(Serialize)]
struct Unusable<'a> {
    file: &'a str,
    error: String,
    hint: &'a str,
}

fn list(store: &FileStore, voice: &Voice) -> Result<(), Problem> {
    let (mut faults, now) = (0usize, UnixTime::now());
    let stems = store.stems().map_err(Error::from)?;
    let width = stems.iter().map(String::len).fold("USER".len(), usize::max);
    if stems.is_empty() {
        voice.advise("Nobody has set up a second factor.")?;
    } else {
        voice.advise(&format!("{:<width$}  FACTOR     RECOVERY  REQUIRED  LOCKED", "USER"))?;
    }
    for stem in stems {
        match listed(store, &stem, now) {
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
    let record = store.load(&account)?.map(|loaded| loaded.record);
    Ok(Status::of(&record.unwrap_or_else(|| Record::stranger(&account)), now))
}

/// What `admin check` answers to a script.
#[derive(Serialize)]
struct Checked {
    faults: Vec<String>,
}

fn check(common: &Common, voice: &Voice) -> Result<(), Problem> {
    let path = common.config.as_deref().unwrap_or(site::CONFIG.as_ref());
    let faults = match Site::load(path) {
        Ok(site) => faults_of(&site),
        Err(error) => vec![error.to_string()],
    };
    let count = faults.len();
    let checked = Checked { faults };
    voice.result(&checked, || match checked.faults.as_slice() {
        [] => format!("{}: good", path.display()),
        faults => faults.join("\n"),
    })?;
    if count == 0 { Ok(()) } else { Err(Problem::Faults(count)) }
}

fn faults_of(site: &Site) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    for group in site.config.policy.groups() {
        match Group::from_name(group) {
            Ok(Some(_)) => {}
            Ok(None) => faults.push(format!("{}: {}", site.path.display(), Error::UnknownGroup(group.to_owned()))),
            Err(errno) => faults.push(Error::Names { subject: format!("the group {group:?}"), errno }.to_string()),
        }
    }
    if let Err(error) = site.store() {
        faults.push(error.to_string());
    }
    faults.extend(helper_fault(&site.config.state_directory));
    faults
}

/// Without the helper root can still log in with codes; users cannot set anything up.
fn helper_fault(state: &Path) -> Option<String> {
    let helper = site::HELPER;
    let metadata = match std::fs::symlink_metadata(helper) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{helper}: {error}")),
    };
    let group = std::fs::metadata(state).map(|state| state.gid());
    if !metadata.is_file() || metadata.uid() != 0 || metadata.mode() & 0o7777 != 0o2755 {
        Some(format!("{helper}: must be a file of root:pam_otp with mode 2755"))
    } else if group.is_ok_and(|group| group != metadata.gid()) {
        // Set-group-ID to any other group, it could reach what it should not, and not what it should.
        Some(format!("{helper}: must be of the same group as {}", state.display()))
    } else {
        None
    }
}
