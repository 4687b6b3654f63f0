//! Messages between the agent of a login host and the verifier of its fleet: JSON bodies of HTTP/1.1 requests, one POST a question.
//!
//! The version is in the path; a verifier serves its version and the one before. What is not known is refused, both ways, and
//! what an answer leaves out is not taken for nothing. Policy is
//! the host's: the verifier says what a record holds, and decides on codes; who must give one is decided where groups are known.

use serde::{Deserialize, Serialize};

use otp_core::codes::hotp_totp::Digits;
use otp_core::decision::kinds::Kinds;
use otp_core::protocol::administration::{Administration, Answer, PullStep, Scope};
use otp_core::protocol::request::{Adoption, Confidential, Reply, Request};
use otp_core::record::credentials::{Outline, Override};
use otp_core::record::id::DeviceId;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::UnixTime;

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
/// A user's own second factor: enrollment and changes.
pub const SELF: &str = "/v1/self";
/// A record of a host's own, to be taken over.
pub const ADOPT: &str = "/v1/adopt";
/// What would become of that, to an [`AdoptQuestion`]. Nothing is changed.
pub const WOULD_ADOPT: &str = "/v1/would-adopt";
/// A record of the fleet goes to the host that asks.
pub const PULL: &str = "/v1/pull";
/// What an administrator orders on a host that may administer.
pub const ADMIN: &str = "/v1/admin";
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
    #[serde(deserialize_with = "Option::deserialize")]
    pub until: Option<u64>,
}

/// What a record holds, as far as a host must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlineOf {
    /// `None` if there is none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub user_override: Option<OverrideOf>,
    /// How many devices.
    pub devices: usize,
    /// The kinds of all devices; `None` without one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub kinds: Option<Kinds>,
    /// How many digits the default device shows, where password and code are typed as one.
    #[serde(deserialize_with = "Option::deserialize")]
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
    #[serde(deserialize_with = "Option::deserialize")]
    pub record: Option<OutlineOf>,
    /// Whether users without a device may enroll one on this host without an administrator's passcode.
    pub enrolls: bool,
    /// The kinds of device to which the fleet sends codes; `None` if there are none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sends: Option<Kinds>,
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
    #[serde(deserialize_with = "Option::deserialize")]
    pub bare: Option<BareOf>,
}

/// What the record of a user without a device says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BareOf {
    /// `None` if there is none.
    #[serde(deserialize_with = "Option::deserialize")]
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

/// To [`SELF`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfQuestion {
    pub id: RequestId,
    pub user: User,
    pub place: Place,
    /// One of self service.
    pub request: Request,
    /// What [`SelfAnswer`] brought to the step before.
    pub under_way: Option<Confidential>,
    /// The kinds of device that the host's policy accepts as proof of a change, and to be added.
    pub accepted: Kinds,
    /// Whether the host's policy wants a passcode before a first device.
    pub passcode: bool,
    /// Whether it is in the middle of a login, which has asked for a passcode where one is needed.
    pub in_login: bool,
}

/// From [`SELF`]. It is given only when it is durable.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfAnswer {
    pub id: RequestId,
    pub reply: Reply,
    /// What goes with the next step, sealed for any verifier; `None` if nothing is under way.
    #[serde(deserialize_with = "Option::deserialize")]
    pub under_way: Option<Confidential>,
    /// What was done, for the log of the host.
    #[serde(deserialize_with = "Option::deserialize")]
    pub event: Option<SelfEvent>,
}

/// A line for the log of a host, in the log's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SelfEvent {
    /// A change was made.
    Change {
        what: String,
        #[serde(deserialize_with = "Option::deserialize")]
        device: Option<DeviceId>,
        /// The words of what permits it: `unneeded`, `administrator`, or of a verdict.
        by: String,
    },
    /// A proof was used up for a change that is to come.
    Proved { what: String, by: String },
    /// A proof was refused; the reply says why.
    Refused { what: String },
}

/// To [`ADOPT`]: both files of a record, as the host's store holds them, with open seeds. A passcode that is good comes, too.
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
    pub outcome: Adoption,
}

/// To [`PULL`]. It is asked twice: for the record, and when that is on the host's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullQuestion {
    pub id: RequestId,
    /// The user id of the process that asks the host's agent.
    pub by: u32,
    pub user: User,
    pub step: PullStep,
}

/// From [`PULL`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullAnswer {
    pub id: RequestId,
    pub pulled: Pulled,
}

/// What became of a record that a host asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pulled {
    /// No login of the fleet can use it any more. Both files of a record, with open seeds.
    Record { credentials: Confidential, state: String },
    /// The fleet has no device of this user.
    NoRecord {},
    /// Whether there was a copy, which is gone.
    Forgotten(bool),
}

/// To [`ADMIN`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminQuestion {
    pub id: RequestId,
    /// The user id of the process that asks the host's agent.
    pub by: u32,
    pub administration: Administration,
}

/// From [`ADMIN`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminAnswer {
    pub id: RequestId,
    pub answer: Answer,
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
    /// The list of users whom it may ask about; `None` for all users.
    #[serde(deserialize_with = "Option::deserialize")]
    pub scope: Option<Scope>,
    /// The kinds of device to which the fleet sends codes; `None` if there are none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sends: Option<Kinds>,
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

impl OverrideOf {
    /// `None` for no override.
    pub fn of(user_override: Override) -> Option<Self> {
        let until = user_override.until().map(|until| until.0);
        (user_override != Override::None).then(|| Self { name: user_override.name().to_owned(), until })
    }

    /// `None` if no record spells an override like this.
    pub fn read(said: Option<&Self>) -> Option<Override> {
        let Some(Self { name, until }) = said else { return Some(Override::None) };
        Override::parse(name, until.map(UnixTime)).filter(|read| *read != Override::None)
    }
}

impl OutlineOf {
    /// The outline of a record, as its store has it. `None` if it contradicts itself.
    pub fn read(&self) -> Option<Outline> {
        let has_device = self.devices > 0;
        let is_sound = self.digits.is_some() == has_device && self.kinds.is_some() == has_device;
        let digits = self.digits.map(|digits| Digits::try_from(digits).ok());
        let digits = if let Some(digits) = digits { Some(digits?) } else { None };
        let user_override = OverrideOf::read(self.user_override.as_ref())?;
        let Self { devices, challenge, passcode, .. } = *self;
        is_sound.then_some(Outline { user_override, devices, digits, challenge, passcode })
    }
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
    fn an_answer_that_leaves_something_out_is_none() {
        let id = RequestId([0xa5; 16]);
        let until = Some(OverrideOf { name: "exempt".into(), until: Some(7) });
        let record = OutlineOf {
            user_override: until.clone(),
            devices: 1,
            kinds: Some(Kinds::TOTP),
            digits: Some(6),
            challenge: false,
            passcode: false,
            remembered: false,
        };
        let bare = BareOf { user_override: until, is_blank: false, expired_passcode: false };
        let outline =
            serde_json::to_value(OutlineAnswer { id, record: Some(record), enrolls: true, sends: None }).unwrap();
        let verdict = serde_json::to_value(VerdictAnswer { id, verdict: "refused wrong".into(), bare: Some(bare) });
        fn without_each(value: &serde_json::Value, is_read: &dyn Fn(&serde_json::Value) -> bool) -> usize {
            let mut count = 0;
            let pointers = ["", "/record", "/record/user_override", "/bare", "/bare/user_override", "/event/change"];
            for pointer in pointers {
                let fields = value.pointer(pointer).and_then(serde_json::Value::as_object).into_iter().flatten();
                for (name, _) in fields {
                    let mut less = value.clone();
                    less.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
                    assert!(!is_read(&less), "{pointer}/{name}");
                    count += 1;
                }
            }
            count
        }
        let read_outline = |value: &serde_json::Value| serde_json::from_value::<OutlineAnswer>(value.clone()).is_ok();
        let read_verdict = |value: &serde_json::Value| serde_json::from_value::<VerdictAnswer>(value.clone()).is_ok();
        assert!(read_outline(&outline) && without_each(&outline, &read_outline) == 13);
        let verdict = verdict.unwrap();
        assert!(read_verdict(&verdict) && without_each(&verdict, &read_verdict) == 8);
        let event = SelfEvent::Change { what: "device-added".into(), device: Some(DeviceId(2)), by: "unneeded".into() };
        let (reply, under_way) = (Reply::Changed(true), Some(Confidential::new("01a2")));
        let own = serde_json::to_value(SelfAnswer { id, reply, under_way, event: Some(event) }).unwrap();
        let read_own = |value: &serde_json::Value| serde_json::from_value::<SelfAnswer>(value.clone()).is_ok();
        assert!(read_own(&own) && without_each(&own, &read_own) == 7);
    }

    #[test]
    fn a_question_of_self_service_has_no_request_of_an_administrator() {
        let question = |request: &str| {
            let text = format!(
                r#"{{"id":"{}","user":{{"name":"alice","uid":1,"gid":1}},"place":{{"service":"otp-enroll","rhost":null,"tty":null,"by":1}},"request":{request},"under_way":null,"accepted":["totp"],"passcode":false,"in_login":false}}"#,
                "a5".repeat(16)
            );
            read::<SelfQuestion>(text.as_bytes())
        };
        let own = question(r#"{"rename":{"device":"1","name":"new","proof":"123456"}}"#).unwrap();
        assert!(own.request.is_self_service() && !format!("{own:?}").contains("123456"));
        for other in
            [r#"{"administer":"unlock"}"#, r#"{"issue-passcode":{"valid":1,"service":null}}"#, r#"{"reset":{}}"#]
        {
            let error = question(other).unwrap_err();
            assert!(error.starts_with("not as expected"), "{error}");
        }
        // These are of a login, and of the helper.
        for readable in [r#"{"adopt":{}}"#, r#"{"seal-keys":{}}"#, r#"{"enrolling":{"activate":{}}}"#] {
            assert!(!question(readable).unwrap().request.is_self_service(), "{readable}");
        }
    }

    #[test]
    fn an_outline_that_contradicts_itself_is_none() {
        let (kinds, none) = (
            Some(Kinds::TOTP),
            OutlineOf {
                user_override: None,
                devices: 0,
                kinds: None,
                digits: None,
                challenge: false,
                passcode: false,
                remembered: false,
            },
        );
        let with = |devices, kinds, digits| OutlineOf { devices, kinds, digits, ..none.clone() };
        assert!(none.read().is_some_and(|outline| outline.is_blank()));
        assert!(with(1, kinds, Some(6)).read().is_some_and(|outline| outline.binds()));
        for odd in [with(1, None, None), with(0, kinds, Some(6)), with(1, kinds, None), with(1, kinds, Some(9))] {
            assert!(odd.read().is_none(), "{odd:?}");
        }
        let overridden = |name: &str, until| {
            let user_override = Some(OverrideOf { name: name.into(), until });
            OutlineOf { user_override, ..none.clone() }.read().map(|outline| outline.user_override)
        };
        for known in [Override::Required, Override::ExemptUntil(UnixTime(7))] {
            let OverrideOf { name, until } = OverrideOf::of(known).unwrap();
            assert_eq!(overridden(&name, until), Some(known));
        }
        assert_eq!((OverrideOf::of(Override::None), overridden("none", None)), (None, None));
        assert_eq!(overridden("never", None), None);
    }

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
