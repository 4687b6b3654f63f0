//! Records of a host with passcodes, with a real database.

use otp_core::codes::passcode::Issued;
use otp_core::protocol::request::Confidential;
use otp_core::record::credentials::{Device, Override};
use otp_core::record::id::EnrollmentId;
use otp_core::record::state::Progress;
use otp_core::store::Store as _;
use otp_core::testing::alice::phone;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::Seconds;
use otp_core::value::user::{Account, UserName};
use otp_wire::User;
use serde_json::{Value, json};

use super::*;
use crate::administration::tests::Scene;
use crate::answered::of_no_host;
use crate::asked::Asked;
use crate::right::Right;
use crate::store::{About, PgStore};

const HOME: [u8; 32] = [7; 32];

fn scene() -> Scene {
    let scene = Scene::new();
    assert!(scene.session.add_host(&scene.fleet.keys(), "home", &HOME, &[Right::Import], None).unwrap());
    scene
}

fn account(name: &str) -> Account {
    of_no_host(UserName::parse(name).unwrap())
}

/// A record of a host with a passcode that is known by this number.
fn record_of(name: &str, devices: Vec<Device>, salt: u8) -> Record {
    let devices = devices.into_iter().map(|device| (device, Progress::from(0))).collect();
    let mut record = Record::begin(&account(name), EnrollmentId([salt; 16]), Override::None, devices, None);
    let until = UnixTime::now().after(Seconds(600));
    let issued = Issued { salt: [salt; 16], hash: [salt; 32], until, service: Some("sudo".into()) };
    record.credentials.passcode = Some(issued);
    record
}

/// What is answered, by both: what would become of it is what becomes of it.
fn push(scene: &Scene, record: &Record) -> Value {
    let (credentials, state) = record.texts().unwrap();
    let name = record.credentials.user.as_str().to_owned();
    let mut asked = [false, true].map(|is_done| {
        let user = User { name: name.clone(), uid: 1000, gid: 1000 };
        let id = RequestId([if is_done { 0xa5 } else { 0x5a }; 16]);
        let question = AdoptQuestion { id, user, credentials: Confidential::new(&credentials), state: state.clone() };
        let asked = if is_done { Asked::Adopt(question) } else { Asked::WouldAdopt(question) };
        let answer = asked.answer(&scene.fleet, &scene.session, Some(HOME)).unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()["outcome"].take()
    });
    assert_eq!(asked[0], asked[1]);
    asked[1].take()
}

/// The number and the service of a passcode that is good in the fleet.
fn good_in_fleet(scene: &Scene, name: &str) -> Option<(u8, Option<String>)> {
    let ring = scene.fleet.keys();
    let record = PgStore::new(&scene.session, &ring, About::default()).read(&account(name)).unwrap()?;
    record.good_passcode(UnixTime::now()).map(|issued| (issued.salt[0], issued.service.clone()))
}

#[test]
fn a_passcode_goes_to_the_fleet_with_its_record_and_stays_bound_to_its_service() {
    let scene = scene();
    let taken = json!({"record": "taken", "passcode": "taken"});
    for (name, devices) in [("alice", vec![phone(1)]), ("bob", vec![])] {
        assert_eq!(push(&scene, &record_of(name, devices, 1)), taken);
        assert_eq!(good_in_fleet(&scene, name), Some((1, Some("sudo".into()))));
    }
}

#[test]
fn the_passcode_of_the_fleet_stays_and_so_do_other_devices() {
    let scene = scene();
    push(&scene, &record_of("alice", vec![phone(1)], 1));
    let joined = json!({"record": "joined", "passcode": "void"});
    assert_eq!(push(&scene, &record_of("alice", vec![phone(1)], 2)), joined);
    assert_eq!(good_in_fleet(&scene, "alice"), Some((1, Some("sudo".into()))));
    assert_eq!(push(&scene, &record_of("alice", vec![phone(2)], 2)), json!({"record": "other", "passcode": null}));
    // A record without a device says nothing of those that are here.
    let scene = scene.with("carl");
    assert_eq!(push(&scene, &record_of("carl", vec![], 2)), joined);
    assert_eq!(good_in_fleet(&scene, "carl"), None);
    let rows = scene.sql("SELECT concat_ws(' ', name, answer) FROM otp.audit WHERE event = 'adopted' ORDER BY at");
    let told = [
        "alice imported passcode taken",
        "alice unchanged passcode void",
        "alice unchanged",
        "carl unchanged passcode void",
    ];
    assert_eq!(rows.lines().collect::<Vec<_>>(), told);
}

#[test]
fn a_passcode_that_was_used_on_the_host_or_in_the_fleet_is_good_no_more() {
    let scene = scene();
    let mut used = record_of("alice", vec![phone(1)], 1);
    used.state.passcode_used = true;
    assert_eq!(push(&scene, &used), json!({"record": "taken", "passcode": null}));
    assert_eq!(good_in_fleet(&scene, "alice"), None);
    push(&scene, &record_of("bob", vec![], 1));
    let ring = scene.fleet.keys();
    let store = PgStore::new(&scene.session, &ring, About::default());
    let now = UnixTime::now();
    otp_core::store::update(&store, &account("bob"), &otp_core::testing::alice::NOTE, |record| {
        record.giving_passcode_away(now)
    })
    .unwrap();
    assert_eq!(push(&scene, &record_of("bob", vec![], 1)), json!({"record": "joined", "passcode": null}));
    assert_eq!(good_in_fleet(&scene, "bob"), None);
}

#[test]
fn a_host_exempts_nobody_who_has_devices_that_it_does_not_know() {
    let scene = scene().with("carl");
    let pushed = |devices| {
        let mut record = record_of("carl", devices, 1);
        (record.credentials.passcode, record.credentials.user_override) = (None, Override::Exempt);
        push(&scene, &record);
        scene.outline("carl")["user_override"]["name"].clone()
    };
    assert_eq!(pushed(vec![]), Value::Null);
    assert_eq!(pushed(vec![phone(2)]), Value::Null);
    assert_eq!(pushed(vec![phone(1)]), json!("exempt"));
}

#[test]
fn a_host_ends_no_requirement_of_the_fleet() {
    let scene = scene();
    let pushed = |user_override| {
        let mut record = record_of("dora", vec![], 1);
        (record.credentials.passcode, record.credentials.user_override) = (None, user_override);
        push(&scene, &record);
        scene.outline("dora")["user_override"]["name"].clone()
    };
    assert_eq!(pushed(Override::Exempt), json!("exempt"));
    assert_eq!(pushed(Override::Enroll), json!("enroll"));
    assert_eq!(pushed(Override::ExemptUntil(UnixTime(u64::MAX))), json!("enroll"));
    assert_eq!(pushed(Override::Required), json!("required"));
    assert_eq!(pushed(Override::Exempt), json!("required"));
}
