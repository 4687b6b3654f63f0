//! When devices of a user were taken away last. A record that is gone has no number that tells it from none before.

use otp_core::store::error::StoreError;

use crate::database::session::Session;

/// Notes that it is now, for each row of a part of a statement with the user's name as its first value. Rows of before yesterday go:
/// no enrollment takes so long.
macro_rules! reset {
    (from $from:literal) => {
        concat!(
            "ended AS (DELETE FROM otp.reset WHERE at < clock_timestamp() - interval '1 day' AND name <> $1), \
             reset AS (INSERT INTO otp.reset (name) SELECT $1 FROM ",
            $from,
            " ON CONFLICT (name) DO UPDATE SET at = clock_timestamp() RETURNING 1"
        )
    };
}
pub(crate) use reset;

/// What tells the last one from those before, by one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastReset(i64);

impl LastReset {
    /// The text before which this stands on a line of its own.
    pub(crate) fn before(self, text: &str) -> zeroize::Zeroizing<String> {
        let mut all = zeroize::Zeroizing::new(String::with_capacity(text.len().saturating_add(24)));
        all.push_str(&self.0.to_string());
        all.push('\n');
        all.push_str(text);
        all
    }

    /// What stands before a text, and the text.
    pub(crate) fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (number, rest) = text.split_at_checked(end)?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some((Self(number), rest.get(1..)?))
    }
}

impl Session {
    pub(crate) fn last_reset(&self, user: &str) -> Result<LastReset, StoreError> {
        const SQL: &str = "SELECT (extract(epoch FROM at) * 1000000)::bigint FROM otp.reset WHERE name = $1";
        let rows = self.read(SQL, &[&user])?;
        let at = rows.first().map(|row| row.try_get(0)).transpose();
        let at = at.map_err(|_| StoreError::Unreachable("a row cannot be read".into()))?;
        Ok(LastReset(at.unwrap_or_default()))
    }
}
