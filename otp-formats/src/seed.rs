//! A token's seed as its maker wrote it: HEX or Base32, told apart by what the text can be.

use otp_core::codes::plain_text::PlainText;
use otp_core::value::secret::{NotASecret, Secret};
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

/// How a seed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base32,
}

/// Why a text is no seed. None of them quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
pub enum SeedFault {
    #[error("there is no seed")]
    Empty,
    #[error("this is neither HEX (0 to 9, A to F) nor Base32 (A to Z, 2 to 7)")]
    Letters,
    #[error("a seed in HEX has 0 to 9 and A to F alone, two of them for each byte")]
    NotHex,
    #[error("a seed in HEX has two digits for each byte, and here is one too few or too many")]
    HalfByte,
    #[error("a seed in Base32 has A to Z and 2 to 7 alone")]
    NotBase32,
    #[error("a seed in Base32 cannot end like this: a letter is missing, wrong or too many")]
    Uneven,
    #[error("a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32")]
    Length,
    /// Each form gives another seed.
    #[error("this seed can be read as HEX and as Base32")]
    Both,
}

impl SeedFault {
    /// What to do next.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Both => "nothing was changed; say which it is: --seed-format hex or --seed-format base32",
            Self::Empty
            | Self::Letters
            | Self::NotHex
            | Self::HalfByte
            | Self::NotBase32
            | Self::Uneven
            | Self::Length => "nothing was changed; give the seed as the token's maker wrote it",
        }
    }
}

/// Reads a seed. Case, blanks and hyphens do not matter, nor does Base32's padding.
pub fn read(text: &[u8], format: Option<Encoding>) -> Result<Secret, SeedFault> {
    let letters = || PlainText::of(text).filter(|letter| *letter != b'-').map(|letter| letter.to_ascii_uppercase());
    // Large enough from the beginning: a text that grows leaves copies of itself behind.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(letters().map(char::from));
    if plain.is_empty() {
        return Err(SeedFault::Empty);
    }
    let (hex, base32) = (hex(&plain), base32(&plain));
    match (format, hex, base32) {
        (Some(Encoding::Hex), read, _) | (Some(Encoding::Base32), _, read) => read,
        (None, Ok(_), Ok(_)) => Err(SeedFault::Both),
        (None, Ok(secret), Err(_)) | (None, Err(_), Ok(secret)) => Ok(secret),
        // The form that has these letters knows what is wrong with them.
        (None, Err(SeedFault::NotHex), Err(SeedFault::NotBase32)) => Err(SeedFault::Letters),
        (None, Err(SeedFault::NotHex), Err(fault)) | (None, Err(fault), Err(_)) => Err(fault),
    }
}

fn hex(text: &str) -> Result<Secret, SeedFault> {
    if !text.bytes().all(|letter| letter.is_ascii_hexdigit()) {
        Err(SeedFault::NotHex)
    } else if text.len() % 2 == 1 {
        Err(SeedFault::HalfByte)
    } else {
        Secret::from_hex(text).map_err(|fault| match fault {
            NotASecret::Encoding => SeedFault::NotHex,
            NotASecret::Length => SeedFault::Length,
        })
    }
}

fn base32(text: &str) -> Result<Secret, SeedFault> {
    let text = text.trim_end_matches('='); // RFC 4648 §6: padding
    if !text.bytes().all(|letter| matches!(letter, b'A'..=b'Z' | b'2'..=b'7')) {
        return Err(SeedFault::NotBase32);
    }
    Secret::from_base32(text).map_err(|fault| match fault {
        NotASecret::Encoding => SeedFault::Uneven,
        NotASecret::Length => SeedFault::Length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str, format: Option<Encoding>) -> Result<Vec<u8>, SeedFault> {
        read(text.as_bytes(), format).map(|secret| secret.expose().to_vec())
    }

    const HEX: Option<Encoding> = Some(Encoding::Hex);
    const BASE32: Option<Encoding> = Some(Encoding::Base32);

    #[test]
    fn a_seed_is_read_however_it_is_grouped() {
        for text in [
            "3132333435363738393031323334353637383930",
            "31323334 35363738 39303132 33343536 37383930",
            "31-32-33-34-35-36-37-38-39-30-31-32-33-34-35-36-37-38-39-30\n",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            "GEZD-GNBV-GY3T-QOJQ\r\nGEZD-GNBV-GY3T-QOJQ\r\n",
            "\u{1b}[200~GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\u{1b}[201~",
            "ＧＥＺＤＧＮＢＶＧＹ３ＴＱＯＪＱ\u{2013}ＧＥＺＤＧＮＢＶＧＹ３ＴＱＯＪＱ",
        ] {
            assert_eq!(bytes(text, None).as_deref(), Ok(b"12345678901234567890".as_slice()), "{text:?}");
        }
        assert_eq!(bytes("MFRGGZDFMZTWQ2LKNNWG23TP====", None).map(|bytes| bytes.len()), Ok(15));
        assert_eq!(bytes("00ffAA 00ffAA 00ffAA 00ff", None).map(|bytes| bytes.len()), Ok(11));
    }

    #[test]
    fn where_both_fit_the_form_must_be_said() {
        let both = "ABCDEF234567ABCDEF234567";
        assert_eq!(bytes(both, None), Err(SeedFault::Both));
        assert_eq!(bytes(both, HEX).map(|bytes| bytes.len()), Ok(12));
        assert_eq!(bytes(both, BASE32).map(|bytes| bytes.len()), Ok(15));
        // One of the two would be too short, or cannot end so, or has padding: then there is no doubt.
        assert_eq!(bytes("ABCDEF234567ABCD", None).map(|bytes| bytes.len()), Ok(10));
        assert_eq!(bytes("ABCDEF234567ABCDEF2345", None).map(|bytes| bytes.len()), Ok(11));
        assert_eq!(bytes("ABCDEF234567ABCDEF234567AA======", None).map(|bytes| bytes.len()), Ok(16));
    }

    #[test]
    fn what_is_no_seed_is_told_with_its_reason() {
        let long = "AB".repeat(65);
        for (text, format, fault) in [
            ("", None, SeedFault::Empty),
            (" - \n", None, SeedFault::Empty),
            ("GEZDGNBVGY3TQOJ1", None, SeedFault::Letters),
            ("31323334353637383930é", None, SeedFault::Letters),
            ("seed: 3132333435363738393031", None, SeedFault::Letters),
            ("0x3132333435363738393031", None, SeedFault::Letters),
            ("313233343536373839303", None, SeedFault::HalfByte),
            ("313233343536373839", None, SeedFault::Length),
            (&long, None, SeedFault::Length),
            ("GEZDGNBVGY3TQ", None, SeedFault::Length),
            ("GEZDGNBVGY3TQOJQG", None, SeedFault::Uneven),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", HEX, SeedFault::NotHex),
            ("3132333435363738393031", BASE32, SeedFault::NotBase32),
            ("GEZDGNBVGY3TQOJQ=GEZDGNBV", None, SeedFault::Letters),
        ] {
            assert_eq!(bytes(text, format), Err(fault), "{text:?}");
            assert!(fault.hint().starts_with("nothing was changed; "));
        }
        assert_eq!(read(b"GEZDGNBVGY3TQOJQ\xff", None).unwrap_err(), SeedFault::Letters);
    }
}
