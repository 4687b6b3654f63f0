//! Asks all servers once a second. A higher timeline ends every wait on a lower one: without this, all threads wait on an old
//! primary until it is gone.

use std::future::pending;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep, timeout};

use crate::database::fleet::{FleetRow, ROW};
use crate::database::link::{Link, Silence};
use crate::database::{DatabaseError, Engine, Facts, PATIENCE, Servers, confirmation};

const EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(servers: &Arc<Servers>) -> Result<(), DatabaseError> {
    let runtime = Engine::new()?;
    let (servers, count) = (Arc::downgrade(servers), servers.all.len());
    let watching = move || runtime.block_on(join(watched(&servers, count), confirmation::tried(&servers)));
    thread::Builder::new().name("watcher".into()).spawn(watching).map_err(DatabaseError::Runtime)?;
    Ok(())
}

/// Until the servers are dropped.
async fn watched(servers: &Weak<Servers>, count: usize) {
    let mut links: Vec<Option<Link>> = (0..count).map(|_| None).collect();
    while let Some(servers) = servers.upgrade() {
        let asked = links.iter_mut().enumerate().map(|(number, link)| servers.asked(number, link));
        let answers = join_all(asked).await;
        servers.note(answers);
        drop(servers);
        sleep(EVERY).await;
    }
}

impl Servers {
    /// What one server says about itself, on the connection of the last time.
    async fn asked(&self, number: usize, kept: &mut Option<Link>) -> Result<Facts, DatabaseError> {
        let Some(server) = self.all.get(number) else { return Err(DatabaseError::Setting(number, "is gone".into())) };
        let (mut link, facts) = match kept.take() {
            None => self.open(server).await?,
            Some(mut link) => {
                let failed = |why: String| DatabaseError::Server(server.name.clone(), why);
                let facts = timeout(PATIENCE, link.facts()).await.map_err(|_| failed("no answer in 2 s".into()))?;
                (link, facts.map_err(failed)?)
            }
        };
        // At once: another server may take its time to say nothing.
        self.note_timeline(&facts);
        if self.admitted(server, &facts).is_ok() {
            {
                let mut seen = self.seen();
                (seen.primary, seen.asked, seen.without) = (Some(number), Some(Instant::now()), None);
            }
            let failed = |why: String| DatabaseError::Server(server.name.clone(), why);
            let fleet = timeout(PATIENCE, link.ask(ROW, &[], pending())).await;
            match fleet.map_err(|_| failed("no answer in 2 s".into()))? {
                Ok(rows) => self.note_fleet(FleetRow::of(&rows)),
                // There are no tables.
                Err(Silence::Refused(_)) => self.note_fleet(None),
                Err(silence) => return Err(failed(silence.to_string())),
            }
        }
        *kept = Some(link);
        Ok(facts)
    }

    fn note(&self, answers: Vec<Result<Facts, DatabaseError>>) {
        self.note_doubt(answers.iter().flatten());
        let (mut primary, mut faults, mut absent) = (None, Vec::new(), None);
        for ((number, server), answer) in self.all.iter().enumerate().zip(answers) {
            let facts = match answer {
                Ok(facts) => facts,
                Err(error) => {
                    faults.push(error.to_string());
                    continue;
                }
            };
            match self.admitted(server, &facts) {
                Ok(()) => {
                    primary = Some(number);
                    let gone = !confirmation::absent(&facts).is_empty();
                    absent = gone.then(|| confirmation::waits_for(&server.name, &facts));
                }
                // A standby is in order, unless what it confirms is not on its disk.
                Err(_) if facts.timeline.is_none() => {
                    if !facts.is_synced {
                        faults.push(format!("{}: its fsync is off", server.name));
                    }
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
        let mut seen = self.seen();
        let now = Instant::now();
        seen.asked = Some(now);
        seen.without = if primary.is_some() { None } else { seen.without.or(Some(now)) };
        (seen.primary, seen.faults, seen.absent) = (primary, faults, absent);
    }
}
