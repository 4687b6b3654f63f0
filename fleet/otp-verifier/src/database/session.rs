//! One connection of one thread, blocking. On any doubt about it, it is dropped.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use otp_core::store::error::StoreError;

pub(crate) use crate::database::link::Value;
use crate::database::link::{Link, Silence};
use crate::database::{Engine, Facts, Fence, Servers};

/// A connection to a server that could be written to when it was made.
pub(crate) struct Session {
    runtime: Engine,
    /// `None` after any doubt.
    link: RefCell<Option<Link>>,
    /// What `synchronous_standby_names` was when this server was admitted.
    standbys: String,
    timeline: u32,
    fence: RefCell<watch::Receiver<Fence>>,
    asked: Cell<u64>,
    /// What a commit waits for, in words.
    waits_for: String,
    /// How long an answer is waited for; `None` for a session whose wait another one ends.
    patience: Cell<Option<Duration>>,
}

/// What a statement does, and so what a lost answer means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

/// Why statements of a migration were not run.
pub(super) enum Unrun {
    Failed(String),
    /// They may be in force later.
    Late(String),
}

/// Why a statement has no rows.
pub(crate) enum Unanswered {
    /// Another transaction was first, and nothing was written.
    Overtaken,
    /// What it would write contradicts what is there.
    Taken,
    Error(StoreError),
}

pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreachable(format!("the row {what} cannot be read"))
}

impl Session {
    pub(super) fn new(servers: &Arc<Servers>, runtime: Engine, link: Link, facts: Facts, waits_for: String) -> Self {
        Self {
            runtime,
            link: RefCell::new(Some(link)),
            standbys: facts.standbys,
            timeline: facts.timeline.unwrap_or_default(),
            fence: RefCell::new(servers.fence.subscribe()),
            asked: Cell::new(0),
            waits_for,
            patience: Cell::new(None),
        }
    }

    /// Waits no longer than this for an answer: a command says what it waits for.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        self.patience.set(Some(patience));
        self
    }

    /// Whether another session is needed.
    pub(crate) fn is_broken(&self) -> bool {
        self.link.borrow().is_none() || self.is_outdated()
    }

    /// How many statements were sent.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> u64 {
        self.asked.get()
    }

    /// Rows that were read.
    pub(crate) fn read(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.ask(sql, values, Purpose::Read).map_err(StoreError::from)
    }

    /// The row of a statement that writes, after its commit. Its first column is the present `synchronous_standby_names`: a
    /// primary that was told to wait for no standby, or for another one, is asked again what it is.
    pub(crate) fn write(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Row, Unanswered> {
        let rows = self.ask(sql, values, Purpose::Write)?;
        let row = rows.into_iter().next().ok_or_else(|| self.broken("no row", Purpose::Write))?;
        match row.try_get::<_, &str>(0) {
            Ok(standbys) if standbys == self.standbys => Ok(row),
            Ok(_) | Err(_) => Err(self.broken("its synchronous_standby_names has changed", Purpose::Write).into()),
        }
    }

    /// Statements of a migration.
    pub(super) fn run(&self, sql: &str) -> Result<(), Unrun> {
        let mut link = self.link.take().ok_or_else(|| Unrun::Failed("the connection is lost".into()))?;
        let until = async {
            match self.patience.get() {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        match self.runtime.block_on(link.run(sql, until)) {
            None => Err(Unrun::Failed("the runtime has ended".into())),
            Some(Err(Silence::GivenUp)) => Err(Unrun::Late(self.late(Purpose::Write))),
            Some(Err(silence)) => Err(Unrun::Failed(silence.to_string())),
            Some(Ok(())) => {
                self.link.replace(Some(link));
                Ok(())
            }
        }
    }

    fn is_outdated(&self) -> bool {
        self.is_ended_by(*self.fence.borrow().borrow())
    }

    fn is_ended_by(&self, fence: Fence) -> bool {
        fence.timeline > self.timeline || fence.is_split || fence.is_doubled
    }

    fn ask(&self, sql: &'static str, values: &[Value<'_>], purpose: Purpose) -> Result<Vec<Row>, Unanswered> {
        if self.is_outdated() {
            self.link.take();
        }
        let mut link = self.link.take().ok_or_else(|| StoreError::Unreachable("the connection is lost".into()))?;
        self.asked.set(self.asked.get().saturating_add(1));
        let mut fence = self.fence.borrow_mut();
        // The other end lives as long as the servers. Without it nothing ends the wait.
        let is_late = Cell::new(false);
        let outdated = async {
            if fence.wait_for(|fence| self.is_ended_by(*fence)).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let until = async {
            match self.patience.get() {
                Some(patience) => is_late.set(timeout(patience, outdated).await.is_err()),
                None => outdated.await,
            }
        };
        let answer = self.runtime.block_on(link.ask(sql, values, until));
        match answer.unwrap_or_else(|| Err(Silence::Broken("the runtime has ended".into()))) {
            Ok(rows) => {
                self.link.replace(Some(link));
                Ok(rows)
            }
            Err(Silence::Refused(refusal)) => {
                let code = refusal.code();
                let is_overtaken =
                    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code);
                if is_overtaken || *code == SqlState::UNIQUE_VIOLATION {
                    self.link.replace(Some(link));
                    return Err(if is_overtaken { Unanswered::Overtaken } else { Unanswered::Taken });
                }
                // The server wrote nothing, and may be read-only by now.
                Err(StoreError::Unreachable(Silence::Refused(refusal).to_string()).into())
            }
            Err(_) if is_late.get() => Err(self.broken(&self.late(purpose), purpose).into()),
            Err(silence) => Err(self.broken(&silence.to_string(), purpose).into()),
        }
    }

    /// What a command that waits no longer says.
    fn late(&self, purpose: Purpose) -> String {
        let seconds = self.patience.get().unwrap_or_default().as_secs();
        match purpose {
            Purpose::Read => format!("no answer in {seconds} s"),
            Purpose::Write => format!("not within {seconds} s: {}", self.waits_for),
        }
    }

    fn broken(&self, why: &str, purpose: Purpose) -> StoreError {
        self.link.take();
        match purpose {
            Purpose::Read => StoreError::Unreachable(why.to_owned()),
            Purpose::Write => StoreError::Unconfirmed(why.to_owned()),
        }
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl From<Unanswered> for StoreError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Overtaken => Self::Busy,
            Unanswered::Taken => Self::Unreachable("it has another row of that name".into()),
            Unanswered::Error(error) => error,
        }
    }
}
