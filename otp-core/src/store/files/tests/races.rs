//! Races between processes. Threads take their place: a flock(2) lock belongs to the open file, and each thread opens its own.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::*;

/// Runs `each` in this many threads, which start together, and collects what they return.
fn together<T: Send>(threads: u8, each: impl Fn(u8) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(usize::from(threads));
    let (barrier, each) = (&barrier, &each);
    thread::scope(|scope| {
        let start = |number| {
            scope.spawn(move || {
                barrier.wait();
                each(number)
            })
        };
        let running: Vec<_> = (0..threads).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn one_code_released_to_64_sessions_lets_exactly_one_in() {
    let home = Home::enrolled();
    for round in 0..20 {
        let (now, attempt) = (UnixTime(NOW.0 + 30 * round), shown(&phone(1), STEP + round));
        let verdicts = together(64, |_| home.login_at(&attempt, now).unwrap());
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == by_phone()).count(), 1, "round {round}");
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == REPLAYED).count(), 63, "round {round}");
    }
}

#[test]
fn forty_wrong_guesses_at_once_are_all_counted() {
    let home = Home::enrolled();
    let limits = crate::decision::verify::Limits { lock_after: 100, ..LIMITS };
    let verdicts = together(40, |_| {
        update(&home.store, &alice(), &NOTE, |record| decide(&limits, record, &wrong(), NOW)).unwrap()
    });
    for failures in 1..=40 {
        assert!(verdicts.contains(&wrong_for_the(failures)), "{failures}");
    }
    assert_eq!(home.read().state.failures, 40);
}

#[test]
fn the_right_code_gets_in_among_wrong_guesses() {
    let home = Home::enrolled();
    let limits = crate::decision::verify::Limits { lock_after: 100, ..LIMITS };
    let verdicts = together(20, |number| {
        let attempt = if number == 7 { right() } else { wrong() };
        update(&home.store, &alice(), &NOTE, |record| decide(&limits, record, &attempt, NOW)).unwrap()
    });
    assert!(matches!(verdicts[7], Verdict::Accepted(_)), "{:?}", verdicts[7]);
}

/// One of 17 threads changes something; the others log in with the right code. Returns their verdicts.
fn all_but_one_log_in(home: &Home, change: impl Fn() + Sync) -> Vec<Verdict> {
    let verdicts = together(17, |number| {
        if number == 8 {
            change();
            None
        } else {
            Some(home.login(&right()).unwrap())
        }
    });
    verdicts.into_iter().flatten().collect()
}

fn count(verdicts: &[Verdict], which: impl Fn(&Verdict) -> bool) -> usize {
    verdicts.iter().filter(|verdict| which(verdict)).count()
}

#[test]
fn a_code_released_amid_a_re_enrollment_is_accepted_at_most_once_and_never_for_the_new_device() {
    for round in 0..30 {
        let home = Home::enrolled();
        let verdicts = all_but_one_log_in(&home, || {
            let next = || Change::Record(Box::new(re_enrolled(&record(vec![phone(3)]), 2 + round)));
            change(&home.store, &alice(), &NOTE, |_| (next(), ())).unwrap();
        });
        let accepted = count(&verdicts, |verdict| *verdict == by_phone());
        let replayed = count(&verdicts, |verdict| *verdict == REPLAYED);
        let wrong = count(&verdicts, |verdict| matches!(verdict, Verdict::Refused(Refusal::Wrong { .. })));
        let locked = count(&verdicts, |verdict| matches!(verdict, Verdict::Refused(Refusal::Locked(_))));
        assert_eq!(accepted + replayed + wrong + locked, verdicts.len(), "{verdicts:?}");
        assert!(accepted <= 1 && (accepted == 1 || replayed == 0), "{verdicts:?}");
        // Logins that came too late count as wrong codes of the new enrollment, and change nothing else in it.
        let Record { credentials, state } = home.load().record;
        assert_eq!((credentials.devices[0].id, state.nexts()), (DeviceId(3), vec![(3, 0)]));
        assert_eq!(usize::try_from(state.failures).unwrap(), wrong);
    }
}

#[test]
fn a_code_released_amid_an_unlocking_is_accepted_at_most_once() {
    for _ in 0..30 {
        let home = Home::enrolled();
        (1..=6).for_each(|failures| assert_eq!(home.login(&wrong()).unwrap(), wrong_for_the(failures)));
        let verdicts = all_but_one_log_in(&home, || {
            change(&home.store, &alice(), &NOTE, |found| (Change::State(found.unwrap().unlocked()), ())).unwrap();
        });
        let accepted = count(&verdicts, |verdict| *verdict == by_phone());
        let replayed = count(&verdicts, |verdict| *verdict == REPLAYED);
        let locked = count(&verdicts, |verdict| matches!(verdict, Verdict::Refused(Refusal::Locked(_))));
        assert_eq!(accepted + replayed + locked, verdicts.len(), "{verdicts:?}");
        assert!(accepted <= 1 && (accepted == 1 || replayed == 0), "{verdicts:?}");
        let after = if accepted == 1 { REPLAYED } else { by_phone() };
        assert_eq!(home.login(&right()).unwrap(), after);
    }
}

#[test]
fn logins_of_different_users_do_not_disturb_each_other() {
    let home = Home::empty();
    let accounts: Vec<_> = (0..32).map(|number| named(&format!("user{number}"), 2000 + number)).collect();
    accounts.iter().for_each(|account| home.enroll(account));
    let verdicts = together(32, |number| {
        let account = &accounts[usize::from(number)];
        update(&home.store, account, &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap()
    });
    assert_eq!(verdicts, vec![by_phone(); 32]);
}

/// Sets the flag when dropped, after a panic too: otherwise the other threads would never end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_reader_amid_enrollments_and_removals_finds_a_whole_record_or_none() {
    let home = Home::enrolled();
    let over = AtomicBool::new(false);
    together(4, |number| {
        if number == 0 {
            let _over = Over(&over);
            for round in 0..150 {
                let round = u8::try_from(round).unwrap();
                change(&home.store, &alice(), &NOTE, |_| {
                    let next = Change::Record(Box::new(re_enrolled(&record(vec![phone(1)]), round)));
                    (if round % 5 == 4 { Change::Nothing } else { next }, ())
                })
                .unwrap();
                thread::sleep(Duration::from_millis(1)); // locks are polled: let the other threads get one
            }
        }
        while !over.load(Ordering::Relaxed) {
            if number == 1 {
                let _ = home.login(&wrong()).unwrap();
            } else {
                let _ = home.store.read(&alice()).unwrap();
            }
        }
    });
}

#[test]
fn of_many_first_enrollments_exactly_one_is_made() {
    for _ in 0..20 {
        let home = Home::empty();
        let swaps = together(16, |number| {
            let record = re_enrolled(&record(vec![phone(1)]), number);
            home.store.replace(&alice(), None, &record, &NOTE).unwrap()
        });
        assert_eq!(swaps.iter().filter(|swap| **swap == Swap::Done).count(), 1);
        assert_eq!(home.names(), ["alice.state", "alice.toml"]);
        assert_eq!(home.login(&right()).unwrap(), by_phone());
    }
}

#[test]
fn purging_amid_enrollments_leaves_a_whole_record_or_none() {
    let home = Home::empty();
    for round in 0..40 {
        together(3, |number| {
            if number == 0 {
                home.store.purge(&alice()).map(|_| ()).unwrap();
            } else {
                let record = re_enrolled(&record(vec![phone(1)]), round * 3 + number);
                let _ = home.store.replace(&alice(), None, &record, &NOTE).unwrap();
            }
        });
        let _ = home.store.read(&alice()).unwrap();
    }
}

/// Waits until another thread has opened a file that this one has open, or until `other` has ended.
fn until_opened_twice<T>(path: &Path, other: &thread::ScopedJoinHandle<'_, T>) {
    let opened = || {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target == path).count()
    };
    while opened() < 2 && !other.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Takes the lock, waits until `other` has opened the state too, runs `meanwhile`, and releases the lock.
fn while_waiting<T: Send>(home: &Home, other: impl FnOnce() -> T + Send, meanwhile: impl FnOnce(&Path)) -> T {
    let path = home.path("alice.state");
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(other);
        until_opened_twice(&path, &other);
        thread::sleep(Duration::from_millis(20)); // so that `other` also reads what needs no lock
        meanwhile(&path);
        drop(holder);
        other.join().unwrap()
    })
}

fn removed(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn a_process_that_waits_for_a_state_writes_nothing_if_it_is_removed_meanwhile() {
    let home = Home::enrolled();
    let both_removed = |state: &Path| {
        fs::remove_file(state.with_extension("toml")).unwrap();
        removed(state);
    };
    let verdict = while_waiting(&home, || home.login(&wrong()).unwrap(), both_removed);
    assert_eq!(verdict, Verdict::Refused(Refusal::NotEnrolled));
    assert!(home.names().is_empty());

    let home = Home::enrolled();
    fs::remove_file(home.path("alice.toml")).unwrap();
    let enroll = || home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap();
    assert_eq!(while_waiting(&home, enroll, removed), Swap::Lost);
    assert!(home.names().is_empty());
}

#[test]
fn purging_removes_nothing_of_an_enrollment_that_began_meanwhile() {
    let home = Home::empty();
    let names = Names::of(&alice());
    fs::write(home.path(&names.incoming_state(false)), "half").unwrap();
    assert!(!home.store.purge(&alice()).unwrap());
    assert_eq!(home.names(), [names.incoming_state(false)]);

    let home = Home::enrolled();
    let removed_and_begun_again = |state: &Path| {
        fs::remove_file(state.with_extension("toml")).unwrap();
        removed(state);
        fs::write(state, "another").unwrap();
        fs::write(home.path(&home.temporary()[0]), "half").unwrap();
    };
    assert!(!while_waiting(&home, || home.store.purge(&alice()).unwrap(), removed_and_begun_again));
    let incoming = home.temporary()[0].clone();
    assert_eq!(home.names(), [incoming, names.state]);
}

#[test]
fn purging_takes_the_state_that_is_in_place_after_it_has_waited() {
    let home = Home::enrolled();
    let purge = || home.store.purge(&alice()).unwrap();
    assert!(while_waiting(&home, purge, |_| super::fence::fence(&home)));
    assert!(home.names().is_empty(), "{:?}", home.names());
}

#[test]
fn the_state_is_removed_last_since_its_lock_guards_the_rest() {
    let removals: [fn(&Home); 2] = [
        |home| assert!(home.store.purge(&alice()).unwrap()),
        |home| assert_eq!(home.store.remove(&alice(), home.load().hold, &NOTE).unwrap(), Swap::Done),
    ];
    for remove in removals {
        let home = Home::enrolled();
        for name in home.temporary() {
            fs::write(home.path(&name), "half").unwrap();
        }
        let kernel = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
        kernel.add_watch(home.directory.path(), AddWatchFlags::IN_DELETE).unwrap();
        remove(&home);
        let removed: Vec<_> = kernel.read_events().unwrap().into_iter().filter_map(|event| event.name).collect();
        assert_eq!((removed.len(), removed.last().unwrap().to_str()), (7, Some("alice.state")), "{removed:?}");
    }
}

#[test]
fn a_reader_amid_a_write_reads_again_after_it() {
    let home = Home::enrolled();
    home.login(&wrong()).unwrap();
    let whole = fs::read(home.path("alice.state")).unwrap();
    [0, 1].into_iter().for_each(|slot| home.garble(slot));
    let record = while_waiting(&home, || home.read(), |path| overwrite(path, whole));
    assert_eq!(record.state.failures, 1);
}

#[test]
fn a_reader_of_a_record_that_never_stops_changing_gives_up() {
    let home = Home::enrolled();
    [0, 1].into_iter().for_each(|slot| home.garble(slot));
    // Replaces a file by a copy, which is locked before any other process can open it.
    let renew = |name: &str| {
        fs::copy(home.path(name), home.path("copy")).unwrap();
        chown(home.path("copy"), Some(1000), Some(1000)).unwrap();
        let file = File::open(home.path("copy")).unwrap();
        file.lock().unwrap();
        fs::rename(home.path("copy"), home.path(name)).unwrap();
        file
    };
    let mut holder = renew("alice.state");
    let mut rounds = 0;
    let found = thread::scope(|scope| {
        let reader = scope.spawn(|| home.store.read(&alice()));
        while !reader.is_finished() && rounds < 2 * MOST_TRIES {
            until_opened_twice(&home.path("alice.state"), &reader);
            if !reader.is_finished() {
                renew("alice.toml");
                holder = renew("alice.state"); // releases the lock of the one before
                rounds += 1;
            }
        }
        drop(holder);
        reader.join().unwrap()
    });
    assert!(matches!(found, Err(StoreError::Record { .. })));
    assert_eq!(rounds, MOST_TRIES);
}
