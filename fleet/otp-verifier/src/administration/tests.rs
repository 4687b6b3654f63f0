//! Orders of hosts, with a real database.

use std::sync::Arc;

use otp_core::codes::attempt::Attempt;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::verify::decide;
use otp_core::record::Record;
use otp_core::record::credentials::Override;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state::Progress;
use otp_core::store::note::Origin;
use otp_core::store::{Store as _, Swap, update};
use otp_core::testing::alice::{NOTE, phone, wrong};
use otp_core::value::request_id::RequestId;
use otp_core::value::user::Account;
use otp_wire::OutlineQuestion;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::asked::Asked;
use crate::authority::Authority;
use crate::config::Config;
use crate::database::session::Session;
use crate::database::testing::Cluster;
use crate::fleet::Fleet;
use crate::keys::tests::keys;
use crate::right::Right;
use crate::store::PgStore;

/// A fleet with a database of its own, and three hosts: `web1` may only log in, `desk` administer, and `small` some users.
pub(crate) struct Scene {
    cluster: Arc<Cluster>,
    database: String,
    pub(crate) fleet: Fleet,
    pub(crate) session: Session,
    _folder: TempDir,
}

pub(crate) const WEB1: [u8; 32] = [1; 32];
pub(crate) const DESK: [u8; 32] = [2; 32];
pub(crate) const SMALL: [u8; 32] = [3; 32];

impl Scene {
    pub(crate) fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("listen = []\nverifiers = []\ndatabase = []\nfolder = {:?}", folder.path());
        let config: Config = toml::from_str(&text).unwrap();
        Authority::make(&config).unwrap();
        let servers = Arc::new(cluster.servers_of(&database, &[0]));
        let session = servers.connect().unwrap();
        let fleet =
            Fleet::of_test(config, otp_core::config::settings::Settings::default(), Arc::clone(&servers), keys(&[1]));
        assert!(session.add_host(&fleet.keys(), "web1", &WEB1, &[Right::Login], None).unwrap());
        assert!(session.add_host(&fleet.keys(), "desk", &DESK, &[Right::Admin], None).unwrap());
        assert!(session.add_host(&fleet.keys(), "small", &SMALL, &[Right::Admin], Some("few")).unwrap());
        assert!(session.add_to_scope(&fleet.keys(), "few", "alice").unwrap());
        Self { cluster, database, fleet, session, _folder: folder }
    }

    fn account(name: &str) -> Account {
        of_no_host(UserName::parse(name).unwrap())
    }

    /// A user with a phone.
    pub(crate) fn with(self, name: &str) -> Self {
        let account = Self::account(name);
        let record =
            Record::begin(&account, EnrollmentId([1; 16]), Override::None, vec![(phone(1), Progress::from(0))], None);
        let ring = self.fleet.keys();
        let store = PgStore::new(&self.session, &ring, About::default());
        assert_eq!(store.replace(&account, None, &record, &NOTE).unwrap(), Swap::Done);
        self
    }

    /// Wrong codes that a host sends.
    fn wrong(&self, host: &str, name: &str, count: usize) {
        self.wrong_at(host, name, count, UnixTime::now());
    }

    fn wrong_at(&self, host: &str, name: &str, count: usize, now: UnixTime) {
        self.wrong_of(Kinds::ALL, host, name, count, now);
    }

    /// The same where the policy of the host accepts these kinds.
    fn wrong_of(&self, devices: Kinds, host: &str, name: &str, count: usize, now: UnixTime) {
        let about = About { host: Some(host), ..About::default() };
        let ring = self.fleet.keys();
        let store = PgStore::new(&self.session, &ring, about);
        for _ in 0..count {
            let attempt: Attempt = wrong();
            let note = Origin { id: None, host: Some(host) }.note("login");
            let limits = &Limits { devices, ..self.fleet.settings.limits };
            update(&store, &Self::account(name), &note, |record| decide(limits, record, &attempt, now)).unwrap();
        }
    }

    pub(crate) fn ask(&self, key: [u8; 32], administration: Administration) -> Result<Value, (u16, String)> {
        let question = AdminQuestion { id: RequestId([0xa5; 16]), by: 7, administration };
        let answer = Asked::Admin(question).answer(&self.fleet, &self.session, Some(key));
        let answer = answer.map_err(|failure| (failure.status, failure.error))?;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["id"], json!("a5".repeat(16)));
        Ok(answer["answer"].clone())
    }

    pub(crate) fn order(&self, key: [u8; 32], name: &str, order: UserOrder) -> Result<Value, (u16, String)> {
        let answer = self.ask(key, Administration::User { name: name.into(), order })?;
        Ok(answer["reply"].clone())
    }

    /// Names of a listing.
    fn listed(&self, key: [u8; 32], locked_by: Option<&str>) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let locked_by = locked_by.map(str::to_owned);
            let mut page = self.ask(key, Administration::Users { after, locked_by }).unwrap()["users"].take();
            let users = page["users"].as_array_mut().unwrap();
            names.extend(users.iter().map(|user| user["status"]["user"].as_str().unwrap().to_owned()));
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return names;
            }
        }
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.sql_in(&self.database, 0, sql)
    }

    /// What a host is told of a user's record before a login.
    pub(crate) fn outline(&self, name: &str) -> Value {
        let user = User { name: name.into(), uid: 1, gid: 1 };
        let question = OutlineQuestion { id: RequestId([1; 16]), user, place: place(0) };
        let answer = Asked::Outline(question).answer(&self.fleet, &self.session, Some(WEB1)).unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()["record"].take()
    }

    fn audit(&self) -> Vec<String> {
        let rows = "SELECT concat_ws(' ', name, host, caller_uid, service, event, answer) FROM otp.audit WHERE service = 'otp-enroll' ORDER BY at";
        self.cluster.sql_in(&self.database, 0, rows).lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_host_with_the_right_administers_and_who_did_what_is_in_the_audit() {
    let scene = Scene::new().with("alice");
    let order = |order| scene.order(DESK, "alice", order).unwrap();
    let lock = |scene: &Scene| scene.order(DESK, "alice", UserOrder::Status {}).unwrap()["status"]["lock"].clone();
    scene.wrong("web1", "alice", 6);
    assert_ne!(lock(&scene), json!("open"));
    assert_eq!(order(UserOrder::Unlock {}), json!({"changed": true}));
    assert_eq!(lock(&scene), json!("open"));
    assert_eq!(order(UserOrder::Unlock {}), json!({"changed": false}));
    let required = || UserOrder::Override { name: "required".into(), until: None };
    assert_eq!(order(required()), json!({"changed": true}));
    let passcode = order(UserOrder::IssuePasscode { valid: 60, service: None })["passcode"].take();
    assert_eq!(passcode["user"], json!("alice"));
    assert_eq!(order(UserOrder::Reset {}), json!({"changed": true}));
    let status = order(UserOrder::Status {})["status"].take();
    assert_eq!((&status["enrolled"], &status["override"]), (&json!(false), &json!("required")));
    assert_eq!(order(UserOrder::Disable {}), json!({"changed": true}));
    let expected = [
        "alice desk 7 otp-enroll shown",
        "alice desk 7 otp-enroll unlocked changed",
        "alice desk 7 otp-enroll shown",
        "alice desk 7 otp-enroll unlocked unchanged",
        "alice desk 7 otp-enroll required changed",
        "alice desk 7 otp-enroll passcode-issued done",
        "alice desk 7 otp-enroll reset changed",
        "alice desk 7 otp-enroll shown",
        "alice desk 7 otp-enroll disabled changed",
    ];
    assert_eq!(scene.audit(), expected);
    // Nothing of a passcode is kept but its hash, which is sealed.
    let secret = passcode["passcode"].as_str().unwrap();
    let count = scene.cluster.sql_in(
        &scene.database,
        0,
        &format!("SELECT count(*) FROM (SELECT a::text AS row FROM otp.audit a UNION ALL SELECT r::text FROM otp.record r) x WHERE row LIKE '%{secret}%'"),
    );
    assert_eq!(count, "0");
}

#[test]
fn a_host_without_the_right_and_one_with_another_scope_are_refused_and_nothing_is_changed() {
    let scene = Scene::new().with("alice").with("bob");
    let no_right = "host web1 does not have the right admin";
    let orders = || [UserOrder::Status {}, UserOrder::Reset {}, UserOrder::IssuePasscode { valid: 60, service: None }];
    for order in orders() {
        assert_eq!(scene.order(WEB1, "alice", order), Err((403, no_right.to_owned())));
    }
    let all = || Administration::Users { after: None, locked_by: None };
    assert_eq!(scene.ask(WEB1, all()), Err((403, no_right.to_owned())));
    for order in orders() {
        assert_eq!(scene.order(SMALL, "bob", order).map_err(|(status, _)| status), Err(403));
    }
    assert!(scene.audit().is_empty());
    assert_eq!(scene.order(SMALL, "alice", UserOrder::Reset {}), Ok(json!({"changed": true})));
    // The scope's user is blank by now, and listed as such.
    assert_eq!((scene.listed(SMALL, None), scene.listed(DESK, None)), (vec![], vec!["bob".to_owned()]));
    scene.session.suspend(&scene.fleet.keys(), "desk").unwrap();
    assert_eq!(scene.order(DESK, "alice", UserOrder::Status {}).map_err(|(status, _)| status), Err(403));
}

#[test]
fn what_is_no_order_is_refused() {
    let scene = Scene::new().with("alice");
    for odd in [
        UserOrder::IssuePasscode { valid: 59, service: None },
        UserOrder::IssuePasscode { valid: 604_801, service: None },
        UserOrder::Override { name: "never".into(), until: None },
        UserOrder::Override { name: "none".into(), until: Some(7) },
    ] {
        assert_eq!(scene.order(DESK, "alice", odd).map_err(|(status, _)| status), Err(400));
    }
    assert_eq!(scene.order(DESK, "", UserOrder::Unlock {}).map_err(|(status, _)| status), Err(400));
}

#[test]
fn all_users_are_listed_a_page_at_a_time() {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..60).map(|number| format!("user{number:03}")).collect();
    for name in &names {
        scene = scene.with(name);
    }
    assert_eq!(scene.listed(DESK, None), names);
    let pages = scene.audit();
    assert!(pages.len() > 2 && pages.iter().all(|line| line == "* desk 7 otp-enroll listed"), "{pages:?}");
    let page = scene.ask(DESK, Administration::Users { after: None, locked_by: None }).unwrap();
    assert!(page.to_string().len() < LONGEST_BODY - 1000);
}

#[test]
fn the_locks_of_one_host_are_those_that_would_not_be_without_its_wrong_codes() {
    let names = ["own", "shared", "others", "open", "typo", "late", "hidden", "kept"];
    let scene = names.into_iter().fold(Scene::new(), Scene::with);
    scene.session.add_host(&scene.fleet.keys(), "web2", &[9; 32], &[Right::Login], None).unwrap();
    let most = usize::try_from(scene.fleet.settings.limits.lock_after).unwrap();
    scene.wrong("web2", "own", most);
    scene.wrong("web1", "shared", most - 1);
    scene.wrong("web2", "shared", 1);
    scene.wrong("web1", "others", most);
    scene.wrong("web2", "open", most - 1);
    // A code that was wrong there before the last unlock does not count.
    scene.wrong("web2", "typo", 1);
    assert_eq!(scene.order(DESK, "typo", UserOrder::Unlock {}), Ok(json!({"changed": true})));
    scene.wrong("web1", "typo", most);
    // One more, after the lock had ended, locks again: without that of web2 the user would be locked by web1 all the same.
    scene.wrong("web1", "late", most);
    scene.wrong_at("web2", "late", 1, UnixTime::now().after(Seconds(86_400)));
    // Where no kind of the user's devices is accepted, the answer is the same for a wrong code and for a locked record.
    let hidden = |host: &str, name: &str, count| scene.wrong_of(Kinds::HOTP, host, name, count, UnixTime::now());
    hidden("web2", "hidden", most + 2);
    scene.wrong("web1", "kept", most);
    hidden("web2", "kept", 2);
    assert_eq!(scene.listed(DESK, Some("web2")), ["hidden", "own", "shared"]);
    assert_eq!(scene.listed(DESK, Some("web1")), ["kept", "late", "others", "shared", "typo"]);
    // A host of the fleet that has sent none. (`web2` is one that is gone, and counts.)
    assert_eq!(scene.listed(DESK, Some("desk")), [""; 0]);
    for none in ["web3", "WEB1", "web1\0", ""] {
        let users = Administration::Users { after: None, locked_by: Some(none.into()) };
        assert_eq!(scene.ask(DESK, users).unwrap(), json!({"no-host": {}}), "{none:?}");
    }
    assert!(scene.audit().iter().any(|line| line == "* desk 7 otp-enroll listed-locked"));
    for name in ["hidden", "own", "shared"] {
        assert_eq!(scene.order(DESK, name, UserOrder::Unlock {}), Ok(json!({"changed": true})));
    }
    assert_eq!(scene.listed(DESK, Some("web2")), [""; 0]);
    // The verifier learns no more of the audit than that.
    let error = scene.cluster.error_of(&scene.database, "otp_verifier", "SELECT host FROM otp.audit");
    assert!(error.contains("permission denied"), "{error}");
}

#[test]
fn wrong_codes_go_with_a_record_to_its_next_name() {
    let scene = Scene::new().with("one");
    scene.session.add_host(&scene.fleet.keys(), "web2", &[9; 32], &[Right::Login], None).unwrap();
    let most = usize::try_from(scene.fleet.settings.limits.lock_after).unwrap();
    let rename = |from: &str, to: &str| {
        let answer = scene.ask(DESK, Administration::Rename { from: from.into(), to: to.into() });
        assert_eq!(answer, Ok(json!({"renamed": "done"})), "{from} {to}");
    };
    scene.wrong("web2", "one", most - 1);
    rename("one", "two");
    scene.wrong("web2", "two", 1);
    assert_eq!(scene.listed(DESK, Some("web2")), ["two"]);
    assert_eq!(scene.listed(SMALL, Some("web2")), [""; 0]);
    rename("two", "alice");
    for key in [DESK, SMALL] {
        assert_eq!(scene.listed(key, Some("web2")), ["alice"]);
    }
    rename("alice", "one");
    assert_eq!(scene.listed(DESK, Some("web2")), ["one"]);
    assert_eq!(scene.order(DESK, "one", UserOrder::Unlock {}), Ok(json!({"changed": true})));
    scene.wrong("web1", "one", most);
    assert_eq!((scene.listed(DESK, Some("web2")), scene.listed(DESK, Some("web1"))), (vec![], vec!["one".to_owned()]));
    // The next record under a name has nothing of the one that was given away. Its own wrong codes are of before it came to the fleet.
    scene.sql("DELETE FROM otp.record WHERE name = 'two'");
    let scene = scene.with("two");
    scene.wrong("web1", "two", most);
    scene.sql("DELETE FROM otp.audit WHERE name = 'two' AND host = 'web1'");
    assert_eq!(scene.listed(DESK, Some("web2")), [""; 0]);
}

#[test]
fn a_list_tells_no_name_outside_the_scope_also_not_to_go_on_after() {
    let names = ["adam", "alice", "bob", "carl", "zoe"];
    let scene = names.into_iter().fold(Scene::new(), Scene::with);
    for name in names {
        scene.wrong("web1", name, 6);
    }
    for locked_by in [None, Some("web1")] {
        assert_eq!(scene.listed(DESK, locked_by), names);
        for (after, next) in [(None, json!("alice")), (Some("adam"), json!("alice")), (Some("alice"), json!(null))] {
            let (after, locked_by) = (after.map(str::to_owned), locked_by.map(str::to_owned));
            let page = scene.ask(SMALL, Administration::Users { after, locked_by }).unwrap()["users"].take();
            assert_eq!(page["next"], next);
            assert!(!["adam", "bob", "carl", "zoe"].iter().any(|name| page.to_string().contains(name)), "{page}");
        }
    }
    // A scope whose users come after a hundred others is listed, too.
    scene.sql("INSERT INTO otp.record (name, version, sealed, state) SELECT 'aa' || n, 1, '', '' FROM generate_series(1, 250) n");
    assert_eq!(scene.listed(SMALL, None), ["alice"]);
}

#[test]
fn a_host_whose_row_was_altered_may_nothing_and_that_is_told_once() {
    let scene = Scene::new().with("alice");
    let shown = |key| scene.order(key, "alice", UserOrder::Status {});
    let alarms = || {
        scene.sql("SELECT string_agg(concat_ws(' ', name, host, event), ',') FROM otp.audit WHERE event LIKE 'alarm%'")
    };
    assert!(shown(WEB1).unwrap_err().1.contains("does not have the right admin"));
    scene.sql("UPDATE otp.host SET rights = '{login,enroll,admin}' WHERE id = 'web1'");
    for _ in 0..3 {
        let (status, error) = shown(WEB1).unwrap_err();
        assert!(status == 403 && error.contains("host web1") && error.contains("not written by a verifier"), "{error}");
    }
    let question = OutlineQuestion {
        id: RequestId([1; 16]),
        user: User { name: "alice".into(), uid: 1, gid: 1 },
        place: place(0),
    };
    let answer = Asked::Outline(question).answer(&scene.fleet, &scene.session, Some(WEB1));
    assert!(answer.is_err_and(|failure| failure.status == 403));
    assert_eq!(alarms(), "* web1 alarm-row-altered");
    let counted = scene.fleet.metrics_text();
    assert!(counted.contains("\notp_verifier_altered_rows_total 4\n"), "{counted}");

    // A row that SQL has put into the scope, and no verifier.
    let scene = scene.with("bob");
    assert!(scene.order(SMALL, "alice", UserOrder::Status {}).is_ok());
    scene.sql("INSERT INTO otp.scope_user SELECT scope, 'bob', mac FROM otp.scope_user");
    assert_eq!(scene.order(SMALL, "bob", UserOrder::Status {}).unwrap_err().0, 403);
    assert_eq!(scene.listed(SMALL, None), ["alice"]);
    assert!(scene.sql("SELECT host FROM otp.audit WHERE event = 'alarm-row-altered'").contains("small"));
}

#[test]
fn the_last_refusals_of_a_user_are_those_of_all_hosts_and_of_users_in_scope() {
    let scene = Scene::new().with("alice").with("bob");
    scene.wrong("web1", "alice", 2);
    scene.wrong("desk", "alice", 1);
    scene.wrong("web1", "bob", 1);
    let refusals =
        |key, name: &str| Some(scene.ask(key, Administration::Refusals { name: name.into() }).ok()?["refusals"].take());
    let told = refusals(DESK, "alice").unwrap();
    let words: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["why"], &one["failures"], &one["host"], &one["event"]))
        .collect();
    let wrong = json!("wrong");
    let login = json!("login");
    let (web1, desk) = (json!("web1"), json!("desk"));
    let numbers = [json!(1), json!(2), json!(3)];
    assert_eq!(
        words,
        [
            (&wrong, &numbers[2], &desk, &login),
            (&wrong, &numbers[1], &web1, &login),
            (&wrong, &numbers[0], &web1, &login)
        ]
    );
    assert_eq!(refusals(SMALL, "alice"), Some(told));
    assert_eq!((refusals(SMALL, "bob"), refusals(WEB1, "alice")), (None, None));
    assert_eq!(scene.sql("SELECT count(*) FROM otp.audit WHERE event = 'refusals-shown' AND caller_uid = 7"), "2");
}
