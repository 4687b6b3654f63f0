//! Sessions of users who must have a second factor now and came in without one: read as systemd-logind writes them, ended by
//! what stands in for loginctl, since no logind runs here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::path::Path;
use std::process::Command;

use pam_otp_tests::{
    conversation::Talk, machine, outcome::Outcome, phone::Phone, pty::Pty, service::Service, site::Site,
    users::TestUser,
};
use tempfile::TempDir;

/// A machine with sessions, of which the services sshd and gdm are known; sshd alone calls the module.
struct Host {
    site: Site,
    folder: TempDir,
}

impl Host {
    fn new(config: &str) -> Host {
        let host = Host { site: Site::new(config), folder: tempfile::tempdir().unwrap() };
        for folder in ["systemd/sessions", "pam.d", "bin"] {
            fs::create_dir_all(host.path(folder)).unwrap();
        }
        let lines = format!("auth required pam_unix.so\nauth required {}\n", host.site.module());
        fs::write(host.path("pam.d/sshd"), lines).unwrap();
        fs::write(host.path("pam.d/gdm"), "auth required pam_unix.so\n").unwrap();
        host.loginctl("rm /run/systemd/sessions/$2");
        fs::create_dir_all("/run/systemd").unwrap();
        host
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What it does with `terminate-session ID`, which it also notes.
    fn loginctl(&self, does: &str) {
        let log = self.path("log");
        fs::write(self.path("script"), format!("#!/bin/sh\necho \"$@\" >> {}\n{does}\n", log.display())).unwrap();
        // By another process: see `machine::program`.
        let (script, program) = (self.path("script"), self.path("bin/loginctl"));
        machine::run(Command::new("install").args(["-m", "0755"]).args([script, program]));
    }

    /// A session that began so many seconds ago.
    fn session(&self, id: &str, user: &str, service: &str, ago: u64) {
        let now: u64 = machine::run(Command::new("date").arg("+%s")).trim().parse().unwrap();
        let began = now.saturating_sub(ago);
        let text = format!(
            "# This is private data. Do not parse.\nUID=1001\nUSER={user}\nACTIVE=1\nIS_DISPLAY=0\nSTATE=active\nREMOTE=1\n\
             TYPE=tty\nORIGINAL_TYPE=tty\nCLASS=user\nSCOPE=session-{id}.scope\nFIFO=/run/systemd/sessions/{id}.ref\n\
             REMOTE_HOST=203.0.113.9\nSERVICE={service}\nLEADER=4711\nAUDIT={id}\nREALTIME={began}000000\n\
             MONOTONIC=5154321098\nTTY=pts/0\n"
        );
        fs::write(self.path("systemd/sessions").join(id), text).unwrap();
    }

    /// The arguments of a command that sees this machine.
    fn seen_from(&self, arguments: &[&str]) -> Vec<String> {
        let script = "mount --bind \"$1\" /run/systemd && mount --bind \"$2\" /etc/pam.d && PATH=\"$3:$PATH\" && shift 3 && exec \
                      otp-enroll --config \"$@\"";
        let words = ["--mount", "sh", "-c", script, "sh"].map(str::to_owned);
        let folders = ["systemd", "pam.d", "bin"].map(|name| self.path(name).display().to_string());
        let config = [self.site.config().display().to_string(), "admin".to_owned(), "end-sessions".to_owned()];
        words.into_iter().chain(folders).chain(config).chain(arguments.iter().map(|word| (*word).to_owned())).collect()
    }

    fn end(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(Command::new("unshare").args(self.seen_from(arguments)), "")
    }

    /// What loginctl was told.
    fn told(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

#[test]
fn sessions_that_began_without_a_second_factor_are_ended_and_no_others() {
    let host = Host::new("[policy]\nsecond_factor = \"optional\"\n");
    let [lacks, has, late, free] = ["lacks", "has", "late", "free"].map(TestUser::new);
    // Two devices, of which one is used for a login just now.
    let (phone, _) = (Phone::enroll(&host.site, &has.name), Phone::enroll(&host.site, &late.name));
    let service = Service::private(&host.site.auth("required", ""));
    let said = Talk::new(&service, &has.name).run(&[phone.next_code()]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
    host.session("1", &lacks.name, "sshd", 5000);
    host.session("2", &has.name, "sshd", 0);
    host.session("3", &has.name, "sshd", 7000);
    host.session("4", &late.name, "sshd", 6000);
    host.session("5", &free.name, "sshd", 5000);
    host.session("6", &lacks.name, "gdm", 4000);

    let nothing = host.end(&["--unmet", "--yes"]);
    assert_eq!((nothing.code, host.told()), (Some(0), String::new()), "{nothing:?}");
    assert!(nothing.out.contains("no session was ended"), "{nothing:?}");

    // A rule for one, overrides for the others.
    let rule = format!("[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"required\"\n", late.name);
    host.site.set(&format!("[policy]\nsecond_factor = \"optional\"\n{rule}"));
    host.site.admin(&["require", &lacks.name]);
    host.site.admin(&["require", "--enroll", &has.name]);
    let unasked = host.end(&["--unmet"]);
    assert_eq!((unasked.code, host.told()), (Some(2), String::new()), "{unasked:?}");
    assert!(unasked.err.contains("add --yes"), "{unasked:?}");

    let done = host.end(&["--unmet", "--yes"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(host.told(), "terminate-session 3\nterminate-session 4\nterminate-session 1\n");
    for text in [
        format!("session 6 of {} stays: its service, gdm, has no line of pam_otp.so\n", lacks.name),
        format!("{}: session 3 ended\n{}: session 4 ended\n{}: session 1 ended\n", has.name, late.name, lacks.name),
        "203.0.113.9\n".to_owned(),
    ] {
        assert!(done.out.contains(&text), "{text}: {done:?}");
    }
    let again = host.end(&["--unmet", "--yes", "--json"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""), "{again:?}");

    host.session("7", &lacks.name, "sshd", 5000);
    let json = host.end(&["--unmet", "--yes", "--json"]).json();
    let (session, user) = (json[0]["session"].as_str().unwrap(), json[0]["user"].as_str().unwrap());
    assert_eq!((session, user, json[0]["ended"].as_bool()), ("7", lacks.name.as_str(), Some(true)), "{json:#?}");
}

#[test]
fn no_session_is_ended_without_a_yes_or_during_a_rollout() {
    let host = Host::new("[policy]\nsecond_factor = \"required\"\n");
    let alice = TestUser::new("alice");
    host.session("1", &alice.name, "sshd", 5000);
    let words = host.seen_from(&["--unmet"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut terminal = Pty::new("unshare").size(200, 24).args(&words).start();
    let asked = terminal.wait_for("End this session now?");
    assert!(asked.contains(&alice.name) && asked.contains("sshd"), "{asked}");
    terminal.send_line("n");
    assert_eq!((terminal.wait().code(), host.told()), (Some(1), String::new()));

    let config = format!("state_directory = {:?}\nenforce = false\n", host.site.state());
    host.site.write(&(config + "[policy]\nsecond_factor = \"required\"\n"));
    let rollout = host.end(&["--unmet", "--yes"]);
    assert_eq!((rollout.code, host.told()), (Some(0), String::new()), "{rollout:?}");
    assert!(rollout.out.contains("enforce = false"), "{rollout:?}");
}

#[test]
fn where_sessions_cannot_be_ended_that_is_said() {
    let host = Host::new("[policy]\nsecond_factor = \"required\"\n");
    let alice = TestUser::new("alice");
    for id in ["1", "2"] {
        host.session(id, &alice.name, "sshd", 5000);
    }
    host.loginctl("echo 'Access denied' >&2; exit 1");
    let failed = host.end(&["--unmet", "--yes"]);
    assert_eq!(failed.code, Some(4), "{failed:?}");
    assert!(failed.err.contains("sessions 1 2 could not be ended: loginctl failed: Access denied"), "{failed:?}");
    assert!(failed.err.ends_with("end them with: loginctl terminate-session 1 2\n"), "{failed:?}");
    // It ended while it was asked to.
    host.loginctl("rm /run/systemd/sessions/$2; echo 'No session' >&2; exit 1");
    assert_eq!(host.end(&["--unmet", "--yes"]).code, Some(0));

    fs::remove_dir_all(host.path("systemd/sessions")).unwrap();
    let without = host.end(&["--unmet", "--yes"]);
    assert_eq!(without.code, Some(4), "{without:?}");
    assert!(without.err.contains("there is no systemd-logind on this machine"), "{without:?}");
    assert!(Path::new("/run/systemd").exists() && host.end(&[]).code == Some(2), "what to end must be said");
}
