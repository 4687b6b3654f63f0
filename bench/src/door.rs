//! The ways in: what runs a login, from a process that has handled others before to a whole `ssh`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use otp_core::system::accounts;
use pam_otp_tests::{machine, pam::Code, service::Service, sshd::Sshd};

use crate::entrant::Entrant;
use crate::login::{self, Cost, nanoseconds, numbers};

/// The process of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// A process that has handled logins before. What stays loaded is there.
    Warm,
    /// A process that another one has forked, into which no module was ever loaded.
    Forked,
    /// A new process.
    Fresh,
    /// `sudo true`.
    Sudo,
    /// `ssh 127.0.0.1 true`.
    Ssh,
}

impl How {
    pub(crate) fn name(self) -> &'static str {
        match self {
            How::Warm => "warm",
            How::Forked => "forked process each",
            How::Fresh => "new process each",
            How::Sudo => "`sudo true`",
            How::Ssh => "`ssh 127.0.0.1 true`",
        }
    }

    /// Whether it is a program of the machine's, which does more than PAM.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, How::Sudo | How::Ssh)
    }
}

/// Logs the entrant's user in with a code. What it takes for that goes when this goes.
pub(crate) type Door<'a> = Box<dyn FnMut(&str) -> (Code, Cost) + 'a>;

pub(crate) fn open(how: How, entrant: &Entrant) -> Door<'_> {
    match how {
        How::Warm => Box::new(|code| login::warm(entrant, code)),
        How::Forked => forked(entrant),
        How::Fresh => Box::new(|code| login::fresh(entrant, code)),
        How::Sudo => sudo(entrant),
        How::Ssh => ssh(entrant),
    }
}

fn forked(entrant: &Entrant) -> Door<'_> {
    let mut server = Server::of(entrant);
    Box::new(move |code| {
        let numbers = server.log_in(code);
        (Code(i32::try_from(numbers[0]).unwrap()), Cost { wall: numbers[1], cpu: Some(numbers[2]) })
    })
}

/// A process that forks for each login.
struct Server {
    child: Child,
    codes: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Server {
    fn of(entrant: &Entrant) -> Self {
        let mut command = login::process("logins-forked", entrant, &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (codes, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, codes, said }
    }

    fn log_in(&mut self, code: &str) -> Vec<u64> {
        writeln!(self.codes.as_ref().unwrap(), "{code}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        numbers(&line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.codes = None; // it ends when its input does
        let _ = self.child.wait();
    }
}

fn sudo(entrant: &Entrant) -> Door<'_> {
    let user = &entrant.user;
    let service = Service::installed("bench-sudo", &whole_stack(entrant));
    let rules = format!(
        "Defaults:{user} timestamp_timeout=0, !lecture, pam_service={}\n{user} ALL=(root) ALL\n",
        service.name()
    );
    // sudo passes over names with a dot.
    let file = tempfile::Builder::new().prefix("bench-").tempfile_in("/etc/sudoers.d").unwrap();
    fs::write(file.path(), rules).unwrap();
    let account = accounts::account(user).unwrap().unwrap();
    Box::new(move |code| {
        let _kept = (&service, &file);
        let mut sudo = Command::new("sudo");
        sudo.args(["-S", "-p", "", "true"]).uid(account.uid).gid(account.gid).current_dir("/");
        whole(sudo.stdin(Stdio::piped()), code)
    })
}

fn ssh(entrant: &Entrant) -> Door<'_> {
    let sshd = Sshd::start("bench", &whole_stack(entrant), "");
    let dir = tempfile::tempdir().unwrap();
    let (written, answer) = (dir.path().join("written"), dir.path().join("answer"));
    fs::write(&written, "#!/bin/sh\nprintf '%s\\n' \"$CODE\"\n").unwrap();
    machine::run(Command::new("install").args(["-m", "0700"]).args([&written, &answer]));
    Box::new(move |code| {
        let _kept = &dir;
        let mut ssh = sshd.ssh(&entrant.user).command("true").client(&answer);
        whole(ssh.env("CODE", code).stdin(Stdio::null()), code)
    })
}

/// The entrant's stack for a program that asks for more than `auth`.
fn whole_stack(entrant: &Entrant) -> String {
    let auth = fs::read_to_string(entrant.service.path()).unwrap();
    format!("{auth}\naccount required pam_permit.so\nsession required pam_permit.so\n")
}

/// From the program's start to its end. What it says is what failed.
fn whole(program: &mut Command, code: &str) -> (Code, Cost) {
    program.stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = program.spawn().unwrap();
    if let Some(mut input) = child.stdin.take() {
        // A stack that asks for nothing reads nothing.
        let _ = writeln!(input, "{code}");
    }
    let output = child.wait_with_output().unwrap();
    let wall = nanoseconds(start);
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    (Code::SUCCESS, Cost { wall, cpu: None })
}
