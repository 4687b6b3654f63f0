//! An audit line: a text from outside ends neither its value nor the line, and can be read back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::audit::Event;
use otp_core::decision::verify::{Refusal, Verdict};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (user, rhost) = text.split_once('\n').unwrap_or((&text, ""));

    let verdict = Verdict::Refused(Refusal::Wrong { failures: 3, clock_behind: None });
    let line = Event::Login { user, rhost: Some(rhost), verdict: &verdict, enforced: true }.to_string();
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("refused"));
    assert_eq!(words.next().and_then(|word| value(word, "user=")), Some(kept(user)), "{line}");
    if !rhost.is_empty() {
        assert_eq!(words.next().and_then(|word| value(word, "rhost=")), Some(kept(rhost)), "{line}");
    }
    assert_eq!(words.collect::<Vec<_>>(), ["why=wrong", "failures=3"], "{line}");

    let line = Event::Failed { user: "alice", rhost: None, error: &user, hint: rhost, enforced: true }.to_string();
    let quoted: Vec<_> = line.split('"').collect();
    let ["error user=alice error=", error, " hint=", hint, ""] = *quoted else { panic!("{line}") };
    assert!([error, hint].concat().bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
});

/// The written part of a text: all of it, or its first 255 bytes and three dots.
fn kept(text: &str) -> Vec<u8> {
    match text.as_bytes().get(..255) {
        Some(first) if text.len() > 255 => [first, b"..."].concat(),
        Some(_) | None => text.into(),
    }
}

/// The bytes that a value stands for; `None` if anything in it could end the value.
fn value(word: &str, key: &str) -> Option<Vec<u8>> {
    let mut letters = word.strip_prefix(key)?.bytes();
    let mut bytes = Vec::new();
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            b'\\' => {
                let digits = [letters.next().filter(|x| *x == b'x').and_then(|_| letters.next())?, letters.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'"' | b'=' => return None,
            b'!'..=b'~' => letter,
            _ => return None,
        });
    }
    Some(bytes)
}
