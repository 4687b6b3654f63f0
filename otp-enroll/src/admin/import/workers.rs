//! Runs the import on 16 threads: one journal commit then serves many fsyncs.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Threads. One takes more than twice as long; twice as many are not faster.
const WORKERS: usize = 16;

/// Calls `act` for each place from 0 below `count`, until `stop` is set, and `report` with each answer, in this thread and in
/// the order of the places. A place that was begun is finished and reported.
pub(crate) fn each<T: Send>(
    count: usize,
    stop: &AtomicBool,
    act: impl Fn(usize) -> T + Sync,
    mut report: impl FnMut(usize, T),
) {
    let next = AtomicUsize::new(0);
    let work = |tell: mpsc::SyncSender<(usize, T)>| {
        for place in left(&next, count, stop) {
            if tell.send((place, act(place))).is_err() {
                break;
            }
        }
    };
    let (work, (tell, told)) = (&work, mpsc::sync_channel(WORKERS));
    thread::scope(|scope| {
        for tell in vec![tell; WORKERS.min(count)] {
            scope.spawn(move || work(tell));
        }
        // One that waits for a lock holds the others up for seconds at most: they wait here.
        let (mut early, mut turn) = (BTreeMap::new(), 0usize);
        for (place, answer) in told {
            early.insert(place, answer);
            while let Some(answer) = early.remove(&turn) {
                report(turn, answer);
                turn = turn.saturating_add(1);
            }
        }
    });
}

/// The same on so many threads, for some places that are told together: what came of each, in their order. Where there is one
/// place, it is this thread that acts.
pub(super) fn until<T: Send>(
    stop: &AtomicBool,
    workers: usize,
    places: Range<usize>,
    act: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let (next, end) = (&AtomicUsize::new(places.start), places.end);
    let work = || left(next, end, stop).map(|place| (place, act(place))).collect::<Vec<_>>();
    let mut done = match places.len().min(workers) {
        0 => Vec::new(),
        1 => work(),
        workers => thread::scope(|scope| {
            let working: Vec<_> = iter::repeat_with(|| scope.spawn(work)).take(workers).collect();
            let ended = working.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            ended.flatten().collect()
        }),
    };
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, answer)| answer).collect()
}

/// The same for all items of a list.
pub(super) fn all<I: Sync, T: Send>(items: &[I], act: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let done = until(&AtomicBool::new(false), WORKERS, 0..items.len(), |place| items.get(place).map(&act));
    done.into_iter().flatten().collect()
}

/// The places that no thread has begun, up to `end`, until `stop` is set.
fn left(next: &AtomicUsize, end: usize, stop: &AtomicBool) -> impl Iterator<Item = usize> {
    iter::from_fn(move || {
        let goes_on = !stop.load(Ordering::Relaxed);
        goes_on.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|place| *place < end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_told_in_order() {
        for count in [0, 1, 5, 1000] {
            let mut told = Vec::new();
            let act = |place| {
                if place % 7 == 0 {
                    thread::yield_now();
                }
                place * 2
            };
            each(count, &AtomicBool::new(false), act, |place, answer| {
                assert_eq!(answer, place * 2);
                told.push(place);
            });
            assert_eq!(told, (0..count).collect::<Vec<_>>());
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
