//! How many connections each host has. One host leaves the places of all others free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of each key of a host's certificate.
#[derive(Clone, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<[u8; 32], usize>>>);

/// A connection that counts until this is dropped.
pub(crate) struct Guest {
    all: Guests,
    key: [u8; 32],
}

impl Guests {
    /// `None` if there are as many already.
    pub(crate) fn enter(&self, key: [u8; 32], most: usize) -> Option<Guest> {
        let mut all = self.all();
        let count = all.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        drop(all);
        Some(Guest { all: self.clone(), key })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut all = self.all.all();
        if let Some(count) = all.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_connections_and_others_have_theirs() {
        let guests = Guests::default();
        let held: Vec<_> = (0..3).map(|_| guests.enter([1; 32], 3)).collect();
        assert!(held.iter().all(Option::is_some) && guests.enter([1; 32], 3).is_none());
        assert!(guests.enter([2; 32], 3).is_some());
        drop(held);
        assert!(guests.all().is_empty());
        assert!(guests.enter([1; 32], 3).is_some());
    }
}
