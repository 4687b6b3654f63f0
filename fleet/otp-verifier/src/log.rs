//! Lines for the journal, each with its level, which a person at a terminal does without.

use std::io::{self, IsTerminal};

#[expect(clippy::print_stderr, reason = "the journal reads it; its prefix is the level (sd-daemon(3))")]
fn line(level: u8, text: &str) {
    let safe: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if io::stderr().is_terminal() {
        eprintln!("otp-verifier: {safe}");
    } else {
        eprintln!("<{level}>{safe}");
    }
}

pub(crate) fn error(text: &str) {
    line(3, text);
}

pub(crate) fn warning(text: &str) {
    line(4, text);
}

pub(crate) fn notice(text: &str) {
    line(5, text);
}
