//! The tables: each file of `migrations/` is run once, in its order, by their owner.
//!
//! Thirty lines of our own: refinery wants a `tokio_postgres::Client` whose connection another task moves, and links 20 crates.

use tokio_postgres::types::ToSql;

use crate::database::DatabaseError;
use crate::database::session::{Session, Unrun};

/// In the order of their numbers. One that was released is never changed.
const ALL: [(i32, &str); 1] = [(1, include_str!("../../migrations/1_records.sql"))];

/// What a superuser runs before.
pub(crate) const ROLES: &str = include_str!("../../migrations/roles.sql");

/// The table of what was run. Two that migrate at once wait for each other.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(7261146); \
     CREATE TABLE IF NOT EXISTS public.otp_migration (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());";

const DONE: &str = "SELECT coalesce(max(number), 0) FROM public.otp_migration";

/// Brings the tables to the version of this program, as their owner. Returns the numbers that were run.
pub(crate) fn migrate(session: &Session) -> Result<Vec<i32>, DatabaseError> {
    let failed = |number: i32| move |error: String| DatabaseError::Migration(number, error);
    let run_as = |number: i32, sql: &str| {
        session.run(sql).map_err(|unrun| match unrun {
            Unrun::Failed(error) => failed(number)(error),
            Unrun::Late(why) => DatabaseError::Unconfirmed(why),
        })
    };
    run_as(0, BEGIN)?;
    let rows = session.read(DONE, &[]).map_err(|error| failed(0)(error.to_string()))?;
    let done: i32 = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(i32::MAX);
    let newest = ALL.last().map_or(0, |(number, _)| *number);
    if done > newest {
        return Err(failed(newest)(format!("the tables have version {done}, which a newer program made")));
    }
    let mut run = Vec::new();
    for (number, sql) in ALL.iter().filter(|(number, _)| *number > done) {
        run_as(*number, sql)?;
        run_as(*number, &format!("INSERT INTO public.otp_migration VALUES ({number})"))?;
        run.push(*number);
    }
    run_as(newest, "COMMIT")?;
    Ok(run)
}

/// Makes the tables of the audit's next months. Called once a day.
pub(crate) fn make_months(session: &Session) -> Result<i32, otp_core::store::error::StoreError> {
    const SQL: &str = "SELECT current_setting('synchronous_standby_names'), otp.make_months($1)";
    let ahead: &(dyn ToSql + Sync) = &2_i32;
    let row = session.write(SQL, &[ahead])?;
    Ok(row.try_get(1).unwrap_or_default())
}
