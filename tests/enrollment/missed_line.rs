//! Set-up that is owed and never comes, because a line was forgotten, where one process does the whole login; by which
//! control the module is called is in `tests/conversations/enrollment.talk`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, pty::Pty, service::Service, site::Site, syslog, users::TestUser};
use std::{fs, time::Duration};

const MISSED: &str = "error=\"an enrollment is pending, and the login did not come through it\" \
    hint=\"the PAM file needs an account and a password line with pam_otp.so too: see the examples\"";

fn site() -> Site {
    Site::new("[policy]\nsecond_factor = \"enroll\"\n")
}

/// The stack of the example, but for the module's line in this group.
fn without(group: &str, site: &Site) -> String {
    let whole = site.example_stack("password-and-code-with-set-up");
    let forgotten = |line: &&str| line.starts_with(group) && line.contains("pam_otp.so");
    whole.split_inclusive('\n').filter(|line| !forgotten(line)).collect()
}

#[test]
fn su_sudo_and_login_let_no_user_past_a_forgotten_line() {
    let (alice, site) = (TestUser::new("al"), site());
    let rule = format!("/etc/sudoers.d/{}", alice.name);
    fs::write(&rule, format!("{} ALL=(ALL) /bin/echo\n", alice.name)).unwrap();
    for program in ["su", "sudo", "login"] {
        let bob = TestUser::new("bob");
        bob.write(".bash_profile", "echo LET-IN\n", 0o644);
        let _service = Service::installed_as(program, &without("account", &site));
        let mark = syslog::mark();
        let (pty, who) = match program {
            "su" => (Pty::new("su").args(["-c", "echo LET-IN", &bob.name]).user(&alice), &bob),
            "sudo" => (Pty::new("sudo").args(["-k", "/bin/echo", "LET-IN"]).user(&alice), &alice),
            _ => (Pty::new("login").args(["-p", &bob.name]), &bob),
        };
        let mut terminal = pty.start();
        terminal.wait_for(if program == "sudo" { "password for" } else { "Password: " });
        terminal.send_line(&who.password);
        let ended = machine::wait(Duration::from_secs(30), || {
            (terminal.transcript().contains("LET-IN") || terminal.ended().is_some()).then_some(())
        });
        let transcript = terminal.transcript();
        assert!(ended.is_some() && !transcript.contains("LET-IN"), "{program}: {transcript}");
        let missed = format!("error user={} {MISSED}", who.name);
        assert!(syslog::lines_since(mark).iter().any(|line| line.contains(&missed)), "{program}: {transcript}");
    }
    fs::remove_file(rule).unwrap();
}
