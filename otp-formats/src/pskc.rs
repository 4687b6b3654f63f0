//! Portable symmetric key containers (RFC 6030): tokens as XML, whose values may be encrypted.

mod cipher;
mod package;
mod policy;
mod xml;

use std::ops::Range;

use otp_core::value::time::UnixTime;
use zeroize::Zeroizing;

use crate::map::Map;
use crate::pskc::cipher::Keys;
use crate::pskc::xml::{Element, Space};
use crate::source::{Fault, Read};
use crate::tokens::{Format, Token, Tokens};

/// Bytes of a key package at most, and of a header.
const LARGEST: usize = 1 << 16;

/// A container: what stands before its key packages, and where these are.
pub struct Container<'t> {
    text: &'t [u8],
    header: Header<'t>,
    packages: Vec<(usize, Range<usize>)>,
    protection: Protection,
    /// The elements about keys, with the line of the first of them.
    encryption: Option<Element>,
    mac: Option<Element>,
    line: usize,
}

/// The start tag of the container, without which its parts have no name spaces, and the end tag.
#[derive(Clone, Copy)]
struct Header<'t> {
    start: &'t str,
    name: &'t str,
}

/// What encrypts the values of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The container does not say. Values may be encrypted all the same, by a key that both sides know.
    None,
    /// A key that both sides know, and its name if it has one.
    Key(Option<String>),
    /// A key that is made of a password, and the password's name if it has one.
    Password(Option<String>),
}

/// What opens encrypted values.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    Nothing,
    /// 16, 24 or 32 bytes.
    Key(&'a [u8]),
    Password(&'a [u8]),
}

/// The key packages, and what opens them. Each is parsed again when its token is wanted.
pub struct Packages<'t> {
    text: &'t [u8],
    header: Header<'t>,
    keys: Keys,
    now: UnixTime,
}

impl<'t> Container<'t> {
    /// Finds the parts of a container. Memory is a few bytes for each key package.
    pub fn of(text: &'t [u8]) -> Result<Self, Fault> {
        xml::container(text)
    }

    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Reads all key packages. A fault is told with its line, without a word of the text: that may be a seed.
    pub fn read(self, unlock: Unlock<'_>, map: &Map, now: UnixTime) -> Result<Read<Tokens<Packages<'t>>>, Fault> {
        let keys = Keys::of(self.encryption.as_ref(), self.mac.as_ref(), unlock);
        let keys = keys.map_err(|what| Fault { line: self.line, what })?;
        let Self { text, header, packages, .. } = self;
        let places = packages.into_iter().map(|(line, range)| (line, Ok(range)));
        Ok(Tokens::of(Packages { text, header, keys, now }, places, map))
    }
}

impl Format for Packages<'_> {
    fn token(&self, range: Range<usize>) -> Result<Token, String> {
        let package = self.header.part(self.text.get(range).unwrap_or_default())?;
        package::token(&package, &self.keys, self.now)
    }
}

impl Header<'_> {
    /// Parses a part of the container.
    fn part(&self, part: &[u8]) -> Result<Element, String> {
        if part.len() > LARGEST {
            return Err("it is too large".to_owned());
        }
        let part = str::from_utf8(part).map_err(|_| "it is not UTF-8")?;
        let Self { start, name } = self;
        let length =
            [start.len(), part.len(), name.len(), 3].iter().fold(0usize, |sum, length| sum.saturating_add(*length));
        // Large enough from the beginning: a text that grows leaves copies of itself behind.
        let mut whole = Zeroizing::new(String::with_capacity(length));
        for piece in [start, part, "</", name, ">"] {
            whole.push_str(piece);
        }
        xml::tree(&whole)?.only_child().ok_or_else(|| "it is no single element".to_owned())
    }
}

impl Protection {
    /// What an `EncryptionKey` says.
    fn of(encryption: &Element) -> Self {
        let name = |element: Option<&Element>| {
            let name = element
                .map(|element| element.text.trim().chars().filter(|letter| !letter.is_control()).take(80).collect());
            name.filter(|name: &String| !name.is_empty())
        };
        match encryption.child(Space::Xenc11, "DerivedKey") {
            Some(derived) => Self::Password(name(derived.child(Space::Xenc11, "MasterKeyName"))),
            None => Self::Key(name(encryption.child(Space::Ds, "KeyName"))),
        }
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, clippy::wildcard_enum_match_arm, reason = "a test that goes wrong panics, and so fails")]
mod tests;
