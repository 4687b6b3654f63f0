//! Errors of a file that should hold credentials or state.

use std::fmt;

use crate::record::seal::Shut;

/// What is wrong with a file that should hold credentials or state. It is an error, never "not enrolled".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Another version of this program wrote the file.
    Version(u64),
    /// The file is missing, although the other one exists.
    Missing,
    /// This program would not write such a file.
    Malformed(String),
    /// The record names another user or user id: `"bob" with uid 1`.
    OtherAccount(String),
    /// The two files contradict each other.
    Mismatch(&'static str),
    /// A seed is needed, and cannot be opened.
    Sealed(Shut),
}

impl RecordError {
    /// What to do next. Removing the record is no advice for an error that is not in it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Version(_) => {
                "install the version of pam_otp that wrote the record: nothing is wrong with the record itself"
            }
            Self::Missing | Self::Malformed(_) | Self::Mismatch(_) => {
                "restore both files of the user from a backup, or run `otp-enroll admin reset USER` so that the user can \
                 enroll again"
            }
            Self::Sealed(why) => why.hint(),
            Self::OtherAccount(_) => {
                "if its number was changed: otp-enroll admin adopt USER; if the account is a new one with an old name, remove the \
                 old record: otp-enroll admin reset USER"
            }
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => write!(f, "has version {found}; this program reads version 1"),
            Self::Missing => f.write_str("is missing, although the user is enrolled"),
            Self::Malformed(what) => write!(f, "cannot be read: {what}"),
            Self::OtherAccount(whose) => write!(f, "was made for {whose}"),
            Self::Mismatch(what) => write!(f, "is inconsistent: {what}"),
            Self::Sealed(why) => f.write_str(why.text()),
        }
    }
}

impl std::error::Error for RecordError {}
