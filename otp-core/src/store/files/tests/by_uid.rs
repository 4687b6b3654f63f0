//! The index by user id: which records of one number there are under other names.

use std::os::unix::fs::symlink;

use super::*;

/// Alice after `usermod -l`.
fn renamed() -> Account {
    named("alice-smith", 1000)
}

fn others(home: &Home, account: &Account) -> Vec<String> {
    home.store.others_of(account).unwrap().iter().map(|other| other.name.to_string()).collect()
}

#[test]
fn a_record_is_found_by_its_number_under_another_name() {
    let home = Home::empty();
    assert!(others(&home, &renamed()).is_empty());
    home.enroll(&alice());
    let metadata = fs::metadata(home.path(".uid-1000")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (1000, 0o600));
    assert_eq!(others(&home, &renamed()), ["alice"]);
    assert!(others(&home, &alice()).is_empty() && others(&home, &named("alice-smith", 1001)).is_empty());
    // A second record of the number; then the file names both, and stays for the one that is left.
    home.enroll(&renamed());
    assert_eq!(
        (others(&home, &renamed()), others(&home, &alice())),
        (vec!["alice".into()], vec!["alice-smith".into()])
    );
    assert!(home.store.purge(&renamed()).unwrap());
    assert_eq!(others(&home, &renamed()), ["alice"]);
    assert_eq!(home.store.remove(&alice(), home.load().hold, &NOTE).unwrap(), Swap::Done);
    assert!(others(&home, &renamed()).is_empty());
}

#[test]
fn the_file_goes_with_the_last_record() {
    let removals: [fn(&Home); 2] = [
        |home| assert!(home.store.purge(&Account { uid: u32::MAX, ..alice() }).unwrap()),
        |home| assert_eq!(home.store.remove(&alice(), home.load().hold, &NOTE).unwrap(), Swap::Done),
    ];
    for remove in removals {
        let home = Home::enrolled();
        remove(&home);
        assert!(!home.path(".uid-1000").exists());
    }
}

#[test]
fn an_entry_without_a_record_of_that_number_says_nothing() {
    let home = Home::enrolled();
    chown(home.path("alice.toml"), Some(1001), None).unwrap();
    assert!(others(&home, &renamed()).is_empty(), "a new alice has it by now");
    fs::remove_file(home.path("alice.toml")).unwrap();
    assert!(others(&home, &renamed()).is_empty());
}

#[test]
fn what_a_killed_process_left_is_no_obstacle() {
    let home = Home::empty();
    fs::write(home.path(".uid-1000-by-root"), "ali").unwrap();
    home.enroll(&alice());
    assert_eq!(others(&home, &renamed()), ["alice"]);
    for half in ["", "ali", "\0\0"] {
        let home = Home::empty();
        fs::write(home.path(".uid-1000"), half).unwrap();
        chown(home.path(".uid-1000"), Some(1000), Some(GROUP)).unwrap();
        home.enroll(&alice());
        assert_eq!(others(&home, &renamed()), ["alice"], "{half:?}");
    }
}

#[test]
fn what_another_user_put_there_says_nothing_and_root_replaces_it() {
    let puts: [fn(&Path); 4] = [
        |path| fs::write(path, "alice\0").unwrap(),
        |path| symlink("alice.toml", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| nix::unistd::mkfifo(path, Mode::S_IRUSR).unwrap(),
    ];
    for put in puts {
        let home = Home::enrolled();
        let index = home.path(".uid-1000");
        fs::remove_file(&index).unwrap();
        put(&index);
        std::os::unix::fs::lchown(&index, Some(1001), Some(GROUP)).unwrap();
        assert!(others(&home, &renamed()).is_empty());
        let Loaded { record, hold } = home.load();
        assert_eq!(home.store.replace(&alice(), Some(hold), &re_enrolled(&record, 2), &NOTE).unwrap(), Swap::Done);
        assert_eq!(others(&home, &renamed()), ["alice"]);
    }
}

#[test]
fn an_enrollment_that_fails_leaves_no_entry_and_a_change_that_fails_leaves_it() {
    let (home, folder) = (Home::empty(), tempfile::tempdir().unwrap());
    let keys = super::sealed::source(folder.path());
    let home = Home { store: FileStore::open(home.directory.path()).unwrap().with_keys(keys), ..home };
    // Seeds are to be sealed, and there is no key.
    let keeper = folder.path().join("seal");
    fs::create_dir(&keeper).unwrap();
    assert!(home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).is_err());
    assert!(!home.path(".uid-1000").exists());
    fs::remove_dir(&keeper).unwrap();
    home.enroll(&alice());
    fs::create_dir(&keeper).unwrap();
    let Loaded { record, hold } = home.load();
    assert!(home.store.replace(&alice(), Some(hold), &re_enrolled(&record, 2), &NOTE).is_err());
    assert_eq!(others(&home, &renamed()), ["alice"]);
}

#[test]
fn what_root_put_there_stays_and_no_one_is_entered() {
    let home = Home::empty();
    fs::create_dir(home.path(".uid-1000")).unwrap();
    assert!(matches!(home.store.enter(&alice()), Err(StoreError::Busy)));
    assert!(home.path(".uid-1000").is_dir() && !home.path(".uid-1000-by-root").exists());
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_an_empty_list() {
    let home = Home::enrolled();
    let index = home.path(".uid-1000");
    fs::write(&index, b"\xff\xfe\0").unwrap();
    let error = home.store.others_of(&renamed()).unwrap_err().to_string();
    assert!(error.ends_with("/.uid-1000 does not hold names"), "{error}");
}

#[test]
fn records_of_earlier_versions_are_entered_at_once() {
    let home = Home::enrolled();
    home.enroll(&named("bob", 1001));
    fs::remove_file(home.path(".uid-1000")).unwrap();
    let missing = |home: &Home| home.store.not_entered().unwrap().len();
    assert_eq!(missing(&home), 1);
    home.store.enter_all().unwrap();
    assert_eq!((missing(&home), others(&home, &renamed())), (0, vec!["alice".to_owned()]));
    assert_eq!(fs::metadata(home.path(".uid-1000")).unwrap().uid(), 1000);
}
