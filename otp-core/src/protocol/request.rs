//! The language between a front end and whoever serves it: one request and one reply, a line of JSON each.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::codes::attempt::Typed;
use crate::decision::verify::Verdict;
use crate::record::credentials::Override;
use crate::value::login_context::LoginContext;

/// Longest request and longest reply, in bytes, its newline included.
pub const LONGEST_LINE: u64 = 16_384;

/// What can be asked. Always about the caller's own account: no request names a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What is stored about me?
    Status {},
    /// Offer a new seed. A user with a device proves with a code that they are its owner.
    Enroll {
        /// A current code or a recovery code.
        proof: Option<Confidential>,
    },
    /// This code of the new device shows that the seed arrived. Only after an offer.
    Confirm {
        /// The new device's code.
        code: Confidential,
    },
    /// Put the confirmed device in force, with the recovery codes that came with its confirmation.
    Activate {},
    /// New recovery codes for old ones.
    Recovery {
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Remove my devices and recovery codes.
    Disable {
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Is this code right? This uses it up.
    Test {
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Forget remembered addresses: ask for a code at every next login.
    ForgetAddresses {},
    /// Must I give a code at this login?
    Demand(LoginContext),
    /// Is this a good code to log in with?
    Verify {
        /// For the log.
        login: LoginContext,
        /// A current code or a recovery code.
        typed: Confidential,
    },
    /// For administrators, about any account; it never crosses the pipe.
    #[serde(skip)]
    Administer(Order),
}

/// What an administrator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Set the user's override.
    Override(Override),
    /// Ask for a code at every next login.
    ForgetAddresses,
    /// Accept codes again after too many wrong ones.
    Unlock,
    /// Remove devices and recovery codes; the override stays.
    Reset,
    /// Remove everything.
    Disable,
}

impl Order {
    /// What it did, as the log names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Override(Override::Required) => "required",
            Self::Override(Override::Exempt) => "exempted",
            Self::Override(Override::None) => "left-to-policy",
            Self::ForgetAddresses => "forgot-addresses",
            Self::Unlock => "unlocked",
            Self::Reset => "reset",
            Self::Disable => "disabled",
        }
    }
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Enroll`]: a seed, not yet in force.
    Offer(Offer),
    /// To [`Request::Confirm`]: the recovery codes of the new device, which is not in force yet. To [`Request::Recovery`]:
    /// those that are in force now. They are shown this once.
    RecoveryCodes(Vec<Confidential>),
    /// To [`Request::Activate`], [`Request::Disable`], [`Request::ForgetAddresses`] and [`Request::Administer`].
    Changed(bool),
    /// To [`Request::Demand`] and [`Request::Verify`], in the words of [`crate::protocol::login_messages`].
    Login(String),
    /// To [`Request::Test`], and to every request whose proof was refused.
    Verdict(Verdict),
    /// The request was understood and not done; nothing was changed by it.
    Declined(Declined),
    /// There is no answer.
    Failed {
        /// What happened.
        error: String,
        /// What to do next.
        hint: String,
    },
}

/// Why a request was not done, although the proof was no obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Declined {
    /// A user with a device must prove who they are.
    ProofNeeded,
    /// The confirming code was not the new device's; the offer still stands.
    NotConfirmed {
        /// Seconds by which the device's clock is ahead (or, negative, behind), where the code shows it.
        clock_off: Option<i64>,
    },
    /// There was no offer that could be confirmed.
    NothingOffered,
    /// The record was changed since the offer; start again.
    ChangedMeanwhile,
    /// An administrator requires a second factor of this user.
    Required,
    /// Only an administrator may ask for this.
    NotPermitted,
}

/// A seed in every form that an app or token takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Who the codes are for.
    pub user: String,
    /// What apps show beside them.
    pub issuer: String,
    /// Upper-case Base32.
    pub secret: Confidential,
    /// Lower-case hexadecimal.
    pub hex: Confidential,
    /// `otpauth://totp/…`.
    pub uri: Confidential,
    /// SHA1, SHA256, SHA512.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Seconds of a step.
    pub period: u64,
}

/// What may be told about a record: everything but what is secret.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The account.
    pub user: String,
    /// Whether a second factor is set up.
    pub enrolled: bool,
    /// `required`, `exempt` or `none`.
    #[serde(rename = "override")]
    pub user_override: String,
    /// In the order in which they were added.
    pub devices: Vec<DeviceStatus>,
    /// Recovery codes that still work.
    pub recovery_codes_left: u8,
    /// Wrong codes since the last right one.
    pub failures: u32,
    /// `open`, `until-unlocked`, or the UTC time until which only recovery codes are accepted.
    pub lock: String,
    /// When a code was last accepted, in UTC.
    pub last_accepted: Option<String>,
}

/// One device, without its seed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceStatus {
    /// Number within the record.
    pub id: u8,
    /// What the user calls it.
    pub name: String,
    /// `totp` or `hotp`.
    pub r#type: String,
    /// SHA1, SHA256, SHA512.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Seconds of a step; none for `hotp`.
    pub period: Option<u64>,
    /// When it was confirmed, in UTC.
    pub created: String,
}

/// A text on its way through the pipe that must not stay behind. Wiped when dropped, never printed.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Confidential(String);

impl Confidential {
    /// Takes a text over.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself. Every use of it is found by this name.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Back from the pipe.
    pub fn into_typed(&self) -> Typed {
        Typed::new(self.0.as_bytes().to_vec())
    }
}

/// What is not UTF-8 is no code, and becomes nothing.
impl From<&Typed> for Confidential {
    fn from(typed: &Typed) -> Self {
        Self::new(std::str::from_utf8(typed.expose()).unwrap_or_default())
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confidential(..)")
    }
}
