//! The account that logs in, as the name service knows it, and its name as a safe file name.

use std::fmt;

use sha2::{Digest, Sha256};

/// Longest stem of a record's file name. With the longest suffix it stays below NAME_MAX (255 bytes).
const LONGEST_STEM: usize = 200;

/// A login name as the name service spells it: never empty, no NUL, at most 255 bytes (LOGIN_NAME_MAX - 1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(String);

/// An account of the name service. A typed name is not enough: `Alice` and `alice` may be one account (CVE-2025-6004).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The canonical name, `pw_name`.
    pub name: UserName,
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
}

impl UserName {
    /// Checks a name that the name service, a request or a record gives.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = !name.is_empty() && name.len() <= 255 && !name.contains('\0');
        fits.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the first part of a file name.
    pub fn file_stem(&self) -> String {
        file_stem(&self.0)
    }
}

/// A text as the first part of a file name: one path component that never starts with a dot.
///
/// Letters, digits and `_-@.` are kept, every other byte becomes `%XX`: two texts never share a stem. A stem that would be
/// too long is replaced by `%-` and the text's SHA-256. No encoded text looks like that.
pub(crate) fn file_stem(text: &str) -> String {
    let mut stem = String::with_capacity(text.len());
    for (position, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-@".contains(&byte) || (byte == b'.' && position > 0);
        if plain {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02X}"));
        }
    }
    if stem.len() > LONGEST_STEM {
        stem = format!("%-{}", base16ct::lower::encode_string(&Sha256::digest(text.as_bytes())));
    }
    stem
}

impl Account {
    /// A placeholder where no account exists, so that a refusal does the work of a real one.
    pub fn nobody() -> Self {
        Self { name: UserName("nobody".into()), uid: u32::MAX, gid: u32::MAX }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem(name: &str) -> String {
        UserName::parse(name).unwrap().file_stem()
    }

    #[test]
    fn an_ordinary_name_is_its_own_stem() {
        assert_eq!(stem("alice"), "alice");
        assert_eq!(stem("Alice.B_c-d@example.org"), "Alice.B_c-d@example.org");
    }

    #[test]
    fn a_name_is_never_a_path() {
        assert_eq!(stem("../victim"), "%2E.%2Fvictim");
        assert_eq!(stem(".."), "%2E.");
        assert_eq!(stem("DOM\\user"), "DOM%5Cuser");
        assert_eq!(stem("a b\n"), "a%20b%0A");
        assert_eq!(stem("é"), "%C3%A9");
        assert_eq!(stem("100%"), "100%25");
    }

    #[test]
    fn two_long_names_fit_and_never_share_a_stem() {
        let (one, two) = ("/".repeat(254) + "a", "/".repeat(254) + "b");
        assert!(stem(&one).len() <= LONGEST_STEM);
        assert_ne!(stem(&one), stem(&two));
        assert!(stem(&one).starts_with("%-"));
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for bad in ["", "a\0b", &"x".repeat(256)] {
            assert_eq!(UserName::parse(bad), None);
        }
    }
}
