//! The bench tested on modules whose behaviour is known.

use pam_otp_tests::{
    conversation::{Event, Talk},
    machine,
    pty::Pty,
    service::Service,
    sshd::Sshd,
    syslog,
    users::TestUser,
};
use std::{fs, os::unix::fs::MetadataExt, process::Command, time::Duration};

const UNIX: &str = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so";

#[test]
fn permit_lets_in_and_deny_refuses() {
    let permit = Service::private("auth required pam_permit.so\naccount required pam_permit.so");
    let deny = Service::private("auth required pam_deny.so\naccount required pam_permit.so");
    let both = "authenticate,acct_mgmt";
    let said = Talk::new(&permit, "root").calls(both).run::<&str>(&[]);
    assert_eq!(said.results().collect::<Vec<_>>(), [("authenticate", "PAM_SUCCESS"), ("acct_mgmt", "PAM_SUCCESS")]);
    assert!(said.status.success());
    let said = Talk::new(&deny, "root").calls(both).run::<&str>(&[]);
    assert_eq!(said.results().collect::<Vec<_>>(), [("authenticate", "PAM_AUTH_ERR"), ("acct_mgmt", "PAM_SUCCESS")]);
    let said = Talk::new(&deny, "root").calls(both).flag("--stop").run::<&str>(&[]);
    assert_eq!(said.results().collect::<Vec<_>>(), [("authenticate", "PAM_AUTH_ERR")]);
    assert_eq!(said.status.code(), Some(1));
}

#[test]
fn a_service_without_a_file_is_denied_by_other() {
    let service = Service::private("auth required pam_permit.so");
    fs::remove_file(service.path()).unwrap();
    assert_eq!(Talk::new(&service, "root").run::<&str>(&[]).result("authenticate"), "PAM_AUTH_ERR");
}

#[test]
fn texts_arrive_with_their_control_characters_escaped() {
    let service = Service::private("auth required pam_permit.so");
    let words = service.confdir().unwrap().join("words");
    fs::write(&words, "one \"two\"\tthree\u{1b}[31m █▀\nfour").unwrap();
    service.set(&format!("auth required pam_echo.so file={}\nauth required pam_permit.so", words.display()));
    let said = Talk::new(&service, "root").run::<&str>(&[]);
    assert_eq!(said.events.first(), Some(&Event::Info("one \"two\"\tthree\u{1b}[31m █▀\nfour".to_owned())), "{said}");
}

#[test]
fn a_password_is_asked_for_and_checked() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let login = Talk::new(&service, &alice.name).calls("login").rhost("192.0.2.7");
    for (answers, result, line) in [
        (vec!["not this"], "PAM_AUTH_ERR", Some("authentication failure")),
        (vec![alice.password.as_str()], "PAM_SUCCESS", None),
        (vec![], "PAM_AUTHTOK_ERR", Some("could not identify password")),
    ] {
        let mark = syslog::mark();
        let said = login.run(&answers);
        assert_eq!((said.result("login"), said.prompts()), (result, vec!["Password: "]), "{said}");
        let ours = format!("pamtalk[{}]", said.pid);
        let log: Vec<_> = syslog::lines_since(mark).into_iter().filter(|logged| logged.contains(&ours)).collect();
        assert!(log.iter().all(|logged| !logged.contains(&alice.password)), "{log:#?}");
        match line {
            Some(line) => assert!(log.concat().contains(line), "{log:#?}"),
            None => assert_eq!(log.len(), 0, "{log:#?}"),
        }
    }
    let calls = login.clone().calls("authenticate,acct_mgmt,setcred").run(&["x"]);
    let results: Vec<_> = calls.results().map(|(_, result)| result).collect();
    assert_eq!(results, ["PAM_AUTH_ERR", "PAM_SUCCESS", "PAM_PERM_DENIED"]);
    assert_eq!(login.user("nobody-of-that-name").run(&["x"]).result("login"), "PAM_USER_UNKNOWN");
}

#[test]
fn a_conversation_can_be_held_at_its_prompt() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let gate = service.path().with_file_name(machine::unique("gate"));
    let talk = Talk::new(&service, &alice.name).option("--wait-file", &gate.display().to_string());
    let mut held: Vec<_> = (0..4).map(|_| talk.start()).collect();
    for conversation in &mut held {
        assert_eq!(conversation.prompt(), "Password: ");
        conversation.answer(&alice.password);
    }
    assert!(held.iter_mut().all(|conversation| conversation.stays_silent(Duration::from_millis(100))));
    fs::write(&gate, "").unwrap();
    for conversation in held {
        assert_eq!(conversation.finish().result("authenticate"), "PAM_SUCCESS");
    }
    fs::remove_file(gate).unwrap();
}

#[test]
fn many_transactions_fit_into_one_process() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let said = Talk::new(&service, &alice.name).option("--repeat", "5").run_ahead(&[alice.password.as_str(), "wrong"]);
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results, ["PAM_SUCCESS", "PAM_AUTH_ERR", "PAM_SUCCESS", "PAM_AUTH_ERR", "PAM_SUCCESS"]);
}

#[test]
fn the_delay_after_a_failure_is_told_not_slept() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let said = Talk::new(&service, &alice.name).run(&["wrong"]);
    // libpam varies what the module asked for (2 s) by up to a half.
    let told = said.events.iter().any(|event| matches!(event, Event::Delay(1_000_000..=3_000_000)));
    assert!(told, "{said}");
}

#[test]
fn an_answer_may_be_any_bytes() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let said = Talk::new(&service, &alice.name).run(&[b"\xff\xfe\x1b not utf-8"]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR");
}

#[test]
fn a_conversation_runs_under_other_ids() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let service = Service::installed("unix", UNIX);
    let talk = |user: &TestUser| Talk::new(&service, &user.name).ids(alice.uid, alice.gid);
    assert_eq!(talk(&alice).run(&[&alice.password]).result("authenticate"), "PAM_SUCCESS"); // by unix_chkpwd
    assert_ne!(talk(&bob).run(&[&bob.password]).result("authenticate"), "PAM_SUCCESS");
    let mut id = alice.command("id");
    assert_eq!(machine::run(id.arg("-G")).trim(), alice.gid.to_string());
}

#[test]
fn the_pam_environment_can_be_set_and_seen() {
    let service = Service::private("auth required pam_permit.so");
    let said = Talk::new(&service, "root")
        .option("--putenv", "COLOUR=a \"b\"")
        .option("--getenv", "COLOUR")
        .option("--getenv", "SHAPE")
        .run::<&str>(&[]);
    let env = |text: &str| Event::Env(text.to_owned());
    assert!(said.events.contains(&env("COLOUR=a \"b\"")) && said.events.contains(&env("SHAPE")), "{said}");
}

#[test]
fn a_line_of_pam_unix_arrives_in_the_log() {
    let (alice, service) = (TestUser::new("alice"), Service::installed("unix", UNIX));
    let mark = syslog::mark();
    let said = Talk::new(&service, &alice.name).run(&["wrong"]);
    let line = syslog::wait_for(mark, &format!("user={}", alice.name), Duration::from_secs(5)).unwrap();
    assert!(line.starts_with("authpriv.notice "), "{line}");
    assert!(line.contains(&format!(
        "pamtalk[{}]: pam_unix({}:auth): authentication failure",
        said.pid,
        service.name()
    )));
    let later = syslog::mark();
    assert!(!syslog::lines_since(later).iter().any(|line| line.contains(&alice.name)));
    let complaint = syslog::wait_for(later, &alice.name, Duration::from_millis(20)).unwrap_err();
    assert!(complaint.starts_with("no line with"), "{complaint}");
}

#[test]
fn a_message_cannot_pass_for_two_lines() {
    assert_eq!(syslog::line(b"<85>tag: a\nb\x1b\n\0"), "authpriv.notice tag: a#012b#033\n");
    assert_eq!(syslog::line(b"no priority"), "user.notice no priority\n");
}

#[test]
fn sshd_lets_the_right_password_in_and_refuses_another() {
    let alice = TestUser::new("alice");
    let sshd = Sshd::start("unix", UNIX, "");
    let mark = syslog::mark();
    let ssh = sshd.ssh(&alice.name);

    let login = ssh.dialogue(&[("Password: ", &alice.password)]);
    assert!(login.let_in(), "{login:#?}");
    assert_eq!(login.prompts, [format!("({}@127.0.0.1) Password: ", alice.name)]);
    let accepted = format!("Accepted keyboard-interactive/pam for {}", alice.name);
    let line = syslog::wait_for(mark, &accepted, Duration::from_secs(5)).unwrap();
    assert!(line.contains(&format!("{}[", sshd.service().name())), "{line}");

    let login = ssh.dialogue(&[("Password: ", "another")]);
    assert!(!login.let_in() && login.status.code() == Some(255), "{login:#?}");
    assert!(login.transcript.contains("Permission denied"), "{login:#?}");

    let login = ssh.askpass(&[&alice.password]);
    assert!(login.let_in(), "{login:#?}");
    assert_eq!(login.prompts, [format!("({}@127.0.0.1) Password: ", alice.name)]);
    let login = ssh.askpass(&["another"]);
    assert!(!login.let_in(), "{login:#?}");
}

#[test]
fn sshd_takes_a_key_and_then_asks_pam() {
    let alice = TestUser::new("alice");
    let sshd = Sshd::start("key", UNIX, "AuthenticationMethods publickey,keyboard-interactive:pam");
    let key = sshd.key_for(&alice);
    let login = sshd.ssh(&alice.name).key(&key).dialogue(&[("Password: ", &alice.password)]);
    assert!(login.let_in(), "{login:#?}");
    let login = sshd.ssh(&alice.name).key(&key).dialogue(&[("Password: ", "another")]);
    assert!(!login.let_in(), "{login:#?}");
    let login = sshd.ssh(&alice.name).dialogue(&[("Password: ", &alice.password)]);
    assert!(!login.let_in() && login.prompts.is_empty(), "without the key there is no prompt: {login:#?}");
}

#[test]
fn a_shell_over_ssh_has_a_terminal() {
    let alice = TestUser::new("alice");
    let sshd = Sshd::start("shell", UNIX, "");
    let mut terminal = sshd.ssh(&alice.name).shell().start();
    terminal.wait_for("Password: ");
    terminal.send_line(&alice.password);
    terminal.wait_for("$ ");
    terminal.send_line("stty size; tty; exit 3");
    terminal.wait_for("24 80");
    terminal.wait_for("/dev/pts/");
    assert_eq!(terminal.wait().code(), Some(3));
}

#[test]
fn su_asks_for_the_password_of_the_other() {
    let _as_it_is = Service::held("su");
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let su = |password: &str| {
        let mut terminal = Pty::new("su").args(["-c", "id -un; tty", &bob.name]).user(&alice).start();
        terminal.wait_for("Password: ");
        terminal.send_line(password);
        (terminal.wait(), terminal.transcript())
    };
    let (status, text) = su(&bob.password);
    assert!(status.success() && text.contains(&bob.name) && text.contains("/dev/pts/"), "{status} {text}");
    assert!(!text.contains(&bob.password), "the password is not shown: {text}");
    let (status, text) = su("another");
    assert!(status.code() == Some(1) && text.contains("Authentication failure"), "{status} {text}");
}

#[test]
fn login_and_sudo_run_on_a_terminal() {
    // As they are on the machine: other tests replace them, one at a time.
    let (_login, _sudo) = (Service::held("login"), Service::held("sudo"));
    let alice = TestUser::new("alice");
    let mut login = Pty::new("login").args(["-p", &alice.name]).start();
    login.wait_for("Password: ");
    login.send_line(&alice.password);
    login.wait_for("$ ");
    login.send_line("sudo -k; sudo -l; exit");
    login.wait_for("password for");
    login.send_line(&alice.password);
    login.wait_for("may not run sudo");
    assert!(login.wait().code().is_some());
}

#[test]
fn a_service_of_the_machine_is_replaced_and_comes_back() {
    // Other tests replace it too, and put it back.
    let as_it_is = || {
        let _mine = Service::held("su");
        fs::read("/etc/pam.d/su").unwrap()
    };
    let before = as_it_is();
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let service = Service::installed_as(
        "su",
        "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so",
    );
    let mut terminal = Pty::new("su").args(["-c", "id -un", &bob.name]).user(&alice).start();
    assert!(terminal.wait().success() && terminal.transcript().contains(&bob.name), "{}", terminal.transcript());
    drop(service);
    assert_eq!(as_it_is(), before);
}

#[test]
fn the_screen_is_what_a_person_sees() {
    let script = r"stty size; printf 'one\ntwo\033[1;1H\033[31mONE\033[0m\n'; printf '\033[?1049h\033[2Jsecret'; read x
                   printf '\033[?1049l'; echo done";
    let mut terminal = Pty::new("sh").args(["-c", script]).size(60, 10).start();
    terminal.wait_for("10 60");
    terminal.wait_for_screen("secret");
    assert!(terminal.with_screen(vt100::Screen::alternate_screen));
    terminal.resize(40, 8);
    terminal.send_line("");
    terminal.wait_for("done");
    assert!(terminal.wait().success());
    let screen = terminal.screen();
    assert!(screen.starts_with("ONE") && !screen.contains("secret"), "{screen}");
    assert!(terminal.transcript().contains("secret"));
}

#[test]
fn a_program_on_a_terminal_can_be_interrupted_and_hung_up() {
    let sleeping = || {
        let mut terminal = Pty::new("sh").args(["-c", "echo ready; exec sleep 100"]).start();
        terminal.wait_for("ready"); // before it is the program that was asked for, it may ignore the signal
        terminal
    };
    let mut terminal = sleeping();
    terminal.send("\u{3}");
    assert!(!terminal.wait().success());
    let mut terminal = sleeping();
    terminal.hang_up();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&terminal.wait()), Some(1));
}

#[test]
fn a_program_on_a_terminal_ignores_no_signal_that_the_tests_ignore() {
    let mut terminal = Pty::new("cat").args(["/proc/self/status"]).start();
    assert!(terminal.wait().success());
    let status = terminal.transcript();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    // Signals 1 to 31; the next two are the C library's own.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff, 0, "{status}");
}

#[test]
fn the_machine_has_devices_and_a_log_of_its_own() {
    machine::require("this test");
    assert!(syslog::mark() != syslog::mark() && syslog::is_collected());
    assert_eq!(fs::metadata("/dev/ptmx").unwrap().rdev(), 0x0502); // character device 5, 2
    assert_eq!(fs::read_to_string("/proc/1/comm").unwrap().trim(), "bash");
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let state = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/var/lib/pam_otp")).unwrap();
    assert!(!state.contains(" tmpfs "), "{state}");
    assert!(machine::run(Command::new("df").arg("/dev")).contains("tmpfs"));
}
