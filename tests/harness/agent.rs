//! The agent, as systemd runs it: a listening socket that outlives it, and a process that is started with that socket.

use crate::{held::Held, machine, service::Service, site::Site, syslog, users::TestUser};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::{
    fs, iter,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Where the module looks for it.
pub const SOCKET: &str = "/run/pam_otp/agent";

/// The mode of the socket.
const OPEN: u32 = 0o666;

/// A test that waits longer for an agent, or for who asks it, has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// No test's agent is there as long as this is: what a machine without one does.
#[derive(Debug)]
pub struct NoAgent {
    _mine: Held,
}

/// Takes the machine's one place for an agent, and leaves it empty.
///
/// # Panics
/// Outside the machine.
pub fn none() -> NoAgent {
    machine::require("an agent");
    let mine = Held::take("agent");
    let _ = fs::remove_file(SOCKET);
    NoAgent { _mine: mine }
}

/// A listening socket in the agent's place.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    _place: NoAgent,
}

impl Socket {
    /// Root's, in a folder of root's, that any user may connect to.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn new() -> Socket {
        let place = none();
        fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(SOCKET).unwrap();
        fs::set_permissions(SOCKET, fs::Permissions::from_mode(OPEN)).unwrap();
        Socket { listener, _place: place }
    }

    /// The next connection of a process of this user, for a test that plays the agent. Logins of other tests may come, too: they
    /// are refused.
    ///
    /// # Panics
    /// When none comes in 30 s.
    pub fn accept_from(&self, uid: u32) -> UnixStream {
        self.listener.set_nonblocking(true).unwrap();
        machine::wait(PATIENCE, || {
            let (stream, _) = self.listener.accept().ok()?;
            let asker = net::sockopt::socket_peercred(&stream).unwrap().uid;
            (asker.as_raw() == uid).then_some(stream)
        })
        .expect("nobody asks the agent")
    }

    /// Connects until no more connections are let in: they are held, and the queue stays full.
    ///
    /// # Panics
    /// When it cannot be made short.
    pub fn fill(&self) -> Vec<OwnedFd> {
        net::listen(&self.listener, 0).unwrap();
        let connect = || {
            let socket =
                net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
            net::connect(&socket, &SocketAddrUnix::new(SOCKET).unwrap()).ok().map(|()| socket)
        };
        iter::from_fn(connect).collect()
    }
}

impl Default for Socket {
    fn default() -> Socket {
        Socket::new()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(SOCKET);
    }
}

/// The agent at the machine's own site, and what its configuration says of hosts.
#[derive(Debug)]
pub struct Agent {
    process: Child,
    socket: Socket,
    config: (PathBuf, String),
    /// Tests that change the configuration without an agent hold it, too.
    _configuration: Service,
}

impl Agent {
    /// Started, with these tables at the end of the machine's configuration.
    ///
    /// # Panics
    /// Outside the machine, or where it is not built.
    pub fn start(hosts: &str) -> Agent {
        Agent::with(|config| format!("{config}\n{hosts}\n"))
    }

    /// The same with the machine's configuration in another form.
    ///
    /// # Panics
    /// As above.
    pub fn with(edited: impl FnOnce(&str) -> String) -> Agent {
        let socket = Socket::new();
        let configuration = Service::held("pam-otp-configuration");
        let path = Site::of_the_machine().config().to_owned();
        let before = fs::read_to_string(&path).unwrap();
        replace(&path, &edited(&before));
        Agent { process: process(&socket), socket, config: (path, before), _configuration: configuration }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether others than root may connect. Logins of other tests whose helper fails do, and an agent that is asked is not idle.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn is_open_to_all(&self, is_open: bool) {
        let mode = if is_open { OPEN } else { 0o600 };
        fs::set_permissions(SOCKET, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sends it a signal, as `KILL` or `STOP`.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, name: &str) {
        machine::run(Command::new("kill").args(["-s", name, &self.pid().to_string()]));
    }

    /// Kills it and starts the next one with the same socket, as systemd does.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.process = process(&self.socket);
    }

    /// As if it had never been enabled: no process, no socket. No other test's agent comes in its place meanwhile.
    ///
    /// # Panics
    /// When it was disabled before.
    pub fn disable(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        fs::remove_file(SOCKET).unwrap();
    }

    /// How it ended, if it ends within that time.
    pub fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        machine::wait(time, || self.process.try_wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        replace(&self.config.0, &self.config.1);
    }
}

/// What the agent has logged about a user: a line of each verdict, without time and process.
pub fn verdicts(mark: syslog::Mark, user: &TestUser) -> Vec<String> {
    let lines = syslog::lines_since(mark).into_iter().filter(|line| line.contains("otp-agent"));
    let user = format!(" user={} ", user.name);
    let text = |line: String| Some(line.split_once("]: ")?.1.to_owned());
    lines.filter(|line| line.contains(&user)).filter_map(text).collect()
}

/// Connects to the agent. Who reads from it waits for 30 s at most.
///
/// # Panics
/// When there is no socket.
pub fn connect() -> UnixStream {
    let stream = UnixStream::connect(SOCKET).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks this question so many times in a row, in a process of this user.
///
/// # Panics
/// When no agent answers.
pub fn ask_as(user: &TestUser, question: &str, times: usize) {
    let script = format!(
        "import socket, sys\nsocket.setdefaulttimeout(30)\nfor _ in range({times}):\n  s = socket.socket(socket.AF_UNIX)\n  s.connect('{SOCKET}')\n  \
         s.sendall(sys.argv[1].encode() + b'\\n')\n  s.recv(65536)\n  s.close()"
    );
    machine::run(user.command("python3").args(["-c", &script, question]));
}

/// Other tests read the configuration meanwhile: they see the old one or the new one.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("of-agent");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&new, path).unwrap();
}

fn process(socket: &Socket) -> Child {
    let program = machine::product("otp-agent");
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" 3<&0 0</dev/null";
    Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .stdin(Stdio::from(OwnedFd::from(socket.listener.try_clone().unwrap())))
        .spawn()
        .unwrap()
}
