//! For the system administrator: who has what, unlock, reset, disable, check. Never shows a seed.

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
use crate::cli::{Admin, Common, Whom};
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
            // The command line was refused already where nobody is named.
            let user = common.user.as_deref().unwrap_or_default();
            explain::explain(&site, &store, &account(user)?, &place, output)
        }
        Admin::Report { service } => report::report(&site, &store, service, output),
        Admin::Require { whom, optional, end_sessions, yes } => {
            let (requirement, what, otherwise) = if *optional {
                (Requirement::Optional, "made-optional", "was optional already")
            } else {
                (Requirement::Required, "required", "was required already")
            };
            if *end_sessions && !*yes {
                output.somebody_to_ask()?;
            }
            let (bound, not_done) = every(&accounts(whom, output)?, output, what, otherwise, |account| {
                require(&store, account, requirement)
            })?;
            if *end_sessions {
                sessions::end(&bound, *yes, output)?;
            }
            not_done
        }
        Admin::Unrequire { whom } => {
            let nothing = "had no requirement of their own";
            let leave = |account: &Account| require(&store, account, Requirement::Policy);
            every(&accounts(whom, output)?, output, "left-to-policy", nothing, leave)?.1
        }
        Admin::Forget { users } => {
            each(users, output, "forgot-addresses", "had none", |account| restate(&store, account, Record::forgetful))
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
            sure(*yes, output, "Forget devices and recovery codes of", users)?;
            each(users, output, "reset", "had no second factor", |account| {
                let enrollment = new_enrolment(random::entropy)?;
                forget(&store, account, |record| record.without_devices(enrollment))
            })
        }
        Admin::Disable { users, yes } => {
            sure(*yes, output, "Forget everything about the second factor of", users)?;
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

/// An account, or what is left of one: its record, which is nobody's to use.
fn account_or_record(store: &FileStore, user: &str) -> Result<Account, CliError> {
    match (account(user), UserName::parse(user)) {
        (Err(gone @ CliError::NoSuchUser(_)), Some(name)) => {
            let remains = Account { name, ..Account::nobody() };
            if store.holds(&remains).map_err(Error::from)? { Ok(remains) } else { Err(gone) }
        }
        (found, _) => found,
    }
}

fn sure(yes: bool, output: &Output, question: &str, users: &[String]) -> Result<(), CliError> {
    if yes { Ok(()) } else { output.must_mean(&format!("{question} {}?", users.join(", "))) }
}

/// Does something to each user named. All names are looked up before anything is done to one of them.
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

/// Does something to each account, logs and reports it, and says for which it made a difference, and whether it could be
/// done for all: neither one record that cannot be used nor an output that takes no more keeps the others from it.
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

/// Who is meant.
fn accounts(whom: &Whom, output: &Output) -> Result<Vec<Account>, CliError> {
    match &whom.group {
        Some(group) => accounts::of_group(group, output),
        None if whom.all => accounts::all(output),
        None => whom.users.iter().map(|user| account(user)).collect(),
    }
}

/// Sets what is required of one user, whether or not they have a device.
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
