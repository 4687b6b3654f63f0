//! The MACs of all rows that have one: which do not hold, and new ones under another key. Killed anywhere, it goes on where it was: a
//! MAC says under which key it is.

use otp_core::store::error::StoreError;
use tokio_postgres::Row;

use crate::database::hosts::{HostRow, host_columns};
use crate::database::session::{Session, unreadable};
use crate::database::tokens::{TokenRow, token_columns};
use crate::keys::Keys;
use crate::row_mac::RowOf;

/// What to do about rows that no verifier has written.
pub(crate) const ALTERED: &str = "look for who writes to the database; remove them: otp-verifier host remove, otp-verifier scope \
     remove, otp-verifier token remove";

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Renewed {
    pub done: u64,
    /// Rows that changed meanwhile. Run it again.
    pub passed: u64,
    /// Rows that no verifier has written.
    pub altered: Vec<String>,
}

/// A table: rows whose MACs do not begin with the first value, after the second one; and how others are written over these.
struct Table {
    read: &'static str,
    write: &'static str,
    judge: fn(&Row, &Keys) -> Result<Judged, StoreError>,
}

/// A row.
struct Judged {
    name: String,
    old: Vec<u8>,
    /// The MAC under the present key; `None` for a row that no verifier has written.
    new: Option<Vec<u8>>,
}

macro_rules! read {
    ($columns:expr, $table:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM otp.",
            $table,
            " WHERE substr(mac, 1, 5) <> $1 AND mac > $2 ORDER BY mac LIMIT 200"
        )
    };
}

macro_rules! write {
    ($table:literal) => {
        concat!(
            "WITH new AS (SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS n (old, mac)), changed AS (UPDATE otp.",
            $table,
            " t SET mac = new.mac FROM new WHERE t.mac = new.old RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), (SELECT count(*) FROM changed)"
        )
    };
}

const TABLES: [Table; 3] = [
    Table { read: read!(host_columns!(), "host h"), write: write!("host"), judge: host },
    Table { read: read!("s.scope, s.name, s.mac", "scope_user s"), write: write!("scope_user"), judge: scope_user },
    Table { read: read!(token_columns!(), "join_token t"), write: write!("join_token"), judge: join_token },
];

fn host(row: &Row, keys: &Keys) -> Result<Judged, StoreError> {
    let row = HostRow::read(row, keys)?;
    let new = if row.host.is_genuine { Some(row.renewed(keys)?) } else { None };
    Ok(Judged { name: format!("host {}", row.host.id), old: row.mac, new })
}

fn scope_user(row: &Row, keys: &Keys) -> Result<Judged, StoreError> {
    let read = || Some((row.try_get(0).ok()?, row.try_get(1).ok()?, row.try_get(2).ok()?));
    let (scope, user, old): (String, String, Vec<u8>) = read().ok_or_else(|| unreadable("of a scope"))?;
    let new = renewed(keys, &RowOf::ScopeUser { scope: &scope, user: &user }, &old)?;
    Ok(Judged { name: format!("user {user} of scope {scope}"), old, new })
}

fn join_token(row: &Row, keys: &Keys) -> Result<Judged, StoreError> {
    let row = TokenRow::read(row)?;
    let new = renewed(keys, &row.what(), &row.mac)?;
    Ok(Judged { name: format!("token {}", base16ct::lower::encode_string(&row.hash)), old: row.mac, new })
}

fn renewed(keys: &Keys, row: &RowOf<'_>, old: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    if !keys.is_genuine(row, old) {
        return Ok(None);
    }
    keys.mac_of(row).map(Some).map_err(|error| StoreError::Unreachable(error.to_string()))
}

/// Makes a new MAC for each genuine row whose MAC is not under the present key.
pub(crate) fn renew(session: &Session, keys: &Keys) -> Result<Renewed, StoreError> {
    let mut sum = Renewed::default();
    for table in TABLES {
        each_batch(session, keys, &table, &keys.beginning(), |batch| {
            let (mut olds, mut news) = (Vec::new(), Vec::new());
            for Judged { name, old, new } in batch {
                if let Some(new) = new {
                    olds.push(old);
                    news.push(new);
                } else {
                    sum.altered.push(name);
                }
            }
            let row = session.write(table.write, &[&olds, &news])?;
            let done = row.try_get::<_, i64>(1).ok().and_then(|count| u64::try_from(count).ok());
            let done = done.ok_or_else(|| StoreError::Unconfirmed("its row cannot be read".into()))?;
            sum.done = sum.done.saturating_add(done);
            sum.passed = sum.passed.saturating_add(u64::try_from(olds.len()).unwrap_or_default().saturating_sub(done));
            Ok(())
        })?;
    }
    Ok(sum)
}

/// The rows that no verifier has written.
pub(crate) fn altered(session: &Session, keys: &Keys) -> Result<Vec<String>, StoreError> {
    let mut all = Vec::new();
    for table in TABLES {
        each_batch(session, keys, &table, &[], |batch| {
            all.extend(batch.into_iter().filter(|row| row.new.is_none()).map(|row| row.name));
            Ok(())
        })?;
    }
    Ok(all)
}

fn each_batch(
    session: &Session,
    keys: &Keys,
    table: &Table,
    beginning: &[u8],
    mut act: impl FnMut(Vec<Judged>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut last = Vec::new();
    loop {
        let rows = session.read(table.read, &[&beginning, &last])?;
        let batch: Vec<_> = rows.iter().map(|row| (table.judge)(row, keys)).collect::<Result<_, _>>()?;
        let Some(row) = batch.last() else { return Ok(()) };
        last.clone_from(&row.old);
        act(batch)?;
    }
}
