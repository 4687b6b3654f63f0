//! The first device where the policy wants a passcode before it, and how many recovery codes are made.

use super::*;
use crate::codes::passcode::Issued;
use crate::protocol::request::{Order, PasscodeOrder};
use crate::testing::fixtures::{issued_until, passcode};

const WANTS_PASSCODE: &str = "[policy]\nsecond_factor = \"enroll\"\npasscode = true";

/// Alice without a device, and with this passcode.
fn bare(config: &str, passcode: Option<Issued>) -> TestSite {
    let test_site = TestSite::new(config);
    if let Some(passcode) = passcode {
        test_site.meanwhile(|record| {
            let stranger = Record::stranger(&alice());
            record.unwrap_or(&stranger).with_passcode(Some(passcode.clone()), EnrollmentId([9; 16]))
        });
    }
    test_site
}

fn good() -> Option<Issued> {
    Some(issued_until(NOW.after(Seconds(60))))
}

fn enroll(proof: Option<&str>) -> Request {
    Request::Enroll { proof: proof.map(text), count: None }
}

fn shown() -> String {
    passcode().reveal().to_string()
}

#[test]
fn a_stolen_password_alone_enrolls_no_device_where_a_passcode_is_wanted() {
    for config in [
        WANTS_PASSCODE,
        "[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"enroll\"\npasscode = true\nrequired_from = 2099-01-01",
    ] {
        let test_site = bare(config, good());
        declined(&test_site.answer(enroll(None)), Declined::PasscodeNeeded);
        declined(
            &test_site.answer(Request::Add { name: None, proof: None, token: None, to: None, count: None }),
            Declined::PasscodeNeeded,
        );
        for wrong in ["K7QD-M3XA-92TF", "123456", "ABCD-EFGH-IJKL-MNOP", ""] {
            refused(&test_site.answer(enroll(Some(wrong))), Refusal::PasscodeUnknown);
        }
        assert!(!test_site.stored().unwrap().is_enrolled());
        test_site.logged();
        test_site.serve(|service| {
            let offer = service.answer(enroll(Some(&shown())), NOW);
            assert_eq!(shown_codes(&service.confirm(code_of(&offer))).len(), 10);
        });
        let stored = test_site.stored().unwrap();
        assert!(stored.is_enrolled() && stored.credentials.passcode.is_none() && !stored.state.passcode_used);
        let expected = [
            "proved user=alice by_uid=1000 change=enrollment proof=passcode",
            "enrolled user=alice by_uid=1000 proof=passcode",
        ];
        assert_eq!(test_site.logged(), expected);
    }
}

#[test]
fn a_passcode_enrolls_one_device_before_its_end_and_for_every_service() {
    let test_site = bare(WANTS_PASSCODE, good());
    assert!(matches!(test_site.answer(enroll(Some(&shown()))), Reply::Offer(_)));
    refused(&test_site.answer(enroll(Some(&shown()))), Refusal::PasscodeUsed);
    let test_site = bare(WANTS_PASSCODE, Some(issued_until(NOW)));
    refused(&test_site.answer(enroll(Some(&shown()))), Refusal::PasscodeExpired);
    let of_sshd = good().map(|good| Issued { service: Some("sshd".into()), ..good });
    let test_site = bare(WANTS_PASSCODE, of_sshd);
    refused(&test_site.answer(enroll(Some(&shown()))), Refusal::PasscodeElsewhere);
    let test_site = bare(WANTS_PASSCODE, None);
    refused(&test_site.answer(enroll(Some(&shown()))), Refusal::PasscodeUnknown);
}

#[test]
fn no_passcode_is_asked_for_where_none_is_wanted_and_none_of_root() {
    let test_site = bare("[policy]\nsecond_factor = \"enroll\"", good());
    assert!(matches!(test_site.answer(enroll(None)), Reply::Offer(_)));
    let of_others = "[[policy.rule]]\nuser = \"bob\"\nsecond_factor = \"enroll\"\npasscode = true";
    assert!(matches!(bare(of_others, None).answer(enroll(None)), Reply::Offer(_)));
    let test_site = bare(WANTS_PASSCODE, None);
    let caller = Caller::here(0, true, &|_| {});
    let mut root = LocalAuthority::for_account(&test_site.site, alice(), caller).with_entropy(entropy);
    assert!(matches!(root.request_at(enroll(None), NOW), Ok(Reply::Offer(_))));
    // A login has asked for it already.
    assert!(matches!(root.enroll_during_login(enroll(None)), Ok(Reply::Offer(_))));
    assert!(matches!(root.enroll_during_login(enroll(Some(&shown()))), Ok(Reply::Declined(Declined::NotPermitted))));
}

#[test]
fn a_passcode_proves_no_change_of_devices_that_there_are() {
    let test_site = TestSite::with_alice();
    test_site.meanwhile(|record| record.unwrap().with_passcode(good(), EnrollmentId([9; 16])));
    let proof = || text(&shown());
    for request in [
        enroll(Some(&shown())),
        Request::Add { name: None, proof: Some(proof()), token: None, to: None, count: None },
        Request::Rename { device: "1".into(), name: "tablet".into(), proof: proof() },
        Request::Default { device: "1".into(), proof: proof() },
        Request::Recovery { proof: Some(proof()), count: None },
        Request::Disable { proof: proof() },
        Request::Test { proof: proof() },
    ] {
        refused(&test_site.answer(request), Refusal::PasscodeElsewhere);
    }
    let stored = test_site.stored().unwrap();
    assert!(!stored.state.passcode_used && stored.state.failures == 0);
}

#[test]
fn as_many_recovery_codes_are_made_as_are_wanted_up_to_the_number_of_the_configuration() {
    let test_site = TestSite::new("[recovery]\ncodes = 5");
    for unfit in [0, 6, 255] {
        let enroll = Request::Enroll { proof: None, count: Some(unfit) };
        declined(&test_site.answer(enroll), Declined::CountUnfit { most: 5 });
    }
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None, count: Some(3) }, NOW);
        assert_eq!(shown_codes(&service.confirm(code_of(&offer))).len(), 3);
    });
    let test_site = TestSite::with_alice();
    let renew = |count, n| test_site.answer(Request::Recovery { proof: Some(recovery(n)), count });
    declined(&renew(Some(11), 0), Declined::CountUnfit { most: 10 });
    assert_eq!(shown_codes(&renew(Some(1), 0)).len(), 1, "the proof was not used up before");
    assert_eq!(test_site.stored().unwrap().credentials.recovery.unwrap().issued(), 1);
}

#[test]
fn an_administrator_issues_a_passcode_in_place_of_any_other_and_revokes_it() {
    let test_site = TestSite::new("");
    let log = |event: &Event<'_>| test_site.log.borrow_mut().push(event.to_string());
    let caller = Caller::here(0, true, &log);
    let mut root = LocalAuthority::for_account(&test_site.site, alice(), caller).with_entropy(entropy);
    let mut issue = |valid, service: Option<&str>| {
        let order = PasscodeOrder { valid: Seconds(valid), service: service.map(str::to_owned) };
        let Reply::Passcode(issued) = root.request_at(Request::IssuePasscode(order), NOW).unwrap() else {
            panic!("none was issued")
        };
        let stored = test_site.stored().unwrap();
        let hash = stored.credentials.passcode.clone().unwrap();
        let passcode = crate::codes::passcode::Passcode::parse(issued.passcode.expose().as_bytes()).unwrap();
        assert!(hash.is(&passcode) && !stored.state.passcode_used && hash.until.to_string() == issued.until);
        assert_eq!(
            (issued.user.as_str(), issued.service.as_deref(), hash.service.as_deref()),
            ("alice", service, service)
        );
        issued.passcode.expose().to_owned()
    };
    let first = issue(3600, None);
    assert_ne!(first, issue(60, Some("sshd")));
    let Reply::Status(status) = test_site.answer(Request::Status {}) else { panic!("no status") };
    assert!(!status.enrolled && status.passcode.is_some_and(|passcode| !passcode.used && passcode.service.is_some()));
    let mut revoke = || root.request_at(Request::Administer(Order::RevokePasscode), NOW).unwrap();
    assert!(matches!(revoke(), Reply::Changed(true)));
    assert!(test_site.stored().is_none(), "nothing else was in the record");
    assert!(matches!(revoke(), Reply::Changed(false)));
    let issued = "passcode-issued user=alice by_uid=0 proof=admin";
    assert_eq!(test_site.logged(), [issued, issued, "passcode-revoked user=alice by_uid=0 proof=admin"]);
    // A user issues none.
    let order = PasscodeOrder { valid: Seconds(60), service: None };
    declined(&test_site.answer(Request::IssuePasscode(order)), Declined::NotPermitted);
}
