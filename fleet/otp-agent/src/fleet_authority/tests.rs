//! What the verifier says and what the policy of this host makes of it.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use otp_core::codes::passcode::Issued;
use otp_core::config::Config;
use otp_core::decision::arrival::ArrivedPasscode;
use otp_core::protocol::request::Adopted;
use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::credentials::Override;
use otp_core::record::id::EnrollmentId;
use otp_core::store::change;
use otp_core::store::note::Note;
use otp_core::value::user::UserName;
use otp_wire::SELF;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::self_service::Through;
use super::*;
use crate::test_verifier::{Say, TestHost, TestVerifier, fleet};

/// A host with this configuration, and one verifier.
struct Scene {
    site: Site,
    host: TestHost,
    verifier: TestVerifier,
    lines: RefCell<Vec<String>>,
}

fn alice() -> Account {
    Account { name: UserName::parse("alice").unwrap(), uid: 1000, gid: 1000 }
}

fn login() -> LoginContext {
    LoginContext { service: "sshd".into(), rhost: Some("192.0.2.1".into()), enroll: true, ..LoginContext::default() }
}

fn enrolled() -> Value {
    let record = json!({"user_override": null, "devices": 1, "kinds": ["totp"], "digits": 6});
    with(&record, &[("challenge", json!(false)), ("passcode", json!(false)), ("remembered", json!(false))])
}

fn with(record: &Value, fields: &[(&str, Value)]) -> Value {
    let mut record = record.clone();
    for (name, value) in fields {
        record[*name] = value.clone();
    }
    record
}

impl Scene {
    fn new(policy: &str) -> Self {
        let text = format!("authority = \"fleet\"\n{policy}");
        let mut config = Config::parse("/c".as_ref(), &text).unwrap();
        config.state_directory = "/no/such/directory".into();
        let (host, mut verifiers) = fleet(1);
        let site = Site { config, path: "/c".into(), ask_for_keys: None };
        Self { site, host, verifier: verifiers.remove(0), lines: RefCell::default() }
    }

    fn about<T>(&self, account: Option<&Account>, ask: impl FnOnce(&dyn Authority) -> T) -> T {
        let log = |event: &Event<'_>| self.lines.borrow_mut().push(event.to_string());
        ask(&FleetAuthority::new(&self.site, account, &self.host.upstream, (0, None), &log))
    }

    fn demand(&self) -> Result<String, String> {
        let demand = self.about(Some(&alice()), |authority| authority.demand(&login()));
        demand.map(|demand| demand.words()).map_err(|error| error.to_string())
    }

    fn verify(&self, typed: &str) -> Result<String, String> {
        let typed = Typed::new(typed.as_bytes().to_vec());
        let verdict = self.about(Some(&alice()), |authority| authority.verify(&login(), &typed));
        verdict.map(|verdict| verdict.words()).map_err(|error| error.to_string())
    }

    fn asked(&self) -> Vec<String> {
        self.verifier.questions().into_iter().map(|question| question.path).collect()
    }
}

#[test]
fn the_policy_of_this_host_decides_on_what_the_verifier_knows() {
    let exempt = with(&enrolled(), &[("devices", json!(0)), ("kinds", Value::Null), ("digits", Value::Null)]);
    let exempt = with(&exempt, &[("user_override", json!({"name": "exempt", "until": null}))]);
    let remembered = with(&enrolled(), &[("remembered", json!(true))]);
    let with_challenge = with(&enrolled(), &[("challenge", json!(true)), ("digits", json!(8))]);
    let required = "[policy]\nsecond_factor = \"required\"";
    let enroll = "[policy]\nsecond_factor = \"enroll\"";
    let hotp = "[policy]\nsecond_factor = \"required\"\ndevices = [\"hotp\"]";
    for (policy, record, demand, is_let_in) in [
        ("", Value::Null, "nothing optional default", true),
        ("", enrolled(), "code 6", false),
        (required, Value::Null, "code", false),
        (required, exempt, "nothing optional override", true),
        (required, with_challenge, "challenge 8", false),
        (required, remembered.clone(), "grace 6", true),
        // It may have been a code of a kind that is not accepted here.
        (hotp, remembered, "code 6", false),
        (enroll, Value::Null, "enroll enroll default", false),
        ("[policy]\nsecond_factor = \"skip\"", enrolled(), "nothing skip default", true),
    ] {
        let scene = Scene::new(policy);
        scene.verifier.has_record(record.clone());
        assert_eq!(scene.demand().as_deref(), Ok(demand), "{policy} {record}");
        let asked = scene.asked();
        assert_eq!(asked.get(1).is_some_and(|path| path == LET_IN), is_let_in, "{policy} {record} {asked:?}");
    }
}

#[test]
fn a_user_whose_record_may_wait_on_this_host_is_asked_for_a_code() {
    let (mut scene, folder) = (Scene::new(""), tempfile::tempdir().unwrap());
    assert_eq!(scene.demand().as_deref(), Ok("nothing optional default"), "the host has no records");
    scene.site.config.state_directory = folder.path().to_owned();
    for mode in [0o700, 0o777] {
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(scene.demand().as_deref(), Ok("code"), "a directory that is not the one of the configuration");
    }
}

#[test]
fn a_login_without_a_code_is_let_in_only_when_it_is_noted() {
    for (why, record) in
        [("nothing-asked", Value::Null), ("remembered", with(&enrolled(), &[("remembered", json!(true))]))]
    {
        let scene = Scene::new("");
        scene.verifier.has_record(record);
        scene.demand().unwrap();
        let let_in = scene.verifier.questions().remove(1);
        assert_eq!((let_in.path.as_str(), &let_in.body["why"]), (LET_IN, &json!(why)));
        assert_eq!(let_in.body["user"], json!({"name": "alice", "uid": 1000, "gid": 1000}));
        let place = json!({"service": "sshd", "rhost": "192.0.2.1", "tty": null, "by": 0});
        assert_eq!(let_in.body["place"], place);
        let busy = Say::Status(503, json!({"error": "no primary", "hint": "-"}));
        scene.verifier.will_say([Say::Right].into_iter().chain(vec![busy; 20]));
        let error = scene.demand().unwrap_err();
        assert!(
            error.starts_with("authority unreachable: ") && error.ends_with("no answer now: no primary"),
            "{error}"
        );
        // A host that may not is asked to ask for a code, and the next answer is a refusal.
        let scene = Scene::new("");
        scene.verifier.will_say([Say::Right, Say::Status(403, json!({"error": "suspended", "hint": "-"}))]);
        assert_eq!(scene.demand().as_deref(), Ok("code"));
    }
}

#[test]
fn a_refusal_of_the_host_refuses_the_login_and_says_why_in_the_log() {
    for (status, word) in [(403, "host-not-permitted"), (429, "host-budget")] {
        let scene = Scene::new("");
        let refusal = Say::Status(status, json!({"error": "suspended since today", "hint": "ask bob"}));
        scene.verifier.will_say(vec![refusal; 2]);
        assert_eq!(scene.demand().as_deref(), Ok("code"), "no login is let in because the host may not ask");
        assert_eq!(scene.verify("123456"), Ok(format!("refused {word}")));
        let line = "error user=alice error=\"the authority refuses this host: suspended since today\" hint=\"ask bob\"";
        assert_eq!(scene.lines.borrow().as_slice(), [line, line]);
    }
}

#[test]
fn a_verdict_is_the_verifiers_and_what_a_user_without_a_device_is_told_is_this_hosts() {
    let bare = |passcode| json!({"user_override": null, "is_blank": true, "expired_passcode": passcode});
    let required =
        json!({"user_override": {"name": "required", "until": null}, "is_blank": false, "expired_passcode": true});
    let enroll = "[policy]\nsecond_factor = \"enroll\"";
    for (policy, said, bare, verdict) in [
        ("", "accepted totp device 1 left 9", Value::Null, "accepted totp device 1 left 9"),
        ("", "refused wrong failures 3", Value::Null, "refused wrong failures 3"),
        ("", "refused not-enrolled", bare(false), "refused not-enrolled"),
        (enroll, "refused not-enrolled", bare(false), "refused not-enrolled"),
        (enroll, "refused not-enrolled", bare(true), "refused passcode-expired"),
        (enroll, "refused not-enrolled", required, "refused not-enrolled"),
        (enroll, "accepted passcode", bare(false), "accepted passcode"),
    ] {
        let scene = Scene::new(policy);
        scene.verifier.gives_verdict(said, &bare);
        assert_eq!(scene.verify("123456").as_deref(), Ok(verdict), "{policy} {said}");
    }
    let scene = Scene::new("enforce = false\n[policy]\ndevices = [\"totp\", \"sms\"]");
    scene.verify("123 456").unwrap();
    let body = scene.verifier.questions().remove(0).body;
    let expected = (&json!("123 456"), &json!(["totp", "sms"]), &json!(false));
    assert_eq!((&body["typed"], &body["accepted"], &body["enforced"]), expected);
    scene.verify(&"1".repeat(LONGEST_CODE + 1)).unwrap();
    assert_eq!(scene.verifier.questions().remove(1).body["typed"], json!(""));
    for odd in ["accepted", "refused maybe", "accepted totp device 1 left 9 9"] {
        scene.verifier.gives_verdict(odd, &Value::Null);
        assert_eq!(scene.verify("1").unwrap_err(), "authority gives no answer: its verdict is none that is known");
    }
    scene.verifier.gives_verdict(
        "refused not-enrolled",
        &json!({"user_override": {"name": "?", "until": null}, "is_blank": true, "expired_passcode": false}),
    );
    assert!(scene.verify("1").unwrap_err().starts_with("authority gives no answer: "));
}

#[test]
fn a_name_that_is_no_account_here_is_asked_about_no_user_of_the_fleet() {
    let scene = Scene::new("");
    scene.verifier.has_record(enrolled());
    let typed = Typed::new(b"123456".to_vec());
    let demand = scene.about(None, |authority| authority.demand(&login())).unwrap();
    let verdict = scene.about(None, |authority| authority.verify(&login(), &typed)).unwrap();
    assert_eq!((demand, verdict), (Demand::OF_THE_UNKNOWN, Verdict::Refused(Refusal::UnknownUser)));
    let asked = scene.verifier.questions();
    assert_eq!(scene.asked(), [OUTLINE, VERIFY]);
    assert!(asked.iter().all(|question| question.body["user"]["name"] == json!(NO_ACCOUNT)));
    // The scope of a host has no such name.
    scene.verifier.will_say(vec![Say::Status(403, json!({"error": "not in its scope", "hint": "-"})); 2]);
    let demand = scene.about(None, |authority| authority.demand(&login())).unwrap();
    let verdict = scene.about(None, |authority| authority.verify(&login(), &typed)).unwrap();
    assert_eq!((demand, verdict), (Demand::OF_THE_UNKNOWN, Verdict::Refused(Refusal::UnknownUser)));
    assert!(scene.lines.borrow().is_empty());
}

#[test]
fn nothing_is_sent_to_a_user_unless_the_line_says_so() {
    let scene = Scene::new("");
    let challenge = |send, name: Option<&str>| {
        let named = name.map(|name| Typed::new(name.as_bytes().to_vec()));
        scene.about(Some(&alice()), |authority| {
            authority.challenge(&LoginContext { send, ..login() }, named.as_ref()).unwrap()
        })
    };
    assert_eq!(challenge(false, None), Challenge::Question("12345678".into()));
    assert_eq!(challenge(true, Some("sms")), Challenge::Question("12345678".into()));
    let accepted: Vec<_> =
        scene.verifier.questions().iter().map(|question| question.body["accepted"].clone()).collect();
    assert_eq!(accepted, [json!(["totp", "hotp", "ocra"]), json!(["totp", "hotp", "ocra", "sms", "email"])]);
    // Where nothing else is accepted there is nothing to ask.
    let scene = Scene::new("[policy]\ndevices = [\"sms\"]");
    let none = scene.about(Some(&alice()), |authority| authority.challenge(&login(), None)).unwrap();
    assert_eq!((none, scene.asked().len()), (Challenge::None, 0));
}

#[test]
fn an_outline_that_contradicts_itself_lets_no_user_in() {
    let scene = Scene::new("");
    for record in [
        with(&enrolled(), &[("digits", Value::Null)]),
        with(&enrolled(), &[("devices", json!(0))]),
        with(&enrolled(), &[("digits", json!(5))]),
        with(&enrolled(), &[("user_override", json!({"name": "optional", "until": null}))]),
    ] {
        scene.verifier.has_record(record);
        assert_eq!(
            scene.demand().unwrap_err(),
            "authority gives no answer: the outline of the record contradicts itself"
        );
    }
    assert_eq!(scene.asked().iter().filter(|path| *path != OUTLINE).count(), 0);
}

#[test]
fn a_first_device_on_a_host_for_logins_needs_a_passcode_and_no_line_without_enrollment_offers_one() {
    let scene = Scene::new("[policy]\nsecond_factor = \"enroll\"");
    assert_eq!(scene.demand().as_deref(), Ok("enroll enroll default"));
    let without = LoginContext { enroll: false, ..login() };
    let demand = scene.about(Some(&alice()), |authority| authority.demand(&without)).unwrap();
    assert_eq!(demand.words(), "code");
    scene.verifier.is_for_logins_only();
    assert_eq!(scene.demand().as_deref(), Ok("passcode enroll default passcode"));
}

/// What a request of self service becomes, and what was logged.
fn own(
    scene: &Scene,
    request: Request,
    under_way: Option<&str>,
    through: Through,
) -> (Result<String, String>, Option<String>) {
    let log = |event: &Event<'_>| scene.lines.borrow_mut().push(event.to_string());
    let (site, upstream, alice) = (&scene.site, &scene.host.upstream, alice());
    let authority = FleetAuthority::new(site, Some(&alice), upstream, (1000, None), &log);
    match authority.self_service(request, under_way.map(Confidential::new), through) {
        Ok((reply, carried)) => {
            (Ok(serde_json::to_string(&reply).unwrap()), carried.map(|carried| carried.expose().to_owned()))
        }
        Err(error) => (Err(format!("{error}|{}", error.hint())), None),
    }
}

fn activate() -> Request {
    Request::Activate {}
}

#[test]
fn self_service_says_what_the_policy_of_this_host_says_and_carries_what_is_under_way() {
    let scene = Scene::new("[policy]\nsecond_factor = \"enroll\"\npasscode = true\ndevices = [\"totp\"]");
    scene.verifier.answers_own(&json!({"changed": true}), Some("01a2"), &Value::Null);
    let (reply, carried) = own(&scene, activate(), Some("03b4"), Through::Program);
    assert_eq!((reply.as_deref(), carried.as_deref()), (Ok(r#"{"changed":true}"#), Some("01a2")));
    let (_, _) = own(&scene, activate(), None, Through::Login);
    let [program, login] = &*scene.verifier.questions() else { panic!() };
    assert_eq!((program.path.as_str(), &program.body["request"]), (SELF, &json!({"activate": {}})));
    assert_eq!((&program.body["under_way"], &program.body["accepted"]), (&json!("03b4"), &json!(["totp"])));
    assert_eq!((&program.body["passcode"], &program.body["in_login"]), (&json!(true), &json!(false)));
    assert_eq!(program.body["place"], json!({"service": "otp-enroll", "rhost": null, "tty": null, "by": 1000}));
    assert_eq!((&login.body["in_login"], &login.body["place"]["service"]), (&json!(true), &json!("login")));
    assert!(scene.lines.borrow().is_empty());
}

#[test]
fn a_status_has_the_terms_of_this_host_and_what_is_required_is_its_policys() {
    let scene = Scene::new("[policy]\nsecond_factor = \"required\"\ndevices = [\"hotp\"]");
    let device = json!({"id": 1, "name": "phone", "type": "totp", "algorithm": "SHA1", "digits": 6, "period": 30,
        "created": "2026-01-01T00:00:00Z", "default": true, "last_used": null, "confirmed": true,
        "awaits_resync": false, "serial": null, "drift": null, "suite": null});
    let status = json!({"status": {"user": "alice", "enrolled": true, "override": "none", "override_until": null,
        "devices": [device], "recovery_codes_left": 4, "failures": 0, "lock": "open", "last_accepted": null}});
    scene.verifier.answers_own(&status, None, &Value::Null);
    let said = own(&scene, Request::Status {}, None, Through::Program).0.unwrap();
    assert!(said.contains(r#""accepted_kinds":["hotp"]"#), "{said}");
    assert!(
        said.contains(r#""not_accepted":[{"by":"default","service":null,"accepted":["hotp"],"devices":[1]}]"#),
        "{said}"
    );
    let required = |scene: &Scene| own(scene, Request::Requirement {}, None, Through::Program).0.unwrap();
    assert_eq!(required(&scene), r#"{"requirement":{"second_factor":"required","by":"default","service":null}}"#);
    let exempt = json!({"name": "exempt", "until": null});
    scene.verifier.has_record(with(&enrolled(), &[("user_override", exempt)]));
    assert_eq!(required(&scene), r#"{"requirement":null}"#);
}

#[test]
fn the_log_of_the_host_says_what_was_done_and_what_was_refused() {
    let scene = Scene::new("");
    let reply = json!({"changed-device": 2});
    for (reply, event, line) in [
        (
            &reply,
            json!({"change": {"what": "device-renamed", "device": 2, "by": "accepted totp device 1"}}),
            "device-renamed user=alice by_uid=1000 changed_device=2 proof=code device=1",
        ),
        (
            &json!({"changed": true}),
            json!({"change": {"what": "enrolled", "device": null, "by": "unneeded"}}),
            "enrolled user=alice by_uid=1000",
        ),
        (
            &json!({"changed": true}),
            json!({"proved": {"what": "another-device", "by": "accepted recovery left 3"}}),
            "proved user=alice by_uid=1000 change=another-device proof=recovery",
        ),
        (
            &json!({"verdict": "refused wrong failures 2"}),
            json!({"refused": {"what": "device-removed"}}),
            "refused user=alice by_uid=1000 change=device-removed why=wrong failures=2",
        ),
    ] {
        scene.verifier.answers_own(reply, None, &event);
        own(&scene, activate(), None, Through::Program).0.unwrap();
        let said = scene.lines.borrow_mut().pop().unwrap();
        assert!(said.starts_with(line), "{said}");
    }
    for odd in [
        json!({"change": {"what": "x\ny", "device": null, "by": "unneeded"}}),
        json!({"change": {"what": "enrolled", "device": null, "by": "granted"}}),
    ] {
        scene.verifier.answers_own(&reply, None, &odd);
        assert!(own(&scene, activate(), None, Through::Program).0.is_ok(), "it is done all the same: {odd}");
        let said = scene.lines.borrow_mut().pop().unwrap();
        assert!(
            said.starts_with("error user=alice error=\"a change was made that this agent does not know\""),
            "{said}"
        );
    }
}

#[test]
fn what_a_host_may_not_is_told_with_the_reason_and_a_lost_answer_with_what_to_do() {
    let scene = Scene::new("");
    scene.verifier.will_say([Say::Status(403, json!({"error": "no right enroll", "hint": "host rights"}))]);
    let (reply, _) = own(&scene, Request::ForgetAddresses {}, None, Through::Program);
    let told = r#"{"failed":{"error":"the authority refuses this host: no right enroll","hint":"host rights"}}"#;
    assert_eq!(reply.as_deref(), Ok(told));
    let line = "error user=alice error=\"the authority refuses this host: no right enroll\" hint=\"host rights\"";
    assert_eq!(scene.lines.borrow().as_slice(), [line]);
    let recovery = Request::Recovery { proof: Some(Confidential::new("1")), count: None };
    for (request, hint) in [
        (activate(), "the device may be in force all the same: look with `otp-enroll status`;"),
        (recovery, "new codes may be in force that were not shown: run `otp-enroll recovery` again"),
        (Request::Disable { proof: Confidential::new("1") }, "it may have been done all the same: look with"),
        (Request::Status {}, NoAuthority::HINT),
    ] {
        scene.verifier.will_say(vec![Say::Status(503, json!({"error": "no primary", "hint": "-"})); 20]);
        let said = own(&scene, request, None, Through::Program).0.unwrap_err();
        let (error, said) = said.split_once('|').unwrap();
        assert!(error.starts_with("authority unreachable: ") && said.starts_with(hint), "{error} {said}");
        scene.verifier.forgets_what_to_say();
    }
}

/// A host with a record of alice, who has a passcode there that was used up before it is sent.
fn scene_with_passcode() -> (Scene, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let mut scene = Scene::new("");
    scene.site.config.state_directory = folder.path().to_owned();
    scene.site.path = folder.path().join("pam_otp.toml");
    for place in [folder.path().join("store-id"), folder.path().join(".store-id")] {
        symlink("a5".repeat(16), place).unwrap();
    }
    change(&scene.site.store().unwrap(), &alice(), &Note::here("test"), |_| {
        let mut record = Record::begin(&alice(), EnrollmentId([1; 16]), Override::None, Vec::new(), None);
        let issued = Issued { salt: [1; 16], hash: [2; 32], until: UnixTime(9), service: Some("sudo".into()) };
        (record.credentials.passcode, record.state.passcode_used) = (Some(issued), true);
        (Change::Record(Box::new(record)), ())
    })
    .unwrap();
    (scene, folder)
}

impl Scene {
    fn adopt(&self, with_passcode: bool) -> Result<Adoption, String> {
        let account = alice();
        let authority = FleetAuthority::new(&self.site, Some(&account), &self.host.upstream, (0, None), &|_| {});
        authority.adopt(with_passcode).unwrap().map_err(|error| CoreError::from(error).to_string())
    }
}

#[test]
fn a_passcode_goes_along_with_a_record_only_where_it_is_used_up_here() {
    let (scene, _folder) = scene_with_passcode();
    let expected = Adoption { record: Adopted::Taken, passcode: Some(ArrivedPasscode::Taken) };
    assert_eq!((scene.adopt(true), scene.adopt(false)), (Ok(expected), Ok(expected)));
    let questions = scene.verifier.questions();
    let is_used = |at: usize| questions[at].body["state"].as_str().unwrap().contains("passcode used");
    assert_eq!((is_used(0), is_used(1)), (false, true));
    assert!(questions[0].body["credentials"].as_str().unwrap().contains("service = \"sudo\""));
    // The record here stays as it is.
    assert!(scene.site.store().unwrap().read(&alice()).unwrap().unwrap().state.passcode_used);
}

#[test]
fn a_passcode_is_sent_once_and_a_record_without_one_until_there_is_an_answer() {
    let (scene, _folder) = scene_with_passcode();
    scene.verifier.will_say([Say::Close]);
    let error = scene.adopt(true).unwrap_err();
    assert!(error.contains("the record was sent, and no answer came"), "{error}");
    assert_eq!(scene.verifier.questions().len(), 1);
    // Where nothing was begun, it is sent again: used up here, the passcode would be lost.
    scene.verifier.will_say(vec![Say::Status(503, json!({"error": "all threads wait", "hint": "-"})); 3]);
    assert!(scene.adopt(true).is_ok());
    assert_eq!(scene.verifier.questions().len(), 5);
    scene.verifier.will_say([Say::Close]);
    assert!(scene.adopt(false).is_ok());
}
