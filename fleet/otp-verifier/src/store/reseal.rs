//! Rotation of the key: each record is opened with an old key and sealed under the present one, and its state gets MACs under it. Killed
//! anywhere, it goes on where it was: a row says under which key it is.

use otp_core::store::error::StoreError;
use otp_core::store::note::KeptAnswer;
use otp_core::value::user::UserName;

use crate::database::session::Session;
use crate::keys::Keys;
use crate::signed_state::{self, Signed, signed};
use crate::store::kept;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resealed {
    pub done: u64,
    /// Records that changed meanwhile. Run it again.
    pub passed: u64,
    /// Users whose record does not open with any key.
    pub shut: Vec<String>,
}

/// Some rows at a time: each has the wait of a commit. The columns of the kept answer are in their places.
const READ: &str = "SELECT name, sealed, state, request, host, event, answer FROM otp.record \
     WHERE name > $1 AND (substr(sealed, 1, 5) <> $2 OR position($3 IN state) = 0) ORDER BY name LIMIT 100";

// The version stays: no login is lost by it. A record that was enrolled again meanwhile has other bytes, and after a login the state is
// another one, which that verifier has put its MACs to.
const WRITE: &str = "WITH new AS (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::text[]) \
     AS n (name, old, sealed, old_state, state)), \
     changed AS (UPDATE otp.record r SET sealed = new.sealed, state = CASE WHEN r.state = new.old_state THEN new.state ELSE r.state END \
     FROM new WHERE r.name = new.name AND r.sealed = new.old RETURNING position($6 IN r.state) > 0 AS is_whole) \
     SELECT current_setting('synchronous_standby_names'), (SELECT count(*) FROM changed WHERE is_whole)";

/// Rows that were read, and what is to be written over them.
#[derive(Default)]
struct Batch {
    names: Vec<String>,
    olds: Vec<Vec<u8>>,
    news: Vec<Vec<u8>>,
    old_states: Vec<String>,
    new_states: Vec<String>,
    /// How the MACs of the new states begin.
    beginning: String,
    /// Users whose record does not open.
    shut: Vec<String>,
    /// The last name of all; `None` if there was no row.
    last: Option<String>,
}

/// Seals all records under the present key. `go_on` is asked after each hundred.
pub(crate) fn reseal(
    session: &Session,
    keys: &Keys,
    mut go_on: impl FnMut(&Resealed) -> bool,
) -> Result<Resealed, StoreError> {
    let mut sum = Resealed::default();
    let mut batch = Batch::after("", session, keys)?;
    while let Some(last) = &batch.last {
        let done = batch.write(session)?;
        let passed = u64::try_from(batch.names.len()).unwrap_or_default().saturating_sub(done);
        sum.done = sum.done.saturating_add(done);
        sum.passed = sum.passed.saturating_add(passed);
        sum.shut.extend_from_slice(&batch.shut);
        if !go_on(&sum) {
            break;
        }
        batch = Batch::after(last, session, keys)?;
    }
    Ok(sum)
}

impl Batch {
    fn after(name: &str, session: &Session, keys: &Keys) -> Result<Self, StoreError> {
        let beginning = signed_state::beginning(keys.beginning());
        let mut batch = Self { beginning, ..Self::default() };
        for row in session.read(READ, &[&name, &keys.beginning().as_slice(), &batch.beginning])? {
            let read = || Some((row.try_get(0).ok()?, row.try_get(1).ok()?, row.try_get(2).ok()?));
            let (name, old, old_state): (String, Vec<u8>, String) =
                read().ok_or_else(|| StoreError::Unreachable("a row cannot be read".into()))?;
            batch.last = Some(name.clone());
            match under_present_key(keys, &name, &old, &old_state, kept(&row)) {
                None => batch.shut.push(name),
                Some((new, new_state)) => {
                    batch.names.push(name);
                    batch.olds.push(old);
                    batch.news.push(new);
                    batch.old_states.push(old_state);
                    batch.new_states.push(new_state);
                }
            }
        }
        Ok(batch)
    }

    /// How many rows were as they had been read.
    fn write(&self, session: &Session) -> Result<u64, StoreError> {
        if self.names.is_empty() {
            return Ok(0);
        }
        let Self { names, olds, news, old_states, new_states, beginning, .. } = self;
        let row = session.write(WRITE, &[names, olds, news, old_states, new_states, beginning])?;
        let count = row.try_get::<_, i64>(1).ok().and_then(|count| u64::try_from(count).ok());
        count.ok_or_else(|| StoreError::Unconfirmed("its row cannot be read".into()))
    }
}

/// A record sealed under the present key, and its state with MACs under it.
fn under_present_key(
    keys: &Keys,
    name: &str,
    old: &[u8],
    old_state: &str,
    kept: Option<KeptAnswer>,
) -> Option<(Vec<u8>, String)> {
    let user = UserName::parse(name)?;
    let text = keys.open(&user, old).ok()?;
    let before = Signed::read(keys, &user, old_state).ok()?;
    let kept = kept.filter(|kept| before.has_kept(keys, &user, kept));
    let state = signed(keys, &user, before.state, kept.as_ref()).ok()?;
    Some((keys.seal(&user, std::str::from_utf8(&text).ok()?).ok()?, state))
}

#[cfg(test)]
mod tests {
    use otp_core::codes::attempt::Attempt;
    use otp_core::decision::verify::decide;
    use otp_core::store::Store as _;
    use otp_core::store::note::Origin;
    use otp_core::store::update;
    use otp_core::testing::alice::{
        LIMITS, NOTE, NOW, REPLAYED, alice, by_phone, phone, re_enrolled, record, right, wrong,
    };
    use otp_core::value::request_id::RequestId;

    use super::*;
    use crate::keys::tests::newer;
    use crate::store::tests::Place;
    use crate::store::{About, PgStore};

    #[test]
    fn a_record_that_changes_between_reading_and_writing_stays_as_it_is() {
        let place = Place::new().enrolled();
        let both = newer(&place.keys);
        let batch = Batch::after("", &place.session, &both).unwrap();
        let loaded = place.store().load(&alice()).unwrap().unwrap();
        let new = re_enrolled(&record(vec![phone(1)]), 9);
        let _ = place.store().replace(&alice(), Some(loaded.hold), &new, &NOTE).unwrap();
        assert_eq!((batch.names.len(), batch.write(&place.session).unwrap()), (1, 0));
        let read = place.store().read(&alice()).unwrap().unwrap();
        assert_eq!(read.credentials.enrollment, new.credentials.enrollment);
        // The next run finds it.
        assert_eq!(reseal(&place.session, &both, |_| true).unwrap().done, 1);
    }

    /// The answer that is kept is given again after the key was changed, and a login between reading and writing is not lost.
    #[test]
    fn a_state_that_changes_meanwhile_stays_and_so_does_an_answer() {
        let place = Place::new().enrolled();
        let both = newer(&place.keys);
        let ask = |keys: &Keys, id: u8, attempt: &Attempt| {
            let store = PgStore::new(&place.session, keys, About::default());
            let note = Origin { id: Some(RequestId([id; 16])), host: Some("web1") }.note("login");
            update(&store, &alice(), &note, |record| decide(&LIMITS, record, attempt, NOW)).unwrap()
        };
        assert_eq!(ask(&place.keys, 1, &right()), by_phone());
        let batch = Batch::after("", &place.session, &both).unwrap();
        let wrong_one = ask(&place.keys, 2, &wrong());
        // The record is sealed under the new key; its state is under the old one and has what came in between.
        assert_eq!(batch.write(&place.session).unwrap(), 0);
        assert_eq!(ask(&both, 2, &right()), wrong_one);
        let whole = Resealed { done: 1, ..Resealed::default() };
        assert_eq!(reseal(&place.session, &both, |_| true).unwrap(), whole);
        assert_eq!(ask(&both, 2, &right()), wrong_one);
        assert_eq!(ask(&both, 3, &right()), REPLAYED);
        assert_eq!(reseal(&place.session, &both, |_| true).unwrap(), Resealed::default());
        let new = Keys::of_bytes(&both.without(place.keys.present())).unwrap();
        assert!(PgStore::new(&place.session, &new, About::default()).read(&alice()).unwrap().is_some());
    }
}
