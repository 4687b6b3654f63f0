//! Screen lockers, as people lock a terminal with them: `screen`, which runs as its user and asks the helper, and `vlock`,
//! which is set-user-ID root.
#![expect(clippy::panic, clippy::expect_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    desk::{BOTH, CODE},
    machine,
    phone::Phone,
    post::{NUMBER, Post, SENT},
    pty::{Pty, Terminal},
    service::Service,
    site::Site,
    syslog::{self, Mark},
    users::TestUser,
};
use std::{fs, process::Command, time::Duration};

/// What `sign` names as its own in the log, since `mark`.
fn logged(mark: Mark, service: &str, user: &TestUser) -> Vec<String> {
    let name = format!(" user={} ", user.name);
    syslog::of_logins(mark, service).into_iter().filter(|line| line.contains(&name)).collect()
}

/// Waits for what the module says next of this user, and gives it.
fn next_line(mark: &mut Mark, service: &str, user: &TestUser) -> String {
    let before = *mark;
    let line = machine::wait(Duration::from_secs(20), || logged(before, service, user).into_iter().next());
    *mark = syslog::mark();
    line.unwrap_or_else(|| panic!("{:#?}", syslog::lines_since(before)))
}

/// A window of screen(1), with a shell in it.
fn screen(user: &TestUser) -> Terminal {
    let sockets = user.home.join("sockets");
    machine::run(user.command("mkdir").args(["-m", "0700"]).arg(&sockets));
    let mut terminal = Pty::new("screen").args(["-S", "locked"]).user(user).env("SCREENDIR", &sockets).start();
    terminal.wait_for("$ ");
    is_open(&mut terminal);
    terminal
}

/// There is a shell behind the keyboard. What is typed at a locker is not run, and not shown either.
fn is_open(terminal: &mut Terminal) {
    let sign = machine::unique("sign");
    terminal.send_line(&format!("echo OPE''N-{sign}"));
    terminal.wait_for(&format!("OPEN-{sign}"));
}

/// The window is painted again; what is typed before that is thrown away.
fn is_unlocked(terminal: &mut Terminal) {
    terminal.wait_for("$ ");
    is_open(terminal);
}

fn lock(terminal: &mut Terminal) {
    terminal.send("\u{1}x");
    terminal.wait_for("Password:");
}

#[test]
fn a_locker_of_the_user_unlocks_with_password_and_code_and_with_each_code_once() {
    let user = TestUser::new("alice");
    let _service = Service::installed_as("screen", &Site::of_the_machine().example("screen-locker"));
    let phone = Phone::enroll_self(&user);
    let both = |code: &str| format!("{}{code}", user.password);
    let mut terminal = screen(&user);
    let mut mark = syslog::mark();

    lock(&mut terminal);
    let (wrong, code, recovery) = (phone.wrong(), phone.next_code(), phone.recovery_code());
    for (answer, line) in [
        (both(&wrong), "why=wrong failures=1"),
        (user.password.clone(), "why=malformed"),
        (wrong.clone(), "why=wrong failures=2"),
        (String::new(), "why=malformed"),
    ] {
        terminal.send_line(&answer);
        assert!(next_line(&mut mark, "screen", &user).ends_with(line), "{line}");
        terminal.wait_for("Password:");
    }
    terminal.send_line(&both(&code));
    assert!(next_line(&mut mark, "screen", &user).contains("accepted"));
    is_unlocked(&mut terminal);

    lock(&mut terminal);
    terminal.send_line(&both(&code));
    assert!(next_line(&mut mark, "screen", &user).ends_with("why=replayed"));
    terminal.wait_for("Password:");
    terminal.send_line(&format!("not it{}", phone.recovery_code()));
    assert!(
        next_line(&mut mark, "screen", &user).contains("accepted"),
        "the code; the password is pam_unix's to judge"
    );
    terminal.wait_for("Password:");
    terminal.send_line(&both(&recovery));
    assert!(next_line(&mut mark, "screen", &user).contains("factor=recovery"));
    is_unlocked(&mut terminal);

    let text = terminal.transcript();
    assert!([&code, &wrong, &recovery, &user.password].iter().all(|secret| !text.contains(*secret)), "{text}");
    assert_eq!(
        machine::run(Command::new("stat").args(["-c", "%a %U", "/usr/bin/screen"])),
        "755 root\n",
        "no privilege"
    );
}

#[test]
fn where_the_helper_does_not_answer_a_locker_stays_locked() {
    let user = TestUser::new("alice");
    // A configuration that the helper does not read.
    let service = Service::installed_as("screen", &Site::new("").example("screen-locker"));
    let phone = Phone::enroll_self(&user);
    let mut terminal = screen(&user);
    let mut mark = syslog::mark();
    lock(&mut terminal);
    let answer = format!("{}{}", user.password, phone.next_code());
    terminal.send_line(&answer);
    let line = next_line(&mut mark, "screen", &user);
    assert!(line.contains("this process is not root, and the helper reads its own"), "{line}");
    terminal.wait_for("Password:");
    service.set(&Site::of_the_machine().example("screen-locker"));
    terminal.send_line(&answer);
    assert!(next_line(&mut mark, "screen", &user).contains("accepted"));
    is_unlocked(&mut terminal);
}

#[test]
fn who_has_no_device_unlocks_with_the_password() {
    let user = TestUser::new("bob");
    let _service = Service::installed_as("screen", &Site::of_the_machine().example("screen-locker"));
    let mut terminal = screen(&user);
    let mut mark = syslog::mark();
    lock(&mut terminal);
    terminal.send_line("another");
    assert!(next_line(&mut mark, "screen", &user).contains("not-asked"));
    terminal.wait_for("Password:");
    terminal.send_line(&user.password);
    is_unlocked(&mut terminal);
}

/// vlock on a terminal of its own.
fn vlock(user: &TestUser) -> Terminal {
    let mut terminal = Pty::new("vlock").user(user).start();
    terminal.wait_for("Please press [ENTER] to unlock.");
    terminal
}

/// vlock throws away what was typed before it waits, which it does after its question.
fn type_at(terminal: &mut Terminal, text: &str) {
    let status = format!("/proc/{}/status", terminal.pid());
    let waits = || fs::read_to_string(&status).ok()?.contains("State:\tS").then_some(());
    machine::wait(Duration::from_secs(20), waits).expect("vlock waits");
    terminal.send_line(text);
}

#[test]
fn a_locker_with_roots_rights_unlocks_with_a_code_once() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let phone = Phone::enroll(&site, &user.name);
    let service = Service::installed_as("vlock", &site.example("screen-locker"));
    let mut terminal = vlock(&user);
    let mut mark = syslog::mark();
    let code = phone.next_code();
    let answer = |terminal: &mut Terminal, text: &str| {
        type_at(terminal, "");
        terminal.wait_for(BOTH);
        type_at(terminal, text);
    };
    // After each refusal vlock asks for root's password, which the test does not know.
    let root = |terminal: &mut Terminal| {
        terminal.wait_for("root's Password: ");
        type_at(terminal, "not root's");
        terminal.wait_for("Please press [ENTER] to unlock.");
    };
    for (text, line) in [
        (format!("{}{}", user.password, phone.wrong()), "why=wrong failures=1"),
        (user.password.clone(), "why=malformed"),
        (format!("wrong{code}"), "factor=totp device=1 recovery_left=10 failures=1"),
        (format!("{}{code}", user.password), "why=replayed"),
    ] {
        answer(&mut terminal, &text);
        let found = next_line(&mut mark, service.name(), &user);
        assert!(found.ends_with(line), "{line}: {found}");
        root(&mut terminal);
        assert_eq!(terminal.ended(), None, "{line}");
    }
    answer(&mut terminal, &format!("{}{}", user.password, phone.next_code()));
    assert!(terminal.wait().success(), "{}", terminal.transcript());
    assert!(next_line(&mut mark, service.name(), &user).contains("accepted"));

    // Asked one by one, which vlock can.
    service.set(&site.example("password-and-code"));
    let mut terminal = vlock(&user);
    type_at(&mut terminal, "");
    terminal.wait_for("Password: ");
    type_at(&mut terminal, &user.password);
    terminal.wait_for("Verification code: ");
    type_at(&mut terminal, &phone.next_code());
    assert!(terminal.wait().success(), "{}", terminal.transcript());
}

#[test]
fn a_locker_of_the_user_that_asks_again_unlocks_with_a_code_that_is_sent() {
    let post = Post::start("");
    let user = TestUser::new("alice");
    let phone = Phone::enroll_self(&user);
    post.add_number(&user, &phone, NUMBER);
    phone.make_default(user.command("otp-enroll"), "mobile");
    let service = Service::installed_as("vlock", &Site::of_the_machine().example("password-and-sent-code"));
    // Without root's rights, as most lockers are.
    let program = user.home.join("vlock");
    machine::run(Command::new("install").args(["-m", "0755", "/usr/sbin/vlock-main"]).arg(&program));
    let lock = || {
        let mut terminal = Pty::new(&program).user(&user).env("VLOCK_MESSAGE", "Locked.").start();
        terminal.wait_for("Locked.");
        type_at(&mut terminal, "");
        terminal.wait_for("Password: ");
        terminal
    };
    let mut terminal = lock();
    let before = post.texts(NUMBER).len();
    type_at(&mut terminal, "another");
    terminal.wait_for("root's Password: ");
    assert_eq!(post.texts(NUMBER).len(), before, "nothing is sent for a wrong password");
    drop(terminal);

    let (mut terminal, mark) = (lock(), syslog::mark());
    type_at(&mut terminal, &user.password);
    let seen = terminal.wait_for(CODE);
    assert!(seen.contains(SENT), "{seen}");
    type_at(&mut terminal, &post.digits(NUMBER));
    let status = terminal.wait();
    let log = syslog::lines_since(mark);
    assert!(status.success(), "{status:?} {} {log:#?}", terminal.transcript());
    let log = logged(mark, service.name(), &user);
    assert!(log.len() == 1 && log[0].contains("accepted") && log[0].contains("factor=sms device=2"), "{log:#?}");
}
