//! The commands of an administrator on a verifier's own machine.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use otp_core::protocol::request::Confidential;
use otp_core::value::time::{Seconds, UnixTime};
use otp_wire::Invitation;
use serde::Serialize;

use crate::authority::Authority;
use crate::command_line::{Command, CommandLine, HostCommand, Init, Token};
use crate::config::Config;
use crate::database::hosts::{Host, Right};
use crate::database::{Session, migrations};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::work::Work;
use crate::{log, serve};

pub(crate) fn run(line: &CommandLine) -> Result<(), Error> {
    let config = Config::load(&line.config)?;
    match &line.command {
        Command::Serve => serve_hosts(config),
        Command::Init(how) => init(&config, how),
        Command::Token(how) => token(&config, how),
        Command::Host { command } => host(&config, command),
        Command::Reseal => reseal(&config),
        Command::Restored => restored(&config),
        Command::Check => check(config),
    }
}

fn serve_hosts(config: Config) -> Result<(), Error> {
    let fleet = Arc::new(Fleet::load(config)?);
    if fleet.config.without_standby {
        log::warning("without_standby is set: codes that were used may be good again after this database is lost");
    }
    Arc::clone(&fleet.servers).watch();
    let failed = |error: &io::Error| Error::new(format!("threads cannot be started: {error}"), "see the limits of the unit");
    let work = Work::start(&fleet).map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| failed(&error))?.block_on(serve::serve(fleet, work))
}

fn init(config: &Config, how: &Init) -> Result<(), Error> {
    if !config.folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.folder);
        made.map_err(|error| Error::io("create", &config.folder, &error))?;
    }
    if !config.authority().exists() {
        Authority::make(config)?;
        told(&made(&config.authority()))?;
    }
    if !config.certificate().exists() {
        Authority::load(config)?.make_verifier(config, &how.names)?;
        told(&made(&config.certificate()))?;
    }
    if Keys::make(config)? {
        told("The key that seals seeds is made: keep a copy of it apart from copies of the database.")?;
    }
    let count = migrations::run(&how.owner).map_err(|error| of_database(&error.to_string()))?;
    told(&format!("Tables: {count} changes. Next: systemctl enable --now otp-verifier.service"))
}

fn made(path: &Path) -> String {
    format!("{} is made.", path.display())
}

fn session(config: &Config) -> Result<Session, Error> {
    let servers = crate::database::Servers::new(&config.database, config.without_standby);
    let servers = servers.map_err(|error| of_database(&error.to_string()))?;
    Arc::new(servers).connect().map_err(|error| of_database(&error.to_string()))
}

fn token(config: &Config, how: &Token) -> Result<(), Error> {
    let rights: Option<Vec<Right>> = how.rights.iter().map(|word| Right::read(word)).collect();
    let rights = rights.ok_or_else(|| Error::new("no such right", "rights are login, enroll, import, admin"))?;
    let mut secret = [0; 32];
    otp_core::system::random::entropy(&mut secret).map_err(|error| Error::new(error.to_string(), error.hint()))?;
    let token = Confidential::of_bytes(&secret);
    let until = UnixTime::now().after(Seconds(u64::from(how.minutes).saturating_mul(60)));
    session(config)?
        .add_token(token.expose(), &rights, how.scope.as_deref(), until)
        .map_err(|error| of_database(&error.to_string()))?;
    let authority = Authority::load(config)?.certificate;
    told_json(&Invitation { verifiers: config.verifiers.clone(), authority, token })
}

#[derive(Serialize)]
struct ListedHost<'a> {
    host: &'a str,
    active: bool,
    rights: Vec<&'static str>,
    scope: Option<&'a str>,
}

fn host(config: &Config, command: &HostCommand) -> Result<(), Error> {
    let session = session(config)?;
    let changed = |name: &str, done: Result<bool, otp_core::store::error::StoreError>, what: &str| {
        let is_there = done.map_err(|error| of_database(&error.to_string()))?;
        if is_there { told(&format!("{name}: {what}")) } else { Err(Error::new(format!("no host {name}"), "see: otp-verifier host list")) }
    };
    match command {
        HostCommand::List { json } => {
            let hosts = session.hosts().map_err(|error| of_database(&error.to_string()))?;
            let listed: Vec<_> = hosts.iter().map(listed).collect();
            if *json {
                return told_json(&listed);
            }
            for ListedHost { host, active, rights, scope } in listed {
                let status = if active { "active" } else { "suspended" };
                told(&format!("{host:<40} {status:<10} {:<24} {}", rights.join(","), scope.unwrap_or("all users")))?;
            }
            Ok(())
        }
        HostCommand::Suspend { host } => changed(host, session.suspend(host), "suspended"),
        HostCommand::Resume { host } => changed(host, session.resume(host), "active"),
        HostCommand::Remove { host } => changed(host, session.remove_host(host), "removed"),
    }
}

fn listed(host: &Host) -> ListedHost<'_> {
    ListedHost {
        host: &host.id,
        active: host.is_active,
        rights: host.rights.iter().map(|right| right.word()).collect(),
        scope: host.scope.as_deref(),
    }
}

fn reseal(config: &Config) -> Result<(), Error> {
    let (keys, session) = (Keys::load(config)?, session(config)?);
    let count = keys.reseal(&session).map_err(|error| of_database(&error.to_string()))?;
    told(&format!("{count} records were sealed under the first key."))
}

fn restored(config: &Config) -> Result<(), Error> {
    let (keys, session) = (Keys::load(config)?, session(config)?);
    let count = keys.restored(&session, UnixTime::now()).map_err(|error| of_database(&error.to_string()))?;
    told(&format!("{count} records: counters are raised, recovery codes are void."))
}

fn check(config: Config) -> Result<(), Error> {
    let fleet = Fleet::load(config)?;
    fleet.servers.connect().map_err(|error| of_database(&error.to_string()))?;
    told("Database, keys and certificates are well.")
}

fn of_database(what: &str) -> Error {
    Error::new(what, "see database in the configuration, and the database's log")
}

fn told(line: &str) -> Result<(), Error> {
    writeln!(io::stdout(), "{line}").map_err(|error| Error::new(format!("cannot write: {error}"), "nothing else is wrong"))
}

fn told_json<T: Serialize>(value: &T) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(|error| Error::new(error.to_string(), "report this"))?;
    told(&text)
}
