//! What keeps a file from being a record.

use std::fmt;

/// What is wrong with a file that should hold credentials or state. It is damage, never "not enrolled".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a version of this program that this one does not know.
    Version(u64),
    /// Not there, although the other file is.
    Missing,
    /// Not what this program writes.
    Malformed(String),
    /// The record names another user or uid than the one who logs in.
    OtherAccount(String),
    /// The two files contradict each other.
    Mismatch(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => write!(f, "is of version {found}, and this program reads version 1"),
            Self::Missing => f.write_str("is missing, although the user is enrolled"),
            Self::Malformed(what) => write!(f, "cannot be read: {what}"),
            Self::OtherAccount(whose) => write!(f, "belongs to {whose}"),
            Self::Mismatch(what) => write!(f, "does not fit: {what}"),
        }
    }
}
