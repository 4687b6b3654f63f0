//! What the user typed: an attempt in any script and with any spacing, parsed as the manual says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::codes::attempt::{Attempt, Code, Typed};
use pam_otp_fuzz::place;
use subtle::ConstantTimeEq as _;

const PASTE: [&str; 2] = ["\u{1b}[200~", "\u{1b}[201~"];
const BLANKS: &str = " \t\n\r\x0b\x0c\u{a0}\u{ad}\u{200b}\u{200e}\u{202f}\u{2066}\u{2069}\u{3000}\u{fe0f}\u{feff}";
const HYPHENS: &str = "-\u{2010}\u{2011}\u{2013}\u{2014}\u{2212}\u{ff0d}";
const ZEROS: &str = "0\u{660}\u{6f0}\u{966}\u{e50}\u{ff10}\u{1d7ce}\u{1fbf0}";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return check(data, &Meaning::Nothing) };
    let Some(wanted) = Meaning::of(text) else {
        // A character that this file does not know: it must only be read.
        let _ = Attempt::parse(&Typed::new(data.to_vec()));
        return;
    };
    check(data, &wanted);

    // Neither another blank nor the removal of all blanks changes the meaning, nor does a paste.
    let at = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).nth(place(data, text.chars().count() + 1));
    let with = |character: char| {
        let mut text = text.to_owned();
        text.insert(at.unwrap_or_default(), character);
        text
    };
    // A character inside a mark of a paste makes it no mark.
    if !text.contains('\u{1b}') {
        check(with(nth(BLANKS, data)).as_bytes(), &wanted);
        let plain: String = text.chars().filter(|character| !BLANKS.contains(*character)).collect();
        check(plain.as_bytes(), &wanted);
        if !matches!(wanted, Meaning::Nothing) {
            check(with(nth(HYPHENS, data)).as_bytes(), &wanted);
            check(in_script(text, nth(ZEROS, data)).as_bytes(), &wanted);
        }
    }
    check(format!("{}{text}{}", PASTE[0], PASTE[1]).as_bytes(), &wanted);
    match wanted {
        Meaning::Code(digits) => {
            let mut other = digits.clone();
            let at = place(data, other.len());
            other[at] = if other[at] == b'9' { b'0' } else { other[at] + 1 };
            assert!(!same(&digits, &other), "two different codes are equal");
            assert!(!same(&digits, &[&digits[..], b"0"].concat()), "a longer code is equal");
        }
        // Case in a recovery code or a passcode is ignored.
        Meaning::Recovery(_) | Meaning::Passcode(_) => {
            check(text.to_uppercase().as_bytes(), &wanted);
            check(text.to_lowercase().as_bytes(), &wanted);
        }
        Meaning::Nothing => {}
    }
});

/// The meaning of a text according to the manual.
enum Meaning {
    Code(Vec<u8>),
    Passcode(Vec<u8>),
    Recovery(Vec<u8>),
    Nothing,
}

impl Meaning {
    /// `None` if the text has a character that this file does not know.
    fn of(text: &str) -> Option<Self> {
        let plain = plain(text)?;
        let plain: Vec<u8> = plain.bytes().filter(|byte| *byte != b'-').collect();
        if (6..=8).contains(&plain.len()) && plain.iter().all(u8::is_ascii_digit) {
            return Some(Self::Code(plain));
        }
        let letters = plain.iter().map(|byte| match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            letter => letter,
        });
        let letters: Vec<u8> = letters.collect();
        let crockford = letters.iter().all(|letter| matches!(letter, b'0'..=b'9' | b'A'..=b'Z') && *letter != b'U');
        if letters.len() == 12 && crockford {
            return Some(Self::Passcode(letters));
        }
        let letters = plain.iter().map(|byte| match byte.to_ascii_uppercase() {
            b'0' => b'O',
            b'1' => b'I',
            letter => letter,
        });
        let letters: Vec<u8> = letters.collect();
        let base32 = letters.iter().all(|letter| matches!(letter, b'A'..=b'Z' | b'2'..=b'7'));
        Some(if letters.len() == 16 && base32 { Self::Recovery(letters) } else { Self::Nothing })
    }
}

/// The text in ASCII, without blanks and without the marks of a paste.
fn plain(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = PASTE.iter().find_map(|mark| rest.strip_prefix(mark)) {
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        let digit = |zero: char| u32::from(character).checked_sub(zero.into()).filter(|value| *value < 10);
        match character {
            _ if BLANKS.contains(character) => {}
            _ if HYPHENS.contains(character) => plain.push('-'),
            '\u{ff21}'..='\u{ff5a}' => plain.extend(char::from_u32(u32::from(character) - 0xfee0)),
            _ => match ZEROS.chars().find_map(digit) {
                Some(value) => plain.extend(char::from_digit(value, 10)),
                None if character.is_ascii() => plain.push(character),
                None => return None,
            },
        }
    }
    Some(plain)
}

/// The text with its ASCII digits in another script.
fn in_script(text: &str, zero: char) -> String {
    let digit = |character: char| char::from_u32(u32::from(zero) + character.to_digit(10)?);
    text.chars()
        .map(|character| Some(character).filter(char::is_ascii_digit).and_then(digit).unwrap_or(character))
        .collect()
}

fn nth(characters: &str, data: &[u8]) -> char {
    characters.chars().nth(place(data, characters.chars().count())).unwrap_or(' ')
}

fn check(text: &[u8], wanted: &Meaning) {
    match (Attempt::parse(&Typed::new(text.to_vec())), wanted) {
        (Attempt::Code(code), Meaning::Code(digits)) => {
            assert!(bool::from(code.ct_eq(&Code::parse(digits).unwrap())), "another code was read");
        }
        (Attempt::Recovery(code), Meaning::Recovery(letters)) => {
            assert_eq!(code.reveal().replace('-', "").as_bytes(), letters);
        }
        (Attempt::Passcode(passcode), Meaning::Passcode(letters)) => {
            assert_eq!(passcode.reveal().replace('-', "").as_bytes(), letters);
        }
        (Attempt::Malformed, Meaning::Nothing) => {}
        (read, _) => panic!("{read:?} was read from {text:?}"),
    }
}

fn same(one: &[u8], two: &[u8]) -> bool {
    match (Code::parse(one), Code::parse(two)) {
        (Some(one), Some(two)) => one.ct_eq(&two).into(),
        _ => false,
    }
}
