//! Who is being served: no user takes all places, and root always finds one.
//!
//! One user of the machine may have thousands of user ids (subuid(5)). Connections that ask nothing therefore hold their
//! places only as long as no other needs one: a PAM host sends its question at once.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

/// Most connections of one user at a time. A service has some for each of its threads.
const MOST_OF_ONE: usize = 32;

/// Most connections of all users but root at a time.
const MOST: usize = 256;

/// How long a connection that is sent away may take to free its place. Its thread only has to be run.
const MOST_WAIT: Duration = Duration::from_millis(100);

/// All connections.
#[derive(Default)]
pub(crate) struct Crowd {
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    /// The number of connections of each user.
    counts: HashMap<u32, usize>,
    /// The connections that have asked nothing yet, in the order in which they came.
    silent: BTreeMap<u64, (u32, Arc<OwnedFd>)>,
    /// The number of the next connection.
    next: u64,
}

/// A place in the crowd, free again when this is gone.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    uid: u32,
    number: u64,
}

impl Crowd {
    /// `None` if this user, or all users, have too many connections that have asked.
    pub(crate) fn enter(crowd: &Arc<Self>, uid: u32, socket: &Arc<OwnedFd>) -> Option<Place> {
        let mut inside = crowd.inside();
        if !inside.has_room_for(uid) {
            inside.send_one_away_for(uid)?;
            let waited = crowd.left.wait_timeout_while(inside, MOST_WAIT, |inside| !inside.has_room_for(uid));
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inside.has_room_for(uid).then(|| inside.add(uid, socket)).map(|number| Place {
            crowd: Arc::clone(crowd),
            uid,
            number,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inside().counts.is_empty()
    }

    /// A thread that panics does so outside: the counts are right.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn of(&self, uid: u32) -> usize {
        self.counts.get(&uid).copied().unwrap_or_default()
    }

    fn has_room_for(&self, uid: u32) -> bool {
        let others: usize = self.counts.iter().filter(|(uid, _)| **uid != 0).map(|(_, count)| *count).sum();
        if uid == 0 { self.of(0) < MOST } else { self.of(uid) < MOST_OF_ONE && others < MOST }
    }

    /// Closes the connection that has been silent for longest: of this user's, if they have too many, otherwise of all but
    /// root's. A question that has just come is still answered. `None` if all have asked.
    fn send_one_away_for(&mut self, uid: u32) -> Option<()> {
        let is_own = uid == 0 || self.of(uid) >= MOST_OF_ONE;
        let is_in_the_way = |silent: u32| if is_own { silent == uid } else { silent != 0 };
        let number = *self.silent.iter().find(|(_, (silent, _))| is_in_the_way(*silent))?.0;
        let (_, socket) = self.silent.remove(&number)?;
        // It fails if the other end has gone: then the thread knows.
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
        Some(())
    }

    fn add(&mut self, uid: u32, socket: &Arc<OwnedFd>) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.counts.insert(uid, self.of(uid).saturating_add(1));
        self.silent.insert(number, (uid, Arc::clone(socket)));
        number
    }
}

impl Place {
    /// The question has come: the place is kept until it is answered.
    pub(crate) fn keep(&self) {
        self.crowd.inside().silent.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside();
        inside.silent.remove(&self.number);
        match inside.of(self.uid) {
            count @ 2.. => inside.counts.insert(self.uid, count.saturating_sub(1)),
            0 | 1 => inside.counts.remove(&self.uid),
        };
        drop(inside);
        self.crowd.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    fn enter(crowd: &Arc<Crowd>, uid: u32) -> Option<Place> {
        let (ours, _) = UnixStream::pair().unwrap();
        Crowd::enter(crowd, uid, &Arc::new(ours.into()))
    }

    /// One that has asked.
    fn asking(crowd: &Arc<Crowd>, uid: u32) -> Option<Place> {
        enter(crowd, uid).inspect(Place::keep)
    }

    #[test]
    fn no_user_takes_the_places_of_others_and_root_finds_one() {
        let crowd = Arc::new(Crowd::default());
        let mut places: Vec<_> = (0..MOST_OF_ONE).map(|_| asking(&crowd, 1000).unwrap()).collect();
        assert!(enter(&crowd, 1000).is_none());
        for uid in 1001..1008 {
            places.extend((0..MOST_OF_ONE).map(|_| asking(&crowd, uid).unwrap()));
        }
        assert!(enter(&crowd, 2000).is_none());
        places.push(asking(&crowd, 0).unwrap());
        assert!(!crowd.is_empty());
        drop(places);
        assert!(crowd.is_empty() && enter(&crowd, 1000).is_some());
    }

    #[test]
    fn who_asks_nothing_makes_room_and_the_one_who_came_first_goes_first() {
        let crowd = Arc::new(Crowd::default());
        let mut asked = asking(&crowd, 1000);
        thread::scope(|scope| {
            let mut others = Vec::new();
            for number in 1..MOST {
                let (mut ours, theirs) = UnixStream::pair().unwrap();
                let socket = Arc::new(OwnedFd::from(ours.try_clone().unwrap()));
                let uid = 1001 + u32::try_from(number / MOST_OF_ONE).unwrap();
                let place = Crowd::enter(&crowd, uid, &socket).unwrap();
                others.push(theirs);
                scope.spawn(move || {
                    let _ = ours.read(&mut [0]);
                    drop(place);
                });
            }
            let newcomers: Vec<_> = (0..3).map(|_| asking(&crowd, 2000).unwrap()).collect();
            let is_over = |stream: &mut UnixStream| std::io::Write::write(stream, b"x").is_err();
            let over: Vec<_> = others.iter_mut().take(4).map(is_over).collect();
            assert_eq!(over, [true, true, true, false]);
            let of = |uid| crowd.inside().of(uid);
            assert_eq!((of(1000), of(2000)), (1, 3));
            drop((newcomers, asked.take(), others));
        });
        assert!(crowd.is_empty() && crowd.inside().silent.is_empty());
    }
}
