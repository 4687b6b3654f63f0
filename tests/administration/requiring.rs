//! Before many users must have a second factor, the command says what that means; and exemptions that end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::process::Command;

use pam_otp_tests::{
    conversation::Talk,
    outcome::Outcome,
    phone::Phone,
    pty::Pty,
    service::Service,
    site::Site,
    users::{self, TestUser},
};

#[test]
fn requiring_a_second_factor_of_all_says_of_whom_and_asks() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let show = || Outcome::of(site.admin_command().args(["show", "--json", &alice.name]), "").json()[0].clone();
    let unasked = Outcome::of(site.admin_command().args(["require", "--all"]), "");
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("add --yes"), "{unasked:?}");
    assert_eq!(show()["override"], "none");

    let config = site.config().to_str().unwrap();
    let mut terminal =
        Pty::new("otp-enroll").size(200, 24).args(["--config", config, "admin", "require", "--all"]).start();
    let asked = terminal.wait_for("Continue?");
    assert!(asked.contains("root among them") && asked.contains("have no device and will be refused: "), "{asked}");
    terminal.send_line("n");
    assert!(!terminal.wait().success());
    assert_eq!(show()["override"], "none");

    let done = Outcome::of(site.admin_command().args(["require", "--all", "--yes"]), "");
    assert!(is_done_for(&alice, &done), "{done:?}");
    assert_eq!(show()["override"], "required");
}

/// Accounts of other tests come and go meanwhile: it may have failed for those.
fn is_done_for(user: &TestUser, done: &Outcome) -> bool {
    !done.out.contains(&format!("{}: failed: ", user.name)) && (done.code == Some(0) || done.out.contains(": failed: "))
}

/// `otp-enroll admin` where these files are all that is in /etc/pam.d.
fn with_services(site: &Site, services: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    for (name, lines) in services {
        fs::write(folder.path().join(name), lines.replace("pam_otp.so", &site.module())).unwrap();
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc/pam.d && shift && exec \"$@\"", "sh"])
        .arg(folder.path());
    Outcome::of(command.arg("otp-enroll").arg("--config").arg(site.config()).arg("admin").args(arguments), "")
}

#[test]
fn users_without_a_shell_count_where_a_service_that_needs_none_has_a_line() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"required\"\n"));
    users::change(Command::new("usermod").args(["-s", "/usr/sbin/nologin", &alice.name]));
    let name = alice.name.as_str();
    let show = || Outcome::of(site.admin_command().args(["show", "--json", name]), "").json()[0]["override"].clone();
    let lines = "auth required pam_unix.so\nauth required pam_otp.so\n";
    let with_shells = format!("auth required pam_shells.so\n{lines}");
    for (services, counts) in [
        (vec![], false),
        (vec![("sshd", lines)], false),
        (vec![("sshd", lines), ("openvpn", "auth required pam_unix.so\n")], false),
        (vec![("vsftpd", with_shells.as_str())], false),
        (vec![("sshd", lines), ("openvpn", lines)], true),
        (vec![("vsftpd", lines)], true),
        (vec![("imap", lines)], true),
    ] {
        let done = with_services(&site, &services, &["require", "--all", "--yes"]);
        assert!(is_done_for(&alice, &done), "{services:?} {done:?}");
        assert_eq!(show() == "required", counts, "{services:?} {done:?}");
        site.admin(&["unrequire", name]);
        let doctor = with_services(&site, &services, &["doctor", "--json"]);
        let refused = doctor.json()[0]["findings"].to_string();
        let service = services.last().map_or("", |(service, _)| *service);
        let listed = with_services(&site, &services, &["list", "--without-device", "--service", service]);
        if service == "openvpn" && !counts {
            continue; // without a line doctor and require have nothing to say, and list was asked about that service
        }
        assert_eq!(listed.out.contains(name), counts, "{services:?} {listed:?}");
        // doctor names five users; here are root, this machine's users and those of other tests.
        assert!(!counts || refused.contains(" will be refused"), "{refused}");
    }
}

#[test]
fn an_override_to_enroll_comes_before_the_rules() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"optional\"\n"));
    let outcome = || {
        let explain = ["explain", "--json", "--user", &alice.name];
        Outcome::of(site.admin_command().args(explain), "").json()[0].clone()
    };
    assert_eq!(outcome()["outcome"], "not-asked");
    site.admin(&["require", "--enroll", &alice.name]);
    assert_eq!((&outcome()["second_factor"], &outcome()["decided_by"]), (&"enroll".into(), &"override".into()));
    let _ = Phone::enroll(&site, &alice.name);
    assert_eq!(outcome()["outcome"], "asked");
    let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
    assert!(show.out.contains("Override         enroll"), "{show:?}");
}

#[test]
fn a_requirement_holds_before_its_day_and_not_from_then_on() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"optional\"\n"));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let login = || Talk::new(&service, &alice.name).run(&["000000"]).result("authenticate").to_owned();
    let explained = || {
        let explain = ["explain", "--json", "--user", &alice.name];
        Outcome::of(site.admin_command().args(explain), "").json()[0]["second_factor"].clone()
    };
    for (options, shown, second_factor, refusal) in [
        (&["require"][..], "required", "required", "PAM_AUTH_ERR"),
        (&["require", "--enroll"][..], "enroll", "enroll", "PAM_AUTH_ERR"),
    ] {
        let past = Outcome::of(site.admin_command().args(options).args(["--until", "2020-01-31", &alice.name]), "");
        assert_eq!(past.code, Some(2), "{past:?}");
        assert_eq!(login(), "PAM_SUCCESS", "nothing was changed");
        site.admin(&[options, &["--until", "2999-01-31", &alice.name]].concat());
        assert_eq!((login().as_str(), explained()), (refusal, second_factor.into()));
        let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
        assert!(show.out.contains(&format!("Override         {shown} until 2999-01-31")), "{show:?}");
        // 2999-01-31 becomes 1970-01-12.
        site.edit(&alice.name, "override_until = 32474736000", "override_until = 1000000");
        assert_eq!((login().as_str(), explained()), ("PAM_SUCCESS", "optional".into()));
    }
}

#[test]
fn an_exemption_holds_before_its_day_and_not_from_then_on() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"required\"\n"));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let login = || Talk::new(&service, &alice.name).run(&["000000"]).result("authenticate").to_owned();
    assert_eq!(login(), "PAM_AUTH_ERR");
    let past = Outcome::of(site.admin_command().args(["exempt", "--until", "2020-01-31", &alice.name]), "");
    assert_eq!(past.code, Some(2), "{past:?}");
    site.admin(&["exempt", "--until", "2999-01-31", &alice.name]);
    assert_eq!(login(), "PAM_SUCCESS");
    let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
    assert!(show.out.contains("Override         exempt until 2999-01-31"), "{show:?}");
    // 2999-01-31 becomes 1970-01-12.
    site.edit(&alice.name, "override_until = 32474736000", "override_until = 1000000");
    assert_eq!(login(), "PAM_AUTH_ERR");
}

#[test]
fn a_user_whom_a_rule_requires_is_told_what_disabling_means() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let phone = Phone::enroll(&site, &alice.name);
    let (config, name) = (site.config().to_str().unwrap().to_owned(), alice.name);
    let rule = |condition: &str, value: &str| format!("[[policy.rule]]\n{condition}\nsecond_factor = \"{value}\"\n");
    let is_refused = format!("Without one {name} will be refused.");
    for (rules, told) in [
        (
            "[policy]\nsecond_factor = \"required\"\n".to_owned(),
            format!("The policy requires a second factor of {name}. {is_refused}"),
        ),
        (
            rule("tty = \"tty9\"", "skip") + &rule("service = \"sshd\"", "required"),
            format!("Rule 2 of the policy requires a second factor of {name} at logins through sshd. {is_refused}"),
        ),
        (
            rule(&format!("group = \"{name}\""), "enroll"),
            format!("of {name}. Without one {name} must set up another one at the next login, or is refused."),
        ),
        (rule(&format!("user = \"{name}\""), "optional"), format!("{name} will have no second factor, and cannot")),
        (String::new(), format!("{name} will have no second factor, and cannot log in where one is required.")),
    ] {
        site.set(&rules);
        let disable = ["--config", &config, "--user", &name, "disable"];
        let mut terminal = Pty::new("otp-enroll").size(300, 24).args(disable).start();
        let asked = terminal.wait_for("Continue?");
        assert!(asked.contains(&told), "{rules}: {asked}");
        terminal.send_line("n");
        assert!(!terminal.wait().success());
        assert!(site.credentials(&name).exists(), "{rules}");
    }
    // A script that answers in advance is told on standard error.
    site.set("[policy]\nsecond_factor = \"required\"\n");
    let mut disable = Command::new("otp-enroll");
    disable.args(["--config", &config, "--user", &name, "disable", "--yes", "--stdin"]);
    let said = Outcome::of(&mut disable, &format!("{}\n", phone.next_code()));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains(&format!("warning: The policy requires a second factor of {name}.")), "{said:?}");
}
