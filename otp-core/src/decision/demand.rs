//! What must be done at a login.

use crate::decision::policy::{Ruling, SecondFactor};
use crate::record::Record;
use crate::value::network::Address;
use crate::value::time::{Seconds, UnixTime};

/// What a login must do before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Ask for a code, whether or not there is a device.
    Code {
        /// Whether the default device shows a code only after a challenge.
        challenge: bool,
    },
    /// A code was given from the same address within the grace period: let in without asking.
    Grace,
    /// Ask nothing: policy says so.
    Nothing(Ruling),
    /// There is no device, and policy wants one enrolled before this login is let in.
    Enroll(Ruling),
}

/// What is known of a user's devices before anything is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// There is none.
    None,
    /// There is at least one.
    Some {
        /// Whether the default device shows a code only after a challenge.
        challenge: bool,
    },
}

impl Demand {
    /// What is asked of a user who is unknown: the same as of a user with a device.
    pub const OF_THE_UNKNOWN: Self = Self::Code { challenge: false };

    /// What a ruling means for a user with these devices. `in_grace` says whether a code was accepted from the login's
    /// address a short while ago; its error ends the evaluation.
    pub fn of<E>(ruling: Ruling, devices: Devices, in_grace: impl FnOnce() -> Result<bool, E>) -> Result<Self, E> {
        Ok(match (ruling.second_factor, devices) {
            (SecondFactor::Skip, _) | (SecondFactor::Optional, Devices::None) => Self::Nothing(ruling),
            (SecondFactor::Enroll, Devices::None) => Self::Enroll(ruling),
            (SecondFactor::Required, Devices::None) => Self::Code { challenge: false },
            (SecondFactor::Required | SecondFactor::Enroll | SecondFactor::Optional, Devices::Some { challenge }) => {
                if in_grace()? {
                    Self::Grace
                } else {
                    Self::Code { challenge }
                }
            }
        })
    }

    /// The word in log and pipe.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Code { challenge: false } => "code",
            Self::Code { challenge: true } => "challenge",
            Self::Grace => "grace",
            Self::Nothing(_) => "nothing",
            Self::Enroll(_) => "enroll",
        }
    }
}

impl Devices {
    /// So many, of the kinds that there are: none of them takes a challenge.
    pub fn numbering(devices: usize) -> Self {
        if devices == 0 { Self::None } else { Self::Some { challenge: false } }
    }
}

/// Whether a device of this record was accepted from an address no longer than `length` ago.
pub fn is_in_grace(record: &Record, address: Address, length: Seconds, now: UnixTime) -> bool {
    record.is_enrolled() && record.state.is_in_grace(address, length, now)
}
