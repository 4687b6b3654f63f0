//! Bytes that must not leak: wiped when dropped, never printed, never compared with `==`.

use std::fmt;

use base32ct::{Base32UpperUnpadded, Encoding};
use zeroize::{DefaultIsZeroes, Zeroizing, optimization_barrier};

/// The shared secret of one device (RFC 4226 calls it K), 10 to 64 bytes.
pub struct Secret(Zeroizing<Vec<u8>>);

/// Room for the bytes of a file that holds seeds. Wiped when dropped.
pub(crate) struct Wiped(Box<[u8]>);

/// Why a text is not a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASecret {
    /// Not upper-case Base32 without padding (RFC 4648 §6), or not HEX.
    Encoding,
    /// Fewer than 80 or more than 512 bits.
    Length,
}

impl Secret {
    /// Makes a seed of bytes. RFC 4226 §4 asks for 128 bits; 80 are accepted for enrollments made elsewhere.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, NotASecret> {
        if (10..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NotASecret::Length) }
    }

    /// Reads what [`Secret::base32`] writes.
    pub fn from_base32(text: &str) -> Result<Self, NotASecret> {
        let bytes = Zeroizing::new(Base32UpperUnpadded::decode_vec(text).map_err(|_| NotASecret::Encoding)?);
        let secret = Self::new(bytes)?;
        // Bits left over at the end must be zero, so that a seed has one spelling. Eight letters are five bytes, without a rest.
        let has_no_rest = text.len().is_multiple_of(8);
        if has_no_rest || *secret.base32() == *text { Ok(secret) } else { Err(NotASecret::Encoding) }
    }

    /// Reads hexadecimal in either case, as tokens and other programs write it.
    pub fn from_hex(text: &str) -> Result<Self, NotASecret> {
        Self::new(Zeroizing::new(base16ct::mixed::decode_vec(text).map_err(|_| NotASecret::Encoding)?))
    }

    /// The bytes themselves. A search for this name finds every use.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A second copy, wiped on its own.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Upper-case Base32 without padding, as authenticator apps take it.
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(Base32UpperUnpadded::encode_string(&self.0))
    }

    /// Lower-case hexadecimal, as hardware tokens and `oathtool` take it.
    pub fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(&self.0))
    }
}

impl Wiped {
    pub(crate) fn zeros(length: usize) -> Self {
        Self(vec![0; length].into_boxed_slice())
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves. A search for this name finds every use.
    pub(crate) fn expose(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut *self.0);
    }
}

/// Wipes numbers all at once, where there are many: `Zeroizing` writes one after the other, seven instructions for each.
#[inline]
pub(crate) fn wipe<T: DefaultIsZeroes>(numbers: &mut (impl AsMut<[T]> + ?Sized)) {
    let numbers = numbers.as_mut();
    numbers.fill(T::default());
    // Without it, the compiler could leave out what is never read.
    optimization_barrier(numbers);
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_written_as_apps_and_tokens_read_it() {
        let secret = Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(secret.expose(), b"12345678901234567890");
        assert_eq!(*secret.hex(), "3132333435363738393031323334353637383930");
        assert_eq!(*secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn only_strict_base32_is_a_seed() {
        for bad in ["gezdgnbvgy3tqojq", "GEZDGNBVGY3TQOJ1", "GEZDGNBVGY3TQOJQ====", "GEZDGNBVGY3TQOJQGB"] {
            assert_eq!(Secret::from_base32(bad).unwrap_err(), NotASecret::Encoding, "{bad}");
        }
        for bad in ["", "GEZDGNBVGY3TQ", &"A".repeat(104)] {
            assert_eq!(Secret::from_base32(bad).unwrap_err(), NotASecret::Length, "{bad}");
        }
    }

    #[test]
    fn a_seed_of_any_length_has_one_spelling() {
        for length in 10..=64 {
            let secret = Secret::new(Zeroizing::new((0..length).collect())).unwrap();
            let text = secret.base32();
            assert_eq!(Secret::from_base32(&text).unwrap().expose(), secret.expose(), "{length}");
            for more in ["A", "B", "8", "=", "\u{e9}", "AA", "AAAAAAAA"] {
                let longer = [text.as_str(), more].concat();
                // What is read is spelled as it was, so there is no second spelling of a shorter seed.
                let read = Secret::from_base32(&longer);
                assert!(read.is_err() || read.is_ok_and(|secret| *secret.base32() == longer), "{length} {more}");
            }
        }
    }

    #[test]
    fn what_is_wiped_is_zero() {
        let mut bytes = [7u8; 300];
        wipe(&mut bytes);
        assert_eq!(bytes, [0; 300]);
        let mut words = [7u32; 5];
        wipe(&mut words);
        assert_eq!(words, [0; 5]);
    }

    #[test]
    fn hexadecimal_is_read_in_either_case_and_nothing_else_is() {
        let read = |text: &str| Secret::from_hex(text).map(|secret| secret.expose().to_vec());
        assert_eq!(read("00fF00ff00FF00ff00ff"), Ok([0, 255].repeat(5)));
        assert_eq!(read(&"aB".repeat(64)), Ok(vec![0xab; 64]));
        for bad in ["00ff00ff00ff00ff00f", "0x00ff00ff00ff00ff00ff", "00 ff00ff00ff00ff00ff", "gg00ff00ff00ff00ff00"] {
            assert_eq!(read(bad), Err(NotASecret::Encoding), "{bad}");
        }
        for bad in ["", "00", &"00".repeat(9), &"00".repeat(65)] {
            assert_eq!(read(bad), Err(NotASecret::Length), "{bad}");
        }
    }

    #[test]
    fn a_seed_never_prints_itself() {
        let secret = Secret::from_base32("GEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
