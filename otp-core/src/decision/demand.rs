//! The demand: what must be done at a login.

use crate::codes::hotp_totp::Digits;
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Ruling, SecondFactor};
use crate::record::Record;
use crate::record::credentials::Outline;
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};

/// What must be done at a login before it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Ask for a code, even if the user has no device.
    Code {
        /// Whether the default device needs a challenge before it shows a code.
        challenge: bool,
        /// How many digits the default device shows, where password and code are typed as one. `None` without a device:
        /// those of the configuration.
        digits: Option<Digits>,
    },
    /// A code was accepted from this address within the grace period: let the user in without asking.
    Grace {
        /// As for a code, which a user may type all the same.
        digits: Option<Digits>,
    },
    /// Do not ask: the policy says so.
    Nothing(Ruling),
    /// The user has no device, and the policy requires enrollment before this login is let in.
    Enroll(Ruling),
    /// The same, but a passcode must be given first: the policy says so, or an administrator issued one to this user.
    Passcode(Ruling),
}

/// What is known of a user's devices before the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// The user has no device.
    None {
        /// Whether an administrator issued a passcode.
        passcode: bool,
    },
    /// The user has at least one device.
    Some {
        /// Whether the default device needs a challenge before it shows a code.
        challenge: bool,
        /// How many digits the default device shows.
        digits: Option<Digits>,
    },
}

impl Demand {
    /// The demand for an unknown user: that for a user with a device, so that it does not reveal which accounts exist.
    pub const OF_THE_UNKNOWN: Self = Self::Code { challenge: false, digits: None };

    /// The demand for an account that had a record under a former name, and is refused whatever the answer is.
    pub const OF_THE_RENAMED: Self = Self::OF_THE_UNKNOWN;

    /// What a ruling demands of a user with these devices. `offered` are the kinds of device that the login can set up, none
    /// where the PAM line does not offer enrollment: there the host may never call the hooks that enforce one, so a user
    /// without a device is asked for a code like users who are required to have a device. `in_grace` tells whether a code was accepted from the login's
    /// address within the grace period; its error ends the evaluation.
    pub fn of<E>(
        ruling: Ruling,
        devices: Devices,
        offered: Kinds,
        in_grace: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Self, E> {
        Ok(match (ruling.second_factor, devices) {
            (SecondFactor::Skip, _) | (SecondFactor::Optional, Devices::None { .. }) => Self::Nothing(ruling),
            // Where the codes of no such device are accepted, there is nothing to offer.
            (SecondFactor::Enroll, Devices::None { passcode }) if offered.and(ruling.devices) != Kinds::NONE => {
                if passcode || ruling.passcode {
                    Self::Passcode(ruling)
                } else {
                    Self::Enroll(ruling)
                }
            }
            (SecondFactor::Required | SecondFactor::Enroll, Devices::None { .. }) => Self::OF_THE_UNKNOWN,
            (
                SecondFactor::Required | SecondFactor::Enroll | SecondFactor::Optional,
                Devices::Some { challenge, digits },
            ) => {
                if in_grace()? {
                    Self::Grace { digits }
                } else {
                    Self::Code { challenge, digits }
                }
            }
        })
    }

    /// The word in log and pipe.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Code { challenge: false, .. } => "code",
            Self::Code { challenge: true, .. } => "challenge",
            Self::Grace { .. } => "grace",
            Self::Nothing(_) => "nothing",
            Self::Enroll(_) => "enroll",
            Self::Passcode(_) => "passcode",
        }
    }
}

impl Devices {
    /// Those of a record; `None` for a user without one.
    pub fn of(outline: Option<&Outline>) -> Self {
        match outline {
            Some(Outline { digits: digits @ Some(_), challenge, .. }) => {
                Self::Some { challenge: *challenge, digits: *digits }
            }
            Some(Outline { digits: None, passcode, .. }) => Self::None { passcode: *passcode },
            None => Self::None { passcode: false },
        }
    }
}

impl Record {
    /// The kinds of all devices, if a second factor was accepted from an address no longer than `length` ago. It may have been a
    /// code of any of them, so all must be of kinds that are accepted. `None` without a device.
    pub fn remembered(&self, address: Address, length: Seconds, now: UnixTime) -> Option<Kinds> {
        let kinds = self.credentials.kinds();
        (kinds != Kinds::NONE && self.state.is_in_grace(address, length, now)).then_some(kinds)
    }
}
