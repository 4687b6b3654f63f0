//! A container as a whole: its head, and where its key packages are.

use std::ops::Range;

use quick_xml::NsReader;
use quick_xml::events::Event;
use zeroize::Zeroizing;

use crate::pskc::xml::{self, DOCTYPE, Element, NOT_XML, Space};
use crate::source::Fault;

/// Bytes of a start tag of a container at most: it is parsed again with each package.
const LARGEST_HEADER: usize = 1 << 12;

/// Bytes of a key package at most.
const LARGEST: usize = 1 << 16;

/// A container: what stands before its key packages, and where these are.
pub struct Container<'t> {
    pub(super) text: &'t [u8],
    pub(super) header: Header<'t>,
    pub(super) packages: Vec<(usize, Range<usize>)>,
    pub(super) protection: Protection,
    /// The elements about keys, with the line of the first of them.
    pub(super) encryption: Option<Element>,
    pub(super) mac: Option<Element>,
    pub(super) line: usize,
}

/// The start tag of the container, without which its parts have no name spaces, and the end tag.
#[derive(Clone, Copy)]
pub(super) struct Header<'t> {
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

impl<'t> Container<'t> {
    /// Finds the parts of a container. Memory is a few bytes for each key package.
    pub fn of(text: &'t [u8]) -> Result<Self, Fault> {
        container(text)
    }

    pub fn protection(&self) -> &Protection {
        &self.protection
    }
}

impl Header<'_> {
    /// Parses a part of the container.
    pub(super) fn part(&self, part: &[u8]) -> Result<Element, String> {
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

/// Counts lines up to a place, each byte once.
struct Lines<'t> {
    text: &'t str,
    counted: usize,
    line: usize,
}

impl Lines<'_> {
    fn at(&mut self, place: usize) -> usize {
        let more = self.text.as_bytes().get(self.counted..place).unwrap_or_default();
        self.line = self.line.saturating_add(more.iter().filter(|byte| **byte == b'\n').count());
        self.counted = self.counted.max(place);
        self.line
    }
}

/// Finds the parts of a container.
fn container(text: &[u8]) -> Result<Container<'_>, Fault> {
    let fault = |line, what: &str| Fault { line, what: what.to_owned() };
    // Positions are those after a byte order mark, which the parser would skip without counting.
    let skipped = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let xml = text.get(skipped..).unwrap_or_default();
    let xml = str::from_utf8(xml).map_err(|_| fault(1, "it is not UTF-8"))?;
    let mut lines = Lines { text: xml, counted: 0, line: 1 };
    let mut reader = NsReader::from_str(xml);
    let place = |reader: &NsReader<&[u8]>| usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);

    let (header, is_empty) = loop {
        let start = place(&reader);
        let line = lines.at(start);
        let (resolved, event) = reader.read_resolved_event().map_err(|_| fault(line, NOT_XML))?;
        let space = Space::of(&resolved);
        let (tag, is_empty) = match event {
            Event::Start(tag) => (tag, false),
            Event::Empty(tag) => (tag, true),
            Event::DocType(_) => return Err(fault(line, DOCTYPE)),
            Event::Text(text) if !text.trim().is_empty() => return Err(fault(line, NOT_XML)),
            Event::Text(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => continue,
            Event::End(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Eof => return Err(fault(line, NOT_XML)),
        };
        if space != Space::Pskc || tag.local_name().as_ref() != "KeyContainer" {
            return Err(fault(line, "it is no container of keys (PSKC, RFC 6030)"));
        }
        let whole = xml.get(start..place(&reader)).unwrap_or_default();
        if whole.len() > LARGEST_HEADER {
            return Err(fault(line, "its first element is too large"));
        }
        let name = whole
            .get(1..)
            .and_then(|rest| rest.split(|letter: char| letter.is_whitespace() || "/>".contains(letter)).next());
        let header = Header { start: whole, name: name.unwrap_or_default() };
        let version = Element::of(&tag, space).map_err(|what| fault(line, what))?;
        if version.attribute("Version").is_some_and(|version| version != "1.0") {
            return Err(fault(line, "it has another version of the format than 1.0"));
        }
        break (header, is_empty);
    };
    let mut container = Container {
        text,
        header,
        packages: Vec::new(),
        protection: Protection::None,
        encryption: None,
        mac: None,
        line: 1,
    };
    if is_empty {
        return Ok(container);
    }
    loop {
        let start = place(&reader);
        let (resolved, event) = reader.read_resolved_event().map_err(|_| fault(lines.at(start), NOT_XML))?;
        let space = Space::of(&resolved);
        let name = match event {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                reader.read_to_end(tag.name()).map_err(|_| fault(lines.at(start), NOT_XML))?;
                name
            }
            Event::Empty(tag) => tag.local_name().as_ref().to_owned(),
            Event::Text(_) | Event::Comment(_) | Event::PI(_) => continue,
            Event::End(_) => break,
            Event::DocType(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Decl(_) | Event::Eof => {
                return Err(fault(lines.at(start), NOT_XML));
            }
        };
        let end = place(&reader);
        let line = lines.at(start);
        let range = start.saturating_add(skipped)..end.saturating_add(skipped);
        match (space, name.as_str()) {
            (Space::Pskc, "KeyPackage") => container.packages.push((line, range)),
            (Space::Pskc, "EncryptionKey" | "MACMethod") => {
                let part = header.part(text.get(range).unwrap_or_default()).map_err(|what| fault(line, &what))?;
                container.line = if container.line == 1 { line } else { container.line };
                if name == "MACMethod" {
                    container.mac = Some(part);
                } else {
                    container.protection = Protection::of(&part);
                    container.encryption = Some(part);
                }
            }
            _ => {} // a signature, an extension
        }
    }
    loop {
        let start = place(&reader);
        match reader.read_event() {
            Ok(Event::Eof) => return Ok(container),
            Ok(Event::Comment(_) | Event::PI(_)) => {}
            Ok(Event::Text(text)) if text.trim().is_empty() => {}
            Ok(_) | Err(_) => return Err(fault(lines.at(start), NOT_XML)),
        }
    }
}
