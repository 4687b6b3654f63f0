//! `admin unlock --clock-was-ahead` asks before it makes codes work that were seen, and changes nothing that needs no change.

use pam_otp_tests::{desk::Desk, outcome::Outcome};

#[test]
fn without_a_terminal_it_changes_nothing_unless_yes_is_given() {
    let desk = Desk::new("");
    let user = desk.user.name.as_str();
    let unlock =
        |arguments: &[&str]| Outcome::of(desk.site.admin_command().arg("unlock").args(arguments).arg(user), "");
    assert_eq!(unlock(&["--clock-was-ahead"]).code, Some(2));
    assert_eq!(unlock(&["--yes"]).code, Some(2));
    let code = desk.next();
    assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS");
    let done = unlock(&["--clock-was-ahead", "--yes"]);
    assert_eq!(done.code, Some(0));
    // The clock was right: a used code stays used.
    assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_AUTH_ERR");
    assert!(!desk.status().contains("in_future"));
}
