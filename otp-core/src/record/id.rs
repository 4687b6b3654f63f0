//! The ids in a record: of a version of the credentials, and of a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Id of one version of one user's credentials: 128 random bits, new with every change of the credentials.
///
/// The state names the enrollment that it belongs to. So neither a leftover of an earlier enrollment nor half of an
/// interrupted change is used with other credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnrollmentId(pub [u8; 16]);

/// Number of a device within one user's credentials, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId(pub u8);

/// Most devices of a user. The next step or counter of each must fit into a state slot.
pub const MOST_DEVICES: usize = 8;

impl EnrollmentId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// Reads exactly `N` bytes in lower-case HEX, of which there are four or a multiple: ids, salts and hashes. Each login reads some
/// hundred, so eight letters are read at a time, all in the same way, whatever they are.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let ((letters, []), (fours, [])) = (text.as_bytes().as_chunks(), bytes.as_chunks_mut()) else { return None };
    if letters.len() != fours.len() {
        return None;
    }
    let mut wrong = 0;
    for (four, eight) in fours.iter_mut().zip(letters) {
        let (read, differs) = four_bytes(*eight);
        (*four, wrong) = (read, wrong | differs);
    }
    (wrong == 0).then_some(bytes)
}

/// The bytes of eight letters, and how these differ from what is written for those: not at all (0), if they are HEX.
fn four_bytes(letters: [u8; 8]) -> ([u8; 4], u64) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(letters);
    // Nothing is carried from one byte to the next: none grows beyond 0x70.
    let is_letter = (word >> 6) & EACH;
    let digits = (word & EACH.wrapping_mul(0x0f)).wrapping_add(is_letter.wrapping_mul(9));
    let beyond_nine = (digits.wrapping_add(EACH.wrapping_mul(6)) >> 4) & EACH;
    let written = digits
        .wrapping_add(EACH.wrapping_mul(b'0'.into()))
        .wrapping_add(beyond_nine.wrapping_mul(u64::from(b'a' - b':')));
    let pairs = ((digits << 4) | (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let [first, _, second, _, third, _, fourth, _] = pairs.to_le_bytes();
    let above_fifteen = digits & EACH.wrapping_mul(0xf0);
    ([first, second, third, fourth], (written ^ word) | above_fifteen)
}

impl fmt::Display for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_as_the_library_reads_it() {
        let library = |text: &[u8]| base16ct::lower::decode_vec(text).ok();
        let bytes: Vec<u8> = (0..=255).collect();
        for all in bytes.as_chunks::<16>().0 {
            assert_eq!(from_hex(&base16ct::lower::encode_string(all)), Some(*all));
        }
        // Each byte in each place.
        for (place, other) in (0..8).flat_map(|place| (0..=255).map(move |other| (place, other))) {
            let mut text = *b"09afc37e";
            text[place] = other;
            let (read, differs) = four_bytes(text);
            assert_eq!((differs == 0).then(|| read.to_vec()), library(&text), "{other:#x} in place {place}");
        }
        for text in ["", "00", "0000000", "000000000", "00000000 ", "0000000000000000"] {
            assert_eq!(from_hex::<4>(text), None, "{text}");
        }
        assert_eq!(from_hex::<4>("00000000"), Some([0; 4]));
    }
}
