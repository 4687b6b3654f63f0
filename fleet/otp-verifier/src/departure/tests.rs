//! A record that goes to a host, with a real database.

use otp_core::protocol::administration::PullStep;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use serde_json::{Value, json};

use crate::administration::tests::Scene;
use crate::asked::Asked;
use crate::config::KeyName;
use crate::database::hosts::{Changed, NewScope};
use crate::right::Right;
use otp_core::value::request_id::RequestId;
use otp_wire::{PullQuestion, User};

const HOME: [u8; 32] = [7; 32];
const OTHER: [u8; 32] = [8; 32];

fn ask(scene: &Scene, key: [u8; 32], name: &str, step: PullStep) -> Result<Value, (u16, String)> {
    let user = User { name: name.into(), uid: 1000, gid: 1000 };
    let question = PullQuestion { id: RequestId([0xa5; 16]), by: 0, user, step };
    let answer = Asked::Pull(question).answer(&scene.fleet, &scene.session, Some(key));
    let answer = answer.map_err(|failure| (failure.status, failure.error))?;
    Ok(serde_json::from_slice::<Value>(&answer.body).unwrap()["pulled"].take())
}

fn scene() -> Scene {
    let scene = Scene::new().with("alice");
    scene.fleet.replace_export_to(vec![KeyName(HOME), KeyName(OTHER)]);
    assert!(scene.session.add_host(&scene.fleet.keys(), "home", &HOME, &[Right::Export], None).unwrap());
    assert!(scene.session.add_host(&scene.fleet.keys(), "other", &OTHER, &[Right::Export], None).unwrap());
    scene
}

#[test]
fn a_record_goes_to_one_host_and_leaves_a_user_of_whom_a_second_factor_is_required() {
    let scene = scene();
    let pulled = ask(&scene, HOME, "alice", PullStep::Take).unwrap();
    let credentials = pulled["record"]["credentials"].as_str().unwrap();
    let credentials = Credentials::decode(credentials.as_bytes(), ReadContext::ANYONE).unwrap();
    assert_eq!((credentials.user.as_str(), credentials.devices.len(), credentials.shut()), ("alice", 1, None));
    assert_eq!(scene.sql("SELECT count(*) FROM otp.moving WHERE host = 'home'"), "1");
    let outline = scene.outline("alice");
    assert_eq!((&outline["devices"], &outline["user_override"]["name"]), (&json!(0), &json!("required")));
    // The answer may have been lost: the same host is given it again, and no other one.
    assert_eq!(ask(&scene, HOME, "alice", PullStep::Take).unwrap(), pulled);
    assert_eq!(ask(&scene, OTHER, "alice", PullStep::Take).unwrap(), json!({"no-record": {}}));
    assert_eq!(ask(&scene, OTHER, "alice", PullStep::Arrived).unwrap(), json!({"forgotten": false}));
    assert_eq!(ask(&scene, HOME, "alice", PullStep::Arrived).unwrap(), json!({"forgotten": true}));
    assert_eq!(scene.sql("SELECT count(*) FROM otp.moving"), "0");
    for (step, said) in [(PullStep::Take, json!({"no-record": {}})), (PullStep::Arrived, json!({"forgotten": false}))] {
        assert_eq!(ask(&scene, HOME, "alice", step).unwrap(), said);
    }
    let events = "SELECT DISTINCT concat_ws(' ', host, name, event) FROM otp.audit WHERE event LIKE '%host' ORDER BY 1";
    assert_eq!(
        scene.sql(events).lines().collect::<Vec<_>>(),
        [
            "home alice given-to-host",
            "home alice moved-to-host",
            "other alice given-to-host",
            "other alice moved-to-host"
        ]
    );
}

#[test]
fn a_copy_is_given_again_until_the_user_has_another_device_and_giving_it_again_takes_nothing() {
    let scene = scene();
    assert_eq!(ask(&scene, HOME, "alice", PullStep::Again).unwrap(), json!({"no-record": {}}));
    assert_eq!(scene.outline("alice")["devices"], json!(1));
    let pulled = ask(&scene, HOME, "alice", PullStep::Take).unwrap();
    scene.sql("UPDATE otp.moving SET at = at - interval '25 h'");
    assert_eq!(ask(&scene, HOME, "alice", PullStep::Again).unwrap(), pulled);
    // The same user is enrolled again: what was given up is good nowhere any more.
    scene.sql("DELETE FROM otp.record");
    let scene = scene.with("alice");
    assert_eq!(scene.sql("SELECT count(*) FROM otp.moving"), "0");
    assert_eq!(ask(&scene, HOME, "alice", PullStep::Again).unwrap(), json!({"no-record": {}}));
}

#[test]
fn seeds_go_to_no_host_without_the_right_export() {
    let scene = scene();
    for right in [Right::Login, Right::Enroll, Right::Import, Right::Admin] {
        assert_eq!(
            scene.session.set_rights(&scene.fleet.keys(), "home", &[right], NewScope::AllUsers).unwrap(),
            Changed::Yes
        );
        let error = "host home does not have the right export".to_owned();
        assert_eq!(ask(&scene, HOME, "alice", PullStep::Take), Err((403, error)));
    }
    assert_eq!(
        scene.session.set_rights(&scene.fleet.keys(), "home", &[Right::Export], NewScope::Of("few")).unwrap(),
        Changed::Yes
    );
    assert_eq!(ask(&scene, HOME, "bob", PullStep::Take).map_err(|(status, _)| status), Err(403));
    assert_eq!(
        (scene.sql("SELECT count(*) FROM otp.moving").as_str(), &scene.outline("alice")["devices"]),
        ("0", &json!(1))
    );
    // Who writes to the database may give rights, and no seed comes by that.
    assert_eq!(
        scene.session.set_rights(&scene.fleet.keys(), "home", &[Right::Export], NewScope::AllUsers).unwrap(),
        Changed::Yes
    );
    scene.fleet.replace_export_to(vec![KeyName(OTHER)]);
    let (status, error) = ask(&scene, HOME, "alice", PullStep::Take).unwrap_err();
    assert!(
        status == 403 && error.contains("this verifier's configuration does not name the key of host home"),
        "{error}"
    );
    assert_eq!(scene.outline("alice")["devices"], json!(1));
}
