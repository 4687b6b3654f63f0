//! What an answer is, whom it is about, and why there is none.

use otp_core::store::error::StoreError;
use otp_core::value::user::{Account, UserName};
use otp_messages::ready::Ready;
use serde::Serialize;

use crate::fleet::Fleet;
use crate::log;
use crate::store::About;

/// An answer, or why there is none.
pub(crate) type Answered = Result<Answer, Failure>;

/// What a host is told.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// A message that is sent before it is told.
    pub(crate) message: Option<Outgoing>,
}

/// A message, and what the host is told in place of the answer where it could not be sent.
pub(crate) struct Outgoing {
    pub(crate) ready: Ready,
    pub(crate) otherwise: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Of HTTP.
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn malformed(what: &str) -> Self {
        Self {
            status: 400,
            error: format!("the question cannot be read: {what}"),
            hint: "upgrade verifiers first, then hosts".into(),
        }
    }

    pub(crate) fn not_permitted(what: &str, hint: &str) -> Self {
        Self { status: 403, error: what.to_owned(), hint: hint.to_owned() }
    }

    pub(crate) fn without_certificate() -> Self {
        Self::not_permitted("a question without a certificate", "join the fleet first: otp-agent join FILE")
    }

    pub(crate) fn budget_spent(what: &str) -> Self {
        Self {
            status: 429,
            error: what.to_owned(),
            hint: "look at what logs in on that host; the budget comes back by itself".into(),
        }
    }

    /// Nothing was done about the question.
    pub(crate) fn not_begun(what: &str) -> Self {
        Self { status: 503, ..Self::no_answer(what) }
    }

    /// What was asked may be done.
    pub(crate) fn no_answer(what: &str) -> Self {
        Self {
            status: 504,
            error: what.to_owned(),
            hint: "another verifier may answer; see its log and the database's".into(),
        }
    }
}

/// Whom the answer about a user goes to, as a store needs it.
pub(crate) struct Asking<'a> {
    pub(crate) about: About<'a>,
    pub(crate) account: Account,
}

/// A user of the fleet: the name is the user. Each host may number its users in its own way.
pub(crate) fn of_no_host(name: UserName) -> Account {
    Account { name, uid: u32::MAX, gid: u32::MAX }
}

/// Why the store gave no answer. What it cannot confirm is none.
pub(crate) fn unanswered(fleet: &Fleet, error: &StoreError) -> Failure {
    if matches!(error, StoreError::Unconfirmed(_)) {
        fleet.metrics.unconfirmed.add();
    }
    log::error(&error.to_string());
    Failure::no_answer(&error.to_string())
}

pub(crate) fn body<T: Serialize>(answer: &T) -> Answered {
    Ok(Answer { body: written(answer)?, message: None })
}

/// An answer that is told when this message has been sent; else the other one is.
pub(crate) fn body_after<T: Serialize>(ready: Ready, answer: &T, otherwise: &T) -> Answered {
    let otherwise = written(otherwise)?;
    Ok(Answer { body: written(answer)?, message: Some(Outgoing { ready, otherwise }) })
}

fn written<T: Serialize>(answer: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(answer).map_err(|error| Failure::no_answer(&error.to_string()))
}
