//! The pictures of the README are small, and what is in them is what it looks like.
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
fn a_phone_reads_the_key_from_the_picture_of_the_enrollment() {
    let (path, text) = picture("enrollment.svg");
    let dir = tempfile::tempdir().unwrap();
    let pixels = dir.path().join("enrollment.png");
    machine::run(Command::new("rsvg-convert").arg(path).arg("-o").arg(&pixels));
    let app = App::scan(&screen::read_picture(&pixels).unwrap_or_else(|| panic!("no QR code")));
    let hex = app.hex();
    let (half, rest) = hex.split_at(hex.len() / 2);
    assert!(text.contains(half) && text.contains(rest), "{half} {rest}");
}

#[test]
fn the_picture_of_the_login_shows_that_a_code_lets_in_once() {
    let (_, text) = picture("login.svg");
    for (line, times) in [("ssh dana@server", 2), ("Verification code:", 2), ("logout", 1), ("Permission denied", 1)] {
        assert_eq!(text.matches(line).count(), times, "{line}");
    }
}
