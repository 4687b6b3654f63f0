//! A record whose account has another number now.

use super::*;
use crate::store::files::adopt::Numbers;

fn moved() -> Account {
    Account { uid: 71_000, gid: 71_000, ..alice() }
}

/// A record with these numbers: alice's own, or those of her account that has moved.
fn with(home: &Home, [credentials, state, inside]: [u32; 3]) {
    let text = fs::read_to_string(home.path("alice.toml")).unwrap();
    fs::write(home.path("alice.toml"), text.replace("uid = 1000\n", &format!("uid = {inside}\n"))).unwrap();
    chown(home.path("alice.toml"), Some(credentials), Some(credentials)).unwrap();
    chown(home.path("alice.state"), Some(state), Some(state)).unwrap();
}

#[test]
fn a_record_is_given_to_the_other_number_wherever_that_was_interrupted() {
    let [old, new] = [alice().uid, moved().uid];
    for bits in 0..8 {
        let home = Home::enrolled();
        assert_eq!(home.login(&right()).unwrap(), by_phone());
        let before = home.read();
        let numbers = [1, 2, 4].map(|bit| if bits & bit == 0 { old } else { new });
        with(&home, numbers);
        let [credentials, state, inside] = numbers;
        let (seen, found) = home.store.whatever_number(&moved()).unwrap().unwrap();
        assert_eq!((seen.state, found), (before.state.clone(), Numbers { credentials, state, inside }));
        assert_eq!(home.store.read(&moved()).is_ok(), bits == 7, "{numbers:?}");
        assert_eq!(home.store.adopt(&moved()).unwrap(), bits != 7, "{numbers:?}");
        let after = home.store.read(&moved()).unwrap().unwrap();
        assert_eq!((after.state, after.credentials.uid), (before.state, new), "{numbers:?}");
        assert_eq!(home.names(), ["alice.state", "alice.toml"]);
        assert!(!home.store.adopt(&moved()).unwrap());
        let is_entered = !home.store.others_of(&named("other", new)).unwrap().is_empty();
        assert!(is_entered || bits == 7, "{numbers:?}");
        if bits == 0 {
            assert_eq!(home.store.others_of(&named("other", old)).unwrap(), []);
        }
        let verdict = update(&home.store, &moved(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
        assert_eq!(verdict, REPLAYED, "used codes stay used");
    }
}

#[test]
fn who_has_no_record_adopts_none_and_the_record_of_another_name_is_not_adopted() {
    let home = Home::enrolled();
    assert!(home.store.whatever_number(&named("bob", 1)).unwrap().is_none());
    assert!(home.store.adopt(&named("bob", 1)).is_err());
    for ending in ["toml", "state"] {
        fs::rename(home.path(&format!("alice.{ending}")), home.path(&format!("bob.{ending}"))).unwrap();
    }
    assert!(matches!(home.store.adopt(&named("bob", 1)), Err(StoreError::Record { .. })));
    assert!(matches!(home.store.whatever_number(&named("bob", 1)), Err(StoreError::Record { .. })));
}
