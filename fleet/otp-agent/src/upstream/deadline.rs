//! When waiting for a verifier ends.

use std::io;
use std::time::{Duration, Instant};

use crate::budgets::now;

/// The end of a time. No clock that can be set moves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        let now = now();
        Self(now.checked_add(time).unwrap_or(now))
    }

    /// After this time from an earlier moment.
    pub(crate) fn since(begin: Instant, time: Duration) -> Self {
        Self(begin.checked_add(time).unwrap_or(begin))
    }

    /// What is left; an error if nothing is.
    pub(crate) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// The same end, or one after this time if that is earlier.
    pub(crate) fn within(self, time: Duration) -> Self {
        Self(self.0.min(Self::after(time).0))
    }
}
