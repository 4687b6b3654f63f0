//! What a long answer is made of, read on several threads, a little ahead of the one that tells it in its order.

use std::num::NonZero;
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
    let before = waits();
    let results = read(tried, &LookUps::AT_ONCE);
    let (threads, look_ups) = readers(waits().saturating_sub(before), tried.len());
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

/// How many threads are to read, where so many items meant to wait so often, and how they are to ask the name service. Where
/// reading means no wait, threads beyond the processors are in each other's way.
fn readers(waits: usize, items: usize) -> (usize, LookUps) {
    if waits >= items.div_ceil(2) {
        (READERS, LookUps::AT_ONCE)
    } else {
        (thread::available_parallelism().map_or(1, NonZero::get).min(READERS), LookUps::in_turn())
    }
}

/// How threads ask the name service. A service in the C library answers one thread at a time. Where its answers take no wait, to
/// sleep until another thread has had one takes longer than the answer; so a thread has its turn for as many as it asks.
pub(super) struct LookUps(Option<Mutex<()>>);

impl LookUps {
    const AT_ONCE: Self = Self(None);

    fn in_turn() -> Self {
        Self(Some(Mutex::new(())))
    }

    /// Asks for all that is looked up for some items.
    pub(super) fn ask<T>(&self, ask: impl FnOnce() -> T) -> T {
        let _turn = self.0.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        ask()
    }
}

/// How often this thread gave up its processor to wait for something.
fn waits() -> usize {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    usage.ok().and_then(|usage| usage.voluntary_context_switches().try_into().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn where_reading_means_to_wait_many_threads_read() {
        assert!(matches!(readers(FIRST, FIRST), (READERS, LookUps(None))));
        let (threads, look_ups) = readers(1, FIRST);
        assert_eq!(threads, thread::available_parallelism().unwrap().get().min(READERS));
        assert!(look_ups.0.is_some());
        let before = waits();
        (0..FIRST).for_each(|_| thread::sleep(std::time::Duration::from_millis(1)));
        assert!(waits() - before >= FIRST);
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

    #[test]
    fn where_reading_means_no_wait_one_thread_at_a_time_looks_up() {
        let (asking, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (_, look_ups) = readers(0, FIRST);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    look_ups.ask(|| {
                        most.fetch_max(asking.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(std::time::Duration::from_millis(1));
                        asking.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
