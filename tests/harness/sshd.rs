//! A real sshd with a PAM service of its own, and a real ssh client in front of it.

use crate::{
    machine,
    pty::{Pty, Terminal},
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::{
    fs::{self, File, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// A server on a free port of 127.0.0.1. Dropped, it is killed.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    dir: TempDir,
    service: Service,
}

impl Sshd {
    /// A server as the examples for password and code as one set it up, for a client that can ask only once.
    ///
    /// # Panics
    /// As for [`Sshd::start`].
    pub fn of_one_question(stem: &str, site: &Site) -> Sshd {
        let example = machine::source("config/examples/sshd_config.d/password-and-code-as-one.conf");
        let stack =
            site.example("password-and-code-as-one") + "account required pam_unix.so\nsession required pam_permit.so\n";
        Sshd::start(stem, &stack, &fs::read_to_string(example).unwrap())
    }

    /// A server whose PAM service `otp-STEM-…-sshd` has this stack. `config` is lines of sshd_config; where they are
    /// silent, it asks keyboard-interactive through PAM, and nothing else.
    ///
    /// # Panics
    /// Outside the machine; when sshd refuses the configuration.
    pub fn start(stem: &str, stack: &str, config: &str) -> Sshd {
        machine::require("an sshd of our own");
        let mark = syslog::mark();
        let dir = tempfile::Builder::new().prefix("sshd-").tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let service = Service::installed_as(format!("{}-sshd", machine::unique(&format!("otp-{stem}"))), stack);
        // OpenSSH 9.2 takes the service's name from argv[0].
        let program = dir.path().join(service.name());
        symlink("/usr/sbin/sshd", &program).unwrap();
        let host_key = dir.path().join("host_key");
        machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key));

        for _ in 0..5 {
            // The port is free now; if another process takes it before sshd does, the next one will do.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let config_file = dir.path().join("sshd_config");
            fs::write(&config_file, configuration(port, &host_key, config)).unwrap();
            let errors = dir.path().join("errors");
            let mut child = Command::new(&program)
                .arg("-D")
                .arg("-f")
                .arg(&config_file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(&errors).unwrap())
                .spawn()
                .unwrap();
            let listening = format!("[{}]: Server listening on 127.0.0.1 port {port}", child.id());
            let up = machine::wait(Duration::from_secs(20), || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => syslog::lines_since(mark).iter().any(|line| line.contains(&listening)).then_some(true),
            });
            if up == Some(true) {
                let key = fs::read_to_string(host_key.with_extension("pub")).unwrap();
                fs::write(dir.path().join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
                return Sshd { child, port, dir, service };
            }
            let _ = child.kill();
            let _ = child.wait();
            let log = syslog::lines_since(mark).join("\n");
            let errors = fs::read_to_string(errors).unwrap_or_default();
            assert!(log.contains("Address already in use"), "sshd does not start:\n{errors}{log}");
        }
        panic!("no free port on 127.0.0.1");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its line of a client's known_hosts.
    ///
    /// # Panics
    /// When its folder is gone.
    pub fn known_hosts(&self) -> String {
        fs::read_to_string(self.dir.path().join("known_hosts")).unwrap()
    }

    /// Its PAM service, as in the log's `pam_otp(SERVICE:auth)`; [`Service::set`] changes the stack for the next login.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// A new key of `user`'s, in the user's authorized_keys; for [`Ssh::key`]. Servers that should take it need
    /// `PubkeyAuthentication yes`, as with `AuthenticationMethods publickey,keyboard-interactive:pam`.
    ///
    /// # Panics
    /// When ssh-keygen fails.
    pub fn key_for(&self, user: &TestUser) -> PathBuf {
        let key = self.dir.path().join(machine::unique(&format!("key-{}", user.name)));
        machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        user.write(".ssh/authorized_keys", fs::read(key.with_extension("pub")).unwrap(), 0o600);
        key
    }

    /// A client that wants to log `user` in.
    pub fn ssh(&self, user: &str) -> Ssh<'_> {
        let command = "echo LOGGED-IN".to_owned();
        Ssh {
            sshd: self,
            user: user.to_owned(),
            key: None,
            options: Vec::new(),
            command: Some(command),
            locale: "C.UTF-8".to_owned(),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes of sshd that serve this user: they say so in their titles.
///
/// # Panics
/// When ps fails.
pub fn serving(user: &str) -> Vec<String> {
    let all = machine::run(Command::new("ps").args(["-e", "-o", "pid=,args="]));
    let serves = |line: &&str| line.contains("sshd: ") && line.split_whitespace().any(|word| word == user);
    all.lines().filter(serves).map(str::to_owned).collect()
}

fn configuration(port: u16, host_key: &Path, lines: &str) -> String {
    // sshd takes the first value of each keyword, so the test's lines come before these.
    format!(
        "{lines}\n\
         Port {port}\n\
         ListenAddress 127.0.0.1\n\
         HostKey {}\n\
         PidFile none\n\
         UsePAM yes\n\
         KbdInteractiveAuthentication yes\n\
         PasswordAuthentication no\n\
         MaxStartups 100\n\
         UseDNS no\n\
         PrintMotd no\n\
         PrintLastLog no\n\
         LogLevel VERBOSE\n",
        host_key.display()
    )
}

/// A login to be tried.
#[derive(Debug)]
pub struct Ssh<'a> {
    sshd: &'a Sshd,
    user: String,
    key: Option<PathBuf>,
    options: Vec<String>,
    command: Option<String>,
    locale: String,
}

impl Ssh<'_> {
    /// With this key (see [`Sshd::key_for`]).
    pub fn key(mut self, key: &Path) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// An option as for `ssh -o`. `NumberOfPasswordPrompts=3` has the client try again, where it would give up.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// What to run there, in place of `echo LOGGED-IN`.
    pub fn command(mut self, command: &str) -> Self {
        self.command = Some(command.to_owned());
        self
    }

    /// In this locale, in place of C.UTF-8.
    pub fn locale(mut self, locale: &str) -> Self {
        locale.clone_into(&mut self.locale);
        self
    }

    /// A login shell on a terminal, in place of a command.
    pub fn shell(mut self) -> Self {
        self.command = None;
        self
    }

    /// On a terminal; the test sees to the rest.
    pub fn start(&self) -> Terminal {
        self.environment(Pty::new("ssh").args(self.arguments())).start()
    }

    /// On a terminal: waits for each text and types the line after it. Ends early when the client does.
    ///
    /// # Panics
    /// When a text does not appear and the client does not end either.
    pub fn dialogue(&self, steps: &[(&str, &str)]) -> Login {
        let mut terminal = self.start();
        let mut prompts = Vec::new();
        for (text, line) in steps {
            match terminal.look_for(text, crate::pty::PATIENCE) {
                Some(seen) => {
                    let prompt = seen.lines().last().unwrap_or_default();
                    prompts.push(prompt.trim_start_matches('\r').to_owned());
                    terminal.send_line(line);
                }
                None => break,
            }
        }
        let status = terminal.wait();
        Login { transcript: terminal.transcript(), prompts, status }
    }

    /// Without a terminal: ssh asks a program, which notes each prompt and gives the next answer, or fails when there is
    /// none.
    ///
    /// # Panics
    /// When ssh does not end.
    pub fn askpass(&self, answers: &[&str]) -> Login {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("prompts"), "").unwrap();
        fs::write(file("answers"), answers.iter().map(|answer| format!("{answer}\n")).collect::<String>()).unwrap();
        let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\" && printf '%s\\0' \"$1\" >> prompts\n\
                      [ -s answers ] || exit 1\nhead -n 1 answers && sed -i 1d answers\n";
        fs::write(file("script"), script).unwrap();
        // By another process, for the reason in `machine::program`.
        machine::run(Command::new("install").args(["-m", "0700"]).args([file("script"), file("askpass")]));

        let output = client(Command::new("timeout").args(["60", "setsid", "--wait", "ssh"]), &file("askpass"))
            .args(self.arguments())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(124), "ssh does not end");
        let transcript = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', ""));
        let prompts = fs::read_to_string(file("prompts")).unwrap();
        Login {
            transcript: transcript.concat(),
            prompts: prompts.split_terminator('\0').map(str::to_owned).collect(),
            status: output.status,
        }
    }

    /// The client alone, not started. It asks `askpass`.
    pub fn client(&self, askpass: &Path) -> Command {
        let mut ssh = Command::new("ssh");
        client(&mut ssh, askpass).args(self.arguments());
        ssh
    }

    fn environment(&self, pty: Pty) -> Pty {
        pty.env("LC_ALL", &self.locale)
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("SSH_ASKPASS_REQUIRE")
            .env_remove("DISPLAY")
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = vec!["-F".into(), "/dev/null".into(), "-p".into(), self.sshd.port.to_string()];
        // ssh, too, takes the first value.
        let mut options = self.options.clone();
        match &self.key {
            Some(key) => options.extend([format!("IdentityFile={}", key.display()), "IdentitiesOnly=yes".into()]),
            None => options.push("PubkeyAuthentication=no".into()),
        }
        options.extend([
            format!("UserKnownHostsFile={}", self.sshd.dir.path().join("known_hosts").display()),
            "StrictHostKeyChecking=yes".into(),
            "NumberOfPasswordPrompts=1".into(),
            "IdentityAgent=none".into(),
            "LogLevel=ERROR".into(),
        ]);
        for option in options {
            arguments.extend(["-o".into(), option]);
        }
        arguments.extend(["-l".into(), self.user.clone(), "127.0.0.1".into()]);
        arguments.extend(self.command.clone());
        arguments
    }
}

/// A client that asks this program.
fn client<'a>(ssh: &'a mut Command, askpass: &Path) -> &'a mut Command {
    ssh.env("SSH_ASKPASS", askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("DISPLAY", ":none")
        .env_remove("SSH_AUTH_SOCK")
}

/// A login that was tried.
#[derive(Debug)]
pub struct Login {
    /// All that the client wrote.
    pub transcript: String,
    /// The prompts that were answered; ssh puts `(USER@127.0.0.1) ` before each.
    pub prompts: Vec<String>,
    /// The client's end: the command's exit code, or 255 for no login.
    pub status: ExitStatus,
}

impl Login {
    /// True when the login was let in and `echo LOGGED-IN` ran.
    pub fn let_in(&self) -> bool {
        self.status.success() && self.transcript.contains("LOGGED-IN")
    }
}
