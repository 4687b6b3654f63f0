//! Password and code typed as one, `<password><code>`, through a real sshd whose client can ask only once. What else comes of
//! it is in `tests/conversations/password-and-code-as-one.talk`.

use pam_otp_tests::{
    conversation::Talk,
    phone::Phone,
    service::Service,
    site::Site,
    sshd::{Login, Sshd},
    syslog,
    users::TestUser,
};

/// Prints the password that it is handed, as the next module would get it; asks for one where there is none.
const NEXT: &str = "auth optional pam_exec.so quiet expose_authtok stdout /usr/bin/tr -d \\000\n";

/// A login by a client that asks for a password, and for nothing else.
fn log_in(sshd: &Sshd, user: &TestUser, answer: &str) -> Login {
    let ssh = sshd.ssh(&user.name).option("PreferredAuthentications=password");
    let login = ssh.dialogue(&[("password: ", answer)]);
    assert_eq!(login.prompts, [format!("{}@127.0.0.1's password: ", user.name)]);
    login
}

#[test]
fn an_ssh_that_can_ask_only_once_lets_in_with_both() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let sshd = Sshd::of_one_question("one", &site);
    let phone = Phone::enroll(&site, &user.name);
    let (begin, password, code) = (syslog::mark(), user.password.as_str(), phone.next_code());
    let (wrong, recovery) = (phone.wrong(), phone.recovery_code());
    let next = phone.next_code();
    for (answer, let_in, line) in [
        (format!("{password}{code}"), true, "factor=totp device=1"),
        (format!("{password}{code}"), false, "why=replayed"),
        (format!("{password}{wrong}"), false, "why=wrong failures=1"),
        (password.to_owned(), false, "why=malformed"),
        (code.clone(), false, ""),
        (format!("{password}{recovery}"), true, "factor=recovery recovery_left=9"),
        // The module says nothing of a wrong password, and what came with it is as good as before.
        (format!("wrong{wrong}"), false, ""),
        (format!("wrong{next}"), false, ""),
        (next.clone(), false, ""),
        (format!("{password}{next}"), true, "factor=totp device=1"),
    ] {
        let mark = syslog::mark();
        let login = log_in(&sshd, &user, &answer);
        assert_eq!(login.let_in(), let_in, "{line}: {login:#?}");
        let log = syslog::of_logins(mark, sshd.service().name());
        let expected = format!("rhost=127.0.0.1 {line}");
        let is_right =
            if line.is_empty() { log.is_empty() } else { log.len() == 1 && log.concat().contains(&expected) };
        assert!(is_right, "{line}: {log:#?}");
    }

    // Who needs no code logs in with the password.
    let bob = TestUser::new("bob");
    assert!(log_in(&sshd, &bob, &bob.password).let_in());
    assert!(!log_in(&sshd, &bob, "wrong").let_in());

    // Those of other tests have numbers of phones, with six zeros.
    let who = [sshd.service().name(), &user.name, &bob.name];
    let lines = syslog::lines_since(begin);
    let lines: Vec<_> = lines.into_iter().filter(|line| who.iter().any(|name| line.contains(name))).collect();
    let lines = lines.join("\n");
    for secret in [password, &code, &wrong, &recovery, &phone.last_code(), &phone.app.secret, &bob.password] {
        assert!(!lines.contains(secret), "in the log: {secret}");
    }
}

#[test]
fn what_a_wrong_password_left_keeps_a_key_out_on_the_same_connection_and_no_other() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let stack =
        site.example("password-and-code-as-one") + "account required pam_unix.so\nsession required pam_permit.so\n";
    let sshd = Sshd::start("key", &stack, "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n");
    let (phone, key) = (Phone::enroll(&site, &user.name), sshd.key_for(&user));
    let ssh = || sshd.ssh(&user.name).key(&key);
    assert!(ssh().dialogue(&[]).let_in());
    let both = ssh().option("PreferredAuthentications=password,publickey").option("NumberOfPasswordPrompts=1");
    let login = both.dialogue(&[("password: ", &format!("wrong{}", phone.wrong()))]);
    assert!(!login.let_in(), "{login:#?}");
    assert!(ssh().dialogue(&[]).let_in());
}

#[test]
fn neither_password_nor_code_is_ever_logged() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let (service, phone) = (Service::installed("both", ""), Phone::enroll(&site, &user.name));
    let mark = syslog::mark();
    let (code, wrong, recovery) = (phone.next_code(), phone.wrong(), phone.recovery_code());
    for arguments in [
        "forward_pass debug",
        "forward_pass try_first_pass debug",
        "forward_pass use_first_pass debug",
        "forward_pass defer debug",
    ] {
        service.set(&(NEXT.to_owned() + &site.auth("required", arguments) + &site.auth("optional", "deferred debug")));
        for tail in [&code, &wrong, &recovery, &String::new(), &"x".repeat(2000)] {
            let answer = user.password.clone() + tail;
            Talk::new(&service, &user.name).run(&[&answer, &answer]);
        }
    }
    let lines = syslog::lines_since(mark).join("\n");
    assert!(lines.contains("debug config="));
    for secret in [&user.password, &code, &wrong, &recovery, &"x".repeat(50)] {
        assert!(!lines.contains(secret.as_str()), "in the log: {secret}");
    }
}
