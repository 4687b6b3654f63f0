//! Tests as another user or with another umask. Each runs in a process of its own, since both belong to the process.

use std::os::unix::fs::{lchown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::*;
use crate::record::seal::Shut;
use crate::store::files::seal_keys::KeySource;

/// Runs one of the ignored tests below in a new process whose working directory is the state directory.
fn run(test: &str, home: &Home, uid: u32, gid: u32) {
    // A copy that every user may execute, wherever it was built.
    let copy = tempfile::tempdir().unwrap();
    fs::set_permissions(copy.path(), Permissions::from_mode(0o755)).unwrap();
    let program = copy.path().join("tests");
    // cp copies it: if this process had the copy open for writing, a child that another test starts at that moment would
    // have it open too, and Linux does not execute such a file.
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    let name = format!("store::files::tests::others::{test}");
    let mut command = Command::new(&program);
    command.args(["--exact", "--ignored", &name]).current_dir(home.directory.path()).uid(uid).gid(gid);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn here() -> FileStore {
    FileStore::open(Path::new(".")).unwrap()
}

fn with_umask(mask: u32) {
    nix::sys::stat::umask(Mode::from_bits_truncate(mask));
    let home = Home::enrolled();
    home.login(&right()).unwrap();
    home.store.rehearse(&alice(), &NOTE).unwrap();
    for name in ["alice.toml", "alice.state"] {
        assert_eq!(fs::metadata(home.path(name)).unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(home.path(REHEARSAL)).unwrap().mode() & 0o177, 0);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn files_have_mode_0600_whatever_the_umask() {
    run("under_umask_0", &Home::empty(), 0, 0);
    run("under_umask_0777", &Home::empty(), 0, 0);
}

#[test]
#[ignore = "changes the umask of its process: run by files_have_mode_0600_whatever_the_umask"]
fn under_umask_0() {
    with_umask(0);
}

#[test]
#[ignore = "changes the umask of its process: run by files_have_mode_0600_whatever_the_umask"]
fn under_umask_0777() {
    with_umask(0o777);
}

#[test]
fn with_the_group_alone_alice_reaches_her_own_record() {
    let home = Home::empty();
    run("as_alice_enroll_log_in_and_leave", &home, 1000, GROUP);
    // Her helper removes no file: she could stop it, and let it go on when there are other credentials.
    assert!(home.read().is_blank());
    assert!(home.store.purge(&alice()).unwrap());
    assert!(home.names().is_empty());
}

#[test]
#[ignore = "needs to be alice: run by with_the_group_alone_alice_reaches_her_own_record"]
fn as_alice_enroll_log_in_and_leave() {
    let store = here();
    let login = || update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
    assert_eq!(store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Done);
    assert_eq!((login(), login()), (by_phone(), REPLAYED));
    let Loaded { record, hold } = store.load(&alice()).unwrap().unwrap();
    assert_eq!(store.replace(&alice(), Some(hold), &re_enrolled(&record, 2), &NOTE).unwrap(), Swap::Done);
    assert_eq!((login(), login()), (by_phone(), REPLAYED));
    let hold = store.load(&alice()).unwrap().unwrap().hold;
    assert_eq!(store.remove(&alice(), hold, &NOTE).unwrap(), Swap::Done);
}

#[test]
fn with_the_group_alone_alice_reaches_no_other_record() {
    let home = Home::empty();
    home.enroll(&named("bob", 1001));
    let before = (fs::read(home.path("bob.toml")).unwrap(), fs::read(home.path("bob.state")).unwrap());
    run("as_alice_try_bobs_record", &home, 1000, GROUP);
    assert_eq!((fs::read(home.path("bob.toml")).unwrap(), fs::read(home.path("bob.state")).unwrap()), before);
    assert_eq!(home.names(), ["bob.state", "bob.toml"]);
}

#[test]
#[ignore = "needs to be alice: run by with_the_group_alone_alice_reaches_no_other_record"]
fn as_alice_try_bobs_record() {
    let (store, bob) = (here(), named("bob", 1001));
    let denied = |error: StoreError| error.to_string();
    assert_eq!(denied(store.load(&bob).err().unwrap()), "cannot open ./bob.state: Permission denied");
    assert_eq!(denied(store.read(&bob).err().unwrap()), "cannot open ./bob.toml: Permission denied");
    // Not even with a forged lock.
    let forged = || Held {
        state: File::open("/dev/null").unwrap().into(),
        name: "bob.state".into(),
        inode: 0,
        spare: 0,
        sequence: 1,
    };
    assert!(store.replace(&bob, Some(forged()), &record(vec![phone(1)]), &NOTE).is_err());
    assert!(store.remove(&bob, forged(), &NOTE).is_err());
    assert!(store.purge(&bob).is_err());
    assert!(store.first_records().is_none());
    // The keys of seeds are asked for, whatever is there.
    let keys = KeySource { file: None, config: "pam_otp.toml".into(), ask: Some(|| Err(Shut::NoAgent)) };
    assert_eq!(keys.ring().err(), Some(Shut::NoAgent));
    assert_eq!(denied(store.stems(|| ()).unwrap_err()), "cannot list .: Permission denied");
}

#[test]
fn a_file_that_bob_put_in_place_of_alices_entry_does_not_keep_her_from_enrolling() {
    let home = Home::empty();
    fs::write(home.path(".uid-1000"), "carol\0").unwrap();
    chown(home.path(".uid-1000"), Some(1001), Some(GROUP)).unwrap();
    run("as_alice_enroll", &home, 1000, GROUP);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    // Without it, her own process makes her entry.
    let home = Home::empty();
    run("as_alice_enroll", &home, 1000, GROUP);
    let others = home.store.others_of(&named("alice-smith", 1000)).unwrap();
    assert_eq!(others, [alice()].map(|alice| Account { gid: 1000, ..alice }));
}

#[test]
fn an_enrollment_by_root_that_was_killed_does_not_keep_alice_from_enrolling() {
    let home = Home::empty();
    // As if root was killed between making the new credentials and giving them to her.
    home.store.create("alice.state", &alice(), &BLANK).unwrap();
    fs::write(home.path(&home.temporary()[1]), "").unwrap();
    run("as_alice_enroll", &home, 1000, GROUP);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert!(home.store.purge(&alice()).unwrap());
    assert!(home.names().is_empty());
}

#[test]
#[ignore = "needs to be alice: run by an_enrollment_by_root_that_was_killed_does_not_keep_alice_from_enrolling"]
fn as_alice_enroll() {
    assert_eq!(here().replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Done);
}

#[test]
fn new_credentials_that_are_still_roots_do_not_keep_alice_from_finishing_a_fence() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    // As if root was frozen or killed between making the new credentials and giving them to her: it has not yet looked
    // whether its file is in place, so it cannot put them in place any more.
    fs::write(home.path(&home.temporary()[1]), "").unwrap();
    let state = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
    drop(home.store.fence(&alice(), &Names::of(&alice()), &state).unwrap().unwrap());
    run("as_alice_log_in", &home, 1000, GROUP);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
#[ignore = "needs to be alice: run by new_credentials_that_are_still_roots_do_not_keep_alice_from_finishing_a_fence"]
fn as_alice_log_in() {
    let verdict = update(&here(), &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW));
    assert_eq!(verdict.unwrap(), after(1, by_phone()));
}

#[test]
fn files_that_another_user_put_there_do_not_keep_alice_from_enrolling() {
    for kind in ["file", "folder", "link"] {
        let home = Home::empty();
        home.store.create("alice.state", &alice(), &BLANK).unwrap();
        for name in home.temporary() {
            let path = home.path(&name);
            match kind {
                "file" => fs::write(&path, "planted").unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => symlink("/etc/passwd", &path).unwrap(),
            }
            lchown(&path, Some(1001), Some(GROUP)).unwrap();
        }
        run("as_alice_enroll", &home, 1000, GROUP);
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{kind}");

        // Without a state of hers, too; and root, who removes them on the way.
        for name in ["alice.state", "alice.toml"] {
            fs::remove_file(home.path(name)).unwrap();
        }
        run("as_alice_enroll", &home, 1000, GROUP);
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{kind}");
        home.renew(3);
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{kind}");
    }
}

#[test]
fn a_file_of_rehearsals_that_another_user_put_there_is_made_anew() {
    for planted in [0o600, 0o666] {
        let home = Home::enrolled();
        fs::write(home.path(REHEARSAL), "planted").unwrap();
        fs::set_permissions(home.path(REHEARSAL), Permissions::from_mode(planted)).unwrap();
        chown(home.path(REHEARSAL), Some(1001), Some(GROUP)).unwrap();
        home.store.rehearse(&alice(), &NOTE).unwrap();
        let rehearsed = fs::metadata(home.path(REHEARSAL)).unwrap();
        assert_eq!((rehearsed.uid(), rehearsed.len()), (0, 4096));
    }
}

#[test]
fn leftovers_of_a_killed_enrollment_do_not_keep_alice_from_enrolling() {
    let home = Home::empty();
    run("as_alice_leave_half_an_enrollment_and_enroll", &home, 1000, GROUP);
    assert_eq!(home.names(), ["alice.state", "alice.toml"]);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
#[ignore = "needs to be alice: run by leftovers_of_a_killed_enrollment_do_not_keep_alice_from_enrolling"]
fn as_alice_leave_half_an_enrollment_and_enroll() {
    let (store, names) = (here(), Names::of(&alice()));
    store.create_empty(&names.incoming_state(false)).unwrap();
    let hold = store.hold_without_credentials(&alice(), &names).unwrap().unwrap();
    store.create_empty(&names.incoming(false, hold.inode)).unwrap();
    store.create_empty(&names.incoming_state(false)).unwrap();
    drop(hold);
    assert_eq!(store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Done);
}
