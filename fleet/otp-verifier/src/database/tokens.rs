//! The tokens by which hosts join. One that no verifier has made is none.

use otp_core::store::error::StoreError;
use otp_core::value::time::UnixTime;

use crate::database::hosts::{Host, words};
use crate::database::session::{Session, Unanswered, unreadable};
use crate::keys::Keys;
use crate::right::Right;
use crate::row_mac::RowOf;

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
    /// No verifier has written the row of the token, or that of the host that has used it.
    Altered,
    /// There is a host of this name, or with this key.
    Taken,
}

/// A token as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// SHA-256 of the token, in hexadecimal: its name, since the token itself is not stored.
    pub id: String,
    /// Whether a verifier has made it. One that was not made by one lets no host join.
    pub is_genuine: bool,
    pub rights: Vec<Right>,
    pub scope: Option<String>,
    pub expires: UnixTime,
    pub used_by: Option<String>,
}

/// A row of a token.
pub(super) struct TokenRow {
    pub(super) hash: Vec<u8>,
    rights: Vec<Right>,
    scope: Option<String>,
    expires: i64,
    pub(super) mac: Vec<u8>,
    used_by: Option<String>,
}

/// The columns of a token `t`.
macro_rules! token_columns {
    () => {
        "t.hash, t.rights, t.scope, t.expires, t.mac, t.used_by"
    };
}
pub(super) use token_columns;

impl TokenRow {
    pub(super) fn read(row: &tokio_postgres::Row) -> Result<Self, StoreError> {
        let read = || {
            let words: Vec<String> = row.try_get(1).ok()?;
            Some(Self {
                hash: row.try_get(0).ok()?,
                rights: words.iter().map(|word| Right::parse(word)).collect::<Option<_>>()?,
                scope: row.try_get(2).ok()?,
                expires: row.try_get(3).ok()?,
                mac: row.try_get(4).ok()?,
                used_by: row.try_get(5).ok()?,
            })
        };
        read().ok_or_else(|| unreadable("of a token"))
    }

    pub(super) fn what(&self) -> RowOf<'_> {
        let Self { hash, rights, scope, expires, .. } = self;
        RowOf::JoinToken { hash, rights, scope: scope.as_deref(), expires: *expires }
    }

    fn has_ended(&self) -> bool {
        u64::try_from(self.expires).map_or(true, |expires| UnixTime(expires) <= UnixTime::now())
    }
}

impl Session {
    /// A token with which one host joins within so many seconds.
    pub(crate) fn add_token(
        &self,
        keys: &Keys,
        hash: &[u8; 32],
        rights: &[Right],
        scope: Option<&str>,
        seconds: u32,
    ) -> Result<(), StoreError> {
        const SQL: &str = "WITH added AS (INSERT INTO otp.join_token (hash, rights, scope, expires, mac) \
             VALUES ($1, $2, $3, $4, $5) RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        let expires = UnixTime::now().0.saturating_add(u64::from(seconds));
        let expires = i64::try_from(expires).unwrap_or(i64::MAX);
        let mac = keys.mac_of(&RowOf::JoinToken { hash, rights, scope, expires });
        let mac = mac.map_err(|error| StoreError::Unreachable(error.to_string()))?;
        self.changed(SQL, &[&hash.as_slice(), &words(rights), &scope, &expires, &mac]).map(drop)
    }

    /// All tokens, those that end first in front.
    pub(crate) fn tokens(&self, keys: &Keys) -> Result<Vec<Known>, StoreError> {
        const SQL: &str = concat!("SELECT ", token_columns!(), " FROM otp.join_token t ORDER BY t.expires, t.hash");
        let known = |row: &tokio_postgres::Row| {
            let row = TokenRow::read(row)?;
            Ok(Known {
                id: base16ct::lower::encode_string(&row.hash),
                is_genuine: keys.is_genuine(&row.what(), &row.mac),
                expires: UnixTime(u64::try_from(row.expires).unwrap_or_default()),
                rights: row.rights,
                scope: row.scope,
                used_by: row.used_by,
            })
        };
        self.read(SQL, &[])?.iter().map(known).collect()
    }

    /// Whether there was a token of this id. A host that joined by it stays.
    pub(crate) fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.join_token WHERE hash = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM gone)";
        let mut hash = [0; 32];
        match base16ct::mixed::decode(id, &mut hash) {
            Ok(hash) => self.changed(SQL, &[&hash]),
            Err(_) => Ok(false),
        }
    }

    /// Uses a token and adds its host, both or neither. A host that got no answer uses it again, with the key that it had.
    pub(crate) fn use_token(&self, keys: &Keys, joining: &Joining<'_>) -> Result<Joined, StoreError> {
        const READ: &str = concat!("SELECT ", token_columns!(), " FROM otp.join_token t WHERE t.hash = $1");
        const WRITE: &str = "WITH used AS (UPDATE otp.join_token SET used_by = $3 \
             WHERE hash = $1 AND mac = $2 AND used_by IS NULL RETURNING 1), \
             added AS (INSERT INTO otp.host (id, key_sha256, status, rights, scope, mac) \
             SELECT $3, $4, 'active', $5, $6, $7 FROM used RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM added)";
        let Joining { token, id, key } = joining;
        // Twice: another connection may have used it in between.
        for _ in 0..2 {
            let rows = self.read(READ, &[&token.as_slice()])?;
            let Some(row) = rows.first().map(TokenRow::read).transpose()? else { return Ok(Joined::NoToken) };
            if !keys.is_genuine(&row.what(), &row.mac) {
                return Ok(Joined::Altered);
            }
            if row.has_ended() {
                return Ok(Joined::NoToken);
            }
            if let Some(used_by) = &row.used_by {
                let host = self.host(keys, key)?.filter(|host| host.id == *id && used_by == id);
                return Ok(host.map_or(Joined::NoToken, |host| {
                    if host.is_genuine { Joined::Yes(host) } else { Joined::Altered }
                }));
            }
            let TokenRow { rights, scope, mac, .. } = row;
            let mac_of_host = Self::mac_of_new_host(keys, id, key, &rights, scope.as_deref())?;
            let (key, token) = (key.as_slice(), token.as_slice());
            match self.write(WRITE, &[&token, &mac, id, &key, &words(&rights), &scope, &mac_of_host]) {
                Ok(row) if row.try_get(1).unwrap_or(false) => {
                    let (id, is_active, is_genuine) = ((*id).to_owned(), true, true);
                    return Ok(Joined::Yes(Host { id, is_active, is_genuine, rights, scope }));
                }
                Ok(_) => {}
                Err(Unanswered::Taken) => return Ok(Joined::Taken),
                Err(unanswered) => return Err(unanswered.into()),
            }
        }
        Ok(Joined::NoToken)
    }
}
