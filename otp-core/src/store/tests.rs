use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::memory::{MemoryStore, Version};
use super::*;
use crate::codes::attempt::Attempt;
use crate::decision::verify::{Accepted, Factor, Limits, Refusal, Verdict, decide};
use crate::record::id::DeviceId;
use crate::record::state::Lock;
use crate::testing::fixtures::{
    LIMITS, NOW, REPLAYED, STEP, after, alice, by_phone, phone, re_enrolled, record, recovery, right, shown, token,
    wrong, wrong_for_the,
};

fn login(store: &impl Store, attempt: &Attempt) -> Verdict {
    login_under(&LIMITS, store, attempt)
}

fn login_under(limits: &Limits, store: &impl Store, attempt: &Attempt) -> Verdict {
    update(store, &alice(), |record| decide(limits, record, attempt, NOW)).unwrap()
}

fn state(store: &impl Store) -> State {
    store.load(&alice()).unwrap().unwrap().record.state
}

fn accepted_by(factor: Factor, left: u8) -> Verdict {
    Verdict::Accepted(Accepted { factor, recovery_left: Some(left), failures: 0 })
}

/// Two logins, of which the second begins and ends after the first has decided and before it writes.
fn overtaken(store: &MemoryStore, first: &Attempt, second: Attempt) -> (Verdict, Verdict) {
    let inner = Rc::new(Cell::new(None));
    let seen = Rc::clone(&inner);
    store.before_next_write(move |store| seen.set(Some(login(store, &second))));
    let outer = login(store, first);
    (outer, inner.get().unwrap())
}

fn enrolled() -> MemoryStore {
    MemoryStore::holding(&alice(), &record(vec![phone(1), token(2)]))
}

#[test]
fn of_two_logins_with_one_code_exactly_one_is_accepted() {
    let store = enrolled();
    assert_eq!(overtaken(&store, &right(), right()), (REPLAYED, by_phone()));
    let store = enrolled();
    let hotp = accepted_by(Factor::Hotp(DeviceId(2)), 10);
    assert_eq!(overtaken(&store, &shown(&token(2), 3), shown(&token(2), 3)), (REPLAYED, hotp));
}

#[test]
fn of_two_logins_with_one_recovery_code_exactly_one_is_accepted() {
    let used = Verdict::Refused(Refusal::RecoveryUsed);
    let store = enrolled();
    assert_eq!(overtaken(&store, &recovery(4), recovery(4)), (used, accepted_by(Factor::Recovery, 9)));
    assert_eq!(state(&store).used.0, 1 << 4);
}

#[test]
fn two_recovery_codes_at_once_are_both_accepted_and_both_used_up() {
    let store = enrolled();
    let both = (accepted_by(Factor::Recovery, 8), accepted_by(Factor::Recovery, 9));
    assert_eq!(overtaken(&store, &recovery(4), recovery(5)), both);
    assert_eq!(state(&store).used.0, 0b11_0000);
}

#[test]
fn a_wrong_guess_meanwhile_does_not_make_the_right_code_fail() {
    let store = enrolled();
    assert_eq!(overtaken(&store, &right(), wrong()), (after(1, by_phone()), wrong_for_the(1)));
    assert_eq!(state(&store).failures, 0);
}

#[test]
fn a_wrong_guess_does_not_undo_what_the_right_code_wrote() {
    let store = enrolled();
    assert_eq!(overtaken(&store, &wrong(), right()), (wrong_for_the(1), by_phone()));
    assert_eq!(state(&store).next(DeviceId(1)).unwrap(), STEP + 1);
    assert_eq!(login(&store, &right()), REPLAYED);
}

/// Every one of these logins decides before any of them writes.
fn all_at_once(limits: Limits, logins: usize) -> (MemoryStore, Vec<Verdict>) {
    let store = enrolled();
    let verdicts = Rc::new(RefCell::new(Vec::new()));
    for _ in 1..logins {
        let verdicts = Rc::clone(&verdicts);
        store.before_next_write(move |store| {
            let verdict = login_under(&limits, store, &wrong());
            verdicts.borrow_mut().push(verdict);
        });
    }
    let last = login_under(&limits, &store, &wrong());
    verdicts.borrow_mut().push(last);
    (store, verdicts.take())
}

#[test]
fn forty_wrong_guesses_at_once_are_all_counted() {
    let (store, verdicts) = all_at_once(Limits { lock_after: 100, ..LIMITS }, 40);
    assert_eq!(verdicts, (1..=40).map(wrong_for_the).collect::<Vec<_>>());
    assert_eq!(state(&store).failures, 40);
}

#[test]
fn forty_guesses_at_once_have_six_tries() {
    let (store, verdicts) = all_at_once(LIMITS, 40);
    let (tried, locked) = verdicts.split_at(6);
    assert_eq!(tried, (1..=6).map(wrong_for_the).collect::<Vec<_>>());
    assert!(locked.iter().all(|verdict| matches!(verdict, Verdict::Refused(Refusal::Locked(Lock::Until(_))))));
    assert_eq!(state(&store).failures, 6);
}

#[test]
fn a_code_of_the_old_seed_is_wrong_once_the_new_one_is_in_force() {
    let store = enrolled();
    store.before_next_write(|store| {
        change(store, &alice(), |old| {
            let new = re_enrolled(old.unwrap(), 2);
            let credentials = crate::record::credentials::Credentials {
                devices: vec![phone(3)],
                default: Some(DeviceId(3)),
                last_id: DeviceId(3),
                ..new.credentials
            };
            let mut state = State::new(credentials.enrollment);
            state.set_nexts([(3, 0)]);
            (Change::Record(Box::new(Record { credentials, state })), ())
        })
        .unwrap();
    });
    assert_eq!(login(&store, &right()), wrong_for_the(1));
    assert_eq!(state(&store).nexts(), [(3, 0)]);
}

#[test]
fn a_code_is_refused_once_the_record_is_removed() {
    let store = enrolled();
    store.before_next_write(|store| change(store, &alice(), |_| (Change::Nothing, ())).unwrap());
    assert_eq!(login(&store, &right()), Verdict::Refused(Refusal::NotEnrolled));
    assert!(store.load(&alice()).unwrap().is_none());
}

#[test]
fn a_change_of_credentials_keeps_what_a_login_wrote_meanwhile() {
    let store = enrolled();
    store.before_next_write(|store| assert_eq!(login(store, &right()), by_phone()));
    let next = change(&store, &alice(), |old| {
        let old = old.unwrap();
        let mut new = re_enrolled(old, 2);
        new.state.devices.clone_from(&old.state.devices);
        (Change::Record(Box::new(new)), old.state.next(DeviceId(1)).unwrap())
    });
    assert_eq!(next.unwrap(), STEP + 1);
    assert_eq!(login(&store, &right()), REPLAYED);
}

#[test]
fn of_two_first_enrollments_the_second_sees_the_first() {
    let store = MemoryStore::default();
    let enroll = |store: &MemoryStore| {
        change(store, &alice(), |found| match found {
            Some(_) => (Change::Keep, false),
            None => (Change::Record(Box::new(record(vec![phone(1)]))), true),
        })
        .unwrap()
    };
    store.before_next_write(move |store| assert!(enroll(store)));
    assert!(!enroll(&store));
    assert_eq!(store.writes(), 1);
}

fn unlock(store: &impl Store) {
    change(store, &alice(), |found| (Change::State(found.unwrap().unlocked()), ())).unwrap();
}

#[test]
fn unlocking_and_a_wrong_guess_take_effect_one_after_the_other() {
    let store = enrolled();
    (1..=3).for_each(|failures| assert_eq!(login(&store, &wrong()), wrong_for_the(failures)));
    store.before_next_write(|store| assert_eq!(login(store, &wrong()), wrong_for_the(4)));
    unlock(&store);
    assert_eq!(state(&store).failures, 0);

    (1..=5).for_each(|failures| assert_eq!(login(&store, &wrong()), wrong_for_the(failures)));
    store.before_next_write(unlock);
    assert_eq!(login(&store, &wrong()), wrong_for_the(1));
    assert_eq!((state(&store).failures, state(&store).lock), (1, Lock::Open));
}

#[test]
fn unlocking_does_not_make_a_used_code_work_again() {
    let store = enrolled();
    assert_eq!(login(&store, &wrong()), wrong_for_the(1));
    store.before_next_write(|store| {
        assert_eq!(login(store, &right()), after(1, by_phone()));
        assert_eq!(login(store, &recovery(4)), accepted_by(Factor::Recovery, 9));
    });
    unlock(&store);
    assert_eq!((login(&store, &right()), state(&store).used.0), (REPLAYED, 1 << 4));
}

/// Passes calls on to a store in memory, counts rehearsals, and answers swaps as `swap` says.
#[derive(Default)]
struct Scripted {
    inner: MemoryStore,
    swap: Option<fn() -> Result<Swap, StoreError>>,
    swaps: Cell<usize>,
    rehearsals: Cell<u64>,
}

impl Store for Scripted {
    type Hold = Version;
    fn load(&self, account: &Account) -> Result<Option<Loaded<Version>>, StoreError> {
        self.inner.load(account)
    }
    fn swap(&self, account: &Account, seen: Version, state: &State) -> Result<Swap, StoreError> {
        self.swaps.set(self.swaps.get() + 1);
        self.swap.map_or_else(|| self.inner.swap(account, seen, state), |answer| answer())
    }
    fn replace(&self, account: &Account, seen: Option<Version>, record: &Record) -> Result<Swap, StoreError> {
        self.inner.replace(account, seen, record)
    }
    fn remove(&self, account: &Account, seen: Version) -> Result<Swap, StoreError> {
        self.inner.remove(account, seen)
    }
    fn rehearse(&self) {
        self.rehearsals.set(self.rehearsals.get() + 1);
    }
}

#[test]
fn only_a_login_that_writes_nothing_rehearses() {
    let store = Scripted { inner: enrolled(), ..Scripted::default() };
    for attempt in [Attempt::Malformed, recovery(10)] {
        let _ = login(&store, &attempt);
    }
    assert_eq!((store.rehearsals.get(), store.inner.writes()), (2, 1));
    let _ = (login(&store, &right()), login(&store, &wrong()));
    assert_eq!((store.rehearsals.get(), store.inner.writes()), (2, 3));
    assert_eq!(login(&store, &right()), REPLAYED);
    assert_eq!((store.rehearsals.get(), store.inner.writes()), (3, 3));

    let empty = Scripted::default();
    assert_eq!(login(&empty, &right()), Verdict::Refused(Refusal::NotEnrolled));
    assert_eq!((empty.rehearsals.get(), empty.inner.writes()), (1, 0));
}

#[test]
fn no_answer_is_returned_before_it_is_durable() {
    let fails = || Err(StoreError::Busy);
    let store = Scripted { inner: enrolled(), swap: Some(fails), ..Scripted::default() };
    let answer = update(&store, &alice(), |record| decide(&LIMITS, record, &right(), NOW));
    assert!(matches!(answer, Err(StoreError::Busy)));
    assert_eq!(store.swaps.get(), 1);
    let answer = change(&store, &alice(), |found| (Change::State(found.unwrap().unlocked()), "unlocked"));
    assert!(matches!(answer, Err(StoreError::Busy)));
}

#[test]
fn a_login_that_loses_every_race_ends_with_an_error() {
    let store = Scripted { inner: enrolled(), swap: Some(|| Ok(Swap::Lost)), ..Scripted::default() };
    let answer = update(&store, &alice(), |record| decide(&LIMITS, record, &right(), NOW));
    assert!(matches!(answer, Err(StoreError::Busy)));
    assert_eq!(store.swaps.get(), MOST_LOSSES);
}

#[test]
fn a_change_that_keeps_everything_writes_nothing() {
    let store = enrolled();
    assert_eq!(change(&store, &alice(), |_| (Change::Keep, 1)).unwrap(), 1);
    let empty = MemoryStore::default();
    assert_eq!(change(&empty, &alice(), |_| (Change::Nothing, 2)).unwrap(), 2);
    assert_eq!((store.writes(), empty.writes()), (1, 0));
}
