//! A record that goes to another name, with a real database.

use std::sync::{Arc, Barrier};
use std::thread;

use otp_core::decision::verify::{Verdict, decide};
use otp_core::protocol::administration::{Administration, UserOrder};
use otp_core::store::update;
use otp_core::testing::alice::{LIMITS, NOTE, NOW, REPLAYED, by_phone, phone, record, right};
use otp_core::value::user::Account;
use serde_json::{Value, json};

use super::*;
use crate::administration::tests::{DESK, SMALL, Scene, WEB1};
use crate::database::session::Session;
use crate::database::testing::Cluster;
use crate::keys::tests::keys;
use crate::store::About;

fn asked(scene: &Scene, key: [u8; 32], from: &str, to: &str) -> Result<Value, u16> {
    let answer = scene.ask(key, Administration::Rename { from: from.into(), to: to.into() });
    answer.map_err(|(status, _)| status)
}

fn renamed(word: &str) -> Result<Value, u16> {
    Ok(json!({"renamed": word}))
}

#[test]
fn a_host_with_the_right_renames_and_both_names_have_a_line_of_the_audit() {
    let scene = Scene::new().with("alice").with("bob");
    let devices = |name: &str| scene.outline(name)["devices"].clone();
    assert_eq!(asked(&scene, DESK, "alice", "bob"), renamed("has-record"));
    assert_eq!(asked(&scene, DESK, "nobody", "carol"), renamed("no-record"));
    assert_eq!(asked(&scene, DESK, "alice", "carol"), renamed("done"));
    assert_eq!((devices("alice"), devices("carol"), devices("bob")), (json!(0), json!(1), json!(1)));
    // The answer may have been lost: it is done once.
    assert_eq!(asked(&scene, DESK, "alice", "carol"), renamed("no-record"));
    let rows =
        "SELECT concat_ws(' ', name, host, caller_uid, event) FROM otp.audit WHERE event LIKE 'rename%' ORDER BY at";
    let expected = [
        "alice desk 7 rename-refused",
        "nobody desk 7 rename-refused",
        "carol desk 7 renamed from alice",
        "alice desk 7 renamed to carol",
        "alice desk 7 rename-refused",
    ];
    assert_eq!(scene.sql(rows).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn both_names_are_in_the_scope_of_the_host_or_nothing_is_changed() {
    let scene = Scene::new().with("alice").with("bob");
    for (key, from, to) in
        [(WEB1, "alice", "carol"), (SMALL, "alice", "carol"), (SMALL, "bob", "alice"), (SMALL, "bob", "carol")]
    {
        assert_eq!(asked(&scene, key, from, to), Err(403), "{from} {to}");
    }
    for (from, to) in [("", "carol"), ("alice", ""), ("alice", "a\0b")] {
        assert_eq!(asked(&scene, DESK, from, to), Err(400), "{from:?} {to:?}");
    }
    assert_eq!(scene.sql("SELECT string_agg(name, ' ' ORDER BY name) FROM otp.record"), "alice bob");
    assert_eq!(scene.sql("SELECT count(*) FROM otp.audit WHERE event LIKE 'rename%'"), "0");
}

#[test]
fn what_is_left_requires_a_second_factor_and_is_in_nobodys_way() {
    let scene = Scene::new().with("alice").with("bob");
    let outline = |name: &str| {
        let outline = scene.outline(name);
        (outline["devices"].clone(), outline["user_override"]["name"].clone())
    };
    assert_eq!(scene.order(DESK, "bob", UserOrder::Reset {}), Ok(json!({"changed": true})));
    assert_eq!(asked(&scene, DESK, "alice", "bob"), renamed("done"));
    assert_eq!((outline("bob"), outline("alice")), ((json!(1), Value::Null), (json!(0), json!("required"))));
    // One that requires a second factor of a new name stays: no user is let in meanwhile.
    assert_eq!(asked(&scene, DESK, "bob", "alice"), renamed("done"));
    assert_eq!((outline("alice"), outline("bob")), ((json!(1), json!("required")), (json!(0), json!("required"))));
    // One with a passcode is a user's.
    let passcode = || UserOrder::IssuePasscode { valid: 60, service: None };
    assert!(scene.order(DESK, "bob", passcode()).is_ok());
    assert_eq!(asked(&scene, DESK, "alice", "bob"), renamed("has-record"));
    // The same for a user without a device, for whom an administrator requires a second factor.
    let required = UserOrder::Override { name: "required".into(), until: None };
    assert_eq!(scene.order(DESK, "carl", required), Ok(json!({"changed": true})));
    assert_eq!(asked(&scene, DESK, "carl", "charles"), renamed("done"));
    assert_eq!((outline("charles"), outline("carl")), ((json!(0), json!("required")), (json!(0), json!("required"))));
    // Of an exemption nothing is left.
    let exempt = UserOrder::Override { name: "exempt".into(), until: None };
    assert_eq!(scene.order(DESK, "dora", exempt), Ok(json!({"changed": true})));
    assert_eq!(asked(&scene, DESK, "dora", "dana"), renamed("done"));
    assert_eq!((outline("dana"), outline("dora")), ((json!(0), json!("exempt")), (json!(0), Value::Null)));
}

/// Its copy goes to the host that asks again: under another name the same device would be another user's.
#[test]
fn a_record_that_is_on_its_way_to_a_host_keeps_its_name() {
    let scene = Scene::new().with("alice");
    scene.sql("INSERT INTO otp.moving (name, host, sealed, state) SELECT name, 'web1', sealed, state FROM otp.record");
    assert_eq!(asked(&scene, DESK, "alice", "carol"), renamed("on-its-way"));
    assert_eq!(asked(&scene, DESK, "carol", "alice"), renamed("no-record"));
    scene.sql("DELETE FROM otp.moving");
    assert_eq!(asked(&scene, DESK, "alice", "carol"), renamed("done"));
}

#[test]
fn an_enrollment_that_began_under_the_old_name_does_not_come_into_force() {
    let scene = Scene::new().with("alice");
    let before = scene.session.last_reset("alice").unwrap();
    assert_eq!(asked(&scene, DESK, "alice", "carol"), renamed("done"));
    assert_ne!(scene.session.last_reset("alice").unwrap(), before);
}

/// What is done with one session of its own.
fn with_store<T>(cluster: &Arc<Cluster>, database: &str, act: impl FnOnce(&PgStore<'_>) -> T) -> T {
    let (session, keys): (Session, _) = (Arc::new(cluster.servers_of(database, &[0])).connect().unwrap(), keys(&[1]));
    act(&PgStore::new(&session, &keys, About::default()))
}

/// Marks stay, and a code lets in under one name alone, however many log in under both while one of two is renamed.
#[test]
fn a_code_lets_in_once_under_either_name() {
    const ROUNDS: usize = 20;
    let (cluster, database) = Cluster::shared();
    let names: [UserName; 2] = ["alice", "anna"].map(|name| UserName::parse(name).unwrap());
    let account = |at: usize| -> Account { of_no_host(names[at].clone()) };
    for _ in 0..ROUNDS {
        with_store(&cluster, &database, |store| {
            for at in 0..2 {
                store.purge(&account(at), &NOTE).unwrap();
            }
            let mut record = record(vec![phone(1)]);
            record.credentials.uid = account(0).uid;
            assert_eq!(store.replace(&account(0), None, &record, &NOTE).unwrap(), Swap::Done);
        });
        let barrier = Barrier::new(5);
        let verdicts: Vec<Verdict> = thread::scope(|scope| {
            let logins: Vec<_> = (0..4)
                .map(|number| {
                    let (account, barrier, cluster, database) = (account(number % 2), &barrier, &cluster, &database);
                    scope.spawn(move || {
                        with_store(cluster, database, |store| {
                            barrier.wait();
                            update(store, &account, &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap()
                        })
                    })
                })
                .collect();
            let done = with_store(&cluster, &database, |store| {
                barrier.wait();
                rename(store, &names[0], &names[1], Origin::default()).unwrap()
            });
            assert_eq!(done, Renamed::Done);
            logins.into_iter().map(|login| login.join().unwrap()).collect()
        });
        let accepted = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Accepted(_))).count();
        assert!(accepted <= 1, "{verdicts:?}");
        let again = with_store(&cluster, &database, |store| {
            update(store, &account(1), &NOTE, |record| decide(&LIMITS, record, &right(), NOW)).unwrap()
        });
        assert_eq!(again, if accepted == 1 { REPLAYED } else { by_phone() });
    }
}
