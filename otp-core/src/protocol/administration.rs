//! Administration of a fleet from one of its hosts: what root asks of the agent, and the agent of a verifier. In types of their
//! own, since orders of an administrator never cross the pipe of the helper.

use serde::{Deserialize, Serialize};

use crate::decision::kinds::Kinds;
use crate::protocol::request::{
    Adoption, Confidential, DeviceOrder, Order, PasscodeOrder, Reply, Request, Status, Token,
};
use crate::record::credentials::Override;
use crate::value::time::{Seconds, UnixTime};

/// A line to the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub fleet: Asked,
}

/// What root asks the agent of a host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Asked {
    /// To be done by a verifier.
    Administer(Box<Administration>),
    /// What would become of the record of this host, if it were given to the fleet.
    WouldAdopt { name: String },
    /// The record of a user comes to this host, and is the fleet's no more.
    Pull { name: String, step: PullStep },
    /// How this host and the verifiers are.
    Status {},
    /// Whether there is an agent: no verifier is asked, and nothing is noted anywhere.
    Presence {},
}

/// A step of a record on its way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullStep {
    /// The fleet gives it up.
    Take,
    /// What the fleet gave up for this host, once more. Nothing is given up by that.
    Again,
    /// It is in the records of the host by now, so that the fleet keeps no copy.
    Arrived,
}

/// What a verifier does for a host with the right to administer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Administration {
    /// About one user.
    User { name: String, order: UserOrder },
    /// Some users who have a record, in the order of their names.
    Users {
        /// The name before the first one; `None` for the first of all.
        #[serde(deserialize_with = "Option::deserialize")]
        after: Option<String>,
        /// Only those who are locked, and would not be without the wrong codes of this host.
        #[serde(deserialize_with = "Option::deserialize")]
        locked_by: Option<String>,
    },
    /// The last refusals of one user, on all hosts.
    Refusals { name: String },
    /// The record of a user goes to another name.
    Rename { from: String, to: String },
}

/// An order about one user: those requests that no helper takes, and the one for the status.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum UserOrder {
    Status {},
    /// As a record spells it: `required`; `none` to remove it.
    Override {
        name: String,
        /// Seconds since 1970.
        #[serde(deserialize_with = "Option::deserialize")]
        until: Option<u64>,
    },
    ForgetAddresses {},
    Unlock {},
    UnlockAfterClockWasAhead {},
    RevokePasscode {},
    Reset {},
    Disable {},
    IssuePasscode {
        /// Seconds.
        valid: u64,
        #[serde(deserialize_with = "Option::deserialize")]
        service: Option<String>,
    },
    AddDevice {
        #[serde(deserialize_with = "Option::deserialize")]
        name: Option<String>,
        token: Token,
        #[serde(deserialize_with = "Option::deserialize")]
        code: Option<Confidential>,
        #[serde(deserialize_with = "Option::deserialize")]
        next: Option<Confidential>,
    },
    RemoveDevice {
        device: String,
    },
    Resync {
        #[serde(deserialize_with = "Option::deserialize")]
        device: Option<String>,
        first: Confidential,
        second: Confidential,
    },
}

/// What a verifier answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To an order about one user.
    Reply(Box<Reply>),
    /// To [`Administration::Users`].
    Users(Page),
    /// To [`Administration::Users`] with `locked_by`: no host goes by this name, and none has sent wrong codes.
    NoHost {},
    /// To [`Administration::Refusals`], the latest first.
    Refusals(Vec<Refused>),
    /// To [`Administration::Rename`].
    Renamed(Renamed),
}

/// A login or a change that a verifier has refused.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// In UTC.
    pub time: String,
    /// The refusal's word.
    pub why: String,
    /// Wrong codes in a row, for `wrong`.
    pub failures: Option<u32>,
    /// What was asked for: `login`, or a change.
    pub event: String,
    /// `None` for what was done on a verifier.
    pub host: Option<String>,
    pub service: Option<String>,
    pub rhost: Option<String>,
}

/// What came of giving a record to another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renamed {
    Done,
    /// There is no record under the former name.
    NoRecord,
    /// The account has a record of its own.
    HasRecord,
    /// A fleet has given the record of one of both names to a host.
    OnItsWay,
}

/// Some users.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    pub users: Vec<Listed>,
    /// The name after which the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// One user of a page.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Listed {
    Status(Status),
    /// Whose record cannot be read.
    Unusable {
        user: String,
        error: String,
        hint: String,
    },
}

/// What the agent answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answered {
    Verifier(Answer),
    /// To [`Asked::WouldAdopt`].
    WouldAdopt(Adoption),
    /// To [`Asked::Pull`]: both files of a record, with open seeds. No login of the fleet can use them.
    Record {
        credentials: Confidential,
        state: String,
    },
    /// To [`Asked::Pull`] with [`PullStep::Arrived`]: whether there was a copy.
    Forgotten(bool),
    Status(FleetStatus),
    /// To [`Asked::Presence`].
    Present {},
    /// This host is in no fleet, or its files cannot be used.
    NotJoined {
        error: String,
        hint: String,
    },
    /// The order was sent and no answer came: it may be done, and is not to be done twice.
    Lost {
        error: String,
    },
    Failed {
        error: String,
        hint: String,
    },
}

/// How a host and the verifiers of its fleet are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetStatus {
    /// The name that this host was given.
    pub host: String,
    pub certificate: CertificateStatus,
    /// In the order in which they are asked.
    pub verifiers: Vec<VerifierStatus>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateStatus {
    /// In UTC.
    pub until: String,
    /// Whole days.
    pub days_left: u64,
    /// Why it was not renewed, if it is time and was tried.
    pub not_renewed: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierStatus {
    /// As `name:port`.
    pub verifier: String,
    pub standing: Standing,
    /// `None` if it serves this host.
    pub error: Option<String>,
    /// The version of its program.
    pub version: Option<String>,
    /// The id of this host in the fleet.
    pub host: Option<String>,
    pub rights: Option<Vec<String>>,
    /// The list of users that this host is bound to; `None` for all users.
    pub scope: Option<Scope>,
    /// The kinds of device to which it sends codes; `None` if there are none.
    pub sends: Option<Kinds>,
    /// Seconds by which its clock is ahead of the one here (negative: behind).
    pub clock_ahead: Option<i64>,
}

/// How a verifier has taken the question who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Serves,
    /// It says that this host may not ask: no break-glass code is good then.
    Refuses,
    /// Its answer cannot be used.
    Unusable,
    /// It gave no answer, or said that it has none now.
    Silent,
}

/// A list of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    pub name: String,
    /// Whether it lists no user.
    pub is_empty: bool,
}

/// What the verifiers are for this host, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Whole,
    /// Some of them serve it.
    Partial,
    /// None does, and one refuses it: its users are refused.
    Refused,
    /// None does, and one has answered what cannot be used.
    Unusable,
    /// None gives an answer: break-glass codes are good.
    None,
}

impl FleetStatus {
    pub fn service(&self) -> Service {
        let any = |standing| self.verifiers.iter().any(|verifier| verifier.standing == standing);
        if self.verifiers.iter().all(|verifier| verifier.standing == Standing::Serves) {
            Service::Whole
        } else if any(Standing::Serves) {
            Service::Partial
        } else if any(Standing::Refuses) {
            Service::Refused
        } else if any(Standing::Unusable) {
            Service::Unusable
        } else {
            Service::None
        }
    }
}

impl UserOrder {
    /// The order that a request is; `None` for one that is none of an administrator.
    pub fn of(request: Request) -> Option<Self> {
        if let Request::Status {} = request {
            Some(Self::Status {})
        } else if let Request::Administer(order) = request {
            Some(Self::of_order(order))
        } else if let Request::AdministerDevice(order) = request {
            Some(match order {
                DeviceOrder::Add { name, token, code, next } => Self::AddDevice { name, token, code, next },
                DeviceOrder::Remove(device) => Self::RemoveDevice { device },
                DeviceOrder::Resync { device, first, second } => Self::Resync { device, first, second },
            })
        } else if let Request::IssuePasscode(PasscodeOrder { valid, service }) = request {
            Some(Self::IssuePasscode { valid: valid.0, service })
        } else {
            None
        }
    }

    fn of_order(order: Order) -> Self {
        match order {
            Order::Override(user_override) => Self::Override {
                name: user_override.name().to_owned(),
                until: user_override.until().map(|until| until.0),
            },
            Order::ForgetAddresses => Self::ForgetAddresses {},
            Order::Unlock => Self::Unlock {},
            Order::UnlockAfterClockWasAhead => Self::UnlockAfterClockWasAhead {},
            Order::RevokePasscode => Self::RevokePasscode {},
            Order::Reset => Self::Reset {},
            Order::Disable => Self::Disable {},
        }
    }

    /// The request; `None` if no record spells an override like this.
    pub fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Status {} => Request::Status {},
            Self::Override { name, until } => {
                Request::Administer(Order::Override(Override::parse(name, until.map(UnixTime))?))
            }
            Self::ForgetAddresses {} => Request::Administer(Order::ForgetAddresses),
            Self::Unlock {} => Request::Administer(Order::Unlock),
            Self::UnlockAfterClockWasAhead {} => Request::Administer(Order::UnlockAfterClockWasAhead),
            Self::RevokePasscode {} => Request::Administer(Order::RevokePasscode),
            Self::Reset {} => Request::Administer(Order::Reset),
            Self::Disable {} => Request::Administer(Order::Disable),
            Self::IssuePasscode { valid, service } => {
                Request::IssuePasscode(PasscodeOrder { valid: Seconds(*valid), service: service.clone() })
            }
            Self::AddDevice { name, token, code, next } => Request::AdministerDevice(DeviceOrder::Add {
                name: name.clone(),
                token: token.clone(),
                code: code.clone(),
                next: next.clone(),
            }),
            Self::RemoveDevice { device } => Request::AdministerDevice(DeviceOrder::Remove(device.clone())),
            Self::Resync { device, first, second } => Request::AdministerDevice(DeviceOrder::Resync {
                device: device.clone(),
                first: first.clone(),
                second: second.clone(),
            }),
        })
    }

    /// The word in the log for what was done; `None` for what changes nothing.
    pub fn word(&self) -> Option<&'static str> {
        let request = self.request()?;
        if let Request::Administer(order) = request {
            return Some(order.word());
        }
        match self {
            Self::IssuePasscode { .. } => Some("passcode-issued"),
            Self::AddDevice { .. } => Some("device-added"),
            Self::RemoveDevice { .. } => Some("device-removed"),
            Self::Resync { .. } => Some("resynchronized"),
            Self::Status {}
            | Self::Override { .. }
            | Self::ForgetAddresses {}
            | Self::Unlock {}
            | Self::UnlockAfterClockWasAhead {}
            | Self::RevokePasscode {}
            | Self::Reset {}
            | Self::Disable {} => None,
        }
    }

    /// Whether it may be done twice without harm, so that it is asked again where no answer came. The second passcode would
    /// take the place of the first; the second time, a device is there or gone already, and two codes are used.
    pub fn is_harmless_twice(&self) -> bool {
        match self {
            Self::Status {}
            | Self::Override { .. }
            | Self::ForgetAddresses {}
            | Self::Unlock {}
            | Self::UnlockAfterClockWasAhead {}
            | Self::RevokePasscode {}
            | Self::Reset {}
            | Self::Disable {} => true,
            Self::IssuePasscode { .. } | Self::AddDevice { .. } | Self::RemoveDevice { .. } | Self::Resync { .. } => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::id::DeviceId;

    /// One order of each kind.
    fn orders() -> Vec<Request> {
        let (code, until) = (|| Confidential::new("123456"), UnixTime(7));
        let token = Token {
            r#type: "totp".into(),
            suite: None,
            secret: Confidential::new("GEZDGNBVGY3TQOJQ"),
            algorithm: "SHA1".into(),
            digits: 6,
            period: 30,
            counter: 0,
            serial: None,
            app: false,
        };
        let overrides =
            [Override::None, Override::Required, Override::EnrollUntil(until), Override::ExemptUntil(until)];
        let mut all = vec![
            Request::Status {},
            Request::Administer(Order::ForgetAddresses),
            Request::Administer(Order::Unlock),
            Request::Administer(Order::UnlockAfterClockWasAhead),
            Request::Administer(Order::RevokePasscode),
            Request::Administer(Order::Reset),
            Request::Administer(Order::Disable),
            Request::IssuePasscode(PasscodeOrder { valid: Seconds(60), service: Some("sshd".into()) }),
            Request::AdministerDevice(DeviceOrder::Add { name: None, token, code: Some(code()), next: None }),
            Request::AdministerDevice(DeviceOrder::Remove("2".into())),
            Request::AdministerDevice(DeviceOrder::Resync { device: None, first: code(), second: code() }),
        ];
        all.extend(overrides.map(|user_override| Request::Administer(Order::Override(user_override))));
        all
    }

    #[test]
    fn an_order_arrives_as_it_was_given_and_none_crosses_the_pipe_of_the_helper() {
        for request in orders() {
            let (is_status, given) = (matches!(request, Request::Status {}), format!("{request:?}"));
            assert_eq!(serde_json::to_string(&request).is_ok(), is_status, "{given}");
            let order = UserOrder::of(request).unwrap();
            let line = serde_json::to_string(&Question {
                fleet: Asked::Administer(Box::new(Administration::User { name: "alice".into(), order })),
            });
            let Question { fleet: Asked::Administer(read) } = serde_json::from_str(&line.unwrap()).unwrap() else {
                panic!("{given}")
            };
            let Administration::User { name, order } = *read else { panic!("{given}") };
            let arrived = order.request().unwrap();
            assert_eq!((name.as_str(), format!("{arrived:?}")), ("alice", given));
        }
        assert!(UserOrder::of(Request::Enroll { proof: None, count: None }).is_none());
        assert!(UserOrder::Override { name: "never".into(), until: None }.request().is_none());
    }

    #[test]
    fn what_is_not_known_is_no_order_and_nothing_is_left_out() {
        let read = |text: &str| serde_json::from_str::<Administration>(text).is_ok();
        assert!(read(r#"{"user":{"name":"alice","order":{"unlock":{}}}}"#));
        assert!(read(r#"{"users":{"after":null,"locked_by":"web1"}}"#));
        assert!(read(r#"{"rename":{"from":"alice","to":"alicia"}}"#));
        for odd in [
            r#"{"user":{"name":"alice","order":{"unlock":{"all":true}}}}"#,
            r#"{"user":{"name":"alice","order":{"open":{}}}}"#,
            r#"{"user":{"order":{"unlock":{}}}}"#,
            r#"{"user":{"name":"alice","order":{"issue-passcode":{"service":null}}}}"#,
            r#"{"user":{"name":"alice","order":{"issue-passcode":{"valid":60}}}}"#,
            r#"{"user":{"name":"alice","order":{"override":{"name":"exempt"}}}}"#,
            r#"{"users":{"after":null}}"#,
            r#"{"rename":{"from":"alice"}}"#,
            r#"{"rename":{"from":"alice","to":null}}"#,
            r#"{"users":{"after":null,"all":true}}"#,
        ] {
            assert!(!read(odd), "{odd}");
        }
        let line =
            serde_json::to_string(&Answered::Verifier(Answer::Reply(Box::new(Reply::ChangedDevice(DeviceId(2))))));
        assert_eq!(line.unwrap(), r#"{"verifier":{"reply":{"changed-device":2}}}"#);
    }
}
