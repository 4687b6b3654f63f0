//! Runs the import on 16 threads: one journal commit then serves many fsyncs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Threads. One takes more than twice as long; twice as many are not faster.
const WORKERS: usize = 16;

/// Calls `act` for each place from 0 below `count`, until `stop` is set, and `report` with each answer, in this thread, as
/// they come. A place that was begun is finished and reported.
pub(super) fn each<T: Send>(
    count: usize,
    stop: &AtomicBool,
    act: impl Fn(usize) -> T + Sync,
    mut report: impl FnMut(usize, T),
) {
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
        told.into_iter().for_each(|(place, answer)| report(place, answer));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_told() {
        for count in [0, 1, 5, 1000] {
            let mut told = vec![0; count];
            each(
                count,
                &AtomicBool::new(false),
                |place| place * 2,
                |place, answer| {
                    assert_eq!(answer, place * 2);
                    told[place] += 1;
                },
            );
            assert_eq!(told, vec![1; count]);
        }
    }

    #[test]
    fn what_was_begun_is_told_and_nothing_begins_after_a_stop() {
        let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut told = 0;
        each(
            100_000,
            &stop,
            |_| begun.fetch_add(1, Ordering::Relaxed),
            |_, _| {
                told += 1;
                stop.store(true, Ordering::Relaxed);
            },
        );
        assert_eq!(told, begun.into_inner());
        assert!(told <= 4 * WORKERS, "{told}");
    }
}
