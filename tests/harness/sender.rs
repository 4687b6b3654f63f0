//! The sender, as systemd runs it: a listening socket of root's, and a process of user otp-sender that is started with it.

use crate::{machine, users};
use std::{
    fs::{self, Permissions},
    io::{Read, Write},
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

/// Where the agent looks for it.
pub const SOCKET: &str = "/run/pam_otp/sender";

/// The account that it runs as.
pub const USER: &str = "otp-sender";

/// Runs with the folder of the configuration `$2` in the place of the machine's where `$2` is not empty: a mount that no other process
/// sees. Not with the file alone: a mount is gone where another test puts a new file in the place of the one below.
const START: &str = r#"
[ -z "$2" ] || mount --bind "$(dirname "$2")" /etc/pam_otp
export LISTEN_PID=$$ LISTEN_FDS=1
exec setpriv --reuid="$3" --regid="$3" --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$1" 3<&0 0</dev/null
"#;

/// A running sender.
#[derive(Debug)]
pub struct Sender {
    process: Child,
    listener: UnixListener,
    socket: PathBuf,
    config: Option<PathBuf>,
}

impl Sender {
    /// At a socket and with a configuration of its own, with these tables: other tests go on meanwhile.
    ///
    /// # Panics
    /// Outside the machine, or where it is not built.
    pub fn start(tables: &str) -> Sender {
        Sender::with(tables, &[])
    }

    /// The same with these variables of the unit.
    ///
    /// # Panics
    /// Outside the machine, or where it is not built.
    pub fn with(tables: &str, environment: &[(&str, &str)]) -> Sender {
        machine::require("a sender");
        let folder = PathBuf::from("/run/pam-otp-senders").join(machine::unique("sender"));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("pam_otp.toml");
        fs::write(&config, tables).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
        Sender::at(folder.join("socket"), Some(config), environment)
    }

    /// Where the agent looks for it, with the machine's own configuration. The test has the machine's agent, whose tables
    /// name the programs.
    ///
    /// # Panics
    /// Outside the machine, or where it is not built.
    pub fn of_the_machine() -> Sender {
        machine::require("a sender");
        let _ = fs::remove_file(SOCKET);
        fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
        Sender::at(SOCKET.into(), None, &[])
    }

    fn at(socket: PathBuf, config: Option<PathBuf>, environment: &[(&str, &str)]) -> Sender {
        users::ensure_system_user(USER);
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
        let process = process(&listener, config.as_deref(), environment);
        Sender { process, listener, socket, config }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Another configuration from now on.
    ///
    /// # Panics
    /// Where it has that of the machine.
    pub fn set(&self, tables: &str) {
        fs::write(self.config.as_ref().unwrap(), tables).unwrap();
    }

    /// Other users may connect, as they may not to the socket that systemd makes.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn open_to_all(&self) -> &Path {
        fs::set_permissions(&self.socket, Permissions::from_mode(0o666)).unwrap();
        &self.socket
    }

    /// Sends this line and gives the answer, which is empty if there is none.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut answer, _) = (String::new(), stream.write_all(line.as_bytes()));
        let _ = stream.read_to_string(&mut answer);
        answer.trim_end().to_owned()
    }

    /// Sends a message, as the agent does.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn send(&self, kind: &str, to: &str, text: &str) -> String {
        self.ask(&(serde_json::json!({"kind": kind, "to": to, "text": text}).to_string() + "\n"))
    }

    /// Starts the next one with the same socket, as systemd does.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.process = process(&self.listener, self.config.as_deref(), &[]);
    }

    /// As if it had never been enabled: no process, no socket.
    ///
    /// # Panics
    /// When it was stopped before.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        fs::remove_file(&self.socket).unwrap();
    }

    /// How it ended, if it ends within that time.
    pub fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        machine::wait(time, || self.process.try_wait().unwrap())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

fn process(listener: &UnixListener, config: Option<&Path>, environment: &[(&str, &str)]) -> Child {
    let program = machine::product("otp-sender");
    // Every user may run the copy, wherever the source tree is.
    let shared = PathBuf::from("/run/pam-otp-senders").join(machine::unique("otp-sender"));
    machine::run(Command::new("install").args(["-D", "-m", "0755"]).args([&program, &shared]));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", START, "sh"]);
    command.arg(shared).arg(config.map_or_else(Default::default, Path::to_path_buf)).arg(USER);
    command.envs(environment.iter().copied());
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap()))).spawn().unwrap()
}
