//! What is known of one user: the credentials that prove who they are, and the state that each login changes.

mod credentials;
mod state;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use credentials::{Credentials, Device, DeviceName, Kind, Outline, Requirement};
pub use state::{Grace, Lock, MOST_GRACES, SLOT_SIZE, Slot, State, Unenforced};

use crate::value::user::Account;

/// Credentials and the state that belongs to them.
pub struct Record {
    /// Changed by enrolment and administration only.
    pub credentials: Credentials,
    /// Changed by every login.
    pub state: State,
}

/// Names one version of one user's credentials, 128 random bits; every change of the credentials draws a new one.
///
/// The state names the enrolment it belongs to, so neither a leftover of an earlier enrolment nor half of an
/// interrupted change is ever taken for this one's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnrolmentId(pub [u8; 16]);

/// Number of a device within one user's credentials, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId(pub u8);

/// Most devices a user may have; their marks must fit a state slot.
pub const MOST_DEVICES: usize = 8;

/// What is wrong with a file that should hold credentials or state. It is damage, never "not enrolled".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Written by a version of this program that this one does not know.
    Version(u64),
    /// Not there, although the other file is.
    Missing,
    /// Not what this program writes.
    Malformed(String),
    /// The record names another user or uid than the one who logs in.
    SomebodyElse(String),
    /// The two files contradict each other.
    Mismatch(&'static str),
}

impl Record {
    /// Whether both halves speak of the same enrolment and of the same devices.
    ///
    /// A device without a mark would be a device whose old codes work again: damage, not a fresh start.
    pub fn new(credentials: Credentials, state: State) -> Result<Self, Damage> {
        let marks = state.marks.keys().copied();
        if state.enrolment != credentials.enrolment {
            Err(Damage::Mismatch("the state belongs to another enrolment"))
        } else if !marks.eq(credentials.devices.iter().map(|device| device.id)) {
            Err(Damage::Mismatch("the state does not have one mark for each device"))
        } else {
            Ok(Self { credentials, state })
        }
    }

    /// What is decided about when nothing is stored: no device, nothing to change, the same work.
    pub fn stranger(account: &Account) -> Self {
        let enrolment = EnrolmentId([0; 16]);
        let credentials = Credentials {
            user: account.name.clone(),
            uid: account.uid,
            enrolment,
            requirement: Requirement::Policy,
            devices: Vec::new(),
            recovery: None,
        };
        Self { credentials, state: State::new(enrolment) }
    }

    /// Whether there is a device.
    pub fn is_enrolled(&self) -> bool {
        self.credentials.has_device()
    }
}

impl EnrolmentId {
    fn parse(text: &str) -> Option<Self> {
        hex(text).map(Self)
    }
}

/// Ids, salts and hashes in lower-case HEX. None of them is a secret, so this need not take constant time.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().try_fold(0u8, |high, digit| Some(high.wrapping_mul(16) | hex_digit(*digit)?))?;
    }
    (text.len() == N.saturating_mul(2)).then_some(bytes)
}

fn hex_digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(letter.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

impl fmt::Display for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => write!(f, "is of version {found}, and this program reads versions 1 and 2"),
            Self::Missing => f.write_str("is missing, although the user is enrolled"),
            Self::Malformed(what) => write!(f, "cannot be read: {what}"),
            Self::SomebodyElse(whose) => write!(f, "belongs to {whose}"),
            Self::Mismatch(what) => write!(f, "does not fit: {what}"),
        }
    }
}

#[cfg(test)]
mod tests;
