//! For tests: how often a secret stands in this process's memory, freed memory included.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use zeroize::Zeroizing;

const LENGTH: usize = 32;
const PAGE: usize = 4096;

/// A secret that is kept disguised, so that looking for it finds no copy of our own.
pub(crate) struct Needle([u8; LENGTH]);

impl Needle {
    /// Letters and digits of a pattern of its own for each number.
    pub(crate) fn new(number: u8) -> Self {
        let letter = |place: usize| b'A' + (u8::try_from(place).unwrap() * 7 + number * 5) % 26;
        Self(std::array::from_fn(|place| !letter(place)))
    }

    /// Lends the secret, and wipes the copy that is lent.
    pub(crate) fn spell(&self, with: impl FnOnce(&str)) {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes.iter_mut().zip(&self.0).for_each(|(byte, disguised)| *byte = !disguised);
        with(str::from_utf8(&*bytes).unwrap());
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        bytes.first() == self.0.first().map(|first| !first).as_ref()
            && bytes.iter().zip(&self.0).all(|(byte, disguised)| *byte == !disguised)
    }
}

/// The places in writable memory at which it stands.
pub(crate) fn copies(needle: &Needle) -> usize {
    const NOTHING: [u8; PAGE + LENGTH - 1] = [0; PAGE + LENGTH - 1];
    let memory = File::open("/proc/self/mem").unwrap();
    let (mut found, mut part) = (0, NOTHING);
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rights) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let pages = if rights.starts_with("rw") { start..end } else { start..start };
        for page in pages.step_by(PAGE) {
            let length = memory.read_at(&mut part, page).unwrap_or(0);
            let read = part.get(..length).unwrap();
            if read != NOTHING.get(..length).unwrap() {
                found += read.windows(LENGTH).filter(|bytes| needle.is_at(bytes)).count();
            }
            part.fill(0); // or what was read would be found here
        }
    }
    found
}
