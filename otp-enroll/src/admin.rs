//! The commands of the system administrator. They never show a seed.

mod accounts;
mod adopt;
mod ahead;
mod assign;
mod break_glass;
mod changes;
mod check;
mod devices;
mod doctor;
mod encryption;
mod explain;
mod export;
mod fleet;
mod fleet_discard;
mod fleet_list;
mod fleet_passcode;
mod fleet_pull;
mod fleet_rename;
mod fleet_status;
mod fleet_told;
mod fleet_users;
mod foreseen;
mod host_in_fleet;
mod import;
mod init_store;
mod journal;
mod known_user;
mod list;
mod not_done;
mod of_fleet;
mod passcode;
mod purge;
mod refusals;
mod rename;
mod report;
mod require;
mod restored;
mod same_person;
mod seal;
mod sessions;
mod show;
mod tokens;
mod turn_on;
mod unlock_all;

use nix::unistd::geteuid;
use otp_core::config::Keeper;
use otp_core::error::CoreError;
use otp_core::protocol::request::Order;
use otp_core::record::credentials::Override;
use otp_core::record::state::Lock;
use otp_core::service::renaming::former_name;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};

use self::accounts::Names;
use self::list::Seen;
use self::not_done::NotDone;
use self::turn_on::Wish;
use crate::cli::sealing::Seal;
use crate::cli::{Admin, Common, FleetCommand, Users};
use crate::client::{Client, account};
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::commands::Changed;

/// What `unlock --clock-was-ahead` means.
const CLOCK_WAS_AHEAD: &str = "\
Codes that were used or seen while the clock was ahead will work when their time comes. A person who has them can log in \
then. The safe way is a new key: otp-enroll admin reset USER\nAccept codes from the present time on of";

/// Runs one command.
pub(crate) fn run(command: &Admin, common: &Common, output: &Output) -> Result<(), CliError> {
    if !geteuid().is_root() {
        return Err(CliError::NotRoot("administer second factors"));
    }
    if let Admin::ReadAsUser { user, path } = command {
        return import::read_as_user(user, path);
    }
    if let Admin::Check = command {
        return check::check(common, doctor::doubts, output);
    }
    if let Admin::Doctor { pam, sshd } = command {
        return doctor::doctor(common, pam.as_deref(), sshd.as_deref(), output);
    }
    if let Admin::Refusals { since } = command {
        return refusals::of_all(since, output);
    }
    if let Admin::TurnOn { service, confirm: true, .. } = command {
        return turn_on::confirm::confirm(service, output);
    }
    if let Admin::TurnOn { service, key, r#try, confirm: _, dry_run, yes } = command {
        let wish = Wish { service, key: *key, trial: r#try.as_deref(), dry_run: *dry_run, yes: *yes };
        return turn_on::turn_on(&wish, common, output);
    }
    if let Admin::TurnOff { service, dry_run, yes } = command {
        return turn_on::off::turn_off(service, *yes, *dry_run, output);
    }
    let site = Site::load(common.config())?;
    if let Admin::InitStore { if_new, yes } = command {
        return init_store::init_store(&site, *if_new, *yes, output);
    }
    if let Admin::Seal(Seal { unpack: true, .. }) = command {
        return seal::unpack(&site, output);
    }
    of_fleet::check(command, &site, output)?;
    let store = site.store()?;
    changes::warn(command, &site, &store, output);
    let done = on_records(command, common, &site, &store, output);
    // What ended early may have changed some.
    let is_none = matches!(done, Err(CliError::Usage(_) | CliError::Cancelled | CliError::NoSuchUser(_)));
    if !is_none && of_fleet::touches_host(command, &site) {
        changes::count(command, done.is_ok(), &site, &store, output);
    }
    done
}

fn on_records(
    command: &Admin,
    common: &Common,
    site: &Site,
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    match command {
        Admin::List { without_device: false, service: _ } if site.config.authority == Keeper::Fleet => {
            fleet_list::list(site, store, output)
        }
        Admin::List { without_device: false, service: _ } => list::list(store, &site.config.settings.limits, output),
        Admin::List { without_device: true, service } => {
            let service = &LoginContext::service(service);
            let (names, line) = (Names::ask()?, doctor::line_of(service));
            list::without_device(site, store, service, line, names, &Seen::of(site, store, output)?, output)
        }
        Admin::Explain { user, service, rhost, tty, nullok } => {
            let tty = tty.as_deref().map(LoginContext::terminal);
            let (service, rhost, nullok) = (LoginContext::service(service), rhost.clone(), *nullok);
            let files = doctor::pam_files(&service);
            let send = doctor::sends(&service);
            let place = LoginContext { service, rhost, tty, nullok, enroll: false, as_one: false, send };
            // A command line without a user was refused already.
            let user = user.as_deref().or(common.user.as_deref()).unwrap_or_default();
            explain::explain(site, store, &account(user)?, &place, &files, output)
        }
        Admin::Report { service } => {
            let service = &LoginContext::service(service);
            report::report(site, store, service, doctor::line_of(service), output)
        }
        Admin::Require { who, enroll, until, end_sessions, yes } => {
            let user_override = if *enroll { Override::Enroll } else { Override::Required };
            let user_override = require::ending(user_override, until.as_deref(), UnixTime::now())?;
            if *end_sessions && !*yes {
                output.can_show_and_confirm()?;
            }
            let accounts = accounts(who, output)?;
            let many = who.all || who.group.is_some();
            if many && !*yes {
                require::confirm(site, &accounts, *enroll, output)?;
            }
            let (bound, not_done) = every(site, &accounts, output, Order::Override(user_override))?;
            if *end_sessions {
                sessions::end(&bound, *yes, output)?;
            }
            not_done
        }
        Admin::Exempt { who, until, yes: _ } => {
            let user_override = require::ending(Override::Exempt, until.as_deref(), UnixTime::now())?;
            every(site, &accounts(who, output)?, output, Order::Override(user_override))?.1
        }
        Admin::EndSessions { unmet: _, yes } => sessions::unmet::end(site, store, doctor::login_through, *yes, output),
        Admin::Unrequire { who, yes: _ } => {
            every(site, &accounts(who, output)?, output, Order::Override(Override::None))?.1
        }
        Admin::ForgetAddresses { users } => every(site, &named(users)?, output, Order::ForgetAddresses)?.1,
        Admin::Show { user } => {
            show::show(site, &mut of_fleet::client(site, of_fleet::account_or_name(site, user)?), output)
        }
        Admin::Add { user, name, token: _, confirm, described } => {
            let client = &mut of_fleet::client(site, account(user)?);
            devices::add(client, name.as_deref(), described, confirm.as_deref(), output)
        }
        Admin::Remove { user, device, yes } => {
            devices::remove(&mut of_fleet::client(site, account(user)?), device, *yes, output)
        }
        Admin::Resync { user, device } => {
            devices::resync(&mut of_fleet::client(site, account(user)?), device.as_deref(), output)
        }
        Admin::Unlock { locked_by: Some(host), dry_run, yes, .. } => {
            unlock_all::unlock(site, host, *dry_run, *yes, output)
        }
        Admin::Unlock { users, clock_was_ahead: false, .. } => every(site, &named(users)?, output, Order::Unlock)?.1,
        Admin::Unlock { users, clock_was_ahead: true, yes, .. } => {
            confirm(*yes, output, CLOCK_WAS_AHEAD, users)?;
            every(site, &named(users)?, output, Order::UnlockAfterClockWasAhead)?.1
        }
        Admin::Issue { user, valid, service } => {
            let order = passcode::order(valid, service.as_deref())?;
            if let Some(why) = order.service.as_deref().and_then(doctor::is_no_service) {
                return Err(passcode::for_no_service(&why));
            }
            let without_line = |service: &&str| !doctor::has_line(service);
            let remark = order.service.as_deref().filter(without_line).map(passcode::not_asked_yet);
            let account = account(user)?;
            let is_here = !site.config.is_of_fleet(account.name.as_str());
            let not_asked = is_here.then(|| passcode::not_asked(site, store, &account, order.service.as_deref()));
            let not_asked = not_asked.flatten();
            passcode::issue(&mut of_fleet::client(site, account), order, &[remark, not_asked], output)
        }
        Admin::BreakGlass { user } => break_glass::issue(site, &account(user)?, output),
        Admin::Revoke { users } => every(site, &named(users)?, output, Order::RevokePasscode)?.1,
        Admin::Reset { users, yes } => {
            confirm(*yes, output, "Remove devices, recovery codes and passcodes of", users)?;
            every(site, &named(users)?, output, Order::Reset)?.1
        }
        Admin::Disable { users, yes } => {
            confirm(*yes, output, "Remove the records of", users)?;
            let found = |user: &String| match site.config.is_of_fleet(user) {
                true => of_fleet::account_or_name(site, user),
                false => account_or_record(store, user),
            };
            let accounts = users.iter().map(found).collect::<Result<Vec<_>, _>>()?;
            every(site, &accounts, output, Order::Disable)?.1
        }
        Admin::Rename { old, new, yes } if site.config.is_of_fleet(new) || site.config.is_of_fleet(old) => {
            fleet_rename::rename(site, store, old, &account(new)?, *yes, output)
        }
        Admin::Rename { old, new, yes } => rename::rename(store, old, &account(new)?, *yes, output),
        Admin::Fleet { command: FleetCommand::Push { users, dry_run } } => {
            fleet::push(site, store, users, *dry_run, output)
        }
        Admin::Fleet { command: FleetCommand::Pull { user, yes } } => {
            fleet_pull::pull(site, store, &account(user)?, *yes, output)
        }
        Admin::Fleet { command: FleetCommand::Discard { user, yes } } => {
            fleet_discard::discard(site, store, &account(user)?, *yes, output)
        }
        Admin::Fleet { command: FleetCommand::Status } => fleet_status::tell(site, store, output),
        Admin::Adopt { user, yes: _ } if site.config.is_of_fleet(user) && !is_here(store, user)? => {
            let text = format!("{user}: the fleet knows users by their names alone: nothing to do");
            output.done(&Changed { user, changed: false }, &text)
        }
        Admin::Adopt { user, yes } => adopt::adopt(store, &account(user)?, *yes, output),
        Admin::Purge { dry_run, yes } => purge::purge(site, store, *dry_run, *yes, output),
        Admin::Restored { void_recovery, yes } => restored::restored(site, store, *void_recovery, *yes, output),
        Admin::Import(file) => import::import(file, site, store, output),
        Admin::Tokens { remove: None, yes: _ } => tokens::list(store, output),
        Admin::Tokens { remove: Some(serial), yes } => tokens::remove(store, serial, *yes, output),
        Admin::Assign { user, serial, name } => {
            assign::assign(site, store, &account(user)?, serial, name.as_deref(), output)
        }
        Admin::Seal(how) => seal::seal(how, site, store, output),
        Admin::Export(how) => export::export(how, site, store, output),
        // Served above, since they must also run where the configuration or the records cannot be read.
        Admin::ReadAsUser { .. }
        | Admin::Check
        | Admin::Refusals { .. }
        | Admin::Doctor { .. }
        | Admin::TurnOn { .. }
        | Admin::TurnOff { .. }
        | Admin::InitStore { .. } => Ok(()),
    }
}

/// An account, or a deleted one whose record is left.
fn account_or_record(store: &FileStore, user: &str) -> Result<Account, CliError> {
    match (account(user), UserName::parse(user)) {
        (Err(gone @ CliError::NoSuchUser(_)), Some(name)) => {
            let remains = Account { name, ..Account::nobody() };
            if store.holds(&remains).map_err(CoreError::from)? { Ok(remains) } else { Err(gone) }
        }
        (found, _) => found,
    }
}

/// Whether this host has a record of an account, whatever number is in it.
fn is_here(store: &FileStore, user: &str) -> Result<bool, CliError> {
    Ok(store.whatever_number(&account(user)?).map_err(CoreError::from)?.is_some())
}

fn confirm(yes: bool, output: &Output, question: &str, users: &[String]) -> Result<(), CliError> {
    if yes { Ok(()) } else { output.confirm(&format!("{question} {}?", users.join(", "))) }
}

/// All names are looked up before anything is changed.
fn named(users: &[String]) -> Result<Vec<Account>, CliError> {
    users.iter().map(|user| account(user)).collect()
}

/// What is said of an account for which nothing had to be changed.
fn was_so(order: Order) -> &'static str {
    match order {
        Order::Override(Override::Required | Override::RequiredUntil(_)) => "was required already",
        Order::Override(Override::Enroll | Override::EnrollUntil(_)) => "was required to enroll already",
        Order::Override(Override::Exempt | Override::ExemptUntil(_)) => "was exempt already",
        Order::Override(Override::None) => "had no override",
        Order::ForgetAddresses => "had no remembered addresses",
        Order::Unlock => "was not locked",
        Order::UnlockAfterClockWasAhead => "was not locked and has no time in the future",
        Order::RevokePasscode => "had no passcode",
        Order::Reset | Order::Disable => "had no second factor",
    }
}

/// How many wrong codes are counted for a user who is not locked, and whether times of the record are in the future. A
/// record that cannot be read is reported by the order.
fn without_lock(client: &mut Client<'_>) -> (u32, bool) {
    client.status().map_or((0, false), |status| {
        let failures = if status.lock == Lock::Open.word() { status.failures } else { 0 };
        (failures, !status.in_future.is_empty())
    })
}

/// A renamed account has its record under the former name: an override would be a record of its own, and hide that one.
fn may_be_overridden(site: &Site, account: &Account, order: Order) -> Result<(), CliError> {
    if !matches!(order, Order::Override(_)) || site.config.is_of_fleet(account.name.as_str()) {
        return Ok(());
    }
    let store = site.store()?;
    if store.read(account).map_err(CoreError::from)?.is_some_and(|record| !record.is_blank()) {
        return Ok(());
    }
    let Some(former) = former_name(&store, account)? else { return Ok(()) };
    let user = &account.name;
    Err(CliError::Reported {
        error: format!("{user} has the number of {former}, whose record is there and whose account is gone"),
        hint: rename::ways_out(former.as_str(), user.as_str()),
    })
}

/// Carries out an order for all accounts, continuing after failures. Returns the changed accounts and the first failure.
fn every(
    site: &Site,
    accounts: &[Account],
    output: &Output,
    order: Order,
) -> Result<(Vec<Account>, Result<(), CliError>), CliError> {
    let (mut affected, mut failures, mut told) = (Vec::new(), 0usize, Ok(()));
    for account in accounts {
        let user = account.name.as_str();
        let mut client = of_fleet::client(site, account.clone());
        let (forgotten, is_ahead) = if order == Order::Unlock { without_lock(&mut client) } else { (0, false) };
        let answer = may_be_overridden(site, account, order).and_then(|()| client.administer(order));
        let telling = match answer {
            Ok(changed) => {
                if changed {
                    affected.push(account.clone());
                }
                let mut said = match (changed, forgotten) {
                    (false, _) => was_so(order).to_owned(),
                    (true, 0) => order.word().replace('-', " "),
                    (true, 1) => "was not locked; 1 wrong code is forgotten".to_owned(),
                    (true, codes) => format!("was not locked; {codes} wrong codes are forgotten"),
                };
                if is_ahead {
                    said += "; the clock was ahead once: see unlock --clock-was-ahead";
                }
                output.done(&Changed { user, changed }, &format!("{user}: {said}"))
            }
            Err(error) if accounts.len() == 1 => return Err(error),
            Err(error) => {
                failures = failures.saturating_add(1);
                NotDone { user, error: error.to_string(), hint: &error.hint().unwrap_or_default() }.tell(output)
            }
        };
        told = told.and(telling);
    }
    Ok((affected, if failures == 0 { told } else { Err(CliError::NotDone(failures)) }))
}

fn accounts(who: &Users, output: &Output) -> Result<Vec<Account>, CliError> {
    match &who.group {
        Some(group) => accounts::of_group(group, doctor::least_shell(), output),
        None if who.all => accounts::all(doctor::least_shell(), output),
        None => who.users.iter().map(|user| account(user)).collect(),
    }
}
