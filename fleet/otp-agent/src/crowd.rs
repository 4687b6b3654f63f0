//! Who is being served: no user takes all places, and root always finds one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most connections of one user at a time. A service has some for each of its threads.
const MOST_OF_ONE: usize = 32;

/// Most connections of all users but root at a time.
const MOST: usize = 256;

/// The number of connections of each user.
#[derive(Default)]
pub(crate) struct Crowd(Mutex<HashMap<u32, usize>>);

/// A place in the crowd, free again when this is gone.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    uid: u32,
}

impl Crowd {
    /// `None` if this user, or all users, have too many connections.
    pub(crate) fn enter(crowd: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut counts = crowd.counts();
        let others: usize = counts.iter().filter(|(uid, _)| **uid != 0).map(|(_, count)| *count).sum();
        let own = counts.get(&uid).copied().unwrap_or_default();
        let fits = if uid == 0 { own < MOST } else { own < MOST_OF_ONE && others < MOST };
        fits.then(|| {
            counts.insert(uid, own.saturating_add(1));
            Place { crowd: Arc::clone(crowd), uid }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts().is_empty()
    }

    /// A thread that panics does so outside: the counts are right.
    fn counts(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        match counts.get(&self.uid).copied() {
            Some(count @ 2..) => counts.insert(self.uid, count.saturating_sub(1)),
            Some(_) | None => counts.remove(&self.uid),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_the_places_of_others_and_root_finds_one() {
        let crowd = Arc::new(Crowd::default());
        let mut places: Vec<_> = (0..MOST_OF_ONE).map(|_| Crowd::enter(&crowd, 1000).unwrap()).collect();
        assert!(Crowd::enter(&crowd, 1000).is_none());
        for uid in 1001..1008 {
            places.extend((0..MOST_OF_ONE).map(|_| Crowd::enter(&crowd, uid).unwrap()));
        }
        assert!(Crowd::enter(&crowd, 2000).is_none());
        places.push(Crowd::enter(&crowd, 0).unwrap());
        assert!(!crowd.is_empty());
        drop(places);
        assert!(crowd.is_empty() && Crowd::enter(&crowd, 1000).is_some());
    }
}
