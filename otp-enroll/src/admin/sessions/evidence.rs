//! What shows that a session came in with a second factor: our line in the journal, or the record.

use std::process::{Command, Stdio};

use otp_core::audit;
use otp_core::protocol::request::Status;
use otp_core::record::Record;
use otp_core::record::state::Grace;
use otp_core::value::network::Address;
use otp_core::value::time::{Seconds, UnixTime};

use super::logind::Session;
use crate::admin::journal::{Entry, OF_ROOT, entries};

/// A session is opened this long after its code was accepted, at most: the rest of the login may ask for a new password.
const LONGEST_LOGIN: Seconds = Seconds(15 * 60);

/// The journal's times and those of logind are taken one after the other.
const CLOCK_TICK: Seconds = Seconds(2);

/// The fields that are read, beside the time.
const MESSAGE: &str = "--output-fields=MESSAGE";

/// Logins that the journal knows. A log file counts for nothing here: any local user can write to it with logger.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// It holds all lines since this time; `None` without a journal.
    since: Option<UnixTime>,
    accepted: Vec<Accepted>,
}

/// A second factor that was accepted at a login, or enrolled during it.
#[derive(Debug, PartialEq, Eq)]
struct Accepted {
    at: UnixTime,
    service: String,
    /// As the log spells it, like the remote host.
    user: String,
    rhost: Option<String>,
}

impl Journal {
    /// Reads the lines that can belong to these sessions.
    pub(super) fn of(sessions: &[Session]) -> Self {
        let Some(first) = sessions.iter().map(begin).min() else { return Self::default() };
        let since = entries([MESSAGE]).and_then(|mut entries| entries.next()).and_then(|entry| entry.time());
        let from = format!("--since=@{}", first.0);
        let ours = since.and_then(|_| entries([MESSAGE, &from].into_iter().chain(OF_ROOT)));
        Self { since, accepted: ours.into_iter().flatten().filter_map(|entry| accepted(&entry)).collect() }
    }

    /// Whether the journal tells all of the time in which a session was begun.
    fn covers(&self, session: &Session) -> bool {
        self.since.is_some_and(|since| since <= begin(session))
    }

    /// Takes the last line that can be of this session, so that no other session has it.
    fn shows(&mut self, session: &Session) -> bool {
        let (user, rhost) = (audit::value(&session.user), session.rhost.as_deref().map(audit::value));
        let is_its = |line: &Accepted| {
            line.service == session.service && line.user == user && line.rhost == rhost && is_within(line.at, session)
        };
        match self.accepted.iter().rposition(is_its) {
            Some(place) => {
                self.accepted.remove(place);
                true
            }
            None => false,
        }
    }
}

/// What a record tells of earlier logins.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    last_accepted: Option<UnixTime>,
    graces: Vec<Grace>,
}

impl Earlier {
    pub(super) fn of_record(record: &Record) -> Self {
        Self { last_accepted: record.state.last_accepted, graces: record.state.graces.clone() }
    }

    /// Which addresses are remembered is known to the verifiers alone.
    pub(super) fn of_fleet(status: &Status) -> Self {
        Self { last_accepted: status.last_accepted.as_deref().and_then(UnixTime::read), graces: Vec::new() }
    }
}

/// Whether anything shows that a session came in with a second factor. The record is asked where the journal does not reach:
/// it knows the last login only, whichever service it was. Sessions are asked about in the order of their beginning.
pub(super) fn is_shown(session: &Session, journal: &mut Journal, earlier: &Earlier, grace: Option<Seconds>) -> bool {
    if journal.shows(session) {
        return true;
    }
    if journal.covers(session) {
        return false;
    }
    let address = session.rhost.as_deref().and_then(Address::parse);
    let was_in_grace = address.zip(grace).is_some_and(|(address, length)| {
        let begun = |grace: &Grace| {
            grace.address == address && grace.at <= session.since && session.since < grace.at.after(length)
        };
        earlier.graces.iter().any(begun)
    });
    was_in_grace || earlier.last_accepted.is_some_and(|at| is_within(at, session))
}

/// A process, by its number, and when it began: a number is given again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) since: UnixTime,
}

/// Whether the journal shows that a session came in with a second factor that was accepted at this time or later.
pub(crate) fn is_accepted(session: &Session, at: UnixTime) -> bool {
    synchronize();
    let mut journal = Journal::of(std::slice::from_ref(session));
    journal.accepted.retain(|line| at <= line.at);
    journal.shows(session)
}

/// Whether the journal shows that one of these processes has asked for a second factor for one of these services, and that
/// it was accepted at this time or later. Who sent the line is told by the kernel. Its user is that of the caller, for su.
pub(crate) fn is_accepted_in(processes: &[Process], services: &[&str], at: UnixTime) -> bool {
    synchronize();
    let from = format!("--since=@{}", at.0);
    let fields = "--output-fields=MESSAGE,_PID";
    let ours = entries([fields, &from, "SYSLOG_FACILITY=10"]);
    ours.into_iter().flatten().any(|entry| is_of(&entry, processes, services, at))
}

fn is_of(entry: &Entry, processes: &[Process], services: &[&str], at: UnixTime) -> bool {
    let pid: Option<u32> = entry.text("_PID").and_then(|pid| pid.parse().ok());
    let is_its = |line: &Accepted| {
        let process = processes.iter().find(|process| Some(process.pid) == pid);
        let began = process.map(|process| UnixTime(process.since.0.saturating_sub(CLOCK_TICK.0)));
        at <= line.at && began.is_some_and(|began| began <= line.at) && services.contains(&line.service.as_str())
    };
    accepted(entry).as_ref().is_some_and(is_its)
}

/// Has the journal take in what was logged a moment ago.
fn synchronize() {
    // Without it a line may be missing, and what needs it is refused.
    let _ = Command::new("journalctl").arg("--sync").stdin(Stdio::null()).stderr(Stdio::null()).status();
}

/// The earliest time at which the code of a session can have been accepted.
fn begin(session: &Session) -> UnixTime {
    UnixTime(session.since.0.saturating_sub(LONGEST_LOGIN.0))
}

fn is_within(at: UnixTime, session: &Session) -> bool {
    begin(session) <= at && at <= session.since.after(CLOCK_TICK)
}

/// `pam_otp(sshd:auth): accepted user=alice …`, and the same of `enrolled-during-login`.
fn accepted(entry: &Entry) -> Option<Accepted> {
    let message = entry.text("MESSAGE")?;
    let (place, line) = message.strip_prefix("pam_otp(")?.split_once("): ")?;
    let (word, rest) = line.split_once(" user=")?;
    let is_accepted = ["accepted", "enrolled-during-login"].contains(&word);
    let mut values = rest.split(' ');
    let user = values.next().filter(|_| is_accepted)?.to_owned();
    let rhost = values.find_map(|value| value.strip_prefix("rhost=")).map(str::to_owned);
    Some(Accepted { at: entry.time()?, service: place.split(':').next()?.to_owned(), user, rhost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp_core::record::state::Grace;
    use otp_core::value::user::Account;

    const NOON: UnixTime = UnixTime(1_800_000_000);

    fn session() -> Session {
        Session {
            id: "17".into(),
            user: "alice".into(),
            uid: 1001,
            service: "sshd".into(),
            rhost: Some("203.0.113.9".into()),
            tty: None,
            since: NOON,
        }
    }

    fn entry(at: u64, message: &str) -> Entry {
        let time = at.saturating_mul(1_000_000).to_string();
        let entry = serde_json::json!({ "__REALTIME_TIMESTAMP": time, "MESSAGE": message });
        Entry::parse(&entry.to_string()).unwrap()
    }

    fn journal(since: u64, lines: &[(u64, &str)]) -> Journal {
        let accepted = lines.iter().filter_map(|(at, message)| accepted(&entry(*at, message))).collect();
        Journal { since: Some(UnixTime(since)), accepted }
    }

    #[test]
    fn a_line_of_ours_shows_a_second_factor_of_its_user_and_service_and_time() {
        let line = "pam_otp(sshd:auth): accepted user=alice rhost=203.0.113.9 factor=totp device=1";
        let noon = NOON.0;
        for (at, message, expected) in [
            (noon - 3, line, true),
            (noon - 900, line, true),
            (noon + 1, line, true),
            (noon - 901, line, false),
            (noon + 60, line, false),
            (noon - 3, "pam_otp(sshd:auth): accepted user=alice rhost=203.0.113.9 factor=grace", true),
            (noon - 3, "pam_otp(sshd:auth): accepted user=alice rhost=203.0.113.10 factor=totp", false),
            (noon - 3, "pam_otp(sshd:auth): accepted user=alice factor=totp", false),
            (noon - 3, "pam_otp(sshd:chauthtok): enrolled-during-login user=alice rhost=203.0.113.9", true),
            (noon - 3, "pam_otp(sshd:auth): accepted user=alicia factor=totp", false),
            (noon - 3, "pam_otp(sudo:auth): accepted user=alice factor=totp", false),
            (noon - 3, "pam_otp(sshd:auth): refused user=alice why=wrong failures=1", false),
            (noon - 3, "pam_otp(sshd:auth): not-asked user=alice second_factor=optional by=default", false),
            (noon - 3, "x pam_otp(sshd:auth): accepted user=alice", false),
        ] {
            let mut journal = journal(noon - 5000, &[(at, message)]);
            assert_eq!(is_shown(&session(), &mut journal, &Earlier::default(), None), expected, "{at} {message}");
            assert!(!is_shown(&session(), &mut journal, &Earlier::default(), None), "one code, one session");
        }
        assert!(!is_shown(&session(), &mut Journal::default(), &Earlier::default(), None), "nothing is known");
    }

    #[test]
    fn a_line_shows_a_second_factor_of_the_process_that_sent_it() {
        let entry = |at: u64, pid: &str, message: &str| {
            let time = at.saturating_mul(1_000_000).to_string();
            let entry = serde_json::json!({ "__REALTIME_TIMESTAMP": time, "_PID": pid, "MESSAGE": message });
            Entry::parse(&entry.to_string()).unwrap()
        };
        let (line, noon) = ("pam_otp(sudo:auth): accepted user=alice factor=totp device=1", NOON.0);
        let processes = [Process { pid: 7, since: UnixTime(1) }, Process { pid: 8, since: NOON }];
        let of = |at, pid: &str, message: &str| is_of(&entry(at, pid, message), &processes, &["sudo", "sudo-i"], NOON);
        assert!(of(noon, "8", line) && of(noon + 60, "7", line) && of(noon, "8", &line.replace("sudo:", "sudo-i:")));
        assert!(!of(noon - 1, "7", line), "before it was turned on");
        assert!(!of(noon, "9", line), "another process");
        let young = [Process { pid: 7, since: UnixTime(noon + 60) }];
        assert!(!is_of(&entry(noon, "7", line), &young, &["sudo"], NOON), "a number that was given again");
        for message in [line.replace("sudo:", "su:"), line.replace("accepted", "refused"), format!("x {line}")] {
            assert!(!of(noon, "8", &message), "{message}");
        }
    }

    #[test]
    fn the_record_counts_where_the_journal_does_not_reach() {
        let mut record = Record::stranger(&Account::nobody());
        let nothing = Journal::default;
        let shown = |record: &Record, mut journal: Journal, grace| {
            is_shown(&session(), &mut journal, &Earlier::of_record(record), grace)
        };
        let (reaching, later) = (journal(NOON.0 - 901, &[]), journal(NOON.0 - 899, &[]));
        record.state.last_accepted = Some(UnixTime(NOON.0 - 3));
        for (journal, expected) in [(nothing(), true), (later, true), (reaching, false)] {
            assert_eq!(shown(&record, journal, None), expected);
        }
        for last_accepted in [None, Some(UnixTime(NOON.0 - 901)), Some(UnixTime(NOON.0 + 3600))] {
            record.state.last_accepted = last_accepted;
            assert!(!shown(&record, nothing(), None), "{last_accepted:?}");
        }
        let address = Address::parse("203.0.113.9").unwrap();
        record.state.graces = vec![Grace { address, at: UnixTime(NOON.0 - 3000) }];
        let day = Some(Seconds(86_400));
        assert!(shown(&record, nothing(), day));
        assert!(!shown(&record, nothing(), None) && !shown(&record, nothing(), Some(Seconds(3000))));
        record.state.graces = vec![Grace { address, at: UnixTime(NOON.0 + 1) }];
        assert!(!shown(&record, nothing(), day), "a time in the future");
    }
}
