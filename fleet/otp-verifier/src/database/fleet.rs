//! Which fleet the database belongs to: the key that seals its records, and the authority that its hosts trust.
//!
//! A verifier with other keys opens no record, and seals records that no other verifier opens. So it does not serve.

use otp_core::record::seal::KeyId;
use otp_core::store::error::StoreError;
use tokio_postgres::Row;

use crate::database::session::Session;
use crate::keys::Keys;

/// What the database says about its fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FleetRow {
    /// The key that seals on all verifiers.
    pub key: KeyId,
    /// What names the key of the authority.
    pub authority: [u8; 32],
}

/// Why a verifier with these keys does not serve this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// `otp-verifier init` was not run.
    NoFleet,
    /// The records are sealed under this key, which is not among those of the verifier.
    Key(KeyId),
}

pub(super) const ROW: &str = "SELECT key, authority FROM otp.fleet";

/// All keys that something in the database is under.
const KEYS: &str = "SELECT substr(sealed, 2, 4) FROM otp.record UNION SELECT substr(sealed, 2, 4) FROM otp.moving \
     UNION SELECT substr(mac, 2, 4) FROM otp.host UNION SELECT substr(mac, 2, 4) FROM otp.scope_user";

impl FleetRow {
    pub(super) fn of(rows: &[Row]) -> Option<Self> {
        let row = rows.first()?;
        let key = KeyId(row.try_get::<_, &[u8]>(0).ok()?.try_into().ok()?);
        Some(Self { key, authority: row.try_get::<_, &[u8]>(1).ok()?.try_into().ok()? })
    }
}

/// Why these keys are not those of the fleet; `None` if they are.
pub(crate) fn foreign(fleet: Option<FleetRow>, keys: &Keys) -> Option<Foreign> {
    match fleet {
        None => Some(Foreign::NoFleet),
        Some(FleetRow { key, .. }) => (!keys.ids().contains(&key)).then_some(Foreign::Key(key)),
    }
}

impl Foreign {
    pub(crate) fn text(self) -> String {
        match self {
            Self::NoFleet => "the database has no fleet yet".to_owned(),
            Self::Key(key) => {
                format!("the keys of this verifier are not those of the fleet: its records are sealed under {key}")
            }
        }
    }

    /// What to do next.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::NoFleet => "run otp-verifier init",
            Self::Key(_) => COPY,
        }
    }
}

/// Where keys and authority come from.
pub(crate) const COPY: &str = "copy keys, authority.pem and authority.key to /etc/otp-verifier from another verifier of this fleet, or from \
     the copy that is kept apart from backups of the database, and run it again";

impl Session {
    /// What the database says about its fleet; `None` before `otp-verifier init`.
    pub(crate) fn fleet(&self) -> Result<Option<FleetRow>, StoreError> {
        Ok(FleetRow::of(&self.read(ROW, &[])?))
    }

    /// Whether there are tables.
    pub(crate) fn has_tables(&self) -> Result<bool, StoreError> {
        let rows = self.read("SELECT to_regclass('otp.fleet') IS NOT NULL", &[])?;
        Ok(rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)))
    }

    /// The keys that something in the database is under.
    pub(crate) fn keys_in_use(&self) -> Result<Vec<KeyId>, StoreError> {
        let id = |row: &Row| Some(KeyId(row.try_get::<_, &[u8]>(0).ok()?.try_into().ok()?));
        Ok(self.read(KEYS, &[])?.iter().filter_map(id).collect())
    }

    /// Notes whose database this is, as its owner. One that is noted stays.
    pub(crate) fn note_fleet(&self, fleet: &FleetRow) -> Result<(), StoreError> {
        const SQL: &str = "WITH new AS (INSERT INTO otp.fleet (key, authority) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM new)";
        self.write(SQL, &[&fleet.key.0.as_slice(), &fleet.authority.as_slice()])?;
        Ok(())
    }

    /// This key seals from now on: a verifier that does not have it stops serving.
    pub(crate) fn seals_under(&self, key: KeyId) -> Result<(), StoreError> {
        const SQL: &str = "WITH new AS (UPDATE otp.fleet SET key = $1 RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM new)";
        self.write(SQL, &[&key.0.as_slice()])?;
        Ok(())
    }
}
