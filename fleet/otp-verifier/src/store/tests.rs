use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use otp_core::decision::verify::{Refusal, Verdict, decide};
use otp_core::record::Record;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state_slot::Slot;
use otp_core::store::note::{Note, Origin};
use otp_core::store::{Store, Swap, update};
use otp_core::testing::alice::{
    LIMITS, NOTE, NOW, REPLAYED, STEP, alice, by_phone, named, phone, record, right, shown, token, wrong, wrong_for_the,
};
use otp_core::testing::store_suite::Nature;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use super::reseal::{Resealed, reseal};
use super::{About, PgStore};
use crate::database::hosts::Changed;
use crate::database::session::Session;
use crate::database::testing::Cluster;
use crate::keys::Keys;
use crate::keys::tests::{keys, newer};
use crate::right::Right;
use crate::signed_state::signed;

otp_core::store_suite!(suite_store(), Nature { locks: false, keeps_answers: true });

/// An empty store that lives as long as the process, and its cluster.
fn suite_store() -> (PgStore<'static>, Arc<Cluster>) {
    let (cluster, database) = Cluster::shared();
    let session = Arc::new(cluster.servers_of(&database, &[0, 1])).connect().unwrap();
    let (session, keys): (&Session, &Keys) = (Box::leak(Box::new(session)), Box::leak(Box::new(keys(&[1]))));
    (PgStore::new(session, keys, About::default()), cluster)
}

/// A database of a test's own.
pub(super) struct Place {
    cluster: Arc<Cluster>,
    database: String,
    pub(super) session: Session,
    pub(super) keys: Keys,
}

impl Place {
    pub(super) fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        let session = Arc::new(cluster.servers_of(&database, &[0])).connect().unwrap();
        Self { cluster, database, session, keys: keys(&[1]) }
    }

    pub(super) fn store(&self) -> PgStore<'_> {
        PgStore::new(&self.session, &self.keys, About::default())
    }

    pub(super) fn enrolled(self) -> Self {
        assert_eq!(self.store().replace(&alice(), None, &record(vec![phone(1), token(2)]), &NOTE).unwrap(), Swap::Done);
        self
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.sql_in(&self.database, 0, sql)
    }

    fn error(&self) -> String {
        let (load, outline) = (self.store().load(&alice()).err(), self.store().outline(&alice()).err());
        let (load, outline) = (load.unwrap().to_string(), outline.unwrap().to_string());
        assert_eq!(load, outline);
        load
    }
}

fn login(store: &PgStore<'_>) -> Verdict {
    update(store, &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap()
}

#[test]
fn of_sixteen_logins_with_one_code_over_three_verifiers_exactly_one_is_accepted() {
    const ROUNDS: u64 = 30;
    let place = Place::new().enrolled();
    let all: Vec<_> = (0..3).map(|_| Arc::new(place.cluster.servers_of(&place.database, &[0, 1]))).collect();
    let accepted: Vec<_> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    let replayed = AtomicUsize::new(0);
    let barrier = Barrier::new(16);
    thread::scope(|scope| {
        for number in 0..16 {
            let (servers, accepted, replayed, barrier) = (&all[number % 3], &accepted, &replayed, &barrier);
            scope.spawn(move || {
                let (session, keys) = (servers.connect().unwrap(), keys(&[1]));
                let store = PgStore::new(&session, &keys, About::default());
                for round in 0..ROUNDS {
                    let (attempt, now) = (shown(&phone(1), STEP + round), UnixTime(NOW.0 + 30 * round));
                    barrier.wait();
                    match update(&store, &alice(), &NOTE, |record| decide(&LIMITS, record, &attempt, now)).unwrap() {
                        Verdict::Accepted(_) => {
                            accepted[usize::try_from(round).unwrap()].fetch_add(1, Ordering::Relaxed)
                        }
                        verdict => {
                            assert_eq!(verdict, REPLAYED);
                            replayed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            });
        }
    });
    assert!(accepted.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{accepted:?}");
    assert_eq!(replayed.load(Ordering::Relaxed), 15 * 30);
    assert_eq!(place.sql("SELECT count(*), count(*) FILTER (WHERE answer LIKE 'accepted%') FROM otp.audit WHERE name = 'alice' AND answer <> 'done'"), "480|30");
}

#[test]
fn a_load_is_one_round_trip_and_so_is_a_swap() {
    let place = Place::new().enrolled();
    let before = place.session.asked();
    assert_eq!(login(&place.store()), by_phone());
    assert_eq!(place.session.asked() - before, 2);
    // The refusal of a user without a record has as many.
    let before = place.session.asked();
    let stranger = named("nobody-here", 7);
    update(&place.store(), &stranger, &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
    assert_eq!(place.session.asked() - before, 2);
}

#[test]
fn every_verdict_and_every_let_in_is_in_the_audit_and_nothing_else_is_kept_of_it() {
    let place = Place::new().enrolled();
    let about =
        About { host: None, caller_uid: Some(u32::MAX), service: Some("ss\0hd"), rhost: Some(&"x".repeat(300)) };
    let store = PgStore::new(&place.session, &place.keys, about);
    let note = Origin { id: Some(RequestId([0xa5; 16])), host: None }.note("login");
    let ask = |attempt| update(&store, &alice(), &note, |record| decide(&LIMITS, record, &attempt, NOW)).unwrap();
    assert_eq!(ask(wrong()), wrong_for_the(1));
    store.note_let_in(&alice(), &Note::here("not-asked")).unwrap();
    let lines = place.sql("SELECT name, caller_uid, service, length(rhost), event, answer, encode(request, 'hex') FROM otp.audit WHERE event <> 'test' ORDER BY at");
    let id = "a5".repeat(16);
    let expected = [
        format!("alice|4294967295|ss\u{fffd}hd|255|login|refused wrong failures 1|{id}"),
        "alice|4294967295|ss\u{fffd}hd|255|not-asked||".into(),
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_verifier_adds_to_the_audit_and_cannot_change_it() {
    let place = Place::new();
    let error = |sql| place.cluster.error_of(&place.database, "otp_verifier", sql);
    assert_eq!(error("INSERT INTO otp.audit (name, event) VALUES ('alice', 'test')"), "");
    for sql in [
        "SELECT * FROM otp.audit",
        "UPDATE otp.audit SET name = 'x'",
        "DELETE FROM otp.audit",
        "TRUNCATE otp.audit",
        "DROP TABLE otp.audit",
        "TRUNCATE otp.join_token",
        "INSERT INTO otp.audit_other (name, event) VALUES ('a', 'b')",
        "CREATE TABLE otp.x ()",
    ] {
        assert!(
            error(sql).contains("permission denied") || error(sql).contains("must be owner"),
            "{sql}: {}",
            error(sql)
        );
    }
    // The months of the audit are made, and a row of no month has a place.
    assert_eq!(crate::database::migrations::make_months(&place.session).unwrap(), 0);
    assert_eq!(place.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'otp.audit'::regclass"), "4");
    let last = place.sql("SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'otp.audit'::regclass AND inhrelid <> 'otp.audit_other'::regclass");
    place.sql(&format!("DROP TABLE {last}"));
    assert_eq!(crate::database::migrations::make_months(&place.session).unwrap(), 1);
    // A month that has rows already keeps them where they are.
    place.sql(&format!("DROP TABLE {last};\nINSERT INTO otp.audit (at, name, event) VALUES (date_trunc('month', now()) + interval '2 months 3 days', 'alice', 'test')"));
    assert_eq!(crate::database::migrations::make_months(&place.session).unwrap(), 0);
    place.sql("DELETE FROM otp.audit_other");
    assert_eq!(crate::database::migrations::make_months(&place.session).unwrap(), 1);
    place.sql("INSERT INTO otp.audit (at, name, event) VALUES ('1999-01-01', 'alice', 'test')");
    assert_eq!(place.sql("SELECT count(*) FROM otp.audit_other"), "1");
}

#[test]
fn a_host_that_is_suspended_between_load_and_swap_is_refused_and_nothing_is_written() {
    let place = Place::new().enrolled();
    assert!(place.session.add_host(&place.keys, "web1", &[1; 32], &[Right::Login], None).unwrap());
    let store = PgStore::new(&place.session, &place.keys, About { host: Some("web1"), ..About::default() });
    let (rows, lines) = ("SELECT version, state FROM otp.record", "SELECT count(*) FROM otp.audit");
    let loaded = store.load(&alice()).unwrap().unwrap();
    let (state, _) = decide(&LIMITS, &loaded.record, &right(), NOW);
    let before = (place.sql(rows), place.sql(lines));
    assert_eq!(place.session.suspend(&place.keys, "web1").unwrap(), Changed::Yes);
    let error = store.swap(&alice(), loaded.hold, &state, &NOTE).unwrap_err();
    assert!(store.is_revoked() && error.to_string().contains("web1 is not active"), "{error}");
    assert!(store.only_note(&alice(), &NOTE).is_err() && store.is_revoked());
    assert!(store.rehearse(&alice(), &NOTE).is_err() && store.is_revoked());
    assert!(store.purge(&alice(), &NOTE).is_err() && store.is_revoked());
    assert_eq!((place.sql(rows), place.sql(lines)), before);
    assert_eq!(place.session.resume(&place.keys, "web1").unwrap(), Changed::Yes);
    assert_eq!(login(&store), by_phone());
    assert!(!store.is_revoked());
    // A host that the fleet does not know is not active either.
    let unknown = PgStore::new(&place.session, &place.keys, About { host: Some("web2"), ..About::default() });
    assert!(unknown.only_note(&alice(), &NOTE).is_err() && unknown.is_revoked());
}

#[test]
fn an_answer_is_kept_for_ten_seconds() {
    let place = Place::new().enrolled();
    let note = Origin { id: Some(RequestId([1; 16])), host: Some("web1") }.note("login");
    let ask = || update(&place.store(), &alice(), &note, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
    assert_eq!((ask(), ask()), (by_phone(), by_phone()));
    place.sql("UPDATE otp.record SET answered = answered - interval '11 s'");
    assert_eq!(ask(), REPLAYED);
    place.sql("UPDATE otp.record SET answered = now() + interval '1 h'");
    assert_eq!(ask(), REPLAYED);
}

/// Who writes to the database while a question is under way could tell its host that a wrong code was right.
#[test]
fn an_answer_that_somebody_else_wrote_is_not_given() {
    let place = Place::new().enrolled();
    let note = Origin { id: Some(RequestId([1; 16])), host: Some("web1") }.note("login");
    let ask = || update(&place.store(), &alice(), &note, |record| decide(&LIMITS, record, &wrong(), NOW)).unwrap();
    let wrong_by = |failures| Verdict::Refused(Refusal::Wrong { failures, clock_behind: None });
    assert_eq!((ask(), ask()), (wrong_by(1), wrong_by(1)));
    place.sql("UPDATE otp.record SET answer = 'accepted totp device 1 left 9'");
    assert_eq!(ask(), wrong_by(2));
    place.sql("UPDATE otp.record SET request = decode(repeat('02', 16), 'hex'), answered = clock_timestamp()");
    let other = Origin { id: Some(RequestId([2; 16])), host: Some("web1") }.note("login");
    let verdict = update(&place.store(), &alice(), &other, |record| decide(&LIMITS, record, &right(), NOW)).unwrap();
    assert!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
}

#[test]
fn who_loaded_a_record_that_was_removed_and_made_again_has_lost() {
    let place = Place::new().enrolled();
    let store = place.store();
    let load = || store.load(&alice()).unwrap().unwrap();
    let (old, hold) = (load(), load().hold);
    assert_eq!(store.remove(&alice(), hold, &NOTE).unwrap(), Swap::Done);
    let place = place.enrolled();
    let store = place.store();
    assert_eq!(store.swap(&alice(), old.hold, &old.record.state, &NOTE).unwrap(), Swap::Lost);
    assert_eq!(store.replace(&alice(), None, &old.record, &NOTE).unwrap(), Swap::Lost);
}

#[test]
fn a_row_that_somebody_else_wrote_is_an_error_and_nobodys_record() {
    let place = Place::new().enrolled();
    let bob = named("bob", 1001);
    let of = |account: &Account| {
        Record::begin(account, EnrollmentId([2; 16]), otp_core::record::credentials::Override::Exempt, vec![], None)
    };
    assert_eq!(place.store().replace(&bob, None, &of(&bob), &NOTE).unwrap(), Swap::Done);
    // Another user's record is not written under this name either.
    assert!(place.store().replace(&bob, None, &of(&alice()), &NOTE).is_err());
    place.sql(
        "CREATE TABLE good AS SELECT * FROM otp.record;\nALTER TABLE otp.record DROP CONSTRAINT record_version_check",
    );
    let sql = |change: &str| {
        place.sql(&format!(
            "UPDATE otp.record r SET sealed = g.sealed, state = g.state, version = g.version FROM good g WHERE g.name = r.name;\n\
             UPDATE otp.record SET {change} WHERE name = 'alice'"
        ));
        place.error()
    };
    let altered = "is sealed, and was altered or made for another user, device or enrollment";
    for (change, text) in [
        ("sealed = (SELECT sealed FROM good WHERE name = 'bob')", altered),
        ("sealed = ''", altered),
        ("sealed = substr(sealed, 1, 40)", altered),
        ("sealed = set_byte(sealed, 100, get_byte(sealed, 100) # 1)", altered),
        ("sealed = decode(repeat('41', 2000000), 'hex')", altered),
        ("sealed = set_byte(sealed, 2, get_byte(sealed, 2) # 1)", "another key"),
        ("state = ''", "its state is damaged"),
        ("state = repeat('x', 2000000)", "its state is damaged"),
        ("state = replace(state, 'failures 0', 'failures 1')", "no verifier"),
        ("state = (SELECT state FROM good WHERE name = 'bob')", "no verifier"),
        (
            "state = (SELECT state FROM good WHERE name = 'bob'), version = (SELECT version FROM good WHERE name = 'bob')",
            "no verifier",
        ),
        ("version = version + 1", "another version"),
        ("version = -1", "another version"),
        ("version = 9223372036854775807", "another version"),
    ] {
        let error = sql(change);
        assert!(error.starts_with("the record of alice ") && error.contains(text), "{change}: {error}");
    }
    // A state whose checksum is right, as any program can make it; and one of other devices, as no verifier writes it.
    let mut state = record(vec![phone(1)]).state;
    let version: u64 = place.sql("SELECT version FROM good WHERE name = 'alice'").parse().unwrap();
    let text = Slot { sequence: version, state: state.clone() }.text().unwrap();
    assert!(sql(&format!("state = '{text}'")).contains("its state is damaged"));
    let with_mac = |text: &str| signed(&place.keys, &alice().name, text, None).unwrap();
    let text = with_mac(&text);
    assert!(sql(&format!("state = '{text}'")).contains("different devices"));
    state.devices.clear();
    let text = with_mac(&Slot { sequence: version, state }.text().unwrap());
    assert!(sql(&format!("state = '{text}'")).contains("different devices"));
    // Nothing at all, and columns of another type.
    place.sql("ALTER TABLE otp.record ALTER sealed DROP NOT NULL");
    assert!(sql("sealed = NULL").contains("other columns"));
    place.sql("UPDATE otp.record r SET sealed = g.sealed FROM good g WHERE g.name = r.name");
    let account = Account { uid: 7, ..alice() };
    assert!(place.store().load(&account).err().unwrap().to_string().contains("was made for"));
    // The last version: nothing is written, and nothing panics.
    let last = i64::MAX.cast_unsigned();
    let text = with_mac(&Slot { sequence: last, state: record(vec![phone(1), token(2)]).state }.text().unwrap());
    place.sql(&format!("UPDATE otp.record SET version = {last}, state = '{text}' WHERE name = 'alice'"));
    assert!(update(&place.store(), &alice(), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).is_err());
    // A table that is not there.
    let place = Place::new();
    place.sql("DROP TABLE otp.record");
    assert!(
        place.store().load(&alice()).err().unwrap().to_string().contains("does not exist") && place.session.is_broken()
    );
}

#[test]
fn records_are_sealed_under_the_new_key_and_a_run_that_was_killed_goes_on() {
    let place = Place::new();
    let user = |number: u32| named(&format!("user{number:03}"), number);
    for number in 0..250 {
        let record = Record::begin(
            &user(number),
            EnrollmentId([2; 16]),
            otp_core::record::credentials::Override::Required,
            vec![],
            None,
        );
        assert_eq!(place.store().replace(&user(number), None, &record, &NOTE).unwrap(), Swap::Done);
    }
    let both = newer(&place.keys);
    let shown = place.sql("SELECT version FROM otp.record WHERE name = 'user000'");
    let first = reseal(&place.session, &both, |_| false).unwrap();
    assert_eq!(first, Resealed { done: 100, passed: 0, shut: vec![] });
    place.sql("UPDATE otp.record SET sealed = '\\x01' WHERE name = 'user200'");
    // Both kinds are read meanwhile.
    let store = PgStore::new(&place.session, &both, About::default());
    assert!([0, 249].into_iter().all(|number| store.read(&user(number)).unwrap().is_some()));
    let rest = reseal(&place.session, &both, |_| true).unwrap();
    assert_eq!(rest, Resealed { done: 149, passed: 0, shut: vec!["user200".into()] });
    let beginnings: BTreeSet<_> =
        place.sql("SELECT DISTINCT substr(sealed, 1, 5) FROM otp.record").lines().map(str::to_owned).collect();
    assert_eq!(beginnings.len(), 2);
    // The old key alone opens none of them, and nothing else was changed.
    assert!((0..250).all(|number| place.store().read(&user(number)).is_err()));
    let version = "SELECT version FROM otp.record WHERE name = 'user000'";
    assert_eq!(place.sql(version), shown);
    assert_eq!(reseal(&place.session, &both, |_| true).unwrap().done, 0);
}
