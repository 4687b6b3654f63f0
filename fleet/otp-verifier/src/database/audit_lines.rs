//! Rows of the audit, which a verifier reads by functions of its owner alone.

use otp_core::store::error::StoreError;
use serde::Serialize;
use tokio_postgres::Row;

use crate::database::session::Session;

/// A row. What a host has sent is in it as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// In UTC, as `2026-11-29T15:12:47Z`.
    pub at: String,
    /// `None` for what was done on a verifier.
    pub host: Option<String>,
    pub caller_uid: Option<i64>,
    pub user: String,
    pub service: Option<String>,
    pub rhost: Option<String>,
    pub event: String,
    pub answer: Option<String>,
}

impl Session {
    /// Rows since a time, of a user and of a host where they are given, the newest first and so many at most.
    pub(crate) fn told(
        &self,
        user: Option<&str>,
        host: Option<&str>,
        since: u64,
        most: u32,
    ) -> Result<Vec<Line>, StoreError> {
        const SQL: &str = "SELECT * FROM otp.told($1, $2, to_timestamp($3::bigint), $4)";
        let (since, most) = (i64::try_from(since).unwrap_or(i64::MAX), i64::from(most));
        all(&self.read(SQL, &[&user, &host, &since, &most])?)
    }

    /// The last refusals of a user, the latest first.
    pub(crate) fn refusals_of(&self, user: &str, most: u32) -> Result<Vec<Line>, StoreError> {
        all(&self.read("SELECT * FROM otp.refusals_of($1, $2)", &[&user, &i64::from(most)])?)
    }
}

fn all(rows: &[Row]) -> Result<Vec<Line>, StoreError> {
    let lines = rows.iter().map(Line::of).collect::<Result<_, tokio_postgres::Error>>();
    lines.map_err(|_| StoreError::Unreachable("a row of the audit cannot be read".into()))
}

impl Line {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            at: row.try_get(0)?,
            host: row.try_get(1)?,
            caller_uid: row.try_get(2)?,
            user: row.try_get(3)?,
            service: row.try_get(4)?,
            rhost: row.try_get(5)?,
            event: row.try_get(6)?,
            answer: row.try_get(7)?,
        })
    }
}
