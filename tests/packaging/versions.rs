//! All places that have the version of the product have the same one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::machine;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn versions(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(folder.join("packaging/versions")).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_version_is_one_and_each_place_counts() {
    let here = versions(&machine::source(""), &[]);
    let places = String::from_utf8(here.stdout.clone()).unwrap();
    assert!(here.status.success(), "{places}{}", told(&here));

    // In a copy, where a place is another version's at a time.
    let copy = tempfile::tempdir().unwrap();
    let mut files: Vec<&str> =
        places.lines().map(|line| line.split('\t').nth(1).unwrap().split(':').next().unwrap()).collect();
    files.sort_unstable();
    files.dedup();
    assert!(files.len() > 12, "{files:?}");
    for file in files.iter().chain(&["packaging/versions", "CHANGELOG.md"]) {
        let target = copy.path().join(file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(machine::source(file), target).unwrap();
    }
    assert!(versions(copy.path(), &[]).status.success());
    for file in &files {
        let original = fs::read_to_string(copy.path().join(file)).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        fs::write(copy.path().join(file), original.replace(version, "9.8.7")).unwrap();
        let output = versions(copy.path(), &[]);
        assert!(!output.status.success(), "{file}");
        assert!(told(&output).contains("these are several versions"), "{file}: {}", told(&output));
        fs::write(copy.path().join(file), original).unwrap();
    }

    // All at once is one version again, but for the entry that a person writes.
    assert!(versions(copy.path(), &["set", "9.8.7"]).status.success());
    assert!(told(&versions(copy.path(), &[])).contains("several versions"));
    let changelog = copy.path().join("debian/changelog");
    let entries = fs::read_to_string(&changelog).unwrap();
    fs::write(&changelog, format!("pam-otp (9.8.7-1) unstable; urgency=medium\n\n  * New.\n\n{entries}")).unwrap();
    let output = versions(copy.path(), &[]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(String::from_utf8(output.stdout).unwrap().lines().all(|line| line.starts_with("9.8.7\t")));

    // A release has an entry in the list of changes, and nothing that is newer.
    let changes = copy.path().join("CHANGELOG.md");
    for (text, released) in [
        ("## [Unreleased]\n\n## [9.8.7] - 2026-12-01\n\n- new\n", true),
        ("## [Unreleased]\n\n## [9.8.7]\n\n- new\n", false),
        ("## [Unreleased]\n\n- newer\n\n## [9.8.7] - 2026-12-01\n\n- new\n", false),
        ("## [Unreleased]\n\n- newer\n", false),
    ] {
        fs::write(&changes, text).unwrap();
        let output = versions(copy.path(), &["released"]);
        assert_eq!(output.status.success(), released, "{text}: {}", told(&output));
    }
}
