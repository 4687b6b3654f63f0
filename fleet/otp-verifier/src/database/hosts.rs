//! The hosts of the fleet, and what each may do. A row that no verifier has written is that of a host which may do nothing.

use tokio_postgres::Row;

use otp_core::store::error::StoreError;

use crate::database::scopes::InScope;
use crate::database::session::{Session, Unanswered, unreadable};
use crate::keys::Keys;
use crate::right::Right;
use crate::row_mac::RowOf;

/// The columns of a record `r`, in the order in which the store reads them.
macro_rules! columns {
    () => {
        "r.version, r.sealed, r.state, r.request, r.host, r.event, r.answer, \
         coalesce(r.answered BETWEEN clock_timestamp() - interval '10 s' AND clock_timestamp() + interval '10 s', false)"
    };
}
pub(crate) use columns;

/// A host of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub id: String,
    pub is_active: bool,
    /// Whether a verifier has written its row.
    pub is_genuine: bool,
    pub rights: Vec<Right>,
    /// The list of users that it may ask about; `None` for every user.
    pub scope: Option<String>,
}

/// A host that asks about a user.
pub(crate) struct Asking {
    pub host: Host,
    /// Whether it may ask about this user.
    pub listed: InScope,
    /// The user's record, or that there is none, as the store reads it.
    pub row: Row,
}

/// What becomes of the scope of a host that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewScope<'a> {
    Kept,
    AllUsers,
    Of(&'a str),
}

/// What became of a change of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    /// There is no host of this name.
    NoHost,
    /// No verifier has written its row, and so none vouches for the rest of it.
    Altered,
}

impl Host {
    pub(crate) fn may(&self, right: Right) -> bool {
        self.is_active && self.is_genuine && self.rights.contains(&right)
    }

    /// The MAC of the row of this host, with this key.
    fn mac(&self, key_sha256: &[u8], keys: &Keys) -> Result<Vec<u8>, StoreError> {
        let Self { id, is_active, rights, scope, .. } = self;
        let row = RowOf::Host { id, key_sha256, is_active: *is_active, rights, scope: scope.as_deref() };
        keys.mac_of(&row).map_err(|error| StoreError::Unreachable(error.to_string()))
    }
}

/// A row of a host: [`ROW`].
pub(super) struct HostRow {
    pub(super) host: Host,
    pub(super) key_sha256: Vec<u8>,
    pub(super) mac: Vec<u8>,
}

/// The columns of a host `h`.
macro_rules! host_columns {
    () => {
        "h.id, h.key_sha256, h.status, h.rights, h.scope, h.mac"
    };
}
pub(super) use host_columns;

impl HostRow {
    /// `None` for a row that this program would not write.
    fn of(row: &Row, keys: &Keys) -> Option<Self> {
        let words: Vec<String> = row.try_get("rights").ok()?;
        let is_active = match row.try_get("status").ok()? {
            "active" => true,
            "suspended" => false,
            _ => return None,
        };
        let rights = words.iter().map(|word| Right::parse(word)).collect::<Option<Vec<_>>>()?;
        let (id, scope): (String, Option<String>) = (row.try_get("id").ok()?, row.try_get("scope").ok()?);
        let (key_sha256, mac): (Vec<u8>, Vec<u8>) = (row.try_get("key_sha256").ok()?, row.try_get("mac").ok()?);
        let what =
            RowOf::Host { id: &id, key_sha256: &key_sha256, is_active, rights: &rights, scope: scope.as_deref() };
        let is_genuine = keys.is_genuine(&what, &mac);
        Some(Self { host: Host { id, is_active, is_genuine, rights, scope }, key_sha256, mac })
    }

    pub(super) fn read(row: &Row, keys: &Keys) -> Result<Self, StoreError> {
        Self::of(row, keys).ok_or_else(|| unreadable("of a host"))
    }

    /// The MAC of the same row under the present key.
    pub(super) fn renewed(&self, keys: &Keys) -> Result<Vec<u8>, StoreError> {
        self.host.mac(&self.key_sha256, keys)
    }
}

pub(super) fn words(rights: &[Right]) -> Vec<&'static str> {
    rights.iter().map(|right| right.word()).collect()
}

/// How often a change is tried that another one was faster than.
const MOST_LOSSES: usize = 8;

impl Session {
    /// The host with this key.
    pub(crate) fn host(&self, keys: &Keys, key_sha256: &[u8; 32]) -> Result<Option<Host>, StoreError> {
        const SQL: &str = concat!("SELECT ", host_columns!(), " FROM otp.host h WHERE h.key_sha256 = $1");
        let rows = self.read(SQL, &[&key_sha256.as_slice()])?;
        rows.first().map(|row| HostRow::read(row, keys).map(|row| row.host)).transpose()
    }

    /// The host with this key, and a user whom it asks about, in one round trip.
    pub(crate) fn host_asking(
        &self,
        keys: &Keys,
        key_sha256: &[u8; 32],
        user: &str,
    ) -> Result<Option<Asking>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            ", ",
            host_columns!(),
            ", s.mac AS listed FROM otp.host h LEFT JOIN otp.record r ON r.name = $2 \
             LEFT JOIN otp.scope_user s ON s.scope = h.scope AND s.name = $2 WHERE h.key_sha256 = $1"
        );
        let Some(row) = self.read(SQL, &[&key_sha256.as_slice(), &user])?.into_iter().next() else { return Ok(None) };
        let HostRow { host, .. } = HostRow::read(&row, keys)?;
        let mac: Option<Vec<u8>> = row.try_get("listed").map_err(|_| unreadable("of a scope"))?;
        let listed = InScope::of(keys, host.scope.as_deref(), user, mac.as_deref());
        Ok(Some(Asking { host, listed, row }))
    }

    /// All hosts, by name.
    pub(crate) fn hosts(&self, keys: &Keys) -> Result<Vec<Host>, StoreError> {
        const SQL: &str = concat!("SELECT ", host_columns!(), " FROM otp.host h ORDER BY h.id");
        self.read(SQL, &[])?.iter().map(|row| HostRow::read(row, keys).map(|row| row.host)).collect()
    }

    /// Whether there is a host of this name.
    pub(crate) fn has_host(&self, id: &str) -> Result<bool, StoreError> {
        let rows = self.read("SELECT EXISTS (SELECT FROM otp.host WHERE id = $1)", &[&id])?;
        rows.first().map_or(Ok(false), |row| row.try_get(0).map_err(|_| unreadable("of a host")))
    }

    /// Adds a host; `false` if there is one of this name, or with this key.
    pub(crate) fn add_host(
        &self,
        keys: &Keys,
        id: &str,
        key_sha256: &[u8; 32],
        rights: &[Right],
        scope: Option<&str>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.host (id, key_sha256, status, rights, scope, mac) \
             VALUES ($1, $2, 'active', $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        let mac = Self::mac_of_new_host(keys, id, key_sha256, rights, scope)?;
        self.changed(SQL, &[&id, &key_sha256.as_slice(), &words(rights), &scope, &mac])
    }

    /// The MAC of a host that is added.
    pub(super) fn mac_of_new_host(
        keys: &Keys,
        id: &str,
        key_sha256: &[u8; 32],
        rights: &[Right],
        scope: Option<&str>,
    ) -> Result<Vec<u8>, StoreError> {
        let row = RowOf::Host { id, key_sha256, is_active: true, rights, scope };
        keys.mac_of(&row).map_err(|error| StoreError::Unreachable(error.to_string()))
    }

    /// From its next question on, the host is refused.
    pub(crate) fn suspend(&self, keys: &Keys, id: &str) -> Result<Changed, StoreError> {
        self.change_host(keys, id, |host| Host { is_active: false, ..host })
    }

    pub(crate) fn resume(&self, keys: &Keys, id: &str) -> Result<Changed, StoreError> {
        self.change_host(keys, id, |host| Host { is_active: true, ..host })
    }

    /// What a host may do and whom it may ask about.
    pub(crate) fn set_rights(
        &self,
        keys: &Keys,
        id: &str,
        rights: &[Right],
        scope: NewScope<'_>,
    ) -> Result<Changed, StoreError> {
        self.change_host(keys, id, |host| {
            let scope = match scope {
                NewScope::Kept => host.scope,
                NewScope::AllUsers => None,
                NewScope::Of(scope) => Some(scope.to_owned()),
            };
            Host { rights: rights.to_vec(), scope, ..host }
        })
    }

    /// Writes a host again whose row a verifier has written: the new MAC vouches for its unchanged columns, too.
    fn change_host(&self, keys: &Keys, id: &str, change: impl Fn(Host) -> Host) -> Result<Changed, StoreError> {
        const READ: &str = concat!("SELECT ", host_columns!(), " FROM otp.host h WHERE h.id = $1");
        const WRITE: &str = "WITH changed AS (UPDATE otp.host SET status = $3, rights = $4, scope = $5, mac = $6 \
             WHERE id = $1 AND mac = $2 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM changed)";
        for _ in 0..MOST_LOSSES {
            let rows = self.read(READ, &[&id])?;
            let Some(row) = rows.first() else { return Ok(Changed::NoHost) };
            let HostRow { host, key_sha256, mac } = HostRow::read(row, keys)?;
            if !host.is_genuine {
                return Ok(Changed::Altered);
            }
            let host = change(host);
            let (status, new) = (if host.is_active { "active" } else { "suspended" }, host.mac(&key_sha256, keys)?);
            if self.changed(WRITE, &[&id, &mac, &status, &words(&host.rights), &host.scope, &new])? {
                return Ok(Changed::Yes);
            }
        }
        Err(StoreError::Busy)
    }

    /// The host must join again; `false` if there is none of this name.
    pub(crate) fn remove_host(&self, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.host WHERE id = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[&id])
    }

    /// A line of the audit for a row that no verifier has written, and that this host has used.
    pub(crate) fn note_altered(&self, host: &str) -> Result<(), StoreError> {
        const SQL: &str = "WITH noted AS (INSERT INTO otp.audit (name, host, event) VALUES ('*', $1, 'alarm-row-altered')) \
             SELECT current_setting('synchronous_standby_names'), true";
        self.changed(SQL, &[&host]).map(drop)
    }

    /// Whether a statement, which says so in its second column, changed anything.
    pub(super) fn changed(
        &self,
        sql: &'static str,
        values: &[crate::database::link::Value<'_>],
    ) -> Result<bool, StoreError> {
        match self.write(sql, values) {
            Ok(row) => row.try_get(1).map_err(|_| StoreError::Unreachable("its row cannot be read".into())),
            Err(Unanswered::Taken) => Ok(false),
            Err(unanswered) => Err(unanswered.into()),
        }
    }
}
