//! Recovery codes: shown once, stored only as salted HMAC-SHA256, each accepted once. Scratch codes are those of
//! google-authenticator, of eight digits: stored alike, and found under the lock.

use std::fmt;

use base32ct::{Base32UpperUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codes::in_fours::in_fours;
use crate::codes::plain_text::PlainText;

/// Most codes of one set.
pub const MOST_CODES: u8 = 10;

/// Digits of a scratch code.
pub const SCRATCH_DIGITS: u8 = 8;

/// A recovery code: 80 random bits. No lock protects it, because it cannot be guessed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode([u8; 10]);

/// The stored form of a set of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    /// HMAC key, random for each set.
    pub salt: [u8; 16],
    /// HMAC-SHA256 of each code, in the order in which the user saw them; at most [`MOST_CODES`].
    pub hashes: Vec<[u8; 32]>,
}

impl RecoveryCode {
    /// Makes a code of 80 random bits.
    pub fn new(random: [u8; 10]) -> Self {
        Self(random)
    }

    /// The random bits, to be drawn in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Reads sixteen Base32 letters. Ignores case, blanks and hyphens of any kind; reads `0` and `1`, which Base32 lacks, as `O` and `I`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut letters = Zeroizing::new([0u8; 16]);
        let mut positions = letters.iter_mut();
        for byte in PlainText::of(text).filter(|byte| *byte != b'-') {
            *positions.next()? = match byte.to_ascii_uppercase() {
                b'0' => b'O',
                b'1' => b'I',
                other => other,
            };
        }
        if positions.next().is_some() {
            return None;
        }
        let mut code = Self([0; 10]);
        Base32UpperUnpadded::decode(letters.as_slice(), &mut code.0).is_ok().then_some(code)
    }

    /// The form that the user copies: `ABCD-EFGH-IJKL-MNOP`.
    pub fn reveal(&self) -> Zeroizing<String> {
        let letters = Zeroizing::new(Base32UpperUnpadded::encode_string(&self.0));
        in_fours(letters.as_bytes(), '-')
    }
}

impl RecoverySet {
    /// Hashes a set of codes under a salt.
    pub fn of(salt: [u8; 16], codes: &[RecoveryCode]) -> Self {
        // What the library leaves of a code on the stack, the next one overwrites: after the last one comes a blank.
        let blank = RecoveryCode::new([0; 10]);
        let mut hashes: Vec<_> = codes.iter().chain([&blank]).filter_map(|code| hash(&salt, &code.0)).collect();
        hashes.truncate(codes.len());
        Self { salt, hashes }
    }

    /// Hashes scratch codes under a salt; those beyond the most that a set has are left out.
    pub fn of_scratch(salt: [u8; 16], codes: &[Zeroizing<String>]) -> Self {
        let codes = codes.iter().take(MOST_CODES.into());
        Self { salt, hashes: codes.filter_map(|digits| hash(&salt, digits.as_bytes())).collect() }
    }

    /// The position of this code in the set, from 0. Compares with all of them, in constant time.
    pub fn find(&self, code: &RecoveryCode) -> Option<u8> {
        self.position(&code.0)
    }

    /// The position of the scratch code with these digits.
    pub fn find_scratch(&self, digits: &str) -> Option<u8> {
        self.position(digits.as_bytes())
    }

    fn position(&self, code: &[u8]) -> Option<u8> {
        let wanted = hash(&self.salt, code)?;
        let (mut found, mut position) = (Choice::from(0), 0u8);
        for (this, stored) in (0u8..).zip(&self.hashes) {
            let equal = stored.ct_eq(&wanted);
            position.conditional_assign(&this, equal);
            found |= equal;
        }
        bool::from(found).then_some(position)
    }

    /// Number of codes in the set, used ones included.
    pub fn issued(&self) -> u8 {
        u8::try_from(self.hashes.len()).unwrap_or(u8::MAX)
    }
}

/// HMAC-SHA256 of a code under a salt. Never `None`: HMAC takes keys of any length.
pub(crate) fn hash(salt: &[u8; 16], code: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).ok()?;
    mac.update(code);
    Some(mac.finalize().into_bytes().into())
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> RecoveryCode {
        RecoveryCode::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_code_reads_back_however_it_was_copied() {
        let shown = RecoveryCode::new(*b"\x00\x44\x32\x14\xc7\x42\x54\xb6\x35\xcf").reveal();
        assert_eq!(*shown, "ABCD-EFGH-IJKL-MNOP");
        for copied in [
            "ABCD-EFGH-IJKL-MNOP",
            "abcdefghijklmnop",
            " ABCD EFGH IJKL MNOP\n",
            "ABCD-EFGH-1JKL-MN0P",
            "ABCD\u{2010}EFGH\u{2011}IJKL\u{2014}MNOP",
            "\u{1b}[200~ABCD\u{2212}EFGH\u{a0}IJKL\u{200b}MNOP\u{1b}[201~",
            "ＡＢＣＤ－ＥＦＧＨ－１ＪＫＬ－ｍｎ０ｐ",
            "ABCD-EFGH-\u{661}JKL-MN\u{6f0}P",
        ] {
            assert_eq!(code(copied).0, code(&shown).0, "{copied}");
        }
    }

    #[test]
    fn what_is_not_sixteen_letters_is_no_code() {
        for bad in ["", "ABCD-EFGH-IJKL-MNO", "ABCD-EFGH-IJKL-MNOPQ", "ABCD-EFGH-IJKL-MN8P", "ABCD-EFGH-IJKL-MNO\u{e9}"]
        {
            assert!(RecoveryCode::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn each_code_of_a_set_is_found_at_its_position_and_no_other_is() {
        let codes: Vec<_> = (0..10).map(|n| RecoveryCode::new([n; 10])).collect();
        let set = RecoverySet::of([7; 16], &codes);
        assert_eq!(set.issued(), 10);
        for (position, code) in (0u8..).zip(&codes) {
            assert_eq!(set.find(code), Some(position));
        }
        assert_eq!(set.find(&RecoveryCode::new([99; 10])), None);
        assert_eq!(RecoverySet::of([7; 16], &[]).find(&codes[0]), None);
    }

    #[test]
    fn the_hash_is_hmac_sha256_under_the_salt() {
        // Computed with: head -c 10 /dev/zero | openssl dgst -sha256 -mac HMAC -macopt hexkey:07070707070707070707070707070707
        let expected = "812330349626e4ee454cec5acd169250508e1f0d24a023b90e9e0f6edaad8792";
        let hash = RecoverySet::of([7; 16], &[RecoveryCode::new([0; 10])]).hashes[0];
        assert_eq!(base16ct::lower::encode_string(&hash), expected);
    }
}
