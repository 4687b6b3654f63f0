//! Requests and replies between a program and an authority: a line of JSON each.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::codes::attempt::Typed;
use crate::decision::arrival::ArrivedPasscode;
use crate::decision::kinds::Kinds;
use crate::decision::verify::Verdict;
use crate::record::credentials::Override;
use crate::record::id::DeviceId;
use crate::value::destination::Channel;
use crate::value::login_context::LoginContext;
use crate::value::request_id::RequestId;
use crate::value::time::Seconds;

/// Most bytes of a request or reply, its newline included.
pub const LONGEST_LINE: u64 = 16_384;

/// A request. It is always about one account: no request names a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// What is stored about the user?
    Status {},
    /// Offer a new seed. A user with a device proves it with a code, and one without it gives a passcode where
    /// [`Declined::PasscodeNeeded`] asks for it.
    Enroll {
        /// A current code or a recovery code; a passcode for the first device.
        proof: Option<Confidential>,
        /// How many recovery codes the new device gets; `None` for the number of the configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u8>,
    },
    /// Offer a seed for one more device, or take that of a token. A user with a device proves it with a code.
    Add {
        /// `None` for a name of ours.
        name: Option<String>,
        /// A current code or a recovery code; a passcode for the first device.
        proof: Option<Confidential>,
        /// `None` for an app, a number or an address.
        token: Option<Token>,
        /// `None` for an app or a token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<SendTo>,
        /// How many recovery codes to make for a first device; `None` for the number in the configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u8>,
    },
    /// Send another PIN to the number or address that waits for one.
    SendAgain {},
    /// A code of the new device as proof that the seed arrived, or the PIN that was sent to it. Only after an offer.
    Confirm {
        /// The new device's code, or the PIN.
        code: Confidential,
        /// The code after it, where [`Declined::NextCodeNeeded`] asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Confidential>,
    },
    /// Put the confirmed device and its recovery codes in force.
    Activate {},
    /// Give a device another name.
    Rename {
        /// Its number or name.
        device: String,
        name: String,
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Remove a device, but not the only one.
    Remove {
        /// Its number or name.
        device: String,
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Make a device the default.
    Default {
        /// Its number or name.
        device: String,
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Find a hardware token again by two codes in a row.
    Resync {
        /// Its number or name; `None` for the only token.
        device: Option<String>,
        first: Confidential,
        second: Confidential,
    },
    /// Replace the recovery codes by new ones.
    Recovery {
        /// A current code or a recovery code; `None` to learn whether the rest can be done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Confidential>,
        /// How many; `None` for the number of the configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u8>,
    },
    /// Does the policy, or an override, require a second factor of the user?
    Requirement {},
    /// Remove the user's devices and recovery codes.
    Disable {
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Check a code. This uses it up.
    Test {
        /// A current code or a recovery code.
        proof: Confidential,
    },
    /// Forget remembered addresses: ask for a code at every next login.
    ForgetAddresses {},
    /// Must the user give a code at this login?
    Demand(LoginContext),
    /// Challenge the default device, or the one that is named in place of a code.
    Challenge { login: LoginContext, named: Option<Confidential> },
    /// Verify a code for a login.
    Verify {
        /// Of the question, however often it is asked. `None` where a request does not say: then no answer is given again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        /// Where the login comes from: for the log, and for a store that keeps an audit.
        login: LoginContext,
        /// A current code or a recovery code.
        typed: Confidential,
    },
    /// Send the PIN of a number or an address that is to be added. To the agent only.
    SendPin(PinToSend),
    /// The keys of sealed seeds of the asker alone. Of the helper, to the agent.
    SealKeys {},
    /// Gives the record of this host to the fleet. Of root, to the agent.
    Adopt {
        /// Whether its passcode goes along. It is used up here by then, so that it is good once.
        #[serde(default)]
        with_passcode: bool,
    },
    /// A step of an enrollment in the middle of a login. Of root's PAM host, to a helper of root or to the agent of a fleet. The answer
    /// is in words: [`crate::protocol::enrollment_messages`].
    Enrolling(Box<Request>),
    /// Administration. Such a request never crosses the pipe.
    #[serde(skip)]
    Administer(Order),
    /// The same about one device.
    #[serde(skip)]
    AdministerDevice(DeviceOrder),
    /// Issue a passcode. The reply holds it.
    #[serde(skip)]
    IssuePasscode(PasscodeOrder),
}

/// A request to the agent, or to a helper of root: it says which account it is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The login name, as it was typed.
    pub about: String,
    pub request: Request,
    /// What [`Reply::UnderWay`] brought to the request before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<Confidential>,
}

impl Request {
    /// Whether it is one of a user about their own second factor, and neither of a login nor of an administrator.
    pub fn is_self_service(&self) -> bool {
        match self {
            Self::Status {}
            | Self::Enroll { .. }
            | Self::Add { .. }
            | Self::SendAgain {}
            | Self::Confirm { .. }
            | Self::Activate {}
            | Self::Rename { .. }
            | Self::Remove { .. }
            | Self::Default { .. }
            | Self::Resync { .. }
            | Self::Recovery { .. }
            | Self::Requirement {}
            | Self::Disable { .. }
            | Self::Test { .. }
            | Self::ForgetAddresses {} => true,
            Self::Demand(_)
            | Self::Challenge { .. }
            | Self::Verify { .. }
            | Self::SendPin(_)
            | Self::SealKeys {}
            | Self::Adopt { .. }
            | Self::Enrolling(_)
            | Self::Administer(_)
            | Self::AdministerDevice(_)
            | Self::IssuePasscode(_) => false,
        }
    }

    /// Whether it is a step of an enrollment after the first one.
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::SendAgain {} | Self::Confirm { .. } | Self::Activate {})
    }

    /// What was typed as proof of it.
    pub fn proof(&self) -> Option<&Confidential> {
        match self {
            Self::Enroll { proof, .. } | Self::Add { proof, .. } | Self::Recovery { proof, .. } => proof.as_ref(),
            Self::Rename { proof, .. }
            | Self::Remove { proof, .. }
            | Self::Default { proof, .. }
            | Self::Disable { proof }
            | Self::Test { proof } => Some(proof),
            Self::Resync { first, .. } => Some(first),
            Self::Status {}
            | Self::SendAgain {}
            | Self::Confirm { .. }
            | Self::Activate {}
            | Self::Requirement {}
            | Self::ForgetAddresses {}
            | Self::Demand(_)
            | Self::Challenge { .. }
            | Self::Verify { .. }
            | Self::SendPin(_)
            | Self::SealKeys {}
            | Self::Adopt { .. }
            | Self::Enrolling(_)
            | Self::Administer(_)
            | Self::AdministerDevice(_)
            | Self::IssuePasscode(_) => None,
        }
    }
}

/// Where codes are to be sent, as a person wrote it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendTo {
    pub kind: Channel,
    pub to: String,
}

/// A PIN, and where to send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinToSend {
    pub kind: Channel,
    pub to: String,
    pub pin: Confidential,
}

/// A hardware token, as its maker describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// `totp`, `hotp` or `ocra`.
    pub r#type: String,
    /// For `ocra`, in place of algorithm, digits and period: `OCRA-1:HOTP-SHA1-6:QN08`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Upper-case Base32.
    pub secret: Confidential,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Seconds of a step; of no meaning for `hotp`.
    pub period: u64,
    /// The counter that it has reached, if that is known; of no meaning for `totp`.
    pub counter: u64,
    /// What is printed on it.
    pub serial: Option<String>,
    /// Whether it is an app, whose phone sets its clock.
    #[serde(default)]
    pub app: bool,
}

/// An administrator's order about one device.
#[derive(Clone, Debug)]
pub enum DeviceOrder {
    /// Add a token, by its first code or, without one, unconfirmed.
    Add {
        /// `None` for a name of ours.
        name: Option<String>,
        token: Token,
        code: Option<Confidential>,
        /// The code after it, where [`Declined::NextCodeNeeded`] asked for it.
        next: Option<Confidential>,
    },
    /// Remove one of several, by its number or name.
    Remove(String),
    /// Find a token again by two codes in a row; `None` for the only one.
    Resync { device: Option<String>, first: Confidential, second: Confidential },
}

/// An administrator's order for a passcode.
#[derive(Clone, Debug)]
pub struct PasscodeOrder {
    /// How long it is good; at most [`crate::codes::passcode::LONGEST`].
    pub valid: Seconds,
    /// The only PAM service that it is good for.
    pub service: Option<String>,
}

/// An administrator's order for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Set the user's override.
    Override(Override),
    /// Ask for a code at every next login.
    ForgetAddresses,
    /// Accept codes again after too many wrong ones.
    Unlock,
    /// Unlock, and lower next steps that are in the future to the present.
    UnlockAfterClockWasAhead,
    /// Remove the passcode.
    RevokePasscode,
    /// Remove devices, recovery codes and passcode; keep the override.
    Reset,
    /// Remove everything.
    Disable,
}

impl Order {
    /// The word in the log for what was done.
    pub fn word(self) -> &'static str {
        match self {
            Self::Override(Override::Required | Override::RequiredUntil(_)) => "required",
            Self::Override(Override::Enroll | Override::EnrollUntil(_)) => "enroll-required",
            Self::Override(Override::Exempt | Override::ExemptUntil(_)) => "exempted",
            Self::Override(Override::None) => "left-to-policy",
            Self::ForgetAddresses => "forgot-addresses",
            Self::Unlock => "unlocked",
            Self::UnlockAfterClockWasAhead => "lowered-to-present",
            Self::RevokePasscode => "passcode-revoked",
            Self::Reset => "reset",
            Self::Disable => "disabled",
        }
    }
}

/// A reply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Enroll`] and [`Request::Add`]: a seed, not yet in force.
    Offer(Offer),
    /// To [`Request::Add`] with a token: it is not in force before it has shown a right code.
    TokenTaken {
        /// Its name.
        name: String,
        /// What is to be typed into a token with a keypad, whose response is the code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<String>,
    },
    /// To [`Request::Add`] with a number or an address, and to [`Request::SendAgain`]: what became of the PIN.
    PinSent {
        /// The device's name.
        name: String,
        /// Where it is sent, in part.
        to: String,
        /// The words of a challenge: see [`crate::protocol::login_messages`].
        answer: String,
    },
    /// To [`Request::Confirm`]: the recovery codes of the new device, which is not in force yet. To [`Request::Recovery`]:
    /// the codes that are in force now. They are shown only once.
    RecoveryCodes(Vec<Confidential>),
    /// To [`Request::Requirement`]: what requires a second factor, if anything does.
    Requirement(Option<Requirement>),
    /// To [`Request::Activate`], [`Request::Disable`], [`Request::ForgetAddresses`] and [`Request::Administer`]: whether
    /// anything was changed.
    Changed(bool),
    /// To [`Request::Rename`], [`Request::Remove`], [`Request::Default`], [`Request::Resync`] and
    /// [`Request::AdministerDevice`]: the number of the device that was changed.
    ChangedDevice(DeviceId),
    /// To [`Request::IssuePasscode`]: it is in force, and shown only once.
    Passcode(IssuedPasscode),
    /// To [`Request::Demand`], [`Request::Challenge`] and [`Request::Verify`]: the words of [`crate::protocol::login_messages`].
    Login(String),
    /// To [`Request::SealKeys`]: a ring of keys in hexadecimal.
    SealKeys(Confidential),
    /// To [`Request::Adopt`].
    Adopted(Adoption),
    /// To a request of an enrollment, of the agent of a fleet: the reply, and what the next request must bring. It is sealed.
    UnderWay { reply: Box<Reply>, carried: Confidential },
    /// To any request, of the helper: a fleet keeps the record of this user, and the agent asks it.
    KeptByFleet {},
    /// To [`Request::Test`], and to every request whose proof was refused.
    Verdict(Verdict),
    /// The request was not done, and changed nothing.
    Declined(Declined),
    /// No answer could be given.
    Failed { error: String, hint: String },
}

impl Reply {
    /// Whether it says that a code or a PIN was wrong: what a budget of guesses counts.
    pub fn is_wrong_guess(&self) -> bool {
        matches!(self, Self::Verdict(Verdict::Refused(why)) if why.is_guess())
            || matches!(self, Self::Declined(Declined::PinWrong { .. } | Declined::PinUsedUp))
    }
}

/// What became of a record that was given to the fleet, and of its passcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    pub record: Adopted,
    /// `None` if there was none that was good.
    #[serde(deserialize_with = "Option::deserialize")]
    pub passcode: Option<ArrivedPasscode>,
}

/// What became of a record that was given to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Adopted {
    /// It is in force there.
    Taken,
    /// The fleet had these devices already: what was used on either side is used there.
    Joined,
    /// The fleet has other devices of this user. Nothing was changed.
    Other,
}

/// Why a request was not done, if not because of its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Declined {
    /// A user with a device must give a code.
    ProofNeeded,
    /// The policy wants a passcode of an administrator before the first device.
    PasscodeNeeded,
    /// So many recovery codes cannot be made.
    CountUnfit {
        /// The number of the configuration.
        most: u8,
    },
    /// The confirming code was not the new device's. The offer is still valid.
    NotConfirmed {
        /// Seconds by which the device's clock is ahead (negative: behind), if the code shows it.
        clock_off: Option<i64>,
    },
    /// The confirming code is the token's, but so far from where it should be that it may be one by chance. The offer is
    /// still valid: give that code and the one after it.
    NextCodeNeeded,
    /// No offer was made that could be confirmed.
    NothingOffered,
    /// No device has this number or name.
    NoSuchDevice,
    /// Another device has this name.
    NameTaken,
    /// Another device has this token's seed.
    SeedKnown,
    /// The name is empty or too long, or has characters that a terminal acts on.
    NameUnfit,
    /// The name would be taken for a code, a device's number or a kind of device.
    NameReserved,
    /// The policy does not accept devices of this kind here.
    KindNotAccepted { kind: Kinds, accepted: Kinds },
    /// The user has as many devices as a record holds.
    TooManyDevices,
    /// The only device stays: without it the second factor would be gone.
    OnlyDevice,
    /// The configuration names no program that sends such messages.
    SendsNothing,
    /// The number has no country code.
    CountryCodeMissing,
    /// This is no telephone number.
    NotANumber,
    /// This is no e-mail address.
    NotAnAddress,
    /// Another device has this number or address.
    DestinationKnown,
    /// The PIN could not be sent; the log says why.
    PinNotSent,
    /// The PIN is wrong; it may be tried so many times more.
    PinWrong { left: u8 },
    /// The PIN was tried too often.
    PinUsedUp,
    /// The PIN's time is over.
    PinExpired,
    /// The token's description is not one of a token.
    TokenUnfit,
    /// An app's phone sets its clock: only tokens are resynchronized.
    NotAToken,
    /// The user has several tokens, or no device.
    WhichToken,
    /// The record has changed since the offer: the user must start again.
    ChangedMeanwhile,
    /// An administrator requires a second factor of this user.
    Required,
    /// Only an administrator may ask for this.
    NotPermitted,
}

/// A seed in every form that apps and tokens take.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub user: String,
    pub issuer: String,
    /// Upper-case Base32.
    pub secret: Confidential,
    /// Lower-case hexadecimal.
    pub hex: Confidential,
    /// `otpauth://totp/…`.
    pub uri: Confidential,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Seconds of a step.
    pub period: u64,
}

/// A passcode, for the administrator who hands it on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedPasscode {
    pub user: String,
    /// `K7QD-M3XA-92TE`
    pub passcode: Confidential,
    /// When it ends, in UTC.
    pub until: String,
    /// The only PAM service that it is good for; `None` for every one.
    pub service: Option<String>,
}

/// A passcode in a record.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasscodeStatus {
    /// When it ends, in UTC; a time that is over is still told.
    pub until: String,
    /// The only PAM service that it is good for; `None` for every one.
    pub service: Option<String>,
    pub used: bool,
    /// Whether its end has come.
    pub expired: bool,
}

/// What a record holds, without its secrets.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub user: String,
    /// Whether the user has a device.
    pub enrolled: bool,
    /// `required`, `enroll`, `exempt` or `none`.
    #[serde(rename = "override")]
    pub user_override: String,
    /// When the override ends, in UTC; a time that is over is still told. `None` if it does not end.
    pub override_until: Option<String>,
    /// In the order of their ids.
    pub devices: Vec<DeviceStatus>,
    /// Unused recovery codes.
    pub recovery_codes_left: u8,
    /// `None` if no administrator issued one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode: Option<PasscodeStatus>,
    /// Wrong codes since the last right one.
    pub failures: u32,
    /// `open`, `until-unlocked`, or the UTC time until which only recovery codes and a passcode are accepted.
    pub lock: String,
    /// When a second factor was accepted last, in UTC.
    pub last_accepted: Option<String>,
    /// The kinds of device that may be added, and whose codes prove a change.
    #[serde(default, skip_serializing_if = "Kinds::are_all")]
    pub accepted_kinds: Kinds,
    /// Where the policy does not accept a device of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_accepted: Vec<NotAccepted>,
    /// What is in the future, since the clock was ahead once: `lock`, `last_accepted`, `codes of device 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_future: Vec<String>,
    /// The last login that would have been refused, while the policy was not enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unenforced: Option<Box<UnenforcedRefusal>>,
}

/// A refusal that was not enforced.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnenforcedRefusal {
    /// In UTC.
    pub at: String,
    /// The refusal's word in the audit log.
    pub why: String,
}

/// Terms of the policy under which codes of some devices are not accepted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotAccepted {
    /// `rule-N` or `default`.
    pub by: String,
    /// The PAM service of the logins; `None` if not one service alone.
    pub service: Option<String>,
    /// The kinds that are accepted.
    pub accepted: Kinds,
    /// The numbers of the devices that are not.
    pub devices: Vec<u8>,
}

/// What requires a second factor of a user.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `required` or `enroll`.
    pub second_factor: String,
    /// `override`, `rule-N` or `default`.
    pub by: String,
    /// The PAM service through which logins need it; `None` if not through one service alone.
    pub service: Option<String>,
}

/// One device, without its seed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceStatus {
    pub id: u8,
    pub name: String,
    /// `totp`, `hotp`, `ocra`, `sms` or `email`.
    pub r#type: String,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: String,
    /// 6, 7 or 8.
    pub digits: u8,
    /// Seconds of a step; `None` for `hotp`.
    pub period: Option<u64>,
    /// When the device was added, in UTC.
    pub created: String,
    /// Whether it is the default device.
    pub default: bool,
    /// When a code of it was accepted last, in UTC.
    pub last_used: Option<String>,
    /// Whether it has shown a right code.
    pub confirmed: bool,
    /// Whether its codes are refused until a resync, since records were restored.
    pub awaits_resync: bool,
    /// What is printed on a hardware token.
    pub serial: Option<String>,
    /// Steps by which a token's clock is ahead (negative: behind); `None` for an app, and for `hotp`.
    pub drift: Option<i8>,
    /// What the responses of a token with a keypad are computed from (RFC 6287); `None` for all others.
    pub suite: Option<String>,
    /// Where codes are sent, in part: `the number that ends in 78`, `a...@example.org`; `None` for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A secret text in a request or reply. Wiped when dropped, never printed.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Confidential(String);

impl Confidential {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Bytes, in hexadecimal.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(base16ct::lower::encode_string(bytes))
    }

    /// The text itself. A search for this name finds every use.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text as what a user typed.
    pub fn into_typed(&self) -> Typed {
        Typed::new(self.0.as_bytes().to_vec())
    }
}

/// A text that is not UTF-8 is no code, and becomes an empty text.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::verify::Refusal;

    #[test]
    fn a_budget_counts_replies_that_say_that_a_guess_was_wrong() {
        let refused = |why| Reply::Verdict(Verdict::Refused(why));
        let wrong = refused(Refusal::Wrong { failures: 1, clock_behind: None });
        for guess in [wrong, Reply::Declined(Declined::PinWrong { left: 2 }), Reply::Declined(Declined::PinUsedUp)] {
            assert!(guess.is_wrong_guess(), "{guess:?}");
        }
        for other in [refused(Refusal::RecoveryUnknown), Reply::Declined(Declined::SeedKnown), Reply::KeptByFleet {}] {
            assert!(!other.is_wrong_guess(), "{other:?}");
        }
    }
}
