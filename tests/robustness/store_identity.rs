//! Records that are not there: an empty folder, a restore without its id, an empty configuration. Absence is no
//! enrollment only where the store proves that it is the one of the configuration.

use pam_otp_tests::conversation::Talk;
use pam_otp_tests::desk::Desk;
use pam_otp_tests::machine;
use pam_otp_tests::outcome::Outcome;
use pam_otp_tests::syslog;
use pam_otp_tests::users::TestUser;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The result of a login that gives no answer, and what the log says.
fn refused_without_an_answer(desk: &Desk, user: &str, result: &str, what: &str) {
    let mark = syslog::mark();
    let transcript = Talk::new(&desk.service, user).run::<&str>(&[]);
    assert_eq!(transcript.result("authenticate"), result, "{what}: {transcript}");
    let log = syslog::of_module(mark, transcript.pid).join("\n");
    assert!(log.contains(what), "{what}: {log}");
}

fn check_and_doctor_report(desk: &Desk, what: &str) {
    for command in ["check", "doctor"] {
        let outcome = Outcome::of(desk.site.admin_command().arg(command), "");
        let report = outcome.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(outcome.code, Some(1), "{command}: {outcome:?}");
        assert!(report.contains(what) || command == "doctor", "{command}: {outcome:?}");
    }
}

#[test]
fn an_empty_folder_in_place_of_the_records_lets_nobody_in() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    desk.service.set(&(desk.site.auth("required", "") + "auth required pam_permit.so\n"));
    let (state, aside) = (desk.site.state(), desk.site.state().with_extension("aside"));
    assert_eq!(Talk::new(&desk.service, &bob.name).run::<&str>(&[]).result("authenticate"), "PAM_SUCCESS");

    // As after a boot without the disk, where tmpfiles.d makes the folder.
    fs::rename(state, &aside).unwrap();
    machine::run(Command::new("install").args(["-d", "-m", "1730", "-o", "root", "-g", "pam_otp"]).arg(state));
    let missing = format!("{}/.store-id is missing", state.display());
    for user in [&desk.user.name, &bob.name] {
        refused_without_an_answer(&desk, user, "PAM_AUTHINFO_UNAVAIL", &missing);
    }
    check_and_doctor_report(&desk, &missing);
    // An installation does not take it for a new store, and a script that did not ask changes nothing.
    for arguments in [["init-store", "--if-new"].as_slice(), &["init-store"]] {
        let outcome = Outcome::of(desk.site.admin_command().args(arguments), "");
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(!state.join(".store-id").is_symlink());
    }

    fs::remove_dir(state).unwrap();
    fs::rename(&aside, state).unwrap();
    assert_eq!(desk.talk().run(&[&desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn root_can_say_which_folder_is_the_right_one() {
    let desk = Desk::new("");
    let (within, beside) = (desk.site.state().join(".store-id"), desk.site.config().with_file_name("store-id"));
    let login = |result: &str| {
        let answers = if result == "PAM_SUCCESS" { vec![desk.next()] } else { Vec::new() };
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let transcript = desk.talk().run(&answers);
        assert_eq!(transcript.result("authenticate"), result, "{transcript}");
    };
    login("PAM_SUCCESS");
    fs::remove_file(&beside).unwrap();
    symlink("f".repeat(32), &beside).unwrap();
    login("PAM_AUTHINFO_UNAVAIL");
    check_and_doctor_report(&desk, "holds another id");
    let before = fs::read_link(&within).unwrap();
    desk.site.admin(&["init-store", "--yes"]);
    login("PAM_SUCCESS");
    assert_eq!(fs::read_link(&within).unwrap(), before, "other configurations may use the folder too");

    fs::remove_file(&within).unwrap();
    login("PAM_AUTHINFO_UNAVAIL");
    desk.site.admin(&["init-store", "--yes"]);
    login("PAM_SUCCESS");
    assert_ne!(fs::read_link(&within).unwrap(), before, "the folder that has the old id may be mounted later");

    // Neither: a new store, which an installation initializes.
    [&within, &beside].into_iter().for_each(|id| fs::remove_file(id).unwrap());
    login("PAM_AUTHINFO_UNAVAIL");
    desk.site.admin(&["init-store", "--if-new"]);
    login("PAM_SUCCESS");
}

#[test]
fn an_empty_configuration_lets_nobody_in() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    desk.site.write("");
    for user in [&desk.user.name, &bob.name] {
        refused_without_an_answer(&desk, user, "PAM_SERVICE_ERR", "is empty: it was cut off");
    }
    check_and_doctor_report(&desk, "is empty: it was cut off");
}

#[test]
fn an_installation_has_both_ids_and_the_helper_reads_them() {
    let alice = TestUser::new("alice");
    let ids = ["/etc/pam_otp/store-id", "/var/lib/pam_otp/.store-id"];
    assert_eq!(fs::read_link(ids[0]).unwrap(), fs::read_link(ids[1]).unwrap());
    let outcome = Outcome::of(alice.command("otp-enroll").args(["status", "--json"]), "");
    assert!(outcome.out.contains("\"enrolled\":false") || outcome.code == Some(3), "{outcome:?}");
    let outcome = Outcome::of(Command::new("otp-enroll").args(["admin", "init-store", "--if-new"]), "");
    assert_eq!((outcome.code, outcome.out.contains("already")), (Some(0), true), "{outcome:?}");
}
