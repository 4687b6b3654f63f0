//! What a person typed, parsed once at the edge; after this nobody looks at the characters again.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codes::recovery::RecoveryCode;

/// The raw answer to a prompt. Wiped when dropped.
pub struct Typed(Zeroizing<Vec<u8>>);

/// An answer that was understood, or not. Only a [`Attempt::Code`] can spend a try.
#[derive(Debug)]
pub enum Attempt {
    /// Six to eight digits.
    Code(Code),
    /// A bypass code from the recovery list.
    Recovery(RecoveryCode),
    /// Neither: empty, the password by mistake, not UTF-8, far too long.
    Malformed,
}

/// Six to eight decimal digits (RFC 4226 §5.3), as typed or as computed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Code {
    digits: [u8; 8],
    length: u8,
}

impl Typed {
    /// Takes over what the conversation returned.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every use of them is found by this name.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Attempt {
    /// Blanks do not count (`123 456`), nor do case and hyphens in a recovery code.
    pub fn parse(typed: &Typed) -> Self {
        let code = Code::parse(typed.expose()).map(Self::Code);
        code.or_else(|| RecoveryCode::parse(typed.expose()).map(Self::Recovery)).unwrap_or(Self::Malformed)
    }
}

impl Code {
    /// Six to eight digits with blanks anywhere; anything else is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut code = Self { digits: [b'-'; 8], length: 0 };
        for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            let place = code.digits.get_mut(usize::from(code.length))?;
            *place = byte.is_ascii_digit().then_some(*byte)?;
            code.length = code.length.checked_add(1)?;
        }
        (code.length >= 6).then_some(code)
    }
}

impl ConstantTimeEq for Code {
    /// Unused places hold the same mark in every code, so codes of different lengths differ there.
    fn ct_eq(&self, other: &Self) -> Choice {
        self.digits.ct_eq(&other.digits)
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
    fn digits_are_a_code_wherever_the_blanks_are() {
        for text in ["123456", "123 456", " 1 2\t3456\n", "1234567", "12345678"] {
            assert!(matches!(parse(text.as_bytes()), Attempt::Code(_)), "{text}");
        }
        assert!(same("123456", " 123 456 "));
        assert!(!same("123456", "123457"));
        assert!(!same("123456", "1234560"));
        assert!(!same("123456", "0123456"));
    }

    #[test]
    fn a_recovery_code_is_told_apart() {
        for text in ["ABCD-EFGH-IJKL-MNOP", "abcdefghijklmnop", "abcd efgh ijkl mnop"] {
            assert!(matches!(parse(text.as_bytes()), Attempt::Recovery(_)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_malformed_and_spends_nothing() {
        let long = vec![b'1'; 10_000];
        let odd: [&[u8]; 9] = [
            b"",
            b"   ",
            b"12345",
            b"123456789",
            b"hunter2",
            b"12345a",
            b"\xff\xfe123456",
            &long,
            "１２３４５６".as_bytes(),
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
