//! Passcodes: issued by an administrator, shown once, stored only as salted HMAC-SHA256, accepted once.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codes::in_fours::in_fours;
use crate::codes::plain_text::PlainText;
use crate::codes::recovery::hash;
use crate::value::time::{Seconds, UnixTime};

/// Letters of a passcode.
const LENGTH: usize = 12;

/// Crockford's Base32: no letter that is read as another one. <https://www.crockford.com/base32.html>
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The longest time for which a passcode is issued.
pub const LONGEST: Seconds = Seconds(7 * 86_400);

/// A passcode: 60 random bits. No lock protects it, because it cannot be guessed in the days for which it is good.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passcode([u8; LENGTH]);

/// The stored form of a passcode, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// HMAC key, random for each passcode.
    pub salt: [u8; 16],
    /// HMAC-SHA256 of its twelve letters.
    pub hash: [u8; 32],
    /// It is refused from this time on.
    pub until: UnixTime,
    /// The only PAM service that it is good for; `None` for every one.
    pub service: Option<String>,
}

impl Passcode {
    /// Draws a passcode: `fill` fills its bytes in place, so that no copy is left behind.
    pub fn draw<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut passcode = Self([0; LENGTH]);
        fill(&mut passcode.0)?;
        for byte in &mut passcode.0 {
            // Five of eight random bits: each letter is as likely as any other.
            *byte = LETTERS.get(usize::from(*byte & 31)).copied().unwrap_or(b'0');
        }
        Ok(passcode)
    }

    /// Reads twelve letters and digits. Ignores case, blanks and hyphens of any kind; reads `O` as `0`, `I` and `L` as `1`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut passcode = Self([0; LENGTH]);
        let mut positions = passcode.0.iter_mut();
        for byte in PlainText::of(text).filter(|byte| *byte != b'-') {
            let letter = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            *positions.next()? = Some(letter).filter(|letter| LETTERS.contains(letter))?;
        }
        positions.next().is_none().then_some(passcode)
    }

    /// The form that the administrator hands on: `K7QD-M3XA-92TE`.
    pub fn reveal(&self) -> Zeroizing<String> {
        in_fours(&self.0, '-')
    }
}

impl Issued {
    /// The stored form of a passcode. `None` never happens: HMAC takes keys of any length.
    pub fn of(passcode: &Passcode, salt: [u8; 16], until: UnixTime, service: Option<String>) -> Option<Self> {
        Some(Self { salt, hash: hash(&salt, &passcode.0)?, until, service })
    }

    /// Whether this is the passcode, in constant time.
    pub fn is(&self, passcode: &Passcode) -> bool {
        hash(&self.salt, &passcode.0).is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }

    /// Takes the place of a passcode for users without one, so that the work is equal. No passcode has this hash.
    pub fn decoy() -> Self {
        Self { salt: [0; 16], hash: [0; 32], until: UnixTime(0), service: None }
    }

    /// Whether its end has come. An end further off than any passcode has was set by a clock that was ahead.
    pub fn has_ended(&self, now: UnixTime) -> bool {
        self.until <= now || self.until > now.after(LONGEST)
    }

    /// Whether it is good for logins through this service.
    pub fn is_for(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|only| only == service)
    }
}

impl fmt::Debug for Passcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passcode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passcode(text: &str) -> Passcode {
        Passcode::parse(text.as_bytes()).unwrap()
    }

    fn drawn(bytes: [u8; LENGTH]) -> Passcode {
        let fill = |place: &mut [u8]| {
            place.copy_from_slice(&bytes);
            Ok::<_, ()>(())
        };
        Passcode::draw(fill).unwrap()
    }

    #[test]
    fn a_passcode_reads_back_however_it_was_copied() {
        let shown = drawn([19, 7, 23, 13, 20, 3, 29, 10, 9, 2, 26, 14]).reveal();
        assert_eq!(*shown, "K7QD-M3XA-92TE");
        for copied in [
            "K7QD-M3XA-92TE",
            "k7qdm3xa92te",
            " K7QD M3XA 92TE\n",
            "k7qd\u{2010}m3xa\u{2014}92te",
            "\u{1b}[200~K7QD\u{2212}M3XA\u{a0}92TE\u{1b}[201~",
            "Ｋ７ＱＤ－Ｍ３ＸＡ－９２ＴＥ",
            "K\u{667}QD-M\u{663}XA-\u{669}\u{662}TE",
        ] {
            assert_eq!(passcode(copied).0, passcode(&shown).0, "{copied}");
        }
        assert_eq!(*passcode("oOiI-lL01-zzzz").reveal(), "0011-1101-ZZZZ");
    }

    #[test]
    fn every_letter_can_be_drawn_and_three_bits_of_each_byte_do_not_matter() {
        let letters: Vec<u8> =
            (0..=u8::MAX).map(|byte| drawn([byte; LENGTH]).reveal().bytes().next().unwrap()).collect();
        assert_eq!(letters, LETTERS.repeat(8));
        assert_eq!(Passcode::draw(|_| Err("no random bytes")).err(), Some("no random bytes"));
    }

    #[test]
    fn what_is_not_twelve_letters_of_crockford_is_no_passcode() {
        for bad in ["", "K7QD-M3XA-92T", "K7QD-M3XA-92TEE", "U7QD-M3XA-92TE", "K7QD-M3XA-92T\u{e9}", "K7QD_M3XA_92TE"] {
            assert!(Passcode::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_hash_is_hmac_sha256_of_the_letters_under_the_salt() {
        // Computed with: printf K7QDM3XA92TE | openssl dgst -sha256 -mac HMAC -macopt hexkey:07070707070707070707070707070707
        let expected = "866c6c5b18706f8e11ff5d401f62685e8ca01d7cfcce2a4b0a5d73db95fb3a76";
        let issued = Issued::of(&passcode("k7qd m3xa 92te"), [7; 16], UnixTime(1), None).unwrap();
        assert_eq!(base16ct::lower::encode_string(&issued.hash), expected);
        assert!(issued.is(&passcode("K7QDM3XA92TE")));
        assert!(!issued.is(&passcode("K7QDM3XA92TF")));
        assert!(!Issued::decoy().is(&passcode("K7QDM3XA92TE")));
    }

    #[test]
    fn a_passcode_ends_and_none_is_good_for_longer_than_one_is_issued_for() {
        let issued = |until| Issued { until: UnixTime(until), ..Issued::decoy() };
        let now = UnixTime(1_000_000);
        let ends = [now.0 - 1, now.0, now.0 + 1, now.0 + LONGEST.0, now.0 + LONGEST.0 + 1, u64::MAX];
        assert_eq!(ends.map(|until| issued(until).has_ended(now)), [true, true, false, false, true, true]);
    }

    #[test]
    fn a_passcode_never_prints_itself() {
        assert_eq!(format!("{:?}", passcode("K7QD-M3XA-92TE")), "Passcode(..)");
    }
}
