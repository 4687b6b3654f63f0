//! What the audit says of a user or of a host, for an administrator on a verifier's own machine.

use otp_core::value::time::{Seconds, UnixTime};

use crate::command_line::Audit;
use crate::config::Config;
use crate::database::audit_lines::Line;
use crate::error::Error;
use crate::told::{told, told_json, warned};

pub(crate) fn audit(config: &Config, how: &Audit) -> Result<(), Error> {
    let since = Seconds::parse(&how.since)
        .ok_or_else(|| Error::new(format!("{:?} is no length of time", how.since), "write it like 24h, 30m or 7d"))?;
    let since = UnixTime::now().0.saturating_sub(since.0);
    // One more says that there are more.
    let asked = how.most.saturating_add(1);
    let mut lines = config.session()?.0.told(how.user.as_deref(), how.host.as_deref(), since, asked)?;
    let most = usize::try_from(how.most).unwrap_or(usize::MAX);
    let more = lines.len() > most;
    lines.truncate(most);
    lines.reverse();
    if how.json {
        told_json(&lines)?;
    } else {
        lines.iter().try_for_each(|line| told(&text(line)))?;
    }
    if more {
        warned(&format!("these are the newest {most} of more: say --most, --user or --host, or a shorter --since"))
    } else {
        Ok(())
    }
}

/// In columns; `-` for what there is not. No terminal is steered by it.
fn text(line: &Line) -> String {
    let or_none = |text: &Option<String>| text.as_deref().unwrap_or("-").escape_debug().to_string();
    let (host, service, rhost) = (or_none(&line.host), or_none(&line.service), or_none(&line.rhost));
    let (user, event) = (line.user.escape_debug(), line.event.escape_debug());
    format!("{} {host:<20} {user:<16} {service:<12} {rhost:<16} {event}: {}", line.at, or_none(&line.answer))
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
    use crate::told::is_in_manual;

    #[test]
    fn the_manual_shows_a_line() {
        let text = |text: &str| Some(text.to_owned());
        let line = Line {
            at: "2026-11-21T08:30:00Z".into(),
            host: text("web1"),
            caller_uid: Some(0),
            user: "alice".into(),
            service: text("sshd"),
            rhost: text("192.0.2.1"),
            event: "login".into(),
            answer: text("refused wrong failures 1"),
        };
        assert!(is_in_manual(&[line]));
    }

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
            let mut lines = session.told(user, host, since, most).unwrap();
            lines.reverse();
            lines
        };
        let alices = asked(Some("alice"), None, 100, 0);
        let answers: Vec<_> = alices.iter().filter_map(|line| line.answer.as_deref()).collect();
        assert_eq!((alices.len(), answers.len()), (4, 3));
        let begin = ["refused wrong", "accepted", "refused replayed"];
        assert!(answers.iter().zip(begin).all(|(answer, begin)| answer.starts_with(begin)), "{answers:?}");
        assert_eq!(asked(None, None, 100, 0).len(), 5);
        assert_eq!(session.refusals_of("alice", 5).unwrap(), [&alices[3], &alices[1]].map(|line| line.clone()));
        assert_eq!(session.refusals_of("alice", 1).unwrap(), [alices[3].clone()]);
        assert_eq!(asked(Some("alice"), None, 1, 0), alices[3..]);
        assert_eq!(
            (asked(Some("alice"), Some("web1"), 9, 0).len(), asked(None, None, 9, UnixTime::now().0 + 60).len()),
            (0, 0)
        );
        let text = super::text(&alices[3]);
        assert!(
            text.contains("sshd") && text.contains("192.0.2.1\\u{1b}[2J") && text.contains("refused replayed"),
            "{text}"
        );
    }
}
