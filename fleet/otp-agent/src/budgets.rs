//! How many wrong codes a named service may still send.
//!
//! Failures are counted, not attempts: where as many attempts are under way as failures are left, the next one waits for
//! their results. So a flood of guesses stays within the budget, and right codes among them are let in.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use otp_core::config::budget::Budget;

/// How long an attempt waits for the results of others.
const PATIENCE: Duration = Duration::from_secs(2);

/// The budgets of all services, by the user id that each runs as.
#[derive(Default)]
pub(crate) struct Budgets {
    spent: Mutex<HashMap<u32, Spent>>,
    changed: Condvar,
}

/// What one service has spent.
#[derive(Default)]
struct Spent {
    /// The times of wrong codes, and how long each counts.
    wrong: VecDeque<(Instant, Duration)>,
    under_way: usize,
}

/// Why an attempt is not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// The budget is used up.
    UsedUp,
    /// Other attempts that may use it up have no result yet.
    Waiting,
}

impl Budgets {
    /// Makes an attempt if the budget allows it. `attempt` gives its result and whether it was a wrong code.
    pub(crate) fn spend<T>(&self, uid: u32, budget: Budget, attempt: impl FnOnce() -> (T, bool)) -> Result<T, NotNow> {
        let under_way = self.begin(uid, budget)?;
        let (result, is_wrong) = attempt();
        let within = Duration::from_secs(budget.within.0);
        under_way.end(is_wrong.then(|| (now(), within)));
        Ok(result)
    }

    /// Whether no service has spent anything: then nothing is lost if the agent ends.
    pub(crate) fn are_whole(&self) -> bool {
        let mut spent = self.spent();
        spent.retain(|_, spent| {
            spent.forget_old();
            spent.under_way > 0 || !spent.wrong.is_empty()
        });
        spent.is_empty()
    }

    fn begin(&self, uid: u32, budget: Budget) -> Result<UnderWay<'_>, NotNow> {
        let until = now().checked_add(PATIENCE);
        let mut all = self.spent();
        loop {
            let spent = all.entry(uid).or_default();
            spent.forget_old();
            if spent.wrong.len() >= budget.most {
                return Err(NotNow::UsedUp);
            }
            if spent.wrong.len().saturating_add(spent.under_way) < budget.most {
                spent.under_way = spent.under_way.saturating_add(1);
                return Ok(UnderWay { budgets: self, uid, wrong: None });
            }
            let left = until.and_then(|until| until.checked_duration_since(now())).filter(|left| !left.is_zero());
            let left = left.ok_or(NotNow::Waiting)?;
            all = self.changed.wait_timeout(all, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// No thread panics while it holds this.
    fn spent(&self) -> MutexGuard<'_, HashMap<u32, Spent>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    fn forget_old(&mut self) {
        self.wrong.retain(|(at, within)| at.elapsed() < *within);
    }
}

/// An attempt that has no result yet. One that panics has none, and counts as no wrong code.
struct UnderWay<'a> {
    budgets: &'a Budgets,
    uid: u32,
    wrong: Option<(Instant, Duration)>,
}

impl UnderWay<'_> {
    fn end(mut self, wrong: Option<(Instant, Duration)>) {
        self.wrong = wrong;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(spent) = self.budgets.spent().get_mut(&self.uid) {
            spent.under_way = spent.under_way.saturating_sub(1);
            spent.wrong.extend(self.wrong);
        }
        self.budgets.changed.notify_all();
    }
}

#[expect(clippy::disallowed_methods, reason = "a budget of the running agent; no clock that can be set changes it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use otp_core::value::time::Seconds;

    fn budget(most: usize, seconds: u64) -> Budget {
        Budget { most, within: Seconds(seconds) }
    }

    #[test]
    fn a_flood_of_wrong_codes_stays_within_the_budget() {
        let (budgets, made) = (Budgets::default(), AtomicUsize::new(0));
        let guess = || {
            made.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            ((), true)
        };
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let _ = budgets.spend(998, budget(20, 600), guess);
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 20);
        assert_eq!(budgets.spend(998, budget(20, 600), guess), Err(NotNow::UsedUp));
        assert_eq!(budgets.spend(999, budget(20, 600), guess), Ok(()));
        assert!(!budgets.are_whole());
    }

    #[test]
    fn right_codes_cost_nothing_however_many_are_under_way() {
        let budgets = Budgets::default();
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let right = budgets.spend(998, budget(1, 600), || (thread::sleep(Duration::from_millis(1)), false));
                    assert_eq!(right, Ok(()));
                });
            }
        });
        assert!(budgets.are_whole());
    }

    #[test]
    fn a_budget_is_whole_again_after_its_time() {
        let budgets = Budgets::default();
        assert_eq!(budgets.spend(998, budget(1, 1), || ((), true)), Ok(()));
        assert_eq!(budgets.spend(998, budget(1, 1), || ((), true)), Err(NotNow::UsedUp));
        thread::sleep(Duration::from_millis(1100));
        assert!(budgets.are_whole());
        assert_eq!(budgets.spend(998, budget(1, 1), || ((), false)), Ok(()));
    }
}
