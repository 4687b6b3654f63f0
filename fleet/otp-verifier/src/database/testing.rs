//! Real PostgreSQL servers for tests: a primary and its standbys, on sockets in a folder of their own.
//!
//! Without PostgreSQL these tests fail: what is skipped proves nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

use crate::database::migrations::{ROLES, migrate};
use crate::database::standbys::Standbys;
use crate::database::{Servers, Settings};

/// Servers of one cluster; the first one is the primary.
pub(crate) struct Cluster {
    folder: TempDir,
    nodes: Vec<Mutex<Option<Pid>>>,
    _template: Option<Arc<Template>>,
}

/// A cluster with tables that was stopped. Others are copies of it.
struct Template(Cluster);

static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

const CONFIG: &str = "listen_addresses = ''\nshared_buffers = 16MB\nmax_connections = 80\nautovacuum = off\n\
     checkpoint_timeout = 1h\nwal_keep_size = 64MB\nwal_receiver_status_interval = 1\nwal_retrieve_retry_interval = 200ms\n\
     log_min_messages = log\nrestart_after_crash = off\n";

/// The newest PostgreSQL that is installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let newest = newest.filter(|version| *version >= 15);
    let version = newest.expect("these tests need PostgreSQL 15 or later: apt-get install postgresql");
    PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}"))
}

/// As the user `postgres` where this is root, which PostgreSQL refuses to be run by. The program ends with these tests.
fn command(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=INT");
    if geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg(program(name)).stdin(Stdio::null()).current_dir("/");
    command
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("otp-pg-").tempdir_in("/var/tmp").unwrap();
    if geteuid().is_root() {
        let user = User::from_name("postgres").unwrap();
        let user = user.expect("these tests need the user postgres: apt-get install postgresql");
        chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    folder
}

impl Template {
    fn get() -> Arc<Self> {
        let mut kept = TEMPLATE.lock().unwrap();
        if let Some(template) = kept.upgrade() {
            return template;
        }
        let folder = folder();
        let data = folder.path().join("0");
        done(command("initdb").args(["--no-sync", "--auth=trust", "--username=postgres", "-D"]).arg(&data));
        append(&data, CONFIG);
        let cluster = Cluster { folder, nodes: vec![Mutex::new(None)], _template: None };
        cluster.start(0);
        cluster.sql_in("postgres", 0, ROLES);
        let settings =
            Settings { servers: vec![cluster.url("otp", "otp_owner", 0)], alone: true, ..Settings::default() };
        let session = Arc::new(Servers::new(&settings).unwrap()).connect().unwrap();
        assert_eq!(migrate(&session).unwrap(), [1]);
        assert_eq!(migrate(&session).unwrap(), [0; 0]);
        drop(session);
        cluster.stop(0, Signal::SIGINT);
        let template = Arc::new(Self(cluster));
        *kept = Arc::downgrade(&template);
        template
    }
}

impl Cluster {
    /// A primary with so many standbys, s1, s2, …
    pub(crate) fn new(synchronous_standby_names: &str, standbys: usize) -> Self {
        let template = Template::get();
        let folder = folder();
        let nodes = (0..=standbys).map(|_| Mutex::new(None)).collect();
        for node in 0..=standbys {
            let (from, to) = (template.0.data(0), folder.path().join(node.to_string()));
            done(Command::new("cp").arg("-a").arg(from).arg(to));
        }
        let cluster = Self { folder, nodes, _template: Some(template) };
        cluster.set(0, "synchronous_standby_names", synchronous_standby_names);
        cluster.start(0);
        for node in 1..=standbys {
            cluster.follow(node, 0);
            File::create(cluster.data(node).join("standby.signal")).unwrap();
            cluster.start(node);
        }
        cluster.wait_for(
            0,
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
            &standbys.to_string(),
        );
        cluster
    }

    /// One with a named standby for all tests that disturb nothing, and a database of its own for each.
    pub(crate) fn shared() -> (Arc<Self>, String) {
        let mut kept = SHARED.lock().unwrap();
        let cluster = kept.upgrade().unwrap_or_else(|| Arc::new(Self::new("FIRST 1 (s1)", 1)));
        *kept = Arc::downgrade(&cluster);
        let name = format!("otp{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        cluster.sql_in("postgres", 0, &format!("CREATE DATABASE {name} TEMPLATE otp OWNER otp_owner"));
        (cluster, name)
    }

    fn data(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    pub(crate) fn start(&self, node: usize) {
        self.start_at(node, &port(node));
    }

    fn start_at(&self, node: usize, port: &str) {
        let log =
            OpenOptions::new().create(true).append(true).open(self.folder.path().join(format!("{node}.log"))).unwrap();
        let mut server = command("postgres");
        server.arg("-D").arg(self.data(node)).arg("-k").arg(self.folder.path()).arg("-p").arg(port);
        server.stdout(Stdio::null()).stderr(log);
        // The signal of a parent's death is that of its thread: this one lives as long as the server.
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut child = server.spawn().expect("setpriv starts PostgreSQL");
            sender.send(child.id()).unwrap();
            child.wait().unwrap();
        });
        let pid = Pid::from_raw(receiver.recv().unwrap().cast_signed());
        *self.nodes[node].lock().unwrap() = Some(pid);
        for _ in 0..300 {
            let mut ready = command("pg_isready");
            ready.args(["-q", "-d", "postgres", "-h"]).arg(self.folder.path()).arg("-p").arg(port);
            if ready.status().unwrap().success() {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not start: {}", self.log(node));
    }

    pub(crate) fn log(&self, node: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("{node}.log"))).unwrap_or_default()
    }

    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        if let Some(pid) = *self.nodes[node].lock().unwrap() {
            let _ = kill(pid, signal);
        }
    }

    /// Stops all processes of a server where they are, as a machine that hangs.
    pub(crate) fn freeze(&self, node: usize) {
        self.signal(node, Signal::SIGSTOP);
        self.signal_children(node, Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self, node: usize) {
        self.signal_children(node, Signal::SIGCONT);
        self.signal(node, Signal::SIGCONT);
    }

    fn signal_children(&self, node: usize, signal: Signal) {
        let Some(pid) = *self.nodes[node].lock().unwrap() else { return };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = kill(Pid::from_raw(child.parse().unwrap()), signal);
        }
    }

    /// With SIGKILL as in a crash, with SIGINT as it should be.
    pub(crate) fn stop(&self, node: usize, signal: Signal) {
        self.signal(node, signal);
        let Some(pid) = self.nodes[node].lock().unwrap().take() else { return };
        while Path::new(&format!("/proc/{pid}")).exists() {
            sleep(Duration::from_millis(20));
        }
    }

    /// A setting, now and at the next start.
    pub(crate) fn set(&self, node: usize, name: &str, value: &str) {
        append(&self.data(node), &format!("{name} = '{value}'\n"));
        self.signal(node, Signal::SIGHUP);
    }

    /// The same, after it is in force.
    pub(crate) fn set_now(&self, node: usize, name: &str, value: &str) {
        self.set(node, name, value);
        self.wait_for(node, &format!("SHOW {name}"), value);
    }

    /// Makes a standby follow a server.
    pub(crate) fn follow(&self, node: usize, primary: usize) {
        self.follow_as(node, primary, &format!("s{node}"));
    }

    /// The same by another name.
    pub(crate) fn follow_as(&self, node: usize, primary: usize, name: &str) {
        let socket = self.folder.path().display();
        let from = format!("host={socket} port={} user=postgres application_name={name}", port(primary));
        self.set(node, "primary_conninfo", &from);
    }

    pub(crate) fn promote(&self, node: usize) {
        assert_eq!(self.sql(node, "SELECT pg_promote(true, 30)"), "t");
    }

    pub(crate) fn sql(&self, node: usize, sql: &str) -> String {
        self.sql_in("otp", node, sql)
    }

    /// As a superuser. A primary that waits for standbys does not wait for this.
    pub(crate) fn sql_in(&self, database: &str, node: usize, sql: &str) -> String {
        let mut psql = self.psql(database, "postgres", node);
        done(psql.args(["-c", "SET synchronous_commit = local"]).args(sql.split(";\n").flat_map(|one| ["-c", one])))
    }

    /// What a role is told.
    pub(crate) fn error_of(&self, database: &str, role: &str, sql: &str) -> String {
        let output = self.psql(database, role, 0).args(["-c", sql]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    fn psql(&self, database: &str, role: &str, node: usize) -> Command {
        let mut psql = command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", database, "-h"]);
        psql.arg(self.folder.path()).arg("-p").arg(port(node));
        psql
    }

    pub(crate) fn wait_for(&self, node: usize, sql: &str, wanted: &str) {
        for _ in 0..200 {
            if self.sql_in("postgres", node, sql) == wanted {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{sql} is not {wanted}: {}", self.log(node));
    }

    pub(crate) fn url(&self, database: &str, role: &str, node: usize) -> String {
        format!("host={} port={} dbname={database} user={role}", self.folder.path().display(), port(node))
    }

    /// Makes a server answer with TLS, by an authority of its own; returns its address and the file of that authority.
    pub(crate) fn with_tls(&self, node: usize) -> (String, PathBuf) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (key, certificate) = (self.data(node).join("server.key"), self.data(node).join("server.crt"));
        let authority = self.folder.path().join("authority.pem");
        let openssl =
            |arguments: String| done(Command::new("openssl").args(arguments.split_whitespace()).stderr(Stdio::null()));
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        let folder = self.folder.path().display();
        openssl(format!("req -x509 {new} -subj /CN=authority -keyout {folder}/ca.key -out {}", authority.display()));
        openssl(format!(
            "req {new} -subj /CN=db -addext subjectAltName=DNS:localhost -keyout {} -out {folder}/db.csr",
            key.display()
        ));
        openssl(format!(
            "x509 -req -in {folder}/db.csr -CA {} -CAkey {folder}/ca.key -days 2 -copy_extensions copy -out {}",
            authority.display(),
            certificate.display()
        ));
        if geteuid().is_root() {
            let user = User::from_name("postgres").unwrap().unwrap();
            chown(&key, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        self.stop(node, Signal::SIGINT);
        append(&self.data(node), "listen_addresses = '127.0.0.1'\nssl = on\n");
        self.start_at(node, &port.to_string());
        (format!("host=localhost port={port} dbname=otp user=otp_verifier"), authority)
    }

    /// These servers, as a verifier has them in its configuration.
    pub(crate) fn servers_of(&self, database: &str, nodes: &[usize]) -> Servers {
        let servers = nodes.iter().map(|node| self.url(database, "otp_verifier", *node)).collect();
        Servers::new(&Settings { servers, ..Settings::default() }).unwrap()
    }

    pub(crate) fn servers(&self, nodes: &[usize]) -> Arc<Servers> {
        Arc::new(self.servers_of("otp", nodes))
    }

    /// The same without the rule of standbys.
    pub(crate) fn unchecked(&self, nodes: &[usize]) -> Arc<Servers> {
        Arc::new(Servers { standbys: Standbys::Unchecked, ..self.servers_of("otp", nodes) })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The first process of a server ends after all others, and nothing is written then: the folder can be removed.
        for node in (0..self.nodes.len()).rev() {
            self.signal_children(node, Signal::SIGCONT);
            self.signal(node, Signal::SIGCONT);
            self.stop(node, Signal::SIGQUIT);
        }
    }
}

fn port(node: usize) -> String {
    (54_320 + node).to_string()
}

fn append(data: &Path, text: &str) {
    OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap().write_all(text.as_bytes()).unwrap();
}
