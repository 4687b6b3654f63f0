//! First records of many users, flushed together.

use super::*;
use crate::store::files::first_records::{FirstRecords, Written};

fn users() -> Vec<Account> {
    (0..20).map(|number| named(&format!("user-{number}"), 2000 + number)).collect()
}

fn first(account: &Account) -> Record {
    let mut record = record(vec![phone(1)]);
    record.credentials.user = account.name.clone();
    record.credentials.uid = account.uid;
    record
}

fn write(records: &FirstRecords<'_>, account: &Account) -> Option<Written> {
    records.write(account, &first(account))
}

fn put(records: &FirstRecords<'_>, written: &[Written]) -> Vec<bool> {
    let put = records.put_in_force(&written.iter().collect::<Vec<_>>());
    put.into_iter().map(Result::unwrap).collect()
}

#[test]
fn many_come_into_force_together_and_are_as_others_are() {
    let home = Home::empty();
    let records = home.store.first_records().unwrap();
    let written: Vec<_> = users().iter().map(|user| write(&records, user).unwrap()).collect();
    for user in users() {
        assert!(home.store.read(&user).unwrap().is_none() && !home.store.holds(&user).unwrap());
    }
    assert_eq!(put(&records, &written), [true; 20]);
    drop(written); // and with it the locks
    for user in users() {
        let attempt = update(&home.store, &user, &NOTE, |record| decide(&LIMITS, record, &right(), NOW));
        assert_eq!(attempt.unwrap(), by_phone());
        for ending in ["toml", "state"] {
            let metadata = fs::metadata(home.path(&format!("{}.{ending}", user.name))).unwrap();
            assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (user.uid, user.gid, 0o600));
        }
        let renamed = Account { name: alice().name, ..user.clone() };
        assert_eq!(home.store.others_of(&renamed).unwrap(), [user]);
    }
    assert_eq!(home.names().len(), 40, "nothing is left: {:?}", home.names());
    assert!(home.store.not_entered().unwrap().is_empty());
}

#[test]
fn what_was_not_put_in_force_does_not_count_and_is_cleared_away() {
    let home = Home::empty();
    let records = home.store.first_records().unwrap();
    drop(write(&records, &alice()).unwrap()); // as by a process that is killed
    assert_eq!(home.names().len(), 2, "{:?}", home.names());
    assert!(home.store.states_alone().unwrap().is_empty(), "no credentials were lost");
    assert!(home.store.load(&alice()).unwrap().is_none());
    assert!(write(&records, &alice()).is_none());
    home.enroll(&alice());
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn who_has_a_record_or_part_of_one_is_left_to_the_usual_way() {
    let home = Home::enrolled();
    let records = home.store.first_records().unwrap();
    let before = home.names();
    assert!(write(&records, &alice()).is_none());
    assert_eq!(home.names(), before);
    fs::remove_file(home.path("alice.state")).unwrap();
    assert!(write(&records, &alice()).is_none());
    assert_eq!(home.names(), ["alice.toml"], "a state that was lost is not begun anew");
    let bob = named("bob", 1001);
    for left in ["bob.state", "bob.new-state-by-root"] {
        fs::write(home.path(left), "").unwrap();
        assert!(write(&records, &bob).is_none());
        assert_eq!(home.names(), ["alice.toml", left]);
        fs::remove_file(home.path(left)).unwrap();
    }
}

#[test]
fn a_process_that_fenced_it_off_is_not_overtaken() {
    let home = Home::empty();
    let records = home.store.first_records().unwrap();
    let written = write(&records, &alice()).unwrap();
    let impatient = FileStore { tries: 1, ..FileStore::open(home.directory.path()).unwrap() };
    assert_eq!(impatient.replace(&alice(), None, &first(&alice()), &NOTE).unwrap(), Swap::Done);
    assert_eq!(put(&records, &[written]), [false]);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn what_cannot_be_put_in_force_leaves_no_seed_behind() {
    let home = Home::empty();
    let records = home.store.first_records().unwrap();
    let written = [alice(), named("bob", 1001)].map(|user| write(&records, &user).unwrap());
    fs::create_dir(home.path("alice.toml")).unwrap();
    assert_eq!(put(&records, &written), [false, true]);
    assert_eq!(home.names(), ["alice.state", "alice.toml", "bob.state", "bob.toml"]);
}

#[test]
fn two_accounts_of_one_number_are_both_in_the_index() {
    let home = Home::empty();
    let records = home.store.first_records().unwrap();
    let two = [alice(), named("alice-smith", 1000)];
    let written: Vec<_> = two.iter().map(|user| write(&records, user).unwrap()).collect();
    assert_eq!(put(&records, &written), [true; 2]);
    drop(written);
    assert!(home.store.not_entered().unwrap().is_empty());
    assert_eq!(home.store.others_of(&two[0]).unwrap(), [two[1].clone()]);
}

#[test]
fn a_state_that_a_killed_process_left_is_used_again_whoever_made_it() {
    for owner in [0, 1000] {
        let home = Home::empty();
        let left = home.path(&home.temporary()[3]);
        fs::write(&left, "half").unwrap();
        fs::set_permissions(&left, Permissions::from_mode(0o600)).unwrap();
        chown(&left, Some(owner), Some(GROUP)).unwrap();
        let open = File::open(&left).unwrap(); // no other file has its number meanwhile
        home.enroll(&alice());
        let [state, left] = [fs::metadata(home.path("alice.state")), open.metadata()].map(|found| found.unwrap().ino());
        assert_eq!(state, left, "{owner}");
        assert_eq!(home.login(&right()).unwrap(), by_phone());
    }
}
