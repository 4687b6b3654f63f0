//! How often each PIN was tried. Not in what a user carries from step to step, who could go back to the text of before.

use tokio_postgres::Row;

use otp_core::decision::pin::PinId;
use otp_core::store::error::StoreError;
use otp_core::value::time::UnixTime;

use crate::database::session::Session;

fn number(row: &Row, column: usize) -> Result<u8, StoreError> {
    let tries: Option<u8> = row.try_get::<_, i16>(column).ok().and_then(|tries| u8::try_from(tries).ok());
    tries.ok_or_else(|| StoreError::Unconfirmed("its row cannot be read".into()))
}

impl Session {
    /// Counts a try of a PIN and returns how many there are with this one. It is durable before the PIN is compared, on whichever
    /// verifier. A PIN that has ended is forgotten an hour later, which no clock of a verifier is wrong by.
    pub(crate) fn count_try(&self, pin: PinId, until: UnixTime) -> Result<u8, StoreError> {
        const SQL: &str = "WITH gone AS (DELETE FROM otp.pin_try WHERE ends < clock_timestamp() AND pin <> $1), \
             tried AS (INSERT INTO otp.pin_try (pin, tries, ends) VALUES ($1, 1, to_timestamp($2) + interval '1 hour') \
             ON CONFLICT (pin) DO UPDATE SET tries = least(pin_try.tries + 1, 100) RETURNING tries) \
             SELECT current_setting('synchronous_standby_names'), (SELECT tries FROM tried)";
        let seconds = u32::try_from(until.0).map(f64::from).unwrap_or(f64::from(u32::MAX));
        let row = self.write(SQL, &[&pin.0.as_slice(), &seconds])?;
        number(&row, 1)
    }

    /// How often a PIN was tried.
    pub(crate) fn tries(&self, pin: PinId) -> Result<u8, StoreError> {
        let rows = self.read("SELECT tries FROM otp.pin_try WHERE pin = $1", &[&pin.0.as_slice()])?;
        rows.first().map_or(Ok(0), |row| number(row, 0))
    }
}
