//! The first device where policy wants a passcode before it (`passcode = true`), through the helper and `otp-enroll`; and as
//! many recovery codes as are wanted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::{App, Enrolled, codes},
    machine,
    outcome::{Dialogue, Outcome},
    pty::Pty,
    site::{self, HELPER},
    syslog,
    users::TestUser,
};
use serde_json::{Value, json};
use std::{fs, process::Command};
use tempfile::TempDir;

/// The machine's configuration as one user sees it, in a mount namespace: the helper reads no other.
struct Wanted {
    user: TestUser,
    folder: TempDir,
}

impl Wanted {
    fn new() -> Wanted {
        machine::require("a configuration");
        let folder = tempfile::tempdir().unwrap();
        machine::run(Command::new("chmod").arg("755").arg(folder.path()));
        let policy = "[policy]\nsecond_factor = \"enroll\"\npasscode = true\n";
        fs::write(folder.path().join("pam_otp.toml"), policy).unwrap();
        site::same_id(folder.path());
        Wanted { user: TestUser::new("alice"), folder }
    }

    /// A program that runs as the user, in the user's home.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        let script = format!(
            "mount --bind {} /etc/pam_otp && cd {} && exec setpriv --reuid {} --regid {} --clear-groups \"$@\"",
            self.folder.path().display(),
            self.user.home.display(),
            self.user.uid,
            self.user.gid
        );
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", program]).args(arguments);
        command
    }

    fn enroll(&self, arguments: &[&str]) -> Dialogue {
        Dialogue::start(&mut self.command("otp-enroll", &[&["--json"][..], arguments].concat()))
    }

    fn is_enrolled(&self) -> bool {
        let shown = Outcome::of(Command::new("otp-enroll").args(["admin", "show", "--json", &self.user.name]), "");
        shown.json()[0]["enrolled"] == true
    }
}

/// Root issues a passcode to this user.
fn issue(user: &TestUser, arguments: &[&str]) -> String {
    let said = machine::run(Command::new("otp-enroll").args(["admin", "issue", &user.name]).args(arguments));
    said.split_once(" is ").unwrap().0.to_owned()
}

fn error(outcome: &Outcome) -> String {
    outcome.json().last().unwrap()["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_stolen_password_alone_enrolls_no_device() {
    let wanted = Wanted::new();
    let alice = &wanted.user;
    let without = Outcome::of(&mut wanted.command("otp-enroll", &["--json"]), "");
    assert_eq!((without.code, error(&without).as_str()), (Some(4), "the input ended before the question was answered"));
    for (typed, why) in [
        ("K7QD-M3XA-92TE", "that is not the passcode that was issued to you"),
        ("123456", "that is not the passcode that was issued to you"),
        ("", "that is not the passcode that was issued to you"),
    ] {
        let refused = Outcome::of(&mut wanted.command("otp-enroll", &["--json"]), &format!("{typed}\n123456\n"));
        assert_eq!((refused.code, error(&refused).as_str()), (Some(1), why), "{typed}");
    }
    // Whatever the helper is sent.
    let helper = |request: Value| {
        let mut helper = Dialogue::start(&mut wanted.command(HELPER, &[]));
        helper.say(&request.to_string());
        helper.json()
    };
    let needed = json!({"declined": "passcode-needed"});
    assert_eq!(helper(json!({"enroll": {"proof": null}})), needed);
    assert_eq!(helper(json!({"add": {"name": null, "proof": null, "token": null}})), needed);
    assert_eq!(helper(json!({"enroll": {"proof": "123456"}})), json!({"verdict": "refused passcode-unknown"}));
    assert_eq!(helper(json!({"activate": {}})), json!({"declined": "nothing-offered"}));
    assert!(!wanted.is_enrolled());

    let of_sshd = issue(alice, &["--service", "sshd"]);
    let elsewhere = Outcome::of(&mut wanted.command("otp-enroll", &["--json"]), &format!("{of_sshd}\n"));
    assert_eq!((elsewhere.code, error(&elsewhere).as_str()), (Some(1), "that passcode is not accepted here"));

    let mark = syslog::mark();
    let passcode = issue(alice, &[]);
    let mut talk = wanted.enroll(&["--count", "4"]);
    talk.say(&passcode.to_lowercase());
    let app = App::scan(talk.json()["uri"].as_str().unwrap());
    talk.say(&app.code(0));
    assert_eq!(codes(&talk.json()["recovery_codes"]).len(), 4);
    assert_eq!(talk.end().code, Some(0));
    assert!(wanted.is_enrolled());
    let lines = syslog::lines_since(mark).join("\n");
    for line in [
        format!("proved user={} by_uid={} change=enrollment proof=passcode", alice.name, alice.uid),
        format!("enrolled user={} by_uid={} proof=passcode", alice.name, alice.uid),
    ] {
        assert!(lines.contains(&line), "{line}\n{lines}");
    }
}

#[test]
fn an_enrollment_that_is_broken_off_has_used_the_passcode() {
    let wanted = Wanted::new();
    let passcode = issue(&wanted.user, &[]);
    let mut talk = wanted.enroll(&[]);
    talk.say(&passcode);
    talk.json();
    assert_ne!(talk.end().code, Some(0));
    let again = Outcome::of(&mut wanted.command("otp-enroll", &["--json"]), &format!("{passcode}\n"));
    assert_eq!((again.code, error(&again).as_str()), (Some(1), "that passcode was used already"));
    assert!(again.err.contains("ask your administrator for one: otp-enroll admin issue"), "{again:?}");
    assert!(!wanted.is_enrolled());
}

#[test]
fn the_guide_asks_for_it_first() {
    let wanted = Wanted::new();
    let command = wanted.command("otp-enroll", &[]);
    let mut terminal = Pty::new(command.get_program()).args(command.get_args()).start();
    terminal.wait_for("Passcode from your administrator: ");
    terminal.send_line(&issue(&wanted.user, &[]));
    terminal.wait_for_screen("Code that the app shows: ");
}

#[test]
fn root_enrolls_a_user_without_one() {
    let wanted = Wanted::new();
    let script = format!("mount --bind {} /etc/pam_otp && exec \"$@\"", wanted.folder.path().display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", "otp-enroll", "--json"]);
    Enrolled::by(command.args(["--user", &wanted.user.name]));
    assert!(wanted.is_enrolled());
}

#[test]
fn as_many_recovery_codes_are_made_as_are_wanted() {
    let alice = TestUser::new("alice");
    let said = |arguments: &[&str], input: &str| Outcome::of(alice.command("otp-enroll").args(arguments), input);
    for (count, code) in [("0", 1), ("11", 1), ("255", 1), ("256", 2), ("-1", 2), ("many", 2), ("", 2)] {
        let refused = said(&["--json", &format!("--count={count}")], "");
        assert_eq!(refused.code, Some(code), "{count}: {refused:?}");
        if code == 1 {
            assert_eq!(error(&refused), "the number of recovery codes is 1 to 10");
        }
    }
    let one = Enrolled::by(alice.command("otp-enroll").args(["--json", "--count", "1"]));
    assert_eq!(one.recovery.len(), 1);
    let refused = said(&["recovery", "--json", "--count", "11"], &one.recovery[0]);
    assert_eq!(error(&refused), "the number of recovery codes is 1 to 10");
    // The proof was not used up for it.
    let made = said(&["recovery", "--json", "--count", "3"], &one.recovery[0]);
    let three = codes(&made.json()[0]["recovery_codes"]);
    assert_eq!(three.len(), 3, "{made:?}");
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(["reset", "--json", "--count", "2"]));
    talk.say(&three[0]);
    let app = App::scan(talk.json()["uri"].as_str().unwrap());
    talk.say(&app.code(0));
    assert_eq!(codes(&talk.json()["recovery_codes"]).len(), 2);
    assert_eq!(talk.end().code, Some(0));
    for misplaced in [&["--count", "3", "status"][..], &["--count", "3", "recovery"], &["status", "--count", "3"]] {
        assert_eq!(said(misplaced, "").code, Some(2), "{misplaced:?}");
    }
}
