//! Messages between the agent of a login host and the verifier of its fleet: JSON bodies of HTTP/1.1 requests, one POST a question.
//!
//! The version is in the path; a verifier serves its version and the one before. What is not known is refused, both ways. Policy is
//! the host's: the verifier says what a record holds, and decides on codes; who must give one is decided where groups are known.

use serde::{Deserialize, Serialize};

use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::Confidential;
use otp_core::value::request_id::RequestId;

/// Most bytes of a body.
pub const LONGEST_BODY: usize = 16_384;

/// What a record holds, before the question.
pub const OUTLINE: &str = "/v1/outline";
/// A challenge for a device.
pub const CHALLENGE: &str = "/v1/challenge";
/// A code.
pub const VERIFY: &str = "/v1/verify";
/// A login without a code: it is let in only when it is in the audit.
pub const LET_IN: &str = "/v1/let-in";
/// A record of a host's own, to be taken over.
pub const ADOPT: &str = "/v1/adopt";
/// A new host asks for its certificate, by a token in place of one.
pub const JOIN: &str = "/v1/join";
/// A host asks for a certificate that follows its own.
pub const RENEW: &str = "/v1/renew";
/// Who the verifier is, and what time it is there.
pub const HELLO: &str = "/v1/hello";

/// The account that a question is about, as the host's name service knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Where a login comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`.
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
    /// The user id of the process that asks the host's agent.
    pub by: u32,
}

/// To [`OUTLINE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlineQuestion {
    pub id: RequestId,
    pub user: User,
    pub place: Place,
}

/// What an administrator set for one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideOf {
    /// As a record spells it: `required`.
    pub name: String,
    /// Seconds since 1970 at which it ends; `None` if it does not end.
    pub until: Option<u64>,
}

/// What a record holds, as far as a host must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlineOf {
    /// `None` if there is none.
    pub user_override: Option<OverrideOf>,
    /// How many devices.
    pub devices: usize,
    /// The kinds of all devices; `None` without one.
    pub kinds: Option<Kinds>,
    /// How many digits the default device shows, where password and code are typed as one.
    pub digits: Option<u8>,
    /// Whether the default device takes a challenge.
    pub challenge: bool,
    /// Whether an administrator issued a passcode.
    pub passcode: bool,
    /// Whether a code was accepted from the place's address within the grace period.
    pub remembered: bool,
}

/// From [`OUTLINE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlineAnswer {
    pub id: RequestId,
    /// `None` if the user has no record.
    pub record: Option<OutlineOf>,
}

/// To [`CHALLENGE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeQuestion {
    pub id: RequestId,
    pub user: User,
    pub place: Place,
    /// The device that is named in place of a code; `None` for the default one.
    pub named: Option<Confidential>,
    /// The kinds of device that the host's policy accepts at this login.
    pub accepted: Kinds,
}

/// From [`CHALLENGE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    pub id: RequestId,
    /// The words of a challenge: see `otp_core::protocol::login_messages`.
    pub challenge: String,
}

/// To [`VERIFY`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuestion {
    pub id: RequestId,
    pub user: User,
    pub place: Place,
    /// A code, a recovery code or a passcode.
    pub typed: Confidential,
    /// The kinds of device that the host's policy accepts at this login.
    pub accepted: Kinds,
    /// Whether password and code are typed as one on this PAM line.
    pub as_one: bool,
    /// Whether the host enforces a refusal, or only logs it.
    pub enforced: bool,
}

/// From [`VERIFY`]. It is given only when it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictAnswer {
    pub id: RequestId,
    /// The words of a verdict: see `otp_core::protocol::login_messages`.
    pub verdict: String,
    /// What the record of a user without a device says; the host's policy makes of it what the refusal is called.
    pub bare: Option<BareOf>,
}

/// What the record of a user without a device says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BareOf {
    /// `None` if there is none.
    pub user_override: Option<OverrideOf>,
    /// Whether the record says nothing.
    pub is_blank: bool,
    /// Whether an administrator issued a passcode that has ended.
    pub expired_passcode: bool,
}

/// Why a login is let in without a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutCode {
    /// The host's policy asks for none.
    NothingAsked,
    /// A code was accepted from this address within the grace period.
    Remembered,
}

/// To [`LET_IN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetInQuestion {
    pub id: RequestId,
    pub user: User,
    pub place: Place,
    pub why: WithoutCode,
}

/// From [`LET_IN`]: the line is in the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetInAnswer {
    pub id: RequestId,
}

/// To [`ADOPT`]: both files of a record, as the host's store holds them, with open seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptQuestion {
    pub id: RequestId,
    pub user: User,
    pub credentials: Confidential,
    /// The text of a slot.
    pub state: String,
}

/// From [`ADOPT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptAnswer {
    pub id: RequestId,
    pub outcome: Adopted,
}

/// What became of a record that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adopted {
    /// It is in force.
    Taken,
    /// The same record was there; the marks of both are in force.
    Joined,
    /// The fleet has another record of this user. Nothing was changed.
    Other,
}

/// To [`JOIN`] and [`RENEW`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuestion {
    /// The one-time token; `None` with a certificate.
    pub token: Option<Confidential>,
    /// The name that the host goes by.
    pub host: String,
    /// A signing request (PKCS #10), in PEM.
    pub request: String,
}

/// From [`JOIN`] and [`RENEW`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateAnswer {
    /// In PEM.
    pub certificate: String,
}

/// From [`HELLO`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of its program.
    pub version: String,
    /// Seconds since 1970 there.
    pub time: u64,
    /// The id of the host that asks, as the fleet knows it.
    pub host: String,
    /// What this host may do.
    pub rights: Vec<String>,
}

/// The body of every answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    pub error: String,
    pub hint: String,
}

/// What `otp-verifier token` prints and `otp-agent join` reads: all that a new host needs, in one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Verifiers, as `name:port`, in the order in which they are asked.
    pub verifiers: Vec<String>,
    /// The certificate of the fleet's authority, in PEM.
    pub authority: String,
    pub token: Confidential,
}

/// Reads a body; an error says what is wrong without what was sent.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    if body.len() > LONGEST_BODY {
        return Err(format!("longer than {LONGEST_BODY} bytes"));
    }
    serde_json::from_slice(body)
        .map_err(|error| format!("not as expected at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused_and_an_error_repeats_nothing() {
        let text = r#"{"id":"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5","user":{"name":"alice","uid":1,"gid":1},"place":{"service":"sshd","rhost":null,"tty":null,"by":0}}"#;
        let question: OutlineQuestion = read(text.as_bytes()).unwrap();
        assert_eq!((question.user.name.as_str(), question.place.service.as_str()), ("alice", "sshd"));
        let more = text.replace(r#""gid":1"#, r#""gid":1,"code":"123456""#);
        let error = read::<OutlineQuestion>(more.as_bytes()).unwrap_err();
        assert!(error.starts_with("not as expected") && !error.contains("123456"), "{error}");
        assert!(read::<OutlineQuestion>(&vec![b' '; LONGEST_BODY + 1]).unwrap_err().starts_with("longer"));
    }
}
