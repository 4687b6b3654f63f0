//! The machine's agent and sender, and programs of the configuration that keep what they were given to send.

use crate::{
    agent::{self, Agent},
    machine,
    outcome::Dialogue,
    phone::Phone,
    sender::{self, Sender, USER},
    users::{self, TestUser},
};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A user's number.
pub const NUMBER: &str = "+61412345678";
/// What a login shows of a code that was sent to it.
pub const SENT: &str = "A code was sent to the number that ends in 78.";

/// Agent, sender and what was sent.
#[derive(Debug)]
pub struct Post {
    pub sender: Sender,
    _awake: Awake,
    /// Last: with it goes the machine's place for both.
    pub agent: Agent,
    folder: PathBuf,
}

/// Connects to agent and sender again and again: they end when they are idle, and here no systemd starts the next ones.
#[derive(Debug)]
struct Awake {
    goes_on: Arc<AtomicBool>,
}

impl Awake {
    fn keep() -> Awake {
        let goes_on = Arc::new(AtomicBool::new(true));
        let until = Arc::clone(&goes_on);
        thread::spawn(move || {
            while until.load(Ordering::Relaxed) {
                for socket in [agent::SOCKET, sender::SOCKET] {
                    let _ = UnixStream::connect(socket);
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        Awake { goes_on }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
    }
}

impl Post {
    /// With these keys in `[sms]`.
    ///
    /// # Panics
    /// Outside the machine, or where agent and sender are not built.
    pub fn start(keys: &str) -> Post {
        machine::require("messages");
        users::ensure_system_user(USER);
        let folder = PathBuf::from("/run/pam-otp-senders").join(machine::unique("post"));
        machine::run(Command::new("install").args(["-d", "-o", USER, "-m", "0755"]).arg(&folder));
        let program = folder.with_extension("program");
        let script =
            format!("#!/bin/sh\nset -eu\ncat > {0}/new\nmv {0}/new \"{0}/$1.$(date +%s%N)\"\n", folder.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let send = format!("send = [\"{}\"]", program.display());
        let agent = Agent::with(|config| {
            let config = config.replace("\n[sms]\n", &format!("\n[sms]\n{send}\n{keys}\n"));
            config.replace("\n[email]\n", &format!("\n[email]\n{send}\n"))
        });
        let post = Post { sender: Sender::of_the_machine(), _awake: Awake::keep(), agent, folder };
        // What an earlier test has sent is counted, too.
        post.some_time_passes_if_any();
        post
    }

    /// Has the user, who has a phone, add a number: device 2, `mobile`. That takes a recovery code.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn add_number(&self, user: &TestUser, phone: &Phone, number: &str) {
        let mut talk = Dialogue::start(user.command("otp-enroll").args(["--json", "add", "mobile", "--sms", number]));
        talk.say(&phone.recovery_code());
        assert_eq!(talk.json()["sent"], true);
        talk.say(&self.digits(number));
        assert_eq!(talk.json()["device"], 2);
        assert_eq!(talk.end().code, Some(0));
        self.some_time_passes();
    }

    /// As if what was sent before had been sent long ago.
    ///
    /// # Panics
    /// When nothing was sent.
    pub fn some_time_passes(&self) {
        fs::remove_file("/var/lib/pam_otp/.sends").unwrap();
    }

    /// The same, where nothing may have been sent.
    pub fn some_time_passes_if_any(&self) {
        let _ = fs::remove_file("/var/lib/pam_otp/.sends");
    }

    /// From now on the program does this instead.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn fail(&self, script: &str) {
        fs::write(self.program(), format!("#!/bin/sh\n{script}\n")).unwrap();
    }

    /// The program of both tables.
    pub fn program(&self) -> PathBuf {
        self.folder.with_extension("program")
    }

    /// A folder that the program may write.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The texts that were sent there, in order.
    ///
    /// # Panics
    /// When the folder is gone.
    pub fn texts(&self, to: &str) -> Vec<String> {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> = files
            .filter(|entry| entry.file_name().to_string_lossy().rsplit_once('.').is_some_and(|(name, _)| name == to))
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    /// The digits at the start of the last text, without blanks: a code or a PIN.
    ///
    /// # Panics
    /// When nothing was sent there.
    pub fn digits(&self, to: &str) -> String {
        let text = self.texts(to).pop().unwrap_or_else(|| panic!("nothing was sent to {to}"));
        let body = text.rsplit("\n\n").next().unwrap();
        body.chars()
            .take_while(|letter| letter.is_ascii_digit() || *letter == ' ')
            .filter(|letter| *letter != ' ')
            .collect()
    }
}
