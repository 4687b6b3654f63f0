//! How many questions of a service about one user are answered at a time.
//!
//! A process of a user can hold the lock of that user's record, for as long as the agent's patience lasts. Questions about
//! this user then take long, and must not take all the service's places and wrong codes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Far more than one user logs in at a time, and far fewer than a service has places.
const MOST: usize = 8;

/// Questions under way, by the user id of the service and the user that they are about.
#[derive(Default)]
pub(crate) struct Together(Mutex<HashMap<(u32, String), usize>>);

/// A question under way, until this is gone.
pub(crate) struct UnderWay<'a> {
    all: &'a Together,
    key: (u32, String),
}

impl Together {
    /// `None` if there are too many about this user.
    pub(crate) fn begin(&self, service: u32, about: &str) -> Option<UnderWay<'_>> {
        let key = (service, about.to_owned());
        let mut all = self.all();
        let count = all.get(&key).copied().unwrap_or_default();
        (count < MOST).then(|| {
            all.insert(key.clone(), count.saturating_add(1));
            UnderWay { all: self, key }
        })
    }

    /// No thread panics while it holds this.
    fn all(&self) -> MutexGuard<'_, HashMap<(u32, String), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut all = self.all.all();
        match all.get(&self.key).copied() {
            Some(count @ 2..) => all.insert(self.key.clone(), count.saturating_sub(1)),
            Some(_) | None => all.remove(&self.key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_about_one_user_leave_places_for_others() {
        let together = Together::default();
        let begin = |about| together.begin(998, about);
        let mut held: Vec<_> = (0..MOST).map(|_| begin("mallory").unwrap()).collect();
        assert!(begin("mallory").is_none() && begin("alice").is_some() && together.begin(999, "mallory").is_some());
        held.pop();
        assert!(begin("mallory").is_some());
        drop(held);
        assert!(together.all().is_empty());
    }
}
