//! A holder of the lock that is stopped, frozen or killed: it is fenced off, what it answered counts, and nothing that it
//! does later counts.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::*;

/// A process that is stopped with the lock in its hand, at the point where it has loaded the record.
struct Frozen {
    record: Record,
    hold: Held,
}

impl Frozen {
    fn of(home: &Home) -> Self {
        let Loaded { record, hold } = home.load();
        Self { record, hold }
    }

    /// Goes on with a login.
    fn thaw_and_log_in(self, home: &Home, attempt: &Attempt) -> Swap {
        let (state, _) = decide(&LIMITS, &self.record, attempt, NOW);
        home.store.swap(&alice(), self.hold, &state, &NOTE).unwrap()
    }
}

/// What a process does that has waited for long enough; it is killed after that.
pub(super) fn fence(home: &Home) {
    let state = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
    let fenced = home.store.fence(&alice(), &Names::of(&alice()), &state).unwrap();
    assert!(fenced.is_some());
}

const BOTH: [&str; 2] = ["alice.state", "alice.toml"];

#[test]
fn a_lock_that_is_not_given_back_keeps_nobody_out() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let frozen = Frozen::of(&home);
    assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(2));
    assert_eq!(home.login(&right()).unwrap(), after(2, by_phone()));
    assert_eq!(home.names(), BOTH);
    assert_eq!(frozen.thaw_and_log_in(&home, &recovery(1)), Swap::Lost);
    assert_eq!(home.read().state.used.0, 0);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn a_code_that_was_answered_before_the_fence_works_no_second_time() {
    let home = Home::enrolled();
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    let _frozen = Frozen::of(&home);
    fence(&home);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn what_was_written_after_the_fence_has_lost_and_what_was_written_before_it_counts() {
    for written_before in [false, true] {
        let home = Home::enrolled();
        let Frozen { record, hold } = Frozen::of(&home);
        let (state, _) = decide(&LIMITS, &record, &right(), NOW);
        if written_before {
            home.store.write_slot(&hold, &state).unwrap(); // and not yet answered
        }
        fence(&home);
        if !written_before {
            home.store.write_slot(&hold, &state).unwrap();
        }
        assert!(!home.store.is_in_place(&hold).unwrap());
        drop(hold);
        // The process begins again, as after each lost race. The code counts once at most.
        let first = home.login(&right()).unwrap();
        assert!([by_phone(), REPLAYED].contains(&first), "{first:?}");
        assert_eq!(home.login(&right()).unwrap(), REPLAYED);
        assert_eq!(home.names(), BOTH);
    }
}

#[test]
fn a_fence_that_was_killed_at_any_point_is_finished_by_the_next_process() {
    for fences in 1..4 {
        let home = Home::enrolled();
        home.login(&wrong()).unwrap();
        let first = home.login(&recovery(3)).unwrap();
        let before = home.read().state;
        for _ in 0..fences {
            fence(&home); // exchanged, and killed before it read what was set aside
        }
        assert_eq!(home.names().len(), 2 + fences, "{:?}", home.names());
        let finish: [fn(&Home) -> State; 2] = [|home| home.read().state, |home| home.load().record.state];
        assert_eq!(finish[fences % 2](&home), before);
        assert_eq!(home.names(), BOTH);
        assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(1));
        assert!(matches!(home.login(&right()).unwrap(), Verdict::Accepted(_)));
        assert_eq!(home.login(&right()).unwrap(), REPLAYED);
        assert_ne!(home.login(&recovery(3)).unwrap(), first);
    }
}

#[test]
fn a_process_frozen_amid_a_fence_harms_nothing_when_it_goes_on() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let stuck = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
    // It has exchanged the files, and read nothing yet.
    let names = Names::of(&alice());
    let file = home.store.fence(&alice(), &names, &stuck).unwrap().unwrap();
    let metadata = home.store.trust(&file, &names.state, Some(1000)).unwrap();
    let slots = home.store.read_slots(&file, &names.state).unwrap();
    let mut frozen = super::super::fence::InPlace { file, inode: metadata.ino(), size: STATE_SIZE, slots };
    assert_eq!(home.login(&right()).unwrap(), after(1, by_phone())); // after a fence of its own
    assert!(!home.store.take_over(&alice(), &names, &mut frozen).unwrap());
    drop(frozen);
    assert_eq!(home.names(), BOTH);
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
}

#[test]
fn two_processes_that_fence_at_once_leave_one_state() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let stuck = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
    stuck.lock().unwrap();
    fence(&home);
    // The second one waited for the same file.
    assert!(home.store.fence(&alice(), &Names::of(&alice()), &stuck).unwrap().is_none());
    assert_eq!(home.read().state.failures, 1);
    assert_eq!(home.names(), BOTH);
}

#[test]
fn a_fenced_change_of_credentials_is_not_put_in_place_later() {
    let home = Home::enrolled();
    let names = Names::of(&alice());
    let Frozen { record, hold } = Frozen::of(&home);
    let late = re_enrolled(&record, 2);
    // It is stopped between its last look and the rename.
    let (incoming, _) = home.store.create_incoming(&alice(), &names, &hold, &late).unwrap();
    home.store.write_slot(&hold, &late.state).unwrap();
    fence(&home);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert!(!home.path(&incoming).exists());
    drop(hold);

    // It is stopped before it has made the file.
    let Frozen { record, hold } = Frozen::of(&home);
    fence(&home);
    let between = home.renew(3);
    assert_eq!(home.store.replace(&alice(), Some(hold), &re_enrolled(&record, 4), &NOTE).unwrap(), Swap::Lost);
    assert_eq!(home.read().credentials.enrollment, between.credentials.enrollment);
    assert_eq!(home.names(), BOTH);
}

#[test]
fn a_change_that_was_renamed_before_the_fence_could_take_it_away_counts() {
    let home = Home::enrolled();
    let names = Names::of(&alice());
    let Frozen { record, hold } = Frozen::of(&home);
    let new = re_enrolled(&record, 2);
    let (incoming, _) = home.store.create_incoming(&alice(), &names, &hold, &new).unwrap();
    home.store.write_slot(&hold, &new.state).unwrap();
    fence(&home); // and killed
    fs::rename(home.path(&incoming), home.path("alice.toml")).unwrap();
    assert_eq!(home.read().credentials.enrollment, new.credentials.enrollment);
    assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(1));
}

#[test]
fn a_fenced_removal_removes_nothing() {
    let home = Home::enrolled();
    let frozen = Frozen::of(&home);
    fence(&home);
    home.renew(2);
    assert_eq!(home.store.remove(&alice(), frozen.hold, &NOTE).unwrap(), Swap::Lost);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
}

#[test]
fn administration_gets_through_and_leaves_nothing() {
    let home = Home::enrolled();
    let frozen = Frozen::of(&home);
    fence(&home);
    assert!(home.store.purge(&alice()).unwrap());
    assert!(home.names().is_empty(), "{:?}", home.names());
    let late = re_enrolled(&frozen.record, 2);
    assert_eq!(home.store.replace(&alice(), Some(frozen.hold), &late, &NOTE).unwrap(), Swap::Lost);
    assert!(home.names().is_empty(), "{:?}", home.names());
}

#[test]
fn a_first_enrollment_is_fenced_too() {
    let home = Home::empty();
    let names = Names::of(&alice());
    let hold = home.store.hold_without_credentials(&alice(), &names).unwrap().unwrap();
    fence(&home);
    home.enroll(&alice());
    let late = re_enrolled(&record(vec![phone(1)]), 2);
    assert_eq!(home.store.replace(&alice(), Some(hold), &late, &NOTE).unwrap(), Swap::Lost);
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    assert_eq!(home.names(), BOTH);
}

#[test]
fn an_enrollment_waits_for_no_one_who_makes_the_state_and_is_stopped() {
    let home = Home::empty();
    let temporary = home.path(&home.temporary()[3]);
    fs::write(&temporary, "half").unwrap();
    fs::set_permissions(&temporary, Permissions::from_mode(0o600)).unwrap();
    let holder = File::open(&temporary).unwrap();
    holder.lock().unwrap();
    home.enroll(&alice());
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    // Its name stays its own: it would rename what another process begins under it.
    home.renew(2);
    assert_eq!(fs::read_to_string(&temporary).unwrap(), "half");
    drop(holder);
    home.renew(3);
    assert_eq!(home.names(), BOTH);
}

#[test]
fn a_file_that_names_a_file_which_is_gone_is_no_fresh_start() {
    let home = Home::enrolled();
    fence(&home);
    let aside = home.names().into_iter().find(|name| name.contains(".aside-")).unwrap();
    fs::remove_file(home.path(&aside)).unwrap();
    let error = home.login(&right()).unwrap_err().to_string();
    assert!(error.ends_with("neither slot holds a state of this enrollment"), "{error}");
    assert_eq!(home.names(), BOTH);
}

#[test]
fn whoever_waits_for_a_file_that_is_set_aside_meanwhile_takes_the_new_one() {
    let home = Home::enrolled();
    let holder = File::open(home.path("alice.state")).unwrap();
    holder.lock().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| home.store.is_in_place(&home.load().hold).unwrap());
        thread::sleep(Duration::from_millis(100));
        fence(&home);
        drop(holder);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn however_many_fences_were_killed_one_behind_the_other_the_user_gets_in() {
    let home = Home::enrolled();
    assert_eq!(home.login(&right()).unwrap(), by_phone());
    // Each of them as a process leaves it that has exchanged the files, and is killed before it reads.
    for number in 0..1500 {
        let aside = format!("alice.aside-{number:032x}");
        fs::rename(home.path("alice.state"), home.path(&aside)).unwrap();
        fs::write(home.path("alice.state"), Slots::naming(&aside)).unwrap();
        fs::set_permissions(home.path("alice.state"), Permissions::from_mode(0o600)).unwrap();
        chown(home.path("alice.state"), Some(1000), Some(1000)).unwrap();
    }
    assert_eq!(home.login(&right()).unwrap(), REPLAYED);
    assert_eq!(home.names(), BOTH);
}

#[test]
fn files_that_name_each_other_are_no_fresh_start_and_end_nothing_but_this_login() {
    let home = Home::enrolled();
    fence(&home);
    let aside = home.names().into_iter().find(|name| name.contains(".aside-")).unwrap();
    overwrite(home.path(&aside), Slots::naming(&aside));
    assert!(home.login(&right()).is_err());
    assert!(home.store.purge(&alice()).unwrap());
    assert!(home.names().is_empty(), "{:?}", home.names());
}

#[test]
fn a_purge_that_was_killed_leaves_no_credentials_without_their_state() {
    let home = Home::enrolled();
    fence(&home);
    // The credentials go first: without them no state is missed.
    let kernel = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    kernel.add_watch(home.directory.path(), AddWatchFlags::IN_DELETE).unwrap();
    assert!(home.store.purge(&alice()).unwrap());
    let removed: Vec<_> = kernel.read_events().unwrap().into_iter().filter_map(|event| event.name).collect();
    assert_eq!(removed[0], "alice.toml", "{removed:?}");
    assert_eq!(removed.len(), 4, "{removed:?}");
}

#[test]
fn many_processes_that_fence_at_once_all_get_their_answer_and_one_code_lets_one_in() {
    for _ in 0..10 {
        let home = Home::enrolled();
        let holder = File::open(home.path("alice.state")).unwrap();
        holder.lock().unwrap();
        let all = std::sync::Barrier::new(16);
        let accepted: usize = thread::scope(|scope| {
            let waiting = (0..16).map(|_| {
                scope.spawn(|| {
                    let stuck = home.store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
                    all.wait();
                    drop(home.store.fence(&alice(), &Names::of(&alice()), &stuck).unwrap());
                    usize::from(home.login(&right()).unwrap() == by_phone())
                })
            });
            waiting.collect::<Vec<_>>().into_iter().map(|waiting| waiting.join().unwrap()).sum()
        });
        // None, if the one that wrote it was fenced off before its answer.
        assert!(accepted <= 1, "{accepted}");
        assert_eq!(home.login(&right()).unwrap(), REPLAYED);
        assert_eq!(home.names(), BOTH);
    }
}
