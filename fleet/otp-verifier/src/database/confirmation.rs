//! Whether commits are confirmed. A primary whose standby is gone answers all that is read, and no write: no user logs in.

use std::pin::pin;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::database::link::Link;
use crate::database::standbys::named;
use crate::database::{Facts, PATIENCE, Servers};

const EVERY: Duration = Duration::from_secs(5);

/// A commit that writes no row.
pub(super) const TRIED: &str = "SELECT pg_logical_emit_message(true, 'otp_verifier', '')";

/// What the commits of this server wait for, in words. Says which of the standbys it names are not connected.
pub(super) fn waits_for(server: &str, facts: &Facts) -> String {
    match absent(facts).as_slice() {
        [] => format!("{server} waits for the confirmation of its standby ({})", facts.standbys),
        names => format!("{server} waits for its standby {}, which is not connected", names.join(", ")),
    }
}

/// The standbys without which a primary does not commit, and which do not copy from it now.
pub(super) fn absent(facts: &Facts) -> Vec<String> {
    let copies = |name: &String| facts.copiers.iter().any(|copier| copier.eq_ignore_ascii_case(name));
    named(&facts.standbys).unwrap_or_default().into_iter().filter(|name| !copies(name)).collect()
}

/// Commits something every few seconds, until the servers are dropped.
pub(super) async fn tried(servers: &Weak<Servers>) {
    let mut kept = None;
    while try_once(servers, &mut kept).await.is_some() {
        sleep(EVERY).await;
    }
}

/// `None` once the servers are dropped.
async fn try_once(servers: &Weak<Servers>, kept: &mut Option<Link>) -> Option<()> {
    let (mut link, mut fence) = {
        let servers = servers.upgrade()?;
        let known = servers.seen().primary;
        let Some((number, server)) = known.and_then(|number| Some((number, servers.all.get(number)?))) else {
            return Some(());
        };
        let link = match kept.take().filter(|link| link.number == number) {
            Some(link) => link,
            None => match servers.open(server).await {
                Ok((link, _)) => link,
                // The watcher says so.
                Err(_) => return Some(()),
            },
        };
        (link, servers.fence.subscribe())
    };
    let timeline = fence.borrow().timeline;
    // Ends with the servers, too.
    let replaced = async {
        let _ = fence.wait_for(|fence| fence.timeline > timeline).await;
    };
    let answer = {
        let mut asked = pin!(link.ask(TRIED, &[], replaced));
        let begun = Instant::now();
        match timeout(PATIENCE, &mut asked).await {
            Ok(answer) => answer,
            // The wait goes on: each new connection would wait beside it.
            Err(_) => {
                servers.upgrade()?.seen().unconfirmed.get_or_insert(begun);
                asked.await
            }
        }
    };
    if answer.is_ok() {
        servers.upgrade()?.seen().unconfirmed = None;
        *kept = Some(link);
    }
    Some(())
}

#[cfg(test)]
mod tests;
