//! Set-up that is owed and never comes, because a line was forgotten, where one process does the whole login. There
//! libpam weighs what setcred says as it weighed what authenticate said, and that was "ignore".
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{conversation::Talk, machine, pty::Pty, service::Service, site::Site, syslog, users::TestUser};
use std::{fs, time::Duration};

const MISSED: &str = "error=\"set-up is owed, and the login did not come through it\" \
    hint=\"the PAM file wants an account and a password line with pam_otp.so too: see the examples\"";

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
fn who_forgot_the_account_line_refuses_whatever_the_auth_line_says() {
    let (user, site) = (TestUser::new("al"), site());
    for control in ["required", "requisite", "sufficient", "optional", "[success=ok default=ignore]"] {
        let others = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so";
        let service = Service::private(&(site.auth(control, "") + others));
        let mark = syslog::mark();
        let said =
            Talk::new(&service, &user.name).calls("authenticate,acct_mgmt,setcred,open_session,delete_cred").run(&[""]);
        let results: Vec<_> = said.results().map(|(_, result)| result).collect();
        let expected = ["PAM_SUCCESS", "PAM_SUCCESS", "PAM_INCOMPLETE", "PAM_ABORT", "PAM_SUCCESS"];
        assert_eq!(results, expected, "{control}: {said}");
        let log = syslog::of_module(mark, said.pid);
        assert_eq!(log.get(1..), Some(&[format!("err error user={} {MISSED}", user.name)][..]), "{control}");
    }
}

#[test]
fn su_sudo_and_login_let_nobody_past_a_forgotten_line() {
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
