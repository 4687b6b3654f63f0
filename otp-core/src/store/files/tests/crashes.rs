//! What a killed process leaves, and what a disk does to a slot.

use super::*;

fn error_of(error: StoreError) -> String {
    match error {
        StoreError::Record { path, error } => format!("{} {error}", path.file_name().unwrap().display()),
        other @ (StoreError::System { .. }
        | StoreError::Unflushed { .. }
        | StoreError::Untrusted { .. }
        | StoreError::OfOther { .. }
        | StoreError::Identity { .. }
        | StoreError::Busy
        | StoreError::Unreachable(_)
        | StoreError::Unconfirmed(_)) => panic!("{other}"),
    }
}

#[test]
fn a_torn_slot_falls_back_to_the_other() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap(); // into the second slot
    home.garble(1);
    assert_eq!(home.read().state.failures, 0);
    home.login(&wrong()).unwrap();
    home.login(&wrong()).unwrap(); // into the first
    home.garble(0);
    assert_eq!(home.read().state.failures, 1);
    assert_eq!(home.login(&right()).unwrap(), after(1, by_phone()));
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn the_torn_slot_is_the_next_one_to_be_written() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    home.garble(0);
    home.login(&wrong()).unwrap();
    home.garble(1);
    assert_eq!(home.read().state.failures, 2);
}

#[test]
fn two_unreadable_slots_are_an_error_and_never_a_fresh_start() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    [0, 1].into_iter().for_each(|slot| home.garble(slot));
    let expected = "alice.state cannot be read: neither slot holds a state of this enrollment";
    assert_eq!(error_of(home.login(&right()).unwrap_err()), expected);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn the_state_before_that_of_another_version_is_never_used() {
    let home = Home::enrolled();
    assert_eq!(home.login(&right()).unwrap(), after(0, by_phone())); // into the second slot
    let write = |sequence, enrollment| {
        let mut state = fs::read(home.path("alice.state")).unwrap();
        let text = of_version_2(sequence, enrollment);
        state[usize::try_from(SECOND_SLOT).unwrap()..][..text.len()].copy_from_slice(text.as_bytes());
        state[usize::try_from(SECOND_SLOT).unwrap() + text.len()..].fill(b' ');
        overwrite(home.path("alice.state"), state);
    };
    let enrollment = home.read().state.enrollment;
    write(2, enrollment);
    let expected = "alice.state has version 2; this program reads version 1";
    for _ in 0..2 {
        assert_eq!(error_of(home.login(&right()).unwrap_err()), expected);
    }
    // A slot of another enrollment belongs to no record: the next state overwrites it.
    write(2, EnrollmentId([9; 16]));
    assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(1));
}

#[test]
fn a_missing_state_is_an_error_and_never_a_fresh_start() {
    let home = Home::enrolled();
    fs::remove_file(home.path("alice.state")).unwrap();
    let expected = "alice.state is missing, although the user is enrolled";
    assert_eq!(error_of(home.login(&right()).unwrap_err()), expected);
    assert_eq!(home.names(), ["alice.toml"]);
}

#[test]
fn the_state_of_another_enrollment_is_never_used() {
    let home = Home::enrolled();
    let credentials = fs::read(home.path("alice.toml")).unwrap();
    home.renew(2);
    home.login(&wrong()).unwrap(); // overwrites the last state of the first enrollment
    overwrite(home.path("alice.toml"), credentials);
    let expected = "alice.state cannot be read: neither slot holds a state of this enrollment";
    assert_eq!(error_of(home.login(&right()).unwrap_err()), expected);
}

#[test]
fn a_state_with_other_devices_than_the_credentials_is_an_error() {
    let home = Home::enrolled();
    let Loaded { record, hold } = home.load();
    let mut state = record.state;
    state.set_nexts([(2, 0)]);
    assert_eq!(home.store.swap(&alice(), hold, &state, &NOTE).unwrap(), Swap::Done);
    let expected = "alice.state is inconsistent: state and credentials name different devices";
    assert_eq!(error_of(home.login(&right()).unwrap_err()), expected);
}

#[test]
fn at_the_maximum_sequence_number_no_code_is_accepted() {
    let home = Home::enrolled();
    let last = Slot { sequence: u64::MAX, state: home.load().record.state }.encode().unwrap();
    for offset in [0, SECOND_SLOT] {
        overwrite(home.path("alice.state"), BLANK);
        let file = fs::OpenOptions::new().write(true).open(home.path("alice.state")).unwrap();
        file.write_all_at(&last, offset).unwrap();
        let expected = "alice.state is inconsistent: the sequence number is at its maximum";
        assert_eq!(error_of(home.login(&right()).unwrap_err()), expected, "{offset}");
    }
}

#[test]
fn an_enrollment_that_was_killed_before_its_rename_changes_nothing() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let Loaded { record, hold } = home.load();
    let killed = re_enrolled(&record, 2);
    let [_, incoming, ..] = home.temporary();
    home.store.create(&incoming, &alice(), killed.credentials.encode().as_bytes()).unwrap();
    home.store.write_slot(&hold, &killed.state).unwrap();
    drop(hold);
    assert_eq!(home.read().state, record.state);

    // Later logins use higher sequence numbers, and never overwrite the one slot of their enrollment.
    assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(2));
    home.garble(1);
    assert_eq!(home.login(&right()).unwrap(), after(2, by_phone()));
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);

    // The leftover does not hinder the next enrollment.
    let next = home.renew(3);
    assert_eq!(home.read().state, next.state);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn a_first_enrollment_succeeds_whatever_a_killed_one_left() {
    for leftover in ["new credentials", "state"] {
        let home = Home::empty();
        home.store.create("alice.state", &alice(), &BLANK).unwrap();
        if leftover == "new credentials" {
            home.store.create(&home.temporary()[1], &alice(), &BLANK).unwrap();
        }
        assert!(home.store.load(&alice()).unwrap().is_none(), "{leftover}");
        assert_eq!(home.login(&right()).unwrap(), Verdict::Refused(Refusal::NotEnrolled));
        home.enroll(&alice());
        assert_eq!(home.names(), ["alice.state", "alice.toml"], "{leftover}");
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{leftover}");
    }
}

#[test]
fn leftovers_are_gone_after_the_next_enrollment_and_after_a_removal() {
    let litter = |home: &Home| {
        for name in home.temporary() {
            fs::write(home.path(&name), "half").unwrap();
        }
    };
    let home = Home::empty();
    home.store.create("alice.state", &alice(), &BLANK).unwrap();
    litter(&home);
    home.enroll(&alice());
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    litter(&home);
    home.renew(2);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    litter(&home);
    assert_eq!(home.store.remove(&alice(), home.load().hold, &NOTE).unwrap(), Swap::Done);
    assert!(home.names().is_empty());
}

#[test]
fn a_state_without_credentials_is_no_enrollment_and_its_sequence_continues() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    let (old, sequence) = (home.read(), home.sequence());
    fs::remove_file(home.path("alice.toml")).unwrap();
    assert!(home.store.load(&alice()).unwrap().is_none());
    let new = re_enrolled(&old, 2);
    assert_eq!(home.store.replace(&alice(), None, &new, &NOTE).unwrap(), Swap::Done);
    assert_eq!(home.sequence(), sequence + 1);
    assert_eq!(home.read().state, new.state);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn a_leftover_state_of_the_wrong_size_does_not_break_an_enrollment() {
    for size in [0, 1, 2048, 4095, 4097, 70_000] {
        let home = Home::empty();
        home.store.create("alice.state", &alice(), &vec![b'x'; size]).unwrap();
        home.enroll(&alice());
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{size}");
        assert_eq!(fs::metadata(home.path("alice.state")).unwrap().len(), 4096);
    }
}

#[test]
fn an_enrollment_that_fails_keeps_the_old_one_and_leaves_no_seed_behind() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    let Loaded { record, hold } = home.load();
    let mut impossible = re_enrolled(&record, 2);
    impossible.state.set_nexts((0..=200).map(|number| (number, u64::MAX)));
    let error = home.store.replace(&alice(), Some(hold), &impossible, &NOTE).unwrap_err();
    assert_eq!(error_of(error), "alice.state is inconsistent: the state is too large for its slot");
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.read().state, record.state);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}
