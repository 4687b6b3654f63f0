//! The commands of an administrator on a verifier's own machine.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use otp_core::protocol::request::Confidential;
use otp_core::record::change::Change;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::error::StoreError;
use otp_core::store::note::Note;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use otp_wire::Invitation;
use serde::Serialize;

use crate::answered::of_no_host;
use crate::authority::{Authority, subject};
use crate::command_line::{AddHost, Command, CommandLine, HostCommand, ScopeCommand, Token};
use crate::config::Config;
use crate::database::Servers;
use crate::database::hosts::{Changed, Host};
use crate::database::macs::{self, Renewed};
use crate::database::migrations;
use crate::database::session::Session;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::joining::{hash, is_name};
use crate::keys::Keys;
use crate::right::Right;
use crate::store::reseal::{self, Resealed};
use crate::store::{About, PgStore};
use crate::told::{told, told_json};
use crate::work::Work;
use crate::{audit, check, init, key_ring, log, renewal, serve, user};

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn run(line: &CommandLine) -> Result<(), Error> {
    let config = || Config::load(&line.config);
    match &line.command {
        Command::Serve => serve_hosts(config()?),
        Command::Init(how) => init::init(&config()?, how),
        Command::Token(how) => token(&config()?, how),
        Command::Host { command } => host(&config()?, command),
        Command::User { command } => user::run(&config()?, command),
        Command::Scope { command } => scope(&config()?, command),
        // Before there is a configuration.
        Command::Roles => told(migrations::ROLES.trim_end()),
        Command::Key { command } => key_ring::run(&config()?, command),
        Command::Renew(how) => renewal::renew(&config()?, how),
        Command::Reseal => reseal(&config()?),
        Command::Restored => restored(&config()?),
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

fn token(config: &Config, how: &Token) -> Result<(), Error> {
    let (rights, authority) = (rights(&how.rights)?, Authority::load(config)?);
    // No host could join by it.
    authority.issuer()?;
    let mut secret = [0; 32];
    random::entropy(&mut secret)?;
    let token = Confidential::of_bytes(&secret);
    let seconds = how.minutes.saturating_mul(60);
    let (session, keys) = config.session()?;
    session.add_token(&keys, &hash(token.expose()), &rights, how.scope.as_deref(), seconds)?;
    told_json(&Invitation { verifiers: config.verifiers.clone(), authority: authority.certificate, token })
}

fn rights(words: &[String]) -> Result<Vec<Right>, Error> {
    let rights: Option<Vec<Right>> = words.iter().map(|word| Right::parse(word)).collect();
    rights.ok_or_else(|| Error::new("no such right", "rights are login, enroll, import, export, admin"))
}

#[derive(Serialize)]
struct ListedHost<'a> {
    host: &'a str,
    active: bool,
    /// Whether a verifier has written its row: without that it may do nothing.
    genuine: bool,
    rights: Vec<&'static str>,
    scope: Option<&'a str>,
}

fn host(config: &Config, command: &HostCommand) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    let changed = |name: &str, done: Result<Changed, StoreError>, what: &str| match done? {
        Changed::Yes => told(&format!("{name}: {what}")),
        Changed::NoHost => Err(Error::new(format!("no host {name}"), "see: otp-verifier host list")),
        Changed::Altered => Err(Error::new(
            format!("the row of host {name} was not written by a verifier, so the host may do nothing"),
            "look for who writes to the database; then: otp-verifier host remove, and let the host join again",
        )),
    };
    match command {
        HostCommand::List { json } => {
            let hosts = session.hosts(&keys)?;
            let listed: Vec<_> = hosts.iter().map(listed).collect();
            if *json {
                return told_json(&listed);
            }
            for ListedHost { host, active, genuine, rights, scope } in listed {
                let status = match (genuine, active) {
                    (false, _) => "altered",
                    (true, true) => "active",
                    (true, false) => "suspended",
                };
                told(&format!("{host:<40} {status:<10} {:<24} {}", rights.join(","), scope.unwrap_or("all users")))?;
            }
            Ok(())
        }
        HostCommand::Add(how) => add_host(&session, &keys, how),
        HostCommand::Suspend { host } => changed(host, session.suspend(&keys, host), "suspended"),
        HostCommand::Resume { host } => changed(host, session.resume(&keys, host), "active"),
        HostCommand::Remove { host } => {
            let removed = session.remove_host(host);
            changed(host, removed.map(|is_done| if is_done { Changed::Yes } else { Changed::NoHost }), "removed")
        }
        HostCommand::Rights { host, rights: words, scope } => {
            changed(host, session.set_rights(&keys, host, &rights(words)?, scope.as_deref()), "changed")
        }
    }
}

/// A host whose certificate was made elsewhere.
fn add_host(session: &Session, keys: &Keys, how: &AddHost) -> Result<(), Error> {
    let (path, rights) = (&how.certificate, rights(&how.rights)?);
    let pem = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let (named, key) = subject(&pem).ok_or_else(|| {
        Error::new(format!("{}: no certificate in PEM", path.display()), "give it the certificate of the host")
    })?;
    let name = how.name.clone().or(named).filter(|name| is_name(name)).ok_or_else(|| {
        let error = format!("{}: its subject has no common name that could be a host's", path.display());
        Error::new(error, "say --name: letters, digits, hyphens and dots")
    })?;
    if !session.add_host(keys, &name, &key, &rights, how.scope.as_deref())? {
        let error = format!("a host of the name {name}, or with this key, is in the fleet");
        return Err(Error::new(
            error,
            "see: otp-verifier host list; with another key: otp-verifier host remove NAME first",
        ));
    }
    told(&format!("{name}: added"))
}

fn scope(config: &Config, command: &ScopeCommand) -> Result<(), Error> {
    let (session, keys) = config.session()?;
    let (scope, user, is_new, what) = match command {
        ScopeCommand::Add { scope, user } => (scope, user, session.add_to_scope(&keys, scope, user)?, "listed"),
        ScopeCommand::Remove { scope, user } => {
            (scope, user, session.remove_from_scope(scope, user)?, "not listed any more")
        }
    };
    let before = if is_new { "" } else { " (as before)" };
    told(&format!("{scope}: {user} is {what}{before}"))
}

fn listed(host: &Host) -> ListedHost<'_> {
    ListedHost {
        host: &host.id,
        active: host.is_active,
        genuine: host.is_genuine,
        rights: host.rights.iter().map(|right| right.word()).collect(),
        scope: host.scope.as_deref(),
    }
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
