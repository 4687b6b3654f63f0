//! What was typed is judged, on whichever machine the record is.

use std::cell::Cell;

use crate::codes::attempt::{Attempt, Typed};
use crate::config::settings::Settings;
use crate::decision::verify::{Factor, Limits, Refusal, Verdict, decide_login};
use crate::record::Record;
use crate::record::credentials::{Needed, Override};
use crate::record::state::{State, Unenforced};
use crate::store::error::StoreError;
use crate::store::note::Note;
use crate::store::{Store, update_for};
use crate::value::login_context::LoginContext;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// What the record of a user without a device says.
#[derive(Clone, Copy)]
pub struct Bare {
    pub user_override: Override,
    pub is_blank: bool,
    pub has_expired_passcode: bool,
}

impl Bare {
    fn of(record: &Record, now: UnixTime) -> Self {
        Self {
            user_override: record.credentials.user_override,
            is_blank: record.is_blank(),
            has_expired_passcode: record.has_expired_passcode(now),
        }
    }
}

/// The verdict of `decide` on what was typed, once the state that goes with it is durable; `None` in place of the account for a
/// name that is none. Not generic in `decide`: this is code in every PAM host.
pub fn judged<S: Store>(
    store: &S,
    account: Option<&Account>,
    limits: &Limits,
    typed: &Typed,
    note: &Note<'_>,
    now: UnixTime,
    decide: &dyn Fn(&Limits, &Record, &Attempt) -> (State, Verdict),
) -> Result<(Verdict, Option<Bare>), StoreError> {
    let attempt = Attempt::parse(typed);
    let bare = Cell::new(None);
    let step = |record: &Record| {
        bare.set((!record.is_enrolled()).then(|| Bare::of(record, now)));
        decide(limits, record, &attempt)
    };
    let needed = match attempt {
        Attempt::Code(_) => Needed::ForCode,
        Attempt::Passcode(_) => Needed::ForPasscode,
        Attempt::Recovery(_) | Attempt::Malformed => Needed::Nothing,
    };
    match account {
        Some(account) => Ok((update_for(store, account, needed, note, step)?, bare.get())),
        None => {
            // Do the work of a real refusal, so that timing does not reveal that the account is unknown.
            let nobody = Account::nobody();
            let _ = step(&Record::stranger(&nobody));
            store.rehearse_load();
            let verdict = Verdict::Refused(Refusal::UnknownUser);
            store.rehearse(&nobody, &Note { answer: Some(&verdict), ..*note })?;
            Ok((verdict, None))
        }
    }
}

/// The decision on a login that counts: what it remembers of the address, and of a refusal that is not enforced.
pub fn counted(
    settings: &Settings,
    is_trusted: bool,
    login: &LoginContext,
    now: UnixTime,
    limits: &Limits,
    record: &Record,
    attempt: &Attempt,
) -> (State, Verdict) {
    let (mut state, verdict) = decide_login(limits, record, attempt, login, now);
    // An untrusted caller chooses its address, which must not begin a grace.
    let address = login.address().filter(|_| is_trusted);
    match verdict {
        // The person at this address comes back with a device.
        Verdict::Accepted(accepted) if accepted.factor == Factor::Passcode => {}
        Verdict::Accepted(_) => {
            if let (Some(_), Some(address)) = (settings.grace, address) {
                state.begin_grace(address, now);
            }
        }
        Verdict::Refused(why) if !settings.enforce && record.is_enrolled() => {
            state.unenforced = Some(Unenforced { at: now, why: why.word().to_owned() });
        }
        Verdict::Refused(_) => {}
    }
    (state, verdict)
}
