//! What a process leaves behind that was killed, and what a disk does to a slot.

use super::*;

fn damage(error: StoreError) -> String {
    match error {
        StoreError::Damaged { path, damage } => format!("{} {damage}", path.file_name().unwrap().display()),
        other @ (StoreError::System { .. } | StoreError::Untrusted { .. } | StoreError::Busy) => panic!("{other}"),
    }
}

#[test]
fn a_torn_slot_falls_back_to_the_other() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap(); // into the second slot
    home.garble(1);
    assert_eq!(home.load().record.state.failures, 0);
    home.login(&wrong()).unwrap();
    home.login(&wrong()).unwrap(); // into the first
    home.garble(0);
    assert_eq!(home.load().record.state.failures, 1);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn the_slot_that_is_torn_is_the_one_that_is_written_next() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    home.garble(0);
    home.login(&wrong()).unwrap();
    home.garble(1);
    assert_eq!(home.load().record.state.failures, 2);
}

#[test]
fn two_unreadable_slots_are_damage_and_never_a_fresh_start() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    [0, 1].into_iter().for_each(|slot| home.garble(slot));
    let expected = "alice.state cannot be read: neither slot holds a state of this enrolment";
    assert_eq!(damage(home.login(&right()).unwrap_err()), expected);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn a_missing_state_is_damage_and_never_a_fresh_start() {
    let home = Home::enrolled();
    fs::remove_file(home.path("alice.state")).unwrap();
    let expected = "alice.state is missing, although the user is enrolled";
    assert_eq!(damage(home.login(&right()).unwrap_err()), expected);
    assert_eq!(home.names(), ["alice.toml"]);
}

#[test]
fn the_state_of_another_enrolment_is_never_taken() {
    let home = Home::enrolled();
    let credentials = fs::read(home.path("alice.toml")).unwrap();
    let seen = home.load();
    assert_eq!(home.store.replace(&alice(), Some(seen.version), &enrolled_anew(&seen.record, 2)).unwrap(), Swap::Done);
    home.login(&wrong()).unwrap(); // the last trace of the first enrolment is overwritten
    overwrite(home.path("alice.toml"), credentials);
    let expected = "alice.state cannot be read: neither slot holds a state of this enrolment";
    assert_eq!(damage(home.login(&right()).unwrap_err()), expected);
}

#[test]
fn a_state_with_other_devices_than_the_credentials_is_damage() {
    let home = Home::enrolled();
    let seen = home.load();
    let mut state = seen.record.state;
    state.marks.insert(DeviceId(2), 0);
    assert_eq!(home.store.swap(&alice(), seen.version, &state).unwrap(), Swap::Done);
    let expected = "alice.state does not fit: the state does not have one mark for each device";
    assert_eq!(damage(home.login(&right()).unwrap_err()), expected);
}

#[test]
fn where_no_sequence_number_follows_nothing_is_accepted() {
    let home = Home::enrolled();
    let last = Slot { sequence: u64::MAX, state: home.load().record.state }.encode().unwrap();
    for place in [0, SECOND_SLOT] {
        overwrite(home.path("alice.state"), BLANK_STATE);
        let file = fs::OpenOptions::new().write(true).open(home.path("alice.state")).unwrap();
        file.write_all_at(&last, place).unwrap();
        let expected = "alice.state does not fit: no sequence number follows";
        assert_eq!(damage(home.login(&right()).unwrap_err()), expected, "{place}");
    }
}

#[test]
fn an_enrolment_that_was_killed_before_its_rename_never_happened() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let seen = home.load();
    let killed = enrolled_anew(&seen.record, 2);
    let half_done = |home: &Home| {
        let file = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
        home.store.create("alice.new-by-root", &alice(), killed.credentials.encode().as_bytes()).unwrap();
        home.store.write_slot(&file, "alice.state", 0, seen.version.sequence, &killed.state).unwrap();
    };
    half_done(&home);
    assert_eq!(home.load().record.state, seen.record.state);

    // The logins after it write above it, and never over the one slot that is theirs.
    assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(2));
    home.garble(1);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);

    // The next enrolment is not in the way of what was left.
    let seen = home.load();
    let next = enrolled_anew(&seen.record, 3);
    assert_eq!(home.store.replace(&alice(), Some(seen.version), &next).unwrap(), Swap::Done);
    assert_eq!(home.load().record.state, next.state);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn a_first_enrolment_starts_over_whatever_a_killed_one_left() {
    for leftover in ["alice.new-by-root", "alice.state"] {
        let home = Home::empty();
        home.store.create(leftover, &alice(), &[b' '; SLOT_SIZE * 2]).unwrap();
        assert!(home.store.load(&alice()).unwrap().is_none(), "{leftover}");
        assert_eq!(home.login(&right()).unwrap(), Verdict::Refused(Refusal::NotEnrolled));
        home.enrol(&alice());
        assert_eq!(home.names(), ["alice.state", "alice.toml"], "{leftover}");
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{leftover}");
    }
}

#[test]
fn a_state_file_that_never_got_its_name_is_in_nobodys_way() {
    let home = Home::empty();
    let leftover = format!("alice.state.{}", std::process::id());
    home.store.create(&leftover, &alice(), b"half").unwrap();
    home.enrol(&alice());
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn a_state_left_without_credentials_is_not_an_enrolment_and_its_sequence_goes_on() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    let old = home.load();
    fs::remove_file(home.path("alice.toml")).unwrap();
    assert!(home.store.load(&alice()).unwrap().is_none());
    let new = enrolled_anew(&old.record, 2);
    assert_eq!(home.store.replace(&alice(), None, &new).unwrap(), Swap::Done);
    assert_eq!(home.load().version.sequence, old.version.sequence + 1);
    assert_eq!(home.load().record.state, new.state);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn a_state_of_the_wrong_size_without_credentials_does_not_spoil_an_enrolment() {
    for size in [0, 1, 2048, 4095, 4097, 70_000] {
        let home = Home::empty();
        home.store.create("alice.state", &alice(), &vec![b'x'; size]).unwrap();
        home.enrol(&alice());
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{size}");
        assert_eq!(fs::metadata(home.path("alice.state")).unwrap().len(), 4096);
    }
}

#[test]
fn an_enrolment_that_fails_keeps_the_old_one_and_leaves_no_seed_behind() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    let seen = home.load();
    let mut impossible = enrolled_anew(&seen.record, 2);
    impossible.state.marks = (0..=200).map(|number| (DeviceId(number), u64::MAX)).collect();
    let error = home.store.replace(&alice(), Some(seen.version), &impossible).unwrap_err();
    assert_eq!(damage(error), "alice.state does not fit: the state does not fit its slot");
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.load().record.state, seen.record.state);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}
