//! What the audit says of a user or of a host, for an administrator on a verifier's own machine.

use otp_core::store::error::StoreError;
use otp_core::value::time::{Seconds, UnixTime};
use serde::Serialize;
use tokio_postgres::Row;

use crate::command_line::Audit;
use crate::config::Config;
use crate::database::session::Session;
use crate::error::Error;
use crate::told::{told, told_json};

/// A row. What a host has sent is in it as it came.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    /// In UTC, as `2026-11-29T15:12:47Z`.
    at: String,
    /// `None` for what was done on a verifier.
    host: Option<String>,
    caller_uid: Option<i64>,
    user: String,
    service: Option<String>,
    rhost: Option<String>,
    event: String,
    answer: Option<String>,
}

pub(crate) fn audit(config: &Config, how: &Audit) -> Result<(), Error> {
    let since = Seconds::parse(&how.since)
        .ok_or_else(|| Error::new(format!("{:?} is no length of time", how.since), "write it like 24h, 30m or 7d"))?;
    let since = UnixTime::now().0.saturating_sub(since.0);
    let lines = lines(&config.session()?.0, how, since)?;
    if how.json {
        return told_json(&lines);
    }
    lines.iter().try_for_each(|line| told(&line.text()))
}

/// Rows since a time, the oldest first.
fn lines(session: &Session, how: &Audit, since: u64) -> Result<Vec<Line>, StoreError> {
    const SQL: &str = "SELECT * FROM otp.told($1, $2, to_timestamp($3::bigint), $4)";
    let (since, most) = (i64::try_from(since).unwrap_or(i64::MAX), i64::from(how.most));
    let rows = session.read(SQL, &[&how.user, &how.host, &since, &most])?;
    let lines = rows.iter().rev().map(Line::of).collect::<Result<_, tokio_postgres::Error>>();
    lines.map_err(|_| StoreError::Unreachable("a row of the audit cannot be read".into()))
}

impl Line {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            at: row.try_get(0)?,
            host: row.try_get(1)?,
            caller_uid: row.try_get(2)?,
            user: row.try_get(3)?,
            service: row.try_get(4)?,
            rhost: row.try_get(5)?,
            event: row.try_get(6)?,
            answer: row.try_get(7)?,
        })
    }

    /// In columns; `-` for what there is not. No terminal is steered by it.
    fn text(&self) -> String {
        let or_none = |text: &Option<String>| text.as_deref().unwrap_or("-").escape_debug().to_string();
        let (host, service, rhost) = (or_none(&self.host), or_none(&self.service), or_none(&self.rhost));
        let (user, event) = (self.user.escape_debug(), self.event.escape_debug());
        format!("{} {host:<20} {user:<16} {service:<12} {rhost:<16} {event}: {}", self.at, or_none(&self.answer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use otp_core::decision::verify::decide;
    use otp_core::store::{Store as _, Swap, update};
    use otp_core::testing::alice::{LIMITS, NOTE, NOW, alice, named, phone, record, right, wrong};

    use super::*;
    use crate::database::testing::Cluster;
    use crate::keys::tests::keys;
    use crate::store::{About, PgStore};

    #[test]
    fn the_audit_of_a_user_is_that_of_all_hosts_and_of_no_other_user() {
        let (cluster, database) = Cluster::shared();
        let session = Arc::new(cluster.servers_of(&database, &[0])).connect().unwrap();
        let keys = keys(&[1]);
        let about = About { service: Some("sshd"), rhost: Some("192.0.2.1\x1b[2J"), ..About::default() };
        let store = PgStore::new(&session, &keys, about);
        assert_eq!(store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Done);
        for attempt in [wrong(), right(), right()] {
            update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &attempt, NOW)).unwrap();
        }
        update(&store, &named("bob", 7), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
        let asked = |user: Option<&str>, host: Option<&str>, most, since| {
            let how = Audit {
                user: user.map(Into::into),
                host: host.map(Into::into),
                since: String::new(),
                most,
                json: false,
            };
            lines(&session, &how, since).unwrap()
        };
        let alices = asked(Some("alice"), None, 100, 0);
        let answers: Vec<_> = alices.iter().filter_map(|line| line.answer.as_deref()).collect();
        assert_eq!((alices.len(), answers.len()), (4, 3));
        let begin = ["refused wrong", "accepted", "refused replayed"];
        assert!(answers.iter().zip(begin).all(|(answer, begin)| answer.starts_with(begin)), "{answers:?}");
        assert_eq!(asked(None, None, 100, 0).len(), 5);
        assert_eq!(asked(Some("alice"), None, 1, 0), alices[3..]);
        assert_eq!(
            (asked(Some("alice"), Some("web1"), 9, 0).len(), asked(None, None, 9, UnixTime::now().0 + 60).len()),
            (0, 0)
        );
        let text = alices[3].text();
        assert!(
            text.contains("sshd") && text.contains("192.0.2.1\\u{1b}[2J") && text.contains("refused replayed"),
            "{text}"
        );
    }
}
