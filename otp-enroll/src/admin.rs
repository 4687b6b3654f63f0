//! The commands of the system administrator. They never show a seed.

mod accounts;
mod check;
mod doctor;
mod explain;
mod import;
mod list;
mod not_done;
mod report;
mod sessions;

use nix::unistd::{geteuid, getuid};
use otp_core::audit::Event;
use otp_core::error::Error;
use otp_core::protocol::request::Status;
use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::credentials::Requirement;
use otp_core::record::state::State;
use otp_core::service::enrollment::new_enrolment;
use otp_core::store::change;
use otp_core::store::error::StoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};

use self::accounts::Names;
use self::not_done::NotDone;
use crate::cli::{Admin, Common, Users};
use crate::client::{self, account};
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::commands::{self, Changed};

/// Runs one command.
pub(crate) fn run(command: &Admin, common: &Common, output: &Output) -> Result<(), CliError> {
    if !geteuid().is_root() {
        return Err(CliError::NotRoot("administer second factors"));
    }
    if let Admin::Check = command {
        return check::check(common, output);
    }
    if let Admin::Doctor { pam, sshd } = command {
        return doctor::doctor(common, pam.as_deref(), sshd.as_deref(), output);
    }
    let site = Site::load(common.config())?;
    let store = site.store()?;
    match command {
        Admin::List { without_device: false, service: _ } => list::list(&store, output),
        Admin::List { without_device: true, service } => {
            list::without_device(&site, &store, service, Names::ask()?, &[], output)
        }
        Admin::Explain { service, rhost, tty, nullok } => {
            let tty = tty.as_deref().map(LoginContext::terminal);
            let place = LoginContext { service: service.clone(), rhost: rhost.clone(), tty, nullok: *nullok };
            // A command line without a user was refused already.
            let user = common.user.as_deref().unwrap_or_default();
            explain::explain(&site, &store, &account(user)?, &place, output)
        }
        Admin::Report { service } => report::report(&site, &store, service, output),
        Admin::Require { who, end_sessions, yes } => {
            if *end_sessions && !*yes {
                output.can_confirm()?;
            }
            let require = |account: &Account| require(&store, account, Requirement::Required);
            let accounts = accounts(who, output)?;
            let (bound, not_done) = every(&accounts, output, "required", "was required already", require)?;
            if *end_sessions {
                sessions::end(&bound, *yes, output)?;
            }
            not_done
        }
        Admin::Exempt { who } => {
            let exempt = |account: &Account| require(&store, account, Requirement::Optional);
            every(&accounts(who, output)?, output, "exempted", "was exempt already", exempt)?.1
        }
        Admin::Unrequire { who } => {
            let nothing = "had no override";
            let leave = |account: &Account| require(&store, account, Requirement::Policy);
            every(&accounts(who, output)?, output, "left-to-policy", nothing, leave)?.1
        }
        Admin::ForgetAddresses { users } => {
            each(users, output, "forgot-addresses", "had no remembered addresses", |account| {
                restate(&store, account, Record::forgetful)
            })
        }
        Admin::Show { user } => {
            let account = account(user)?;
            let record = store.read(&account).map_err(Error::from)?;
            commands::show(&Status::of(&record.unwrap_or_else(|| Record::stranger(&account)), UnixTime::now()), output)
        }
        Admin::Unlock { users } => {
            each(users, output, "unlocked", "was not locked", |account| restate(&store, account, Record::unlocked))
        }
        Admin::Reset { users, yes } => {
            confirm(*yes, output, "Remove devices and recovery codes of", users)?;
            each(users, output, "reset", "had no second factor", |account| {
                let enrollment = new_enrolment(random::entropy)?;
                forget(&store, account, |record| record.without_devices(enrollment))
            })
        }
        Admin::Disable { users, yes } => {
            confirm(*yes, output, "Remove the records of", users)?;
            let accounts = users.iter().map(|user| account_or_record(&store, user)).collect::<Result<Vec<_>, _>>()?;
            let forget = |account: &Account| forget(&store, account, |_| Change::Nothing);
            every(&accounts, output, "disabled", "had no second factor", forget)?.1
        }
        Admin::Import { format, file, dry_run, replace, yes } => {
            let asked = import::Asked { format: *format, file, dry_run: *dry_run, replace: *replace, yes: *yes };
            import::import(&asked, &store, output)
        }
        // Served above, since they must also run where the configuration cannot be read.
        Admin::Check | Admin::Doctor { .. } => Ok(()),
    }
}

/// An account, or a deleted one whose record is left.
fn account_or_record(store: &FileStore, user: &str) -> Result<Account, CliError> {
    match (account(user), UserName::parse(user)) {
        (Err(gone @ CliError::NoSuchUser(_)), Some(name)) => {
            let remains = Account { name, ..Account::nobody() };
            if store.holds(&remains).map_err(Error::from)? { Ok(remains) } else { Err(gone) }
        }
        (found, _) => found,
    }
}

fn confirm(yes: bool, output: &Output, question: &str, users: &[String]) -> Result<(), CliError> {
    if yes { Ok(()) } else { output.confirm(&format!("{question} {}?", users.join(", "))) }
}

/// Applies `act` to each user. All names are looked up before anything is changed.
fn each(
    users: &[String],
    output: &Output,
    what: &str,
    otherwise: &str,
    act: impl Fn(&Account) -> Result<bool, Error>,
) -> Result<(), CliError> {
    let accounts = users.iter().map(|user| account(user)).collect::<Result<Vec<_>, _>>()?;
    every(&accounts, output, what, otherwise, act)?.1
}

/// Applies `act` to all accounts, continuing after failures. Returns the changed accounts and the first failure.
fn every(
    accounts: &[Account],
    output: &Output,
    what: &str,
    otherwise: &str,
    act: impl Fn(&Account) -> Result<bool, Error>,
) -> Result<(Vec<Account>, Result<(), CliError>), CliError> {
    let (mut affected, mut failures, mut told) = (Vec::new(), 0usize, Ok(()));
    for account in accounts {
        let user = account.name.as_str();
        let telling = match act(account) {
            Ok(changed) => {
                if changed {
                    client::log(&Event::Change { user, by: getuid().as_raw(), what, why: None });
                    affected.push(account.clone());
                }
                let said = if changed { what.replace('-', " ") } else { otherwise.to_owned() };
                output.done(&Changed { user, changed }, &format!("{user}: {said}"))
            }
            Err(error) if accounts.len() == 1 => return Err(error.into()),
            Err(error) => {
                failures = failures.saturating_add(1);
                NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output)
            }
        };
        told = told.and(telling);
    }
    Ok((affected, if failures == 0 { told } else { Err(CliError::NotDone(failures)) }))
}

fn accounts(who: &Users, output: &Output) -> Result<Vec<Account>, CliError> {
    match &who.group {
        Some(group) => accounts::of_group(group, output),
        None if who.all => accounts::all(output),
        None => who.users.iter().map(|user| account(user)).collect(),
    }
}

/// Sets the override of one user, with or without a device.
fn require(store: &FileStore, account: &Account, requirement: Requirement) -> Result<bool, Error> {
    let enrollment = new_enrolment(random::entropy)?;
    Ok(change(store, account, |record| {
        let present = record.map_or(Requirement::Policy, |record| record.credentials.requirement);
        if present == requirement {
            return (Change::Keep, false);
        }
        let stranger = Record::stranger(account);
        (record.unwrap_or(&stranger).with_requirement(requirement, enrollment), true)
    })?)
}

/// Changes the state of a record, where there is one that is not so already.
fn restate(store: &FileStore, account: &Account, how: impl Fn(&Record) -> State) -> Result<bool, Error> {
    Ok(change(store, account, |record| match record.map(|record| (record, how(record))) {
        Some((record, state)) if state != record.state => (Change::State(state), true),
        Some(_) | None => (Change::Keep, false),
    })?)
}

/// Removes what `how` says from a record; a record that cannot be read is removed whole.
fn forget(store: &FileStore, account: &Account, how: impl Fn(&Record) -> Change) -> Result<bool, Error> {
    match change(store, account, |record| record.map_or((Change::Keep, false), |record| (how(record), true))) {
        Err(StoreError::Damaged { .. } | StoreError::Untrusted { .. }) => Ok(store.purge(account)?),
        answer => Ok(answer?),
    }
}
