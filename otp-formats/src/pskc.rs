//! Portable symmetric key containers (RFC 6030): tokens as XML, whose values may be encrypted.

pub mod cipher;
pub mod container;
mod package;
mod policy;
mod xml;

use std::io;
use std::ops::Range;

use otp_core::value::time::UnixTime;

use crate::map::Map;
use crate::pskc::cipher::{Keys, Unlock};
use crate::pskc::container::{Container, Header};
use crate::source::{Fault, Read};
use crate::text::unread;
use crate::tokens::{self, Format, Place, Token, Tokens};

/// The key packages, and what opens them. Each is parsed again when its token is wanted.
pub struct Packages<'t> {
    text: &'t [u8],
    /// Where each is, with its line.
    places: Vec<(usize, Range<usize>)>,
    header: Header<'t>,
    keys: Keys,
    now: UnixTime,
}

/// Reads all key packages. A fault is told with its line, without a word of the text: that may be a seed.
pub fn read<'t>(
    container: Container<'t>,
    unlock: Unlock<'_>,
    map: Map,
    now: UnixTime,
) -> Result<Read<Tokens<Packages<'t>>>, Fault> {
    let Container { text, header, packages, encryption, mac, line, .. } = container;
    let keys = Keys::of(encryption.as_ref(), mac.as_ref(), unlock).map_err(|what| Fault { line, what })?;
    let packages = Packages { text, places: packages, header, keys, now };
    let places = packages.places.iter().enumerate();
    let places = places.map(|(place, (line, _))| Ok(Place { line: *line, place, token: packages.token(place) }));
    let read = tokens::index(&packages, places, &map);
    let (index, faults) = read.map_err(|error| Fault { line, what: unread(&error) })?;
    Ok(Read { entries: Tokens::of(packages, index, map), faults })
}

impl Format for Packages<'_> {
    fn token(&self, place: usize) -> Result<Token, String> {
        let package = self.places.get(place).and_then(|(_, range)| self.text.get(range.clone()));
        package::token(&self.header.part(package.unwrap_or_default())?, &self.keys, self.now)
    }

    fn range(&self, place: usize) -> io::Result<Range<usize>> {
        Ok(self.places.get(place).map_or(0..0, |(_, range)| range.clone()))
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, clippy::wildcard_enum_match_arm, reason = "a test that goes wrong panics, and so fails")]
mod tests;
