//! What every store must do, whatever it is made of: the same tests for files, memory and any other.
//!
//! A store runs them all with [`crate::store_suite!`]. Between a load and its write another process comes: in tests that is
//! arranged, not left to luck.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::codes::attempt::Attempt;
use crate::decision::verify::{Accepted, Factor, Limits, Refusal, Verdict, decide};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Credentials, Needed, Outline};
use crate::record::id::DeviceId;
use crate::record::state::{Lock, Progress, State};
use crate::store::error::StoreError;
use crate::store::note::{KeptAnswer, Note, Origin};
use crate::store::{Loaded, Store, Swap, change, update};
use crate::testing::alice::{
    LIMITS, NOTE, NOW, REPLAYED, STEP, after, alice, by_phone, phone, re_enrolled, record, recovery, right, shown,
    token, wrong, wrong_for_the,
};
use crate::value::request_id::RequestId;
use crate::value::user::Account;

/// How a store does what all do.
#[derive(Clone, Copy)]
pub struct Nature {
    /// Whether a load holds a lock until the write: then another process comes before the load, and not before the write.
    pub locks: bool,
    /// Whether it keeps answers and gives them again.
    pub keeps_answers: bool,
}

/// A store, and the processes that come before its next writes.
pub struct Visited<S> {
    store: S,
    nature: Nature,
    visits: RefCell<Vec<Visit<S>>>,
    writes: Cell<u32>,
}

type Visit<S> = Box<dyn FnOnce(&Visited<S>)>;

impl<S: Store> Visited<S> {
    /// An empty store.
    pub fn new(store: S, nature: Nature) -> Self {
        Self { store, nature, visits: RefCell::default(), writes: Cell::new(0) }
    }

    /// The same with alice in it, who has a phone and a token.
    fn enrolled(&self) -> &Self {
        let record = record(vec![phone(1), token(2)]);
        assert_eq!(self.store.replace(&alice(), None, &record, &NOTE).unwrap(), Swap::Done);
        self
    }

    /// Another process comes between the load and the write of the next change.
    fn before_next_write(&self, visit: impl FnOnce(&Self) + 'static) {
        self.visits.borrow_mut().push(Box::new(visit));
    }

    fn visit(&self) {
        let visit = self.visits.borrow_mut().pop();
        if let Some(visit) = visit {
            visit(self);
        }
    }

    fn write(&self, write: impl FnOnce() -> Result<Swap, StoreError>) -> Result<Swap, StoreError> {
        if !self.nature.locks {
            self.visit();
        }
        let swap = write()?;
        self.writes.set(self.writes.get() + u32::from(swap == Swap::Done));
        Ok(swap)
    }

    fn state(&self) -> State {
        self.store.read(&alice()).unwrap().unwrap().state
    }
}

impl<S: Store> Store for Visited<S> {
    type Hold = S::Hold;

    fn load(&self, account: &Account) -> Result<Option<Loaded<S::Hold>>, StoreError> {
        self.load_for(account, Needed::All)
    }

    fn load_for(&self, account: &Account, needed: Needed) -> Result<Option<Loaded<S::Hold>>, StoreError> {
        if self.nature.locks {
            self.visit();
        }
        self.store.load_for(account, needed)
    }

    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        self.store.read(account)
    }

    fn outline(&self, account: &Account) -> Result<Option<Outline>, StoreError> {
        self.store.outline(account)
    }

    fn others_of(&self, account: &Account) -> Result<Vec<Account>, StoreError> {
        self.store.others_of(account)
    }

    fn kept(hold: &S::Hold) -> Option<&KeptAnswer> {
        S::kept(hold)
    }

    fn swap(&self, account: &Account, hold: S::Hold, state: &State, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.write(|| self.store.swap(account, hold, state, note))
    }

    fn replace(
        &self,
        account: &Account,
        hold: Option<S::Hold>,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        self.write(|| self.store.replace(account, hold, record, note))
    }

    fn remove(&self, account: &Account, hold: S::Hold, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.write(|| self.store.remove(account, hold, note))
    }

    fn purge(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError> {
        self.store.purge(account, note)
    }

    fn only_note(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.store.only_note(account, note)
    }

    fn rehearse_load(&self) {
        self.store.rehearse_load();
    }

    fn rehearse(&self, account: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.store.rehearse(account, note)
    }
}

/// Runs all tests of this suite as tests of their own. `$new` makes an empty store, and whatever must outlive it.
#[macro_export]
macro_rules! store_suite {
    ($new:expr, $nature:expr) => {
        $crate::store_suite!(@each $new, $nature;
            of_two_logins_with_one_code_exactly_one_is_accepted
            of_two_logins_with_one_recovery_code_exactly_one_is_accepted
            two_recovery_codes_at_once_are_both_accepted_and_both_used_up
            a_wrong_guess_meanwhile_does_not_make_the_right_code_fail
            a_wrong_guess_does_not_undo_what_the_right_code_wrote
            forty_wrong_guesses_at_once_are_all_counted
            forty_guesses_at_once_have_six_tries
            a_code_of_the_old_seed_is_wrong_once_the_new_one_is_in_force
            a_code_is_refused_once_the_record_is_removed
            a_change_of_credentials_keeps_what_a_login_wrote_meanwhile
            of_two_first_enrollments_the_second_sees_the_first
            unlocking_and_a_wrong_guess_take_effect_one_after_the_other
            unlocking_does_not_make_a_used_code_work_again
            a_record_is_read_as_it_was_written
            what_was_removed_or_purged_is_gone
            a_question_that_is_asked_again_uses_up_no_second_code
        );
    };
    (@each $new:expr, $nature:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let (store, _outlives) = $new;
                $crate::testing::store_suite::$name(&$crate::testing::store_suite::Visited::new(store, $nature));
            }
        )*
    };
}

fn login<S: Store>(store: &Visited<S>, attempt: &Attempt) -> Verdict {
    login_under(&LIMITS, store, attempt)
}

fn login_under<S: Store>(limits: &Limits, store: &Visited<S>, attempt: &Attempt) -> Verdict {
    update(store, &alice(), &NOTE, |record| decide(limits, record, attempt, NOW)).unwrap()
}

fn accepted_by(factor: Factor, left: u8) -> Verdict {
    Verdict::Accepted(Accepted { factor, recovery_left: Some(left), failures: 0 })
}

/// Two logins, of which the second begins and ends after the first has decided and before it writes.
fn overtaken<S: Store + 'static>(store: &Visited<S>, first: &Attempt, second: Attempt) -> (Verdict, Verdict) {
    let inner = Rc::new(Cell::new(None));
    let seen = Rc::clone(&inner);
    store.before_next_write(move |store| seen.set(Some(login(store, &second))));
    let outer = login(store, first);
    (outer, inner.get().unwrap())
}

pub fn of_two_logins_with_one_code_exactly_one_is_accepted<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    assert_eq!(overtaken(store, &right(), right()), (REPLAYED, by_phone()));
    let hotp = accepted_by(Factor::Hotp(DeviceId(2)), 10);
    assert_eq!(overtaken(store, &shown(&token(2), 3), shown(&token(2), 3)), (REPLAYED, hotp));
}

pub fn of_two_logins_with_one_recovery_code_exactly_one_is_accepted<S: Store + 'static>(store: &Visited<S>) {
    let (store, used) = (store.enrolled(), Verdict::Refused(Refusal::RecoveryUsed));
    assert_eq!(overtaken(store, &recovery(4), recovery(4)), (used, accepted_by(Factor::Recovery, 9)));
    assert_eq!(store.state().used.0, 1 << 4);
}

pub fn two_recovery_codes_at_once_are_both_accepted_and_both_used_up<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    let both = (accepted_by(Factor::Recovery, 8), accepted_by(Factor::Recovery, 9));
    assert_eq!(overtaken(store, &recovery(4), recovery(5)), both);
    assert_eq!(store.state().used.0, 0b11_0000);
}

pub fn a_wrong_guess_meanwhile_does_not_make_the_right_code_fail<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    assert_eq!(overtaken(store, &right(), wrong()), (after(1, by_phone()), wrong_for_the(1)));
    assert_eq!(store.state().failures, 0);
}

pub fn a_wrong_guess_does_not_undo_what_the_right_code_wrote<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    assert_eq!(overtaken(store, &wrong(), right()), (wrong_for_the(1), by_phone()));
    assert_eq!(store.state().next(DeviceId(1)).unwrap(), STEP + 1);
    assert_eq!(login(store, &right()), REPLAYED);
}

/// Every one of these logins decides before any of them writes.
fn all_at_once<S: Store + 'static>(store: &Visited<S>, limits: Limits, logins: u32) -> Vec<Verdict> {
    let verdicts = Rc::new(RefCell::new(Vec::new()));
    for _ in 1..logins {
        let verdicts = Rc::clone(&verdicts);
        store.before_next_write(move |store| {
            let verdict = login_under(&limits, store, &wrong());
            verdicts.borrow_mut().push(verdict);
        });
    }
    let last = login_under(&limits, store, &wrong());
    verdicts.borrow_mut().push(last);
    verdicts.take()
}

pub fn forty_wrong_guesses_at_once_are_all_counted<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    let verdicts = all_at_once(store, Limits { lock_after: 100, ..LIMITS }, 40);
    assert_eq!(verdicts, (1..=40).map(wrong_for_the).collect::<Vec<_>>());
    assert_eq!(store.state().failures, 40);
}

pub fn forty_guesses_at_once_have_six_tries<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    let verdicts = all_at_once(store, LIMITS, 40);
    let (tried, locked) = verdicts.split_at(6);
    assert_eq!(tried, (1..=6).map(wrong_for_the).collect::<Vec<_>>());
    assert!(locked.iter().all(|verdict| matches!(verdict, Verdict::Refused(Refusal::Locked(Lock::Until(_))))));
    assert_eq!(store.state().failures, 6);
}

pub fn a_code_of_the_old_seed_is_wrong_once_the_new_one_is_in_force<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    store.before_next_write(|store| {
        change(store, &alice(), &NOTE, |old| {
            let new = re_enrolled(old.unwrap(), 2);
            let credentials = Credentials {
                devices: vec![phone(3)],
                default: Some(DeviceId(3)),
                last_id: DeviceId(3),
                ..new.credentials
            };
            let mut state = State::new(credentials.enrollment);
            state.devices.insert(DeviceId(3), Progress::from(0));
            (Change::Record(Box::new(Record { credentials, state })), ())
        })
        .unwrap();
    });
    assert_eq!(login(store, &right()), wrong_for_the(1));
    assert!(store.state().devices.keys().eq([DeviceId(3)]));
}

pub fn a_code_is_refused_once_the_record_is_removed<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    store.before_next_write(|store| change(store, &alice(), &NOTE, |_| (Change::Nothing, ())).unwrap());
    assert_eq!(login(store, &right()), Verdict::Refused(Refusal::NotEnrolled));
    assert!(store.load(&alice()).unwrap().is_none());
}

pub fn a_change_of_credentials_keeps_what_a_login_wrote_meanwhile<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    store.before_next_write(|store| assert_eq!(login(store, &right()), by_phone()));
    let seen = Cell::new(None);
    let changed = change(store, &alice(), &NOTE, |old| {
        let old = old.unwrap();
        let mut new = re_enrolled(old, 2);
        new.state.devices.clone_from(&old.state.devices);
        seen.set(old.state.next(DeviceId(1)));
        (Change::Record(Box::new(new)), true)
    });
    assert_eq!((changed.unwrap(), seen.get()), (true, Some(STEP + 1)));
    assert_eq!(login(store, &right()), REPLAYED);
}

pub fn of_two_first_enrollments_the_second_sees_the_first<S: Store + 'static>(store: &Visited<S>) {
    let enroll = |store: &Visited<S>| {
        change(store, &alice(), &NOTE, |found| match found {
            Some(_) => (Change::Keep, false),
            None => (Change::Record(Box::new(record(vec![phone(1)]))), true),
        })
        .unwrap()
    };
    store.before_next_write(move |store| assert!(enroll(store)));
    assert!(!enroll(store));
    assert_eq!(store.writes.get(), 1);
}

fn unlock<S: Store>(store: &Visited<S>) {
    change(store, &alice(), &NOTE, |found| (Change::State(found.unwrap().unlocked()), ())).unwrap();
}

pub fn unlocking_and_a_wrong_guess_take_effect_one_after_the_other<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    (1..=3).for_each(|failures| assert_eq!(login(store, &wrong()), wrong_for_the(failures)));
    store.before_next_write(|store| assert_eq!(login(store, &wrong()), wrong_for_the(4)));
    unlock(store);
    assert_eq!(store.state().failures, 0);

    (1..=5).for_each(|failures| assert_eq!(login(store, &wrong()), wrong_for_the(failures)));
    store.before_next_write(unlock);
    assert_eq!(login(store, &wrong()), wrong_for_the(1));
    assert_eq!((store.state().failures, store.state().lock), (1, Lock::Open));
}

pub fn unlocking_does_not_make_a_used_code_work_again<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    assert_eq!(login(store, &wrong()), wrong_for_the(1));
    store.before_next_write(|store| {
        assert_eq!(login(store, &right()), after(1, by_phone()));
        assert_eq!(login(store, &recovery(4)), accepted_by(Factor::Recovery, 9));
    });
    unlock(store);
    assert_eq!((login(store, &right()), store.state().used.0), (REPLAYED, 1 << 4));
}

pub fn a_record_is_read_as_it_was_written<S: Store + 'static>(store: &Visited<S>) {
    assert!(store.read(&alice()).unwrap().is_none() && store.outline(&alice()).unwrap().is_none());
    let store = store.enrolled();
    assert_eq!(login(store, &right()), by_phone());
    let read = store.read(&alice()).unwrap().unwrap();
    let Loaded { record: loaded, hold } = store.load(&alice()).unwrap().unwrap();
    drop(hold);
    assert_eq!(read.credentials.encode(), loaded.credentials.encode());
    assert_eq!(read.state, loaded.state);
    assert_eq!(loaded.credentials.encode(), record(vec![phone(1), token(2)]).credentials.encode());
    let outline = store.outline(&alice()).unwrap().unwrap();
    assert_eq!((outline.devices, outline.passcode, outline.binds()), (2, false, true));
}

pub fn what_was_removed_or_purged_is_gone<S: Store + 'static>(store: &Visited<S>) {
    assert!(!store.purge(&alice(), &NOTE).unwrap());
    let store = store.enrolled();
    change(store, &alice(), &NOTE, |_| (Change::Nothing, ())).unwrap();
    assert!(store.read(&alice()).unwrap().is_none());
    let store = store.enrolled();
    assert!(store.purge(&alice(), &NOTE).unwrap());
    assert!(store.read(&alice()).unwrap().is_none() && store.load(&alice()).unwrap().is_none());
}

pub fn a_question_that_is_asked_again_uses_up_no_second_code<S: Store + 'static>(store: &Visited<S>) {
    let store = store.enrolled();
    let ask_for = |event: &'static str, id: u8, host: &'static str, attempt: &Attempt| {
        let origin = Origin { id: Some(RequestId([id; 16])), host: Some(host) };
        update(store, &alice(), &origin.note(event), |record| decide(&LIMITS, record, attempt, NOW)).unwrap()
    };
    let ask = |id: u8, host: &'static str, attempt: &Attempt| ask_for("login", id, host, attempt);
    assert_eq!(ask(1, "one", &right()), by_phone());
    let before = store.state();
    // No other request and no other host is let in by that answer.
    for (id, host) in [(2, "one"), (1, "two")] {
        assert_eq!(ask(id, host, &right()), REPLAYED);
    }
    assert_eq!(ask_for("tested", 1, "one", &right()), REPLAYED, "nor for anything else");
    let again = ask(1, "one", &right());
    assert!(again == REPLAYED || store.nature.keeps_answers, "{again:?}");
    assert_eq!(store.state(), before);
    // With no other request in between, a host that asks again gets the same answer, if the store keeps answers.
    assert_eq!(ask(3, "one", &recovery(4)), accepted_by(Factor::Recovery, 9));
    let used = Verdict::Refused(Refusal::RecoveryUsed);
    let again = if store.nature.keeps_answers { accepted_by(Factor::Recovery, 9) } else { used };
    assert_eq!(ask(3, "one", &recovery(4)), again);
    assert_eq!(store.state().used.0, 1 << 4);
}
