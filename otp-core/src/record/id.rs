//! The ids in a record: of a version of the credentials, and of a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Id of one version of one user's credentials: 128 random bits, new with every change of the credentials.
///
/// The state names the enrollment that it belongs to. So neither a leftover of an earlier enrollment nor half of an
/// interrupted change is used with other credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnrollmentId(pub [u8; 16]);

/// Number of a device within one user's credentials, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId(pub u8);

/// Most devices of a user. The next step or counter of each must fit into a state slot.
pub const MOST_DEVICES: usize = 8;

impl EnrollmentId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// Reads exactly `N` bytes in lower-case HEX: ids, salts and hashes.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = base16ct::lower::decode(text, &mut bytes).ok()?.len();
    (length == N).then_some(bytes)
}

impl fmt::Display for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for EnrollmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
