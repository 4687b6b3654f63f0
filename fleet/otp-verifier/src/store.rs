//! Records in PostgreSQL. A record is compared by its version and swapped, and its line of the audit is written in one statement.
//!
//! Nothing is an answer before its commit is confirmed: see `database`. A row may be written by another program: what it holds is
//! this user's record or an error.

pub(crate) mod moving;
pub(crate) mod reseal;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use tokio_postgres::Row;

use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::error::RecordError;
use otp_core::record::seal::Shut;
use otp_core::record::state::State;
use otp_core::record::state_slot::Slot;
use otp_core::store::error::StoreError;
use otp_core::store::note::{KeptAnswer, Note};
use otp_core::store::{Loaded, Store, Swap};
use otp_core::system::random::entropy;
use otp_core::value::request_id::RequestId;
use otp_core::value::user::{Account, UserName};

use crate::database::hosts::columns;
use crate::database::resets::reset;
use crate::database::session::{Session, Unanswered, Value};
use crate::keys::{Keys, KeysError};
use crate::signed_state::{Signed, signed};

/// Most bytes of a text of the audit that comes from a host.
const LONGEST: usize = 255;

/// How often a record may change under our hands.
pub(crate) const MOST_LOSSES: usize = 8;

/// Who asks, and from where: what the audit holds beside the note of a write.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    /// The id of the host, which must be active; `None` for what is done at the verifier itself.
    pub host: Option<&'a str>,
    /// The user who asked on that host.
    pub caller_uid: Option<u32>,
    pub service: Option<&'a str>,
    pub rhost: Option<&'a str>,
}

/// The records of a fleet, for one question.
pub(crate) struct PgStore<'s> {
    session: &'s Session,
    keys: &'s Keys,
    about: About<'s>,
    /// The row of the user whom the question is about, which came with the host's.
    read: RefCell<Option<Row>>,
    is_revoked: Cell<bool>,
}

/// The version of a record that was loaded, and the last answer about it.
pub(crate) struct Version {
    number: i64,
    kept: Option<KeptAnswer>,
}

const LOAD: &str = concat!("SELECT ", columns!(), " FROM otp.record r WHERE r.name = $1");

/// A statement that writes: whether the host is active, what it does to the record, the line of the audit, and what came of it.
macro_rules! writes {
    ($written:expr, noted from $from:literal) => {
        concat!(
            "WITH who AS (SELECT 1 WHERE $2::text IS NULL \
             OR EXISTS (SELECT FROM otp.host h WHERE h.id = $2 AND h.status = 'active')), written AS (",
            $written,
            "), noted AS (INSERT INTO otp.audit (name, host, caller_uid, service, rhost, event, answer, request) \
             SELECT $1::text, $2, $3::bigint, $4::text, $5::text, $6::text, $7::text, $8::bytea FROM ",
            $from,
            ") SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM who), EXISTS (SELECT FROM written)"
        )
    };
}

const SWAP: &str = writes!(
    "UPDATE otp.record SET version = version + 1, state = $10, request = $8, host = $11, event = $6, \
     answer = CASE WHEN $8::bytea IS NULL THEN NULL ELSE $7 END, answered = clock_timestamp() \
     WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) RETURNING 1",
    noted from "written"
);
const REPLACE: &str = writes!(
    "UPDATE otp.record SET version = version + 1, state = $10, sealed = $11, request = $8, host = $12, event = $6, \
     answer = CASE WHEN $8::bytea IS NULL THEN NULL ELSE $7 END, answered = clock_timestamp() \
     WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) RETURNING 1",
    noted from "written"
);
/// The same by a record with a device: what is on its way to a host is the record of before, and goes nowhere.
const REPLACE_ENROLLED: &str = writes!(
    "UPDATE otp.record SET version = version + 1, state = $10, sealed = $11, request = $8, host = $12, event = $6, \
     answer = CASE WHEN $8::bytea IS NULL THEN NULL ELSE $7 END, answered = clock_timestamp() \
     WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) RETURNING 1), \
     gone AS (DELETE FROM otp.moving m USING written WHERE m.name = $1 RETURNING 1",
    noted from "written"
);
const INSERT: &str = writes!(
    "INSERT INTO otp.record (name, version, state, sealed) SELECT $1, $9, $10, $11 FROM who \
     ON CONFLICT (name) DO NOTHING RETURNING 1), gone AS (DELETE FROM otp.moving m USING written WHERE m.name = $1 RETURNING 1",
    noted from "written"
);
const REMOVE: &str = writes!(
    concat!(
        "DELETE FROM otp.record WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) RETURNING 1), \
         gone AS (DELETE FROM otp.moving m USING written WHERE m.name = $1 RETURNING 1), ",
        reset!(from "written")
    ),
    noted from "written"
);
const PURGE: &str = writes!(
    concat!(
        "DELETE FROM otp.record WHERE name = $1 AND EXISTS (SELECT FROM who) RETURNING 1), \
         gone AS (DELETE FROM otp.moving m USING who WHERE m.name = $1 RETURNING 1), ",
        reset!(from "who")
    ),
    noted from "who"
);
/// The last write was a login on this host, by a passcode, within the time of a step. The columns are those of [`LOAD`].
const LET_IN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM otp.record r WHERE r.name = $1 AND r.host = $2 AND r.event = 'login' AND r.answer LIKE 'accepted passcode%' \
     AND r.answered BETWEEN clock_timestamp() - interval '15 min' AND clock_timestamp() + interval '10 s'"
);
/// The record that was there goes to the table of those that move, which no login reads.
const DEPART: &str = writes!(
    "UPDATE otp.record SET version = version + 1, state = $10, sealed = $11, request = NULL, host = NULL, event = NULL, answer = NULL, \
     answered = NULL WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) RETURNING 1), \
     moved AS (INSERT INTO otp.moving (name, host, sealed, state) SELECT r.name, $2, r.sealed, r.state FROM otp.record r, written \
     WHERE r.name = $1 ON CONFLICT (name) DO UPDATE SET host = excluded.host, sealed = excluded.sealed, state = excluded.state, \
     at = clock_timestamp() RETURNING 1",
    noted from "written"
);
/// The record goes to another name, in place of one that was loaded there, if any; something else stays under the present one; and there
/// is a line of the audit for both. What was asked before is not asked again, and what began before is not put in force under the old name.
/// Of the two lines of the audit, the one of the new name has the earlier time: `otp.wrong_codes_of` goes back from it.
const RENAME: &str = writes!(
    concat!(
        "INSERT INTO otp.record AS r (name, version, state, sealed) SELECT $12, $13::bigint, $14::text, $15::bytea FROM \
         (SELECT 1 FROM otp.record WHERE name = $1 AND version = $9 AND EXISTS (SELECT FROM who) \
         AND NOT EXISTS (SELECT FROM otp.moving WHERE name IN ($1, $12)) FOR UPDATE) held \
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, state = excluded.state, sealed = excluded.sealed, request = NULL, \
         host = NULL, event = NULL, answer = NULL, answered = NULL WHERE r.version = $16::bigint RETURNING 1), \
         remains AS (UPDATE otp.record SET version = version + 1, state = $10, sealed = $11, request = NULL, host = NULL, event = NULL, \
         answer = NULL, answered = NULL FROM written WHERE name = $1 AND version = $9 RETURNING 1), \
         came AS (INSERT INTO otp.audit (at, name, host, caller_uid, service, rhost, event) \
         SELECT statement_timestamp(), $12, $2, $3::bigint, $4::text, $5::text, 'renamed from ' || $1 FROM written), ",
        reset!(from "written")
    ),
    noted from "written"
);
const ARRIVED: &str = writes!(
    "DELETE FROM otp.moving WHERE name = $1 AND host = $2 AND EXISTS (SELECT FROM who) RETURNING 1",
    noted from "who"
);
const NOTE: &str = writes!("SELECT 1 FROM who", noted from "who");

impl<'s> PgStore<'s> {
    pub(crate) fn new(session: &'s Session, keys: &'s Keys, about: About<'s>) -> Self {
        Self { session, keys, about, read: RefCell::new(None), is_revoked: Cell::new(false) }
    }

    /// With what was read together with the host.
    pub(crate) fn having(self, row: Option<Row>) -> Self {
        Self { read: RefCell::new(row), ..self }
    }

    /// Whether the last error was that the host is not active.
    pub(crate) fn is_revoked(&self) -> bool {
        self.is_revoked.get()
    }

    /// A login without a code: it is let in when this returns without an error.
    pub(crate) fn note_let_in(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.only_note(account, note)
    }

    /// Whether a passcode has let this user in on this host just now, and nothing was written about this user since.
    pub(crate) fn let_in_by_passcode(&self, account: &Account) -> Result<bool, StoreError> {
        let Some(host) = self.about.host else { return Ok(false) };
        let rows = self.session.read(LET_IN, &[&account.name.as_str(), &host])?;
        let is_kept = |row: &Row| {
            let text = row.try_get(2).ok()?;
            let signed = Signed::read(self.keys, &account.name, text).ok()?;
            Some(signed.has_kept(self.keys, &account.name, &kept(row)?))
        };
        Ok(rows.first().and_then(is_kept).unwrap_or(false))
    }

    fn row(&self, account: &Account) -> Result<Option<Row>, StoreError> {
        // Once: after a swap that was lost it is another one.
        if let Some(row) = self.read.take() {
            return Ok(Some(row).filter(is_record));
        }
        Ok(self.session.read(LOAD, &[&account.name.as_str()])?.into_iter().next())
    }

    /// A record and its version, and the answer that is kept if it is fresh, out of a row.
    fn opened(&self, account: &Account, row: &Row) -> Result<(Record, Version), RecordError> {
        let unreadable = |_| RecordError::Malformed("its row has other columns".into());
        let (number, sealed, text): (i64, &[u8], &str) = (
            row.try_get(0).map_err(unreadable)?,
            row.try_get(1).map_err(unreadable)?,
            row.try_get(2).map_err(unreadable)?,
        );
        let credentials = self.keys.open(&account.name, sealed).map_err(RecordError::Sealed)?;
        let credentials = Credentials::decode(&credentials, ReadContext::of(account))?;
        if let Some(why) = credentials.shut() {
            return Err(RecordError::Sealed(why));
        }
        let signed = Signed::read(self.keys, &account.name, text)?;
        let slot = Slot::of_text(signed.state)?;
        if i64::try_from(slot.sequence) != Ok(number) {
            return Err(RecordError::Mismatch("the state has another version than its row"));
        }
        let kept = kept(row).filter(|kept| is_fresh(row) && signed.has_kept(self.keys, &account.name, kept));
        Ok((Record::new(credentials, slot.state)?, Version { number, kept }))
    }

    /// The text of a state in a row of this version, with the answer that is kept there.
    fn text_of(
        &self,
        account: &Account,
        state: &State,
        number: i64,
        kept: Option<&KeptAnswer>,
    ) -> Result<String, StoreError> {
        let sequence = u64::try_from(number).unwrap_or_default();
        let text = Slot { sequence, state: state.clone() }.text();
        let text = text.ok_or_else(|| of_record(account, RecordError::Malformed("its state is too long".into())))?;
        signed(self.keys, &account.name, &text, kept).map_err(|error| without_keys(account, &error))
    }

    fn sealed(&self, account: &Account, credentials: &Credentials) -> Result<Vec<u8>, StoreError> {
        let checked = credentials.belongs_to(account).and_then(|()| match credentials.shut() {
            Some(why) => Err(RecordError::Sealed(why)),
            None => Ok(()),
        });
        checked.map_err(|error| of_record(account, error))?;
        self.keys.seal(&account.name, &credentials.encode()).map_err(|error| without_keys(account, &error))
    }

    /// Runs a statement of those above and says whether it wrote.
    fn write(&self, sql: &'static str, account: &Account, note: &Note<'_>, what: What<'_>) -> Result<Swap, StoreError> {
        let About { host, caller_uid, service, rhost } = self.about;
        let (service, rhost, caller_uid) = (service.map(plain), rhost.map(plain), caller_uid.map(i64::from));
        let answer = note.answer.map(|answer| answer.words());
        let request = note.origin.id.map(|id| id.0.to_vec()).filter(|_| answer.is_some());
        let (name, event, answer) = (account.name.as_str(), note.event, answer.as_deref());
        let all: [Value<'_>; 11] = [
            &name,
            &host,
            &caller_uid,
            &service,
            &rhost,
            &event,
            &answer,
            &request,
            &what.number,
            &what.state,
            what.last,
        ];
        let values: Vec<Value<'_>> = all.iter().take(what.values).chain(what.beyond).copied().collect();
        self.is_revoked.set(false);
        let row = match self.session.write(sql, &values) {
            Ok(row) => row,
            Err(Unanswered::Overtaken | Unanswered::Taken) => return Ok(Swap::Lost),
            Err(unanswered) => return Err(unanswered.into()),
        };
        match (row.try_get(1), row.try_get(2)) {
            (Ok(true), Ok(true)) => Ok(Swap::Done),
            (Ok(true), Ok(false)) => Ok(Swap::Lost),
            (Ok(false), _) => {
                self.is_revoked.set(true);
                Err(StoreError::Unreachable(format!("the host {} is not active", plain(host.unwrap_or_default()))))
            }
            (Ok(true), Err(_)) | (Err(_), _) => Err(StoreError::Unconfirmed("its row cannot be read".into())),
        }
    }
}

/// Whether there is a record in a row that was read together with something else.
pub(crate) fn is_record(row: &Row) -> bool {
    row.try_get::<_, Option<i64>>(0).is_ok_and(|version| version.is_some())
}

/// The last values of a statement.
#[derive(Clone, Copy)]
struct What<'a> {
    /// How many values the statement takes.
    values: usize,
    number: i64,
    state: &'a str,
    last: Value<'a>,
    /// Those after that.
    beyond: &'a [Value<'a>],
}

/// A statement that takes only what all take.
const NOTHING: What<'static> = What { values: 8, number: 0, state: "", last: &"", beyond: &[] };

impl Store for PgStore<'_> {
    type Hold = Version;

    fn load(&self, account: &Account) -> Result<Option<Loaded<Version>>, StoreError> {
        let Some(row) = self.row(account)? else { return Ok(None) };
        let (record, hold) = self.opened(account, &row).map_err(|error| of_record(account, error))?;
        Ok(Some(Loaded { record, hold }))
    }

    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        Ok(self.load(account)?.map(|loaded| loaded.record))
    }

    fn kept(version: &Version) -> Option<&KeptAnswer> {
        version.kept.as_ref()
    }

    fn swap(&self, account: &Account, version: Version, state: &State, note: &Note<'_>) -> Result<Swap, StoreError> {
        let state = self.text_of(account, state, version.number.saturating_add(1), to_keep(note).as_ref())?;
        let what = What { values: 11, number: version.number, state: &state, last: &note.origin.host, ..NOTHING };
        self.write(SWAP, account, note, what)
    }

    fn replace(
        &self,
        account: &Account,
        version: Option<Version>,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        let sealed = self.sealed(account, &record.credentials)?;
        let origin: [Value<'_>; 1] = [&note.origin.host];
        let kept = to_keep(note).filter(|_| version.is_some());
        let (sql, number, next, beyond) = match version {
            Some(Version { number, .. }) => {
                let sql = if record.is_enrolled() { REPLACE_ENROLLED } else { REPLACE };
                (sql, number, number.saturating_add(1), origin.as_slice())
            }
            None => {
                let first = first_version()?;
                (INSERT, first, first, [].as_slice())
            }
        };
        let state = self.text_of(account, &record.state, next, kept.as_ref())?;
        self.write(sql, account, note, What { values: 11, number, state: &state, last: &sealed, beyond })
    }

    fn remove(&self, account: &Account, version: Version, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.write(REMOVE, account, note, What { values: 9, number: version.number, ..NOTHING })
    }

    fn purge(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError> {
        let swap = self.write(PURGE, account, note, NOTHING)?;
        Ok(swap == Swap::Done)
    }

    fn only_note(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        match self.write(NOTE, account, note, NOTHING)? {
            Swap::Done => Ok(()),
            Swap::Lost => Err(StoreError::Busy),
        }
    }

    fn rehearse_load(&self) {
        self.keys.rehearse(&Account::nobody().name);
    }

    fn rehearse(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.only_note(account, note)
    }
}

/// The answer that a row has.
fn kept(row: &Row) -> Option<KeptAnswer> {
    let (request, host): (Option<&[u8]>, _) = (row.try_get(3).ok()?, row.try_get(4).ok()?);
    let (event, words): (Option<String>, Option<String>) = (row.try_get(5).ok()?, row.try_get(6).ok()?);
    Some(KeptAnswer { id: RequestId(request?.try_into().ok()?), host, event: event?, words: words? })
}

/// Whether it is recent enough to be given again.
fn is_fresh(row: &Row) -> bool {
    row.try_get(7).unwrap_or(false)
}

/// The answer that a row keeps after this write.
fn to_keep(note: &Note<'_>) -> Option<KeptAnswer> {
    let (id, words) = (note.origin.id?, note.answer?.words().into_owned());
    Some(KeptAnswer { id, host: note.origin.host.map(str::to_owned), event: note.event.to_owned(), words })
}

fn without_keys(account: &Account, error: &KeysError) -> StoreError {
    match error {
        KeysError::NoKeys => of_record(account, RecordError::Sealed(Shut::NoKey)),
        KeysError::Read(_) | KeysError::Mode | KeysError::Random => StoreError::Unreachable(error.to_string()),
    }
}

/// Random, in 48 bits: a login that loaded a record before it was removed and made again has lost.
fn first_version() -> Result<i64, StoreError> {
    let mut random = [0; 6];
    entropy(&mut random).map_err(|_| StoreError::Unreachable("no random bytes for a version".into()))?;
    let [a, b, c, d, e, f] = random;
    Ok(i64::from_be_bytes([0, 0, a, b, c, d, e, f]).saturating_add(1))
}

fn of_record(account: &Account, error: RecordError) -> StoreError {
    StoreError::Record { path: PathBuf::from(format!("the record of {}", stem(&account.name))), error }
}

/// A name that a terminal prints as it is.
fn stem(name: &UserName) -> String {
    name.file_stem()
}

/// A text of a host, as PostgreSQL can hold it.
fn plain(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().replace('\0', "\u{fffd}")
}
