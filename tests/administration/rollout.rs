//! A rollout: `enforce = false` rehearses and refuses no user; `required_from` says from when on it is meant.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Talk, Transcript},
    desk::{CODE, PASSWORD},
    machine,
    phone::Phone,
    pty::Pty,
    service::Service,
    site::Site,
    sshd::{Login, Sshd},
    syslog,
    users::TestUser,
};
use serde_json::Value;
use std::{fs, process::Command};

const STACK: &str = "password-and-code-with-set-up";

/// A service whose result is the module's own: what it says to `authenticate`, but that PAM_IGNORE, where no other module
/// has an opinion, reads PAM_PERM_DENIED.
fn alone(site: &Site) -> Service {
    Service::private(&site.auth("required", ""))
}

/// What came of it, with what the module logged.
fn said(talk: &Talk, answers: &[&str]) -> (Transcript, Vec<String>) {
    let mark = syslog::mark();
    let said = talk.run(answers);
    let log = syslog::of_module(mark, said.pid);
    (said, log)
}

/// Passes as a user who was asked for nothing, is told nothing and not slowed down, and one line of the log says
/// that it was not enforced.
fn passes(talk: &Talk, answers: &[&str], line: &str) {
    let (said, log) = said(talk, answers);
    assert_eq!(said.result("authenticate"), "PAM_PERM_DENIED", "{said}{log:#?}");
    assert!(said.texts().is_empty(), "{said}");
    let delayed = said.events.iter().any(|event| matches!(event, pam_otp_tests::conversation::Event::Delay(_)));
    // libpam itself asks for none; the end of the stack is its own refusal.
    assert!(!delayed, "{said}");
    assert_eq!(log, [line], "{said}");
}

fn report(site: &Site) -> Vec<Value> {
    site.admin(&["report", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_long_report_shows_its_progress_on_a_terminal_only() {
    let site = Site::new("");
    for number in 0..600 {
        fs::write(site.state().join(format!("other-{number}.toml")), "").unwrap();
    }
    let arguments = ["--config", &site.config().display().to_string(), "admin", "report"].map(str::to_owned);
    let mut terminal = Pty::new("otp-enroll").args(&arguments).start();
    terminal.wait();
    assert!(terminal.transcript().contains("reading records: 0 % (1 of 600)"), "{}", terminal.transcript());
    assert!(!terminal.screen().contains("reading records"), "{}", terminal.screen());
    let output = Command::new("otp-enroll").args(&arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn whatever_is_wrong_passes_and_is_logged_as_not_enforced() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.set_example("rollout");
    let (service, phone) = (alone(&site), Phone::enroll(&site, &user.name));
    let name = &user.name;
    let talk = Talk::new(&service, name).rhost("203.0.113.9");
    let who = format!("user={name} rhost=203.0.113.9");

    let code = phone.next_code();
    let (good, log) = said(&talk, &[&code]);
    assert_eq!(good.result("authenticate"), "PAM_SUCCESS", "{good}");
    assert_eq!(log, [format!("info accepted {who} factor=totp device=1 recovery_left=10")]);

    passes(&talk, &[&code], &format!("notice refused {who} why=replayed enforced=no"));
    passes(&talk, &[""], &format!("notice refused {who} why=malformed enforced=no"));
    passes(&talk, &["ABCD-EFGH-IJKL-MNOP"], &format!("notice refused {who} why=recovery-unknown enforced=no"));
    let hint = "the client went away, or cannot answer a second prompt";
    let silent = format!("err error {who} error=\"the conversation gave no answer\" hint=\"{hint}\" enforced=no");
    passes(&talk, &[], &silent);
    for failures in 1..=6 {
        let line = format!("notice refused {who} why=wrong failures={failures} enforced=no");
        passes(&talk, &[&phone.wrong()], &line);
    }
    let (locked, log) = said(&talk, &[&phone.next_code()]);
    assert_eq!(locked.result("authenticate"), "PAM_PERM_DENIED");
    assert!(log[0].contains(" why=locked until=") && log[0].ends_with(" enforced=no"), "{log:#?}");

    let line = "notice refused user=nobody-of-that-name why=unknown-user enforced=no";
    passes(&Talk::new(&service, "nobody-of-that-name"), &["123456"], line);
    let bob = TestUser::new("bob");
    let line = format!("notice refused user={} why=not-enrolled enforced=no", bob.name);
    passes(&Talk::new(&service, &bob.name), &["123456"], &line);

    // Switched back on, all of it refuses again.
    site.set("[policy]\nsecond_factor = \"required\"\n");
    let (refused, log) = said(&talk, &[&phone.wrong()]);
    assert_eq!((refused.result("authenticate"), refused.texts()), ("PAM_AUTH_ERR", vec!["Verification failed."]));
    assert!(log[0].contains(" why=locked until=") && !log[0].contains("enforced"), "{log:#?}");
}

#[test]
fn a_store_that_is_broken_passes_and_is_logged_as_not_enforced() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.set_example("rollout");
    let (service, _phone) = (alone(&site), Phone::enroll(&site, &user.name));
    pam_otp_tests::site::overwrite(site.state_file(&user.name), "nonsense");
    let (broken, log) = said(&Talk::new(&service, &user.name), &["123456"]);
    assert_eq!((broken.result("authenticate"), broken.texts().len()), ("PAM_PERM_DENIED", 0), "{broken}");
    assert!(log.len() == 1 && log[0].starts_with("err error ") && log[0].ends_with(" enforced=no"), "{log:#?}");

    machine::run(Command::new("chmod").arg("1777").arg(site.state()));
    let (broken, log) = said(&Talk::new(&service, &user.name), &["123456"]);
    assert_eq!((broken.result("authenticate"), broken.texts().len()), ("PAM_PERM_DENIED", 0), "{broken}");
    assert!(log.len() == 1 && log[0].ends_with(" enforced=no"), "{log:#?}");

    // What cannot be read says nothing of a rollout either.
    site.write("enforce = false\nnonsense = 1\n");
    assert_eq!(said(&Talk::new(&service, &user.name), &[]).0.result("authenticate"), "PAM_SERVICE_ERR");
}

#[test]
fn a_rollout_lets_users_in_without_enrollment() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.write(&format!(
        "enforce = false\nstate_directory = \"{}\"\n[policy]\nsecond_factor = \"enroll\"\n",
        site.state().display()
    ));
    let sshd = Sshd::start("rollout", &site.example_stack(STACK), "");
    let mark = syslog::mark();
    let login = sshd.ssh(&user.name).dialogue(&[(PASSWORD, &user.password)]);
    assert!(login.let_in() && login.prompts.len() == 1, "{login:#?}");
    let line =
        format!("enrollment-pending user={} rhost=127.0.0.1 second_factor=enroll by=default enforced=no", user.name);
    let sign = format!(" pam_otp({}:", sshd.service().name());
    let log: Vec<_> = syslog::lines_since(mark).into_iter().filter(|logged| logged.contains(&sign)).collect();
    assert!(log.len() == 1 && log[0].ends_with(&line), "{log:#?}");
    assert!(!site.credentials(&user.name).exists());
}

#[test]
fn a_real_login_with_a_wrong_code_gets_in_until_it_is_meant() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.set_example("rollout");
    let sshd = Sshd::start("rollout", &site.example_stack(STACK), "");
    let phone = Phone::enroll(&site, &user.name);
    let log_in = |password: &str, code: &str| -> Login {
        sshd.ssh(&user.name).option("LogLevel=INFO").dialogue(&[(PASSWORD, password), (CODE, code)])
    };
    let login = log_in(&user.password, &phone.wrong());
    assert!(login.let_in() && login.prompts.len() == 2, "{login:#?}");
    assert!(!login.transcript.to_lowercase().contains("fail"), "{login:#?}");
    assert!(log_in(&user.password, &phone.next_code()).let_in());
    assert!(!log_in("another", &phone.next_code()).let_in(), "the password is asked for in earnest");

    site.set("[policy]\nsecond_factor = \"required\"\n");
    let login = log_in(&user.password, &phone.wrong());
    assert!(!login.let_in() && login.transcript.contains("Verification failed."), "{login:#?}");
    assert!(log_in(&user.password, &phone.next_code()).let_in());
}

#[test]
fn the_report_says_who_would_have_been_refused_and_why() {
    let (alice, bob, carol) = (TestUser::new("alice"), TestUser::new("bob"), TestUser::new("carol"));
    let site = Site::new("");
    site.set_example("rollout");
    let service = alone(&site);
    let phones = [&alice, &bob].map(|user| Phone::enroll(&site, &user.name));
    let attempt = |user: &TestUser, answer: &str| {
        Talk::new(&service, &user.name).run(&[answer]);
    };
    attempt(&alice, &phones[0].wrong());
    attempt(&alice, &phones[0].next_code());
    attempt(&alice, &phones[0].last_code());
    attempt(&bob, &phones[1].next_code());
    attempt(&carol, "123456");
    let report = report(&site);
    let of = |user: &TestUser| report.iter().find(|line| line["user"] == user.name.as_str());
    let line = of(&alice).unwrap();
    assert_eq!(line["why"], "replayed", "the last one: {line}");
    assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!(of(&bob), None, "who is let in is not in it");
    assert!(of(&carol).is_some(), "{report:#?}");
    let text = site.admin(&["report"]);
    assert!(text.contains(&alice.name) && text.contains("replayed") && text.contains(&carol.name), "{text}");
    assert!(of(&carol).unwrap()["outcome"] == "refused", "{report:#?}");

    // A record that cannot be used is named, and the others are there all the same.
    pam_otp_tests::site::overwrite(site.state_file(&alice.name), "nonsense");
    let mut command = Command::new("otp-enroll");
    let output = command.arg("--config").arg(site.config()).args(["admin", "report"]).output().unwrap();
    let damaged = String::from_utf8(output.stdout).unwrap();
    let named = |line: &str| line.starts_with(&format!("{} ", alice.name)) && line.contains("  unusable: ");
    assert!(!output.status.success() && damaged.lines().any(named), "{damaged}");
    assert!(damaged.contains(&carol.name), "{damaged}");
    for phone in &phones {
        assert!(
            !text.contains(&phone.app.secret)
                && !report.iter().any(|line| line.to_string().contains(&phone.app.secret))
        );
    }
}

#[test]
fn at_a_real_server_the_notice_comes_before_the_date_and_enrollment_after_it() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    // The example with other dates: this test outlives its own.
    site.set_example("required-from");
    let example = fs::read_to_string(site.config()).unwrap();
    let from = |date: &str| site.write(&example.replace("2027-02-01", date));
    assert!(example.contains("\nrequired_from = 2027-02-01\n"));
    let sshd = Sshd::start("from", &site.example_stack(STACK), "");

    from("2100-02-01");
    // sshd shows it where it shows the message of the day: to a shell.
    let mut terminal = sshd.ssh(&user.name).shell().start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&user.password);
    terminal.wait_for("From 2100-02-01 on, a second factor is required here. Set one up with: otp-enroll");
    terminal.wait_for("$ ");
    terminal.send_line("exit");
    terminal.wait();

    from("2020-02-01");
    let mut terminal = sshd.ssh(&user.name).start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&user.password);
    terminal.wait_for("Code that the app shows: ");
    assert!(!terminal.transcript().contains("From 20"), "{}", terminal.transcript());
    terminal.hang_up();
}
