//! A renamed account, and an account that got the number of a removed one: refused until an administrator decides.

use pam_otp_tests::{
    app::Enrolled,
    conversation::Talk,
    desk::Desk,
    machine,
    name_service::NameService,
    outcome::Outcome,
    service::Service,
    site::Site,
    syslog,
    users::{self, TestUser, account_lock},
};
use std::{fs, process::Command, time::Duration};

/// Does not answer about any user.
const SILENT: &str = r"
#include <errno.h>
#include <nss.h>
#include <pwd.h>

enum nss_status _nss_NAME_getpwnam_r(const char *name, struct passwd *found, char *room, size_t size, int *errnop) {
  *errnop = ECONNREFUSED;
  return NSS_STATUS_UNAVAIL;
}
";

const HINT: &str = "hint=\"the account was renamed, or its number went to another person: `otp-enroll admin doctor` names the \
                    old record; then `otp-enroll admin rename OLD NEW`, or `otp-enroll admin disable OLD`\"";

/// A user who was enrolled and renamed, before a service that lets users without a device in unasked.
struct Renamed {
    desk: Desk,
    service: Service,
    old: String,
    new: String,
}

impl Renamed {
    fn new() -> Renamed {
        let desk = Desk::new("");
        let service = Service::private(&(desk.site.auth("required", "") + "auth required pam_permit.so\n"));
        let (old, new) = (desk.user.name.clone(), machine::unique("renamed"));
        users::change(Command::new("usermod").args(["-l", &new, &old]));
        Renamed { desk, service, old, new }
    }

    /// The result of a login under the new name, and the module's lines in the log.
    fn login(&self, answer: &str) -> (String, Vec<String>) {
        log_in(&self.service, &self.new, answer)
    }

    fn refused(&self) -> (String, Vec<String>) {
        ("PAM_AUTH_ERR".to_owned(), vec![format!("notice refused user={} why=renamed {HINT}", self.new)])
    }

    fn admin(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.desk.site.admin_command().args(arguments), "")
    }
}

fn log_in(service: &Service, user: &str, answer: &str) -> (String, Vec<String>) {
    let mark = syslog::mark();
    let said = Talk::new(service, user).run(&[answer]);
    (said.result("authenticate").to_owned(), syslog::of_module(mark, said.pid))
}

#[test]
fn a_renamed_account_is_refused_until_its_record_has_the_new_name() {
    let desk = Renamed::new();
    let (old, new) = (desk.old.as_str(), desk.new.as_str());
    let used = desk.desk.next();
    for answer in [used.as_str(), "000000", "password"] {
        assert_eq!(desk.login(answer), desk.refused(), "{answer}");
    }
    let explained = desk.admin(&["explain", "--user", new]);
    assert!(
        explained.out.contains(&format!("If the account was renamed: otp-enroll admin rename {old} {new}\n")),
        "{explained:?}"
    );
    assert!(explained.out.contains(&format!("otp-enroll admin disable {old}\n")), "{explained:?}");
    let doctor = desk.admin(&["doctor", "--json"]);
    assert!(doctor.code == Some(1) && doctor.out.contains(&format!("admin rename {old} {new}; ")), "{doctor:?}");
    // The user's own enrollment would be a way around the old device.
    let mut enroll = Command::new("otp-enroll");
    enroll.arg("--config").arg(desk.desk.site.config()).args(["--json", "--user", new]);
    let enrolled = Outcome::of(&mut enroll, "");
    assert!(enrolled.code == Some(1) && enrolled.err.contains("admin rename OLD NEW"), "{enrolled:?}");

    let unasked = desk.admin(&["rename", old, new]);
    assert!(unasked.code == Some(2) && unasked.err.contains("add --yes"), "{unasked:?}");
    assert_eq!(desk.login("000000"), desk.refused());
    let mark = syslog::mark();
    let renamed = desk.admin(&["rename", "--yes", old, new]);
    assert_eq!(renamed.code, Some(0), "{renamed:?}");
    assert!(
        renamed.out.contains("has a device since")
            && renamed.out.ends_with(&format!("{new}: has the record of {old} now\n"))
    );
    let line = syslog::wait_for(mark, &format!("renamed user={new} by_uid=0 from={old}"), Duration::from_secs(5));
    assert!(line.is_ok(), "{line:?}");
    assert_eq!(desk.login("000000").0, "PAM_AUTH_ERR");
    assert_eq!(desk.login(&used).0, "PAM_SUCCESS");
    assert!(desk.login(&used).1.concat().contains("why=replayed"));
    assert!(!desk.desk.site.credentials(old).exists() && !desk.desk.site.state_file(old).exists());
    let again = desk.admin(&["rename", "--yes", old, new]);
    assert!(again.code == Some(0) && again.out.contains("nothing to do"), "{again:?}");
    assert_eq!(desk.admin(&["rename", "--yes", "nobody-of-that-name", "root"]).code, Some(3));
}

#[test]
fn a_requirement_of_one_user_is_not_lost_by_a_new_name() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let new = machine::unique("renamed");
    site.admin(&["require", &alice.name]);
    users::change(Command::new("usermod").args(["-l", &new, &alice.name]));
    assert!(log_in(&service, &new, "000000").1.concat().contains("why=renamed"));
    // An exemption asks for nothing under either name.
    site.admin(&["disable", "--yes", &alice.name]);
    assert_eq!(log_in(&service, &new, "000000").0, "PAM_SUCCESS");
}

#[test]
fn two_names_with_one_number_stay_two_users() {
    let desk = Desk::new("");
    let service = Service::private(&(desk.site.auth("required", "") + "auth required pam_permit.so\n"));
    let another = desk.user.another_name();
    assert_eq!(log_in(&service, &another, "000000").0, "PAM_SUCCESS", "it has no device");
    let refused = Outcome::of(desk.site.admin_command().args(["rename", "--yes", &desk.user.name, &another]), "");
    assert!(refused.code == Some(4) && refused.err.contains("exists, and the record is its own"), "{refused:?}");
    let mut enroll = Command::new("otp-enroll");
    enroll.arg("--config").arg(desk.site.config()).args(["--json", "--user", &another]);
    let enrolled = Enrolled::by(&mut enroll);
    assert_eq!(log_in(&service, &another, &enrolled.app.code(1)).0, "PAM_SUCCESS");
    assert_eq!(log_in(&service, &desk.user.name, &desk.next()).0, "PAM_SUCCESS");
}

#[test]
fn a_number_that_went_to_another_person_is_refused_until_the_old_record_is_removed() {
    let desk = Desk::new("");
    let service = Service::private(&(desk.site.auth("required", "") + "auth required pam_permit.so\n"));
    let (old, uid) = (desk.user.name.clone(), desk.user.uid.to_string());
    let new = machine::unique("another");
    {
        // No user of another test gets the number between the two.
        let _one_at_a_time = account_lock();
        machine::run(Command::new("userdel").arg(&old));
        machine::run(Command::new("useradd").args(["--uid", &uid, "--create-home", &new]));
    }
    assert!(log_in(&service, &new, "000000").1.concat().contains("why=renamed"));
    let disabled = Outcome::of(desk.site.admin_command().args(["disable", "--yes", &old]), "");
    assert_eq!(disabled.code, Some(0), "{disabled:?}");
    assert_eq!(log_in(&service, &new, "000000").0, "PAM_SUCCESS");
    assert!(!desk.site.state().join(format!(".uid-{uid}")).exists());
}

#[test]
fn a_name_service_that_does_not_answer_does_not_say_that_a_name_is_gone() {
    let desk = Renamed::new();
    let names = NameService::new(SILENT, "passwd: files SERVICE\ngroup: files");
    let talk = Talk::new(&desk.service, &desk.new);
    let mark = syslog::mark();
    let mut conversation = talk.start_as(names.around(&talk.command()));
    conversation.answer("000000");
    let said = conversation.finish();
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
    let log = syslog::of_module(mark, said.pid).concat();
    assert!(log.contains(&format!("cannot look up the user '{}'", desk.old)), "{log}");
    // Where no code is asked for, it does not matter.
    desk.desk.site.set("[policy]\nsecond_factor = \"skip\"\n");
    assert_eq!(desk.login("000000").0, "PAM_SUCCESS");
}

#[test]
fn a_record_of_an_earlier_version_is_entered_by_the_installation() {
    let desk = Desk::new("");
    let index = desk.site.state().join(format!(".uid-{}", desk.user.uid));
    fs::remove_file(&index).unwrap();
    let doctor = || Outcome::of(desk.site.admin_command().args(["doctor", "--json"]), "").out;
    assert!(doctor().contains(&format!("the records of {} are not in the index by number", desk.user.name)));
    assert_eq!(Outcome::of(desk.site.admin_command().args(["init-store", "--if-new"]), "").code, Some(0));
    assert!(index.exists() && !doctor().contains("not in the index by number"));
}

#[test]
fn no_override_hides_the_record_of_a_renamed_account() {
    let desk = Renamed::new();
    for command in [&["exempt"][..], &["require"], &["require", "--enroll"], &["unrequire"]] {
        let outcome = desk.admin(&[command, &[desk.new.as_str()]].concat());
        assert_ne!(outcome.code, Some(0), "{command:?} {outcome:?}");
        let hint = format!("otp-enroll admin rename {} {}", desk.old, desk.new);
        assert!(outcome.err.contains(&hint), "{command:?} {outcome:?}");
        assert_eq!(desk.login(&desk.desk.next()), desk.refused());
    }
    assert_eq!(desk.admin(&["rename", "--yes", &desk.old, &desk.new]).code, Some(0));
    assert_eq!(desk.admin(&["exempt", &desk.new]).code, Some(0));
}
