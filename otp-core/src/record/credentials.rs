//! Credentials: devices, hashed recovery codes, and what an administrator requires of this user.

use crate::codes::hotp_totp::{Algorithm, Digits, Period};
use crate::codes::recovery::RecoverySet;
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::State;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::UserName;

/// Everything that proves who a user is. Holds seeds: wiped when dropped, and a login can only read it.
#[derive(Debug)]
pub struct Credentials {
    /// Whose they are, as the name service spelled it at enrollment.
    pub user: UserName,
    /// The numeric id at enrollment; a later account of the same name is somebody else.
    pub uid: u32,
    /// Ties the state file to this version of the credentials.
    pub enrollment: EnrollmentId,
    /// What was required of this user alone; comes before the policy's rules.
    pub user_override: Override,
    /// In the order of their ids; none when only an override is kept.
    pub devices: Vec<Device>,
    /// Hashed recovery codes, where any were issued.
    pub recovery: Option<RecoverySet>,
}

/// What a login must know of credentials before anybody is asked: all of it stands above the seeds.
pub struct Outline {
    /// What was required of this user alone.
    pub user_override: Override,
    /// How many devices there are.
    pub devices: usize,
}

/// An override set for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// A second factor must be given.
    Required,
    /// Like `second_factor = "optional"`: without a device the user logs in without a code.
    Exempt,
    /// There is none: the policy's rules decide.
    None,
}

/// One authenticator app or token.
#[derive(Debug)]
pub struct Device {
    /// Unique within the credentials.
    pub id: DeviceId,
    /// What the user calls it.
    pub name: DeviceName,
    /// What moves the code on.
    pub kind: Kind,
    /// The seed.
    pub secret: Secret,
    /// The hash under the HMAC.
    pub algorithm: Algorithm,
    /// How long its codes are.
    pub digits: Digits,
    /// When it was confirmed.
    pub created: UnixTime,
}

/// The moving factor of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Time, in steps of a period (RFC 6238).
    Totp(Period),
    /// A counter (RFC 4226).
    Hotp,
}

/// What a user calls a device: 1 to 40 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName(String);

impl Kind {
    /// The word in records, log, JSON and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Hotp => "hotp",
        }
    }
}

impl DeviceName {
    /// Takes a name that a person chose.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=40).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name as it was chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Device {
    /// A second copy, whose seed is wiped on its own.
    pub fn duplicate(&self) -> Self {
        Self { name: self.name.clone(), secret: self.secret.duplicate(), ..*self }
    }
}

impl Override {
    /// Reads the word that [`Override::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Required, Self::Exempt, Self::None].into_iter().find(|user_override| user_override.name() == name)
    }

    /// The word in records and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Exempt => "exempt",
            Self::None => "none",
        }
    }
}

impl Credentials {
    /// Whether a code can be given at all.
    pub fn has_device(&self) -> bool {
        !self.devices.is_empty()
    }

    /// How many recovery codes still work in this state; `None` where none were issued.
    pub fn recovery_left(&self, state: &State) -> Option<u8> {
        self.recovery.as_ref().map(|set| state.unused_of(set.issued()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_is_short_and_cannot_steer_a_terminal() {
        for name in ["a", " ", &"\u{10FFFF}".repeat(40)] {
            assert_eq!(DeviceName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", &"a".repeat(41), "a\nb", "\u{1b}[2J", "\u{7f}", "\u{9b}2J"] {
            assert!(DeviceName::parse(name).is_none(), "{name:?}");
        }
    }
}
