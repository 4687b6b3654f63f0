//! The commands of an administrator on a verifier's own machine.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use otp_core::record::change::Change;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::error::StoreError;
use otp_core::store::note::Note;
use otp_core::system::random;
use otp_core::value::time::UnixTime;

use crate::answered::of_no_host;
use crate::command_line::{Command, CommandLine};
use crate::config::Config;
use crate::database::Servers;
use crate::database::macs::{self, Renewed};
use crate::database::migrations;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::store::reseal::{self, Resealed};
use crate::store::{About, PgStore};
use crate::told::told;
use crate::work::Work;
use crate::{audit, check, hosts, init, key_ring, log, renewal, scope_list, serve, tokens, user};

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn run(line: &CommandLine) -> Result<(), Error> {
    let config = || Config::load(&line.config);
    match &line.command {
        Command::Serve => serve_hosts(config()?),
        Command::Init(how) => init::init(&config()?, how),
        Command::Token(how) => tokens::run(&config()?, how),
        Command::Host { command } => hosts::run(&config()?, command),
        Command::User { command } => user::run(&config()?, command),
        Command::Scope { command } => scope_list::run(&config()?, command),
        // Before there is a configuration.
        Command::Roles => told(migrations::ROLES.trim_end()),
        Command::Key { command } => key_ring::run(&config()?, command),
        Command::Renew(how) => renewal::renew(&config()?, how),
        Command::Reseal => reseal(&config()?),
        Command::Restored { yes: false } => Err(Error::new(
            "this voids the recovery codes of all users, and counters wait for a resync",
            "where a backup was restored: otp-verifier restored --yes",
        )),
        Command::Restored { yes: true } => restored(&config()?),
        Command::Audit(how) => audit::audit(&config()?, how),
        Command::Check(how) => check::check(&line.config, how),
    }
}

fn serve_hosts(config: Config) -> Result<(), Error> {
    let fleet = Arc::new(Fleet::load(config)?);
    if fleet.config.without_standby {
        log::warning("without_standby is set: codes that were used may be good again after this database is lost");
    }
    fleet.servers.watch()?;
    make_months(&fleet)?;
    let work = Work::start(&fleet).map_err(|error| no_threads(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| no_threads(&error))?.block_on(serve::serve(fleet, work))
}

/// Makes the tables of the audit's next months, each day. A month without its own is in the table of the others.
fn make_months(fleet: &Arc<Fleet>) -> Result<(), Error> {
    let fleet = Arc::clone(fleet);
    let each_day = move || loop {
        if let Err(error) =
            fleet.servers.connect().map_err(StoreError::from).and_then(|session| migrations::make_months(&session))
        {
            log::warning(&format!("no tables for the next months of the audit: {error}"));
        }
        thread::sleep(DAY);
    };
    let started = thread::Builder::new().name("months".into()).spawn(each_day);
    started.map(drop).map_err(|error| no_threads(&error))
}

fn no_threads(error: &io::Error) -> Error {
    Error::new(format!("threads cannot be started: {error}"), "see the limits of the unit")
}

fn reseal(config: &Config) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    if let Some(fleet) = session.fleet()?.filter(|fleet| fleet.key != keys.present()) {
        let text = format!("{} seals in the file of this verifier, and {} in the fleet", keys.present(), fleet.key);
        return Err(Error::new(
            text,
            "copy the file of keys from the verifier on which `otp-verifier key use` was run",
        ));
    }
    let Renewed { done, passed, altered } = macs::renew(&session, &keys)?;
    told(&format!("{done} rows of hosts, scopes and tokens have a MAC under the first key."))?;
    let rows = (passed, altered);
    let Resealed { done, passed, shut } = reseal::reseal(&session, &keys, |_| true)?;
    told(&format!("{done} records were sealed under the first key."))?;
    match (shut.as_slice(), passed.saturating_add(rows.0)) {
        ([], 0) => genuine(&rows.1),
        ([], changed) => Err(Error::new(format!("{changed} rows changed meanwhile"), "run it again")),
        (names, _) => Err(Error::new(
            format!("{} records do not open with any key: {}", names.len(), names.join(" ")),
            "restore the keys under which they were sealed, before the first one of the file",
        )),
    }
}

/// Whether there is no row that gives no right, since no verifier has written it.
fn genuine(altered: &[String]) -> Result<(), Error> {
    match altered {
        [] => Ok(()),
        rows => Err(Error::new(
            format!("{} rows were not written by a verifier with these keys: {}", rows.len(), rows.join(", ")),
            macs::ALTERED,
        )),
    }
}

fn restored(config: &Config) -> Result<(), Error> {
    Servers::forget_timeline(&config.state).map_err(|error| Error::io("empty", &config.state, &error))?;
    let ((session, keys), window) = (config.session()?, config.settings()?.settings.limits.window);
    let store = PgStore::new(&session, &keys, About::default());
    // What was on its way to a host then has arrived since, or was pushed again.
    session.forget_moving()?;
    let mut count = 0_u64;
    session.each_user(|name| {
        let (enrollment, now) = (new_enrollment(random::entropy)?, UnixTime::now());
        change(&store, &of_no_host(name), &Note::here("restored"), |record| match record {
            Some(record) => (Change::Record(Box::new(record.restored(true, window, enrollment, now))), ()),
            None => (Change::Keep, ()),
        })?;
        count = count.saturating_add(1);
        Ok::<_, Error>(())
    })?;
    told(&format!("{count} records: counters wait for a resync, recovery codes are void, codes up to now are used."))
}
