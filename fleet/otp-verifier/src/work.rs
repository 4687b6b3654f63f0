//! Threads that decide, each with a connection to the database of its own, and the queue before them.
//!
//! The front waits for an answer as long as a host does, and then says that there is none. A thread whose commit is not confirmed
//! stays with its connection: the queue fills, and all are told so at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::answered::{Answered, Failure, unanswered};
use crate::asked::Asked;
use crate::budgets::now;
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::log;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// One question, and where its answer goes.
struct Job {
    asked: Asked,
    /// What names the key of the host's certificate; `None` without one.
    key: Option<[u8; 32]>,
    until: Instant,
    answer: oneshot::Sender<Answered>,
}

/// The queue.
#[derive(Clone)]
pub(crate) struct Work(SyncSender<Job>);

impl Work {
    /// Starts the threads.
    pub(crate) fn start(fleet: &Arc<Fleet>) -> std::io::Result<Self> {
        let threads = fleet.config.threads;
        // Each thread has one question before it: what waits longer would not be answered in time.
        let (queue, jobs) = sync_channel(threads);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let (fleet, jobs) = (Arc::clone(fleet), Arc::clone(&jobs));
            thread::Builder::new().name("decide".into()).spawn(move || decide(&fleet, &jobs))?;
        }
        Ok(Self(queue))
    }

    /// The answer, or that there is none.
    pub(crate) async fn ask(&self, asked: Asked, key: Option<[u8; 32]>, fleet: &Fleet) -> Answered {
        let Some(until) = now().checked_add(PATIENCE) else {
            return Err(Failure::not_begun("the clock is at its end"));
        };
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Job { asked, key, until, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                fleet.metrics.full.add();
                return Err(Failure::not_begun("all threads wait for the database"));
            }
            Err(TrySendError::Disconnected(_)) => return Err(Failure::not_begun("no thread is left")),
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::no_answer("the thread that decided has ended")),
            Err(_) => {
                fleet.metrics.late.add();
                Err(Failure::no_answer("the database has not confirmed it in time"))
            }
        }
    }
}

fn decide(fleet: &Arc<Fleet>, jobs: &Mutex<Receiver<Job>>) {
    let mut session: Option<Session> = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The host no longer waits: a code that lets no user in stays unused.
        if job.answer.is_closed() || job.until < now() {
            continue;
        }
        // An idle connection may have been lost, or outdated by a new primary.
        if session.as_ref().is_some_and(Session::is_broken) {
            session = None;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| answer(fleet, &mut session, &job)));
        let answer = answer.unwrap_or_else(|_| {
            session = None;
            Err(Failure::no_answer("a thread has failed: see the log"))
        });
        let _ = job.answer.send(answer);
    }
}

fn connected(fleet: &Fleet) -> Result<Session, Failure> {
    let session = fleet.servers.connect().map_err(|error| Failure::not_begun(&error.to_string()))?;
    fleet.servers.note_fleet(session.fleet().map_err(|error| unanswered(fleet, &error))?);
    Ok(session)
}

fn answer(fleet: &Arc<Fleet>, session: &mut Option<Session>, job: &Job) -> Answered {
    let session = match session {
        Some(session) => session,
        None => session.insert(connected(fleet)?),
    };
    // The keys of the fleet may be others by now.
    if let Some(foreign) = fleet.foreign() {
        log::error(&format!("nobody is served: {}", foreign.text()));
        return Err(Failure::not_begun(&foreign.text()));
    }
    job.asked.answer(fleet, session, job.key)
}

#[cfg(test)]
mod tests;
