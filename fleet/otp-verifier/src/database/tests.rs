use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;

use otp_core::decision::verify::{Verdict, decide};
use otp_core::store::error::StoreError;
use otp_core::store::{Store, Swap, update};
use otp_core::testing::alice::{LIMITS, NOTE, NOW, STEP, alice, by_phone, phone, record, shown, token};
use otp_core::value::time::UnixTime;

use super::hosts::{Changed, Host, NewScope};
use super::macs::{self, Renewed};
use super::scopes::InScope;
use super::session::Session;
use super::testing::Cluster;
use super::tokens::{Joined, Joining};
use super::{DatabaseError, Servers, Settings};
use crate::keys::Keys;
use crate::keys::tests::{keys, newer};
use crate::right::Right;
use crate::store::{About, PgStore};

/// What one login with the code of a step came to.
type Answer = Result<Verdict, StoreError>;

fn login(session: &Session, step: u64) -> Answer {
    let keys = keys(&[1]);
    let store = PgStore::new(session, &keys, About::default());
    let (attempt, now) = (shown(&phone(1), STEP + step), UnixTime(NOW.0 + 30 * step));
    update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &attempt, now))
}

fn enroll(servers: &Arc<Servers>) {
    let (session, keys) = (servers.connect().unwrap(), keys(&[1]));
    let store = PgStore::new(&session, &keys, About::default());
    assert_eq!(store.replace(&alice(), None, &record(vec![phone(1), token(2)]), &NOTE).unwrap(), Swap::Done);
}

/// A login in a thread of its own, as it may take for ever. Also says whether the session is broken then.
fn begun(servers: &Arc<Servers>, step: u64) -> Receiver<(Answer, bool)> {
    begun_on(servers.connect().unwrap(), step)
}

fn begun_on(session: Session, step: u64) -> Receiver<(Answer, bool)> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let answer = login(&session, step);
        let _ = sender.send((answer, session.is_broken()));
    });
    receiver
}

fn is_silent(answer: &Receiver<(Answer, bool)>) -> bool {
    answer.recv_timeout(Duration::from_millis(1500)).is_err()
}

fn refusal(servers: &Arc<Servers>) -> String {
    servers.connect().err().unwrap().to_string()
}

fn unconfirmed(answer: &Receiver<(Answer, bool)>) -> String {
    let (answer, is_broken) = answer.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(is_broken);
    match answer {
        Err(StoreError::Unconfirmed(why)) => why,
        other => panic!("{other:?}"),
    }
}

const WAITING: &str = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'otp_verifier'";

#[test]
fn without_its_standby_a_login_has_no_answer_and_a_cancelled_commit_is_none() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let servers = cluster.servers(&[0, 1]);
    enroll(&servers);
    // Defaults of the role that would make a commit look confirmed change nothing.
    cluster.sql(0, "ALTER ROLE otp_verifier SET client_min_messages = error;\nALTER ROLE otp_verifier SET synchronous_commit = off");
    cluster.stop(1, Signal::SIGINT);
    let answer = begun(&servers, 0);
    assert!(is_silent(&answer));
    cluster.wait_for(0, &format!("SELECT count(*) {WAITING}"), "1");
    cluster.start(1);
    assert_eq!(answer.recv_timeout(Duration::from_secs(20)).unwrap().0.unwrap(), by_phone());

    for (step, end, said) in [
        (1, "pg_cancel_backend", "canceling wait for synchronous replication"),
        (2, "pg_terminate_backend", "canceling"),
    ] {
        cluster.stop(1, Signal::SIGINT);
        let before = cluster.sql(0, "SELECT version FROM otp.record");
        let answer = begun(&servers, step);
        assert!(is_silent(&answer));
        cluster.wait_for(0, &format!("SELECT count({end}(pid)) {WAITING}"), "1");
        let why = unconfirmed(&answer);
        assert!(why.contains(said), "{why}");
        // It is in force there, and nowhere else: as an answer it would be lost with this server.
        assert_ne!(cluster.sql(0, "SELECT version FROM otp.record"), before);
        cluster.start(1);
        cluster.wait_for(0, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
    }
    // Who then types the code again is told that it is used, by a commit that is confirmed.
    let answer = begun(&servers, 2).recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(answer, (Ok(Verdict::Refused(_)), false)), "{answer:?}");
}

/// So much that the server sends it before its commit.
const LONG: &str = "WITH noted AS (INSERT INTO otp.audit (name, event) VALUES ('alice', 'test') RETURNING 1) \
     SELECT current_setting('synchronous_standby_names'), repeat('x', 100000) FROM noted, generate_series(1, 3)";

#[test]
fn rows_that_come_before_their_commit_are_no_answer() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let session = cluster.servers(&[0]).connect().unwrap();
    cluster.stop(1, Signal::SIGINT);
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let is_answered = session.write(LONG, &[]).is_ok();
        sender.send((is_answered, session.is_broken()))
    });
    assert!(receiver.recv_timeout(Duration::from_millis(1500)).is_err());
    cluster.wait_for(0, &format!("SELECT count(pg_cancel_backend(pid)) {WAITING}"), "1");
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), (false, true));
}

#[test]
fn a_server_that_could_lose_a_commit_is_not_written_to() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let servers = cluster.servers(&[0, 1]);
    enroll(&servers);
    let session = servers.connect().unwrap();
    cluster.set_now(0, "synchronous_standby_names", "");
    assert!(refusal(&servers).contains("is empty"), "{}", refusal(&servers));
    // A connection that was made before sees it, too.
    let error = login(&session, 0).unwrap_err();
    assert!(error.to_string().contains("has changed") && session.is_broken(), "{error}");
    for loose in ["ANY 1 (s1, s2)", "FIRST 1 (s1, s2)", "s1, s2", "*"] {
        cluster.set_now(0, "synchronous_standby_names", loose);
        assert!(refusal(&servers).contains("without one of its standbys"), "{}", refusal(&servers));
    }
    cluster.set_now(0, "synchronous_standby_names", "s1");
    assert!(servers.connect().is_ok());
    cluster.set_now(0, "fsync", "off");
    assert!(refusal(&servers).contains("fsync is off"), "{}", refusal(&servers));
    assert!(matches!(servers.connect(), Err(DatabaseError::Unfit(..))));
    cluster.set_now(0, "fsync", "on");
    // A standby alone, and a server of another cluster.
    assert!(refusal(&cluster.servers(&[1])).contains("no server is writable"));
    let other = cluster.servers(&[0]);
    other.seen().system = Some(1);
    assert!(matches!(other.connect(), Err(DatabaseError::OtherCluster(_))));
}

/// The same code at both sides of a split: how often it is accepted. Verifiers of one side see the old primary alone, those of
/// the other side the standby that was promoted.
fn accepted_in_a_split(names: &str) -> u32 {
    let cluster = Cluster::new(names, 2);
    let old = cluster.unchecked(&[0]);
    enroll(&old);
    cluster.wait_for(1, "SELECT count(*) FROM pg_stat_wal_receiver", "1");
    sleep(Duration::from_millis(500));
    cluster.promote(1);
    let new = cluster.unchecked(&[1]);
    let (at_old, at_new) = (begun(&old, 0), begun(&new, 0));
    let accepted = |answer: &Receiver<(Answer, bool)>| {
        u32::from(matches!(answer.recv_timeout(Duration::from_secs(4)), Ok((Ok(Verdict::Accepted(_)), _))))
    };
    let (at_old, at_new) = (accepted(&at_old), accepted(&at_new));
    assert_eq!(at_new, 1);
    at_old + at_new
}

#[test]
fn a_wrong_promotion_makes_doubles_only_where_the_primary_could_do_without_that_standby() {
    // Without the rule of standbys there are doubles: this test can fail.
    assert_eq!(accepted_in_a_split("ANY 1 (s1, s2)"), 2);
    assert_eq!(accepted_in_a_split("FIRST 1 (s1, s2)"), 2);
    assert_eq!(accepted_in_a_split("FIRST 1 (s1)"), 1);
    assert_eq!(accepted_in_a_split("ANY 2 (s1, s2)"), 1);
}

#[test]
fn a_higher_timeline_ends_the_wait_on_a_lower_one_and_the_old_primary_is_never_used_again() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let servers = cluster.servers(&[0, 1]);
    servers.watch().unwrap();
    enroll(&servers);
    let idle = servers.connect().unwrap();
    cluster.stop(1, Signal::SIGINT);
    let answers: Vec<_> = (0..2).map(|_| begun(&servers, 0)).collect();
    assert!(is_silent(&answers[0]));
    // While there is no newer primary, the wait goes on.
    assert_eq!(servers.health().timeline, 1);
    assert!(servers.health().primary.is_some());
    cluster.set(1, "synchronous_standby_names", "s2");
    // It follows no primary: what waits was never confirmed.
    cluster.set(1, "primary_conninfo", "");
    cluster.start(1);
    cluster.promote(1);
    for answer in &answers {
        assert_eq!(unconfirmed(answer), "another server was promoted");
    }
    assert!(idle.is_broken() && login(&idle, 1).is_err());
    assert_eq!(servers.health().timeline, 2);
    cluster.stop(1, Signal::SIGKILL);
    // Only the old one is left.
    sleep(Duration::from_millis(3500));
    let error = refusal(&servers);
    assert!(error.contains("timeline 1"), "{error}");
    let health = servers.health();
    assert!(health.primary.is_none() && health.without_primary.is_some() && health.faults.len() == 2, "{health:?}");
}

#[test]
fn a_primary_that_hangs_keeps_nobody_waiting_once_another_one_is_there() {
    let cluster = Cluster::new("FIRST 1 (s1)", 2);
    let servers = cluster.servers(&[0, 1, 2]);
    servers.watch().unwrap();
    enroll(&servers);
    cluster.follow(2, 1);
    let session = servers.connect().unwrap();
    cluster.freeze(0);
    let answer = begun_on(session, 0);
    assert!(is_silent(&answer));
    cluster.set(1, "synchronous_standby_names", "s2");
    cluster.promote(1);
    // What waited is given up, and the next session is with the new primary, though the old one still says nothing.
    let (answer, is_broken) = answer.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(matches!(answer, Err(StoreError::Unreachable(_))) && is_broken, "{answer:?}");
    // On a busy machine the new primary may be too slow for some questions, and its standby is not there at once: each has its own
    // try, and each try ends.
    let (sender, receiver) = channel();
    thread::spawn(move || {
        while sender.send(servers.connect().map(|session| login(&session, 0)).ok()).is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let mut tries =
        std::iter::repeat_with(|| receiver.recv_timeout(Duration::from_secs(30)).expect("nobody is kept waiting"));
    assert_eq!(tries.by_ref().take(100).flatten().next().expect("no server is the primary").unwrap(), by_phone());
}

#[test]
fn of_two_servers_that_were_both_promoted_none_is_used() {
    let cluster = Cluster::new("ANY 2 (s1, s2)", 2);
    let (servers, watched) = (cluster.servers(&[1, 2]), cluster.servers(&[1, 2]));
    enroll(&cluster.servers(&[0]));
    cluster.stop(0, Signal::SIGKILL);
    // Each would do for its own.
    cluster.set(1, "synchronous_standby_names", "s9");
    cluster.set(2, "synchronous_standby_names", "s9");
    cluster.promote(1);
    watched.watch().unwrap();
    assert!(servers.connect().is_ok());
    let waiting = begun_on(watched.connect().unwrap(), 0);
    cluster.promote(2);
    assert!(matches!(servers.connect(), Err(DatabaseError::Split(2))));
    let (answer, is_broken) = waiting.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(answer.is_err() && is_broken, "{answer:?}");
    sleep(Duration::from_millis(2500));
    assert!(refusal(&watched).contains("more than one server is writable on timeline 2"));
    assert_eq!((watched.health().primary, watched.health().faults.len()), (None, 2));
    // One of them is stopped.
    cluster.stop(2, Signal::SIGINT);
    assert!(servers.connect().is_ok());
    sleep(Duration::from_millis(2500));
    assert!(watched.connect().is_ok());
}

#[test]
fn a_connection_over_a_network_is_encrypted_and_its_server_is_known() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    cluster.stop(1, Signal::SIGINT);
    let (url, authority) = cluster.with_tls(0);
    let error = |url: &str, authority| {
        let settings = Settings { servers: vec![url.to_owned()], authority, ..Settings::default() };
        Arc::new(Servers::new(&settings).unwrap()).connect().err().map(|error| error.to_string())
    };
    assert_eq!(error(&url, Some(authority.clone())), None);
    // Another authority, another name, a server that says that it has no TLS.
    assert!(error(&url, None).unwrap().contains("certificate"));
    let numbered = url.replace("localhost", "127.0.0.1");
    assert!(error(&numbered, Some(authority.clone())).unwrap().contains("certificate"));
    assert_eq!(error(&format!("{numbered} sslmode=disable"), None), None);
    cluster.set(0, "ssl", "off");
    thread::sleep(Duration::from_millis(500));
    assert!(error(&url, Some(authority)).unwrap().contains("does not support TLS"));
}

#[test]
fn what_the_configuration_says_wrongly_is_an_error_that_names_it() {
    let of = |servers: &[&str], authority: Option<&str>| {
        let servers = servers.iter().map(|server| (*server).to_owned()).collect();
        let settings = Settings { servers, authority: authority.map(Into::into), ..Settings::default() };
        let error = Servers::new(&settings).err().unwrap();
        assert!(!error.hint().is_empty());
        error.to_string()
    };
    assert_eq!(of(&[], None), "server 1 of the configuration cannot be read: there is none");
    assert!(
        of(&["host=a", "host=a,b"], None)
            .contains("server 2 of the configuration cannot be read: it must name one host")
    );
    assert!(of(&["host=a sslmode=perhaps"], None).contains("server 1"));
    assert!(of(&["host=a"], Some("/nowhere")).contains("/nowhere: "));
    assert!(of(&["host=a"], Some("/etc/hostname")).contains("holds no certificate"));
    let settings =
        Settings { servers: vec!["host=a".into()], password: Some("/nowhere".into()), ..Settings::default() };
    assert_eq!(
        Servers::new(&settings).err().unwrap().to_string(),
        "the password file /nowhere cannot be read: entity not found"
    );
}

#[test]
fn a_primary_that_is_killed_and_replaced_loses_no_used_code() {
    let cluster = Cluster::new("FIRST 1 (s1)", 2);
    let servers = cluster.servers(&[0, 1, 2]);
    servers.watch().unwrap();
    enroll(&servers);
    let (step, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let accepted = Mutex::new(Vec::new());
    let before = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut session: Option<Session> = None;
                while !is_over.load(Ordering::Relaxed) {
                    let Some(open) = session.as_ref().filter(|session| !session.is_broken()) else {
                        session = servers.connect().ok();
                        sleep(Duration::from_millis(if session.is_some() { 0 } else { 50 }));
                        continue;
                    };
                    let now = step.load(Ordering::SeqCst);
                    match login(open, now) {
                        Ok(Verdict::Accepted(_)) => accepted.lock().unwrap().push(now),
                        Ok(Verdict::Refused(_)) => {}
                        Err(_) => continue,
                    }
                    let _ = step.compare_exchange(now, now + 1, Ordering::SeqCst, Ordering::SeqCst);
                }
            });
        }
        sleep(Duration::from_secs(2));
        cluster.stop(0, Signal::SIGKILL);
        cluster.set(1, "synchronous_standby_names", "s2");
        cluster.promote(1);
        let before = accepted.lock().unwrap().len();
        cluster.follow(2, 1);
        cluster.wait_for(1, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
        for _ in 0..100 {
            sleep(Duration::from_millis(100));
            if accepted.lock().unwrap().len() > before + 20 {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        before
    });
    let mut accepted = accepted.into_inner().unwrap();
    let all = accepted.len();
    accepted.sort_unstable();
    accepted.dedup();
    assert_eq!(accepted.len(), all, "accepted twice");
    assert!(before > 10 && all > before + 10, "{before} before, {all} in all");
    // Each one is used there, too.
    let session = servers.connect().unwrap();
    assert_eq!(servers.health().timeline, 2);
    for step in accepted {
        assert!(matches!(login(&session, step), Ok(Verdict::Refused(_))), "{step}");
    }
}

#[test]
fn a_primary_with_two_standbys_of_one_name_is_not_written_to() {
    let cluster = Cluster::new("FIRST 1 (s1)", 2);
    let servers = cluster.servers(&[0]);
    servers.watch().unwrap();
    let session = servers.connect().unwrap();
    let write = || session.add_host(&keys(&[1]), "web1", &[1; 32], &[], None);
    assert!(write().unwrap());
    let named = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 's1' AND state = 'streaming'";
    cluster.follow_as(2, 0, "s1");
    cluster.wait_for(0, named, "2");
    // The verifier's role sees names, and nothing else of those connections.
    let details = "SELECT 1 / count(state) FROM pg_stat_replication";
    assert!(cluster.error_of("otp", "otp_verifier", details).contains("division by zero"));
    let is_refused = || match servers.connect() {
        Err(DatabaseError::Unfit(_, unfit)) => unfit.to_string().contains("name of its standby \"s1\""),
        Err(DatabaseError::NoPrimary(why)) => why.contains("name of its standby \"s1\""),
        Ok(_) | Err(_) => false,
    };
    assert!(is_refused());
    // Connections of before end within a second or two.
    let ends = (0..50).any(|_| {
        sleep(Duration::from_millis(100));
        session.is_broken()
    });
    assert!(ends && write().is_err());
    cluster.follow(2, 0);
    cluster.wait_for(0, named, "1");
    sleep(Duration::from_millis(2500));
    assert!(servers.connect().unwrap().hosts(&keys(&[1])).is_ok());
}

#[test]
fn hosts_join_by_a_token_that_is_used_once() {
    let (cluster, database) = Cluster::shared();
    let session = Arc::new(cluster.servers_of(&database, &[0])).connect().unwrap();
    let keys = keys(&[1]);
    let host = |id: &str, rights: &[Right], scope: Option<&str>| Host {
        id: id.into(),
        is_active: true,
        is_genuine: true,
        rights: rights.into(),
        scope: scope.map(str::to_owned),
    };
    let join = |token: u8, id: &str, key: u8| {
        session.use_token(&keys, &Joining { token: &[token; 32], id, key: &[key; 32] }).unwrap()
    };
    session.add_token(&keys, &[1; 32], &[Right::Login], Some("staff"), 3600).unwrap();
    session.add_token(&keys, &[2; 32], &[Right::Login, Right::Admin], None, 0).unwrap();
    session.add_token(&keys, &[3; 32], &[Right::Login], None, 3600).unwrap();
    let web1 = host("web1", &[Right::Login], Some("staff"));
    assert_eq!(join(9, "web1", 1), Joined::NoToken);
    assert_eq!(join(2, "web1", 1), Joined::NoToken);
    assert_eq!(join(1, "web1", 1), Joined::Yes(web1.clone()));
    // The answer was lost: the host may ask again, and no other name or key may.
    assert_eq!(join(1, "web1", 1), Joined::Yes(web1.clone()));
    assert_eq!((join(1, "web2", 2), join(1, "web1", 2)), (Joined::NoToken, Joined::NoToken));
    // A name or key that is taken uses no token.
    assert_eq!((join(3, "web1", 3), join(3, "web3", 1)), (Joined::Taken, Joined::Taken));
    assert_eq!(join(3, "web3", 3), Joined::Yes(host("web3", &[Right::Login], None)));

    assert_eq!(session.host(&keys, &[1; 32]).unwrap(), Some(web1.clone()));
    assert_eq!(session.host(&keys, &[7; 32]).unwrap(), None);
    assert!(
        session.add_to_scope(&keys, "staff", "alice").unwrap()
            && !session.add_to_scope(&keys, "staff", "alice").unwrap()
    );
    let is_in =
        |host: &Host, user: &str| session.is_in_scope(&keys, host.scope.as_deref(), user).unwrap() == InScope::Yes;
    assert!(is_in(&web1, "alice") && !is_in(&web1, "bob") && is_in(&host("web3", &[], None), "bob"));
    let all = session.scopes().unwrap();
    assert_eq!((all.get("staff"), all.len()), (Some(&1), 1));
    assert_eq!(session.users_of_scope(&keys, "staff").unwrap(), [("alice".to_owned(), true)]);
    assert!(session.has_users("staff").unwrap() && !session.has_users("staf").unwrap());
    session.add_token(&keys, &[9; 32], &[Right::Login], Some("later"), 60).unwrap();
    session.add_token(&keys, &[8; 32], &[Right::Login], Some("ended"), 0).unwrap();
    assert!(session.has_token_with("later").unwrap() && !session.has_token_with("ended").unwrap());
    assert!(session.remove_from_scope("staff", "alice").unwrap() && !is_in(&web1, "alice"));
    assert!(web1.may(Right::Login) && !web1.may(Right::Admin));
    assert_eq!(session.suspend(&keys, "web1").unwrap(), Changed::Yes);
    assert_eq!(session.suspend(&keys, "web9").unwrap(), Changed::NoHost);
    let suspended = session.host(&keys, &[1; 32]).unwrap().unwrap();
    assert!(!suspended.is_active && !suspended.may(Right::Login));
    assert_eq!(session.resume(&keys, "web1").unwrap(), Changed::Yes);
    let scope_with = |rights: &[Right], scope| {
        assert_eq!(session.set_rights(&keys, "web1", rights, scope).unwrap(), Changed::Yes);
        session.host(&keys, &[1; 32]).unwrap().unwrap().scope
    };
    assert_eq!(scope_with(&[Right::Login, Right::Admin], NewScope::Kept).as_deref(), Some("staff"));
    assert_eq!(scope_with(&[Right::Login], NewScope::Of("few")).as_deref(), Some("few"));
    assert_eq!(scope_with(&[Right::Login], NewScope::Kept).as_deref(), Some("few"));
    assert_eq!(scope_with(&[Right::Enroll], NewScope::AllUsers), None);
    assert_eq!(scope_with(&[Right::Enroll], NewScope::Kept), None);
    let ids: Vec<_> = session.hosts(&keys).unwrap().into_iter().map(|host| (host.id, host.rights)).collect();
    assert_eq!(ids, [("web1".into(), vec![Right::Enroll]), ("web3".into(), vec![Right::Login])]);
    assert!(!session.add_host(&keys, "web1", &[8; 32], &[], None).unwrap() && !session.is_broken());
    assert!(session.remove_host("web3").unwrap() && !session.remove_host("web3").unwrap());
    assert_eq!((session.hosts(&keys).unwrap().len(), session.host(&keys, &[3; 32]).unwrap()), (1, None));
    // What this program would not write is an error.
    cluster.sql_in(
        &database,
        0,
        "ALTER TABLE otp.host DROP CONSTRAINT host_rights_check;\nUPDATE otp.host SET rights = '{root}'",
    );
    assert!(session.host(&keys, &[1; 32]).is_err() && session.hosts(&keys).is_err());
}

/// A fleet of `web1` with the right login, `staff` of alice alone and token 1, and what its tables are when SQL has changed them.
struct Rows {
    cluster: Arc<Cluster>,
    database: String,
    session: Session,
}

impl Rows {
    fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        let session = Arc::new(cluster.servers_of(&database, &[0])).connect().unwrap();
        let keys = keys(&[1]);
        assert!(session.add_host(&keys, "web1", &[1; 32], &[Right::Login], Some("staff")).unwrap());
        assert!(session.add_host(&keys, "web2", &[2; 32], &[Right::Login, Right::Admin], None).unwrap());
        assert!(session.add_to_scope(&keys, "staff", "alice").unwrap());
        session.add_token(&keys, &[1; 32], &[Right::Login], Some("staff"), 3600).unwrap();
        Self { cluster, database, session }
    }

    fn sql(&self, sql: &str) {
        self.cluster.sql_in(&self.database, 0, sql);
    }

    fn host(&self) -> Host {
        self.session.host(&keys(&[1]), &[1; 32]).unwrap().unwrap()
    }
}

#[test]
fn who_writes_to_the_database_gives_a_host_nothing() {
    for sql in [
        "UPDATE otp.host SET rights = '{login,admin}' WHERE id = 'web1'",
        "UPDATE otp.host SET rights = '{}' WHERE id = 'web1'",
        "UPDATE otp.host SET scope = NULL WHERE id = 'web1'",
        "UPDATE otp.host SET scope = 'all' WHERE id = 'web1'",
        "UPDATE otp.host SET id = 'web3' WHERE id = 'web1'",
        "UPDATE otp.host SET status = 'suspended' WHERE id = 'web1'",
        "UPDATE otp.host SET mac = sha256('') || '12345' WHERE id = 'web1'",
        "UPDATE otp.host SET mac = (SELECT mac FROM otp.host WHERE id = 'web2') WHERE id = 'web1'",
        "DELETE FROM otp.host WHERE id = 'web1';\nUPDATE otp.host SET key_sha256 = decode(repeat('01', 32), 'hex')",
    ] {
        let rows = Rows::new();
        assert!(rows.host().may(Right::Login));
        rows.sql(sql);
        let host = rows.host();
        assert!(!host.is_genuine && Right::ALL.iter().all(|right| !host.may(*right)), "{sql}");
        // No command makes its own what is in the row.
        let (keys, id) = (keys(&[1]), host.id.as_str());
        assert_eq!(rows.session.suspend(&keys, id).unwrap(), Changed::Altered, "{sql}");
        assert_eq!(rows.session.resume(&keys, id).unwrap(), Changed::Altered, "{sql}");
        assert_eq!(
            rows.session.set_rights(&keys, id, &[Right::Login], NewScope::AllUsers).unwrap(),
            Changed::Altered,
            "{sql}"
        );
        let altered = macs::altered(&rows.session, &keys).unwrap();
        assert_eq!(altered, [format!("host {id}")], "{sql}");
        assert!(rows.session.remove_host(id).unwrap());
    }
}

#[test]
fn who_writes_to_the_database_lists_nobody_and_makes_no_token() {
    let (rows, keys) = (Rows::new(), keys(&[1]));
    let web1 = rows.host();
    let listed = |user| {
        let asked = rows.session.host_asking(&keys, &[1; 32], user).unwrap().unwrap().listed;
        assert_eq!(rows.session.is_in_scope(&keys, web1.scope.as_deref(), user).unwrap(), asked);
        asked
    };
    assert_eq!((listed("alice"), listed("bob")), (InScope::Yes, InScope::No));
    rows.sql("INSERT INTO otp.scope_user SELECT scope, 'bob', mac FROM otp.scope_user");
    assert_eq!((listed("alice"), listed("bob")), (InScope::Yes, InScope::Altered));
    assert_eq!(macs::altered(&rows.session, &keys).unwrap(), ["user bob of scope staff"]);
    // A scope without a row lists no user.
    rows.sql("DELETE FROM otp.scope_user");
    assert_eq!((listed("alice"), listed("bob")), (InScope::No, InScope::No));
    rows.sql("INSERT INTO otp.scope_user VALUES ('staff', 'bob', sha256('') || '12345')");
    assert_eq!(listed("bob"), InScope::Altered);
    // A verifier lists him all the same, if it is told to.
    assert!(rows.session.add_to_scope(&keys, "staff", "bob").unwrap() && listed("bob") == InScope::Yes);

    let join = |token: u8, id: &str, key: u8| {
        rows.session.use_token(&keys, &Joining { token: &[token; 32], id, key: &[key; 32] }).unwrap()
    };
    for sql in [
        "UPDATE otp.join_token SET rights = '{admin}'",
        "UPDATE otp.join_token SET scope = NULL",
        "UPDATE otp.join_token SET expires = expires + 1000000",
        "UPDATE otp.join_token SET mac = sha256('') || '12345'",
    ] {
        let rows = Rows::new();
        rows.sql(sql);
        let joining = Joining { token: &[1; 32], id: "web3", key: &[3; 32] };
        assert_eq!(rows.session.use_token(&keys, &joining).unwrap(), Joined::Altered, "{sql}");
        assert_eq!(rows.session.host(&keys, &[3; 32]).unwrap(), None);
    }
    rows.sql("INSERT INTO otp.join_token SELECT decode(repeat('05', 32), 'hex'), rights, scope, expires, mac FROM otp.join_token");
    assert_eq!(join(5, "web3", 3), Joined::Altered);
    // One that was used gives no host that was altered since.
    assert!(matches!(join(1, "web3", 3), Joined::Yes(_)));
    rows.sql("UPDATE otp.host SET rights = '{admin}' WHERE id = 'web3'");
    assert_eq!(join(1, "web3", 3), Joined::Altered);
}

#[test]
fn macs_go_with_the_key_and_what_was_altered_stays_so() {
    let rows = Rows::new();
    rows.session.add_token(&keys(&[1]), &[2; 32], &[Right::Admin], None, 3600).unwrap();
    assert!(rows.session.add_to_scope(&keys(&[1]), "staff", "carl").unwrap());
    rows.sql("UPDATE otp.host SET rights = '{login}' WHERE id = 'web2'");
    rows.sql("UPDATE otp.scope_user SET name = 'bob' WHERE name = 'carl'");
    rows.sql("UPDATE otp.join_token SET expires = 0 WHERE scope IS NULL");
    let both = newer(&keys(&[1]));
    let Renewed { done, passed, altered } = macs::renew(&rows.session, &both).unwrap();
    assert_eq!((done, passed), (3, 0));
    let token = format!("token {}", "02".repeat(32));
    assert_eq!(altered, ["host web2".to_owned(), "user bob of scope staff".to_owned(), token]);
    assert_eq!(macs::renew(&rows.session, &both).unwrap().done, 0);
    let new = Keys::of_bytes(&both.without(keys(&[1]).present())).unwrap();
    let web1 = rows.session.host(&new, &[1; 32]).unwrap().unwrap();
    assert!(web1.may(Right::Login) && rows.session.is_in_scope(&new, Some("staff"), "alice").unwrap() == InScope::Yes);
    let joining = Joining { token: &[1; 32], id: "web3", key: &[3; 32] };
    assert!(matches!(rows.session.use_token(&new, &joining).unwrap(), Joined::Yes(_)));
    // What was written under the old key is nothing any more.
    assert!(!rows.host().is_genuine);
}
