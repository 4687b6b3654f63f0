//! A program with root's rights that any user may start, as su: that user has power over it, and none over the
//! user it is about.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk,
    machine,
    outcome::Outcome,
    phone::Phone,
    pty::{PATIENCE, Pty},
    service::Service,
    site::Site,
    users::TestUser,
};
use std::fs::{self, File};
use std::process::Command;

/// Whether Ctrl-Z waits, from a process's status.
fn keeps_stops_waiting(status: &str) -> bool {
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
    u64::from_str_radix(blocked, 16).unwrap() >> 19 & 1 == 1 // SIGTSTP is 20
}

#[test]
fn who_starts_su_cannot_stop_it_with_the_lock_in_its_hand() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let phone = Phone::enroll(&site, &bob.name);
    let ids = site.config().with_file_name("ids");
    let exec = format!("auth required pam_exec.so quiet log={} /usr/bin/id -ru\n", ids.display());
    let others = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    let _su = Service::installed_as("su", &(site.auth("required", "") + &exec + others));

    // Its flush takes seconds, so that there is time to hit.
    let slow = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3000000"];
    let show = "cat /proc/self/status; echo LET-IN";
    let mut terminal = Pty::new("strace")
        .args(["-o", "/dev/null", "-u", &alice.name])
        .args(slow)
        .args(["su", "-c", show, &bob.name])
        .start();
    terminal.wait_for("Verification code: ");
    terminal.send_line(&phone.next_code());
    let is_locked = || File::open(site.state_file(&bob.name)).unwrap().try_lock().is_err();
    machine::wait(PATIENCE, || is_locked().then_some(())).unwrap();

    let strace = terminal.pid();
    let su = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap().trim().to_owned();
    assert!(keeps_stops_waiting(&fs::read_to_string(format!("/proc/{su}/status")).unwrap()));
    for signal in ["-STOP", "-TSTP", "-KILL"] {
        let outcome = Outcome::of(alice.command("kill").args([signal, &su]), "");
        assert!(outcome.err.contains("not permitted"), "{signal}: {outcome:?}");
    }

    // It is as it was once the lock is given back.
    let seen = terminal.wait_for("LET-IN\r");
    assert!(!keeps_stops_waiting(&seen), "{seen}");
    assert_eq!(fs::read_to_string(ids).unwrap().lines().last(), Some(alice.uid.to_string().as_str()));
}

#[test]
fn a_frozen_su_keeps_no_other_user_out_and_nothing_that_it_does_later_counts() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let phone = Phone::enroll(&site, &bob.name);
    let rest = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    let su_stack = Service::installed_as("su", &(site.auth("required", "") + rest));
    let slow = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=1000000"];
    let mut terminal = Pty::new("strace")
        .args(["-o", "/dev/null", "-u", &alice.name])
        .args(slow)
        .args(["su", "-c", "echo LET-IN", &bob.name])
        .start();
    terminal.wait_for("Verification code: ");
    let code = phone.next_code();
    terminal.send_line(&code);
    let is_locked = || File::open(site.state_file(&bob.name)).unwrap().try_lock().is_err();
    machine::wait(PATIENCE, || is_locked().then_some(())).unwrap();
    // As a control group's freezer would, which its owner may use on root's processes too.
    let strace = terminal.pid();
    let su = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap().trim().to_owned();
    machine::run(Command::new("kill").args(["-STOP", &su]));
    let next = phone.next_code();
    let talk = Talk::new(&su_stack, &bob.name);
    assert_eq!(talk.run(&[&next]).result("authenticate"), "PAM_SUCCESS");
    machine::run(Command::new("kill").args(["-CONT", &su]));
    terminal.wait_for("Authentication failure");
    assert_eq!(talk.run(&[&code]).result("authenticate"), "PAM_AUTH_ERR");
}
