//! Tests on a directory with the owner and mode of the real one: they need root.

mod adopt;
mod by_uid;
mod crashes;
mod fence;
mod first_records;
mod hostile;
mod identity;
mod looks;
mod others;
mod races;
mod sealed;
mod stopped;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::slots::SECOND_SLOT;
use super::*;
use crate::codes::attempt::Attempt;
use crate::decision::verify::{Refusal, Verdict, decide};
use crate::record::change::Change;
use crate::record::credentials::Override;
use crate::record::id::DeviceId;
use crate::record::state_slot::{Slot, of_version_2};
use crate::store::{change, update, update_for};
use crate::testing::fixtures::{
    GROUP, LIMITS, NOTE, NOW, REPLAYED, STEP, after, alice, by_phone, named, phone, re_enrolled, record, recovery,
    right, shown, state_directory, wrong, wrong_for_the,
};
use crate::value::time::UnixTime;
use crate::value::user::UserName;

struct Home {
    directory: TempDir,
    store: FileStore,
}

impl Home {
    fn empty() -> Self {
        let directory = state_directory();
        let store = FileStore::open(directory.path()).unwrap();
        Self { directory, store }
    }

    /// Alice has a phone and ten recovery codes.
    fn enrolled() -> Self {
        let home = Self::empty();
        home.enroll(&alice());
        home
    }

    fn enroll(&self, account: &Account) {
        let mut record = record(vec![phone(1)]);
        record.credentials.user = account.name.clone();
        record.credentials.uid = account.uid;
        assert_eq!(self.store.replace(account, None, &record, &NOTE).unwrap(), Swap::Done);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The names in the directory, without the rehearsals and the index by number.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != REHEARSAL && !name.starts_with(".uid-")).collect();
        names.sort_unstable();
        names
    }

    fn read(&self) -> Record {
        self.store.read(&alice()).unwrap().unwrap()
    }

    /// The names of all files that exist only during an enrollment.
    fn temporary(&self) -> [String; 4] {
        let state = fs::symlink_metadata(self.path("alice.state"));
        let names = Names::of(&alice());
        let [[user, root], [by_user, by_root]] =
            [names.incoming_with(state.map_or(0, |state| state.ino())), names.incoming_states()];
        [user, root, by_user, by_root]
    }

    /// The record and its lock, which is held until this is dropped.
    fn load(&self) -> Loaded<Held> {
        self.store.load(&alice()).unwrap().unwrap()
    }

    /// A re-enrollment: the same devices under a new enrollment.
    fn renew(&self, enrollment: u8) -> Record {
        let Loaded { record, hold } = self.load();
        let new = re_enrolled(&record, enrollment);
        assert_eq!(self.store.replace(&alice(), Some(hold), &new, &NOTE).unwrap(), Swap::Done);
        new
    }

    /// The highest sequence number in the state.
    fn sequence(&self) -> u64 {
        let state = fs::read(self.path("alice.state")).unwrap();
        Slots::new(state).highest()
    }

    fn login(&self, attempt: &Attempt) -> Result<Verdict, StoreError> {
        self.login_at(attempt, NOW)
    }

    fn login_at(&self, attempt: &Attempt, now: UnixTime) -> Result<Verdict, StoreError> {
        update(&self.store, &alice(), &NOTE, |record| decide(&LIMITS, record, attempt, now))
    }

    fn garble(&self, slot: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.path("alice.state")).unwrap();
        file.write_all_at(b"garbled", slot * SECOND_SLOT + 100).unwrap();
    }
}

mod suite {
    use super::Home;
    use crate::testing::store_suite::Nature;

    crate::store_suite!(
        {
            let Home { store, directory } = Home::empty();
            (store, directory)
        },
        Nature { locks: true, keeps_answers: false }
    );
}

/// Writes into an existing file of any user. Without O_CREAT: with it, Linux denies even root the files of other users in a
/// sticky directory (fs.protected_regular).
fn overwrite(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
}

#[test]
fn the_record_that_is_rehearsed_is_one_of_the_usual_size() {
    let credentials = Credentials::decode(REHEARSED, ReadContext::ANYONE).unwrap();
    assert_eq!(credentials.encode().as_bytes(), REHEARSED, "written as any other");
    let usual = record(vec![phone(1)]).credentials.encode().len();
    assert!(usual.abs_diff(REHEARSED.len()) < 40, "{usual} {}", REHEARSED.len());
}

#[test]
fn a_record_is_loaded_as_it_was_stored() {
    let home = Home::empty();
    assert!(home.store.read(&alice()).unwrap().is_none());
    let stored = record(vec![phone(1), phone(2)]);
    assert_eq!(home.store.replace(&alice(), None, &stored, &NOTE).unwrap(), Swap::Done);
    let loaded = home.read();
    assert_eq!(*loaded.credentials.encode(), *stored.credentials.encode());
    assert_eq!(loaded.state, stored.state);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.store.stems(|| ()).unwrap(), ["alice"]);
    let named = |name: &UserName| if *name == alice().name { Ok(alice()) } else { Err(StoreError::Busy) };
    let (account, read) = home.store.read_of("alice", named).unwrap();
    assert_eq!((account, *read.unwrap().credentials.encode() == *stored.credentials.encode()), (alice(), true));
}

#[test]
fn a_code_works_exactly_once_across_processes_that_share_nothing_but_the_directory() {
    let home = Home::enrolled();
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    let elsewhere = FileStore::open(home.directory.path()).unwrap();
    let again = update(&elsewhere, &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW));
    assert_eq!(again.unwrap(), REPLAYED);
}

#[test]
fn each_swap_is_read_back_over_many_swaps() {
    let home = Home::enrolled();
    for failures in 1..=40 {
        let Loaded { record, hold } = home.load();
        assert_eq!((hold.sequence, record.state.failures), (u64::from(failures), failures - 1));
        let state = State { failures, ..record.state };
        assert_eq!(home.store.swap(&alice(), hold, &state, &NOTE).unwrap(), Swap::Done);
    }
}

#[test]
fn a_login_writes_only_the_state() {
    let home = Home::enrolled();
    let look = || {
        let metadata = fs::metadata(home.path("alice.toml")).unwrap();
        let (mtime, ctime) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
        (metadata.ino(), mtime, ctime, fs::read_to_string(home.path("alice.toml")).unwrap())
    };
    let before = look();
    let state = fs::read_to_string(home.path("alice.state")).unwrap();
    for attempt in [wrong(), right(), recovery(0)] {
        home.login(&attempt).unwrap();
    }
    assert_eq!(look(), before);
    assert_ne!(fs::read_to_string(home.path("alice.state")).unwrap(), state);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn the_state_is_overwritten_in_place() {
    let home = Home::enrolled();
    let look = || {
        let metadata = fs::metadata(home.path("alice.state")).unwrap();
        (metadata.ino(), metadata.len(), metadata.blocks())
    };
    let before = look();
    assert_eq!((before.1, before.2 > 0), (4096, true), "all of it is allocated before the first login");
    for _ in 0..5 {
        home.login(&wrong()).unwrap();
        assert_eq!(look(), before);
    }
    home.login(&right()).unwrap();
    assert_eq!(look(), before);
}

#[test]
fn the_state_can_be_read_by_a_person() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let text = fs::read_to_string(home.path("alice.state")).unwrap();
    assert!(text.contains("\nfailures 1\n") && text.contains("\ndevice 1 next 0 used never\n"), "{text}");
}

#[test]
fn files_belong_to_their_user_with_mode_0600_though_root_made_them() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    home.renew(2);
    for name in home.names() {
        let metadata = fs::metadata(home.path(&name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1000, 1000, 0o600), "{name}");
    }
}

#[test]
fn a_name_with_slashes_stays_inside_the_directory() {
    let home = Home::empty();
    let odd = named("../victim", 1000);
    home.enroll(&odd);
    assert_eq!(home.names(), ["%2E.%2Fvictim.state", "%2E.%2Fvictim.toml"]);
    assert!(home.store.read(&odd).unwrap().is_some());
    assert!(home.store.read(&named("victim", 1000)).unwrap().is_none());
}

#[test]
fn a_new_enrollment_replaces_the_old_one() {
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    let sequence = home.sequence();
    let new = home.renew(2);
    assert_eq!((home.read().state, home.sequence()), (new.state, sequence + 1));
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn between_load_and_write_no_other_process_can_write() {
    let home = Home::enrolled();
    let Loaded { record, hold } = home.load();
    let other = File::open(home.path("alice.state")).unwrap();
    assert!(other.try_lock().is_err());
    assert_eq!(home.store.swap(&alice(), hold, &State { failures: 3, ..record.state }, &NOTE).unwrap(), Swap::Done);
    assert_eq!(home.read().state.failures, 3);
    assert!(other.try_lock().is_ok());
}

#[test]
fn a_lock_is_released_even_if_a_process_that_was_forked_meanwhile_has_the_file_open() {
    let home = Home::enrolled();
    let loaded = home.load();
    let _in_the_child = loaded.hold.state.try_clone().unwrap(); // as after fork(2)
    drop(loaded);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn reading_a_record_locks_nothing_and_waits_for_nothing() {
    let home = Home::enrolled();
    let _record = home.read();
    let _seen = home.store.see(&alice()).unwrap();
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    let _held = home.load();
    assert_eq!(home.read().state.next(DeviceId(1)).unwrap(), STEP + 1);
    assert!(home.store.see(&alice()).unwrap().is_some());
}

#[test]
fn a_record_that_is_removed_is_gone_with_its_state() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let Loaded { record, hold } = home.load();
    assert_eq!(home.store.remove(&alice(), hold, &NOTE).unwrap(), Swap::Done);
    assert!(home.names().is_empty());
    assert!(home.store.read(&alice()).unwrap().is_none());
    assert!(home.store.load(&alice()).unwrap().is_none());
    let new = re_enrolled(&record, 2);
    assert_eq!(home.store.replace(&alice(), None, &new, &NOTE).unwrap(), Swap::Done);
    assert_eq!((home.read().state, home.sequence()), (new.state, 1));
}

#[test]
fn credentials_that_configuration_management_copied_back_keep_their_state() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    fs::copy(home.path("alice.toml"), home.path("copy")).unwrap();
    chown(home.path("copy"), Some(1000), Some(1000)).unwrap();
    fs::rename(home.path("copy"), home.path("alice.toml")).unwrap();
    assert_eq!(home.read().state.failures, 1);
    assert_eq!(home.login(&right()).unwrap(), after(1, by_phone()));
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn a_first_enrollment_never_replaces_credentials() {
    let home = Home::enrolled();
    let other = re_enrolled(&home.read(), 2);
    assert_eq!(home.store.replace(&alice(), None, &other, &NOTE).unwrap(), Swap::Lost);
    assert_eq!(home.sequence(), 1);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
}

#[test]
fn an_override_alone_is_a_record_too() {
    let home = Home::empty();
    let mut required = record(vec![]);
    required.credentials.user_override = Override::Required;
    required.credentials.recovery = None;
    assert_eq!(home.store.replace(&alice(), None, &required, &NOTE).unwrap(), Swap::Done);
    assert!(!home.read().is_enrolled());
    assert_eq!(home.login(&right()).unwrap(), Verdict::Refused(Refusal::NotEnrolled));
}

#[test]
fn a_record_exists_whichever_user_owns_it() {
    let home = Home::enrolled();
    let ghost = |name| Account { uid: u32::MAX, ..named(name, 1) };
    assert_eq!(["alice", "bob"].map(|name| home.store.holds(&ghost(name)).unwrap()), [true, false]);
}

#[test]
fn a_rehearsal_leaves_one_file_and_changes_no_other() {
    let home = Home::enrolled();
    let before = fs::read_to_string(home.path("alice.state")).unwrap();
    (0..3).for_each(|_| home.store.rehearse(&alice(), &NOTE).unwrap());
    assert_eq!(fs::read_to_string(home.path("alice.state")).unwrap(), before);
    assert_eq!(fs::metadata(home.path(REHEARSAL)).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(home.store.stems(|| ()).unwrap(), ["alice"]);
}

#[test]
fn purging_removes_all_files_of_a_user() {
    let home = Home::enrolled();
    home.enroll(&named("bob", 1001));
    for name in ["alice.toml", "alice.state"] {
        overwrite(home.path(name), "not a record");
    }
    for name in home.temporary() {
        fs::write(home.path(&name), "not a record").unwrap();
    }
    assert!(home.store.purge(&alice()).unwrap());
    assert_eq!(home.names(), ["bob.state", "bob.toml"]);
    assert!(!home.store.purge(&alice()).unwrap());
    home.enroll(&alice());
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn a_user_can_enroll_again_after_a_removal() {
    let home = Home::enrolled();
    change(&home.store, &alice(), &NOTE, |_| (Change::Nothing, ())).unwrap();
    assert!(home.names().is_empty());
    change(&home.store, &alice(), &NOTE, |found| {
        assert!(found.is_none());
        (Change::Record(Box::new(re_enrolled(&record(vec![phone(1)]), 2))), ())
    })
    .unwrap();
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn a_state_whose_credentials_were_lost_is_found() {
    let home = Home::enrolled();
    let alone = || home.store.states_alone().unwrap();
    home.enroll(&named("bob", 1001));
    home.store.create("carol.state", &named("carol", 1002), &BLANK).unwrap(); // an enrollment that was cut off
    assert!(alone().is_empty());
    fs::remove_file(home.path("alice.toml")).unwrap();
    assert_eq!(alone(), ["alice"]);
    // Credentials that are about to get their name are not lost.
    for incoming in &home.temporary()[..2] {
        fs::write(home.path(incoming), "").unwrap();
        assert!(alone().is_empty());
        fs::remove_file(home.path(incoming)).unwrap();
    }
}

#[test]
fn a_store_knows_its_group_and_can_wait_for_less_long() {
    let home = Home::empty();
    assert_eq!(home.store.group().unwrap(), GROUP);
    assert!((2..home.store.tries / 3).contains(&FileStore::open(home.directory.path()).unwrap().impatient().tries));
}

#[test]
fn a_lock_is_released_also_where_a_process_has_inherited_the_file() {
    let home = Home::enrolled();
    let hold = home.load().hold;
    let _inherited = hold.state.try_clone().unwrap();
    let other = File::open(home.path("alice.state")).unwrap();
    assert!(other.try_lock().is_err());
    drop(hold);
    other.try_lock().unwrap();
}
