//! What configuration management relies on: a command that is run again changes nothing, and says so.

use pam_otp_tests::{
    phone::Phone,
    site::Site,
    users::{TestUser, new_group},
};
use serde_json::json;
use std::process::Command;

#[test]
fn every_command_of_admin_that_changes_something_does_it_once_and_says_which_time_that_was() {
    let (site, user, group) =
        (Site::new("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n"), TestUser::new("alice"), new_group("staff"));
    let (name, group) = (user.name.as_str(), group.as_str());
    user.join(group);
    let phone = Phone::enroll(&site, name);
    let lock = || {
        let mut test = Command::new("bash");
        let line =
            format!("otp-enroll --config {} --user {name} --stdin test <<< {}", site.config().display(), phone.wrong());
        assert_eq!(test.args(["-c", &line]).status().unwrap().code(), Some(1));
    };
    lock();
    for command in [
        &["unlock", name][..],
        &["require", name],
        &["exempt", name],
        &["unrequire", name],
        &["require", "--yes", "--group", group],
        &["unrequire", "--group", group],
        &["reset", "--yes", name],
        &["require", name],
        &["disable", "--yes", name],
    ] {
        for changed in [true, false] {
            let said = site.admin(&[command, &["--json"]].concat());
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said, json!({"user": name, "changed": changed}), "{command:?}");
        }
    }
}
