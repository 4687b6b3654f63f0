//! A record of a host is taken over: seeds, marks, spent codes and hashes as they are.

use std::borrow::Cow;

use otp_core::decision::arrival::{Arrival, ArrivedPasscode};
use otp_core::decision::import::Outcome;
use otp_core::protocol::request::{Adopted, Adoption};
use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::note::Answer;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use otp_wire::{AdoptAnswer, AdoptQuestion};

use crate::answered::{Answered, Failure, body, unanswered};
use crate::asking_host::AskingHost;

/// Takes it over.
pub(crate) fn adopt(question: &AdoptQuestion, host: &AskingHost<'_>) -> Answered {
    arrive(question, host, "adopted", |change| change)
}

/// What would become of it. The question is in the audit.
pub(crate) fn would_adopt(question: &AdoptQuestion, host: &AskingHost<'_>) -> Answered {
    arrive(question, host, "would-adopt", |_| Change::Keep)
}

fn arrive(
    question: &AdoptQuestion,
    host: &AskingHost<'_>,
    event: &'static str,
    act: impl Fn(Change) -> Change,
) -> Answered {
    let asking = host.about(None, &question.user)?;
    let record = record(question).filter(|record| record.credentials.user == asking.account.name);
    let record = record.ok_or_else(|| Failure::malformed("no record of this user"))?;
    let now = UnixTime::now();
    let arrival = |here: Option<&Record>| Arrival {
        record: &record,
        replace: false,
        with_override: here.is_none_or(|here| record.knows_devices_of(here) && !is_laxer(&record, here)),
        passcode_at: Some(now),
    };
    let enrollment = new_enrollment(random::entropy).map_err(|error| Failure::no_answer(&error.to_string()))?;
    let note = host.origin(question.id).note(event);
    let arrived = change(&host.store(&asking), &asking.account, &note, |here| {
        let arrival = arrival(here);
        let (change, outcome) = arrival.into_record(&asking.account, here, enrollment);
        let adoption = adoption(&outcome, arrival.passcode(here));
        (act(change), Arrived { outcome, adoption })
    });
    let Arrived { adoption, .. } = arrived.map_err(|error| unanswered(host.fleet, &error))?;
    body(&AdoptAnswer { id: question.id, outcome: adoption })
}

/// An order of the fleet's administrators that a second factor is required is not ended by a host.
fn is_laxer(record: &Record, here: &Record) -> bool {
    here.credentials.user_override.is_strict() && !record.credentials.user_override.is_strict()
}

fn adoption(outcome: &Outcome, passcode: Option<ArrivedPasscode>) -> Adoption {
    match outcome {
        Outcome::Imported | Outcome::Replaced | Outcome::Added => Adoption { record: Adopted::Taken, passcode },
        Outcome::CaughtUp | Outcome::Already => Adoption { record: Adopted::Joined, passcode },
        // It stays where it is, with its passcode.
        Outcome::HasOthers | Outcome::TooMany | Outcome::Unfit => Adoption { record: Adopted::Other, passcode: None },
    }
}

/// What became of a record, and what the host is told.
struct Arrived {
    outcome: Outcome,
    adoption: Adoption,
}

impl Answer for Arrived {
    fn words(&self) -> Cow<'static, str> {
        let passcode = match self.adoption.passcode {
            None => return self.outcome.words(),
            Some(ArrivedPasscode::Taken) => "taken",
            Some(ArrivedPasscode::Void) => "void",
        };
        format!("{} passcode {passcode}", self.outcome.words()).into()
    }
}

/// `None` if it is none, or its seeds are sealed.
fn record(question: &AdoptQuestion) -> Option<Record> {
    let credentials = question.credentials.expose().as_bytes();
    let record = Record::of_texts(credentials, &question.state, ReadContext::ANYONE).ok()?;
    record.credentials.shut().is_none().then_some(record)
}

#[cfg(test)]
mod tests;
