//! The second factor at a real sshd, asked for by a real ssh.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    desk::{CODE, PASSWORD},
    machine,
    outcome::Outcome,
    phone::Phone,
    site::Site,
    sshd::{Login, Sshd, serving},
    syslog::{self, Mark},
    users::{TestUser, new_group},
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A user with a phone, and a server that wants password and code.
struct Desk {
    user: TestUser,
    site: Site,
    phone: Phone,
    sshd: Sshd,
}

impl Desk {
    fn new(config: &str) -> Desk {
        let (user, site) = (TestUser::new("alice"), Site::new(config));
        let stack = site.auth("required", "");
        let sshd = Sshd::start("pw", &around("auth requisite pam_unix.so", &stack), "Subsystem sftp internal-sftp");
        Desk { phone: Phone::enroll(&site, &user.name), user, site, sshd }
    }

    /// A login by key and code, at a server that wants both.
    fn with_key() -> (Desk, PathBuf) {
        let (user, site) = (TestUser::new("alice"), Site::new(""));
        let stack = around("", &site.auth("required", ""));
        let sshd = Sshd::start("key", &stack, "AuthenticationMethods publickey,keyboard-interactive:pam");
        let key = sshd.key_for(&user);
        (Desk { phone: Phone::enroll(&site, &user.name), user, site, sshd }, key)
    }

    fn log_in(&self, password: &str, code: &str) -> Login {
        self.sshd.ssh(&self.user.name).dialogue(&[(PASSWORD, password), (CODE, code)])
    }

    /// What the module logged about this user since `mark`, without the time and the process.
    fn log(&self, mark: Mark) -> Vec<String> {
        syslog::of_logins(mark, self.sshd.service().name())
    }

    fn prompts(&self, prompts: &[&str]) -> Vec<String> {
        prompts.iter().map(|prompt| format!("({}@127.0.0.1) {prompt}", self.user.name)).collect()
    }
}

fn around(first: &str, otp: &str) -> String {
    format!("{first}\n{otp}auth required pam_permit.so\naccount required pam_unix.so\nsession required pam_permit.so")
}

#[test]
fn password_and_code_let_in_in_this_order() {
    let desk = Desk::new("");
    let mark = syslog::mark();
    let login = desk.log_in(&desk.user.password, &desk.phone.next_code());
    assert!(login.let_in(), "{login:#?}");
    assert_eq!(login.prompts, desk.prompts(&[PASSWORD, CODE]));
    let line = "rhost=127.0.0.1 factor=totp device=1 recovery_left=10";
    assert_eq!(desk.log(mark), [format!("accepted user={} {line}", desk.user.name)]);
}

#[test]
fn a_wrong_code_is_refused_like_a_wrong_password() {
    let desk = Desk::new("");
    let mark = syslog::mark();
    let wrong = desk.phone.wrong();
    // What modules show, this client shows from LogLevel=INFO up.
    let ssh = desk.sshd.ssh(&desk.user.name).option("LogLevel=INFO");
    let login = ssh.dialogue(&[(PASSWORD, &desk.user.password), (CODE, &wrong)]);
    assert!(!login.let_in() && login.status.code() == Some(255), "{login:#?}");
    assert!(login.transcript.contains("Verification failed.") && login.transcript.contains("Permission denied"));
    assert!(!login.transcript.contains(&wrong), "what is typed is not shown: {login:#?}");
    let line = "rhost=127.0.0.1 why=wrong failures=1";
    assert_eq!(desk.log(mark), [format!("refused user={} {line}", desk.user.name)]);

    // A wrong password is the other module's to judge: `requisite` ends it there, and no try is spent.
    let login = desk.sshd.ssh(&desk.user.name).dialogue(&[(PASSWORD, "another"), (CODE, &desk.phone.next_code())]);
    assert!(!login.let_in() && login.prompts == desk.prompts(&[PASSWORD]), "{login:#?}");
    assert_eq!(desk.log(mark).len(), 1);
}

#[test]
fn by_the_example_for_exceptions_a_user_with_neither_key_nor_password_is_refused() {
    let (site, group) = (Site::new(""), new_group("no-key"));
    let example = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(name);
        fs::read_to_string(path).unwrap().replace("no-key", &group)
    };
    let drop_in = tempfile::NamedTempFile::new().unwrap();
    fs::write(drop_in.path(), example("sshd_config.d/match.conf")).unwrap();
    let lines = site.example("key-or-password-and-code").replace("no-key", &group);
    let stack = format!("{lines}account required pam_unix.so\nsession required pam_permit.so\n");
    let sshd = Sshd::start("match", &stack, &format!("Include {}", drop_in.path().display()));
    let (without_key, with_key) = (TestUser::new("alice"), TestUser::new("bob"));
    without_key.join(&group);
    let key = sshd.key_for(&with_key);
    let log_in = |user: &TestUser, key: Option<&PathBuf>, steps: &[(&str, &str)]| {
        let ssh = sshd.ssh(&user.name);
        key.map_or(ssh, |key| sshd.ssh(&user.name).key(key)).dialogue(steps)
    };

    // Without a device, which policy lets pass.
    assert!(!log_in(&without_key, None, &[(PASSWORD, "another")]).let_in());
    assert!(log_in(&without_key, None, &[(PASSWORD, &without_key.password)]).let_in());
    assert!(!log_in(&with_key, None, &[(PASSWORD, &with_key.password)]).let_in());
    assert!(log_in(&with_key, Some(&key), &[]).let_in());

    for (user, key, first) in
        [(&without_key, None, vec![(PASSWORD, &*without_key.password)]), (&with_key, Some(&key), Vec::new())]
    {
        let phone = Phone::enroll(&site, &user.name);
        for (code, let_in) in [(phone.wrong(), false), (phone.next_code(), true)] {
            let steps = [first.clone(), vec![(CODE, &*code)]].concat();
            let login = log_in(user, key, &steps);
            assert_eq!((login.let_in(), login.prompts.len()), (let_in, steps.len()), "{login:#?}");
        }
    }
}

/// A section of docs/services/ssh.md.
fn recipe(heading: &str) -> String {
    let page = fs::read_to_string(machine::source("docs/services/ssh.md")).unwrap();
    let from = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    from.split("\n## ").next().unwrap().to_owned()
}

/// What Debian's sshd_config says.
const DEBIAN: &str = "KbdInteractiveAuthentication no\nUsePAM yes\n";

#[test]
fn each_step_of_the_recipe_lets_its_users_in_and_doctor_finds_no_fault_at_the_end() {
    let way = recipe("Password and code");
    let block = |word: &str| {
        let mut blocks = way.split("\n\n").filter(|block| block.starts_with("       "));
        blocks.find(|block| block.contains(word)).unwrap_or_else(|| panic!("no {word} in\n{way}"))
    };
    let (options, lines) = (block("UsePAM"), block("pam_otp.so"));
    let [sshd, pam, doctor] = [options, lines, "otp-enroll admin doctor\n"].map(|step| way.find(step));
    assert!(sshd < pam && pam < doctor, "{way}");
    let includes_password = lines.lines().next().unwrap().trim();

    let (site, with_device, without) = (Site::new(""), TestUser::new("alice"), TestUser::new("bob"));
    let debian = fs::read_to_string("/etc/pam.d/sshd").unwrap();
    assert!(debian.contains(&format!("\n{includes_password}\n")), "{debian}");
    let log_in = |sshd: &Sshd, user: &TestUser, steps: &[(&str, &str)]| {
        let login = sshd.ssh(&user.name).dialogue(steps);
        assert!(login.let_in() && login.prompts.len() == steps.len(), "{login:#?}");
    };
    // sshd's own question, and PAM's.
    let (theirs, asked) = ("password: ", PASSWORD);
    let sshd = Sshd::start("way", &debian, &format!("PasswordAuthentication yes\n{DEBIAN}"));
    log_in(&sshd, &with_device, &[(theirs, &with_device.password)]);
    let phone = Phone::enroll(&site, &with_device.name);
    log_in(&sshd, &with_device, &[(theirs, &with_device.password)]);

    let config = format!("{options}\n{DEBIAN}");
    let sshd = Sshd::start("way", &debian, &config);
    for user in [&with_device, &without] {
        log_in(&sshd, user, &[(asked, &user.password)]);
    }

    let stack = debian.replacen(
        &format!("\n{includes_password}\n"),
        &format!("\n{}\n", lines.replace("pam_otp.so", &site.module())),
        1,
    );
    let folder = tempfile::tempdir().unwrap();
    let (file, host_key) = (folder.path().join("sshd_config"), folder.path().join("host_key"));
    machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key));
    fs::create_dir(folder.path().join("pam.d")).unwrap();
    fs::write(folder.path().join("pam.d/sshd"), &stack).unwrap();
    let doctor = |config: &str| {
        fs::write(&file, format!("{config}\nHostKey {}\n", host_key.display())).unwrap();
        let mut doctor = site.admin_command();
        doctor.arg("doctor").arg("--pam").arg(folder.path().join("pam.d")).arg("--sshd").arg(&file);
        Outcome::of(&mut doctor, "")
    };
    let told = doctor(&config);
    assert!(told.code == Some(0) && told.out.contains("\nNo fault was found."), "{told:#?}");
    // Without the step before, doctor names what is missing.
    let told = doctor(&format!("PasswordAuthentication yes\n{DEBIAN}"));
    assert!(told.code == Some(1) && told.out.contains("KbdInteractiveAuthentication is off"), "{told:#?}");

    let sshd = Sshd::start("way", &stack, &config);
    log_in(&sshd, &with_device, &[(asked, &with_device.password), (CODE, &phone.next_code())]);
    log_in(&sshd, &without, &[(asked, &without.password)]);
}

#[test]
fn at_no_step_from_the_password_to_key_and_code_is_one_let_in_with_neither() {
    let way = recipe("Key and code");
    let (site, bob) = (Site::new(""), TestUser::new("bob"));
    // As Debian has them; without a device, which policy lets pass.
    let mut config = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n".to_owned();
    let mut stack = "auth required pam_unix.so\n".to_owned();
    let (mut sees_to_the_key, mut trusts_it) = (false, false);
    for step in way.split("\n\n").filter(|step| step.starts_with("    ")) {
        if step.contains("pam_otp.so") {
            trusts_it = true;
            stack = step.replace("pam_otp.so", &site.module());
        } else if step.contains("UsePAM") {
            sees_to_the_key = true;
            config = step.to_owned();
        }
        let around = "\naccount required pam_unix.so\nsession required pam_permit.so";
        let sshd = Sshd::start("steps", &format!("{stack}{around}"), &config);
        let login = sshd.ssh(&bob.name).askpass(&["another"]);
        assert!(!login.let_in(), "after\n{step}\n{login:#?}");
    }
    assert!(sees_to_the_key && trusts_it, "{way}");
}

#[test]
fn root_answers_where_permit_root_login_lets_root() {
    let site = Site::new("");
    let phone = Phone::enroll(&site, "root");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    for (permitted, let_in) in [("prohibit-password", false), ("yes", true)] {
        let config = format!(
            "AuthenticationMethods publickey,keyboard-interactive:pam\nPermitRootLogin {permitted}\nStrictModes no\n\
             AuthorizedKeysFile {}",
            key.with_extension("pub").display()
        );
        let sshd = Sshd::start("root", &around("", &site.auth("required", "")), &config);
        let mark = syslog::mark();
        let login = sshd.ssh("root").key(&key).dialogue(&[(CODE, &phone.next_code())]);
        assert_eq!(login.let_in(), let_in, "{permitted}: {login:#?}");
        let why = if let_in { "accepted user=root" } else { "refused user=root rhost=127.0.0.1 why=malformed" };
        assert!(syslog::lines_since(mark).iter().any(|line| line.contains(why)), "{permitted}: no {why}");
    }
}

#[test]
fn a_client_that_tries_again_may_get_it_right() {
    let desk = Desk::new("");
    let ssh = desk.sshd.ssh(&desk.user.name).option("NumberOfPasswordPrompts=3");
    let login = ssh.dialogue(&[
        (PASSWORD, &desk.user.password),
        (CODE, &desk.phone.wrong()),
        (PASSWORD, &desk.user.password),
        (CODE, &desk.phone.next_code()),
    ]);
    assert!(login.let_in(), "{login:#?}");
    assert_eq!(login.prompts, desk.prompts(&[PASSWORD, CODE, PASSWORD, CODE]));
}

#[test]
fn a_code_and_a_recovery_code_work_once() {
    let desk = Desk::new("");
    for code in [desk.phone.next_code(), desk.phone.recovery_code()] {
        let mark = syslog::mark();
        assert!(desk.log_in(&desk.user.password, &code).let_in());
        let login = desk.log_in(&desk.user.password, &code);
        assert!(!login.let_in(), "{login:#?}");
        let log = desk.log(mark);
        assert!(log.len() == 2 && log[0].starts_with("accepted "), "{log:#?}");
        assert!(log[1].ends_with("why=replayed") || log[1].ends_with("why=recovery-used"), "{log:#?}");
    }
}

#[test]
fn the_reminder_of_the_last_recovery_codes_reaches_the_terminal() {
    let desk = Desk::new("[recovery]\ncodes = 2\n");
    // sshd shows it where it shows the message of the day: to a shell.
    let mut terminal = desk.sshd.ssh(&desk.user.name).shell().start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&desk.user.password);
    terminal.wait_for(CODE);
    terminal.send_line(&desk.phone.recovery_code());
    terminal.wait_for("Only one recovery code is left. Make new ones with: otp-enroll recovery");
    terminal.wait_for("$ ");
}

#[test]
fn a_login_tells_of_wrong_codes_before_it_and_says_everything_once() {
    let desk = Desk::new("[recovery]\ncodes = 2\n");
    let ssh = desk.sshd.ssh(&desk.user.name).option("LogLevel=INFO").option("NumberOfPasswordPrompts=3").shell();
    let mut terminal = ssh.start();
    for code in [desk.phone.wrong(), desk.phone.wrong(), desk.phone.recovery_code()] {
        terminal.wait_for(PASSWORD);
        terminal.send_line(&desk.user.password);
        terminal.wait_for(CODE);
        terminal.send_line(&code);
    }
    terminal.wait_for("$ ");
    let transcript = terminal.transcript();
    for (text, times) in [
        ("Verification failed.", 2),
        ("2 wrong codes were tried for your account since your last correct one.", 1),
        ("If that was not you, tell your administrator.", 1),
        ("Only one recovery code is left.", 1),
    ] {
        assert_eq!(transcript.matches(text).count(), times, "{text}: {transcript}");
    }
    terminal.send_line("echo begin; env | grep PAM_OTP; echo end");
    terminal.wait_for("begin\r\nend\r\n");
    // Without a terminal nothing is shown: a script reads what it asked for, and nothing else.
    let ssh = desk.sshd.ssh(&desk.user.name).option("LogLevel=INFO");
    let guess = ssh.dialogue(&[(PASSWORD, &desk.user.password), (CODE, &desk.phone.wrong())]);
    assert!(!guess.let_in(), "{guess:#?}");
    let login = ssh.askpass(&[&desk.user.password, &desk.phone.next_code()]);
    assert!(login.let_in() && !login.transcript.contains("tried for your account"), "{login:#?}");
    let mut again = desk.sshd.ssh(&desk.user.name).shell().start();
    again.wait_for(PASSWORD);
    again.send_line(&desk.user.password);
    again.wait_for(CODE);
    again.send_line(&desk.phone.next_code());
    again.wait_for("$ ");
    assert!(!again.transcript().contains("tried for your account"), "{}", again.transcript());
}

#[test]
fn a_key_and_a_code_let_in() {
    let (desk, key) = Desk::with_key();
    let mark = syslog::mark();
    let code = desk.phone.next_code();
    let ssh = || desk.sshd.ssh(&desk.user.name).key(&key);
    let login = ssh().dialogue(&[(CODE, &code)]);
    assert!(login.let_in(), "{login:#?}");
    assert_eq!(login.prompts, desk.prompts(&[CODE]));
    let login = ssh().dialogue(&[(CODE, &code)]);
    assert!(!login.let_in(), "{login:#?}");
    let login = desk.sshd.ssh(&desk.user.name).dialogue(&[(CODE, &desk.phone.next_code())]);
    assert!(!login.let_in() && login.prompts.is_empty(), "without the key there is no prompt: {login:#?}");
    let log = desk.log(mark);
    assert!(log.len() == 2 && log[0].contains("factor=totp") && log[1].contains("why=replayed"), "{log:#?}");
}

#[test]
fn in_batch_mode_an_exempt_user_needs_a_match_block_too() {
    let user = TestUser::new("robot");
    let rule = format!("[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"skip\"\n", user.name);
    let site = Site::new(&format!("[policy]\nsecond_factor = \"required\"\n{rule}"));
    let stack = around("", &site.auth("required", ""));
    // A block ends with its file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let block = format!("Match User {}\nAuthenticationMethods publickey\n", user.name);
    for (block, expected) in [("", false), (block.as_str(), true)] {
        fs::write(file.path(), block).unwrap();
        let both = "AuthenticationMethods publickey,keyboard-interactive:pam";
        let config = format!("{both}\nInclude {}", file.path().display());
        let (mark, sshd) = (syslog::mark(), Sshd::start("batch", &stack, &config));
        let key = sshd.key_for(&user);
        let ssh = || sshd.ssh(&user.name).key(&key);
        let login = ssh().option("BatchMode=yes").askpass(&[]);
        assert_eq!(login.let_in(), expected, "{login:#?}");
        let log = syslog::of_logins(mark, sshd.service().name());
        assert!(log.is_empty(), "no line of ours: {log:#?}");
        assert!(ssh().askpass(&[]).let_in(), "with a client that may answer, policy asks for nothing");
    }
}

#[test]
fn a_command_runs_without_a_terminal() {
    let desk = Desk::new("");
    let ssh = desk.sshd.ssh(&desk.user.name).command("tty; echo LOGGED-IN");
    let login = ssh.askpass(&[&desk.user.password, &desk.phone.next_code()]);
    assert!(login.let_in() && login.transcript.contains("not a tty"), "{login:#?}");
    assert_eq!(login.prompts, desk.prompts(&[PASSWORD, CODE]));
    let login = ssh.askpass(&[&desk.user.password, &desk.phone.wrong()]);
    assert!(!login.let_in(), "{login:#?}");
    // A user who cannot answer a second question is refused, and spends nothing.
    let mark = syslog::mark();
    let login = ssh.askpass(&[&desk.user.password]);
    assert!(!login.let_in(), "{login:#?}");
    assert!(desk.log(mark).iter().all(|line| !line.contains("why=wrong")), "{:#?}", desk.log(mark));
}

#[test]
fn a_shell_is_opened_and_a_file_is_copied() {
    let desk = Desk::new("");
    let mut terminal = desk.sshd.ssh(&desk.user.name).shell().start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&desk.user.password);
    terminal.wait_for(CODE);
    terminal.send_line(&desk.phone.next_code());
    terminal.wait_for("$ ");
    terminal.send_line("exit 3");
    assert_eq!(terminal.wait().code(), Some(3));

    let (dir, file) = (tempfile::tempdir().unwrap(), desk.user.write("letter", "Dear Bob", 0o600));
    let askpass = askpass(dir.path(), &[&desk.user.password, &desk.phone.next_code()]);
    let copy = dir.path().join("copy");
    let mut scp = Command::new("setsid");
    scp.args(["--wait", "scp", "-F", "/dev/null", "-P", &desk.sshd.port().to_string()]);
    scp.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PubkeyAuthentication=no"]);
    scp.arg(format!("{}@127.0.0.1:{}", desk.user.name, file.display())).arg(&copy);
    scp.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none");
    machine::run(scp.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()));
    assert_eq!(fs::read_to_string(copy).unwrap(), "Dear Bob");
}

/// A program that gives one answer after another.
fn askpass(dir: &Path, answers: &[&str]) -> PathBuf {
    fs::write(dir.join("answers"), answers.join("\n") + "\n").unwrap();
    fs::write(dir.join("script"), "#!/bin/sh\ncd \"$(dirname \"$0\")\" && head -n 1 answers && sed -i 1d answers\n")
        .unwrap();
    let program = dir.join("askpass");
    machine::run(Command::new("install").args(["-m", "0700"]).args([&dir.join("script"), &program]));
    program
}

#[test]
fn a_client_that_vanishes_at_the_prompt_leaves_nothing_behind() {
    let desk = Desk::new("[lockout]\nafter = 1\n");
    let state = desk.site.state_file(&desk.user.name);
    let before = fs::read(&state).unwrap();
    let served = || serving(&desk.user.name);
    for gone in [Signal::KILL, Signal::HUP, Signal::TERM] {
        let mut terminal = desk.sshd.ssh(&desk.user.name).start();
        terminal.wait_for(PASSWORD);
        terminal.send_line(&desk.user.password);
        terminal.wait_for(CODE);
        assert!(!served().is_empty(), "the session should be seen while it lasts");
        terminal.signal(gone);
        terminal.wait();
        let left = machine::wait(PATIENCE, || served().is_empty().then_some(()));
        assert!(left.is_some(), "after {gone:?}: {:#?}", served());
    }
    assert_eq!(fs::read(&state).unwrap(), before, "no try is spent");
    assert!(desk.log_in(&desk.user.password, &desk.phone.next_code()).let_in());
}

#[test]
fn an_unknown_user_sees_what_all_users_see() {
    let desk = Desk::new("");
    desk.sshd.service().set(&around("", &desk.site.auth("required", "")));
    let ask = |user: &str, code: &str| {
        let login = desk.sshd.ssh(user).dialogue(&[(CODE, code)]);
        assert!(!login.let_in(), "{login:#?}");
        login.transcript.replace(user, "USER")
    };
    let mark = syslog::mark();
    let known = ask(&desk.user.name, &desk.phone.wrong());
    assert_eq!(ask("nobody-of-that-name", "123456"), known);
    let log = desk.log(mark);
    assert!(
        log.len() == 2 && log[1] == "refused user=nobody-of-that-name rhost=127.0.0.1 why=unknown-user",
        "{log:#?}"
    );
}
