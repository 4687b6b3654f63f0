//! What `update` and `change` ask of a store, and when they answer.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use super::memory::{MemoryStore, Seen};
use super::*;
use crate::codes::attempt::Attempt;
use crate::decision::verify::{Refusal, Verdict, decide};
use crate::store::note::Origin;
use crate::testing::alice::{
    LIMITS, NOTE, NOW, REPLAYED, alice, by_phone, phone, record, recovery, right, token, wrong,
};
use crate::value::request_id::RequestId;

fn login(store: &impl Store, attempt: &Attempt) -> Verdict {
    update(store, &alice(), &NOTE, |record| decide(&LIMITS, record, attempt, NOW)).unwrap()
}

fn enrolled() -> MemoryStore {
    let store = MemoryStore::default();
    let record = record(vec![phone(1), token(2)]);
    assert_eq!(store.replace(&alice(), None, &record, &NOTE).unwrap(), Swap::Done);
    store
}

/// Passes calls on to a store in memory, counts rehearsals, and answers swaps as `swap` says.
#[derive(Default)]
struct Scripted {
    inner: MemoryStore,
    swap: Option<fn() -> Result<Swap, StoreError>>,
    swaps: Cell<usize>,
    rehearsals: Cell<u64>,
    noted: RefCell<Vec<Option<String>>>,
    rehearsal_fails: bool,
}

impl Store for Scripted {
    type Hold = Seen;
    fn load(&self, account: &Account) -> Result<Option<Loaded<Seen>>, StoreError> {
        self.inner.load(account)
    }
    fn read(&self, account: &Account) -> Result<Option<Record>, StoreError> {
        self.inner.read(account)
    }
    fn kept(seen: &Seen) -> Option<&KeptAnswer> {
        MemoryStore::kept(seen)
    }
    fn swap(&self, account: &Account, seen: Seen, state: &State, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.swaps.set(self.swaps.get() + 1);
        self.swap.map_or_else(|| self.inner.swap(account, seen, state, note), |answer| answer())
    }
    fn replace(
        &self,
        account: &Account,
        seen: Option<Seen>,
        record: &Record,
        note: &Note<'_>,
    ) -> Result<Swap, StoreError> {
        self.inner.replace(account, seen, record, note)
    }
    fn remove(&self, account: &Account, seen: Seen, note: &Note<'_>) -> Result<Swap, StoreError> {
        self.inner.remove(account, seen, note)
    }
    fn purge(&self, account: &Account, note: &Note<'_>) -> Result<bool, StoreError> {
        self.inner.purge(account, note)
    }
    fn only_note(&self, _: &Account, note: &Note<'_>) -> Result<(), StoreError> {
        self.noted.borrow_mut().push(note.answer.map(|answer| answer.words().into_owned()));
        if self.rehearsal_fails { Err(StoreError::Unreachable("no answer".into())) } else { Ok(()) }
    }
    fn rehearse(&self, _: &Account, _: &Note<'_>) -> Result<(), StoreError> {
        self.rehearsals.set(self.rehearsals.get() + 1);
        if self.rehearsal_fails { Err(StoreError::Unreachable("no answer".into())) } else { Ok(()) }
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
    let fails = || Err(StoreError::Unconfirmed("the standby is silent".into()));
    let store = Scripted { inner: enrolled(), swap: Some(fails), ..Scripted::default() };
    let answer = update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW));
    assert!(matches!(answer, Err(StoreError::Unconfirmed(_))));
    assert_eq!(store.swaps.get(), 1);
    let answer = change(&store, &alice(), &NOTE, |found| (Change::State(found.unwrap().unlocked()), true));
    assert!(matches!(answer, Err(StoreError::Unconfirmed(_))));
}

#[test]
fn an_answer_that_cannot_be_noted_is_none_even_if_nothing_is_to_be_written() {
    let id = Some(RequestId([1; 16]));
    let note = Origin { id, host: None }.note("login");
    for inner in [MemoryStore::default(), enrolled()] {
        let store = Scripted { inner, rehearsal_fails: true, ..Scripted::default() };
        let ask = |attempt: &Attempt| update(&store, &alice(), &note, |record| decide(&LIMITS, record, attempt, NOW));
        assert!(matches!(ask(&Attempt::Malformed), Err(StoreError::Unreachable(_))));
        if store.inner.writes() > 0 {
            assert_eq!(ask(&right()).unwrap(), by_phone());
            assert!(matches!(ask(&right()), Err(StoreError::Unreachable(_))), "nor is one that is given again");
        }
    }
}

#[test]
fn a_login_that_loses_every_race_ends_with_an_error() {
    let store = Scripted { inner: enrolled(), swap: Some(|| Ok(Swap::Lost)), ..Scripted::default() };
    let answer = update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW));
    assert!(matches!(answer, Err(StoreError::Busy)));
    assert_eq!(store.swaps.get(), MOST_LOSSES);
}

#[test]
fn a_change_that_keeps_everything_writes_nothing() {
    let store = enrolled();
    assert!(change(&store, &alice(), &NOTE, |_| (Change::Keep, true)).unwrap());
    let empty = MemoryStore::default();
    assert!(change(&empty, &alice(), &NOTE, |_| (Change::Nothing, true)).unwrap());
    assert_eq!((store.writes(), empty.writes()), (1, 0));
}

#[test]
fn a_change_that_keeps_everything_is_noted_all_the_same() {
    let keeps = |store: &Scripted| change(store, &alice(), &NOTE, |_| (Change::Keep, false));
    let store = Scripted { inner: enrolled(), ..Scripted::default() };
    assert!(!keeps(&store).unwrap());
    assert_eq!(store.noted.take(), [Some("unchanged".to_owned())]);
    let store = Scripted { rehearsal_fails: true, ..store };
    assert!(matches!(keeps(&store), Err(StoreError::Unreachable(_))));
}

#[test]
fn an_answer_whose_words_do_not_say_all_of_it_is_not_given_again() {
    /// Codes that are shown once.
    #[derive(Debug, PartialEq)]
    struct Shown(u8);
    impl Answer for Shown {
        fn words(&self) -> Cow<'static, str> {
            "shown".into()
        }
    }
    let (store, number) = (enrolled(), Cell::new(0));
    let note = Origin { id: Some(RequestId([1; 16])), host: None }.note("codes");
    let ask = || {
        update(&store, &alice(), &note, |record| {
            number.set(number.get() + 1);
            (State { failures: number.get().into(), ..record.state.clone() }, Shown(number.get()))
        })
        .unwrap()
    };
    assert_eq!((ask(), ask()), (Shown(1), Shown(2)));
}
