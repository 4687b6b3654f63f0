//! Limits that a user sets before su tell nothing about others: not who has a device, and not which code is right.

use pam_otp_tests::{desk::CODE, phone::Phone, pty::Pty, service::Service, site::Site, syslog, users::TestUser};

#[test]
fn su_under_limits_of_its_caller_tells_nobody_who_is_enrolled() {
    let site = Site::new("[lockout]\nafter = 100\n[policy]\nsecond_factor = \"required\"\n");
    let stack = format!(
        "{}auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so",
        site.auth("required", "")
    );
    let _su = Service::installed_as("su", &stack);
    let [mallory, with, without] = ["mallory", "bob", "carol"].map(TestUser::new);
    let phone = Phone::enroll(&site, &with.name);
    let su = |limit: &str, user: &TestUser, code: &str| {
        let line = format!("{limit}; exec su -c 'echo LET-IN' {}", user.name);
        let mut terminal = Pty::new("bash").args(["-c", &line]).user(&mallory).start();
        if terminal.look_for(CODE, pam_otp_tests::pty::PATIENCE).is_some() {
            terminal.send_line(code);
        }
        let status = terminal.wait();
        (status.code(), terminal.transcript().replace(&user.name, "USER"))
    };
    for limit in ["true", "ulimit -S -f 0", "ulimit -f 0", "ulimit -n 5", "ulimit -d 400", "ulimit -v 30000"] {
        let mark = syslog::mark();
        let wrong = phone.wrong();
        let enrolled = su(limit, &with, &wrong);
        assert_eq!(su(limit, &without, &wrong), enrolled, "{limit}");
        // A signal where su itself must not write its own record of the failure.
        assert!(enrolled.0 != Some(0) && !enrolled.1.contains("LET-IN"), "{enrolled:?}");
        // Where the limit could not be raised both are refused for it, and no guess was looked at.
        let lines = syslog::lines_since(mark);
        let of = |user: &TestUser, why: &str| {
            lines.iter().any(|line| line.contains(&format!("user={} ", user.name)) && line.contains(why))
        };
        let decided = of(&with, "why=wrong") && of(&without, "why=not-enrolled");
        let raised = "is too low and cannot be raised";
        assert!(decided || (of(&with, raised) && of(&without, raised)), "{limit}: {lines:#?}");
    }
    // And a right code is right under a limit that can be raised.
    let (code, said) = su("ulimit -S -f 0", &with, &phone.next_code());
    assert!(code == Some(0) && said.contains("LET-IN"), "{said}");
}

#[test]
fn a_small_stack_ends_no_login_between_the_answer_and_the_count() {
    let site = Site::new("[lockout]\nafter = 100\n");
    let stack = format!(
        "{}auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so",
        site.auth("required", "")
    );
    let _su = Service::installed_as("su", &stack);
    let [mallory, bob] = ["mallory", "bob"].map(TestUser::new);
    let phone = Phone::enroll(&site, &bob.name);
    let mut asked = 0;
    for kilobytes in (16..32).step_by(2) {
        let line = format!("ulimit -S -s {kilobytes}; exec su -c true {}", bob.name);
        let mark = syslog::mark();
        let mut terminal = Pty::new("bash").args(["-c", &line]).user(&mallory).start();
        if terminal.look_for(CODE, pam_otp_tests::pty::PATIENCE).is_some() {
            asked += 1;
            terminal.send_line(&phone.wrong());
            terminal.wait();
            let lines = syslog::lines_since(mark);
            assert!(lines.iter().any(|line| line.contains("why=wrong")), "{kilobytes} kB: {lines:#?}");
        }
    }
    assert!(asked > 0, "su did not get that far with any of these stacks");
}
