//! Rotation of the key: each record is opened with an old key and sealed under the present one. Killed anywhere, it goes on where
//! it was: a row says under which key it is.

use otp_core::store::error::StoreError;
use otp_core::value::user::UserName;

use crate::database::session::Session;
use crate::keys::Keys;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resealed {
    pub done: u64,
    /// Records that changed meanwhile. Run it again.
    pub passed: u64,
    /// Users whose record does not open with any key.
    pub shut: Vec<String>,
}

/// Some rows at a time: each has the wait of a commit.
const READ: &str =
    "SELECT name, sealed FROM otp.record WHERE name > $1 AND substr(sealed, 1, 5) <> $2 ORDER BY name LIMIT 100";

// The version stays: no login is lost by it. A record that was enrolled again meanwhile has other bytes.
const WRITE: &str = "WITH new AS (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (name, old, sealed)), \
     changed AS (UPDATE otp.record r SET sealed = new.sealed FROM new WHERE r.name = new.name AND r.sealed = new.old RETURNING 1) \
     SELECT current_setting('synchronous_standby_names'), (SELECT count(*) FROM changed)";

/// Rows that were read, and what is to be written over them.
struct Batch {
    names: Vec<String>,
    olds: Vec<Vec<u8>>,
    news: Vec<Vec<u8>>,
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
        let mut batch = Self { names: Vec::new(), olds: Vec::new(), news: Vec::new(), shut: Vec::new(), last: None };
        for row in session.read(READ, &[&name, &keys.beginning().as_slice()])? {
            let (Ok(name), Ok(old)) = (row.try_get::<_, String>(0), row.try_get::<_, Vec<u8>>(1)) else {
                return Err(StoreError::Unreachable("a row cannot be read".into()));
            };
            batch.last = Some(name.clone());
            match sealed_anew(keys, &name, &old) {
                None => batch.shut.push(name),
                Some(new) => {
                    batch.names.push(name);
                    batch.olds.push(old);
                    batch.news.push(new);
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
        let row = session.write(WRITE, &[&self.names, &self.olds, &self.news])?;
        let count = row.try_get::<_, i64>(1).ok().and_then(|count| u64::try_from(count).ok());
        count.ok_or_else(|| StoreError::Unconfirmed("its row cannot be read".into()))
    }
}

fn sealed_anew(keys: &Keys, name: &str, old: &[u8]) -> Option<Vec<u8>> {
    let user = UserName::parse(name)?;
    let text = keys.open(&user, old).ok()?;
    keys.seal(&user, std::str::from_utf8(&text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use otp_core::store::Store as _;
    use otp_core::testing::alice::{NOTE, alice, phone, re_enrolled, record};

    use super::*;
    use crate::keys::tests::newer;
    use crate::store::tests::Place;

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
}
