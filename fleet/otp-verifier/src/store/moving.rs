//! A record on its way: to a host, for which it is swapped for another one in the same statement and kept until the host has it; or
//! to another name.

use otp_core::record::Record;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::error::RecordError;
use otp_core::store::Swap;
use otp_core::store::error::StoreError;
use otp_core::store::note::Note;
use otp_core::value::user::{Account, UserName};

use crate::database::session::Value;
use crate::signed_state::Signed;

use super::{ARRIVED, DEPART, NOTHING, PgStore, RENAME, Version, What, of_record};

/// Who asks a second time gets the same again. It is gone once the fleet has another device of the user, or no record.
const MOVING: &str = "SELECT sealed, state FROM otp.moving WHERE name = $1 AND host = $2";

/// A record that goes to another name.
pub(crate) struct Given<'a> {
    pub to: &'a Account,
    pub given: &'a Record,
    /// The version of the record that it takes the place of.
    pub in_place_of: Option<&'a Version>,
    /// What stays under the present name.
    pub left: &'a Record,
}

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
        let state = self.text_of(account, &left.state, version.number.saturating_add(1), None)?;
        self.write(
            DEPART,
            account,
            note,
            What { values: 11, number: version.number, state: &state, last: &sealed, ..NOTHING },
        )
    }

    /// Puts the record that was loaded under another name, and something else under the present one, both or neither.
    pub(crate) fn give(
        &self,
        former: &Account,
        version: &Version,
        Given { to, given, in_place_of, left }: &Given<'_>,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        let next = version.number.saturating_add(1);
        let present = in_place_of.map_or(0, |present| present.number);
        let number = next.max(present.saturating_add(1));
        let (sealed, sealed_left) = (self.sealed(to, &given.credentials)?, self.sealed(former, &left.credentials)?);
        let state = self.text_of(to, &given.state, number, None)?;
        let state_left = self.text_of(former, &left.state, next, None)?;
        let name = to.name.as_str();
        let beyond: [Value<'_>; 5] = [&name, &number, &state, &sealed, &present];
        let what = What { values: 11, number: version.number, state: &state_left, last: &sealed_left, beyond: &beyond };
        self.write(RENAME, former, note, what)
    }

    /// Whether a record of one of these names is on its way to a host.
    pub(crate) fn is_moving(&self, [one, other]: [&UserName; 2]) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT FROM otp.moving WHERE name IN ($1, $2)";
        Ok(!self.session.read(SQL, &[&one.as_str(), &other.as_str()])?.is_empty())
    }

    /// The record that is kept for this host.
    pub(crate) fn moving(&self, account: &Account, host: &str) -> Result<Option<Record>, StoreError> {
        let rows = self.session.read(MOVING, &[&account.name.as_str(), &host])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let unreadable = |_| of_record(account, RecordError::Malformed("its row has other columns".into()));
        let (sealed, state): (&[u8], &str) = (row.try_get(0).map_err(unreadable)?, row.try_get(1).map_err(unreadable)?);
        let read = || -> Result<Record, RecordError> {
            let text = self.keys.open(&account.name, sealed).map_err(RecordError::Sealed)?;
            Record::of_texts(&text, Signed::read(self.keys, &account.name, state)?.state, ReadContext::of(account))
        };
        read().map(Some).map_err(|error| of_record(account, error))
    }

    /// The host has it: no copy is kept. Whether there was one.
    pub(crate) fn arrived(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError> {
        Ok(self.write(ARRIVED, account, note, NOTHING)? == Swap::Done)
    }
}
