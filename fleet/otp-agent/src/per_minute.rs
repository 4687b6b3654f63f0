//! How often something came within a minute, by who is counted as one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::budgets::now;

const MINUTE: Duration = Duration::from_secs(60);

/// A minute begins with what comes first.
pub(crate) struct PerMinute<K>(Mutex<HashMap<K, Counted>>);

struct Counted {
    since: Instant,
    times: usize,
}

impl<K> Default for PerMinute<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> PerMinute<K> {
    /// Counts one more, and returns how many came within this minute.
    pub(crate) fn count(&self, of: K) -> usize {
        // No thread panics while it holds this.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, counted| counted.since.elapsed() < MINUTE);
        let counted = all.entry(of).or_insert_with(|| Counted { since: now(), times: 0 });
        counted.times = counted.times.saturating_add(1);
        counted.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_apart_and_what_came_before_the_minute_is_not() {
        let counts = PerMinute::default();
        assert_eq!([1, 1, 2].map(|of| counts.count(of)), [1, 2, 1]);
        counts.0.lock().unwrap().get_mut(&1).unwrap().since = now().checked_sub(MINUTE).unwrap();
        assert_eq!([1, 2].map(|of| counts.count(of)), [1, 2]);
    }
}
