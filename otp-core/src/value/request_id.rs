//! The id of a question: who asks again, because no answer came, asks with the same id.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 128 random bits, drawn where a question leaves its process. One question has one id, however often it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        let length = base16ct::lower::decode(text, &mut id).ok()?.len();
        (length == id.len()).then_some(Self(id))
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not an id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_in_no_other_spelling() {
        let id = RequestId([0xa5; 16]);
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        for odd in ["", "a5", &"A5".repeat(16), &"a5".repeat(17), &"g5".repeat(16)] {
            assert_eq!(RequestId::parse(odd), None, "{odd}");
        }
    }
}
