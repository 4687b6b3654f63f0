//! The messages of the last day: what was sent to whom, as far as limits must know it.

use otp_core::store::error::StoreError;
use otp_core::value::time::UnixTime;
use otp_messages::limits::{Sent, Wanted};

use crate::database::session::Session;

/// One message that is about to be sent.
pub(crate) struct Message<'a> {
    /// `sms` or `email`.
    pub(crate) kind: &'a str,
    pub(crate) user: &'a str,
    /// What names the number or address.
    pub(crate) destination: &'a [u8; 32],
    /// The host that asked for it.
    pub(crate) host: Option<&'a str>,
}

/// When one of the messages was sent of which this holds: after how many newer ones.
macro_rules! newest {
    ($which:literal, $after:literal) => {
        concat!(
            ", (SELECT extract(epoch FROM least(at, now()))::bigint FROM otp.message WHERE ",
            $which,
            " ORDER BY at DESC OFFSET ",
            $after,
            " LIMIT 1)"
        )
    };
}

/// All of one moment: the turn, and what decides.
const SENT: &str = concat!(
    "SELECT turn.number",
    newest!("name = $1", "0"),
    newest!("name = $1 AND kind = $2", "$5"),
    newest!("destination = $3", "$5"),
    newest!("kind = $2", "$6"),
    newest!("kind = $2", "$7"),
    newest!("host = $4 AND kind = $2", "$8"),
    newest!("host = $4 AND kind = $2", "$9"),
    " FROM otp.message_turn turn"
);

impl Session {
    /// Whose turn it is to note a message, a number that is another one after each; and what decides whether one may be sent.
    pub(crate) fn messages(&self, message: &Message<'_>, wanted: &Wanted<'_>) -> Result<(i64, Sent), StoreError> {
        let Message { kind, user, destination, host } = message;
        let after = |number: usize| i64::try_from(number.saturating_sub(1)).unwrap_or(i64::MAX);
        let (limit, hour, day) = (after(wanted.limit), after(wanted.hour), after(wanted.day));
        let (host_hour, host_day) = (after(wanted.host_hour), after(wanted.host_day));
        let destination = destination.as_slice();
        let rows = self.read(SENT, &[user, kind, &destination, host, &limit, &hour, &day, &host_hour, &host_day])?;
        let row = rows.first().ok_or_else(|| StoreError::Unreachable("otp.message_turn has no row".into()))?;
        let at = |column: usize| {
            let at: Option<i64> = row.try_get(column)?;
            Ok(at.map(|at| UnixTime(u64::try_from(at).unwrap_or_default())))
        };
        let read = || {
            let sent = Sent {
                to_user: at(1)?,
                to_user_of_kind: at(2)?,
                to_destination: at(3)?,
                in_hour: at(4)?,
                in_day: at(5)?,
                of_host_in_hour: at(6)?,
                of_host_in_day: at(7)?,
            };
            Ok((row.try_get(0)?, sent))
        };
        read().map_err(|_: tokio_postgres::Error| StoreError::Unreachable("a row cannot be read".into()))
    }

    /// Notes a message, if no other one was noted since the turn was read. Removes those that are older than a day.
    pub(crate) fn note_message(&self, turn: i64, message: &Message<'_>) -> Result<bool, StoreError> {
        const SQL: &str = "WITH mine AS (UPDATE otp.message_turn SET number = number + 1 WHERE number = $1 RETURNING 1), \
             gone AS (DELETE FROM otp.message WHERE at < clock_timestamp() - interval '1 day'), \
             noted AS (INSERT INTO otp.message (kind, name, destination, host) \
             SELECT $2::text, $3::text, $4::bytea, $5::text FROM mine RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM noted)";
        let Message { kind, user, destination, host } = message;
        self.changed(SQL, &[&turn, kind, user, &destination.as_slice(), host])
    }
}
