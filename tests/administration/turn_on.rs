//! `otp-enroll admin turn-on` and `turn-off` on a copy of /etc that each test has for itself, with the machine's own sshd.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pam_otp_tests::{
    distributions::FEDORA_PASSWORD_AUTH,
    machine,
    outcome::Outcome,
    phone::Phone,
    pty::Pty,
    site::Site,
    syslog,
    users::{self, TestUser},
};
use tempfile::TempDir;

const SSHD: &str = "# PAM configuration for the Secure Shell service\n\n@include common-auth\naccount    required     pam_nologin.so\n\
                    @include common-account\nsession required pam_permit.so\n@include common-password\n";
const SUDO: &str = "#%PAM-1.0\n@include common-auth\n@include common-account\nsession required pam_permit.so\n";
const COMMON_AUTH: &str = "auth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\tpam_deny.so\n\
                           auth\trequired\tpam_permit.so\n";
const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-pam_otp.conf";
const LINE: &str = "auth     required   pam_otp.so\n";

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A copy of /etc, which stands in for the machine's own while a command runs.
struct Host {
    folder: TempDir,
    port: u16,
}

impl Host {
    fn new() -> Host {
        machine::require("a copy of /etc");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        users::copy_etc(&folder.path().join("etc"));
        let host = Host { folder, port: free_port() };
        for (name, text) in [("sshd", SSHD), ("sudo", SUDO), ("sudo-i", SUDO), ("common-auth", COMMON_AUTH)] {
            host.write(&format!("/etc/pam.d/{name}"), text);
        }
        let _ = fs::remove_dir_all(host.path("/etc/ssh/sshd_config.d"));
        fs::create_dir(host.path("/etc/ssh/sshd_config.d")).unwrap();
        let key = host.path("/etc/ssh/key_of_test");
        machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        host.configure_sshd("Include /etc/ssh/sshd_config.d/*.conf\n");
        host
    }

    /// Debian's settings after these lines.
    fn configure_sshd(&self, lines: &str) {
        let pid = self.folder.path().join("sshd.pid");
        self.write(
            "/etc/ssh/sshd_config",
            &format!(
                "{lines}Port {}\nListenAddress 127.0.0.1\nHostKey /etc/ssh/key_of_test\nPidFile {}\n\
                 KbdInteractiveAuthentication no\nUsePAM yes\nPrintMotd no\nPrintLastLog no\nUseDNS no\n",
                self.port,
                pid.display()
            ),
        );
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// A command that has the copy for its /etc, after `first`, a command of the shell.
    fn command_after(&self, first: &str, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        let script = format!("mount --bind \"$0\" /etc && {first} && exec \"$@\"");
        command.args(["--mount", "sh", "-c", &script]).arg(self.path("/etc")).args(words);
        command
    }

    fn command(&self, words: &[&str]) -> Command {
        self.command_after("true", words)
    }

    fn admin(&self, words: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(&[&["otp-enroll", "admin"], words].concat()), "")
    }

    /// The files of /etc that turn-on may touch: mode, owner and text.
    fn files(&self) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        for folder in ["/etc/pam.d", "/etc/ssh", "/etc/ssh/sshd_config.d"] {
            for entry in fs::read_dir(self.path(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let about = fs::metadata(&path).unwrap();
                    found.insert(path.clone(), (about.mode(), about.uid(), fs::read(&path).unwrap()));
                }
            }
        }
        found
    }

    /// What is kept, without the lock.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("/etc/pam_otp/turned-on")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != ".lock").collect()
    }

    fn is_refused(&self, words: &[&str], told: &[&str]) {
        let before = self.files();
        let refused = self.admin(words);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for text in told {
            assert!(refused.err.contains(text), "{text}: {refused:?}");
        }
        assert_eq!(self.files(), before, "a refusal changes nothing: {refused:?}");
        assert!(self.kept().is_empty(), "{refused:?}");
    }

    fn sshd(&self) -> Sshd {
        self.sshd_with(self.port, &["-f", "/etc/ssh/sshd_config"])
    }

    fn sshd_with(&self, port: u16, options: &[&str]) -> Sshd {
        let mark = syslog::mark();
        let mut command = self.command(&[&["/usr/sbin/sshd", "-D"], options].concat());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listening = format!("Server listening on 127.0.0.1 port {port}");
        syslog::wait_for(mark, &listening, Duration::from_secs(60)).unwrap();
        Sshd(child)
    }

    /// A second server, on a port of its own, with these lines after those of the machine's.
    fn second_sshd(&self, lines: &str) -> (Sshd, u16) {
        let port = free_port();
        let pid = self.folder.path().join("sshd.pid");
        self.write(
            "/etc/ssh/other_config",
            &format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey /etc/ssh/key_of_test\nPidFile {}\nUsePAM yes\n\
                 PrintMotd no\nPrintLastLog no\nUseDNS no\n{lines}",
                pid.display()
            ),
        );
        (self.sshd_with(port, &["-f", "/etc/ssh/other_config"]), port)
    }

    fn add(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        self.write(path, text);
    }

    /// A login with a terminal: answers each question. Whether it was let in, and the questions.
    fn log_in(&self, user: &TestUser, answers: &[(&str, &str)]) -> (bool, String) {
        let port = self.port.to_string();
        let known = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"];
        let once = ["-o", "NumberOfPasswordPrompts=1", "-o", "PubkeyAuthentication=no", "-l", &user.name];
        let mut terminal = Pty::new("ssh")
            .args(["-F", "/dev/null", "-p", &port])
            .args(known)
            .args(once)
            .args(["127.0.0.1", "echo LOGGED-IN"])
            .env_remove("SSH_AUTH_SOCK")
            .start();
        for (question, answer) in answers {
            match terminal.look_for(question, Duration::from_secs(60)) {
                Some(_) => terminal.send_line(answer),
                None => break,
            }
        }
        terminal.wait();
        (terminal.transcript().contains("LOGGED-IN"), terminal.transcript())
    }
}

/// A server in the namespace of its /etc. Dropped, it is killed.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ssh_is_turned_on_and_taken_back_while_users_log_in() {
    let (user, site) = (TestUser::new("alice"), Site::of_the_machine());
    let phone = Phone::enroll(&site, &user.name);
    let (host, password) = (Host::new(), user.password.as_str());
    fs::set_permissions(host.path("/etc/pam.d/sshd"), Permissions::from_mode(0o640)).unwrap();
    let before = host.files();
    let _sshd = host.sshd();
    let (is_in, seen) = host.log_in(&user, &[("assword:", password)]);
    assert!(is_in, "{seen}");

    let mark = syslog::mark();
    let on = host.admin(&["turn-on", "ssh", "--yes"]);
    assert_eq!((on.code, on.err.as_str()), (Some(0), ""), "{on:?}");
    for text in [
        "--- /dev/null\n+++ /etc/ssh/sshd_config.d/00-pam_otp.conf\n",
        "+KbdInteractiveAuthentication yes\n",
        " @include common-auth\n+auth     required   pam_otp.so\n",
        "Passwords still work: PAM asks for them, and then for the code.\n",
        "doctor finds no fault in these files.\n",
        "sshd now asks users with a device for a code, after the password. doctor finds no fault in that.\n",
        "If that fails: sudo otp-enroll admin turn-off ssh\n",
    ] {
        assert!(on.out.contains(text), "{text}: {}", on.out);
    }
    assert_eq!(host.read("/etc/pam.d/sshd"), SSHD.replace("common-auth\n", &format!("common-auth\n{LINE}")));
    assert_eq!(fs::metadata(host.path("/etc/pam.d/sshd")).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(host.path(DROP_IN)).unwrap().mode() & 0o7777, 0o644);
    let kept = fs::metadata(host.path("/etc/pam_otp/turned-on/sshd")).unwrap();
    assert_eq!((kept.mode() & 0o7777, kept.uid()), (0o700, 0));
    assert_eq!(host.read("/etc/pam_otp/turned-on/sshd/etc+pam.d+sshd.before"), SSHD);
    let line = "otp-enroll[";
    let logged =
        syslog::wait_for(mark, "turned-on service=sshd by_uid=0 proof=admin", Duration::from_secs(10)).unwrap();
    assert!(logged.contains(line) && logged.starts_with("authpriv.notice "), "{logged}");

    // The server that runs asks for the code now.
    let (is_in, seen) = host.log_in(&user, &[("assword:", password), ("code:", &phone.next_code())]);
    assert!(is_in, "{seen}");
    let (is_in, seen) = host.log_in(&user, &[("assword:", password), ("code:", &phone.wrong())]);
    assert!(!is_in, "{seen}");

    let again = host.admin(&["turn-on", "ssh", "--yes"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), "sshd: already on; nothing was changed\n"), "{again:?}");
    let again = host.admin(&["turn-on", "ssh", "--yes", "--json"]).json();
    assert_eq!((again[0]["service"].as_str(), again[0]["changed"].as_bool()), (Some("sshd"), Some(false)), "{again:?}");

    let dry = host.admin(&["turn-off", "ssh", "--dry-run"]);
    assert!(dry.code == Some(0) && dry.out.contains("-auth     required   pam_otp.so\n"), "{dry:?}");
    assert!(host.path(DROP_IN).exists());
    let off = host.admin(&["turn-off", "ssh", "--yes"]);
    let told = "sshd: off; all files are as they were before\n";
    assert_eq!((off.code, off.out.as_str(), off.err.as_str()), (Some(0), told, ""), "{off:?}");
    assert_eq!(host.files(), before);
    assert!(host.kept().is_empty());
    syslog::wait_for(mark, "turned-off service=sshd by_uid=0 proof=admin", Duration::from_secs(10)).unwrap();
    let (is_in, seen) = host.log_in(&user, &[("assword:", password)]);
    assert!(is_in, "{seen}");
    let again = host.admin(&["turn-off", "ssh", "--yes"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), "sshd: nothing is turned on by turn-on\n"), "{again:?}");
}

#[test]
fn sudo_is_turned_on_with_its_twin() {
    let host = Host::new();
    let before = host.files();
    let dry = host.admin(&["turn-on", "sudo", "--dry-run", "--json"]).json();
    assert_eq!(dry[0]["would_change"].as_bool(), Some(true), "{dry:?}");
    let paths: Vec<_> = dry[0]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/etc/pam.d/sudo", "/etc/pam.d/sudo-i"]);
    assert!(host.files() == before && host.kept().is_empty());

    let on_trial = host.admin(&["turn-on", "sudo", "--try", "5m", "--yes"]);
    assert!(on_trial.err.contains("end it by hand: otp-enroll admin turn-off sudo\n"), "{on_trial:?}");
    let unasked = host.admin(&["turn-on", "sudo"]);
    assert!(unasked.code == Some(2) && unasked.err.contains("add --yes"), "{unasked:?}");
    assert_eq!(host.files(), before);

    let on = host.admin(&["turn-on", "sudo", "--yes", "-q"]);
    assert_eq!((on.code, on.out.as_str(), on.err.as_str()), (Some(0), "", ""), "{on:?}");
    for command in ["turn-on", "turn-off"] {
        let dry =
            host.admin(&[command, if command == "turn-on" { "sudo" } else { "ssh" }, "--dry-run", "--json"]).json();
        assert_eq!(dry[0]["would_change"].as_bool(), Some(false), "{command}: {dry:?}");
    }
    for name in ["sudo", "sudo-i"] {
        let expected = SUDO.replace("common-auth\n", &format!("common-auth\n{LINE}"));
        assert_eq!(host.read(&format!("/etc/pam.d/{name}")), expected);
    }
    let off = host.admin(&["turn-off", "sudo", "--yes", "--json"]).json();
    assert_eq!(off[0]["changed"].as_bool(), Some(true), "{off:?}");
    assert_eq!(host.files(), before);

    // A twin that includes the other needs no line of its own.
    host.write("/etc/pam.d/sudo-i", "auth include sudo\naccount include sudo\nsession required pam_permit.so\n");
    let before = host.files();
    let on = host.admin(&["turn-on", "sudo", "--yes"]);
    assert!(on.code == Some(0) && on.out.contains("sudo now asks users"), "{on:?}");
    assert!(on.out.contains("note     clock: ") && !on.out.contains("no fault, warning or note"), "{on:?}");
    assert_eq!(host.admin(&["turn-off", "sudo", "--yes"]).code, Some(0));
    assert_eq!(host.files(), before);
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let host = Host::new();
    let before = host.files();
    let command = host.command(&["otp-enroll", "admin", "turn-on", "sudo"]);
    let mut terminal = Pty::new(command.get_program()).args(command.get_args()).start();
    terminal.wait_for("Write these files? [y/N]");
    terminal.send("\u{3}");
    assert_eq!(terminal.wait().code(), Some(130), "{}", terminal.transcript());
    assert!(terminal.screen().trim_end().ends_with("interrupted: nothing was changed"), "{}", terminal.screen());
    assert_eq!(host.files(), before);
    for (answer, is_on) in [("n", false), ("y", true)] {
        let command = host.command(&["otp-enroll", "admin", "turn-on", "sudo"]);
        let mut terminal = Pty::new(command.get_program()).args(command.get_args()).start();
        terminal.wait_for("Write these files? [y/N]");
        terminal.send_line(answer);
        let status = terminal.wait();
        assert_eq!(status.success(), is_on, "{}", terminal.transcript());
        assert_eq!(host.files() != before, is_on, "{}", terminal.transcript());
    }
}

#[test]
fn a_question_whose_files_json_does_not_show_is_not_asked() {
    let host = Host::new();
    let is_refused = |word: &str| {
        let before = host.files();
        let command = host.command(&["otp-enroll", "--json", "admin", word, "sudo"]);
        let mut terminal = Pty::new(command.get_program()).args(command.get_args()).start();
        assert_eq!(terminal.wait().code(), Some(2), "{}", terminal.transcript());
        assert!(terminal.transcript().contains("--json shows nothing before the question; add --yes"));
        assert_eq!(host.files(), before);
    };
    is_refused("turn-on");
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    is_refused("turn-off");
}

#[test]
fn su_says_whose_code_it_asks_for() {
    let host = Host::new();
    host.write("/etc/pam.d/su", &format!("auth sufficient pam_rootok.so\n{SUDO}"));
    host.write("/etc/pam.d/su-l", "auth include su\naccount include su\nsession required pam_permit.so\n");
    let (site, root) = (Site::of_the_machine(), "root");
    let on = |host: &Host| {
        let on = host.admin(&["turn-on", "su", "--yes"]);
        assert_eq!(on.code, Some(0), "{on:?}");
        assert_eq!(host.admin(&["turn-off", "su", "--yes"]).code, Some(0));
        on.out
    };
    let without = "root has no device, so su to root asks for no code until it has one: otp-enroll --user root\n";
    let told = on(&host);
    assert!(told.contains("su now asks for a code of the account that is opened, after the password of that account"));
    assert!(told.contains(without) && told.contains("not as root: su USER\n"), "{told}");
    let _phone = Phone::enroll(&site, root);
    let told = on(&host);
    site.admin(&["reset", "--yes", root]);
    assert!(!told.contains("root has no device") && !told.contains("asks for no code"), "{told}");
    host.write("/etc/pam_otp/pam_otp.toml", "[policy]\nsecond_factor = \"skip\"\n");
    let told = on(&host);
    assert!(told.contains("su to root asks for no code, by policy: ") || told.contains(without), "{told}");
}

#[test]
fn a_line_that_was_taken_out_since_is_missed() {
    let _keyed = with_a_key();
    let host = Host::new();
    let before = host.files();
    let doctor = |host: &Host| {
        let said = host.admin(&["doctor", "--json"]).json()[0]["findings"].clone();
        let gone = |found: &&serde_json::Value| found["what"].as_str().unwrap().contains(" was turned on, and ");
        said.as_array().unwrap().iter().filter(gone).map(ToString::to_string).collect::<Vec<_>>()
    };
    for (words, service, key) in [
        (vec!["turn-on", "ssh"], "sshd", ""),
        (vec!["turn-on", "sudo"], "sudo", ""),
        (vec!["turn-on", "ssh", "--key"], "sshd", " --key"),
    ] {
        let dry_run = [&words[..], &["--dry-run"]].concat();
        let words = [&words[..], &["--yes"]].concat();
        assert_eq!(host.admin(&words).code, Some(0));
        assert_eq!(doctor(&host), [""; 0], "{words:?}");
        let file = format!("/etc/pam.d/{service}");
        let package = if service == "sshd" { SSHD } else { SUDO };
        // As before, and as an update has it.
        for text in [package.to_owned(), format!("# new\n{package}")] {
            host.write(&file, &text);
            assert_eq!(host.admin(&["doctor"]).code, Some(1));
            let found = doctor(&host);
            let what = format!("the line of pam_otp.so is gone from {file} since: its logins are asked for no code");
            let fix = format!("otp-enroll admin turn-on {service}{key}; ");
            assert!(found.len() == 1 && found[0].contains("\"fault\""), "{found:#?}");
            assert!(found[0].contains(&what) && found[0].contains(&fix), "{found:#?}");
            let dry = host.admin(&dry_run);
            let told = format!("{service} was turned on, and what turn-on wrote is gone since from {file}: ");
            assert!(dry.out.contains(&told) && !dry.out.contains("interrupted"), "{dry:?}");
        }
        let again = host.admin(&words);
        let told = format!(" is gone since from {file}: what is missing is written again.\n");
        assert!(again.code == Some(0) && again.out.contains(&told), "{again:?}");
        assert_eq!(doctor(&host), [""; 0], "{words:?}");
        host.write(&file, &format!("# mine\n{package}"));
        let off = host.admin(&["turn-off", service, "--yes"]);
        assert_eq!(off.code, Some(0), "{off:?}");
        let told =
            format!("{service}: off; {file} was changed since and stays as it is; nothing of turn-on is in it\n");
        assert_eq!(off.out, told);
        assert_eq!(doctor(&host), [""; 0], "{words:?}");
        host.write(&file, package);
        assert_eq!(host.files(), before, "{words:?}");
    }
    // A line in another file asks in its place; and a service that is gone asks nothing.
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    host.write("/etc/pam.d/sudo", SUDO);
    host.write("/etc/pam.d/sudo-i", SUDO);
    host.write("/etc/pam.d/common-auth", &format!("{COMMON_AUTH}{LINE}"));
    assert_eq!(doctor(&host), [""; 0]);
    host.write("/etc/pam.d/common-auth", COMMON_AUTH);
    fs::remove_file(host.path("/etc/pam.d/sudo-i")).unwrap();
    let found = doctor(&host);
    assert!(
        found.len() == 2 && found[1].contains("\"note\"") && found[1].contains("sudo-i is gone since"),
        "{found:#?}"
    );
}

/// A user who has a key, for a host that is made after her.
fn with_a_key() -> TestUser {
    let user = TestUser::new("keyed");
    user.write(".ssh/authorized_keys", "ssh-ed25519 AAAA\n", 0o600);
    user
}

#[test]
fn users_without_a_key_are_named_before_a_key_is_demanded() {
    let (alice, keyed) = (TestUser::new("alice"), with_a_key());
    let host = Host::new(); // it knows them
    let allowed = |names: &str| host.write("/etc/ssh/sshd_config.d/90.conf", &format!("AllowUsers {names}\n"));
    allowed(&alice.name);
    host.is_refused(&["turn-on", "ssh", "--key", "--yes"], &["doctor finds a fault in these files"]);
    let dry = host.admin(&["turn-on", "ssh", "--key", "--dry-run"]);
    assert!(dry.code == Some(1) && dry.out.contains("no user has one in .ssh/authorized_keys or"), "{dry:?}");
    allowed(&format!("{} {}", alice.name, keyed.name));
    let dry = host.admin(&["turn-on", "ssh", "--key", "--dry-run"]);
    let told = format!(
        "warning  sshd: sshd demands a key of each login, and {} cannot log in: they have no key in",
        alice.name
    );
    assert!(dry.code == Some(0) && dry.out.contains(&told), "{dry:?}");
    let dry = host.admin(&["turn-on", "ssh", "--dry-run"]);
    assert!(dry.code == Some(0) && !dry.out.contains("demands a key"), "{dry:?}");
}

#[test]
fn what_is_not_as_it_must_be_is_refused_and_nothing_is_changed() {
    let host = Host::new();
    host.is_refused(&["turn-on", "sudo", "--try", "5m", "--yes"], &["--try needs systemd, which does not run here"]);
    host.is_refused(&["turn-on", "nothing-of-that-name", "--yes"], &["there is no PAM file of a service"]);
    host.is_refused(&["turn-on", "common-auth", "--yes"], &["is a part of other services"]);
    host.is_refused(&["turn-on", "ssh", "--confirm"], &["sshd is not turned on by turn-on", "--try 5m"]);
    for words in [
        ["turn-on", "sudo", "--key", "--yes"].as_slice(),
        &["turn-on", "../sudo", "--yes"],
        &["turn-on", "ssh", "--try", "5", "--yes"],
    ] {
        assert_eq!(host.admin(words).code, Some(2), "{words:?}");
    }

    // Links: authselect makes them.
    let sudo = host.path("/etc/pam.d/sudo");
    fs::remove_file(&sudo).unwrap();
    fs::create_dir(host.path("/etc/authselect")).unwrap();
    host.write("/etc/authselect/sudo", SUDO);
    symlink("/etc/authselect/sudo", &sudo).unwrap();
    host.is_refused(
        &["turn-on", "sudo", "--yes"],
        &["/etc/pam.d/sudo is a link to /etc/authselect/sudo", "make a profile of your own"],
    );
    fs::remove_file(&sudo).unwrap();
    fs::hard_link(host.path("/etc/pam.d/sudo-i"), &sudo).unwrap();
    host.is_refused(&["turn-on", "sudo", "--yes"], &["/etc/pam.d/sudo has several names"]);
    fs::remove_file(&sudo).unwrap();
    host.write("/etc/pam.d/sudo", SUDO);
    fs::set_permissions(&sudo, Permissions::from_mode(0o664)).unwrap();
    host.is_refused(&["turn-on", "sudo", "--yes"], &["can be changed by users other than root"]);

    for (text, told) in [
        ("#%PAM-1.0\r\n@include common-auth\r\n", "/etc/pam.d/sudo:2: the line ends in CR"),
        ("@include common-auth\nauth required pam_env.so \\\n", "/etc/pam.d/sudo:2: the file ends after a backslash"),
        ("auth required pam_permit.so\n", "no line asks for a password in a way that is known here"),
        (COMMON_AUTH, "/etc/pam.d/sudo:1: a number in this line skips others"),
        ("auth sufficient pam_unix.so\nauth required pam_deny.so\n", "doctor finds a fault in these files"),
    ] {
        host.write("/etc/pam.d/sudo", text);
        host.is_refused(&["turn-on", "sudo", "--yes"], &[told]);
    }

    // Debian's profile has it on for all services.
    host.write("/etc/pam.d/sudo", SUDO);
    host.write("/etc/pam.d/common-auth", &format!("{COMMON_AUTH}{LINE}"));
    host.is_refused(
        &["turn-on", "sudo", "--yes"],
        &["/etc/pam.d/common-auth:4: this file calls pam_otp.so already, and sudo includes it", "pam-auth-update"],
    );
}

#[test]
fn sshd_must_read_the_drop_in_first() {
    let host = Host::new();
    for lines in ["", "Include /etc/ssh/other.d/*.conf\n"] {
        host.configure_sshd(lines);
        host.is_refused(
            &["turn-on", "ssh", "--yes"],
            &[
                "sshd_config does not include /etc/ssh/sshd_config.d/*.conf for all logins",
                "KbdInteractiveAuthentication yes",
            ],
        );
    }
    host.configure_sshd("PasswordAuthentication yes\nInclude /etc/ssh/sshd_config.d/*.conf\n");
    host.is_refused(
        &["turn-on", "ssh", "--yes"],
        &["sshd would not use all of", "PasswordAuthentication no would not hold"],
    );
    host.configure_sshd("Include /etc/ssh/sshd_config.d/*.conf\n");
    host.write("/etc/ssh/sshd_config.d/00-a.conf", "UsePAM no\n");
    host.is_refused(&["turn-on", "ssh", "--yes"], &["sshd would not use all of", "UsePAM yes would not hold"]);
    fs::remove_file(host.path("/etc/ssh/sshd_config.d/00-a.conf")).unwrap();
    host.write(DROP_IN, "Port 22\n");
    host.is_refused(&["turn-on", "ssh", "--yes"], &["00-pam_otp.conf is there with other lines"]);
    fs::remove_file(host.path(DROP_IN)).unwrap();
    host.write("/etc/ssh/sshd_config.d/50.conf", "NoSuchOption yes\n");
    host.is_refused(&["turn-on", "ssh", "--yes"], &["sshd rejects its configuration"]);
    fs::remove_file(host.path("/etc/ssh/sshd_config.d/50.conf")).unwrap();

    // By hand it is as good: then PAM's line is all.
    host.configure_sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no\n");
    let on = host.admin(&["turn-on", "ssh", "--yes"]);
    assert!(on.code == Some(0) && !host.path(DROP_IN).exists(), "{on:?}");
}

#[test]
fn a_key_and_a_code_stand_in_place_of_a_password() {
    let _keyed = with_a_key();
    let host = Host::new();
    host.write("/etc/ssh/sshd_config.d/90.conf", "Match User x\nAuthenticationMethods keyboard-interactive\n");
    host.is_refused(
        &["turn-on", "ssh", "--key", "--yes"],
        &["90.conf:2: AuthenticationMethods keyboard-interactive asks for no key"],
    );
    host.write("/etc/ssh/sshd_config.d/90.conf", "Match User x\nAuthenticationMethods publickey\n");
    let before = host.files();
    let on = host.admin(&["turn-on", "ssh", "--key", "--yes"]);
    assert_eq!(on.code, Some(0), "{on:?}");
    let expected = format!("#@include common-auth\n{LINE}auth     required   pam_permit.so\n");
    assert!(host.read("/etc/pam.d/sshd").contains(&expected));
    assert!(host.read(DROP_IN).ends_with("AuthenticationMethods publickey,keyboard-interactive:pam\n"));
    let other = host.admin(&["turn-on", "ssh", "--yes"]);
    assert!(other.code == Some(1) && other.err.contains("sshd is on with --key"), "{other:?}");
    assert_eq!(host.admin(&["turn-off", "ssh", "--yes"]).code, Some(0));
    assert_eq!(host.files(), before);
}

#[test]
fn a_file_that_was_changed_since_is_not_taken_back() {
    let host = Host::new();
    let before = host.files();
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(0));
    let on = host.read("/etc/pam.d/sshd");
    host.write("/etc/pam.d/sshd", &format!("# mine\n{on}"));
    let changed = host.files();
    let told = "/etc/pam.d/sshd: remove the line of pam_otp.so (line 5)";
    for words in
        [["turn-off", "ssh", "--yes"].as_slice(), &["turn-off", "ssh", "--dry-run"], &["turn-on", "ssh", "--yes"]]
    {
        let refused = host.admin(words);
        assert!(refused.code == Some(1) && refused.err.contains(told), "{refused:?}");
        assert_eq!(host.files(), changed);
    }
    // By hand, and the rest is taken back.
    host.write("/etc/pam.d/sshd", &format!("# mine\n{SSHD}"));
    assert_eq!(host.admin(&["turn-off", "ssh", "--yes"]).code, Some(0));
    assert!(!host.path(DROP_IN).exists() && host.kept().is_empty());
    assert_eq!(host.read("/etc/pam.d/sshd"), format!("# mine\n{SSHD}"));
    host.write("/etc/pam.d/sshd", SSHD);
    assert_eq!(host.files(), before);

    // A line by hand is an administrator's.
    host.write("/etc/pam.d/sudo", &SUDO.replace("common-auth\n", &format!("common-auth\n{LINE}")));
    host.write("/etc/pam.d/sudo-i", &SUDO.replace("common-auth\n", &format!("common-auth\n{LINE}")));
    let on = host.admin(&["turn-on", "sudo", "--yes"]);
    assert_eq!((on.code, on.out.as_str()), (Some(0), "sudo: already on; nothing was changed\n"), "{on:?}");
    let off = host.admin(&["turn-off", "sudo", "--yes"]);
    assert!(off.code == Some(1) && off.err.contains("/etc/pam.d/sudo:3, /etc/pam.d/sudo-i:3"), "{off:?}");
}

#[test]
fn a_failure_takes_everything_back() {
    let host = Host::new();
    let before = host.files();
    let read_only = "mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d";
    let words = ["otp-enroll", "admin", "turn-on", "ssh", "--yes", "-q"];
    let failed = Outcome::of(&mut host.command_after(read_only, &words), "");
    assert_eq!(failed.code, Some(4), "{failed:?}");
    assert!(
        failed.err.contains("/etc/pam.d/sshd could not be written") && failed.err.contains("; all was taken back"),
        "{failed:?}"
    );
    assert_eq!(host.files(), before);
    assert!(host.kept().is_empty());
}

/// Killed before each call that changes something: every file is as before or as after, sshd asks before PAM does, and
/// both ways out are open.
#[test]
fn a_turn_on_that_is_killed_is_taken_back_or_done_again() {
    let mut killed = 0;
    let host = Host::new();
    let before = host.files();
    let pam = |host: &Host| host.read("/etc/pam.d/sshd");
    let after = SSHD.replace("common-auth\n", &format!("common-auth\n{LINE}"));
    for call in ["mkdir", "rename", "unlink", "fsync", "rmdir", "kill"] {
        for nth in 1..40 {
            let injected = format!("inject={call}:signal=KILL:when={nth}");
            let strace =
                ["strace", "-qq", "-o", "/dev/null", "-e", &injected, "otp-enroll", "admin", "turn-on", "ssh", "--yes"];
            let ended = Outcome::of(&mut host.command(&strace), "");
            let (is_asked, is_ready) = (pam(&host) == after, host.path(DROP_IN).exists());
            assert!(is_asked || pam(&host) == SSHD, "{call} {nth}: {}", pam(&host));
            assert!(is_ready || !is_asked, "{call} {nth}: PAM asks, and sshd cannot");
            let is_done = ended.code == Some(0);
            if is_done {
                assert!(is_asked, "{ended:?}");
            } else {
                killed += 1;
            }
            if !is_done && nth % 2 == 0 {
                let again = host.admin(&["turn-on", "ssh", "--yes"]);
                assert!(again.code == Some(0) && pam(&host) == after, "{call} {nth}: {again:?}");
            }
            let off = host.admin(&["turn-off", "ssh", "--yes"]);
            assert_eq!(off.code, Some(0), "{call} {nth}: {off:?}");
            assert_eq!(host.files(), before, "{call} {nth}");
            assert!(!host.kept().iter().any(|name| !name.starts_with('.')), "{call} {nth}");
            if is_done {
                break;
            }
        }
    }
    assert!(killed >= 10, "{killed}");
}

#[test]
fn a_turn_off_that_is_killed_is_done_again() {
    let mut killed = 0;
    let host = Host::new();
    let before = host.files();
    for call in ["rename", "unlink", "fsync", "rmdir"] {
        for nth in 1..40 {
            let on = host.admin(&["turn-on", "ssh", "--yes"]);
            assert_eq!(on.code, Some(0), "{on:?}");
            let injected = format!("inject={call}:signal=KILL:when={nth}");
            let strace = [
                "strace",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &injected,
                "otp-enroll",
                "admin",
                "turn-off",
                "ssh",
                "--yes",
            ];
            let is_done = Outcome::of(&mut host.command(&strace), "").code == Some(0);
            killed += i32::from(!is_done);
            let is_asked = host.read("/etc/pam.d/sshd") != SSHD;
            assert!(host.path(DROP_IN).exists() || !is_asked, "{call} {nth}: PAM asks, and sshd cannot");
            let off = host.admin(&["turn-off", "ssh", "--yes"]);
            assert_eq!(off.code, Some(0), "{call} {nth}: {off:?}");
            assert_eq!(host.files(), before, "{call} {nth}");
            if is_done {
                break;
            }
        }
    }
    assert!(killed >= 5, "{killed}");
}

#[test]
fn a_wrong_password_ends_a_login_before_the_line_that_is_written() {
    let host = Host::new();
    let cockpit = "#%PAM-1.0\nauth       substack     common-auth\nauth       optional     pam_env.so\naccount required pam_permit.so\n";
    host.write("/etc/pam.d/cockpit", cockpit);
    let on = host.admin(&["turn-on", "cockpit", "--yes"]);
    assert_eq!(on.code, Some(0), "{on:?}");
    assert!(on.err.contains("`include` is written in place of `substack`"), "{on:?}");
    assert!(!on.out.contains("after a wrong password"), "{on:?}");
    let lines = format!("#auth       substack     common-auth\nauth       include      common-auth\n{LINE}");
    assert_eq!(host.read("/etc/pam.d/cockpit"), cockpit.replace("auth       substack     common-auth\n", &lines));
    assert_eq!(host.admin(&["turn-off", "cockpit", "--yes"]).code, Some(0));
    assert_eq!(host.read("/etc/pam.d/cockpit"), cockpit);
    // Neither ends it there: the line is written as the file is, and what to change is told before the question.
    host.write("/etc/pam.d/password-auth", FEDORA_PASSWORD_AUTH);
    let fedora = cockpit.replace("common-auth", "password-auth");
    host.write("/etc/pam.d/cockpit", &fedora);
    let on = host.admin(&["turn-on", "cockpit", "--dry-run"]);
    assert!(
        on.out
            .contains("write in place of the line that includes /etc/pam.d/password-auth: auth requisite pam_unix.so"),
        "{on:?}"
    );
}

const INCLUDE: &str = "Include /etc/ssh/sshd_config.d/*.conf\n";

#[test]
fn a_server_that_lets_in_by_key_alone_stays_so() {
    let (host, bob) = (Host::new(), TestUser::new("bob"));
    host.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication no\n");
    let _sshd = host.sshd();
    let told = ["sshd lets users in by key alone, and", "turn-on ssh --key", "KbdInteractiveAuthentication yes"];
    host.is_refused(&["turn-on", "ssh", "--yes"], &told);
    let (is_in, seen) = host.log_in(&bob, &[("assword:", &bob.password)]);
    assert!(!is_in, "{seen}");
    fs::remove_file(host.path("/etc/ssh/sshd_config.d/50-cloud-init.conf")).unwrap();
    for (block, line) in [
        (format!("Match User {}\n", bob.name), "PasswordAuthentication no\n"),
        (format!("Match Group {}\n", bob.name), "passwordauthentication=no\n"),
        ("Match Address 198.51.100.0/24\n".to_owned(), "PasswordAuthentication \"no\"\n"),
    ] {
        host.write("/etc/ssh/sshd_config.d/90-match.conf", &format!("{block}{line}"));
        let told = ["by key alone in the Match block /etc/ssh/sshd_config.d/90-match.conf:1", "write KbdInteractive"];
        host.is_refused(&["turn-on", "ssh", "--yes"], &told);
    }
    // The line that the refusal names.
    let block = "Match Address 198.51.100.0/24\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n";
    host.write("/etc/ssh/sshd_config.d/90-match.conf", block);
    let on = host.admin(&["turn-on", "ssh", "--yes"]);
    assert_eq!(on.code, Some(0), "{on:?}");
}

#[test]
fn no_block_of_any_included_file_lets_in_without_a_key() {
    let host = Host::new();
    let open = "Match User bob\nAuthenticationMethods keyboard-interactive\n";
    for (include, file) in [
        ("/etc/ssh/sshd_config.d/site/*.conf", "/etc/ssh/sshd_config.d/site/bob.conf"),
        ("sshd_config.d/site/b?b.c*f", "/etc/ssh/sshd_config.d/site/bob.conf"),
        ("/etc/ssh/sshd_config.d.local/*.conf", "/etc/ssh/sshd_config.d.local/bob.conf"),
        ("/etc/ssh/sshd_config.d/../site.d/*.conf", "/etc/ssh/site.d/bob.conf"),
        ("\"/etc/ssh/b b.conf\"", "/etc/ssh/b b.conf"),
    ] {
        host.add(file, open);
        host.write("/etc/ssh/sshd_config.d/50-site.conf", &format!("Include {include}\n"));
        let told =
            ["AuthenticationMethods keyboard-interactive asks for no key", "begin each of its lists with publickey"];
        host.is_refused(&["turn-on", "ssh", "--key", "--yes"], &told);
        fs::remove_file(host.path(file)).unwrap();
    }
}

#[test]
fn no_block_locks_out_a_user_who_has_a_device() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::of_the_machine());
    let _phone = Phone::enroll(&site, &alice.name);
    let host = Host::new();
    let lines = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n";
    for whom in
        [format!("User {}", alice.name), format!("User {},{}", bob.name, alice.name), "Address 198.51.100.0/24".into()]
    {
        host.write("/etc/ssh/sshd_config.d/50-match.conf", &format!("Match {whom}\n{lines}"));
        let refused = host.admin(&["turn-on", "ssh", "--yes"]);
        let told = "in the Match block /etc/ssh/sshd_config.d/50-match.conf:1: KbdInteractiveAuthentication is off";
        assert!(refused.code == Some(1) && refused.out.contains(told), "{refused:?}");
        assert!(!host.path(DROP_IN).exists() && host.read("/etc/pam.d/sshd") == SSHD);
    }
    host.write(
        "/etc/ssh/sshd_config.d/50-match.conf",
        "Match Address 198.51.100.0/24\nKbdInteractiveAuthentication no\n",
    );
    host.is_refused(&["turn-on", "ssh", "--yes"], &["would let none in", "50-match.conf:1"]);
    // Each block is harmless; both of them are not.
    let group = Outcome::of(Command::new("id").args(["-gn", &alice.name]), "").out;
    host.write(
        "/etc/ssh/sshd_config.d/50-match.conf",
        &format!(
            "Match User {}\nPasswordAuthentication yes\nMatch Group {}\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n",
            alice.name,
            group.trim()
        ),
    );
    let refused = host.admin(&["turn-on", "ssh", "--yes"]);
    let told = format!("with all Match blocks that hold for {}: KbdInteractiveAuthentication is off", alice.name);
    assert!(refused.code == Some(1) && refused.out.contains(&told), "{refused:?}");
    // A user without a device is asked for none.
    host.write("/etc/ssh/sshd_config.d/50-match.conf", &format!("Match User {}\n{lines}", bob.name));
    let on = host.admin(&["turn-on", "ssh", "--yes"]);
    assert_eq!(on.code, Some(0), "{on:?}");
}

#[test]
fn every_server_that_runs_asks_for_the_code_at_once() {
    let site = Site::of_the_machine();
    // One writes its number nowhere, and of one another server has overwritten it.
    for pid_file in ["PidFile none\n", ""] {
        let alice = TestUser::new("alice");
        let phone = Phone::enroll(&site, &alice.name);
        let password = alice.password.as_str();
        let host = Host::new();
        host.configure_sshd(&format!("{pid_file}{INCLUDE}"));
        let first = host.sshd();
        let second = host.second_sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no\n").0;
        let on = host.admin(&["turn-on", "ssh", "--yes"]);
        assert_eq!(on.code, Some(0), "{on:?}");
        let (is_in, seen) = host.log_in(&alice, &[("assword:", password), ("code:", &phone.next_code())]);
        assert!(is_in, "{seen}");
        assert_eq!(host.admin(&["turn-off", "ssh", "--yes"]).code, Some(0));
        drop((first, second));
    }
}

#[test]
fn a_server_with_a_configuration_of_its_own_is_looked_at() {
    let host = Host::new();
    let (second, _) = host.second_sshd("KbdInteractiveAuthentication yes\n");
    let refused = host.admin(&["turn-on", "ssh", "--key", "--yes"]);
    for told in ["with -f /etc/ssh/other_config", "users who need no code get in without a password or key"] {
        assert!(refused.code == Some(1) && refused.out.contains(told), "{refused:?}");
    }
    assert!(!host.path(DROP_IN).exists() && host.read("/etc/pam.d/sshd") == SSHD);
    drop(second);
    let (_second, _) = host.second_sshd("KbdInteractiveAuthentication no\n");
    let refused = host.admin(&["turn-on", "ssh", "--yes"]);
    assert!(refused.code == Some(1) && refused.out.contains("KbdInteractiveAuthentication is off"), "{refused:?}");
}

#[test]
fn options_of_a_command_line_come_before_the_drop_in() {
    let host = Host::new();
    let options = ["-o", "PasswordAuthentication=yes", "-oKbdInteractiveAuthentication=no"];
    let server = host.sshd_with(host.port, &options);
    let refused = host.admin(&["turn-on", "ssh", "--yes"]);
    let told = "with -o PasswordAuthentication=yes -o KbdInteractiveAuthentication=no: KbdInteractive";
    assert!(refused.code == Some(1) && refused.out.contains(told), "{refused:?}");
    assert!(!host.path(DROP_IN).exists() && host.read("/etc/pam.d/sshd") == SSHD);
    drop(server);
    // Options of the next start.
    host.add("/etc/default/ssh", "SSHD_OPTS='-oPasswordAuthentication=yes -oKbdInteractiveAuthentication=no'\n");
    let refused = host.admin(&["turn-on", "ssh", "--yes"]);
    let told = "the sshd that /etc/default/ssh starts, with -o";
    assert!(refused.code == Some(1) && refused.out.contains(told), "{refused:?}");
    host.add("/etc/default/ssh", "SSHD_OPTS=$MORE\n");
    host.is_refused(&["turn-on", "ssh", "--yes"], &["is started in a way that is not known here ($MORE)"]);
    host.add("/etc/default/ssh", "SSHD_OPTS=\n");
    let _server = host.sshd_with(host.port, &["-o", "KbdInteractiveAuthentication no"]);
    host.is_refused(&["turn-on", "ssh", "--yes"], &["is started in a way that is not known here (", "without options"]);
}

#[test]
fn what_is_missing_is_written_after_the_question_and_nothing_is_taken_back_before() {
    let host = Host::new();
    let before = host.files();
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(0));
    let on = host.files();
    fs::remove_file(host.path(DROP_IN)).unwrap();
    let without = host.files();
    for answer in ["n", "y"] {
        let command = host.command(&["otp-enroll", "admin", "turn-on", "ssh"]);
        let mut terminal = Pty::new(command.get_program()).args(command.get_args()).start();
        terminal.wait_for("Write this file, and reload sshd? [y/N]");
        assert_eq!(host.files(), without, "{}", terminal.transcript());
        terminal.send_line(answer);
        terminal.wait();
        assert_eq!(host.files() == on, answer == "y", "{}", terminal.transcript());
    }
    // A fault: what is on stays on.
    fs::remove_file(host.path(DROP_IN)).unwrap();
    host.write("/etc/ssh/sshd_config.d/50.conf", "PasswordAuthentication no\n");
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(1));
    assert_eq!(host.files().len(), without.len() + 1);
    fs::remove_file(host.path("/etc/ssh/sshd_config.d/50.conf")).unwrap();
    // An update has brought its own file of PAM.
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(0));
    let update = format!("{SSHD}# new\n");
    host.write("/etc/pam.d/sshd", &update);
    let again = host.admin(&["turn-on", "ssh", "--yes"]);
    assert!(again.code == Some(0) && again.out.contains("what is missing is written again"), "{again:?}");
    assert_eq!(host.admin(&["turn-off", "ssh", "--yes"]).code, Some(0));
    assert_eq!(host.read("/etc/pam.d/sshd"), update);
    host.write("/etc/pam.d/sshd", SSHD);
    assert_eq!(host.files(), before);
}

#[test]
fn a_timer_of_an_earlier_trial_ends_no_later_turn_on() {
    let host = Host::new();
    let units = ["timer", "service"].map(|kind| format!("/etc/systemd/system/pam_otp-turn-off-sudo.{kind}"));
    units.iter().for_each(|unit| host.add(unit, "[Unit]\n"));
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    assert!(units.iter().all(|unit| !host.path(unit).exists()));
    // Nor does one try for ever where no copy is left.
    fs::remove_dir_all(host.path("/etc/pam_otp/turned-on/sudo")).unwrap();
    units.iter().for_each(|unit| host.add(unit, "[Unit]\n"));
    let off = host.admin(&["turn-off", "sudo", "--yes"]);
    assert!(off.code == Some(1) && off.err.contains("was written by hand"), "{off:?}");
    assert!(units.iter().all(|unit| !host.path(unit).exists()));
}

#[test]
fn what_a_umask_leaves_open_is_still_taken_back() {
    let host = Host::new();
    let before = host.files();
    for umask in ["002", "007", "000", "777"] {
        let mut on = host.command(&["sh", "-c"]);
        on.arg(format!("umask {umask}; exec otp-enroll admin turn-on sudo --yes"));
        assert_eq!(Outcome::of(&mut on, "").code, Some(0), "{umask}");
        let off = host.admin(&["turn-off", "sudo", "--yes"]);
        assert_eq!(off.code, Some(0), "{umask}: {off:?}");
        assert_eq!(host.files(), before, "{umask}");
    }
}

#[test]
fn what_pam_would_change_for_sshd_by_itself_is_refused() {
    let host = Host::new();
    let refused = |lines: &str, told: &[&str]| {
        host.write("/etc/ssh/sshd_config.d/90.conf", lines);
        host.is_refused(&["turn-on", "ssh", "--yes"], told);
    };
    // Locked accounts would get in with their key.
    refused(
        "UsePAM no\nPasswordAuthentication yes\n",
        &["sshd does not ask PAM (UsePAM no)", "accounts that are locked"],
    );
    // An address of which sshd, told to listen again, would find nothing.
    let usual = host.read("/etc/ssh/sshd_config");
    host.write("/etc/ssh/sshd_config", &usual.replace("127.0.0.1", "192.0.2.77"));
    refused("", &["sshd listens on 192.0.2.77, an address that this machine has lost"]);
    host.write("/etc/ssh/sshd_config", &usual);
    // Another name of KbdInteractiveAuthentication; and a file whose name is a pattern.
    let block = "Match User alice\nSkeyAuthentication no\n";
    refused(block, &["sshd lets users in with a password in the Match block"]);
    fs::remove_file(host.path("/etc/ssh/sshd_config.d/90.conf")).unwrap();
    host.write("/etc/ssh/sshd_config.d/50-[site].conf", "Match User alice\nKbdInteractiveAuthentication no\n");
    host.is_refused(&["turn-on", "ssh", "--yes"], &["in the Match block /etc/ssh/sshd_config.d/50-[site].conf:1"]);
}

#[test]
fn servers_that_are_started_later_count() {
    let _keyed = with_a_key();
    let host = Host::new();
    // Of a server that demands no key, PAM would demand nothing.
    let other = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    host.write("/etc/ssh/sshd_admin", &format!("HostKey /etc/ssh/key_of_test\n{other}"));
    fs::create_dir_all(host.path("/etc/systemd/system")).unwrap();
    for (file, text, who) in [
        (
            "/etc/systemd/system/sshd-admin.service",
            "[Service]\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/sshd_admin\n",
            "the sshd that sshd-admin.service starts",
        ),
        (
            "/etc/inetd.conf",
            "ssh stream tcp nowait root /usr/sbin/sshd sshd -i -f /etc/ssh/sshd_admin\n",
            "the sshd that /etc/inetd.conf starts",
        ),
    ] {
        host.write(file, text);
        let refused = host.admin(&["turn-on", "ssh", "--key", "--yes"]);
        assert!(refused.code == Some(1) && refused.out.contains(who), "{refused:?}");
        fs::remove_file(host.path(file)).unwrap();
    }
}

#[test]
fn without_copies_no_advice_opens_a_service() {
    let _keyed = with_a_key();
    let host = Host::new();
    assert_eq!(host.admin(&["turn-on", "ssh", "--key", "--yes"]).code, Some(0));
    fs::remove_dir_all(host.path("/etc/pam_otp/turned-on")).unwrap();
    let off = host.admin(&["turn-off", "ssh", "--yes"]);
    for told in ["in one edit of /etc/pam.d/sshd: put the line for the password back", "pam_otp.so and pam_permit.so"] {
        assert!(off.code == Some(1) && off.err.contains(told), "{off:?}");
    }
}

#[test]
fn a_trial_that_has_ended_takes_its_lines_out_of_a_file_that_was_changed_since() {
    let host = Host::new();
    let trial = "/etc/pam_otp/turned-on/sudo/trial";
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    let on = host.read("/etc/pam.d/sudo");
    host.write("/etc/pam.d/sudo", &format!("# mine\n{on}"));
    host.write(trial, "4000000000");
    let doctor = host.admin(&["doctor"]);
    assert!(doctor.out.contains("note     sudo: it is on trial until"), "{doctor:?}");
    assert_eq!(host.admin(&["turn-off", "sudo", "--yes"]).code, Some(1), "by hand, as long as it lasts");
    // A line that is not as it was written stays, and doctor says so before.
    host.write("/etc/pam.d/sudo", &on.replace("pam_otp.so", "pam_otp.so nullok"));
    let doctor = host.admin(&["doctor"]);
    assert!(doctor.out.contains("and cannot be taken back then"), "{doctor:?}");
    host.write("/etc/pam.d/sudo", &format!("# mine\n{on}"));
    host.write(trial, "1000000000");
    let off = host.admin(&["turn-off", "sudo", "--yes"]);
    let told = "sudo: off; what turn-on wrote is taken out of /etc/pam.d/sudo; what was changed there since stays\n";
    assert!(off.code == Some(0) && off.out.ends_with(told), "{off:?}");
    assert_eq!(host.read("/etc/pam.d/sudo"), format!("# mine\n{SUDO}"));
    assert!(host.read("/etc/pam.d/sudo-i") == SUDO && host.kept().is_empty());
}

#[test]
fn turn_off_needs_no_sshd() {
    let host = Host::new();
    let before = host.files();
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(0));
    let words = ["otp-enroll", "admin", "turn-off", "ssh", "--yes"];
    let off = Outcome::of(&mut host.command_after("mount -t tmpfs none /run", &words), "");
    assert!(off.code == Some(0) && host.kept().is_empty(), "{off:?}");
    assert_eq!(host.files(), before);
    assert_eq!(host.admin(&["turn-on", "ssh", "--yes"]).code, Some(0));
    let off = Outcome::of(&mut host.command_after("mount --bind /dev/null /usr/sbin/sshd", &words), "");
    assert!(off.code == Some(0) && host.kept().is_empty(), "{off:?}");
    assert_eq!(host.files(), before);
}

#[test]
fn keys_of_root_are_looked_for_where_sshd_looks_for_them() {
    let host = Host::new();
    host.add("/etc/ssh/keys/root", "ssh-ed25519 AAAA\n");
    for line in [
        "AuthorizedKeysFile /etc/ssh/keys/%u",
        "AuthorizedKeysFile none /etc/ssh/keys/root",
        "TrustedUserCAKeys /etc/ssh/keys/root",
    ] {
        host.configure_sshd(&format!("{INCLUDE}{line}\n"));
        host.is_refused(
            &["turn-on", "ssh", "--key", "--yes"],
            &["root logs in with a key, and sshd would refuse root's code"],
        );
    }
}

#[test]
fn a_copy_that_was_damaged_is_not_written_back() {
    let host = Host::new();
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    let on = host.files();
    host.write("/etc/pam_otp/turned-on/sudo/etc+pam.d+sudo.before", "");
    let off = host.admin(&["turn-off", "sudo", "--yes"]);
    for told in ["etc+pam.d+sudo.before: it was changed since it was written", "take out by hand"] {
        assert!(off.code == Some(4) && off.err.contains(told), "{off:?}");
    }
    assert_eq!(host.files(), on);
    let doctor = host.admin(&["doctor"]);
    assert!(
        doctor.out.contains("fault    sudo: it was turned on by turn-on, and cannot be turned off so"),
        "{doctor:?}"
    );
}

#[test]
fn a_service_that_no_login_reaches_is_refused() {
    let host = Host::new();
    host.configure_sshd(&format!("{INCLUDE}AuthenticationMethods publickey\n"));
    host.is_refused(
        &["turn-on", "ssh", "--yes"],
        &["sshd would ask no user for a code: AuthenticationMethods is publickey"],
    );
    for name in ["Foo", "x.old", "sudo.dpkg-dist"] {
        host.write(&format!("/etc/pam.d/{name}"), SUDO);
    }
    host.is_refused(&["turn-on", "Foo", "--yes"], &["no program can use a PAM service Foo", "foo"]);
    host.is_refused(&["turn-on", "x.old", "--yes"], &["x.old is by its name a copy of another file"]);
    host.is_refused(&["turn-on", "sudo.dpkg-dist", "--yes"], &["is by its name a copy of another file"]);
    host.add("/etc/sudoers", "Defaults pam_service=zz\nroot ALL=(ALL:ALL) ALL\n");
    host.is_refused(
        &["turn-on", "sudo", "--yes"],
        &["sudo asks the PAM service zz: pam_service in the Defaults of sudo", "turn-on zz"],
    );
}

#[test]
fn services_that_include_the_file_are_named_and_checked() {
    let host = Host::new();
    host.write("/etc/pam.d/vpn", SUDO);
    host.write("/etc/pam.d/locker", "auth include vpn\naccount include vpn\n");
    let on = host.admin(&["turn-on", "vpn", "--yes"]);
    assert!(on.code == Some(0) && on.out.contains("vpn and locker now ask users"), "{on:?}");
    assert!(on.err.contains("locker includes the PAM file of vpn: its logins ask for a code, too"), "{on:?}");
    assert_eq!(host.admin(&["turn-off", "vpn", "--yes"]).code, Some(0));
    host.write("/etc/pam.d/locker", "auth sufficient pam_unix.so\nauth include vpn\naccount include vpn\n");
    let refused = host.admin(&["turn-on", "vpn", "--yes"]);
    assert!(refused.code == Some(1) && refused.out.contains("fault    locker: "), "{refused:?}");
}

#[test]
fn what_was_interrupted_is_told_by_doctor() {
    let host = Host::new();
    assert_eq!(host.admin(&["turn-on", "sudo", "--yes"]).code, Some(0));
    fs::remove_file(host.path("/etc/pam_otp/turned-on/sudo/done")).unwrap();
    let doctor = host.admin(&["doctor"]);
    assert!(doctor.out.contains("sudo: turning it on was interrupted"), "{doctor:?}");
    let again = host.admin(&["turn-on", "sudo", "--yes"]);
    assert!(again.code == Some(0) && again.out.contains("was interrupted when it was turned on or off"), "{again:?}");
    let twin = host.admin(&["turn-off", "sudo-i", "--yes"]);
    assert!(twin.code == Some(1) && twin.err.contains("sudo-i was turned on with sudo"), "{twin:?}");
    assert!(!host.admin(&["doctor"]).out.contains("interrupted"));
    // A recursive chmod opens the folder, and turn-off closes it.
    fs::set_permissions(host.path("/etc/pam_otp/turned-on"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(host.admin(&["turn-off", "sudo", "--yes"]).code, Some(0));
}

#[test]
fn files_that_sshd_does_not_read_refuse_nothing() {
    let _keyed = with_a_key();
    let host = Host::new();
    for (name, text) in
        [(".00-a.conf", "UsePAM no\n"), ("old.conf.bak", "AuthenticationMethods none\n"), ("00 a.conf", "# x\n")]
    {
        host.write(&format!("/etc/ssh/sshd_config.d/{name}"), text);
    }
    let blank = host.folder.path().join("a folder");
    fs::create_dir(&blank).unwrap();
    let mut command = host.command(&["otp-enroll", "admin", "turn-on", "ssh", "--key", "--dry-run"]);
    let dry = Outcome::of(command.env("TMPDIR", &blank), "");
    assert_eq!(dry.code, Some(0), "{dry:?}");
}
