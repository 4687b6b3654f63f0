//! A login name as a file name: one component, not hidden, and different for every name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::value::user::UserName;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let fits = (1..=255).contains(&text.len()) && !text.contains('\0');
    let name = UserName::parse(text);
    assert_eq!(name.is_some(), fits);
    let Some(name) = name else { return };
    assert_eq!(name.as_str(), text);
    let stem = name.file_stem();
    assert!((1..=200).contains(&stem.len()), "{} bytes", stem.len());
    assert!(stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-@.%".contains(&byte)), "{stem}");
    assert!(!stem.starts_with('.'), "{stem}");
    // A stem that can be decoded belongs to one name only.
    match stem.strip_prefix("%-") {
        Some(hash) => assert!(hash.len() == 64 && text.len() > 200 / 3, "{stem}"),
        None => assert_eq!(decoded(&stem).as_deref(), Some(data), "{stem}"),
    }
});

/// Undoes the encoding: `%XX`, in upper case.
fn decoded(stem: &str) -> Option<Vec<u8>> {
    let mut bytes = stem.bytes();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let upper = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
                u8::from_str_radix(std::str::from_utf8(&digits).ok().filter(|_| upper)?, 16).ok()?
            }
            plain => plain,
        });
    }
    Some(name)
}
