//! The helper that a PAM host of root starts for an enrollment during a login: nothing is enrolled without it, it is root's alone,
//! and it ends with its host.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Conversation, Talk},
    desk::{CODE, UNAVAILABLE},
    machine,
    outcome::Outcome,
    phone::{Phone, key},
    pty::{PATIENCE, Pty},
    service::Service,
    site::{HELPER, Site},
    syslog,
    users::TestUser,
};
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

const NEW_CODE: &str = "Code that the app shows: ";
const WRITTEN_DOWN: &str = "Type yes when you have written them down: ";
const HINT: &str = "check that the helper is installed and set-group-ID pam_otp, and that SELinux or AppArmor lets the service start it";
const OTHER_VERSION: &str =
    "install module, otp-enroll, helper and agent of the same version, then restart the service";

/// A user without a device, at a service that leads to one.
struct Desk {
    user: TestUser,
    site: Site,
    service: Service,
}

impl Desk {
    fn new() -> Desk {
        let site = Site::new("[policy]\nsecond_factor = \"enroll\"\n");
        Desk { user: TestUser::new("al"), service: Service::private(&site.set_up_stack()), site }
    }

    fn talk(&self) -> Talk {
        Talk::new(&self.service, &self.user.name).calls("login")
    }

    /// A host of root with another helper than the machine's: `mount` puts it in place, for this process alone.
    fn start_with(&self, mount: &[&str]) -> Conversation {
        let host = self.talk().command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount \"$1\" \"$2\" \"$3\" && shift 3 && exec \"$@\"", "sh"]);
        command.args(mount).arg(host.get_program()).args(host.get_args());
        self.talk().start_as(command)
    }

    fn start_with_script(&self, text: &str) -> Conversation {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("script"), format!("#!/bin/sh\n{text}\n")).unwrap();
        let path = Path::new(HELPER).with_file_name(machine::unique("helper"));
        machine::run(Command::new("install").args(["-m", "0755"]).arg(dir.path().join("script")).arg(&path));
        self.start_with(&["--bind", &path.display().to_string(), HELPER])
    }

    /// Ends without a device, with a line in the log that says what became of the helper.
    fn nothing_is_set_up(&self, talk: Conversation, mark: syslog::Mark, what: &str, hint: &str) {
        let said = talk.finish();
        let log = syslog::of_module(mark, said.pid);
        let result = (said.result("login"), said.texts().pop());
        assert_eq!(result, ("PAM_AUTHINFO_UNAVAIL", Some(UNAVAILABLE)), "{what}: {said}\n{log:#?}");
        let line = format!("err error user={} error=\"the helper {HELPER} {what}\" hint=\"{hint}\"", self.user.name);
        assert_eq!(log.last(), Some(&line), "{what}");
        assert_eq!(self.site.files(), BTreeSet::new(), "{what}");
    }
}

#[test]
fn without_a_helper_no_device_is_set_up_and_a_code_lets_in_all_the_same() {
    let desk = Desk::new();
    let folder = Path::new(HELPER).parent().unwrap().display().to_string();
    let without = ["-ttmpfs", "none", &folder];
    let mark = syslog::mark();
    desk.nothing_is_set_up(desk.start_with(&without), mark, "cannot be reached: No such file or directory", HINT);
    for (text, what, hint) in [
        ("read line", "cannot be reached: unexpected end of file", HINT),
        ("exec cat", "gave an answer that cannot be parsed (is it of another version?)", OTHER_VERSION),
        // It is asked for an offer.
        (
            "read line; echo '{\"login\":\"in-force\"}'",
            "gave an answer that cannot be parsed (is it of another version?)",
            OTHER_VERSION,
        ),
        ("read line; echo '{\"failed\":{\"error\":\"no\",\"hint\":\"go\"}}'", "reports: no", "go"),
    ] {
        let mark = syslog::mark();
        desk.nothing_is_set_up(desk.start_with_script(text), mark, what, hint);
    }

    let phone = Phone::enroll(&desk.site, &desk.user.name);
    let mut talk = desk.start_with(&without);
    assert_eq!(talk.prompt(), CODE);
    talk.answer(phone.next_code());
    assert_eq!(talk.finish().result("login"), "PAM_SUCCESS");
}

#[test]
fn a_host_that_is_killed_takes_its_helper_along() {
    let desk = Desk::new();
    let mut talk = desk.talk().start();
    assert_eq!(talk.prompt(), NEW_CODE);
    assert_eq!(desk.site.helpers().len(), 1, "it keeps the offer while the user types");
    talk.kill();
    let ended = machine::wait(PATIENCE, || desk.site.helpers().is_empty().then_some(()));
    assert!(ended.is_some() && desk.site.files().is_empty());
    // And one that ends as it should.
    let mut talk = desk.talk().start();
    talk.prompt();
    talk.answer("000000");
    talk.prompt();
    assert_eq!(desk.site.helpers().len(), 1);
    talk.finish();
    assert_eq!(desk.site.helpers(), [""; 0]);
}

/// Nor do the limits that this user set reach it.
#[test]
fn who_starts_su_cannot_stop_the_helper_that_enrolls() {
    let (alice, bob, site) = (TestUser::new("al"), TestUser::new("bob"), Site::new(""));
    site.set("[policy]\nsecond_factor = \"enroll\"\n");
    let _su = Service::installed_as("su", &site.example_stack("password-and-code-with-set-up"));
    let line = format!("umask 0; ulimit -S -f 0; exec su -c 'echo LET-IN' {}", bob.name);
    let mut terminal = Pty::new("bash").args(["-c", &line]).user(&alice).start();
    terminal.wait_for("Password: ");
    terminal.send_line(&bob.password);
    let phone = Phone::with_key(&site, &bob.name, &key(&terminal.wait_for(NEW_CODE)));

    let helpers = site.helpers();
    let [helper] = helpers.as_slice() else { panic!("{helpers:?}") };
    let of = |file: &str| fs::read_to_string(format!("/proc/{helper}/{file}")).unwrap();
    let status = of("status");
    assert!(status.contains("\nUid:\t0\t0\t0\t0\n") && status.contains("\nGid:\t0\t0\t0\t0\n"), "{status}");
    assert_eq!(of("stat").rsplit(") ").next().unwrap().split(' ').nth(2), Some(helper.as_str()), "a group of its own");
    assert_eq!(of("environ"), "");
    for signal in ["-STOP", "-TSTP", "-KILL", "-INT"] {
        let outcome = Outcome::of(alice.command("kill").args([signal, helper]), "");
        assert!(outcome.code != Some(0) && outcome.err.contains("not permitted"), "{outcome:?}");
    }

    terminal.send_line(&phone.next_code());
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LET-IN");
    assert!(terminal.wait().success() && site.helpers().is_empty(), "{}", terminal.transcript());
    for file in
        [site.credentials(&bob.name), site.state_file(&bob.name), site.state().join(format!(".uid-{}", bob.uid))]
    {
        let found = fs::metadata(&file).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (bob.uid, bob.gid, 0o600), "{}", file.display());
    }
}
