//! A record goes to a host, with its seeds: from then on it is good there alone.
//!
//! What is left here is a record without a device, with the override `required`: so the policy of another host cannot let the user
//! in as one without a device.

use otp_core::protocol::administration::PullStep;
use otp_core::protocol::request::Confidential;
use otp_core::record::Record;
use otp_core::record::credentials::Override;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::error::StoreError;
use otp_core::store::{Loaded, Store as _, Swap};
use otp_core::system::random;
use otp_core::value::user::Account;
use otp_wire::{Place, PullAnswer, PullQuestion, Pulled};

use crate::answered::{Answered, Failure, body, unanswered};
use crate::asking_host::AskingHost;
use crate::store::{MOST_LOSSES, PgStore};

pub(crate) fn pull(question: &PullQuestion, host: &AskingHost<'_>) -> Answered {
    let place = Place { service: "otp-enroll".to_owned(), by: question.by, ..Place::default() };
    let asking = host.about(Some(&place), &question.user)?;
    let (store, account) = (host.store(&asking), &asking.account);
    let failed = |error: StoreError| unanswered(host.fleet, &error);
    let pulled = if question.step == PullStep::Arrived {
        let note = host.origin(question.id).note("moved-to-host");
        Pulled::Forgotten(store.arrived(account, &note).map_err(failed)?)
    } else {
        match departed(question, host, &store, account)? {
            Some(record) => of(&record)?,
            None => Pulled::NoRecord {},
        }
    };
    body(&PullAnswer { id: question.id, pulled })
}

/// The record, once no login can use it any more.
fn departed(
    question: &PullQuestion,
    host: &AskingHost<'_>,
    store: &PgStore<'_>,
    account: &Account,
) -> Result<Option<Record>, Failure> {
    let failed = |error: StoreError| unanswered(host.fleet, &error);
    let note = host.origin(question.id).note("given-to-host");
    for _ in 0..MOST_LOSSES {
        match store.load(account).map_err(failed)? {
            Some(Loaded { record, hold }) if question.step == PullStep::Take && record.is_enrolled() => {
                let enrollment =
                    new_enrollment(random::entropy).map_err(|error| Failure::no_answer(&error.to_string()))?;
                let left = Record::begin(account, enrollment, Override::Required, Vec::new(), None);
                if store.depart(account, &hold, &left, &note).map_err(failed)? == Swap::Done {
                    return Ok(Some(record));
                }
            }
            // The answer to an earlier question may have been lost. That it is given again is in the audit, too.
            Some(_) | None => {
                let kept = store.moving(account, &host.host.id).map_err(failed)?;
                store.only_note(account, &note).map_err(failed)?;
                return Ok(kept);
            }
        }
    }
    Err(failed(StoreError::Busy))
}

fn of(record: &Record) -> Result<Pulled, Failure> {
    let (credentials, state) = record.texts().ok_or_else(|| Failure::no_answer("the state is too long"))?;
    Ok(Pulled::Record { credentials: Confidential::new(&credentials), state })
}

#[cfg(test)]
mod tests;
