//! The pictures of README.md and docs/users.md are small, and what is in them is what it looks like.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{app::App, machine, screen};
use std::{fs, path::PathBuf, process::Command};

/// Bytes.
const LARGEST: usize = 60_000;

fn picture(name: &str) -> (PathBuf, String) {
    let path = machine::source("docs").join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() <= LARGEST, "{name}: {}", text.len());
    (path, text)
}

#[test]
fn a_phone_reads_the_keys_from_the_pictures_of_both_devices() {
    let keys = ["enrollment.svg", "second-device.svg"].map(|name| {
        let (path, text) = picture(name);
        let dir = tempfile::tempdir().unwrap();
        let pixels = dir.path().join("picture.png");
        machine::run(Command::new("rsvg-convert").arg(path).arg("-o").arg(&pixels));
        let app = App::scan(&screen::read_picture(&pixels).unwrap_or_else(|| panic!("no QR code in {name}")));
        let hex = app.hex();
        let (half, rest) = hex.split_at(hex.len() / 2);
        assert!(text.contains(half) && text.contains(rest), "{name}: {half} {rest}");
        hex
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn the_pictures_of_doctor_and_turn_on_show_what_they_find_and_what_they_ask() {
    for (name, words) in [
        ("doctor.svg", ["fault", "warning", "note", "one fault was found"]),
        ("turn-on.svg", ["00-pam_otp.conf", "pam_otp.so", "doctor finds no fault", "[y/N]"]),
    ] {
        let (_, text) = picture(name);
        words.iter().for_each(|word| assert!(text.contains(word), "{name}: {word}"));
    }
}

#[test]
fn the_picture_of_the_login_shows_that_a_code_lets_in_once() {
    let (_, text) = picture("login.svg");
    for (line, times) in [("ssh dana@server", 2), ("Verification code:", 2), ("logout", 1), ("Permission denied", 1)] {
        assert_eq!(text.matches(line).count(), times, "{line}");
    }
}
