//! What comes from outside cannot steer the terminal of root.

use std::fs;

use pam_otp_tests::{outcome::Outcome, phone::Phone, site::Site, users::TestUser};

const ESCAPE: &str = "\u{1b}]0;x\u{7}\u{9b}2J";
const SHOWN: &str = r"\x1b]0;x\x07\u{9b}2J";

#[test]
fn names_of_files_and_hosts_are_shown_escaped() {
    let alice = TestUser::new("alice");
    let site = Site::new("");
    let _ = Phone::enroll(&site, &alice.name);
    let forged = format!("{ESCAPE}\nroot  totp.toml");
    fs::write(site.state().join(&forged), "").unwrap();
    let pam = tempfile::tempdir().unwrap();
    let line = format!("auth required {} {ESCAPE}\n", site.module());
    fs::write(pam.path().join(ESCAPE), line).unwrap();
    let (rhost, folder) = (format!("{ESCAPE}\nforged"), pam.path().to_str().unwrap());
    for (words, shows_it) in [
        (vec!["list"], true),
        (vec!["explain", "--user", &alice.name, "--rhost", &rhost], true),
        (vec!["show", ESCAPE], false),
        (vec!["unlock", ESCAPE], false),
        (vec!["report"], false),
        (vec!["doctor", "--pam", folder], true),
        (vec!["list", ESCAPE], false),
    ] {
        let outcome = Outcome::of(site.admin_command().args(&words), "");
        let said = outcome.out + &outcome.err;
        assert_eq!(said.contains(SHOWN), shows_it, "{words:?}: {said}");
        assert!(!said.contains(|c: char| c != '\n' && c.is_control()), "{words:?}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with("root  totp") || line.starts_with("forged")), "{said}");
    }
    let json = Outcome::of(site.admin_command().args(["list", "--json"]), "").json();
    let name = forged.strip_suffix(".toml").unwrap();
    assert!(json.iter().any(|line| line["file"] == name), "JSON keeps the name: {json:#?}");
}
