//! The same done with each of many, by as many threads as there are processors; what comes of it is taken in order.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, Builder};

use crate::problem::Problem;

/// Of how many a thread takes care at a time: enough to be worth a thread, and few enough to wait for.
const SHARE: usize = 64;

/// More threads at once are no help to a directory service.
const MOST_THREADS: usize = 8;

/// Does `work` with each, and hands what came of it to `take`.
pub(super) fn each<T: Sync, Found: Send>(
    all: &[T],
    work: impl Fn(&T) -> Found + Sync,
    mut take: impl FnMut(&T, Found) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let do_share = |share: &[T]| share.iter().map(&work).collect::<Vec<Found>>();
    for round in all.chunks(SHARE.saturating_mul(threads)) {
        let mut shares = round.chunks(SHARE);
        let first = shares.next().unwrap_or_default();
        let found = thread::scope(|scope| {
            let others: Vec<_> =
                shares.map(|share| (share, Builder::new().spawn_scoped(scope, move || do_share(share)))).collect();
            let mut found = do_share(first);
            for (share, thread) in others {
                found.extend(match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    // No thread is to be had.
                    Err(_) => do_share(share),
                });
            }
            found
        });
        for (one, found) in round.iter().zip(found) {
            take(one, found)?;
        }
    }
    Ok(())
}
