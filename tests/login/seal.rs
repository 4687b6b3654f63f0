//! Sealed seeds where a program is not root: the helper has the keys of its own user from the agent, and of no other.

use pam_otp_tests::{machine, outcome::Outcome, syslog, users::TestUser};
use std::process::Command;

#[test]
fn the_helper_gets_the_keys_of_its_own_user_from_the_agent() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let mark = syslog::mark();
    let mut script = Command::new("unshare");
    script.args(["--mount", "--propagation", "private", "bash"]).arg(machine::source("tests/login/seal.sh"));
    let said = Outcome::of(script.args([&alice.name, &bob.name]).arg(machine::product("otp-agent")), "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let name = &alice.name;
    let refused = "otp-enroll: codes cannot be checked now: tell your administrator; a recovery code works until then";
    let expected = [
        "0".to_owned(),
        format!("without an agent: {refused}"),
        format!("without an agent: {refused}"),
        "with an agent: That code is correct. It is used up now: log in with the next one.".to_owned(),
        "wrong: otp-enroll: that code is wrong".to_owned(),
        "renamed: Device 1, imported, is called my phone now.".to_owned(),
        "1".to_owned(),
        "name = \"my phone\"".to_owned(),
        "offered: 1".to_owned(),
        "by hand: {\"failed\":{\"error\":\"only the helper gets keys of sealed seeds\",\"hint\":\"use otp-enroll\"}}"
            .to_owned(),
        format!(
            "about bob: {{\"failed\":{{\"error\":\"uid {} may ask about no other user\",\"hint\":\"name the service's account in \
             [[agent.host]]: see otp-agent(8)\"}}}}",
            alice.uid
        ),
        "own keys: 120, the key of all among them: 0".to_owned(),
        format!("no key: {refused}"),
    ];
    assert_eq!(said.out.lines().collect::<Vec<_>>(), expected, "{said:?}");
    let log = syslog::lines_since(mark);
    for why in ["sealed-no-agent", "sealed-no-key"] {
        let is_it = |line: &String| line.contains(&format!("user={name} ")) && line.contains(&format!("why={why} "));
        assert!(log.iter().any(is_it), "{why}: {log:#?}");
    }
}
