//! The lists of users to which hosts may be bound. A row that no verifier has written lists no user.

use std::collections::BTreeMap;

use otp_core::store::error::StoreError;
use tokio_postgres::{Error, Row};

use crate::database::session::{Session, unreadable};
use crate::keys::Keys;
use crate::row_mac::RowOf;

/// Whether a host may ask about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InScope {
    Yes,
    No,
    /// By a row that no verifier has written.
    Altered,
}

impl InScope {
    /// By the scope of a host, and the MAC of the row with that scope and the user; `None` if there is no such row. No user
    /// is in a scope without rows.
    pub(super) fn of(keys: &Keys, scope: Option<&str>, user: &str, mac: Option<&[u8]>) -> Self {
        match (scope, mac) {
            (None, _) => Self::Yes,
            (Some(_), None) => Self::No,
            (Some(scope), Some(mac)) if keys.is_genuine(&RowOf::ScopeUser { scope, user }, mac) => Self::Yes,
            (Some(_), Some(_)) => Self::Altered,
        }
    }
}

impl Session {
    /// Whether a host with this scope may ask about a user.
    pub(crate) fn is_in_scope(&self, keys: &Keys, scope: Option<&str>, user: &str) -> Result<InScope, StoreError> {
        const SQL: &str = "SELECT mac FROM otp.scope_user WHERE scope = $1 AND name = $2";
        let Some(scope) = scope else { return Ok(InScope::Yes) };
        let rows = self.read(SQL, &[&scope, &user])?;
        let mac: Option<Vec<u8>> =
            rows.first().map(|row| row.try_get(0)).transpose().map_err(|_| unreadable("of a scope"))?;
        Ok(InScope::of(keys, Some(scope), user, mac.as_deref()))
    }

    /// All scopes that list users, with how many.
    pub(crate) fn scopes(&self) -> Result<BTreeMap<String, i64>, StoreError> {
        const SQL: &str = "SELECT scope, count(*) FROM otp.scope_user GROUP BY scope";
        let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        self.read(SQL, &[])?.iter().map(|row| read(row).map_err(|_: Error| unreadable("of a scope"))).collect()
    }

    /// The users of a scope, by name, each with whether a verifier has written the row.
    pub(crate) fn users_of_scope(&self, keys: &Keys, scope: &str) -> Result<Vec<(String, bool)>, StoreError> {
        const SQL: &str = "SELECT name, mac FROM otp.scope_user WHERE scope = $1 ORDER BY name";
        let read = |row: &Row| {
            let (user, mac): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            let is_genuine = keys.is_genuine(&RowOf::ScopeUser { scope, user: &user }, &mac);
            Ok((user, is_genuine))
        };
        self.read(SQL, &[&scope])?.iter().map(|row| read(row).map_err(|_: Error| unreadable("of a scope"))).collect()
    }

    /// Whether a scope has rows, also such as no verifier has written.
    pub(crate) fn has_users(&self, scope: &str) -> Result<bool, StoreError> {
        self.is_any("SELECT EXISTS (SELECT FROM otp.scope_user WHERE scope = $1)", scope)
    }

    /// Whether a host can still join with this scope.
    pub(crate) fn has_token_with(&self, scope: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT FROM otp.join_token \
             WHERE scope = $1 AND used_by IS NULL AND expires > extract(epoch FROM clock_timestamp()))";
        self.is_any(SQL, scope)
    }

    fn is_any(&self, sql: &'static str, scope: &str) -> Result<bool, StoreError> {
        let rows = self.read(sql, &[&scope])?;
        rows.first().map_or(Ok(false), |row| row.try_get(0).map_err(|_| unreadable("of a scope")))
    }

    /// Lists a user in a scope; `false` if it was listed. A row that no verifier has written is replaced.
    pub(crate) fn add_to_scope(&self, keys: &Keys, scope: &str, user: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.scope_user AS s (scope, name, mac) VALUES ($1, $2, $3) \
             ON CONFLICT (scope, name) DO UPDATE SET mac = excluded.mac WHERE s.mac <> excluded.mac RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        let mac = keys.mac_of(&RowOf::ScopeUser { scope, user });
        let mac = mac.map_err(|error| StoreError::Unreachable(error.to_string()))?;
        self.changed(SQL, &[&scope, &user, &mac])
    }

    /// Takes a user out of a scope; `false` if it was not listed.
    pub(crate) fn remove_from_scope(&self, scope: &str, user: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.scope_user WHERE scope = $1 AND name = $2 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[&scope, &user])
    }
}
