//! Password and code typed as one, `<password><code>`: with pam_unix before and after the module, and through a real sshd
//! whose client can ask only once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Talk, Transcript},
    desk::BOTH,
    machine,
    phone::Phone,
    script::Script,
    service::Service,
    site::Site,
    sshd::{Login, Sshd},
    syslog,
    users::TestUser,
};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Prints the password that it is handed, as the next module would get it; asks for one where there is none.
const NEXT: &str = "auth optional pam_exec.so quiet expose_authtok stdout /usr/bin/tr -d \\000\n";

/// A user with a password and a phone, before a service of their own.
struct Desk {
    user: TestUser,
    site: Site,
    service: Service,
    phone: Phone,
}

impl Desk {
    /// With the stack that `stack` makes of the module's line, given its arguments.
    fn new(config: &str, stack: impl Fn(&dyn Fn(&str) -> String) -> String) -> Desk {
        let (user, site) = (TestUser::new("alice"), Site::new(config));
        let service = Service::installed("both", &stack(&|arguments| site.auth("required", arguments)));
        Desk { phone: Phone::enrol(&site, &user.name), user, site, service }
    }

    /// With the stack of the examples.
    fn of_the_examples(config: &str) -> Desk {
        let desk = Desk::new(config, |otp| otp("forward_pass"));
        desk.service.set(&desk.site.example("password-and-code-as-one"));
        desk
    }

    /// The module, then whoever reads the password, then pam_unix.
    fn with_a_reader(config: &str) -> Desk {
        Desk::new(config, |otp| otp("forward_pass") + NEXT + "auth required pam_unix.so use_first_pass")
    }

    fn script(&self) -> Script<'_> {
        self.phone.script(Talk::new(&self.service, &self.user.name)).word("password", &self.user.password)
    }

    fn talk(&self, answers: &[&str]) -> (Transcript, Vec<String>) {
        let mark = syslog::mark();
        let said = Talk::new(&self.service, &self.user.name).run(answers);
        assert!(said.noise.is_empty(), "{said}");
        let log = syslog::of_module(mark, said.pid);
        (said, log)
    }

    fn both(&self, code: &str) -> String {
        format!("{}{code}", self.user.password)
    }

    /// Another password for the user.
    fn set_password(&mut self, password: &str) {
        let mut chpasswd = Command::new("flock")
            .args(["/run/lock/pam-otp-accounts", "chpasswd"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(chpasswd.stdin.take().unwrap(), "{}:{password}", self.user.name).unwrap();
        assert!(chpasswd.wait().unwrap().success());
        password.clone_into(&mut self.user.password);
    }

    fn failures(&self) -> u64 {
        let show = self.site.admin(&["show", "--json", &self.user.name]);
        serde_json::from_str::<serde_json::Value>(&show).unwrap().get("failures").unwrap().as_u64().unwrap()
    }
}

#[test]
fn password_and_code_are_typed_as_one() {
    Desk::of_the_examples("")
        .script()
        .play(
            r#"
            authenticate "Password and verification code: " | "%password%next"    -> PAM_SUCCESS
                log: accepted user=%user factor=totp device=1 recovery_left=10
            authenticate "Password and verification code: " | "%password%last" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=replayed
            authenticate "Password and verification code: " | "%password%wrong" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=wrong failures=1
            # no code: the password alone, a part of one, blanks in one, nothing
            authenticate "Password and verification code: " | "%password" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=malformed
            authenticate "Password and verification code: " | "%password 12345" error "Verification failed."    -> PAM_AUTH_ERR
                log: why=malformed
            authenticate "Password and verification code: " | "%password 123 456" error "Verification failed."    -> PAM_AUTH_ERR
                log: why=malformed
            authenticate "Password and verification code: " | "" error "Verification failed."    -> PAM_AUTH_ERR
                log: why=malformed
            authenticate "Password and verification code: " | "%password%recovery"    -> PAM_SUCCESS
                log: accepted user=%user factor=recovery recovery_left=9
            authenticate "Password and verification code: " | "%password%used" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-spent
            "#,
        )
        .unwrap();
}

#[test]
fn a_right_code_is_spent_also_where_the_password_was_wrong() {
    let desk = Desk::of_the_examples("");
    desk.script()
        .play(
            r#"
            # the module's line is about the code; pam_unix says what it thinks of the password
            authenticate "Password and verification code: " | "wrong%next"    -> PAM_AUTH_ERR
                log: accepted user=%user factor=totp
            authenticate "Password and verification code: " | "%password%last" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=replayed
            # a code alone: the password is empty then
            authenticate "Password and verification code: " | %next    -> PAM_AUTH_ERR    log: accepted
            authenticate "Password and verification code: " | "wrong%wrong" error "Verification failed."    -> PAM_AUTH_ERR
                log: why=wrong failures=1
            authenticate "Password and verification code: " | "%password%next"    -> PAM_SUCCESS    log: accepted
            "#,
        )
        .unwrap();
}

#[test]
fn the_next_module_sees_the_password_alone() {
    let mut desk = Desk::with_a_reader("");
    desk.set_password("a secret");
    desk.script()
        .play(
            r#"
            authenticate "Password and verification code: " | "%password%next" info "a secret"    -> PAM_SUCCESS
            authenticate "Password and verification code: " | "%password%recovery" info "a secret"    -> PAM_SUCCESS
            authenticate "Password and verification code: " | "%password%wrong" error "Verification failed." info "a secret"
                -> PAM_AUTH_ERR
            # what does not end in a code is a password
            authenticate "Password and verification code: " | "%password" error "Verification failed." info "a secret"
                -> PAM_AUTH_ERR
            authenticate "Password and verification code: " | "secret12%next" info "secret12"    -> PAM_AUTH_ERR
            "#,
        )
        .unwrap();
}

#[test]
fn a_password_may_end_in_digits() {
    let mut desk = Desk::of_the_examples("");
    desk.set_password("secret 654321");
    desk.script()
        .play(
            r#"
            authenticate "Password and verification code: " | "%password%next"    -> PAM_SUCCESS    log: accepted
            # without a code its own end is taken for one
            authenticate "Password and verification code: " | "%password" error "Verification failed."    -> PAM_AUTH_ERR
                log: why=wrong failures=1
            authenticate "Password and verification code: " | "%password%recovery"    -> PAM_SUCCESS    log: factor=recovery
            "#,
        )
        .unwrap();
}

#[test]
fn as_many_digits_are_taken_as_codes_have() {
    // Site's table is [code], so this line is of it.
    let mut desk = Desk::of_the_examples("digits = 8\n");
    let code = desk.phone.next_code();
    assert_eq!(code.len(), 8);
    let (said, log) = desk.talk(&[&desk.both(&code)]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
    desk.set_password("secret12");
    let (said, log) = desk.talk(&[&desk.both(&desk.phone.next_code())]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
    let (said, log) = desk.talk(&[&desk.both("123456")]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    assert!(
        log.concat().contains("why=wrong failures=1"),
        "eight digits at the end, two of them the password's: {log:#?}"
    );
}

#[test]
fn after_pam_unix_a_code_is_asked_for_on_its_own() {
    // What pam_unix found right is a password and nothing else: there is no code to be found at its end.
    let desk = Desk::new("", |otp| "auth required pam_unix.so\n".to_owned() + &otp("try_first_pass"));
    desk.script()
        .play(
            r#"
            authenticate "Password: " | "%password" "Verification code: " | %next    -> PAM_SUCCESS    log: accepted
            authenticate "Password: " | "%password" "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR
                log: why=wrong failures=1
            authenticate "Password: " | wrong "Verification code: " | %next    -> PAM_AUTH_ERR    log: accepted
            # typed as one, the code is found and the password is not
            authenticate "Password: " | "%password%next"    -> PAM_AUTH_ERR    log: accepted
            "#,
        )
        .unwrap();

    desk.service.set(&("auth required pam_unix.so\n".to_owned() + &desk.site.auth("required", "use_first_pass")));
    let before = desk.failures();
    desk.script()
        .play(
            r#"
            authenticate "Password: " | "%password" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=malformed
            authenticate "Password: " | "%password%next"    -> PAM_AUTH_ERR    log: accepted
            "#,
        )
        .unwrap();
    assert_eq!((before, desk.failures()), (0, 0), "a password alone is no guess");
}

#[test]
fn after_pam_unix_a_password_that_ends_in_digits_costs_a_try_and_a_right_code_gives_it_back() {
    let mut desk = Desk::new("", |otp| "auth required pam_unix.so\n".to_owned() + &otp("try_first_pass"));
    desk.set_password("secret 654321");
    desk.script()
        .play(
            r#"
            authenticate "Password: " | "%password" "Verification code: " | %next    -> PAM_SUCCESS
                log: refused user=%user why=wrong failures=1    log: accepted user=%user
            authenticate "Password: " | "%password" "Verification code: " | %next    -> PAM_SUCCESS
                log: refused user=%user why=wrong failures=1    log: accepted user=%user
            "#,
        )
        .unwrap();
    assert_eq!(desk.failures(), 0);
}

#[test]
fn whoever_asks_first_leaves_the_code_to_the_module() {
    let stack = |arguments: &'static str| {
        move |otp: &dyn Fn(&str) -> String| {
            NEXT.to_owned() + &otp(arguments) + NEXT + "auth required pam_unix.so use_first_pass"
        }
    };
    let mut desk = Desk::new("", stack("use_first_pass forward_pass"));
    desk.set_password("a secret");
    desk.script()
        .play(
            r#"
            authenticate "Password: " | "a secret 000" info "a secret 000" error "Verification failed." info "a secret 000"
                -> PAM_AUTH_ERR    log: why=malformed
            "#,
        )
        .unwrap();
    for (arguments, code, kept) in [
        ("use_first_pass forward_pass", desk.phone.next_code(), false),
        ("try_first_pass forward_pass", desk.phone.next_code(), false),
        // without forward_pass the next module gets what this one got
        ("use_first_pass", desk.phone.next_code(), true),
    ] {
        desk.service.set(&stack(arguments)(&|arguments| desk.site.auth("required", arguments)));
        let (said, log) = desk.talk(&[&desk.both(&code)]);
        let next = if kept { desk.both(&code) } else { desk.user.password.clone() };
        assert_eq!(said.texts(), [desk.both(&code), next], "{arguments}");
        assert_eq!(said.prompts(), ["Password: "]);
        assert_eq!(said.result("authenticate"), if kept { "PAM_AUTH_ERR" } else { "PAM_SUCCESS" }, "{said}");
        assert!(log.concat().contains("accepted"), "{log:#?}");
    }
}

#[test]
fn where_the_first_answer_was_wrong_try_first_pass_asks_and_use_first_pass_does_not() {
    let desk = Desk::new("", |otp| NEXT.to_owned() + &otp("try_first_pass"));
    let (said, log) = desk.talk(&[&desk.both(&desk.phone.wrong()), &desk.phone.next_code()]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
    assert_eq!(said.prompts(), ["Password: ", "Verification code: "]);
    assert!(log.len() == 2 && log[0].contains("why=wrong failures=1") && log[1].contains("accepted"), "{log:#?}");
    let (said, log) = desk.talk(&[&desk.user.password, &desk.phone.next_code()]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
    assert_eq!(log.len(), 1, "a password alone was no attempt: {log:#?}");

    // with forward_pass both are asked for again, and the new password is what counts
    desk.service.set(&(NEXT.to_owned() + &desk.site.auth("required", "try_first_pass forward_pass") + NEXT));
    let (said, _) = desk.talk(&["first000000", &format!("second{}", desk.phone.next_code())]);
    assert_eq!((said.prompts(), said.texts()), (vec!["Password: ", BOTH], vec!["first000000", "second"]), "{said}");

    desk.service.set(&(NEXT.to_owned() + &desk.site.auth("required", "use_first_pass")));
    let (said, log) = desk.talk(&[&desk.both(&desk.phone.wrong()), &desk.phone.next_code()]);
    assert_eq!((said.result("authenticate"), said.prompts().len()), ("PAM_AUTH_ERR", 1), "{said}");
    assert_eq!(log.len(), 1, "{log:#?}");
}

#[test]
fn without_a_password_before_it_use_first_pass_refuses_and_says_why() {
    let desk = Desk::new("", |otp| otp("use_first_pass"));
    let (said, log) = desk.talk(&[&desk.phone.next_code()]);
    assert_eq!((said.result("authenticate"), said.prompts().len()), ("PAM_AUTH_ERR", 0), "{said}");
    let line = "error=\"there is no password to take a code from, or it cannot be handed on\" \
                hint=\"with use_first_pass a module earlier in the stack must ask for the password\"";
    assert_eq!(log, [format!("err error user={} {line}", desk.user.name)]);
    desk.service.set(&desk.site.auth("required", "try_first_pass"));
    let (said, _) = desk.talk(&[&desk.phone.last_code()]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn who_needs_no_code_types_the_password_alone() {
    let mut desk = Desk::of_the_examples("");
    desk.site.admin(&["disable", "--yes", &desk.user.name]);
    for password in ["plain", "ends in 654321"] {
        desk.set_password(password);
        // The module steps aside, and pam_unix asks.
        let (said, log) = desk.talk(&[password]);
        assert_eq!((said.result("authenticate"), said.prompts()), ("PAM_SUCCESS", vec!["Password: "]), "{said}");
        assert!(log.concat().contains("not-asked"), "{log:#?}");
    }
    assert_eq!(desk.talk(&["wrong"]).0.result("authenticate"), "PAM_AUTH_ERR");
}

#[test]
fn in_a_rollout_nobody_is_refused_for_a_code_and_everybody_for_a_password() {
    let mut desk = Desk::of_the_examples("");
    let rollout = "enforce = false\n[code]\nwindow = 10\n[policy]\nsecond_factor = \"required\"\n";
    desk.site.write(&format!("state_directory = {:?}\n{rollout}", desk.site.state()));
    desk.set_password("ends in 654321");
    let result = |answer: &str| {
        let (said, log) = desk.talk(&[answer]);
        assert_eq!(said.prompts(), [BOTH], "{said}");
        (said.result("authenticate").to_owned(), log.concat())
    };
    for code in [desk.phone.next_code(), desk.phone.wrong()] {
        assert_eq!(result(&desk.both(&code)).0, "PAM_SUCCESS", "{code}");
        assert_eq!(result(&format!("wrong{code}")).0, "PAM_AUTH_ERR", "{code}");
    }
    // Without a device nobody types a code: the password is the whole.
    desk.site.admin(&["disable", "--yes", &desk.user.name]);
    let (said, log) = result(&desk.user.password);
    assert!(said == "PAM_SUCCESS" && log.contains("why=not-enrolled enforced=no"), "{said} {log}");
    assert_eq!(result("wrong 654321").0, "PAM_AUTH_ERR");
}

#[test]
fn who_is_remembered_types_the_same_as_ever() {
    let desk = Desk::with_a_reader("[grace]\nfor = \"1h\"\n");
    let talk = |answer: &str| {
        let mark = syslog::mark();
        let said = Talk::new(&desk.service, &desk.user.name).rhost("192.0.2.1").run(&[answer]);
        assert_eq!(said.prompts(), [BOTH], "{said}");
        let log = syslog::of_module(mark, said.pid).concat();
        (said.result("authenticate").to_owned(), said.texts().join("|"), log)
    };
    let (password, code) = (desk.user.password.as_str(), desk.phone.next_code());
    assert_eq!(talk(&desk.both(&code)).0, "PAM_SUCCESS");
    // A client that sends again what it has kept, as OpenVPN's do; a person who knows; a wrong password all the same.
    for (answer, result, next) in [
        (desk.both(&code), "PAM_SUCCESS", password),
        (password.to_owned(), "PAM_SUCCESS", password),
        (format!("wrong{code}"), "PAM_AUTH_ERR", "wrong"),
    ] {
        let (found, text, log) = talk(&answer);
        assert_eq!((found.as_str(), text.as_str()), (result, next));
        assert!(log.contains("accepted") && log.contains("factor=grace"), "{log}");
    }
    // Where a module before this one asked, the code is taken off there.
    desk.service.set(&(NEXT.to_owned() + &desk.site.auth("required", "use_first_pass forward_pass") + NEXT));
    let said = Talk::new(&desk.service, &desk.user.name).rhost("192.0.2.1").run(&[desk.both(&code)]);
    assert_eq!((said.prompts().len(), said.texts()), (1, vec![desk.both(&code).as_str(), password]), "{said}");
}

#[test]
fn an_unknown_user_and_one_without_a_device_are_asked_alike() {
    let desk = Desk::of_the_examples("[policy]\nsecond_factor = \"required\"\n");
    let lacks = TestUser::new("lacks");
    desk.script()
        .word("lacks", &lacks.name)
        .play(
            r#"
            authenticate user=%lacks "Password and verification code: " | wrong123456 error "Verification failed."
                -> PAM_AUTH_ERR    log: refused user=%lacks why=not-enrolled
            authenticate user=nobody-of-that-name "Password and verification code: " | wrong123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=nobody-of-that-name why=unknown-user
            "#,
        )
        .unwrap();
}

#[test]
fn what_asks_for_both_is_the_administrators_text() {
    let desk = Desk::of_the_examples("[prompt]\npassword_and_code = \"Both, please: \"\n");
    let (said, _) = desk.talk(&[&desk.both(&desk.phone.next_code())]);
    assert_eq!((said.prompts(), said.result("authenticate")), (vec!["Both, please: "], "PAM_SUCCESS"));
}

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
    let examples = machine::source("config/examples/sshd_config.d");
    let config = std::fs::read_to_string(examples.join("password-and-code-as-one.conf")).unwrap();
    let stack =
        site.example("password-and-code-as-one") + "account required pam_unix.so\nsession required pam_permit.so\n";
    let sshd = Sshd::start("one", &stack, &config);
    let phone = Phone::enrol(&site, &user.name);
    let (mark, password, code) = (syslog::mark(), user.password.as_str(), phone.next_code());
    let (wrong, recovery) = (phone.wrong(), phone.recovery_code());
    let log = || {
        let sign = format!(" pam_otp({}:auth): ", sshd.service().name());
        let lines = syslog::lines_since(mark);
        lines.iter().filter_map(|line| Some(line.split_once(&sign)?.1.to_owned())).next_back().unwrap_or_default()
    };
    for (answer, let_in, line) in [
        (format!("{password}{code}"), true, "factor=totp device=1"),
        (format!("{password}{code}"), false, "why=replayed"),
        (format!("{password}{wrong}"), false, "why=wrong failures=1"),
        (password.to_owned(), false, "why=malformed"),
        (code.clone(), false, "why=replayed"),
        (format!("{password}{recovery}"), true, "factor=recovery recovery_left=9"),
        (format!("wrong{}", phone.next_code()), false, "factor=totp device=1"),
        (phone.last_code(), false, "why=replayed"),
    ] {
        let login = log_in(&sshd, &user, &answer);
        assert_eq!(login.let_in(), let_in, "{line}: {login:#?}");
        assert!(log().contains(&format!("rhost=127.0.0.1 {line}")), "{line}: {}", log());
    }

    // Who needs no code logs in with the password.
    let bob = TestUser::new("bob");
    assert!(log_in(&sshd, &bob, &bob.password).let_in());
    assert!(!log_in(&sshd, &bob, "wrong").let_in());

    let lines = syslog::lines_since(mark).join("\n");
    for secret in [password, &code, &wrong, &recovery, &phone.last_code(), &phone.app.secret, &bob.password] {
        assert!(!lines.contains(secret), "in the log: {secret}");
    }
}

#[test]
fn neither_password_nor_code_is_ever_logged() {
    let desk = Desk::of_the_examples("");
    let mark = syslog::mark();
    let (code, wrong, recovery) = (desk.phone.next_code(), desk.phone.wrong(), desk.phone.recovery_code());
    for arguments in ["forward_pass debug", "forward_pass try_first_pass debug", "forward_pass use_first_pass debug"] {
        desk.service.set(&(NEXT.to_owned() + &desk.site.auth("required", arguments)));
        for tail in [&code, &wrong, &recovery, &String::new(), &"x".repeat(2000)] {
            let answer = desk.both(tail);
            desk.talk(&[&answer, &answer]);
        }
    }
    let lines = syslog::lines_since(mark).join("\n");
    assert!(lines.contains("debug config="));
    for secret in [&desk.user.password, &code, &wrong, &recovery, &"x".repeat(50)] {
        assert!(!lines.contains(secret.as_str()), "in the log: {secret}");
    }
}
