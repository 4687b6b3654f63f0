//! A record on its way: to a host, for which it is swapped for another one in the same statement and kept until the host has it; or
//! to another name.

use otp_core::record::Record;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::error::RecordError;
use otp_core::store::Swap;
use otp_core::store::error::StoreError;
use otp_core::store::note::Note;
use otp_core::value::user::Account;

use super::{ARRIVED, DEPART, NOTHING, PgStore, RENAME, Version, What, of_record};

/// Who asks a second time gets the same again. It is gone once the fleet has another device of the user, or no record.
const MOVING: &str = "SELECT sealed, state FROM otp.moving WHERE name = $1 AND host = $2";

impl PgStore<'_> {
    /// Puts another record in the place of the one that was loaded, which is kept for the host that asks.
    pub(crate) fn depart(
        &self,
        account: &Account,
        version: &Version,
        left: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        let sealed = self.sealed(account, &left.credentials)?;
        let state = Self::text_of(account, &left.state, version.number.saturating_add(1))?;
        self.write(
            DEPART,
            account,
            note,
            What { values: 11, number: version.number, state: &state, last: &sealed, ..NOTHING },
        )
    }

    /// Puts the record that was loaded under another name, as this one.
    pub(crate) fn give(
        &self,
        former: &Account,
        version: &Version,
        account: &Account,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        let sealed = self.sealed(account, &record.credentials)?;
        let state = Self::text_of(account, &record.state, version.number.saturating_add(1))?;
        let name = account.name.as_str();
        let what = What { values: 12, number: version.number, state: &state, last: &sealed, beyond: &name };
        self.write(RENAME, former, note, what)
    }

    /// The record that is kept for this host.
    pub(crate) fn moving(&self, account: &Account, host: &str) -> Result<Option<Record>, StoreError> {
        let rows = self.session.read(MOVING, &[&account.name.as_str(), &host])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let unreadable = |_| of_record(account, RecordError::Malformed("its row has other columns".into()));
        let (sealed, state): (&[u8], &str) = (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
        let read = || -> Result<Record, RecordError> {
            let text = self.keys.open(&account.name, sealed).map_err(RecordError::Sealed)?;
            Record::of_texts(&text, state, ReadContext::of(account))
        };
        read().map(Some).map_err(|error| of_record(account, error))
    }

    /// The host has it: no copy is kept. Whether there was one.
    pub(crate) fn arrived(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError> {
        Ok(self.write(ARRIVED, account, note, NOTHING)? == Swap::Done)
    }
}
