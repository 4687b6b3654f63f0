//! XML, pulled: no entity is expanded, no document type is read, and nothing is nested deeply.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};
use zeroize::Zeroizing;

use crate::pskc::{Container, Header, LARGEST, Protection};
use crate::source::Fault;

/// Elements within each other, at most.
const DEEPEST: usize = 24;

const NOT_XML: &str = "it is not well-formed XML";
const DOCTYPE: &str = "it has a document type (DOCTYPE), which is not read: remove it";

/// The name spaces that have a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Pskc,
    Xenc,
    Xenc11,
    Ds,
    Other,
}

/// An element with all that is in it; its text is wiped when dropped.
pub(super) struct Element {
    pub(super) space: Space,
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    pub(super) text: Zeroizing<String>,
    pub(super) children: Vec<Element>,
}

impl Space {
    fn of(resolved: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(space) = resolved else { return Self::Other };
        match space.as_ref() {
            "urn:ietf:params:xml:ns:keyprov:pskc" => Self::Pskc,
            "http://www.w3.org/2001/04/xmlenc#" => Self::Xenc,
            "http://www.w3.org/2009/xmlenc11#" => Self::Xenc11,
            "http://www.w3.org/2000/09/xmldsig#" => Self::Ds,
            _ => Self::Other,
        }
    }
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, space: Space, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.space == space && child.name == name)
    }

    /// The first child of this name in the name space of the format.
    pub(super) fn part(&self, name: &str) -> Option<&Self> {
        self.child(Space::Pskc, name)
    }

    /// A child of this name, whatever its name space is.
    pub(super) fn any(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child without blanks around it; empty if there is none.
    pub(super) fn text_of(&self, name: &str) -> &str {
        self.part(name).map_or("", |child| child.text.trim())
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    pub(super) fn only_child(mut self) -> Option<Self> {
        if self.children.len() == 1 { self.children.pop() } else { None }
    }

    fn of(start: &BytesStart<'_>, space: Space) -> Result<Self, &'static str> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| NOT_XML)?;
            if attribute.key.prefix().is_none() {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| NOT_XML)?;
                attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
            }
        }
        let name = start.local_name().as_ref().to_owned();
        Ok(Self { space, name, attributes, text: Zeroizing::default(), children: Vec::new() })
    }

    /// Adds to the text. A buffer that grows by itself would leave a copy behind.
    fn add(&mut self, more: &str) {
        let length = self.text.len().saturating_add(more.len());
        if length > self.text.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(length.max(self.text.capacity().saturating_mul(2))));
            larger.push_str(&self.text);
            self.text = larger;
        }
        self.text.push_str(more);
    }
}

/// Parses a document of one element.
pub(super) fn tree(text: &str) -> Result<Element, &'static str> {
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let (resolved, event) = reader.read_resolved_event().map_err(|_| NOT_XML)?;
        let space = Space::of(&resolved);
        let closed = match event {
            Event::Start(_) | Event::Empty(_) if open.len() >= DEEPEST => return Err("it is nested too deeply"),
            Event::Start(start) => {
                open.push(Element::of(&start, space)?);
                None
            }
            Event::Empty(start) => Some(Element::of(&start, space)?),
            Event::End(_) => open.pop(),
            Event::Text(more) => {
                add(&mut open, &more);
                None
            }
            Event::CData(more) => {
                add(&mut open, &more);
                None
            }
            Event::GeneralRef(reference) => {
                let mut buffer = [0; 4];
                add(&mut open, letter(&reference)?.encode_utf8(&mut buffer));
                None
            }
            Event::DocType(_) => return Err(DOCTYPE),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => None,
            Event::Eof => return Err(NOT_XML),
        };
        if let Some(closed) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => return Ok(closed),
            }
        }
    }
}

fn add(open: &mut [Element], more: &str) {
    if let Some(element) = open.last_mut() {
        element.add(more);
    }
}

/// The character of a reference: of XML's own five, or by its number. There are no others without a document type.
fn letter(reference: &BytesRef<'_>) -> Result<char, &'static str> {
    match reference.resolve_char_ref() {
        Ok(Some(letter)) => return Ok(letter),
        Ok(None) => {}
        Err(_) => return Err(NOT_XML),
    }
    Ok(match &**reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return Err("it has an entity that is not known; none is expanded"),
    })
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
pub(super) fn container(text: &[u8]) -> Result<Container<'_>, Fault> {
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
        if whole.len() > LARGEST {
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
