//! A passcode from the help desk: what is said, stored and logged, and what is not accepted.

use pam_otp_tests::{
    conversation::Talk,
    machine,
    outcome::Outcome,
    phone::Phone,
    pty::Pty,
    service::Service,
    site::Site,
    syslog,
    users::{self, TestUser},
};
use serde_json::{Value, json};
use std::{fs, process::Command, time::Duration};

const REQUIRED: &str = "[policy]\nsecond_factor = \"required\"\n";

/// `otp-enroll admin` of root at a site.
fn said(site: &Site, arguments: &[&str]) -> Outcome {
    let mut command = site.admin_command();
    Outcome::of(command.args(arguments), "")
}

fn show(site: &Site, user: &TestUser) -> Value {
    said(site, &["show", "--json", &user.name]).json().remove(0)
}

fn log_in(site: &Site, user: &TestUser, answer: &str) -> String {
    let service = Service::private(&site.auth("required", ""));
    Talk::new(&service, &user.name).run(&[answer]).result("authenticate").to_owned()
}

fn is_passcode(text: &str) -> bool {
    let shape: String = text.chars().map(|letter| if letter == '-' { '-' } else { 'x' }).collect();
    shape == "xxxx-xxxx-xxxx" && !text.contains(['I', 'L', 'O', 'U']) && text.to_uppercase() == text
}

#[test]
fn it_is_shown_once_and_stored_as_a_hash() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    let mark = syslog::mark();
    let issued = said(&site, &["issue", &alice.name]);
    assert_eq!((issued.code, issued.err.as_str()), (Some(0), ""), "{issued:?}");
    let (passcode, rest) = issued.out.split_once(" is ").unwrap();
    assert!(is_passcode(passcode), "{issued:?}");
    let until = rest.strip_prefix(&format!("{}'s passcode, good once until ", alice.name)).unwrap();
    assert!(until.ends_with(" UTC. It is not shown again.\n"), "{until}");

    let shown = said(&site, &["show", &alice.name]).out;
    let expected = format!("Passcode         unused, good once until {}", until.split_once(" UTC").unwrap().0);
    assert!(shown.contains(&expected), "{shown}");
    assert!(said(&site, &["list"]).out.contains("  passcode "), "{}", said(&site, &["list"]).out);
    let status = show(&site, &alice);
    assert_eq!((&status["enrolled"], &status["passcode"]["used"]), (&false.into(), &false.into()));

    syslog::wait_for(
        mark,
        &format!("passcode-issued user={} by_uid=0 proof=admin", alice.name),
        Duration::from_secs(5),
    )
    .unwrap();
    let record = fs::read_to_string(site.credentials(&alice.name)).unwrap();
    assert!(record.contains("\npasscodes = 1\n") && record.contains("\n[passcode]\n"), "{record}");
    let letters = passcode.replace('-', "");
    for text in [shown, record, said(&site, &["list", "--json"]).out, syslog::lines_since(mark).join("\n")] {
        assert!(!text.contains(passcode) && !text.contains(&letters), "{text}");
    }
    assert_eq!(log_in(&site, &alice, passcode), "PAM_SUCCESS");
    assert_eq!(log_in(&site, &alice, passcode), "PAM_AUTH_ERR");
    assert_eq!(show(&site, &alice)["passcode"]["used"], true);
}

#[test]
fn json_says_the_same() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    let issued = said(&site, &["issue", "--json", "--valid", "7d", "--service", "/usr/sbin/SSHD", &alice.name]);
    let mut answer = issued.json().remove(0);
    let passcode = answer["passcode"].take();
    assert!(is_passcode(passcode.as_str().unwrap()), "{issued:?}");
    let status = show(&site, &alice);
    let expected = json!({"until": answer["until"], "service": "sshd", "used": false, "expired": false});
    assert_eq!(status["passcode"], expected);
    assert_eq!((&answer["user"], &answer["service"]), (&alice.name.as_str().into(), &"sshd".into()));
    assert_eq!(answer.as_object().unwrap().len(), 4, "{answer}");
    let quiet = said(&site, &["issue", "--quiet", &alice.name]);
    assert!(quiet.out.contains("'s passcode, "), "it is the result, and not advice: {quiet:?}");
}

#[test]
fn what_no_passcode_can_have_is_refused_and_changes_nothing() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    for (arguments, error) in [
        (["--valid", "8d"], "--valid 8d: write a duration of 1 minute to 7 days, like 24h"),
        (["--valid", "0s"], "--valid 0s: write a duration of 1 minute to 7 days, like 24h"),
        (["--valid", "tomorrow"], "--valid tomorrow: write a duration of 1 minute to 7 days, like 24h"),
        (["--service", ""], "--service \"\": write the name of a PAM service, like sshd"),
        (["--service", "ss hd"], "--service \"ss hd\": write the name of a PAM service, like sshd"),
    ] {
        let refused = said(&site, &[&["issue", alice.name.as_str()][..], &arguments].concat());
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.err.contains(error), "{refused:?}");
    }
    for arguments in [&["issue"][..], &["issue", "a", "b"], &["revoke"]] {
        assert_eq!(said(&site, arguments).code, Some(2), "{arguments:?}");
    }
    for command in ["issue", "revoke"] {
        assert_eq!(said(&site, &[command, "nobody-at-all"]).code, Some(3));
    }
    assert!(!site.credentials(&alice.name).exists());
    // One that no login can have takes the place of none.
    let issued = said(&site, &["issue", &alice.name]);
    assert_eq!(issued.code, Some(0), "{issued:?}");
    let before = fs::read(site.credentials(&alice.name)).unwrap();
    for (name, meant) in [("ssh", "; is sshd meant?"), ("ssdh", "; is sshd meant?"), ("no-such-service", "")] {
        let misspelled = said(&site, &["issue", &alice.name, "--service", name]);
        let told = format!("otp-enroll: No PAM folder has the service {name}{meant}\n  nothing was changed; ");
        assert!(misspelled.code == Some(1) && misspelled.err.starts_with(&told), "{misspelled:?}");
        assert_eq!(fs::read(site.credentials(&alice.name)).unwrap(), before, "{name}");
    }
    // One whose file has no line yet may get it.
    let service = Service::installed("asks-not", "@include common-auth\n");
    let early = said(&site, &["issue", &alice.name, "--service", service.name()]);
    let told =
        format!("No login through {0} asks for a passcode now: the PAM files of {0} have no line", service.name());
    assert!(early.code == Some(0) && early.out.contains(&told), "{early:?}");
}

#[test]
fn it_goes_with_reset_disable_revoke_and_a_new_device() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    let issue = || said(&site, &["issue", &alice.name]).out.split_once(" is ").unwrap().0.to_owned();
    for command in [&["reset", "--yes"][..], &["disable", "--yes"], &["revoke"]] {
        let passcode = issue();
        let done = said(&site, &[command, &[alice.name.as_str()]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!site.credentials(&alice.name).exists() && !site.state_file(&alice.name).exists(), "{command:?}");
        assert_eq!(log_in(&site, &alice, &passcode), "PAM_AUTH_ERR");
    }
    let again = said(&site, &["revoke", "--json", &alice.name]);
    assert_eq!(again.json(), [json!({"user": alice.name, "changed": false})]);
    let passcode = issue();
    let phone = Phone::enroll(&site, &alice.name);
    assert_eq!(log_in(&site, &alice, &passcode), "PAM_AUTH_ERR");
    assert!(show(&site, &alice)["passcode"].is_null());
    // Beside a device, and with an override, the rest stays when it goes.
    issue();
    said(&site, &["require", &alice.name]);
    assert_eq!(said(&site, &["revoke", &alice.name]).out, format!("{}: passcode revoked\n", alice.name));
    let status = show(&site, &alice);
    assert_eq!((&status["enrolled"], &status["override"]), (&true.into(), &"required".into()));
    assert_eq!(log_in(&site, &alice, &phone.next_code()), "PAM_SUCCESS");
}

#[test]
fn a_record_of_a_passcode_alone_outlives_an_override_that_goes() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    said(&site, &["require", &alice.name]);
    let passcode = said(&site, &["issue", &alice.name]).out.split_once(" is ").unwrap().0.to_owned();
    said(&site, &["unrequire", &alice.name]);
    assert_eq!(log_in(&site, &alice, &passcode), "PAM_SUCCESS");
}

#[test]
fn after_its_end_it_is_refused_and_shown_as_expired() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    let passcode = said(&site, &["issue", &alice.name]).out.split_once(" is ").unwrap().0.to_owned();
    let file = site.credentials(&alice.name);
    let record = fs::read_to_string(&file).unwrap();
    let end = record.lines().find(|line| line.starts_with("until = ")).unwrap();
    // Its end has come, or was set by a clock that was years ahead.
    for other in ["until = 1763750020", "until = 4102444800"] {
        pam_otp_tests::site::overwrite(&file, record.replace(end, other));
        let mark = syslog::mark();
        assert_eq!(log_in(&site, &alice, &passcode), "PAM_AUTH_ERR", "{other}");
        let refused = format!("refused user={} why=passcode-expired", alice.name);
        assert!(syslog::lines_since(mark).iter().any(|line| line.contains(&refused)));
        assert!(said(&site, &["show", &alice.name]).out.contains("Passcode         expired at "));
        assert!(!said(&site, &["list"]).out.contains("passcode"));
    }
    pam_otp_tests::site::overwrite(&file, &record);
    assert_eq!(log_in(&site, &alice, &passcode), "PAM_SUCCESS");
}

#[test]
fn explain_list_and_doctor_know_who_is_let_in_by_one() {
    let site = Site::new("[policy]\nsecond_factor = \"enroll\"\npasscode = true\n");
    let alice = TestUser::new("alice");
    let outcome = |service: &str| {
        let explained = said(&site, &["explain", "--json", "--user", &alice.name, "--service", service]);
        explained.json().remove(0)["outcome"].as_str().unwrap().to_owned()
    };
    let service = Service::installed("passcode", &site.example_stack("password-and-code-with-set-up"));
    let doctor = || {
        let all = said(&site, &["doctor", "--json"]).json().remove(0);
        let findings = all["findings"].as_array().unwrap().clone();
        findings.iter().filter(|finding| finding["what"].as_str().unwrap().contains("no passcode that is good")).count()
    };
    assert_eq!(outcome(service.name()), "no-passcode");
    let listed = || said(&site, &["list", "--without-device", "--service", service.name()]).out;
    let line = |text: String| text.lines().find(|line| line.starts_with(&alice.name)).unwrap_or_default().to_owned();
    assert!(line(listed()).ends_with("refused: it has no passcode (otp-enroll admin issue)"), "{}", listed());
    assert!(doctor() > 0);
    let explain = || said(&site, &["explain", "--user", &alice.name, "--service", service.name()]).out;
    assert!(explain().contains("asked for a passcode and refused"), "{}", explain());
    said(&site, &["issue", &alice.name, "--service", service.name()]);
    assert_eq!(outcome(service.name()), "passcode");
    assert!(line(listed()).ends_with("asked for the passcode that was issued"), "{}", listed());
    assert!(explain().contains("then led through enrollment"), "{}", explain());
    // Not elsewhere.
    assert_ne!(outcome("login"), "passcode");
    site.set(REQUIRED);
    assert_eq!(outcome(service.name()), "passcode");
    assert_eq!(outcome("login"), "refused");
}

#[test]
fn it_is_said_where_a_login_asks_for_none() {
    let alice = TestUser::new("alice");
    let site = Site::new("[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"required\"\n");
    let remark = |arguments: &[&str]| {
        let issued = said(&site, &[&["issue", &alice.name], arguments].concat());
        assert_eq!(issued.code, Some(0), "{issued:?}");
        (issued.out + &issued.err).contains("ask for no code")
    };
    assert!(remark(&["--service", "sudo"]), "optional, and no device");
    assert!(!remark(&["--service", "sshd"]));
    site.set("[policy]\nsecond_factor = \"skip\"\n");
    assert!(remark(&[]));
    site.set(REQUIRED);
    assert!(!remark(&[]));
}

#[test]
fn a_renamed_account_gets_none_that_would_hide_its_record() {
    let (site, alice) = (Site::new(REQUIRED), TestUser::new("alice"));
    Phone::enroll(&site, &alice.name);
    let new = machine::unique("renamed");
    users::change(Command::new("usermod").args(["-l", &new, &alice.name]));
    let refused = said(&site, &["issue", &new]);
    users::change(Command::new("usermod").args(["-l", &alice.name, &new]));
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.err.contains("this account was renamed"), "{refused:?}");
}

#[test]
fn a_passcode_and_a_status_break_no_word_on_a_terminal_of_80_columns() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let config = site.config().display().to_string();
    let shown = |arguments: &[&str]| {
        let all = [&["--config", &config, "admin"], arguments].concat();
        let mut terminal = Pty::new("otp-enroll").args(all).start();
        assert!(terminal.wait().success(), "{}", terminal.transcript());
        let text = terminal.transcript();
        assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let installed = Service::installed("a-service-with-a-name-of-some-length", "auth required pam_permit.so\n");
    let service = installed.name();
    let issued = shown(&["issue", &alice.name, "--service", service]);
    assert!(issued.contains(&format!(" is {}'s passcode, good once through {service} until ", alice.name)), "{issued}");
    assert!(issued.contains(" UTC. It is not shown again."), "{issued}");
    let status = shown(&["show", &alice.name]);
    assert!(status.contains(&format!("Passcode unused, good once through {service} until 2")), "{status}");
}
