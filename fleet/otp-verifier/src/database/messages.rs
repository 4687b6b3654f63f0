//! The messages of the last day: what was sent to whom, as far as limits must know it.

use otp_core::store::error::StoreError;
use otp_core::value::time::UnixTime;
use otp_messages::limits::Of;

use crate::database::link::Value;
use crate::database::session::Session;

/// One message that is about to be sent.
pub(crate) struct Message<'a> {
    /// `sms` or `email`.
    pub(crate) kind: &'a str,
    pub(crate) user: &'a str,
    /// What names the number or address.
    pub(crate) destination: &'a [u8; 32],
}

const NEWEST_OF_USER: &str = "SELECT extract(epoch FROM least(at, now()))::bigint FROM otp.message WHERE name = $1 ORDER BY at DESC OFFSET $2 LIMIT 1";
const NEWEST_OF_USER_AND_KIND: &str = "SELECT extract(epoch FROM least(at, now()))::bigint FROM otp.message \
     WHERE name = $1 AND kind = $3 ORDER BY at DESC OFFSET $2 LIMIT 1";
const NEWEST_OF_DESTINATION: &str = "SELECT extract(epoch FROM least(at, now()))::bigint FROM otp.message WHERE destination = $1 ORDER BY at DESC OFFSET $2 LIMIT 1";
const NEWEST_OF_KIND: &str = "SELECT extract(epoch FROM least(at, now()))::bigint FROM otp.message WHERE kind = $1 ORDER BY at DESC OFFSET $2 LIMIT 1";

impl Session {
    /// Whose turn it is to note a message: a number that is another one after each.
    pub(crate) fn message_turn(&self) -> Result<i64, StoreError> {
        let rows = self.read("SELECT number FROM otp.message_turn", &[])?;
        let number = rows.first().and_then(|row| row.try_get(0).ok());
        number.ok_or_else(|| StoreError::Unreachable("otp.message_turn has no row".into()))
    }

    /// When the newest of these messages was sent (1), or the one before it (2), and so on.
    pub(crate) fn newest_message(
        &self,
        of: Of<'_>,
        destination: &[u8; 32],
        number: usize,
    ) -> Result<Option<UnixTime>, StoreError> {
        let before = i64::try_from(number.saturating_sub(1)).unwrap_or(i64::MAX);
        let (destination, kind) = (
            destination.as_slice(),
            match of {
                Of::User(_) | Of::Destination(_) => "",
                Of::UserAndKind(_, kind) | Of::Kind(kind) => kind.word(),
            },
        );
        let (sql, values): (_, Vec<Value<'_>>) = match &of {
            Of::User(user) => (NEWEST_OF_USER, vec![user, &before]),
            Of::UserAndKind(user, _) => (NEWEST_OF_USER_AND_KIND, vec![user, &before, &kind]),
            Of::Destination(_) => (NEWEST_OF_DESTINATION, vec![&destination, &before]),
            Of::Kind(_) => (NEWEST_OF_KIND, vec![&kind, &before]),
        };
        let rows = self.read(sql, &values)?;
        let unreadable = |_| StoreError::Unreachable("a row cannot be read".into());
        let at: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose().map_err(unreadable)?;
        Ok(at.map(|at| UnixTime(u64::try_from(at).unwrap_or_default())))
    }

    /// Notes a message, if nobody else has noted one since the turn was read. Forgets those that are older than a day.
    pub(crate) fn note_message(&self, turn: i64, message: &Message<'_>) -> Result<bool, StoreError> {
        const SQL: &str = "WITH mine AS (UPDATE otp.message_turn SET number = number + 1 WHERE number = $1 RETURNING 1), \
             gone AS (DELETE FROM otp.message WHERE at < clock_timestamp() - interval '1 day'), \
             noted AS (INSERT INTO otp.message (kind, name, destination) SELECT $2::text, $3::text, $4::bytea FROM mine RETURNING 1) \
             SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM noted)";
        self.changed(SQL, &[&turn, &message.kind, &message.user, &message.destination.as_slice()])
    }
}
