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

// The version stays: no login is lost by it. A record that was enrolled anew meanwhile has other bytes.
const WRITE: &str = "WITH new AS (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (name, old, sealed)), \
     changed AS (UPDATE otp.record r SET sealed = new.sealed FROM new WHERE r.name = new.name AND r.sealed = new.old RETURNING 1) \
     SELECT current_setting('synchronous_standby_names'), (SELECT count(*) FROM changed)";

/// Seals all records under the present key. `go_on` is asked after each hundred.
pub(crate) fn reseal(
    session: &Session,
    keys: &Keys,
    mut go_on: impl FnMut(&Resealed) -> bool,
) -> Result<Resealed, StoreError> {
    let mut sum = Resealed::default();
    let mut last = String::new();
    loop {
        let rows = session.read(READ, &[&last, &keys.beginning().as_slice()])?;
        let (mut names, mut olds, mut news) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let (Ok(name), Ok(old)) = (row.try_get::<_, String>(0), row.try_get::<_, Vec<u8>>(1)) else {
                return Err(StoreError::Unreachable("a row cannot be read".into()));
            };
            last.clone_from(&name);
            match sealed_anew(keys, &name, &old) {
                None => sum.shut.push(name),
                Some(new) => {
                    names.push(name);
                    olds.push(old);
                    news.push(new);
                }
            }
        }
        if rows.is_empty() {
            return Ok(sum);
        }
        if !names.is_empty() {
            let row = session.write(WRITE, &[&names, &olds, &news])?;
            let done = row.try_get::<_, i64>(1).ok().and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
            let sent = u64::try_from(names.len()).unwrap_or_default();
            sum.done = sum.done.saturating_add(done);
            sum.passed = sum.passed.saturating_add(sent.saturating_sub(done));
        }
        if !go_on(&sum) {
            return Ok(sum);
        }
    }
}

fn sealed_anew(keys: &Keys, name: &str, old: &[u8]) -> Option<Vec<u8>> {
    let user = UserName::parse(name)?;
    let text = keys.open(&user, old).ok()?;
    keys.seal(&user, std::str::from_utf8(&text).ok()?).ok()
}
