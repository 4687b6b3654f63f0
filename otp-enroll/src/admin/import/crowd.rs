//! The same for many users, several at a time: each waits for the disk, whose journal commits for all who wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// How many are seen to at a time. One alone takes several times as long, and with twice as many it goes no faster.
const WORKERS: usize = 16;

/// Does something for each place from 0 below `count`, until `stop` says that it is enough, and gives the answers to
/// `report`, in this thread, as they come. What was begun is finished; a report that fails stops the rest.
pub(super) fn each<T: Send, E>(
    count: usize,
    stop: &AtomicBool,
    act: impl Fn(usize) -> T + Sync,
    mut report: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let work = |tell: mpsc::SyncSender<(usize, T)>| {
        while !stop.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count || tell.send((place, act(place))).is_err() {
                break;
            }
        }
    };
    let (work, (tell, told)) = (&work, mpsc::sync_channel(WORKERS));
    thread::scope(|scope| {
        for tell in vec![tell; WORKERS.min(count)] {
            scope.spawn(move || work(tell));
        }
        told.into_iter().try_for_each(|(place, answer)| report(place, answer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_told() {
        for count in [0, 1, 5, 1000] {
            let mut told = vec![0; count];
            let done = each(
                count,
                &AtomicBool::new(false),
                |place| place * 2,
                |place, answer| {
                    assert_eq!(answer, place * 2);
                    told[place] += 1;
                    Ok::<_, ()>(())
                },
            );
            assert_eq!((done, told), (Ok(()), vec![1; count]));
        }
    }

    #[test]
    fn what_was_begun_is_told_and_nothing_begins_after_a_stop() {
        let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut told = 0;
        let act = |_| begun.fetch_add(1, Ordering::Relaxed);
        let done = each(100_000, &stop, act, |_, _| {
            told += 1;
            stop.store(true, Ordering::Relaxed);
            Ok::<_, ()>(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(told, begun.into_inner());
        assert!(told <= 4 * WORKERS, "{told}");
    }

    #[test]
    fn a_report_that_fails_stops_the_rest() {
        let begun = AtomicUsize::new(0);
        let act = |_| begun.fetch_add(1, Ordering::Relaxed);
        assert_eq!(each(100_000, &AtomicBool::new(false), act, |_, _| Err("deaf")), Err("deaf"));
        assert!(begun.into_inner() <= 4 * WORKERS);
    }
}
