//! All servers, each asked by itself, for an administrator who wants to know before the failover.

use std::future::pending;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::database::confirmation::{TRIED, waits_for};
use crate::database::link::Link;
use crate::database::{DatabaseError, Engine, Facts, PATIENCE, Server, Servers};

/// What was found.
pub(crate) struct Examined {
    /// One for each server that is not in order.
    pub faults: Vec<DatabaseError>,
    /// What the primary waits for, if it has not confirmed a commit.
    pub unconfirmed: Option<String>,
    /// Whether there is a server that may be written to.
    pub has_primary: bool,
}

impl Servers {
    /// Takes out of a configuration what is no connection string.
    pub(crate) fn take_unreadable(texts: &mut Vec<String>) -> Vec<DatabaseError> {
        let (mut errors, mut number) = (Vec::new(), 0_usize);
        texts.retain(|text| {
            number = number.saturating_add(1);
            let error = Server::parse(text).err();
            let is_readable = error.is_none();
            errors.extend(error.map(|why| DatabaseError::Setting(number, why)));
            is_readable
        });
        errors
    }

    /// Asks all servers, and the primary for a commit that writes no row.
    pub(crate) fn examine(self: &Arc<Self>) -> Result<Examined, DatabaseError> {
        Engine::new()?.block_on(self.examined()).ok_or(DatabaseError::Ended)
    }

    async fn examined(&self) -> Examined {
        let answers = join_all(self.all.iter().map(|server| self.open(server))).await;
        answers.iter().flatten().for_each(|(_, facts)| self.note_timeline(facts));
        self.note_doubt(answers.iter().flatten().map(|(_, facts)| facts));
        let (mut faults, mut primary) = (Vec::new(), None);
        for (server, answer) in self.all.iter().zip(answers) {
            match answer {
                Err(error) => faults.push(error),
                Ok((link, facts)) => match self.admitted(server, &facts) {
                    Ok(()) => primary = Some((server, link, facts)),
                    Err(error @ DatabaseError::OtherCluster(_)) => faults.push(error),
                    Err(_) if facts.timeline.is_none() && facts.is_synced => {}
                    Err(_) if facts.timeline.is_none() => {
                        faults.push(DatabaseError::Server(server.name.clone(), "its fsync is off".into()));
                    }
                    Err(error) => faults.push(error),
                },
            }
        }
        let has_primary = primary.is_some();
        if !has_primary && faults.is_empty() {
            faults.push(DatabaseError::NoPrimary("all of them are standbys".into()));
        }
        let unconfirmed = match primary {
            Some((server, link, facts)) => confirmed(server, link, &facts).await.err(),
            None => None,
        };
        Examined { faults, unconfirmed, has_primary }
    }
}

/// Whether a commit is confirmed now; if not, what it waits for.
async fn confirmed(server: &Server, mut link: Link, facts: &Facts) -> Result<(), String> {
    match timeout(PATIENCE, link.ask(TRIED, &[], pending())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(silence)) => Err(format!("{}: {silence}", server.name)),
        Err(_) => Err(waits_for(&server.name, facts)),
    }
}
