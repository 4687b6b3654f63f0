//! PostgreSQL: which of the configured servers may be written to, and connections to it.
//!
//! An answer is given only after its commit is confirmed by a standby without which the primary cannot commit. So an old primary
//! can refuse, and never let in. See `standbys` for that rule, and `watcher` for what ends a wait on an old primary.

pub(crate) mod audit_lines;
mod confirmation;
pub(crate) mod examination;
pub(crate) mod fleet;
pub(crate) mod hosts;
mod kept;
pub(crate) mod link;
pub(crate) mod macs;
pub(crate) mod messages;
pub(crate) mod migrations;
mod pins;
pub(crate) mod resets;
pub(crate) mod scopes;
pub(crate) mod session;
mod standbys;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod tokens;
mod users;
mod watcher;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use otp_core::store::error::StoreError;
use zeroize::Zeroizing;

use crate::database::fleet::FleetRow;
use crate::database::kept::Kept;
use crate::database::link::Link;
use crate::database::session::Session;
use crate::database::standbys::{Standbys, Unfit};

/// How long a server may take to be connected to and to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to do after a change that is not confirmed.
pub(crate) const LATER: &str = "bring the standby back; what was sent may be in force already, or be so then: look before you give the command \
     again; when a machine is lost: docs/fleet.md, \"When a machine of the database is lost\"";

/// How long what the watcher saw is believed.
const FRESH: Duration = Duration::from_secs(4);

/// How the configuration names the servers. Not to be printed: a connection string may hold a password.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// `host=… port=… dbname=… user=…` or `postgresql://…`, one for each server.
    pub servers: Vec<String>,
    /// The authority that signed the certificates of the servers, in PEM; `None` for servers without TLS.
    pub authority: Option<PathBuf>,
    /// A file with the password of the role, such as a credential of systemd; `None` where the server needs none.
    pub password: Option<PathBuf>,
    /// The folder in which the highest timeline is kept; `None` where it is not.
    pub state: Option<PathBuf>,
    /// Whether one server without a standby is enough: for trying it out. A commit can then be lost with its server, and a code
    /// that was used works again.
    pub alone: bool,
}

/// All servers of the configuration, and what was seen of them. Shared by all threads.
pub(crate) struct Servers {
    all: Vec<Server>,
    tls: MakeRustlsConnect,
    standbys: Standbys,
    fence: watch::Sender<Fence>,
    seen: Mutex<Seen>,
    kept: Kept,
}

/// One server, and how it is called in messages.
struct Server {
    config: Config,
    name: String,
}

/// What ends the wait for a commit.
#[derive(Clone, Copy, Default)]
struct Fence {
    /// The highest timeline that a server was writable on.
    timeline: u32,
    /// Whether two servers are writable on it: both were promoted, and none of them is right.
    is_split: bool,
    /// Whether the server on it has two standbys of one name, either of which confirms what the other may not have.
    is_doubled: bool,
}

/// What was seen of the servers.
#[derive(Default)]
struct Seen {
    /// The first cluster that answered: a server of another one has other records.
    system: Option<i64>,
    /// When all servers were asked last; `None` before.
    asked: Option<Instant>,
    /// Which server may be written to.
    primary: Option<usize>,
    /// Since when none may.
    without: Option<Instant>,
    /// What is wrong with each server that is not in order.
    faults: Vec<String>,
    /// What the primary waits for, where a standby that it needs does not copy from it.
    absent: Option<String>,
    /// Since when the primary has not confirmed a commit; `None` if it has confirmed the last one.
    unconfirmed: Option<Instant>,
    /// Which fleet the database belongs to; `None` before the first answer of a primary.
    fleet: Option<Option<FleetRow>>,
}

/// For `/healthz` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// The highest timeline that a server was writable on; 0 before the first.
    pub timeline: u32,
    /// The server that is written to.
    pub primary: Option<String>,
    /// For how long there has been none.
    pub without_primary: Option<Duration>,
    /// Why no commit is confirmed.
    pub unconfirmed: Option<String>,
    /// What is wrong with servers, one line each.
    pub faults: Vec<String>,
    /// Whether commits may be lost, because the configuration allows it.
    pub alone: bool,
}

/// No connection to a server that may be written to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("server {0} of the configuration cannot be read: {1}")]
    Setting(usize, String),
    #[error("the certificate authority of the servers cannot be read: {0}")]
    Authority(String),
    #[error("the password file {0} cannot be read: {1}")]
    Password(String, std::io::ErrorKind),
    #[error("{0}: the timeline that is kept there cannot be read: {1}")]
    Kept(String, std::io::ErrorKind),
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
    #[error("the runtime has ended")]
    Ended,
    #[error("{0}: {1}")]
    Server(String, String),
    #[error("{0} is not used: {1}")]
    Unfit(String, Unfit),
    #[error("{0} is writable on timeline {1}, and another server was on timeline {2}")]
    Outdated(String, u32, u32),
    #[error("more than one server is writable on timeline {0}")]
    Split(u32),
    #[error("{0} belongs to another cluster than the server that answered first")]
    OtherCluster(String),
    #[error("no server is writable: {0}")]
    NoPrimary(String),
    #[error("migration {0}: {1}")]
    Migration(i32, String),
    #[error("what was sent is not confirmed: {0}")]
    Unconfirmed(String),
}

impl DatabaseError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Setting(..) => {
                "write one connection string for each server: host=db1.example port=5432 dbname=otp user=otp_verifier; the file \
                 with the authority of its certificate is database_authority, the one with the password database_password"
            }
            Self::Authority(_) => "name a file with certificates in PEM that otp-verifier can read",
            Self::Password(..) => "name a file that otp-verifier can read, with the password alone on its first line",
            Self::Kept(..) => "remove the file there, if no server of before the last failover can come back",
            Self::Runtime(_) | Self::Ended => "look for the cause in the system log",
            Self::Server(_, why) if why.contains("UnknownIssuer") => {
                "name the authority that signed the certificate of that server: database_authority in otp-verifier.toml, here"
            }
            Self::Server(_, why) if why.contains("NotValidForName") || why.contains("not valid for name") => {
                "name that server by a name of its certificate, or give it one with this name"
            }
            Self::Server(_, why) if why.contains("password missing") => {
                "name a file with the password of that role: database_password in otp-verifier.toml, here; for init: --owner-password"
            }
            Self::Server(..) => {
                "look for the cause on that server: whether it runs, pg_hba.conf, roles, its certificate"
            }
            Self::Unfit(_, unfit) => unfit.hint(),
            Self::Outdated(..) => {
                "stop that server: it was replaced, and must follow the new primary; after a restore: otp-verifier restored"
            }
            Self::Split(_) => "stop all of them but one, and make them follow it: more than one standby was promoted",
            Self::OtherCluster(_) => "take it out of the configuration, or make it a standby of the others",
            Self::NoPrimary(_) => "start PostgreSQL, or promote the standby whose confirmation the primary waited for",
            Self::Unconfirmed(_) => LATER,
            Self::Migration(..) => {
                "run `otp-verifier init` with the role otp_owner, after a superuser has run what `otp-verifier roles` prints"
            }
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// What a server says about itself.
pub(super) struct Facts {
    pub system: i64,
    /// The timeline that it writes; `None` if it is not writable.
    pub timeline: Option<u32>,
    pub standbys: String,
    pub is_synced: bool,
    /// The `application_name` of each connection that copies what it writes.
    pub copiers: Vec<String>,
}

impl Servers {
    pub(crate) fn new(settings: &Settings) -> Result<Self, DatabaseError> {
        let tls = tls::connector(settings.authority.as_deref())?;
        let password = settings.password.as_deref().map(first_line).transpose()?;
        let mut all = Vec::with_capacity(settings.servers.len());
        for (number, text) in settings.servers.iter().enumerate() {
            let server = Server::parse(text).map_err(|why| DatabaseError::Setting(number.saturating_add(1), why));
            let mut server = server?;
            if let Some(password) = &password {
                server.config.password(password.as_bytes());
            }
            all.push(server);
        }
        if all.is_empty() {
            return Err(DatabaseError::Setting(1, "there is none".into()));
        }
        let folder = settings.state.as_deref();
        let unreadable = |error: std::io::Error| {
            DatabaseError::Kept(folder.unwrap_or(Path::new("")).display().to_string(), error.kind())
        };
        let kept = Kept::read(folder).map_err(unreadable)?;
        let standbys = if settings.alone { Standbys::NotNeeded } else { Standbys::Needed };
        let seen = Seen::default();
        Ok(Self { all, tls, standbys, fence: watch::Sender::new(Fence::default()), seen: Mutex::new(seen), kept })
    }

    /// After a restore.
    pub(crate) fn forget_timeline(folder: &Path) -> std::io::Result<()> {
        Kept::forget(folder)
    }

    /// Asks all servers once a second, in a thread that ends with the last use of these servers.
    pub(crate) fn watch(self: &Arc<Self>) -> Result<(), DatabaseError> {
        watcher::start(self)
    }

    /// A connection to the server that may be written to.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<Session, DatabaseError> {
        let runtime = Engine::new()?;
        let (link, facts) = runtime.block_on(self.primary()).ok_or(DatabaseError::Ended)??;
        let waits_for = self.all.get(link.number).map(|server| confirmation::waits_for(&server.name, &facts));
        Ok(Session::new(self, runtime, link, facts, waits_for.unwrap_or_default()))
    }

    /// Which fleet the database belongs to, as it was seen last; `None` before.
    pub(crate) fn fleet(&self) -> Option<Option<FleetRow>> {
        self.seen().fleet
    }

    pub(crate) fn note_fleet(&self, fleet: Option<FleetRow>) {
        self.seen().fleet = Some(fleet);
    }

    pub(crate) fn health(&self) -> Health {
        let seen = self.seen();
        let name = |number: usize| self.all.get(number).map(|server| server.name.clone());
        Health {
            timeline: self.fence.borrow().timeline,
            primary: seen.primary.and_then(name),
            without_primary: seen.without.map(|since| since.elapsed()),
            unconfirmed: seen.unconfirmed(),
            faults: seen.faults.clone(),
            alone: self.standbys == Standbys::NotNeeded,
        }
    }

    /// The server that the watcher saw, or else the one that is found by asking all.
    async fn primary(&self) -> Result<(Link, Facts), DatabaseError> {
        let (is_fresh, known, faults) = {
            let seen = self.seen();
            let is_fresh = seen.asked.is_some_and(|asked| asked.elapsed() < FRESH);
            (is_fresh, seen.primary, seen.faults.join("; "))
        };
        match known.and_then(|number| self.all.get(number)) {
            Some(server) if is_fresh => {
                let (link, facts) = self.open(server).await?;
                return self.admitted(server, &facts).map(|()| (link, facts));
            }
            None if is_fresh => return Err(DatabaseError::NoPrimary(faults)),
            Some(_) | None => {}
        }
        let mut opened = Vec::new();
        let mut first_error = None;
        for answer in join_all(self.all.iter().map(|server| self.open(server))).await {
            match answer {
                Ok(one) => opened.push(one),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        // The highest timeline is known only after all servers were asked.
        opened.iter().for_each(|(_, facts)| self.note_timeline(facts));
        self.note_doubt(opened.iter().map(|(_, facts)| facts));
        let mut refusal = None;
        for (link, facts) in opened {
            let Some(server) = self.all.get(link.number) else { continue };
            match self.admitted(server, &facts) {
                Ok(()) => return Ok((link, facts)),
                Err(error) if facts.timeline.is_some() => refusal = Some(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(refusal.or(first_error).unwrap_or_else(|| DatabaseError::NoPrimary("none answers".into())))
    }

    /// Connects to one server and asks it what it is.
    async fn open(&self, server: &Server) -> Result<(Link, Facts), DatabaseError> {
        let number = self.all.iter().position(|one| std::ptr::eq(one, server)).unwrap_or_default();
        let failed = |why: String| DatabaseError::Server(server.name.clone(), why);
        let opening = async {
            let mut link = Link::open(&server.config, self.tls.clone(), number).await?;
            let facts = link.facts().await?;
            Ok::<_, String>((link, facts))
        };
        let answer = timeout(PATIENCE, opening).await.map_err(|_| failed("no answer in 2 s".into()))?;
        answer.map_err(failed)
    }

    /// Whether this server may be written to.
    fn admitted(&self, server: &Server, facts: &Facts) -> Result<(), DatabaseError> {
        let name = || server.name.clone();
        if !self.is_of_cluster(facts) {
            return Err(DatabaseError::OtherCluster(name()));
        }
        let Some(timeline) = facts.timeline else {
            return Err(DatabaseError::NoPrimary(format!("{} is a standby or read-only", server.name)));
        };
        self.note_timeline(facts);
        let Fence { timeline: highest, is_split, .. } = *self.fence.borrow();
        if timeline < highest {
            return Err(DatabaseError::Outdated(name(), timeline, highest));
        }
        if is_split {
            return Err(DatabaseError::Split(highest));
        }
        self.standbys.admit(facts).map_err(|unfit| DatabaseError::Unfit(name(), unfit))
    }

    /// Remembers a timeline that is higher than all before. Every wait on a lower one ends.
    fn note_timeline(&self, facts: &Facts) {
        if !self.is_of_cluster(facts) {
            return;
        }
        let Some(timeline) = facts.timeline else { return };
        let timeline = self.kept.highest(facts.system, timeline);
        self.fence.send_if_modified(|fence| {
            let is_higher = timeline > fence.timeline;
            if is_higher {
                *fence = Fence { timeline, ..Fence::default() };
            }
            is_higher
        });
    }

    /// Remembers whether more than one server is writable on the highest timeline, or one has two standbys of one name, after all
    /// were asked.
    fn note_doubt<'f>(&self, all: impl Iterator<Item = &'f Facts>) {
        let highest = self.fence.borrow().timeline;
        let of_highest = all.filter(|facts| facts.timeline == Some(highest) && self.is_of_cluster(facts));
        let writable: Vec<_> = of_highest.collect();
        let is_doubled = writable.iter().any(|facts| matches!(self.standbys.admit(facts), Err(Unfit::Doubled(_))));
        self.fence.send_if_modified(|fence| {
            let before = (fence.is_split, fence.is_doubled);
            // A higher timeline that was seen since is neither.
            let is_highest = fence.timeline == highest;
            (fence.is_split, fence.is_doubled) = (writable.len() > 1 && is_highest, is_doubled && is_highest);
            before != (fence.is_split, fence.is_doubled)
        });
    }

    /// Whether a server belongs to the cluster that answered first.
    fn is_of_cluster(&self, facts: &Facts) -> bool {
        *self.seen().system.get_or_insert(facts.system) == facts.system
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn unconfirmed(&self) -> Option<String> {
        self.primary?;
        let silent = |since: &Instant| format!("no commit was confirmed for {} s", since.elapsed().as_secs());
        self.absent.clone().or_else(|| self.unconfirmed.as_ref().map(silent))
    }
}

impl Server {
    fn parse(text: &str) -> Result<Self, String> {
        let mut config = Config::from_str(text).map_err(|error| error.to_string())?;
        let mut name = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            [Host::Unix(path)] => path.display().to_string(),
            _ => return Err("it must name one host".into()),
        };
        if let [port] = config.get_ports() {
            name = format!("{name}:{port}");
        }
        // What may use TLS uses it: a server that says that it cannot is not believed.
        if matches!(config.get_hosts(), [Host::Tcp(_)]) && config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(SslMode::Require);
        }
        config.application_name("otp-verifier").connect_timeout(PATIENCE);
        // A server that was cut off says nothing. Its connections end all the same.
        let second = Duration::from_secs(1);
        config.keepalives(true).keepalives_idle(second).keepalives_interval(second).keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(5));
        Ok(Self { config, name })
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, DatabaseError> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| DatabaseError::Password(path.display().to_string(), error.kind()))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// What one thread waits in.
struct Engine(Option<Runtime>);

impl Engine {
    fn new() -> Result<Self, DatabaseError> {
        Builder::new_current_thread()
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(DatabaseError::Runtime)
    }

    /// `None` once it is dropped.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(future))
    }
}

impl Drop for Engine {
    /// Without a wait for a name service that does not answer.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
