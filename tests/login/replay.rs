//! A program that keeps password and code sends both again: the used code does not lock the user out.

use pam_otp_tests::{conversation::Talk, phone::Phone, service::Service, site::Site, syslog, users::TestUser};
use std::{thread, time::Duration};

#[test]
fn a_used_code_that_comes_again_after_its_window_costs_no_try() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let config = |window: u8| {
        let state = site.state().display();
        site.write(&format!(
            "state_directory = \"{state}\"\n[code]\nperiod = 10\nwindow = {window}\n[lockout]\nafter = 2\n"
        ));
    };
    config(10);
    let (service, phone) = (Service::private(&site.auth("required", "")), Phone::enroll(&site, &user.name));
    config(1);
    let log_in = |code: &str| {
        let mark = syslog::mark();
        let said = Talk::new(&service, &user.name).run(&[code]);
        (said.result("authenticate").to_owned(), syslog::of_module(mark, said.pid).join("\n"))
    };
    let code = phone.code(1);
    assert_eq!(log_in(&code).0, "PAM_SUCCESS");
    // Three steps of ten seconds later the window has moved on.
    thread::sleep(Duration::from_secs(31));
    for _ in 0..4 {
        let (result, log) = log_in(&code);
        assert_eq!(result, "PAM_AUTH_ERR");
        assert!(log.contains("why=replayed"), "{log}");
    }
    assert!(log_in(&phone.wrong()).1.contains("why=wrong failures=1"));
    assert_eq!(log_in(&phone.code(0)).0, "PAM_SUCCESS");
}
