//! A record of a host is taken over: seeds, marks, spent codes and hashes as they are.

use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::state_slot::Slot;
use otp_core::store::note::{Answer, Note, Origin};
use otp_core::store::{Store, Swap};
use otp_wire::{AdoptAnswer, AdoptQuestion, Adopted};
use std::borrow::Cow;

use crate::asked::{Answered, Asking, Failure, body, unanswered};
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::store::PgStore;

struct Words(Adopted);

impl Answer for Words {
    fn words(&self) -> Cow<'static, str> {
        match self.0 {
            Adopted::Taken => "taken",
            Adopted::Joined => "joined",
            Adopted::Other => "other",
        }
        .into()
    }
}

pub(crate) fn adopt(question: &AdoptQuestion, asking: &Asking<'_>, fleet: &Fleet, session: &Session) -> Answered {
    let record = record(question, asking).ok_or_else(|| Failure::malformed("no record of this user"))?;
    let store = PgStore::new(session, &fleet.keys, asking.about);
    let origin = Origin { id: Some(question.id), host: asking.about.host };
    loop {
        let loaded = store.load(&asking.account).map_err(|error| unanswered(fleet, &error))?;
        let (outcome, hold, record) = match loaded {
            None => (Adopted::Taken, None, Some(&record)),
            Some(loaded) if loaded.record.credentials.enrollment == record.credentials.enrollment => {
                (Adopted::Joined, Some(loaded.hold), None)
            }
            Some(_) => (Adopted::Other, None, None),
        };
        let words = Words(outcome);
        let note = Note { answer: Some(&words), ..origin.note("adopted") };
        let swap = match record {
            Some(record) => store.replace(&asking.account, hold, record, &note),
            None => store.only_note(&asking.account, &note).map(|()| Swap::Done),
        };
        if swap.map_err(|error| unanswered(fleet, &error))? == Swap::Done {
            return body(&AdoptAnswer { id: question.id, outcome });
        }
    }
}

fn record(question: &AdoptQuestion, asking: &Asking<'_>) -> Option<Record> {
    let text = question.credentials.expose().as_bytes();
    let mut credentials = Credentials::decode(text, ReadContext::ANYONE).ok()?;
    credentials.uid = asking.account.uid;
    let is_theirs = credentials.user == asking.account.name && credentials.shut().is_none();
    let state = Slot::of_text(&question.state)?.state;
    is_theirs.then(|| Record::new(credentials, state).ok())?
}
