//! What the user typed, parsed once: no other code looks at the characters.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codes::passcode::Passcode;
use crate::codes::plain_text::PlainText;
use crate::codes::recovery::RecoveryCode;

/// The raw answer to a prompt. Wiped when dropped.
pub struct Typed(Zeroizing<Vec<u8>>);

/// A parsed answer. Only [`Attempt::Code`] counts as a failed try.
#[derive(Debug)]
pub enum Attempt {
    /// Six to eight digits.
    Code(Code),
    /// A passcode, of an administrator.
    Passcode(Passcode),
    /// A recovery code.
    Recovery(RecoveryCode),
    /// None of these: empty, the password by mistake, not UTF-8, too long.
    Malformed,
}

/// Six to eight decimal digits (RFC 4226 §5.3), as typed or as computed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Code {
    digits: [u8; 8],
    length: u8,
}

impl Typed {
    /// Wraps what the PAM conversation or the terminal returned.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. A search for this name finds every use.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl Attempt {
    /// Ignores blanks and hyphens (`123 456`, `123-456`), and case in passcodes and recovery codes. Their lengths tell them apart.
    pub fn parse(typed: &Typed) -> Self {
        let code = Code::parse(typed.expose()).map(Self::Code);
        code.or_else(|| Passcode::parse(typed.expose()).map(Self::Passcode))
            .or_else(|| RecoveryCode::parse(typed.expose()).map(Self::Recovery))
            .unwrap_or(Self::Malformed)
    }
}

impl Code {
    /// Reads a code of so many digits.
    pub fn of_length(text: &[u8], digits: u8) -> Option<Self> {
        Self::parse(text).filter(|code| code.length == digits)
    }

    /// Reads six to eight digits of any script, with blanks and hyphens anywhere.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut code = Self { digits: [b'-'; 8], length: 0 };
        for byte in PlainText::of(text).filter(|byte| *byte != b'-') {
            let digit = code.digits.get_mut(usize::from(code.length))?;
            *digit = Some(byte).filter(u8::is_ascii_digit)?;
            code.length = code.length.checked_add(1)?;
        }
        (code.length >= 6).then_some(code)
    }

    /// The last digits of a number, with zeros before it.
    pub(crate) fn of_number(number: u32, length: u8) -> Option<Self> {
        let (mut code, mut rest) = (Self { digits: [b'-'; 8], length }, number);
        for place in code.digits.get_mut(..usize::from(length))?.iter_mut().rev() {
            *place = b'0'.checked_add(u8::try_from(rest.checked_rem(10)?).ok()?)?;
            rest = rest.checked_div(10)?;
        }
        Some(code)
    }

    /// Its digits, to be sent. A search for this name finds every use.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        let digits = self.digits.iter().take(self.length.into());
        Zeroizing::new(digits.map(|digit| char::from(*digit)).collect())
    }

    /// The number of its digits.
    pub fn length(&self) -> u8 {
        self.length
    }
}

impl ConstantTimeEq for Code {
    /// Unused positions hold a hyphen, so codes of different lengths differ there.
    fn ct_eq(&self, other: &Self) -> Choice {
        // As one number: bytes would be compared one after the other.
        u64::from_ne_bytes(self.digits).ct_eq(&u64::from_ne_bytes(other.digits))
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed(..)")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Attempt {
        Attempt::parse(&Typed::new(text.to_vec()))
    }

    fn same(one: &str, two: &str) -> bool {
        let code = |text: &str| Code::parse(text.as_bytes()).unwrap();
        code(one).ct_eq(&code(two)).into()
    }

    #[test]
    fn six_to_eight_digits_are_a_code_wherever_the_blanks_are() {
        for text in ["123456", "123 456", " 1 2\t3456\n", "1234567", "12345678"] {
            assert!(matches!(parse(text.as_bytes()), Attempt::Code(_)), "{text}");
        }
        assert!(same("123456", " 123 456 "));
        assert!(!same("123456", "123457"));
        assert!(!same("123456", "1234560"));
        assert!(!same("123456", "0123456"));
    }

    #[test]
    fn what_a_phone_a_keyboard_or_a_paste_adds_to_a_code_does_not_matter() {
        for text in [
            "123-456",
            "123\u{2013}456",
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
            "\u{6f1}\u{6f2}\u{6f3}\u{6f4}\u{6f5}\u{6f6}",
            "１２３　４５６",
            "123\u{a0}456",
            "\u{feff}123456\u{200b}",
            "\u{2066}123456\u{2069}",
            "\u{1b}[200~123 456\u{1b}[201~",
        ] {
            assert!(same(text, "123456"), "{text:?}");
            assert!(matches!(parse(text.as_bytes()), Attempt::Code(_)), "{text:?}");
            assert_eq!(Code::parse(text.as_bytes()).unwrap().length(), 6);
        }
    }

    #[test]
    fn a_code_of_another_length_is_none_of_the_device() {
        assert_eq!([5, 6, 7].map(|digits| Code::of_length(b"123 456", digits).is_some()), [false, true, false]);
        assert!(Code::of_length(b"12345a", 6).is_none());
    }

    #[test]
    fn what_was_typed_is_text_where_it_is_utf_8() {
        assert_eq!(Typed::new("phon\u{e9}".into()).text(), Some("phon\u{e9}"));
        assert_eq!(Typed::new(b"\xff".to_vec()).text(), None);
    }

    #[test]
    fn sixteen_letters_are_a_recovery_code() {
        for text in ["ABCD-EFGH-IJKL-MNOP", "abcdefghijklmnop", "abcd efgh ijkl mnop", "ABCD–EFGH–IJKL–MNOP"] {
            assert!(matches!(parse(text.as_bytes()), Attempt::Recovery(_)), "{text}");
        }
    }

    #[test]
    fn twelve_letters_and_digits_are_a_passcode() {
        for text in ["K7QD-M3XA-92TE", "k7qdm3xa92te", "k7qd m3xa 92te", "K7QD–M3XA–92TE", "123456789012"] {
            assert!(matches!(parse(text.as_bytes()), Attempt::Passcode(_)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_malformed() {
        let long = vec![b'1'; 10_000];
        let odd: [&[u8]; 13] = [
            b"",
            b"   ",
            b"12345",
            b"123456789",
            b"hunter2",
            b"12345a",
            b"\xff\xfe123456",
            &long,
            b"------",
            "１２３４５".as_bytes(),
            "一二三四五六".as_bytes(),
            b"\x1b[202~123456",
            b"K7QD-M3XA-92TU",
        ];
        for text in odd {
            assert!(matches!(parse(text), Attempt::Malformed), "{text:?}");
        }
    }

    #[test]
    fn what_was_typed_never_prints_itself() {
        assert_eq!(format!("{:?}", Typed::new(b"123456".to_vec())), "Typed(..)");
        assert_eq!(format!("{:?}", parse(b"123456")), "Code(Code(..))");
        assert_eq!(format!("{:?}", parse(b"ABCDEFGHIJKLMNOP")), "Recovery(RecoveryCode(..))");
    }
}
