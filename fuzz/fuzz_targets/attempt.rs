//! What the user typed: an attempt with any spacing, parsed as the manual says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::codes::attempt::{Attempt, Code, Typed};
use pam_otp_fuzz::place;
use subtle::ConstantTimeEq as _;

fuzz_target!(|data: &[u8]| {
    let wanted = Meaning::of(data);
    check(data, &wanted);

    // Neither another blank nor the removal of all blanks changes the meaning.
    let mut spaced = data.to_vec();
    spaced.insert(place(data, data.len() + 1), b" \t\n\r\x0c"[place(data, 5)]);
    check(&spaced, &wanted);
    let plain: Vec<u8> = data.iter().copied().filter(|byte| !blank(*byte)).collect();
    check(&plain, &wanted);
    match wanted {
        Meaning::Code(digits) => {
            let mut other = digits.clone();
            let at = place(data, other.len());
            other[at] = if other[at] == b'9' { b'0' } else { other[at] + 1 };
            assert!(!same(&digits, &other), "two different codes are equal");
            assert!(!same(&digits, &[&digits[..], b"0"].concat()), "a longer code is equal");
        }
        // Case and hyphens in a recovery code are ignored.
        Meaning::Recovery(_) => {
            check(&data.to_ascii_uppercase(), &wanted);
            check(&data.to_ascii_lowercase(), &wanted);
            spaced.insert(place(&spaced, spaced.len()), b'-');
            check(&spaced, &wanted);
        }
        Meaning::Nothing => {}
    }
});

/// The meaning of a text according to the manual.
enum Meaning {
    Code(Vec<u8>),
    Recovery(Vec<u8>),
    Nothing,
}

impl Meaning {
    fn of(text: &[u8]) -> Self {
        let plain: Vec<u8> = text.iter().copied().filter(|byte| !blank(*byte)).collect();
        if (6..=8).contains(&plain.len()) && plain.iter().all(u8::is_ascii_digit) {
            return Self::Code(plain);
        }
        let letters = plain.iter().filter(|byte| **byte != b'-').map(|byte| match byte.to_ascii_uppercase() {
            b'0' => b'O',
            b'1' => b'I',
            letter => letter,
        });
        let letters: Vec<u8> = letters.collect();
        let base32 = letters.iter().all(|letter| matches!(letter, b'A'..=b'Z' | b'2'..=b'7'));
        if letters.len() == 16 && base32 { Self::Recovery(letters) } else { Self::Nothing }
    }
}

fn check(text: &[u8], wanted: &Meaning) {
    match (Attempt::parse(&Typed::new(text.to_vec())), wanted) {
        (Attempt::Code(code), Meaning::Code(digits)) => {
            assert!(bool::from(code.ct_eq(&Code::parse(digits).unwrap())), "another code was read");
        }
        (Attempt::Recovery(code), Meaning::Recovery(letters)) => {
            assert_eq!(code.reveal().replace('-', "").as_bytes(), letters);
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

fn blank(byte: u8) -> bool {
    b" \t\n\r\x0c".contains(&byte)
}
