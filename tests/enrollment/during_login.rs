//! Set-up in the middle of a login: at a real sshd, su and login, with the stacks of `config/examples`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Event, Talk, Transcript},
    desk::{CODE, PASSWORD, UNAVAILABLE},
    machine,
    phone::{Phone, key, recovery_codes},
    pty::{PATIENCE, Pty, Terminal},
    screen::{self, Theme},
    service::Service,
    site::Site,
    sshd::{Ssh, Sshd, serving},
    syslog::{self, Mark},
    users::TestUser,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const NEW_CODE: &str = "Code that the app shows: ";
const WRITTEN_DOWN: &str = "Type yes when you have written them down: ";
const NOT_CORRECT: &str = "That code is not correct. Wait for the next one;";
const OVERTAKEN: &str = "A second factor was set up for you meanwhile. Log in again, with a code of it.";
const MISSED: &str = "error=\"an enrollment is pending, and the login did not come through it\" \
    hint=\"the PAM file needs an account and a password line with pam_otp.so too: see the examples\"";
const STACK: &str = "password-and-code-with-set-up";

/// Twelve characters, as many as host names often have.
fn site() -> Site {
    let site = Site::new("");
    let state = site.state().display().to_string();
    site.write(&format!(
        "issuer = \"web-01.local\"\nstate_directory = \"{state}\"\n[code]\nwindow = 10\n\
         [policy]\nsecond_factor = \"enroll\"\n"
    ));
    site
}

/// A user without a device, and a server that leads to one.
struct Desk {
    user: TestUser,
    site: Site,
    sshd: Sshd,
}

impl Desk {
    fn new() -> Desk {
        let site = site();
        Desk::with(&site.example_stack(STACK), site, "Subsystem sftp internal-sftp")
    }

    fn with(stack: &str, site: Site, config: &str) -> Desk {
        Desk { user: TestUser::new("al"), sshd: Sshd::start("enroll", stack, config), site }
    }

    fn ssh(&self) -> Ssh<'_> {
        self.sshd.ssh(&self.user.name)
    }

    /// Logs in with the password, up to the key, and types that into a phone.
    fn at_the_key(&self, mut terminal: Terminal) -> (Terminal, Phone) {
        terminal.wait_for(PASSWORD);
        terminal.send_line(&self.user.password);
        let seen = terminal.wait_for(NEW_CODE);
        (terminal, Phone::with_key(&self.site, &self.user.name, &key(&seen)))
    }

    /// The same, up to the recovery codes.
    fn at_the_recovery_codes(&self, terminal: Terminal) -> (Terminal, Phone) {
        let (mut terminal, mut phone) = self.at_the_key(terminal);
        terminal.send_line(&phone.next_code());
        phone.recovery = recovery_codes(&terminal.wait_for(WRITTEN_DOWN));
        (terminal, phone)
    }

    fn nothing_is_stored(&self) -> bool {
        !self.site.credentials(&self.user.name).exists() && !self.site.state_file(&self.user.name).exists()
    }

    /// What the module logged since `mark`: `auth: accepted user=…`, without time and process.
    fn log(&self, mark: Mark) -> Vec<String> {
        logged(mark, self.sshd.service().name())
    }

    /// Whether a login with password and this code is let in, and has nothing to do with set-up.
    fn is_let_in_with(&self, code: &str) -> bool {
        let login = self.ssh().dialogue(&[(PASSWORD, &self.user.password), (CODE, code)]);
        assert!(login.prompts.len() == 2 && login.prompts.iter().any(|prompt| prompt.ends_with(CODE)), "{login:#?}");
        login.let_in()
    }
}

fn logged(mark: Mark, service: &str) -> Vec<String> {
    let sign = format!(" pam_otp({service}:");
    let lines = syslog::lines_since(mark);
    lines.iter().filter_map(|line| Some(line.split_once(&sign)?.1.replacen("):", ":", 1))).collect()
}

#[test]
fn a_user_without_a_device_is_led_to_one_and_asked_for_a_code_from_then_on() {
    let desk = Desk::new();
    let user = &desk.user.name;
    let mark = syslog::mark();
    let (mut terminal, mut phone) = desk.at_the_key(desk.ssh().command("env; echo LOGGED-IN").start());

    let rows = terminal.screen();
    let begins = "Set up a second factor with an authenticator app:\nanswer q for a QR code that the app scans,\n";
    assert!(rows.contains(begins) && !rows.contains('█'), "{rows}");
    assert!(rows.contains("\nor type this key: ") && rows.trim_end().ends_with(NEW_CODE.trim_end()), "{rows}");
    // All of the picture is on 24 rows, and what the phone sees is what the key says, on a dark background and on a light one.
    let uri = Some(format!("otpauth://totp/web-01.local:{user}?secret={}", phone.app.secret));
    for (answer, theme) in [("q", Theme::Dark), (" Q ", Theme::Light), ("q", Theme::Dark)] {
        terminal.send_line(answer);
        terminal.wait_for(NEW_CODE);
        let rows = terminal.screen();
        assert!(rows.contains("Scan this with the app:") && rows.trim_end().ends_with(NEW_CODE.trim_end()), "{rows}");
        assert!(rows.lines().all(|row| row.chars().count() <= 80), "{rows}");
        assert_eq!(terminal.with_screen(|screen| screen::qr_code(screen, theme)), uri, "{rows}");
    }
    assert!(desk.nothing_is_stored());

    let code = phone.next_code();
    terminal.send_line(&code);
    phone.recovery = recovery_codes(&terminal.wait_for(WRITTEN_DOWN));
    assert_eq!(phone.recovery.len(), 10);
    // A client puts user and host before the first line, and 80 columns still take it.
    let rows = terminal.screen();
    assert!(rows.lines().all(|row| row.chars().count() <= 80), "{rows}");
    assert!(rows.contains("\nRecovery codes, each good for one login without your phone:\n"), "{rows}");
    assert!(desk.nothing_is_stored());
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    assert!(terminal.wait().success());
    let said = terminal.transcript();
    assert!(!said.contains("PAM_OTP"), "the session knows nothing of it: {said}");
    assert!(!said.contains(&code), "what is typed is not shown: {said}");
    let pending = format!("auth: enrollment-pending user={user} rhost=127.0.0.1 second_factor=enroll by=default");
    let done = format!("chauthtok: enrolled-during-login user={user} rhost=127.0.0.1");
    assert_eq!(desk.log(mark), [pending, done]);

    assert!(!desk.is_let_in_with(&code), "the code that confirmed it is spent");
    for code in [phone.next_code(), phone.recovery_code()] {
        assert!(desk.is_let_in_with(&code) && !desk.is_let_in_with(&code));
    }
    let all = syslog::lines_since(mark).concat();
    for secret in [&code, &phone.app.secret, &phone.hex, &phone.recovery[0], &phone.recovery[9], &desk.user.password] {
        assert!(!all.contains(secret.as_str()), "a secret is in the log");
    }
}

#[test]
fn a_terminal_without_unicode_still_shows_the_key() {
    let desk = Desk::new();
    let mut ssh = Pty::new("ssh").args(["-F", "/dev/null", "-p", &desk.sshd.port().to_string()]);
    ssh = ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
    ssh = ssh.args(["-o", "PubkeyAuthentication=no", "-l", &desk.user.name, "127.0.0.1", "echo LOGGED-IN"]);
    let (mut terminal, _) = desk.at_the_recovery_codes(ssh.env("LC_ALL", "C").env_remove("SSH_AUTH_SOCK").start());
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
}

#[test]
fn a_key_and_enrollment_let_in() {
    let site = site();
    let stack = site.example_stack("key-and-code-with-set-up");
    let desk = Desk::with(&stack, site, "AuthenticationMethods publickey,keyboard-interactive:pam");
    let key_file = desk.sshd.key_for(&desk.user);
    let mut terminal = desk.ssh().key(&key_file).start();
    let phone = Phone::with_key(&desk.site, &desk.user.name, &key(&terminal.wait_for(NEW_CODE)));
    terminal.send_line(&phone.next_code());
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    let login = desk.ssh().key(&key_file).dialogue(&[(CODE, &phone.next_code())]);
    assert!(login.let_in() && login.prompts.len() == 1, "{login:#?}");
    // Without the key no login gets as far as that.
    let login = desk.ssh().dialogue(&[(CODE, "")]);
    assert!(!login.let_in() && login.prompts.is_empty(), "{login:#?}");
}

/// A program that answers as a person would who reads the window in which ssh asks.
fn askpass(dir: &Path, desk: &Desk) -> PathBuf {
    let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n\
                  key=$(printf '%s' \"$1\" | sed -n 's/^or type this key: //p' | tr -d ' ')\n\
                  [ -z \"$key\" ] || echo \"$key\" > key\n\
                  case $1 in\n\
                  *Password*) cat password ;;\n\
                  *'app shows'*) oathtool --totp --base32 \"$key\" ;;\n\
                  *'Type yes'*) echo yes ;;\n\
                  *) exit 1 ;;\nesac\n";
    fs::write(dir.join("script"), script).unwrap();
    fs::write(dir.join("password"), format!("{}\n", desk.user.password)).unwrap();
    let program = dir.join("askpass");
    machine::run(Command::new("install").args(["-m", "0700"]).args([&dir.join("script"), &program]));
    program
}

fn copying(program: &str, desk: &Desk) -> Vec<String> {
    let port = desk.sshd.port().to_string();
    let mut arguments: Vec<String> = [program, "-F", "/dev/null", "-P", &port].map(str::to_owned).into();
    let options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PubkeyAuthentication=no"];
    for option in options.into_iter().chain(["NumberOfPasswordPrompts=1", "LogLevel=ERROR"]) {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments
}

#[test]
fn a_command_without_a_terminal_sets_up_in_the_window_that_asks() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let askpass = askpass(dir.path(), &desk);
    let mut ssh = Command::new("setsid");
    ssh.args(["--wait", "ssh", "-F", "/dev/null", "-p", &desk.sshd.port().to_string()]).args(&copying("", &desk)[5..]);
    ssh.args(["-l", &desk.user.name, "127.0.0.1", "tty; echo LOGGED-IN"]);
    ssh.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none");
    let output = ssh.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "not a tty\nLOGGED-IN\n", "{output:?}");
    let key = fs::read_to_string(dir.path().join("key")).unwrap();
    let phone = Phone::with_key(&desk.site, &desk.user.name, key.trim());
    assert!(desk.is_let_in_with(&phone.code(2)));
}

#[test]
fn files_are_copied_after_enrollment_and_in_the_middle_of_it() {
    for program in ["scp", "sftp"] {
        let desk = Desk::new();
        let (dir, letter) = (tempfile::tempdir().unwrap(), desk.user.write("letter", "Dear Bob", 0o600));
        let copy = |name: &str| {
            let from = format!("{}@127.0.0.1:{}", desk.user.name, letter.display());
            let arguments = copying(program, &desk);
            let pty = Pty::new(program).args(&arguments[1..]).args([Path::new(&from), &dir.path().join(name)]);
            pty.env("LC_ALL", "C.UTF-8").env_remove("SSH_AUTH_SOCK").start()
        };
        // Given up half way, there is neither a copy nor a device.
        let (mut terminal, _) = desk.at_the_recovery_codes(copy("never"));
        for _ in 0..3 {
            // Of sftp, Ctrl-C ends the question and not the program.
            terminal.send("\u{3}");
            if terminal.look_for(WRITTEN_DOWN, PATIENCE).is_none() {
                break;
            }
        }
        assert!(!terminal.wait().success() && !dir.path().join("never").exists(), "{}", terminal.transcript());
        let left = machine::wait(PATIENCE, || serving(&desk.user.name).is_empty().then_some(()));
        assert!(left.is_some() && desk.nothing_is_stored(), "{program}");

        let (mut terminal, phone) = desk.at_the_recovery_codes(copy("first"));
        terminal.send_line("yes");
        assert!(terminal.wait().success(), "{}", terminal.transcript());
        let mut terminal = copy("second");
        terminal.wait_for(PASSWORD);
        terminal.send_line(&desk.user.password);
        terminal.wait_for(CODE);
        terminal.send_line(&phone.next_code());
        assert!(terminal.wait().success(), "{}", terminal.transcript());
        for name in ["first", "second"] {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "Dear Bob");
        }
    }
}

#[test]
fn a_copy_that_can_show_nothing_and_ask_nothing_ends_without_a_device() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let letter = desk.user.write("letter", "Dear Bob", 0o600);
    fs::write(dir.path().join("password"), &desk.user.password).unwrap();
    // It knows the password, and has no more to say.
    let program = dir.path().join("askpass");
    fs::write(
        dir.path().join("script"),
        "#!/bin/sh\ncase $1 in *Password*) cat \"${0%/*}/password\" ;; *) exit 1 ;; esac\n",
    )
    .unwrap();
    machine::run(Command::new("install").args(["-m", "0700"]).args([&dir.path().join("script"), &program]));
    let mut scp = Command::new("timeout");
    scp.args(["60", "setsid", "--wait"]).args(copying("scp", &desk));
    scp.arg(format!("{}@127.0.0.1:{}", desk.user.name, letter.display())).arg(dir.path().join("copy"));
    scp.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":none");
    let output = scp.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code != 0 && code != 124), "{output:?}");
    assert!(!dir.path().join("copy").exists() && desk.nothing_is_stored());
}

#[test]
fn a_wrong_password_never_sees_a_key() {
    let otp = |site: &Site, first: &str| {
        let example = site.example_stack(STACK);
        assert!(example.contains("@include common-auth\n"));
        example.replace("@include common-auth", first)
    };
    for first in ["@include common-auth", "auth requisite pam_unix.so", "auth required pam_unix.so"] {
        let site = site();
        let desk = Desk::with(&otp(&site, first), site, "");
        let mark = syslog::mark();
        let mut terminal = desk.ssh().option("NumberOfPasswordPrompts=3").start();
        for _ in 0..3 {
            terminal.wait_for(PASSWORD);
            terminal.send_line("another");
        }
        assert_eq!(terminal.wait().code(), Some(255));
        let said = terminal.transcript();
        assert!(!said.contains('█') && !said.contains("this key"), "{first}: {said}");
        assert!(desk.nothing_is_stored());
        let log = desk.log(mark);
        assert!(log.iter().all(|line| line.starts_with("auth: enrollment-pending ")), "{log:#?}");

        // What a wrong try left behind does not keep the user from getting it right on the same connection.
        let mut terminal = desk.ssh().option("NumberOfPasswordPrompts=3").start();
        terminal.wait_for(PASSWORD);
        terminal.send_line("another");
        let (mut terminal, _) = desk.at_the_recovery_codes(terminal);
        terminal.send_line("yes");
        terminal.wait_for("LOGGED-IN");
    }
}

#[test]
fn three_wrong_codes_end_it_and_nothing_is_stored() {
    let desk = Desk::new();
    let mark = syslog::mark();
    let (mut terminal, phone) = desk.at_the_key(desk.ssh().option("LogLevel=INFO").start());
    for wrong in [phone.wrong(), "nonsense".into()] {
        terminal.send_line(&wrong);
        terminal.wait_for(NOT_CORRECT);
        terminal.wait_for(NEW_CODE);
    }
    terminal.send_line(&phone.wrong());
    terminal.wait_for("Nothing was set up. Log in again to start over.");
    assert_eq!(terminal.wait().code(), Some(255), "{}", terminal.transcript());
    assert!(desk.nothing_is_stored());
    let line = format!("chauthtok: refused user={} rhost=127.0.0.1 why=enrollment-incomplete", desk.user.name);
    assert_eq!(desk.log(mark)[1..], [line]);
}

#[test]
fn a_user_who_does_not_say_that_the_recovery_codes_are_safe_is_not_enrolled() {
    let desk = Desk::new();
    let mark = syslog::mark();
    let (mut terminal, _) = desk.at_the_recovery_codes(desk.ssh().start());
    for no in ["", "no"] {
        terminal.send_line(no);
        terminal.wait_for(WRITTEN_DOWN);
    }
    terminal.send_line("");
    assert!(terminal.wait().code() == Some(255) && desk.nothing_is_stored(), "{}", terminal.transcript());
    assert!(desk.log(mark)[1].ends_with(" why=enrollment-incomplete"));
}

#[test]
fn a_code_of_a_clock_that_is_off_says_so_and_the_offer_stays() {
    let desk = Desk::new();
    let (mut terminal, phone) = desk.at_the_key(desk.ssh().start());
    terminal.send_line(&phone.code(40));
    terminal.wait_for("The clocks of your device and of this machine differ:");
    terminal.wait_for("set both to automatic time.");
    terminal.wait_for(NEW_CODE);
    terminal.send_line(&phone.next_code());
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
}

#[test]
fn a_client_killed_at_any_stage_leaves_nothing_behind() {
    let desk = Desk::new();
    for (stage, gone) in
        [("code", Signal::KILL), ("wrong", Signal::HUP), ("codes", Signal::KILL), ("codes", Signal::TERM)]
    {
        let mut terminal = match stage {
            "codes" => desk.at_the_recovery_codes(desk.ssh().start()).0,
            _ => desk.at_the_key(desk.ssh().start()).0,
        };
        if stage == "wrong" {
            terminal.send_line("000000");
            terminal.wait_for(NEW_CODE);
        }
        assert!(!serving(&desk.user.name).is_empty(), "the session should be seen while it lasts");
        let mark = syslog::mark();
        terminal.signal(gone);
        terminal.wait();
        let left = machine::wait(PATIENCE, || serving(&desk.user.name).is_empty().then_some(()));
        assert!(left.is_some(), "{stage}: {:#?}", serving(&desk.user.name));
        assert!(desk.nothing_is_stored(), "{stage}");
        let log = desk.log(mark);
        assert!(log.iter().all(|line| line.contains("error=\"the conversation gave no answer\"")), "{log:#?}");
    }
    assert_eq!(desk.site.files(), BTreeSet::new(), "not even a scrap");
    let (mut terminal, _) = desk.at_the_recovery_codes(desk.ssh().start());
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
}

#[test]
fn of_two_enrollments_at_once_one_is_in_force_and_the_other_is_told() {
    let desk = Desk::new();
    let ssh = || desk.ssh().option("LogLevel=INFO").start();
    let (mut first, mine) = desk.at_the_recovery_codes(ssh());
    let (mut second, other) = desk.at_the_recovery_codes(ssh());
    let (mut third, late) = desk.at_the_key(ssh());
    let mark = syslog::mark();
    second.send_line("YES");
    second.wait_for("LOGGED-IN");
    first.send_line("yes");
    first.wait_for(OVERTAKEN);
    third.send_line(&late.next_code());
    third.wait_for(WRITTEN_DOWN);
    third.send_line("yes");
    third.wait_for(OVERTAKEN);
    assert!(first.wait().code() == Some(255) && third.wait().code() == Some(255));
    let user = &desk.user.name;
    let refused = format!("chauthtok: refused user={user} rhost=127.0.0.1 why=enrollment-overtaken");
    let done = format!("chauthtok: enrolled-during-login user={user} rhost=127.0.0.1");
    assert_eq!(desk.log(mark), [done, refused.clone(), refused]);
    assert!(desk.is_let_in_with(&other.next_code()));
    assert!(!desk.is_let_in_with(&mine.next_code()) && !desk.is_let_in_with(&late.next_code()));
}

/// A conversation that goes through set-up; what is still to be said comes from `answer`.
fn talk_through(talk: &Talk, site: &Site, user: &str) -> (Transcript, Phone) {
    let mut conversation = talk.start();
    let mut phone = None;
    while let Some(event) = conversation.listen() {
        if event == Event::PromptOff(NEW_CODE.into()) {
            let texts: Vec<_> = conversation.events().iter().map(ToString::to_string).collect();
            let text = texts.concat().replace("\\n", "\n").replace('"', "\n");
            let new = Phone::with_key(site, user, &key(&text));
            conversation.answer(new.next_code());
            phone = Some(new);
        } else if event.is_prompt() {
            conversation.answer("yes");
        }
    }
    (conversation.finish(), phone.unwrap())
}

/// A service with all groups that set-up needs.
fn service(site: &Site) -> Service {
    Service::private(&site.set_up_stack())
}

#[test]
fn an_enrollment_is_pending_between_authentication_and_enrollment_only() {
    let (user, site) = (TestUser::new("al"), site());
    let service = service(&site);
    let talk = Talk::new(&service, &user.name).option("--getenv", "PAM_OTP_ENROLLMENT");
    let (said, phone) = talk_through(&talk.clone().calls("login"), &site, &user.name);
    assert_eq!(said.result("login"), "PAM_SUCCESS", "{said}");
    let results: Vec<_> = said.results().map(|(call, result)| format!("{call} {result}")).collect();
    assert_eq!(results[1], "acct_mgmt PAM_NEW_AUTHTOK_REQD", "{said}");
    let marks: Vec<_> = said.events.iter().filter(|event| matches!(event, Event::Env(_))).collect();
    let set = Event::Env(format!("PAM_OTP_ENROLLMENT={}", user.name));
    let unset = Event::Env("PAM_OTP_ENROLLMENT".into());
    assert_eq!(marks, [&set, &set, &unset, &unset], "{said}");

    let said = talk.calls("login").run(&[phone.next_code()]);
    assert_eq!(said.result("login"), "PAM_SUCCESS", "{said}");
    assert!(said.prompts() == [CODE] && said.events.iter().all(|event| *event != set), "{said}");
}

/// The step that leads through enrollment, and no other, for a user whose enrollment is pending.
fn owed(service: &Service, user: &TestUser) -> Talk {
    Talk::new(service, &user.name)
        .option("--putenv", &format!("PAM_OTP_ENROLLMENT={}", user.name))
        .calls("chauthtok_expired")
}

#[test]
fn a_user_with_a_device_by_now_or_of_a_host_that_is_not_root_is_shown_no_key() {
    let (user, site) = (TestUser::new("al"), site());
    let service = service(&site);
    let said = owed(&service, &user).ids(user.uid, user.gid).run::<&str>(&[]);
    assert_eq!((said.result("chauthtok_expired"), said.texts()), ("PAM_AUTH_ERR", vec![UNAVAILABLE]), "{said}");
    Phone::enroll(&site, &user.name);
    let said = owed(&service, &user).run::<&str>(&[]);
    assert_eq!((said.result("chauthtok_expired"), said.texts()), ("PAM_AUTHTOK_ERR", vec![OVERTAKEN]), "{said}");
}

#[test]
fn a_name_that_changes_at_a_question_enrolls_no_user() {
    let (user, other, site) = (TestUser::new("al"), TestUser::new("bob"), site());
    let service = service(&site);
    let (said, _) = talk_through(&owed(&service, &user).option("--become", &other.name), &site, &user.name);
    assert_eq!((said.result("chauthtok_expired"), said.texts().pop()), ("PAM_AUTH_ERR", Some(UNAVAILABLE)), "{said}");
    assert_eq!(site.files(), BTreeSet::new());
}

#[test]
fn without_recovery_codes_there_is_nothing_to_write_down() {
    let (user, site) = (TestUser::new("al"), site());
    site.set("[policy]\nsecond_factor = \"enroll\"\n[recovery]\ncodes = 0\n");
    let service = service(&site);
    let (said, phone) = talk_through(&Talk::new(&service, &user.name).calls("login"), &site, &user.name);
    assert_eq!(
        (said.result("login"), said.prompts(), said.texts().len()),
        ("PAM_SUCCESS", vec![NEW_CODE], 1),
        "{said}"
    );
    assert_eq!(Talk::new(&service, &user.name).run(&[phone.next_code()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_silent_host_shows_the_key_that_it_asks_about() {
    let (user, site) = (TestUser::new("al"), site());
    let service = service(&site);
    let talk = Talk::new(&service, &user.name).calls("login").flag("--silent");
    assert_eq!(talk_through(&talk, &site, &user.name).0.result("login"), "PAM_SUCCESS");
}

#[test]
fn a_conversation_that_ends_at_any_question_stores_nothing() {
    let (user, site) = (TestUser::new("al"), site());
    let service = service(&site);
    for answers in [&[][..], &["000000"], &["000000", "nonsense"]] {
        let said = Talk::new(&service, &user.name).calls("login").run(answers);
        assert_eq!((said.result("login"), said.prompts().len()), ("PAM_CONV_ERR", answers.len() + 1), "{said}");
    }
    assert_eq!(site.files(), BTreeSet::new());
}

#[test]
fn a_forgotten_line_refuses_and_the_log_says_which() {
    let site = site();
    let whole = site.example_stack(STACK);
    let without = |group: &str| {
        let kept: Vec<_> =
            whole.lines().filter(|line| !(line.starts_with(group) && line.contains("pam_otp.so"))).collect();
        kept.join("\n")
    };
    for group in ["account", "password"] {
        let desk = Desk::with(&without(group), site.clone(), "");
        if group == "password" {
            // Then pam_unix is asked to change the password, and does.
            desk.sshd
                .service()
                .set(&without(group).replace("@include common-password", "password required pam_permit.so"));
        }
        let mark = syslog::mark();
        let login = desk.ssh().dialogue(&[(PASSWORD, &desk.user.password)]);
        assert!(!login.let_in() && login.status.code() == Some(255), "{group}: {login:#?}");
        let log = desk.log(mark);
        let missed = format!("setcred: error user={} rhost=127.0.0.1 {MISSED}", desk.user.name);
        assert_eq!(log[1..], [missed], "{group}");
        assert!(desk.nothing_is_stored());
    }
}

#[test]
fn a_server_that_checks_the_password_by_itself_lets_no_user_past_enrollment() {
    let site = site();
    let desk =
        Desk::with(&site.example_stack(STACK), site, "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n");
    let mark = syslog::mark();
    let login = desk.ssh().dialogue(&[("password: ", &desk.user.password)]);
    assert!(!login.let_in() && desk.nothing_is_stored(), "{login:#?}");
    let log = desk.log(mark);
    assert!(log.last().is_some_and(|line| line.ends_with(MISSED)), "{log:#?}");
}

#[test]
fn who_never_came_by_authenticate_is_left_alone() {
    let desk = Desk::new();
    // A key alone: sshd asks for the account and sets credentials, as it does for every user.
    let desk =
        Desk { sshd: Sshd::start("key", &desk.site.example_stack(STACK), "AuthenticationMethods publickey"), ..desk };
    let key = desk.sshd.key_for(&desk.user);
    let mark = syslog::mark();
    assert!(desk.ssh().key(&key).dialogue(&[]).let_in());
    // cron and atd: no account line of theirs asks anything.
    let service = service(&desk.site);
    let calls = "acct_mgmt,setcred,open_session,close_session,delete_cred";
    let said = Talk::new(&service, &desk.user.name).calls(calls).run::<&str>(&[]);
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!([results[0], results[1], results[4]], ["PAM_SUCCESS"; 3], "{said}");
    assert!(said.prompts().is_empty() && said.texts().is_empty(), "{said}");
    // A change of passwords is none of ours either: with the mark missing the line says nothing.
    assert_eq!(Talk::new(&service, &desk.user.name).calls("chauthtok").run::<&str>(&[]).prompts().len(), 0);
    assert!(desk.log(mark).is_empty() && desk.nothing_is_stored());
}

#[test]
fn a_host_that_is_not_root_is_refused_at_once() {
    // The helper knows the machine's own configuration only.
    let (user, held) = (TestUser::new("al"), Service::held("pam-otp-configuration"));
    let site = Site::of_the_machine();
    let before = fs::read_to_string(site.config()).unwrap();
    let rule = format!("[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"enroll\"\n", user.name);
    site.write(&(before.clone() + &rule));
    let service = Service::private("auth required pam_otp.so enroll\nauth required pam_permit.so\n");
    let mark = syslog::mark();
    let said = Talk::new(&service, &user.name).ids(user.uid, user.gid).run::<&str>(&[]);
    site.write(&before);
    drop(held);
    assert_eq!((said.result("authenticate"), said.texts()), ("PAM_AUTH_ERR", vec![UNAVAILABLE]), "{said}");
    let line = format!(
        "err error user={} error=\"a process that is not root cannot enroll a device during a login\" \
         hint=\"the user can run otp-enroll, or log in through a service that runs as root (such as sshd)\"",
        user.name
    );
    assert_eq!(syslog::of_module(mark, said.pid), [line]);
}

#[test]
fn a_user_who_is_required_by_override_is_not_led_to_enrollment() {
    let desk = Desk::new();
    desk.site.admin(&["require", &desk.user.name]);
    let mark = syslog::mark();
    let login = desk.ssh().dialogue(&[(PASSWORD, &desk.user.password), (CODE, "123456")]);
    assert!(!login.let_in() && login.prompts.len() == 2, "{login:#?}");
    assert_eq!(desk.log(mark), [format!("auth: refused user={} rhost=127.0.0.1 why=not-enrolled", desk.user.name)]);
    // One that is lifted leaves the policy, and a requirement kept beside is no device.
    desk.site.admin(&["unrequire", &desk.user.name]);
    let (mut terminal, _) = desk.at_the_recovery_codes(desk.ssh().start());
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
}

#[test]
fn a_password_that_has_expired_is_changed_at_the_login_after_enrollment() {
    let desk = Desk::new();
    machine::run(Command::new("chage").args(["--lastday", "0", &desk.user.name]));
    let (mut terminal, phone) = desk.at_the_recovery_codes(desk.ssh().start());
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    let mut terminal = desk.ssh().start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&desk.user.password);
    terminal.wait_for(CODE);
    terminal.send_line(&phone.next_code());
    terminal.wait_for("Current password: ");
    terminal.hang_up();
}

#[test]
fn a_client_in_a_c_locale_gets_the_key_and_no_screenful_of_octal() {
    let desk = Desk::new();
    for locale in ["C", "POSIX"] {
        let (mut terminal, mut phone) = desk.at_the_key(desk.ssh().locale(locale).start());
        assert!(!terminal.transcript().contains("\\3"), "{}", terminal.transcript());
        terminal.send_line(&phone.next_code());
        phone.recovery = recovery_codes(&terminal.wait_for(WRITTEN_DOWN));
        terminal.send_line("yes");
        terminal.wait_for("LOGGED-IN");
        assert!(terminal.wait().success() && !terminal.transcript().contains("\\3"), "{}", terminal.transcript());
        desk.site.admin(&["reset", "--yes", &desk.user.name]);
    }
}

#[test]
fn a_client_that_asks_for_pictures_for_ever_is_not_served_for_ever() {
    let desk = Desk::new();
    let (mut terminal, _) = desk.at_the_key(desk.ssh().start());
    // Six pictures, then three wrong answers.
    for _ in 0..9 {
        terminal.send_line("q");
        if terminal.look_for(NEW_CODE, pam_otp_tests::pty::PATIENCE).is_none() {
            break;
        }
    }
    assert!(!terminal.wait().success());
    assert_eq!(terminal.transcript().matches("Scan this with the app:").count(), 6);
    assert!(desk.nothing_is_stored());
}

#[test]
fn su_and_login_lead_through_enrollment() {
    let (alice, site) = (TestUser::new("al"), site());
    for program in ["su", "login"] {
        let bob = TestUser::new("bob");
        bob.write(".bash_profile", "echo LET-IN\n", 0o644);
        let _service = Service::installed_as(program, &site.example_stack(STACK));
        let start = || match program {
            "su" => Pty::new("su").args(["-c", "echo LET-IN; env", &bob.name]).user(&alice).start(),
            _ => Pty::new("login").args(["-p", &bob.name]).start(),
        };
        let mut terminal = start();
        terminal.wait_for("Password: ");
        terminal.send_line(&bob.password);
        let phone = Phone::with_key(&site, &bob.name, &key(&terminal.wait_for(NEW_CODE)));
        terminal.send_line("q");
        terminal.wait_for(NEW_CODE);
        let seen = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark));
        assert!(seen.is_some_and(|uri| uri.contains(&phone.app.secret)), "{program}: {}", terminal.screen());
        terminal.send_line(&phone.next_code());
        assert_eq!(recovery_codes(&terminal.wait_for(WRITTEN_DOWN)).len(), 10);
        terminal.send_line("yes");
        terminal.wait_for("LET-IN");
        terminal.send_line("exit");
        terminal.wait();
        assert!(!terminal.transcript().contains("PAM_OTP"), "{}", terminal.transcript());

        let mut terminal = start();
        terminal.wait_for("Password: ");
        terminal.send_line(&bob.password);
        terminal.wait_for(CODE);
        terminal.send_line(&phone.next_code());
        terminal.wait_for("LET-IN");
    }
}

#[test]
fn sudo_leads_its_caller_through_enrollment() {
    let (alice, site) = (TestUser::new("al"), site());
    let rule = format!("/etc/sudoers.d/{}", alice.name);
    fs::write(&rule, format!("{} ALL=(ALL) /bin/echo\n", alice.name)).unwrap();
    let _sudo = Service::installed_as("sudo", &site.example_stack(STACK));
    let sudo = || {
        let mut terminal = Pty::new("sudo").args(["-k", "/bin/echo", "LET-IN"]).user(&alice).start();
        terminal.wait_for("password for");
        terminal.send_line(&alice.password);
        terminal
    };
    let mut terminal = sudo();
    let phone = Phone::with_key(&site, &alice.name, &key(&terminal.wait_for(NEW_CODE)));
    terminal.send_line(&phone.next_code());
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LET-IN");
    let mut terminal = sudo();
    terminal.wait_for(CODE);
    terminal.send_line(&phone.next_code());
    terminal.wait_for("LET-IN");
    fs::remove_file(rule).unwrap();
}

#[test]
fn a_name_that_was_tried_before_does_not_lead_the_next_one_to_enrollment() {
    let (first, second, site) = (TestUser::new("al"), TestUser::new("bob"), site());
    let rule = format!("[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"skip\"\n", second.name);
    site.set(&format!("[policy]\nsecond_factor = \"enroll\"\n{rule}"));
    // pam_unix is no more than required, so the wrong password comes as far as our line.
    let stack = site.example_stack(STACK).replace("@include common-auth", "auth required pam_unix.so");
    let _login = Service::installed_as("login", &stack);
    second.write(".bash_profile", "echo LET-IN\n", 0o644);
    let mut terminal = Pty::new("login").args(["-p", &first.name]).start();
    terminal.wait_for("Password: ");
    terminal.send_line("another");
    terminal.wait_for("login: ");
    terminal.send_line(&second.name);
    terminal.wait_for("Password: ");
    terminal.send_line(&second.password);
    terminal.wait_for("LET-IN");
    assert!(!terminal.transcript().contains('█'), "{}", terminal.transcript());
}

#[test]
fn a_user_who_enrolled_between_two_tries_is_asked_for_a_code_only() {
    let (user, site) = (TestUser::new("al"), site());
    let stack = site.example_stack(STACK).replace("@include common-auth", "auth required pam_unix.so");
    let service = Service::private(&stack);
    let calls = "authenticate,authenticate,acct_mgmt,setcred";
    let mut conversation = Talk::new(&service, &user.name).calls(calls).start();
    assert_eq!(conversation.prompt(), PASSWORD);
    conversation.answer("another");
    assert_eq!(conversation.prompt(), PASSWORD);
    let phone = Phone::enroll(&site, &user.name);
    conversation.answer(&user.password);
    assert_eq!(conversation.prompt(), CODE);
    conversation.answer(phone.next_code());
    let said = conversation.finish();
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results, ["PAM_AUTH_ERR", "PAM_SUCCESS", "PAM_SUCCESS", "PAM_SUCCESS"], "{said}");
}

#[test]
fn records_that_cannot_be_written_refuse_and_say_so() {
    let desk = Desk::new();
    let (mut terminal, _) = desk.at_the_recovery_codes(desk.ssh().option("LogLevel=INFO").start());
    let mark = syslog::mark();
    // Writable for all: no records are trusted there any more.
    machine::run(Command::new("chmod").arg("1777").arg(desk.site.state()));
    terminal.send_line("yes");
    terminal.wait_for(UNAVAILABLE);
    assert_eq!(terminal.wait().code(), Some(255));
    machine::run(Command::new("chmod").arg("1730").arg(desk.site.state()));
    assert!(desk.nothing_is_stored());
    let log = desk.log(mark);
    assert!(log.len() == 1 && log[0].starts_with(&format!("chauthtok: error user={} ", desk.user.name)), "{log:#?}");
}

#[test]
fn what_the_users_own_environment_says_is_no_mark() {
    let desk = Desk::new();
    let service = service(&desk.site);
    let mut command = Talk::new(&service, &desk.user.name).calls("acct_mgmt,setcred").command();
    command.env("PAM_OTP_ENROLLMENT", &desk.user.name).process_group(0);
    let said = Talk::new(&service, &desk.user.name).start_as(command).finish();
    assert!(said.results().all(|(_, result)| result == "PAM_SUCCESS"), "{said}");
}
