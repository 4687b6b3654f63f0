//! How much a host may ask in a while, counted in this verifier's memory. A stolen key is slowed down, not a busy host.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most wrong codes of a host in [`WRONG_WITHIN`].
const MOST_WRONG: usize = 20;
/// Most wrong codes for one user, of those: no user alone keeps all others of a host out.
const MOST_WRONG_OF_USER: usize = 8;
const WRONG_WITHIN: Duration = Duration::from_secs(600);

/// Most users that a host asks about in [`USERS_WITHIN`] and that have a record.
const MOST_USERS: usize = 60;
/// Most questions about names without a record: beyond, they are refused without a commit. A right name is not held up.
const MOST_UNKNOWN: usize = 60;
const USERS_WITHIN: Duration = Duration::from_secs(60);

/// What all hosts have spent.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<HashMap<String, Spent>>);

#[derive(Default)]
struct Spent {
    /// When, and for whom.
    wrong: Vec<(Instant, u64)>,
    /// Users whose share is used up, and since when.
    told: HashMap<u64, Instant>,
    users: HashMap<u64, Instant>,
    unknown: Vec<Instant>,
    /// When an alarm of rows that no verifier has written was given.
    altered: Option<Instant>,
}

/// Whether a budget has just been used up, or was before: an alarm is given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Some,
    UsedUpNow,
    UsedUp,
}

impl Budgets {
    /// Whether the host may ask about a user with a record.
    pub(crate) fn ask_about(&self, host: &str, user: &str, now: Instant) -> Left {
        let user = hashed(user);
        let mut all = self.all();
        let spent = all.entry(host.to_owned()).or_default();
        spent.users.retain(|_, at| now.saturating_duration_since(*at) < USERS_WITHIN);
        if spent.users.contains_key(&user) || spent.users.len() < MOST_USERS {
            spent.users.insert(user, now);
            return Left::Some;
        }
        // Kept by a name that is none, so that the next one knows of the alarm.
        let is_told = spent.users.insert(0, now).is_some();
        if is_told { Left::UsedUp } else { Left::UsedUpNow }
    }

    /// Whether the host has sent so many codes for names without a record that no further one gets a commit.
    pub(crate) fn has_asked_for_strangers(&self, host: &str, now: Instant) -> bool {
        let mut all = self.all();
        all.get_mut(host).is_some_and(|spent| {
            spent.unknown.retain(|at| now.saturating_duration_since(*at) < USERS_WITHIN);
            spent.unknown.len() >= MOST_UNKNOWN
        })
    }

    pub(crate) fn count_stranger(&self, host: &str, now: Instant) {
        self.all().entry(host.to_owned()).or_default().unknown.push(now);
    }

    /// Whether the host may send codes.
    pub(crate) fn send_codes(&self, host: &str, now: Instant) -> Left {
        let mut all = self.all();
        let Some(spent) = all.get_mut(host) else { return Left::Some };
        spent.forget(now);
        if spent.wrong.len() < MOST_WRONG {
            return Left::Some;
        }
        let is_told = spent.wrong.len() > MOST_WRONG;
        if !is_told {
            spent.wrong.push((now, 0));
        }
        if is_told { Left::UsedUp } else { Left::UsedUpNow }
    }

    /// Whether the host may send codes for this user.
    pub(crate) fn send_codes_for(&self, host: &str, user: &str, now: Instant) -> Left {
        let user = hashed(user);
        let mut all = self.all();
        let Some(spent) = all.get_mut(host) else { return Left::Some };
        spent.forget(now);
        if spent.wrong.iter().filter(|(_, whose)| *whose == user).count() < MOST_WRONG_OF_USER {
            return Left::Some;
        }
        let is_told = spent.told.insert(user, now).is_some();
        if is_told { Left::UsedUp } else { Left::UsedUpNow }
    }

    pub(crate) fn count_wrong(&self, host: &str, user: &str, now: Instant) {
        self.all().entry(host.to_owned()).or_default().wrong.push((now, hashed(user)));
    }

    /// Whether an alarm is given of a row that this host has used: once in ten minutes.
    pub(crate) fn is_alarm_due(&self, host: &str, now: Instant) -> bool {
        let mut all = self.all();
        let spent = all.entry(host.to_owned()).or_default();
        let is_due = spent.altered.is_none_or(|at| now.saturating_duration_since(at) >= WRONG_WITHIN);
        if is_due {
            spent.altered = Some(now);
        }
        is_due
    }

    /// No thread panics while it holds this.
    fn all(&self) -> MutexGuard<'_, HashMap<String, Spent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    fn forget(&mut self, now: Instant) {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < WRONG_WITHIN;
        self.wrong.retain(|(at, _)| is_recent(*at));
        self.told.retain(|_, at| is_recent(*at));
    }
}

/// Names are not kept.
fn hashed(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "deadlines; no clock that can be set changes them")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_wrong_codes_end_a_host_for_ten_minutes() {
        let (budgets, now) = (Budgets::default(), super::now());
        for wrong in 0..20 {
            assert_eq!(budgets.send_codes("web1", now), Left::Some);
            budgets.count_wrong("web1", &(wrong / 4).to_string(), now);
        }
        assert_eq!(budgets.send_codes("web1", now), Left::UsedUpNow);
        assert_eq!(budgets.send_codes("web1", now), Left::UsedUp);
        assert_eq!(budgets.send_codes("web2", now), Left::Some);
        assert_eq!(budgets.send_codes("web1", now + WRONG_WITHIN), Left::Some);
    }

    #[test]
    fn one_user_does_not_use_up_what_all_of_a_host_have() {
        let (budgets, now) = (Budgets::default(), super::now());
        for _ in 0..8 {
            assert_eq!(budgets.send_codes_for("web1", "alice", now), Left::Some);
            budgets.count_wrong("web1", "alice", now);
        }
        assert_eq!(budgets.send_codes_for("web1", "alice", now), Left::UsedUpNow);
        assert_eq!(budgets.send_codes_for("web1", "alice", now), Left::UsedUp);
        assert_eq!(budgets.send_codes_for("web1", "bob", now), Left::Some);
        assert_eq!(budgets.send_codes("web1", now), Left::Some);
        assert_eq!(budgets.send_codes_for("web2", "alice", now), Left::Some);
        assert_eq!(budgets.send_codes_for("web1", "alice", now + WRONG_WITHIN), Left::Some);
    }

    #[test]
    fn sixty_users_a_minute_are_asked_about_and_each_as_often_as_needed() {
        let (budgets, now) = (Budgets::default(), super::now());
        for user in 0..60 {
            for _ in 0..3 {
                assert_eq!(budgets.ask_about("web1", &user.to_string(), now), Left::Some);
            }
        }
        assert_eq!(budgets.ask_about("web1", "one more", now), Left::UsedUpNow);
        assert_eq!(budgets.ask_about("web1", "and one", now), Left::UsedUp);
        assert_eq!(budgets.ask_about("web1", "7", now), Left::Some);
        assert_eq!(budgets.ask_about("web1", "one more", now + USERS_WITHIN), Left::Some);
    }

    #[test]
    fn an_alarm_is_given_once_in_ten_minutes() {
        let (budgets, now) = (Budgets::default(), super::now());
        assert!(budgets.is_alarm_due("web1", now) && !budgets.is_alarm_due("web1", now));
        assert!(budgets.is_alarm_due("web2", now) && budgets.is_alarm_due("web1", now + WRONG_WITHIN));
    }

    #[test]
    fn names_without_a_record_cost_a_commit_up_to_a_number() {
        let (budgets, now) = (Budgets::default(), super::now());
        for _ in 0..60 {
            assert!(!budgets.has_asked_for_strangers("web1", now));
            budgets.count_stranger("web1", now);
        }
        assert!(budgets.has_asked_for_strangers("web1", now) && !budgets.has_asked_for_strangers("web2", now));
        assert!(!budgets.has_asked_for_strangers("web1", now + USERS_WITHIN));
    }
}
