//! A record of a host is taken over: seeds, marks, spent codes and hashes as they are.

use otp_core::decision::arrival::Arrival;
use otp_core::decision::import::Outcome;
use otp_core::protocol::request::Adopted;
use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::state_slot::Slot;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::note::Origin;
use otp_core::system::random;
use otp_wire::{AdoptAnswer, AdoptQuestion};

use crate::answered::{Answered, Asking, Failure, body, unanswered};
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::store::PgStore;

pub(crate) fn adopt(question: &AdoptQuestion, asking: &Asking<'_>, fleet: &Fleet, session: &Session) -> Answered {
    let record = record(question).filter(|record| record.credentials.user == asking.account.name);
    let record = record.ok_or_else(|| Failure::malformed("no record of this user"))?;
    let arrival = Arrival { record: &record, replace: false, with_override: true };
    let enrollment = new_enrollment(random::entropy).map_err(|error| Failure::no_answer(&error.to_string()))?;
    let keys = fleet.keys();
    let store = PgStore::new(session, &keys, asking.about);
    let note = Origin { id: Some(question.id), host: asking.about.host }.note("adopted");
    let outcome = change(&store, &asking.account, &note, |here| arrival.into_record(&asking.account, here, enrollment));
    let outcome = adopted(outcome.map_err(|error| unanswered(fleet, &error))?);
    body(&AdoptAnswer { id: question.id, outcome })
}

/// What would become of it. The question is in the audit.
pub(crate) fn would_adopt(question: &AdoptQuestion, asking: &Asking<'_>, fleet: &Fleet, session: &Session) -> Answered {
    let record = record(question).filter(|record| record.credentials.user == asking.account.name);
    let record = record.ok_or_else(|| Failure::malformed("no record of this user"))?;
    let arrival = Arrival { record: &record, replace: false, with_override: true };
    let enrollment = new_enrollment(random::entropy).map_err(|error| Failure::no_answer(&error.to_string()))?;
    let keys = fleet.keys();
    let store = PgStore::new(session, &keys, asking.about);
    let note = Origin { id: Some(question.id), host: asking.about.host }.note("would-adopt");
    let outcome = change(&store, &asking.account, &note, |here| {
        let (_, outcome) = arrival.into_record(&asking.account, here, enrollment);
        (Change::Keep, outcome)
    });
    let outcome = adopted(outcome.map_err(|error| unanswered(fleet, &error))?);
    body(&AdoptAnswer { id: question.id, outcome })
}

fn adopted(outcome: Outcome) -> Adopted {
    match outcome {
        Outcome::Imported | Outcome::Replaced | Outcome::Added => Adopted::Taken,
        Outcome::CaughtUp | Outcome::Already => Adopted::Joined,
        Outcome::HasOthers | Outcome::TooMany | Outcome::Unfit => Adopted::Other,
    }
}

/// `None` if it is none, or its seeds are sealed.
fn record(question: &AdoptQuestion) -> Option<Record> {
    let credentials = Credentials::decode(question.credentials.expose().as_bytes(), ReadContext::ANYONE).ok()?;
    let is_open = credentials.shut().is_none();
    let record = Record::new(credentials, Slot::of_text(&question.state)?.state).ok()?;
    is_open.then_some(record)
}
