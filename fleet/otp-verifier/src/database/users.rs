//! The users who have a record, by name; and whom a host has tried.

use otp_core::store::error::StoreError;
use otp_core::value::user::UserName;

use crate::database::session::Session;

fn unreadable(_: tokio_postgres::Error) -> StoreError {
    StoreError::Unreachable("a row cannot be read".into())
}

impl Session {
    /// All users with a record, in the order of their names. A row whose name is none is passed over.
    pub(crate) fn each_user<E: From<StoreError>>(
        &self,
        mut act: impl FnMut(UserName) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last = String::new();
        loop {
            let names = self.names_after(&last, None)?;
            let Some(name) = names.last() else { return Ok(()) };
            last.clone_from(name);
            names.iter().filter_map(|name| UserName::parse(name)).try_for_each(&mut act)?;
        }
    }

    /// Users for whom a host has sent wrong codes, those after this one; of a scope, if one is given.
    pub(crate) fn tried_by(&self, host: &str, last: &str, scope: Option<&str>) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT otp.tried_by($1, $2, $3)";
        self.read(SQL, &[&host, &last, &scope])?.iter().map(|row| row.try_get(0).map_err(unreadable)).collect()
    }

    /// How many of the last wrong codes for a user a host has sent.
    pub(crate) fn wrong_codes_of(&self, host: &str, user: &str, last: i64) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT otp.wrong_codes_of($1, $2, $3)";
        let rows = self.read(SQL, &[&host, &user, &last])?;
        rows.first().map_or(Ok(0), |row| row.try_get(0).map_err(unreadable))
    }

    /// Some names of a scope, or of all users with a record: those after this one.
    pub(crate) fn names_after(&self, last: &str, scope: Option<&str>) -> Result<Vec<String>, StoreError> {
        const ALL: &str = "SELECT name FROM otp.record WHERE name > $1 ORDER BY name LIMIT 100";
        const OF_SCOPE: &str = "SELECT r.name FROM otp.scope_user s JOIN otp.record r ON r.name = s.name \
             WHERE s.scope = $2 AND s.name > $1 ORDER BY s.name LIMIT 100";
        let rows = match &scope {
            None => self.read(ALL, &[&last])?,
            Some(scope) => self.read(OF_SCOPE, &[&last, scope])?,
        };
        rows.iter().map(|row| row.try_get(0).map_err(unreadable)).collect()
    }

    /// No record is on its way to a host any more.
    pub(crate) fn forget_moving(&self) -> Result<(), StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.moving RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[]).map(drop)
    }
}
