//! XML, pulled: no entity is expanded, no document type is read, and nothing is nested deeply.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};
use zeroize::Zeroizing;

/// Elements within each other, at most.
const DEEPEST: usize = 24;

pub(super) const NOT_XML: &str = "it is not well-formed XML";
pub(super) const DOCTYPE: &str = "it has a document type (DOCTYPE), which is not read: remove it";

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
    pub(super) fn of(resolved: &ResolveResult<'_>) -> Self {
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

    pub(super) fn of(start: &BytesStart<'_>, space: Space) -> Result<Self, &'static str> {
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
