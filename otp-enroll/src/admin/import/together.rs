//! Many users at once whose first records are flushed together: while those of one group are flushed, put in force and told, the
//! next group is written, and the one after it is looked up.

use std::mem;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use otp_core::decision::import::Outcome;
use otp_core::error::CoreError;
use otp_core::store::files::first_records::{FirstRecords, Written};

use super::engine::{Candidate, Engine, Telling};
use super::entries::{Answer, Entries, Named};
use super::report::Tally;
use super::shelf::Shelf;
use super::workers;
use crate::error::CliError;
use crate::ui::output::Output;

/// Users in a group. Each has a file open until the group is in force; twice as many are not faster.
const GROUP: usize = 256;

/// Threads that look users up. More of them disturb each other, and the one that writes, more than they help.
const LOOK_UPS: usize = 4;

/// How far a place has come.
enum Stage {
    Answered(Result<Answer, CoreError>),
    /// Written, and in force after the next flush.
    Written(Candidate, Outcome, Written),
    /// Its record is made by itself.
    Alone(Candidate),
}

/// Enrolls all, and tells of each: together, where that can be. Returns what is to be told at the end.
pub(super) fn enroll(engine: &Engine<'_>, entries: &impl Entries, output: &Output) -> Result<Tally, CliError> {
    let shelf = Shelf::open(engine.store, entries.has_stock(), engine.dry_run)?;
    match engine.store.first_records().filter(|_| !engine.dry_run) {
        Some(records) => in_groups(engine, &records, entries, &shelf, output),
        None => engine.each(entries, &shelf, output),
    }
}

fn in_groups(
    engine: &Engine<'_>,
    records: &FirstRecords<'_>,
    entries: &impl Entries,
    shelf: &Shelf,
    output: &Output,
) -> Result<Tally, CliError> {
    let count = entries.count();
    let mut telling = Telling::begin(count, false, output)?;
    let stop = telling.stop;
    // Looked up on some threads, since each look-up may wait; written on one, since a directory is changed by one at a time.
    let look_up = |place| (place, engine.candidate(entries, place, shelf));
    let write = |(place, (named, candidate)): (usize, (Named, Result<Candidate, _>))| {
        let stage = match candidate {
            Err(answer) => Stage::Answered(answer),
            Ok(candidate) => match candidate.write(records) {
                Some((written, outcome)) => Stage::Written(candidate, outcome, written),
                None => Stage::Alone(candidate),
            },
        };
        (place, named, stage)
    };
    let found = |start: usize| -> Vec<_> {
        workers::until(stop, LOOK_UPS, start..count.min(start.saturating_add(GROUP)), look_up)
    };
    // One group is looked up while the one before it is written, and the one before that put in force.
    let (mut to_write, mut to_finish) = (found(0), Vec::new());
    for next in (GROUP..).step_by(GROUP) {
        if to_write.is_empty() && to_finish.is_empty() {
            break;
        }
        let (this, before) = (mem::take(&mut to_write), mem::take(&mut to_finish));
        let all = |this: Vec<_>| this.into_iter().map(write).collect();
        (to_write, to_finish) = thread::scope(|scope| {
            let finding = (next < count).then(|| scope.spawn(|| found(next)));
            let written = if before.is_empty() {
                all(this)
            } else {
                let writing = (!this.is_empty()).then(|| scope.spawn(|| all(this)));
                finish(engine, records, before, shelf, &mut telling);
                writing.map_or_else(Vec::new, joined)
            };
            (finding.map_or_else(Vec::new, joined), written)
        });
    }
    telling.end()
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Puts a group in force, and tells of it.
fn finish(
    engine: &Engine<'_>,
    records: &FirstRecords<'_>,
    group: Vec<(usize, Named, Stage)>,
    shelf: &Shelf,
    telling: &mut Telling<'_>,
) {
    let written = group.iter().filter_map(|(_, _, stage)| match stage {
        Stage::Written(_, _, written) => Some(written),
        Stage::Answered(_) | Stage::Alone(_) => None,
    });
    let mut put = records.put_in_force(&written.collect::<Vec<_>>()).into_iter();
    let put_in_force = |(place, named, stage)| match stage {
        Stage::Written(candidate, outcome, written) => {
            drop(written); // and with it the lock, which a record that is made by itself needs
            let stage = match put.next() {
                Some(Ok(true)) => Stage::Answered(candidate.done(outcome, shelf)),
                Some(Err(error)) => Stage::Answered(Err(error.into())),
                Some(Ok(false)) | None => Stage::Alone(candidate),
            };
            (place, named, stage)
        }
        stage @ (Stage::Answered(_) | Stage::Alone(_)) => (place, named, stage),
    };
    let group: Vec<_> = group.into_iter().map(put_in_force).collect();

    let alone = group.iter().filter_map(|(_, _, stage)| match stage {
        Stage::Alone(candidate) => Some(candidate),
        Stage::Answered(_) | Stage::Written(..) => None,
    });
    let alone: Vec<_> = alone.collect();
    let mut answers = workers::all(&alone, |candidate| engine.one(candidate, shelf)).into_iter();
    for (place, named, stage) in group {
        match stage {
            Stage::Answered(answer) => telling.tell(place, &named, answer),
            Stage::Alone(_) | Stage::Written(..) => {
                if let Some(answer) = answers.next() {
                    telling.tell(place, &named, answer);
                }
            }
        }
    }
}
