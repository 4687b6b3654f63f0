//! The hosts of the fleet, what each may do, whom it may ask about, and the tokens by which hosts join.

use tokio_postgres::Row;

use otp_core::store::error::StoreError;
use otp_core::value::user::UserName;

use crate::database::session::{Session, Unanswered};

/// The columns of a record `r`, in the order in which the store reads them.
macro_rules! columns {
    () => {
        "r.version, r.sealed, r.state, r.request, r.host, r.event, r.answer, \
         coalesce(r.answered BETWEEN clock_timestamp() - interval '10 s' AND clock_timestamp() + interval '10 s', false)"
    };
}
pub(crate) use columns;

/// What a host may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Outline, challenge, verify, let-in.
    Login,
    /// Self service.
    Enroll,
    /// Records of its own move to the fleet.
    Import,
    /// Records of the fleet move to the host, with their seeds. Not in `admin`, which never shows a seed.
    Export,
    /// Administration of all users.
    Admin,
}

/// A host of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub id: String,
    pub is_active: bool,
    pub rights: Vec<Right>,
    /// The list of users that it may ask about; `None` for every user.
    pub scope: Option<String>,
}

/// A host that asks about a user.
pub(crate) struct Asking {
    pub host: Host,
    /// Whether it may ask about this user.
    pub is_in_scope: bool,
    /// The user's record, or that there is none, as the store reads it.
    pub row: Row,
}

/// How a host joins.
pub(crate) struct Joining<'a> {
    /// SHA-256 of the token: the token itself is nowhere but in its file.
    pub token: &'a [u8; 32],
    pub id: &'a str,
    /// SHA-256 of its key (SubjectPublicKeyInfo).
    pub key: &'a [u8; 32],
}

/// What becomes of a host that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Yes(Host),
    /// There is no such token, it has ended, or another host used it.
    NoToken,
    /// There is a host of this name, or with this key.
    Taken,
}

impl Right {
    pub(crate) const ALL: [Self; 5] = [Self::Login, Self::Enroll, Self::Import, Self::Export, Self::Admin];

    /// The word in tables, arguments and messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Enroll => "enroll",
            Self::Import => "import",
            Self::Export => "export",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.word() == word)
    }
}

impl Host {
    pub(crate) fn may(&self, right: Right) -> bool {
        self.is_active && self.rights.contains(&right)
    }

    /// `None` for a row that this program would not write.
    fn of(row: &Row) -> Option<Self> {
        let words: Vec<String> = row.try_get("rights").ok()?;
        let is_active = match row.try_get("status").ok()? {
            "active" => true,
            "suspended" => false,
            _ => return None,
        };
        let rights: Option<Vec<_>> = words.iter().map(|word| Right::parse(word)).collect();
        Some(Self { id: row.try_get("id").ok()?, is_active, rights: rights?, scope: row.try_get("scope").ok()? })
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Self::of(row).ok_or_else(|| StoreError::Unreachable("the row of a host cannot be read".into()))
    }
}

fn unreadable(_: tokio_postgres::Error) -> StoreError {
    StoreError::Unreachable("a row cannot be read".into())
}

fn words(rights: &[Right]) -> Vec<&'static str> {
    rights.iter().map(|right| right.word()).collect()
}

impl Session {
    /// The host with this key.
    pub(crate) fn host(&self, key_sha256: &[u8; 32]) -> Result<Option<Host>, StoreError> {
        const SQL: &str = "SELECT id, status, rights, scope FROM otp.host WHERE key_sha256 = $1";
        self.read(SQL, &[&key_sha256.as_slice()])?.first().map(Host::read).transpose()
    }

    /// The host with this key, and a user whom it asks about, in one round trip.
    pub(crate) fn host_asking(&self, key_sha256: &[u8; 32], user: &str) -> Result<Option<Asking>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            ", h.id, h.status, h.rights, h.scope, h.scope IS NULL \
             OR EXISTS (SELECT FROM otp.scope_user s WHERE s.scope = h.scope AND s.name = $2) AS may \
             FROM otp.host h LEFT JOIN otp.record r ON r.name = $2 WHERE h.key_sha256 = $1"
        );
        let Some(row) = self.read(SQL, &[&key_sha256.as_slice(), &user])?.into_iter().next() else { return Ok(None) };
        let may = row.try_get("may").map_err(|_| StoreError::Unreachable("the row of a host cannot be read".into()))?;
        Ok(Some(Asking { host: Host::read(&row)?, is_in_scope: may, row }))
    }

    /// All hosts, by name.
    pub(crate) fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        const SQL: &str = "SELECT id, status, rights, scope FROM otp.host ORDER BY id";
        self.read(SQL, &[])?.iter().map(Host::read).collect()
    }

    /// Adds a host; `false` if there is one of this name, or with this key.
    pub(crate) fn add_host(
        &self,
        id: &str,
        key_sha256: &[u8; 32],
        rights: &[Right],
        scope: Option<&str>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.host (id, key_sha256, status, rights, scope) \
             VALUES ($1, $2, 'active', $3, $4) ON CONFLICT DO NOTHING RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        self.changed(SQL, &[&id, &key_sha256.as_slice(), &words(rights), &scope])
    }

    /// From its next question on, the host is refused; `false` if there is none of this name.
    pub(crate) fn suspend(&self, id: &str) -> Result<bool, StoreError> {
        self.set_status(id, "suspended")
    }

    pub(crate) fn resume(&self, id: &str) -> Result<bool, StoreError> {
        self.set_status(id, "active")
    }

    /// The host must join again; `false` if there is none of this name.
    pub(crate) fn remove_host(&self, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.host WHERE id = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[&id])
    }

    fn set_status(&self, id: &str, status: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH changed AS (UPDATE otp.host SET status = $2 WHERE id = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM changed)";
        self.changed(SQL, &[&id, &status])
    }

    /// What a host may do and whom it may ask about; `false` if there is none of this name.
    pub(crate) fn set_rights(&self, id: &str, rights: &[Right], scope: Option<&str>) -> Result<bool, StoreError> {
        const SQL: &str = "WITH changed AS (UPDATE otp.host SET rights = $2, scope = $3 WHERE id = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM changed)";
        self.changed(SQL, &[&id, &words(rights), &scope])
    }

    /// Whether a host may ask about a user. A scope that lists nobody is nobody.
    pub(crate) fn is_in_scope(&self, host: &Host, user: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT FROM otp.scope_user WHERE scope = $1 AND name = $2";
        let Some(scope) = &host.scope else { return Ok(true) };
        Ok(!self.read(SQL, &[scope, &user])?.is_empty())
    }

    /// Lists a user in a scope; `false` if it was listed.
    pub(crate) fn add_to_scope(&self, scope: &str, user: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.scope_user VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        self.changed(SQL, &[&scope, &user])
    }

    /// Takes a user out of a scope; `false` if it was not listed.
    pub(crate) fn remove_from_scope(&self, scope: &str, user: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.scope_user WHERE scope = $1 AND name = $2 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[&scope, &user])
    }

    /// A token with which one host joins within so many seconds.
    pub(crate) fn add_token(
        &self,
        hash: &[u8; 32],
        rights: &[Right],
        scope: Option<&str>,
        seconds: u32,
    ) -> Result<(), StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.join_token (hash, rights, scope, expires) \
             VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        self.changed(SQL, &[&hash.as_slice(), &words(rights), &scope, &f64::from(seconds)]).map(|_| ())
    }

    /// Uses a token and adds its host, both or neither. A host that got no answer uses it again, with the key that it had.
    pub(crate) fn use_token(&self, joining: &Joining<'_>) -> Result<Joined, StoreError> {
        const SQL: &str = "WITH used AS (UPDATE otp.join_token SET used_by = $2 \
             WHERE hash = $1 AND used_by IS NULL AND expires > clock_timestamp() RETURNING rights, scope), \
             added AS (INSERT INTO otp.host (id, key_sha256, status, rights, scope) \
             SELECT $2, $3, 'active', rights, scope FROM used RETURNING id, status, rights, scope), \
             again AS (SELECT h.id, h.status, h.rights, h.scope FROM otp.host h JOIN otp.join_token t ON t.used_by = h.id \
             WHERE t.hash = $1 AND t.expires > clock_timestamp() AND h.id = $2 AND h.key_sha256 = $3), \
             joined AS (SELECT * FROM added UNION ALL SELECT * FROM again) \
             SELECT current_setting('synchronous_standby_names'), j.* FROM (SELECT 1) one LEFT JOIN joined j ON true";
        let Joining { token, id, key } = joining;
        let row = match self.write(SQL, &[&token.as_slice(), id, &key.as_slice()]) {
            Ok(row) => row,
            Err(Unanswered::Taken) => return Ok(Joined::Taken),
            Err(unanswered) => return Err(unanswered.into()),
        };
        match row.try_get::<_, Option<&str>>("id") {
            Ok(None) => Ok(Joined::NoToken),
            Ok(Some(_)) | Err(_) => Host::read(&row).map(Joined::Yes),
        }
    }

    /// No record is on its way to a host any more.
    pub(crate) fn forget_moving(&self) -> Result<(), StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.moving RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        self.changed(SQL, &[]).map(drop)
    }

    /// All users with a record, in the order of their names. A row whose name is none is passed over.
    pub(crate) fn each_user<E: From<StoreError>>(
        &self,
        mut act: impl FnMut(UserName) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last = String::new();
        loop {
            let names = self.names_after(&last)?;
            let Some(name) = names.last() else { return Ok(()) };
            last.clone_from(name);
            names.iter().filter_map(|name| UserName::parse(name)).try_for_each(&mut act)?;
        }
    }

    /// Users for whom a host has sent wrong codes, those after this one.
    pub(crate) fn tried_by(&self, host: &str, last: &str) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT otp.tried_by($1, $2)";
        self.read(SQL, &[&host, &last])?.iter().map(|row| row.try_get(0).map_err(unreadable)).collect()
    }

    /// How many of the last wrong codes for a user a host has sent.
    pub(crate) fn wrong_codes_of(&self, host: &str, user: &str, last: i64) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT otp.wrong_codes_of($1, $2, $3)";
        let rows = self.read(SQL, &[&host, &user, &last])?;
        rows.first().map_or(Ok(0), |row| row.try_get(0).map_err(unreadable))
    }

    /// Some names, those after this one.
    pub(crate) fn names_after(&self, last: &str) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT name FROM otp.record WHERE name > $1 ORDER BY name LIMIT 100";
        self.read(SQL, &[&last])?.iter().map(|row| row.try_get(0).map_err(unreadable)).collect()
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
