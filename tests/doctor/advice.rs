//! What doctor advises: no fault outside the records may cost a record.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::{fs, process::Command};

use pam_otp_tests::{
    outcome::Outcome,
    phone::Phone,
    site::Site,
    users::{self, TestUser},
};
use serde_json::Value;

/// The findings of a service that asks for password and code, those of the clock excepted.
fn findings(site: &Site) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("auth requisite pam_unix.so\nauth required {}\n", site.module());
    fs::write(folder.path().join("vpn"), lines).unwrap();
    let mut doctor = site.admin_command();
    doctor.args(["doctor", "--json", "--pam"]).arg(folder.path());
    let outcome = Outcome::of(&mut doctor, "");
    let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
    let is_of_this_machine = |finding: &Value| {
        // A site of the tests has a wide window.
        finding["subjects"][0] == "clock" || finding["what"].as_str().unwrap().starts_with("code.window and ")
    };
    (outcome.code, findings.into_iter().filter(|finding| !is_of_this_machine(finding)).collect())
}

#[test]
fn a_group_that_no_service_knows_is_one_fault_of_the_configuration() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let site = Site::new("[[policy.rule]]\ngroup = \"amdins\"\nsecond_factor = \"required\"\n");
    let _ = (Phone::enroll(&site, &alice.name), Phone::enroll(&site, &bob.name));
    let (code, found) = findings(&site);
    assert_eq!((code, found.len()), (Some(1), 1), "{found:#?}");
    assert_eq!(found[0]["subjects"][0], "configuration");
    assert!(found[0]["what"].as_str().unwrap().contains("names the group amdins, which does not exist"), "{found:#?}");
    assert!(!found[0].to_string().contains("admin reset"), "{found:#?}");
}

#[test]
fn a_module_whose_name_is_misspelled_is_a_fault() {
    let site = Site::new("");
    for (line, expected) in [
        ("auth required pam_otp\n", "there is no module pam_otp:"),
        ("auth required pam_opt.so\n", "there is no module pam_opt.so:"),
        ("-auth required pam_otp.so\nauth required pam_permit.so\n", "the line begins with a dash"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vpn"), format!("auth requisite pam_unix.so\n{line}")).unwrap();
        let mut doctor = site.admin_command();
        doctor.args(["doctor", "--json", "--pam"]).arg(folder.path());
        let outcome = Outcome::of(&mut doctor, "");
        let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let found = findings.iter().filter(|finding| finding["what"].as_str().unwrap().contains(expected)).count();
        assert_eq!(found, 1, "{line}: {findings:#?}");
        assert_eq!(outcome.code == Some(1), !line.starts_with('-'), "{findings:#?}");
    }
}

#[test]
fn a_record_whose_account_is_gone_is_noted_once() {
    let site = Site::new("");
    let gone = TestUser::new("alice").name;
    let _ = Phone::enroll(&site, &gone);
    // The number of the newest account would go to the next one, of another test.
    let _newer = TestUser::new("bob");
    users::change(Command::new("userdel").arg(&gone));
    let (_, found) = findings(&site);
    let of_records: Vec<_> = found.iter().filter(|finding| finding["subjects"][0] == "records").collect();
    assert_eq!(of_records.len(), 1, "{found:#?}");
    let expected = format!("records of {gone}, and no such account");
    assert!(of_records[0]["what"].as_str().unwrap().contains(&expected), "{found:#?}");
}

#[test]
fn users_whom_policy_refuses_make_the_exit_code_1() {
    let alice = TestUser::new("alice");
    let site = Site::new(&format!(
        "[policy]\nsecond_factor = \"skip\"\n[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"required\"\n",
        alice.name
    ));
    let (code, found) = findings(&site);
    assert_eq!((code, found.len()), (Some(1), 1), "{found:#?}");
    let what = found[0]["what"].as_str().unwrap();
    assert!(found[0]["severity"] == "fault" && what.starts_with(&format!("{} will be refused", alice.name)), "{what}");
    let _ = Phone::enroll(&site, &alice.name);
    assert_eq!(findings(&site), (Some(0), vec![]));
}

/// The only finding: what, and its fix.
#[track_caller]
fn only(site: &Site) -> (String, String) {
    let (_, found) = findings(site);
    assert_eq!(found.len(), 1, "{found:#?}");
    let text = |key: &str| found[0][key].as_str().unwrap().to_owned();
    (text("what"), text("fix"))
}

#[test]
fn a_user_whom_an_override_refuses_is_told_apart_from_one_whom_policy_refuses() {
    let alice = TestUser::new("alice");
    let site = Site::new("[policy]\nsecond_factor = \"skip\"\n");
    site.admin(&["require", "--yes", &alice.name]);
    let (what, fix) = only(&site);
    assert!(what.ends_with("will be refused: an override requires a second factor, and they have no device"), "{what}");
    assert!(fix.contains("otp-enroll admin unrequire USER") && !fix.contains("policy"), "{fix}");
    site.admin(&["unrequire", &alice.name]);
    assert_eq!(findings(&site), (Some(0), vec![]));
}

#[test]
fn a_user_with_devices_of_other_kinds_alone_is_a_fault() {
    let alice = TestUser::new("alice");
    let skip = "[policy]\nsecond_factor = \"skip\"\n";
    let site = Site::new(skip);
    let _ = Phone::enroll(&site, &alice.name);
    let rule = |devices: &str| {
        let name = &alice.name;
        format!("{skip}[[policy.rule]]\nuser = \"{name}\"\nsecond_factor = \"optional\"\ndevices = [{devices}]\n")
    };
    site.set(&rule("\"hotp\", \"ocra\""));
    let (what, fix) = only(&site);
    let expected =
        format!("{} will be refused: policy accepts only hotp, ocra, and they have no such device", alice.name);
    assert_eq!((what, fix.contains("`devices` of the policy")), (expected, true), "{fix}");
    site.set(&rule("\"totp\""));
    assert_eq!(findings(&site), (Some(0), vec![]));
}

#[test]
fn a_mail_user_without_a_shell_is_refused_too() {
    let alice = TestUser::new("alice");
    users::change(Command::new("usermod").args(["-s", "/bin/false", &alice.name]));
    let site = Site::new(&format!(
        "[policy]\nsecond_factor = \"skip\"\n[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"required\"\n",
        alice.name
    ));
    for (service, refused) in [("sudo", false), ("dovecot", true), ("openvpn", true)] {
        let folder = tempfile::tempdir().unwrap();
        let lines = format!("auth requisite pam_unix.so\nauth required {}\n", site.module());
        fs::write(folder.path().join(service), lines).unwrap();
        let mut doctor = site.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
        let findings = outcome.json()[0]["findings"].to_string();
        assert_eq!(findings.contains(&format!("{} will be refused", alice.name)), refused, "{service}: {findings}");
        assert_eq!(outcome.code, Some(i32::from(refused)), "{outcome:?}");
    }
}

#[test]
fn a_record_that_cannot_be_used_is_a_fault_whoever_has_it() {
    let alice = TestUser::new("alice");
    let site = Site::new("");
    let _ = Phone::enroll(&site, &alice.name);
    users::change(Command::new("usermod").args(["-s", "/usr/sbin/nologin", &alice.name]));
    assert_eq!(findings(&site).0, Some(0));
    let state = site.state_file(&alice.name);
    fs::remove_file(&state).unwrap();
    let (code, found) = findings(&site);
    assert_eq!((code, found.len()), (Some(1), 1), "{found:#?}");
    assert!(found[0]["what"].as_str().unwrap().contains("is missing"), "{found:#?}");
    // No service asks for a code.
    let folder = tempfile::tempdir().unwrap();
    let mut doctor = site.admin_command();
    let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

#[test]
fn a_damaged_record_is_a_fault_with_a_fix_of_its_own() {
    let alice = TestUser::new("alice");
    let site = Site::new("");
    let _ = Phone::enroll(&site, &alice.name);
    site.edit(&alice.name, "version = 1", "version = 7");
    let (code, found) = findings(&site);
    assert_eq!((code, found.len()), (Some(1), 1), "{found:#?}");
    assert!(found[0]["what"].as_str().unwrap().contains("has version 7"), "{found:#?}");
    assert!(!found[0].to_string().contains("admin reset"), "{found:#?}");
}
