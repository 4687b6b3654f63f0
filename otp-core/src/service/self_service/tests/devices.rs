//! Several devices: each change takes a proof and is logged with it, and what cannot be done uses none up.

use zeroize::Zeroizing;

use subtle::ConstantTimeEq;

use super::*;
use crate::codes::challenge::Challenge;
use crate::codes::ocra::{Input, Suite};
use crate::protocol::request::Token;
use crate::record::credentials::DeviceName;
use crate::testing::fixtures::token as hotp;

fn add(name: Option<&str>, proof: Option<Confidential>, token: Option<Token>) -> Request {
    Request::Add { name: name.map(str::to_owned), proof, token, to: None, count: None }
}

fn described(kind: &str, seed: u8) -> Token {
    Token {
        r#type: kind.into(),
        suite: None,
        secret: text(&Secret::new(Zeroizing::new(vec![seed; 20])).unwrap().base32()),
        algorithm: "SHA1".into(),
        digits: 6,
        period: 30,
        counter: 0,
        serial: Some("GALT10007123".into()),
        app: false,
    }
}

fn shown_by(seed: u8, counter: u64) -> Confidential {
    text(&digits_of(&[seed; 20], counter))
}

/// Numbers and names of alice's devices, and the default.
fn devices(test_site: &TestSite) -> (Vec<(u8, String)>, Option<u8>) {
    let credentials = test_site.stored().unwrap().credentials;
    let all = credentials.devices.iter().map(|device| (device.id.0, device.name.as_str().to_owned()));
    (all.collect(), credentials.default.map(|id| id.0))
}

/// Alice with a phone, a tablet and a token.
fn with_three() -> TestSite {
    let test_site = TestSite::with_alice();
    let named = |id, name: &str| Device { name: DeviceName::parse(name).unwrap(), ..phone(id) };
    let devices =
        vec![named(1, "phone"), named(2, "tablet"), Device { name: DeviceName::parse("key").unwrap(), ..hotp(3) }];
    let mut record = record(devices);
    record.credentials.enrollment = EnrollmentId([2; 16]);
    record.state.enrollment = EnrollmentId([2; 16]);
    let store = test_site.site.store().unwrap();
    change(&store, &alice(), &NOTE, |_| {
        let mut again = record.renewed(EnrollmentId([2; 16]));
        again.state = record.state.clone();
        (Change::Record(Box::new(again)), ())
    })
    .unwrap();
    test_site
}

#[test]
fn a_second_app_comes_beside_the_first_and_the_recovery_codes_stay() {
    let test_site = TestSite::with_alice();
    let before = test_site.stored().unwrap().credentials.recovery;
    test_site.serve(|service| {
        declined(&service.answer(add(Some("tablet"), None, None), NOW), Declined::ProofNeeded);
        refused(
            &service.answer(add(Some("tablet"), Some(wrong()), None), NOW),
            Refusal::Wrong { failures: 1, clock_behind: None },
        );
        let offer = service.answer(add(Some("tablet"), Some(code()), None), NOW);
        assert!(shown_codes(&service.confirm(code_of(&offer))).is_empty(), "no recovery codes are made");
    });
    let log = test_site.logged();
    let head = "user=alice by_uid=1000";
    assert_eq!(log[0], format!("refused {head} change=another-device why=wrong failures=1"));
    assert_eq!(log[1], format!("proved {head} change=another-device proof=code device=1 recovery_left=10 failures=1"));
    assert_eq!(log[2], format!("device-added {head} changed_device=2 proof=code device=1 recovery_left=10 failures=1"));
    assert_eq!(devices(&test_site), (vec![(1, "phone".into()), (2, "tablet".into())], Some(1)));
    assert_eq!(test_site.stored().unwrap().credentials.recovery, before);
    accepted(&test(&test_site, recovery(0)), Factor::Recovery, 9);
    accepted(&test_site.answer(Request::Test { proof: code_at(STEP + 1) }), TOTP, 9);
}

#[test]
fn a_user_without_a_device_adds_the_first_one_with_recovery_codes() {
    let test_site = TestSite::new("");
    test_site.serve(|service| {
        let offer = service.answer(add(Some(" my phone "), None, None), NOW);
        assert_eq!(shown_codes(&service.confirm(code_of(&offer))).len(), 10);
    });
    assert_eq!(devices(&test_site), (vec![(1, "my phone".into())], Some(1)));
    assert_eq!(test_site.logged(), ["enrolled user=alice by_uid=1000 proof=none"]);
}

#[test]
fn what_cannot_be_added_uses_no_proof_up() {
    let test_site = with_three();
    let of = |name: &str| test_site.answer(add(Some(name), Some(code()), None));
    declined(&of("Tablet"), Declined::NameTaken);
    for unfit in ["", " ", "\u{1b}[2J", "a\u{202e}b", &"x".repeat(41)] {
        declined(&of(unfit), Declined::NameUnfit);
    }
    for reserved in ["123456", "2", "sms", "EMAIL", "ocra", "abcd-efgh-ijkl-mnop"] {
        declined(&of(reserved), Declined::NameReserved);
    }
    let odd = [
        Token { r#type: "sms".into(), ..described("totp", 9) },
        Token { secret: text("A"), ..described("totp", 9) },
        Token { digits: 9, ..described("totp", 9) },
        Token { period: 301, ..described("totp", 9) },
        Token { algorithm: "MD5".into(), ..described("totp", 9) },
        Token { serial: Some("\u{7f}".into()), ..described("totp", 9) },
    ];
    for token in odd {
        declined(&test_site.answer(add(None, Some(code()), Some(token))), Declined::TokenUnfit);
    }
    // Without a right proof nothing is told of a seed.
    declined(&test_site.answer(add(None, None, Some(described("hotp", 3)))), Declined::ProofNeeded);
    refused(&test_site.answer(add(None, Some(recovery(10)), Some(described("hotp", 3)))), Refusal::RecoveryUnknown);
    declined(&test_site.answer(add(None, Some(recovery(3)), Some(described("hotp", 3)))), Declined::SeedKnown);
    let mut number = 4;
    while devices(&test_site).0.len() < 8 {
        let token = Token { counter: 5, ..described("hotp", number) };
        test_site.serve(|service| {
            let reply = service.answer(add(None, Some(recovery(number)), Some(token)), NOW);
            assert!(
                matches!(&reply, Reply::TokenTaken { name, question: None } if name.starts_with("token")),
                "{reply:?}"
            );
            shown_codes(&service.confirm(shown_by(number, 5)));
        });
        number += 1;
    }
    declined(&of("one more"), Declined::TooManyDevices);
    accepted(&test(&test_site, code()), TOTP, 4);
}

#[test]
fn a_token_that_is_far_off_is_confirmed_by_two_codes() {
    let test_site = TestSite::with_alice();
    test_site.serve(|service| {
        let reply = service.answer(add(Some("blue key"), Some(code()), Some(described("hotp", 9))), NOW);
        assert!(matches!(&reply, Reply::TokenTaken { name, question: None } if name == "blue key"), "{reply:?}");
        declined(&service.confirm(shown_by(9, 300)), Declined::NextCodeNeeded);
        let both = |first, next| Request::Confirm { code: shown_by(9, first), next: Some(shown_by(9, next)) };
        declined(&service.answer(both(300, 302), NOW), Declined::NotConfirmed { clock_off: None });
        shown_codes(&service.answer(both(300, 301), NOW));
        assert!(matches!(service.answer(Request::Activate {}, NOW), Reply::Changed(true)));
    });
    let record = test_site.stored().unwrap();
    assert_eq!(record.state.next(DeviceId(2)), Some(302));
    assert_eq!(record.credentials.devices[1].serial.as_ref().unwrap().as_str(), "GALT10007123");
}

#[test]
fn a_device_is_renamed_removed_and_made_the_default_for_a_proof() {
    let test_site = with_three();
    let changed = |request| {
        let reply = test_site.answer(request);
        let Reply::ChangedDevice(device) = reply else { panic!("{reply:?}") };
        device.0
    };
    let (device, name) = (|text: &str| text.to_owned(), "Green key".to_owned());
    assert_eq!(changed(Request::Rename { device: device("3"), name, proof: recovery(0) }), 3);
    assert_eq!(changed(Request::Default { device: device("green KEY"), proof: recovery(1) }), 3);
    assert_eq!(devices(&test_site).1, Some(3));
    assert_eq!(changed(Request::Remove { device: device("Green key"), proof: recovery(2) }), 3);
    assert_eq!(changed(Request::Remove { device: device("1"), proof: code() }), 1);
    assert_eq!(devices(&test_site), (vec![(2, "tablet".into())], Some(2)));
    let head = "user=alice by_uid=1000";
    assert_eq!(
        test_site.logged(),
        [
            format!("device-renamed {head} changed_device=3 proof=recovery-code recovery_left=9"),
            format!("default-changed {head} changed_device=3 proof=recovery-code recovery_left=8"),
            format!("device-removed {head} changed_device=3 proof=recovery-code recovery_left=7"),
            format!("device-removed {head} changed_device=1 proof=code device=1 recovery_left=7"),
        ]
    );
    declined(&test_site.answer(Request::Remove { device: device("2"), proof: recovery(5) }), Declined::OnlyDevice);
    // Its codes are refused, and those of the device that stayed are accepted.
    refused(&test(&test_site, code_at(STEP + 1)), Refusal::Wrong { failures: 1, clock_behind: None });
    accepted(&test(&test_site, shown_by(2, STEP)), Factor::Totp(DeviceId(2)), 7);
}

#[test]
fn a_change_that_is_refused_leaves_the_devices_and_counts_the_wrong_code() {
    let test_site = with_three();
    let before = devices(&test_site);
    for n in 1..=2 {
        let reply = test_site.answer(Request::Remove { device: "2".into(), proof: wrong() });
        refused(&reply, Refusal::Wrong { failures: n, clock_behind: None });
    }
    let reply = test_site.answer(Request::Rename { device: "9".into(), name: "x".into(), proof: wrong() });
    declined(&reply, Declined::NoSuchDevice);
    assert_eq!((devices(&test_site), test_site.failures()), (before, 2));
    let head = "refused user=alice by_uid=1000 change=device-removed why=wrong failures=";
    assert_eq!(test_site.logged(), [format!("{head}1"), format!("{head}2")]);
}

#[test]
fn a_user_without_devices_has_nothing_to_change() {
    let test_site = TestSite::new("");
    for request in [
        Request::Rename { device: "1".into(), name: "x".into(), proof: code() },
        Request::Remove { device: "1".into(), proof: code() },
        Request::Default { device: "1".into(), proof: code() },
    ] {
        refused(&test_site.answer(request), Refusal::NotEnrolled);
    }
    let resync = Request::Resync { device: None, first: code(), second: code() };
    declined(&test_site.answer(resync), Declined::WhichToken);
    assert!(test_site.stored().is_none());
}

#[test]
fn a_token_is_found_again_by_two_codes_of_its_own() {
    let test_site = with_three();
    let resync = |device: Option<&str>, first, second| {
        let (first, second) = (shown_by(3, first), shown_by(3, second));
        test_site.answer(Request::Resync { device: device.map(str::to_owned), first, second })
    };
    refused(&resync(None, 700, 702), Refusal::Wrong { failures: 1, clock_behind: None });
    assert!(matches!(resync(None, 700, 701), Reply::ChangedDevice(DeviceId(3))));
    assert_eq!(test_site.stored().unwrap().state.next(DeviceId(3)), Some(702));
    declined(&resync(Some("phone"), 700, 701), Declined::NotAToken);
    declined(&resync(Some("4"), 700, 701), Declined::NoSuchDevice);
    let head = "user=alice by_uid=1000";
    assert_eq!(
        test_site.logged(),
        [
            format!("refused {head} change=resynchronized why=wrong failures=1"),
            format!("resynchronized {head} changed_device=3 proof=code device=3 recovery_left=10 failures=1"),
        ]
    );
    (0..6).for_each(|_| drop(test(&test_site, wrong())));
    let Reply::Verdict(Verdict::Refused(Refusal::Locked(_))) = resync(None, 800, 801) else { panic!("not locked") };
}

const SUITE: &str = "OCRA-1:HOTP-SHA1-6:QN08";

/// What a token with a keypad and this seed answers.
fn answered(seed: u8, question: &str) -> Confidential {
    let secret = Secret::new(Zeroizing::new(vec![seed; 20])).unwrap();
    let input = Input { question, ..Input::default() };
    let code = Suite::parse(SUITE).unwrap().response(&secret, input).unwrap();
    // The digits of a code are not to be had: of a million, the one that is equal.
    let mut digits = (0..1_000_000).map(|n| format!("{n:06}"));
    let equal = |digits: &String| bool::from(Code::parse(digits.as_bytes()).unwrap().ct_eq(&code));
    text(&digits.find(equal).unwrap())
}

fn question_in(reply: &Reply) -> String {
    let Reply::Login(words) = reply else { panic!("{reply:?}") };
    let Some(Challenge::Question(question)) = Challenge::read(words) else { panic!("{words}") };
    question
}

#[test]
fn a_token_with_a_keypad_is_confirmed_by_a_response_and_logs_in_by_others() {
    let test_site = TestSite::with_alice();
    let keypad = Token { suite: Some(SUITE.into()), ..described("ocra", 9) };
    test_site.serve(|service| {
        let reply = service.answer(add(Some("keypad"), Some(code()), Some(keypad)), NOW);
        let Reply::TokenTaken { question: Some(question), .. } = &reply else { panic!("{reply:?}") };
        declined(&service.confirm(answered(8, question)), Declined::NotConfirmed { clock_off: None });
        shown_codes(&service.confirm(answered(9, question)));
    });
    let challenge = |named: Option<&str>| {
        let login = LoginContext::default();
        test_site.answer(Request::Challenge { login, named: named.map(text) })
    };
    let words = |reply| matches!(reply, Reply::Login(words) if words == "no-challenge");
    assert!(words(challenge(None)), "the default shows codes");
    for absent in ["phone", "nonsense", "", "123456"] {
        let reply = challenge(Some(absent));
        assert!(matches!(&reply, Reply::Login(words) if words == "no-such-device"), "{reply:?}");
    }
    let question = question_in(&challenge(Some("ocra")));
    assert_eq!(question_in(&challenge(Some("Keypad"))), question, "the open one again");
    accepted(&test(&test_site, answered(9, &question)), Factor::Ocra(DeviceId(2)), 10);
    refused(&test(&test_site, answered(9, &question)), REPLAYED);
    let next = question_in(&challenge(Some("ocra")));
    assert_ne!(next, question);
    let made = test_site.answer(Request::Default { device: "keypad".into(), proof: answered(9, &next) });
    assert!(matches!(made, Reply::ChangedDevice(DeviceId(2))), "{made:?}");
    question_in(&challenge(None));
    let resync = Request::Resync { device: Some("keypad".into()), first: code(), second: code() };
    declined(&test_site.answer(resync), Declined::NotAToken);
    for suite in [None, Some("OCRA-1:HOTP-SHA1-6:QN08-PSHA1".into()), Some("OCRA-1".into())] {
        let token = Token { suite, ..described("ocra", 9) };
        declined(&test_site.answer(add(None, Some(recovery(0)), Some(token))), Declined::TokenUnfit);
    }
}

#[test]
fn an_enrollment_that_is_carried_from_step_to_step_is_the_same() {
    let test_site = TestSite::with_alice();
    test_site.serve(|service| {
        service.answer(add(Some("blue key"), Some(code()), Some(described("hotp", 9))), NOW);
        service.carry();
        declined(
            &service.answer(Request::Confirm { code: shown_by(9, 300), next: None }, NOW),
            Declined::NextCodeNeeded,
        );
        service.carry();
        let both = Request::Confirm { code: shown_by(9, 300), next: Some(shown_by(9, 301)) };
        shown_codes(&service.answer(both, NOW));
        service.carry();
        let before = service.0.under_way().carried("web1", NOW).unwrap();
        assert!(matches!(service.answer(Request::Activate {}, NOW), Reply::Changed(true)));
        // The answer was lost: what was done is done.
        *service.0.under_way() = UnderWay::resumed(before, alice(), entropy).unwrap();
        assert!(matches!(service.answer(Request::Activate {}, NOW), Reply::Changed(true)));
        assert!(service.0.under_way().carried("web1", NOW).is_none());
    });
    let record = test_site.stored().unwrap();
    assert_eq!((record.credentials.devices.len(), record.state.next(DeviceId(2))), (2, Some(302)));
    assert_eq!(record.credentials.devices[1].serial.as_ref().unwrap().as_str(), "GALT10007123");
    let keypad = Token { suite: Some(SUITE.into()), ..described("ocra", 7) };
    test_site.serve(|service| {
        let reply = service.answer(add(Some("keypad"), Some(recovery(0)), Some(keypad)), NOW);
        let Reply::TokenTaken { question: Some(question), .. } = &reply else { panic!("{reply:?}") };
        service.carry();
        shown_codes(&service.answer(Request::Confirm { code: answered(7, question), next: None }, NOW));
        service.carry();
        test_site.meanwhile(|record| Change::Record(Box::new(record.unwrap().renewed(EnrollmentId([77; 16])))));
        declined(&service.answer(Request::Activate {}, NOW), Declined::ChangedMeanwhile);
    });
    // One that replaces the others has recovery codes of its own, which are in force when it is.
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: Some(recovery(1)), count: Some(2) }, NOW);
        service.carry();
        let confirmed = service.answer(Request::Confirm { code: code_of(&offer), next: None }, NOW);
        let Reply::RecoveryCodes(codes) = &confirmed else { panic!("{confirmed:?}") };
        service.carry();
        assert!(matches!(service.answer(Request::Activate {}, NOW), Reply::Changed(true)));
        assert_eq!(codes.len(), 2);
        accepted(&test(&test_site, codes[0].clone()), Factor::Recovery, 1);
    });
}

#[test]
fn what_was_carried_for_a_user_without_a_device_is_of_that_record_alone() {
    let test_site = TestSite::new("");
    let begun = || {
        let log = |_: &Event<'_>| {};
        let mut service = Served::of(&test_site.site, alice(), entropy, &log);
        let offer = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        shown_codes_of(&service.answer(Request::Confirm { code: code_of(&offer), next: None }, NOW));
        service.0.under_way().carried("web1", NOW).unwrap()
    };
    let activated = |carried| {
        test_site.serve(|service| {
            *service.0.under_way() = UnderWay::resumed(carried, alice(), entropy).unwrap();
            service.answer(Request::Activate {}, NOW)
        })
    };
    let carried = begun();
    // A record without a device, such as one with an override.
    let stranger = Record::begin(&alice(), EnrollmentId([5; 16]), Override::Required, Vec::new(), None);
    test_site.put(&stranger);
    declined(&activated(carried), Declined::ChangedMeanwhile);
    assert!(matches!(activated(begun()), Reply::Changed(true)));
}

fn shown_codes_of(reply: &Reply) {
    assert!(matches!(reply, Reply::RecoveryCodes(codes) if codes.len() == 10), "{reply:?}");
}
