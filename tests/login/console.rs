//! The second factor on a terminal: su, sudo and login.
#![expect(clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{desk::CODE, phone::Phone, pty::Pty, service::Service, site::Site, syslog, users::TestUser};
use std::fs;

/// Password, code, and nothing else.
fn stack(site: &Site) -> String {
    format!(
        "auth requisite pam_unix.so\n{}account required pam_unix.so\nsession required pam_permit.so",
        site.auth("required", "")
    )
}

/// A program that asks for password and code: whether it let in, and what was on the terminal.
fn ask(program: Pty, password: &str, code: &str) -> (bool, String) {
    let mut terminal = program.start();
    terminal.wait_for("assword");
    terminal.wait_for(": ");
    terminal.send_line(password);
    terminal.wait_for(CODE);
    terminal.send_line(code);
    let let_in = terminal.look_for("LET-IN", pam_otp_tests::pty::PATIENCE).is_some();
    // What it starts ends by itself: sudo may wait for ever if something is typed while it ends.
    terminal.wait();
    let text = terminal.transcript();
    assert!(!text.contains(code) && !text.contains(password), "what is typed is not shown: {text}");
    (let_in, text)
}

/// The only line that the module wrote for this user and service.
fn logged(mark: syslog::Mark, service: &str, user: &str) -> String {
    let lines = syslog::of_logins(mark, service);
    let of_user: Vec<_> = lines.iter().filter(|line| line.contains(&format!("user={user} "))).collect();
    let [line] = of_user.as_slice() else { panic!("one line, not {lines:#?}") };
    (*line).clone()
}

#[test]
fn su_asks_for_the_code_of_the_other() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let phone = Phone::enroll(&site, &bob.name);
    let _su = Service::installed_as("su", &stack(&site));
    let su = || Pty::new("su").args(["-c", "echo LET-IN", &bob.name]).user(&alice);
    let code = phone.next_code();

    let mark = syslog::mark();
    let (let_in, text) = ask(su(), &bob.password, &code);
    assert!(let_in, "{text}");
    let line = logged(mark, "su", &bob.name);
    assert!(line.starts_with("accepted ") && line.contains(" factor=totp "), "{line}");

    let mark = syslog::mark();
    let (let_in, text) = ask(su(), &bob.password, &code);
    assert!(!let_in && text.contains("Verification failed.") && text.contains("Authentication failure"), "{text}");
    assert!(logged(mark, "su", &bob.name).ends_with(" why=replayed"));

    let mark = syslog::mark();
    assert!(!ask(su(), &bob.password, &phone.wrong()).0);
    assert!(logged(mark, "su", &bob.name).ends_with(" why=wrong failures=1"));
    assert!(ask(su(), &bob.password, &phone.recovery_code()).0);
}

#[test]
fn sudo_asks_for_the_callers_code() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let phone = Phone::enroll(&site, &alice.name);
    let rule = format!("/etc/sudoers.d/{}", alice.name);
    fs::write(&rule, format!("{} ALL=(ALL) /bin/echo\n", alice.name)).unwrap();
    let _sudo = Service::installed_as("sudo", &stack(&site));
    // sudo counts a refused code as a wrong password and asks again; Ctrl-C ends that.
    let sudo = || Pty::new("sudo").args(["-k", "/bin/echo", "LET-IN"]).user(&alice);

    let (let_in, text) = ask(sudo(), &alice.password, &phone.next_code());
    assert!(let_in, "{text}");

    let mark = syslog::mark();
    let mut terminal = sudo().start();
    terminal.wait_for("password for");
    terminal.send_line(&alice.password);
    terminal.wait_for(CODE);
    terminal.send_line(&phone.wrong());
    terminal.wait_for("Sorry, try again."); // in its own words: sudo asks modules to be silent
    terminal.wait_for("password for");
    terminal.send("\u{3}");
    assert!(!terminal.wait().success() && !terminal.transcript().contains("LET-IN"), "{}", terminal.transcript());
    assert!(logged(mark, "sudo", &alice.name).ends_with(" why=wrong failures=1"));
    fs::remove_file(rule).unwrap();
}

#[test]
fn by_the_example_for_becoming_root_a_login_shell_asks_too() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let phone = Phone::enroll(&site, &alice.name);
    site.set_example("sudo-only");
    let rule = format!("/etc/sudoers.d/{}", alice.name);
    fs::write(&rule, format!("{} ALL=(ALL) ALL\n", alice.name)).unwrap();
    let _services = ["su", "su-l", "sudo", "sudo-i"].map(|name| Service::installed_as(name, &stack(&site)));
    let other = TestUser::new("bob");
    for program in [
        Pty::new("sudo").args(["-k", "echo", "LET-IN"]).user(&alice),
        Pty::new("sudo").args(["-k", "-i", "echo", "LET-IN"]).user(&alice),
        Pty::new("su").args(["-c", "echo LET-IN", &alice.name]).user(&other),
        Pty::new("su").args(["-", "-c", "echo LET-IN", &alice.name]).user(&other),
    ] {
        let (let_in, text) = ask(program, &alice.password, &phone.recovery_code());
        assert!(let_in, "{text}");
    }
    fs::remove_file(rule).unwrap();
}

/// login starts again after a refusal, so the test hangs up.
fn refused_by_login(user: &TestUser, code: &str) {
    let mut terminal = Pty::new("login").args(["-p", &user.name]).start();
    terminal.wait_for("Password: ");
    terminal.send_line(&user.password);
    terminal.wait_for(CODE);
    terminal.send_line(code);
    terminal.wait_for("Verification failed.");
    terminal.wait_for("Login incorrect");
    terminal.hang_up();
    terminal.wait();
    assert!(!terminal.transcript().contains("LET-IN"), "{}", terminal.transcript());
}

#[test]
fn login_asks_on_its_terminal() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let phone = Phone::enroll(&site, &alice.name);
    let _login = Service::installed_as("login", &stack(&site));
    alice.write(".bash_profile", "echo LET-IN\nexit\n", 0o644);
    let login = Pty::new("login").args(["-p", &alice.name]);

    let mark = syslog::mark();
    let (let_in, text) = ask(login, &alice.password, &phone.next_code());
    assert!(let_in, "{text}");
    assert!(logged(mark, "login", &alice.name).starts_with("accepted "));

    let mark = syslog::mark();
    refused_by_login(&alice, &phone.wrong());
    assert!(logged(mark, "login", &alice.name).ends_with(" why=wrong failures=1"));
}

#[test]
fn a_rule_by_terminal_sees_the_terminal_that_the_host_names() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    // Which one it will be is not known beforehand, so all that it may be are named.
    let rule = |n: u32| format!("[[policy.rule]]\ntty = \"pts/{n}\"\nsecond_factor = \"required\"\n");
    site.set(&(0..256).map(rule).collect::<String>());
    let _login = Service::installed_as("login", &stack(&site));
    let mark = syslog::mark();
    refused_by_login(&alice, "123456");
    assert!(logged(mark, "login", &alice.name).ends_with(" why=not-enrolled"));
}

#[test]
fn what_was_to_be_told_to_one_user_is_not_told_to_the_next_who_tries() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let [of_alice, of_bob] = [&alice, &bob].map(|user| Phone::enroll(&site, &user.name));
    let module = site.auth("required", "forward_pass");
    let auth = format!("{module}auth required pam_unix.so use_first_pass");
    let _login = Service::installed_as(
        "login",
        &format!("{auth}\naccount required pam_unix.so\nsession required pam_permit.so"),
    );
    bob.write(".bash_profile", "echo LET-IN\nexit\n", 0o644);
    let both = "Password and verification code: ";

    // login asks for another name in the same PAM transaction.
    let mut terminal = Pty::new("login").args(["-p", &alice.name]).start();
    for answer in [format!("{}{}", alice.password, of_alice.wrong()), format!("wrong{}", of_alice.next_code())] {
        terminal.wait_for(both);
        terminal.send_line(&answer);
        terminal.wait_for("Login incorrect");
        terminal.wait_for("login: ");
        terminal.send_line(if answer.starts_with("wrong") { &bob.name } else { &alice.name });
    }
    terminal.wait_for(both);
    terminal.send_line(&format!("{}{}", bob.password, of_bob.next_code()));
    terminal.wait_for("LET-IN");
    terminal.wait();
    let text = terminal.transcript();
    assert!(!text.contains("wrong code"), "{text}");
}
