//! How many messages are on their way at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More are refused: one that waited for ten seconds would be answered when the agent has gone.
const MOST: usize = 16;

#[derive(Default)]
pub(crate) struct Places(AtomicUsize);

/// A place, free again when this is gone.
pub(crate) struct Place(Arc<Places>);

impl Places {
    /// `None` if all are taken.
    pub(crate) fn take(places: &Arc<Self>) -> Option<Place> {
        let more = |taken: usize| taken.checked_add(1).filter(|taken| *taken <= MOST);
        places.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(places)))
    }

    pub(crate) fn are_free(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_and_each_is_free_again() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<_> = (0..MOST).map(|_| Places::take(&places).unwrap()).collect();
        assert!(Places::take(&places).is_none() && !places.are_free());
        taken.pop();
        assert!(Places::take(&places).is_some());
        drop(taken);
        assert!(places.are_free());
    }
}
