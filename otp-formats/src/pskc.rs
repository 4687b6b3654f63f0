//! Portable symmetric key containers (RFC 6030): tokens as XML, whose values may be encrypted.

pub mod cipher;
pub mod container;
mod package;
mod policy;
mod xml;

use std::ops::Range;

use otp_core::value::time::UnixTime;

use crate::map::Map;
use crate::pskc::cipher::{Keys, Unlock};
use crate::pskc::container::{Container, Header};
use crate::source::{Fault, Read};
use crate::tokens::{Format, Token, Tokens};

/// The key packages, and what opens them. Each is parsed again when its token is wanted.
pub struct Packages<'t> {
    text: &'t [u8],
    header: Header<'t>,
    keys: Keys,
    now: UnixTime,
}

/// Reads all key packages. A fault is told with its line, without a word of the text: that may be a seed.
pub fn read<'t>(
    container: Container<'t>,
    unlock: Unlock<'_>,
    map: &Map,
    now: UnixTime,
) -> Result<Read<Tokens<Packages<'t>>>, Fault> {
    let Container { text, header, packages, encryption, mac, line, .. } = container;
    let keys = Keys::of(encryption.as_ref(), mac.as_ref(), unlock).map_err(|what| Fault { line, what })?;
    let places = packages.into_iter().map(|(line, range)| (line, Ok(range)));
    Ok(Tokens::of(Packages { text, header, keys, now }, places, map))
}

impl Format for Packages<'_> {
    fn token(&self, range: Range<usize>) -> Result<Token, String> {
        let package = self.header.part(self.text.get(range).unwrap_or_default())?;
        package::token(&package, &self.keys, self.now)
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, clippy::wildcard_enum_match_arm, reason = "a test that goes wrong panics, and so fails")]
mod tests;
