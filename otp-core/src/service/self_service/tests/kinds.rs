//! Kinds of device that the policy does not accept: as proof of a change, and as a new device.

use super::*;
use crate::protocol::request::Token;
use crate::testing::fixtures::token as hotp;

/// Only apps prove changes; logins accept more.
const ONLY_APPS: &str = "[[policy.rule]]\nservice = \"otp-enroll\"\nsecond_factor = \"optional\"\ndevices = [\"totp\"]";

/// Alice with a token and, if `phone`, with a phone.
fn alice_with(config: &str, has_phone: bool) -> TestSite {
    let test_site = TestSite::new(config);
    let key = Device { name: DeviceName::parse("key").unwrap(), ..hotp(2) };
    test_site.put(&record(if has_phone { vec![phone(1), key] } else { vec![key] }));
    test_site
}

fn of_key(counter: u64) -> Confidential {
    text(&digits_of(&[2; 20], counter))
}

fn not_accepted(failures: Option<u32>) -> Refusal {
    Refusal::KindNotAccepted { failures }
}

fn status(test_site: &TestSite) -> Status {
    let Reply::Status(status) = test_site.answer(Request::Status {}) else { panic!("no status") };
    status
}

/// Every request that takes a code as proof of a change.
fn changes(proof: &Confidential) -> Vec<Request> {
    let proof = || proof.clone();
    let device = || "key".to_owned();
    vec![
        Request::Enroll { proof: Some(proof()), count: None },
        Request::Add { name: None, proof: Some(proof()), token: None, to: None, count: None },
        Request::Rename { device: device(), name: "x".into(), proof: proof() },
        Request::Default { device: device(), proof: proof() },
        Request::Remove { device: device(), proof: proof() },
        Request::Recovery { proof: Some(proof()), count: None },
        Request::Disable { proof: proof() },
    ]
}

#[test]
fn a_code_of_a_kind_that_is_not_accepted_proves_no_change() {
    let test_site = alice_with(ONLY_APPS, true);
    let before = test_site.stored().unwrap().state;
    for change in changes(&of_key(0)) {
        refused(&test_site.answer(change), not_accepted(None));
    }
    assert_eq!(test_site.stored().unwrap().state, before, "nothing is used up or counted");
    assert!(test_site.logged().iter().all(|line| line.ends_with(" why=kind-not-accepted")));
    // Whether a code works is told for every device.
    accepted(&test(&test_site, of_key(0)), Factor::Hotp(DeviceId(2)), 10);
    let resync = Request::Resync { device: None, first: of_key(20), second: of_key(21) };
    assert!(matches!(test_site.answer(resync), Reply::ChangedDevice(DeviceId(2))));
    for change in changes(&recovery(0)).into_iter().take(1) {
        assert!(matches!(test_site.answer(change), Reply::Offer(_)));
    }
    let reply = test_site.answer(Request::Remove { device: "key".into(), proof: code() });
    assert!(matches!(reply, Reply::ChangedDevice(DeviceId(2))), "{reply:?}");
}

#[test]
fn a_code_that_proves_nothing_does_not_clear_the_count_of_wrong_ones() {
    // Who has the key alone could guess codes of the phone for ever.
    let test_site = alice_with(ONLY_APPS, true);
    let resync = |first| {
        let reply = test_site.answer(Request::Resync { device: None, first: of_key(first), second: of_key(first + 1) });
        assert!(matches!(reply, Reply::ChangedDevice(DeviceId(2))), "{reply:?}");
    };
    for failures in [1, 2, 3] {
        refused(&test(&test_site, wrong()), Refusal::Wrong { failures, clock_behind: None });
        let Reply::Verdict(Verdict::Accepted(_)) = test(&test_site, of_key(u64::from(failures) * 10)) else {
            panic!("not accepted")
        };
        resync(u64::from(failures) * 10 + 2);
        assert_eq!(test_site.failures(), failures);
    }
    assert!(matches!(test(&test_site, code()), Reply::Verdict(Verdict::Accepted(_))));
    assert_eq!(test_site.failures(), 0);
    // Where the policy accepts the key, its codes clear the count.
    let test_site = alice_with("", true);
    refused(&test(&test_site, wrong()), Refusal::Wrong { failures: 1, clock_behind: None });
    assert!(matches!(test(&test_site, of_key(0)), Reply::Verdict(Verdict::Accepted(_))));
    assert_eq!(test_site.failures(), 0);
}

#[test]
fn a_user_without_an_accepted_device_changes_devices_by_a_recovery_code() {
    let test_site = alice_with(ONLY_APPS, false);
    refused(&test_site.answer(changes(&of_key(0)).remove(1)), not_accepted(None));
    refused(&test_site.answer(changes(&wrong()).remove(1)), not_accepted(Some(1)));
    test_site.serve(|service| {
        let offer = service.answer(changes(&recovery(0)).remove(1), NOW);
        shown_codes(&service.confirm(code_of(&offer)));
    });
    assert_eq!(status(&test_site).devices.len(), 2);
}

#[test]
fn a_device_of_a_kind_that_is_not_accepted_is_declined_before_anything_is_offered() {
    let token = |kind: &str| Token {
        r#type: kind.into(),
        suite: (kind == "ocra").then(|| "OCRA-1:HOTP-SHA1-6:QN08".into()),
        secret: text("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
        algorithm: "SHA1".into(),
        digits: 6,
        period: 30,
        counter: 0,
        serial: None,
        app: false,
    };
    let add = |proof, token| Request::Add { name: None, proof, token, to: None, count: None };
    let declines = |test_site: &TestSite, request, kind| {
        let accepted = status(test_site).accepted_kinds;
        let kind = Kinds::one(kind).unwrap();
        declined(&test_site.answer(request), Declined::KindNotAccepted { kind, accepted });
    };
    let test_site = alice_with(ONLY_APPS, true);
    for kind in ["hotp", "ocra"] {
        declines(&test_site, add(Some(code()), Some(token(kind))), kind);
    }
    assert!(matches!(test_site.answer(add(Some(code()), Some(token("totp")))), Reply::TokenTaken { .. }));

    let test_site = TestSite::new("[policy]\ndevices = [\"hotp\", \"sms\"]");
    for (request, kind) in [
        (Request::Enroll { proof: None, count: None }, "totp"),
        (add(None, None), "totp"),
        (add(None, Some(token("totp"))), "totp"),
        (add(None, Some(token("ocra"))), "ocra"),
    ] {
        declines(&test_site, request, kind);
    }
    declined(&test_site.answer(add(None, Some(token("fax")))), Declined::TokenUnfit);
    assert!(matches!(test_site.answer(add(None, Some(token("hotp")))), Reply::TokenTaken { .. }));
    assert!(test_site.stored().is_none() && test_site.logged().is_empty());
}

#[test]
fn a_status_says_where_a_device_is_not_accepted() {
    let config = "[policy]\ndevices = [\"hotp\"]\n[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"required\"\n\
                  devices = [\"totp\", \"sms\"]\n[[policy.rule]]\nservice = \"su\"\nsecond_factor = \"required\"";
    let of = |devices: &[(&str, Option<&str>, &[u8])]| {
        let terms =
            devices.iter().map(|(by, service, devices)| (by.to_string(), service.map(str::to_owned), devices.to_vec()));
        terms.collect::<Vec<_>>()
    };
    let told = |test_site: &TestSite| {
        let terms = status(test_site).not_accepted.into_iter();
        terms.map(|terms| (terms.by, terms.service, terms.devices)).collect::<Vec<_>>()
    };
    let test_site = alice_with(config, true);
    assert_eq!(told(&test_site), of(&[("rule-1", Some("sshd"), &[2]), ("default", None, &[1])]));
    assert_eq!(status(&test_site).accepted_kinds, Kinds::HOTP);
    assert_eq!(told(&alice_with(config, false)), of(&[("rule-1", Some("sshd"), &[2])]));
    assert!(told(&alice_with("", true)).is_empty() && told(&TestSite::new(config)).is_empty());
}
