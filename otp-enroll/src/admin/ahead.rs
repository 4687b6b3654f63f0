//! What a long answer is made of, read on several threads, a little ahead of the one that tells it in its order.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};

/// Threads where reading means to wait, for the disk or for a directory service.
const READERS: usize = 16;

/// Most items that a thread reads before it hands them over: to wake another thread takes longer than to read one.
const BATCH: usize = 64;

/// Items that are read before the threads are begun. Whether that meant to wait tells how many threads are to read the others.
const FIRST: usize = 8;

/// Calls `read` for some items at a time, and `tell` with each result, in this thread and in the order of the items. After an
/// error of `tell` nothing more is begun, and it is returned.
pub(super) fn each<I: Sync, T: Send, E>(
    items: &[I],
    read: impl Fn(&[I], &LookUps) -> Vec<T> + Sync,
    mut tell: impl FnMut(&I, T) -> Result<(), E>,
) -> Result<(), E> {
    let (tried, items) = items.split_at(items.len().min(FIRST));
    let (before, trial) = (waits(), LookUps::at_once());
    let results = read(tried, &trial);
    let often = tried.len().div_ceil(2);
    let threads = readers(waits().saturating_sub(before) >= often);
    let look_ups = if trial.waits.into_inner() >= often { LookUps::at_once() } else { LookUps::in_turn() };
    tried.iter().zip(results).try_for_each(|(item, result)| tell(item, result))?;

    // Few items are dealt out so that each thread has some.
    let batch = items.len().div_ceil(threads.saturating_mul(2)).clamp(1, BATCH);
    let (read, look_ups) = (&read, &look_ups);
    thread::scope(|scope| {
        let begin = |first| {
            // One batch waits to be told while the next one is read.
            let (hand, handed) = mpsc::sync_channel(1);
            scope.spawn(move || {
                for batch in items.chunks(batch).skip(first).step_by(threads) {
                    if hand.send(read(batch, look_ups)).is_err() {
                        break;
                    }
                }
            });
            handed
        };
        let readers: Vec<_> = (0..threads.min(items.len().div_ceil(batch))).map(begin).collect();
        for (items, handed) in items.chunks(batch).zip(readers.iter().cycle()) {
            let Ok(results) = handed.recv() else { break }; // its thread panicked, and so will this one
            for (item, result) in items.iter().zip(results) {
                tell(item, result)?;
            }
        }
        Ok(())
    })
}

/// How many threads are to read. Where reading means no wait, threads beyond the processors are in each other's way.
fn readers(it_waits: bool) -> usize {
    if it_waits { READERS } else { thread::available_parallelism().map_or(1, NonZero::get).min(READERS) }
}

/// How threads ask the name service. A service in the C library answers one thread at a time. Where its answers take no wait, to
/// sleep until another thread has had one takes longer than the answer; so a thread has its turn for as many as it asks.
pub(super) struct LookUps {
    turn: Option<Mutex<()>>,
    /// How often its answers meant to wait.
    waits: AtomicUsize,
}

impl LookUps {
    fn at_once() -> Self {
        Self { turn: None, waits: AtomicUsize::new(0) }
    }

    fn in_turn() -> Self {
        Self { turn: Some(Mutex::new(())), ..Self::at_once() }
    }

    /// Asks for all that is looked up for some items.
    pub(super) fn ask<T>(&self, ask: impl FnOnce() -> T) -> T {
        let _turn = self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let before = waits();
        let answer = ask();
        self.waits.fetch_add(waits().saturating_sub(before), Ordering::Relaxed);
        answer
    }
}

/// How often this thread gave up its processor to wait for something.
fn waits() -> usize {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    usage.ok().and_then(|usage| usage.voluntary_context_switches().try_into().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many threads read at once, and how many look up at once, where the one or the other means to wait.
    fn at_once(reading_waits: bool, asking_waits: bool) -> (usize, usize) {
        let pause = |is_wait: bool| {
            if is_wait {
                thread::sleep(Duration::from_millis(2));
            }
        };
        let count = |now: &AtomicUsize, most: &AtomicUsize, work: &dyn Fn()| {
            let others = now.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(others.saturating_add(1), Ordering::SeqCst);
            work();
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let [reading, most_reading, asking, most_asking] = [const { AtomicUsize::new(0) }; 4];
        let read = |items: &[()], look_ups: &LookUps| {
            items.iter().for_each(|()| count(&reading, &most_reading, &|| pause(reading_waits)));
            look_ups.ask(|| items.iter().for_each(|()| count(&asking, &most_asking, &|| pause(asking_waits))));
            items.to_vec()
        };
        each(&[(); 400], read, |(), ()| Ok::<_, ()>(())).unwrap();
        (most_reading.into_inner(), most_asking.into_inner())
    }

    #[test]
    fn many_threads_read_where_that_means_to_wait_and_look_up_at_once_where_that_does() {
        let processors = readers(false);
        let (reading, asking) = at_once(true, false);
        assert!(reading > processors.min(READERS - 1) && asking == 1, "{reading} {asking}");
        assert!(at_once(false, true).1 > 1);
        let (reading, asking) = at_once(false, false);
        assert!(reading <= processors && asking == 1, "{reading} {asking}");
    }

    #[test]
    fn everything_is_read_once_and_told_in_order() {
        for count in [0, 1, FIRST, FIRST + 1, BATCH - 1, BATCH, BATCH + 1, BATCH * READERS, BATCH * READERS * 3 + 5] {
            let items: Vec<usize> = (0..count).collect();
            let (mut told, begun) = (Vec::new(), AtomicUsize::new(0));
            let doubled = |item: &usize| {
                begun.fetch_add(1, Ordering::Relaxed);
                if item.is_multiple_of(7) {
                    thread::yield_now();
                }
                item * 2
            };
            let read = |items: &[usize], _: &LookUps| items.iter().map(doubled).collect();
            let tell = |item: &usize, result| {
                assert_eq!(result, item * 2);
                told.push(*item);
                Ok::<_, ()>(())
            };
            each(&items, read, tell).unwrap();
            assert_eq!((told, begun.into_inner()), (items, count));
        }
    }

    #[test]
    fn after_an_error_little_more_is_read_and_nothing_is_told() {
        let (items, begun) = (vec![(); 100_000], AtomicUsize::new(0));
        let mut told = 0;
        let tell = |(): &(), ()| {
            told += 1;
            if told == 3 { Err("closed") } else { Ok(()) }
        };
        let read = |items: &[()], _: &LookUps| {
            begun.fetch_add(items.len(), Ordering::Relaxed);
            items.to_vec()
        };
        assert_eq!(each(&items, read, tell), Err("closed"));
        assert_eq!(told, 3);
        assert!(begun.into_inner() <= READERS * BATCH * 4);
    }
}
