//! Tests on a real state directory: they need root.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::codes::hotp_totp::Digits;
use crate::decision::policy::{Ruling, SecondFactor, Source};
use crate::decision::verify::{Accepted, Factor};
use crate::record::credentials_toml::carried::Carried;
use crate::record::id::DeviceId;
use crate::service::local_authority::LocalAuthority;
use crate::store::files::on_demand::Files;
use crate::store::{Store, Swap};
use crate::system::config_file::Site;
use crate::testing::fixtures::{NOTE, NOW, STEP, alice, digits_of, named, phone, record, recovery_code, site};
use crate::value::login_context::LoginContext;
use crate::value::secret::Secret;
use crate::value::time::Seconds;

/// Other bytes at every call.
fn entropy(bytes: &mut [u8]) -> Result<(), CoreError> {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bytes.iter_mut().zip(drawn.to_be_bytes().into_iter().cycle()).for_each(|(byte, drawn)| *byte = drawn);
    Ok(())
}

fn no_entropy(_: &mut [u8]) -> Result<(), CoreError> {
    Err(CoreError::Entropy)
}

struct TestSite {
    site: Site,
    log: RefCell<Vec<String>>,
    _directory: TempDir,
}

impl TestSite {
    fn new(config: &str) -> Self {
        let (site, directory) = site(config);
        Self { site, log: RefCell::default(), _directory: directory }
    }

    /// Alice has a phone and ten recovery codes.
    fn with_alice() -> Self {
        let test_site = Self::new("");
        test_site.put(&record(vec![phone(1)]));
        test_site
    }

    fn put(&self, record: &Record) {
        assert_eq!(self.site.store().unwrap().replace(&alice(), None, record, &NOTE).unwrap(), Swap::Done);
    }

    /// Changes the stored record, as another process may.
    fn meanwhile(&self, change_it: impl Fn(Option<&Record>) -> Change) {
        change(&self.site.store().unwrap(), &alice(), &NOTE, |record| (change_it(record), ())).unwrap();
    }

    fn stored(&self) -> Option<Record> {
        self.site.store().unwrap().read(&alice()).unwrap()
    }

    fn failures(&self) -> u32 {
        self.stored().unwrap().state.failures
    }

    fn logged(&self) -> Vec<String> {
        self.log.take()
    }

    /// Answers one request for alice at `NOW`, in a new conversation.
    fn answer(&self, request: Request) -> Reply {
        self.serve(|service| service.answer(request, NOW))
    }

    fn serve<T>(&self, requests: impl FnOnce(&mut Served<'_>) -> T) -> T {
        self.serve_with(entropy, requests)
    }

    fn serve_with<T>(&self, entropy: Entropy, requests: impl FnOnce(&mut Served<'_>) -> T) -> T {
        let log = |event: &Event<'_>| self.log.borrow_mut().push(event.to_string());
        requests(&mut Served::of(&self.site, alice(), entropy, &log))
    }
}

/// The authority of the helper. Its errors become replies.
struct Served<'a>(LocalAuthority<'a, Files<'a>>);

impl<'a> Served<'a> {
    fn of(site: &'a Site, account: Account, entropy: Entropy, log: &'a dyn Fn(&Event<'_>)) -> Self {
        let caller = Caller::here(account.uid, false, log);
        Self(LocalAuthority::for_account(site, account, caller).with_entropy(entropy))
    }

    fn answer(&mut self, request: Request, now: UnixTime) -> Reply {
        self.0
            .request_at(request, now)
            .unwrap_or_else(|error| Reply::Failed { error: error.to_string(), hint: error.hint().into() })
    }

    /// Gives what is under way to the asker and takes it up again, as for another process.
    fn carry(&mut self) {
        let text = self.0.under_way().carried("web1", NOW).unwrap().encode();
        let carried = Carried::decode(text.as_bytes()).unwrap();
        *self.0.under_way() = UnderWay::resumed(carried, alice(), entropy).unwrap();
        assert_eq!(*self.0.under_way().carried("web1", NOW).unwrap().encode(), *text);
    }

    /// Confirms and activates. The reply holds the recovery codes, or why there are none.
    fn confirm(&mut self, code: Confidential) -> Reply {
        let codes = self.answer(Request::Confirm { code, next: None }, NOW);
        if !matches!(codes, Reply::RecoveryCodes(_)) {
            return codes;
        }
        let activated = self.answer(Request::Activate {}, NOW);
        if matches!(activated, Reply::Changed(true)) { codes } else { activated }
    }
}

fn text(text: &str) -> Confidential {
    Confidential::new(text)
}

/// The code that alice's phone shows.
fn code() -> Confidential {
    code_at(STEP)
}

fn code_at(step: u64) -> Confidential {
    text(&digits_of(&[1; 20], step))
}

fn wrong() -> Confidential {
    text(&digits_of(&[99; 20], STEP))
}

fn recovery(n: u8) -> Confidential {
    text(&recovery_code(n).reveal())
}

/// The code of the device that was just offered.
fn code_of(offer: &Reply) -> Confidential {
    let Reply::Offer(offer) = offer else { panic!("no offer: {offer:?}") };
    text(&digits_of(Secret::from_base32(offer.secret.expose()).unwrap().expose(), STEP))
}

fn shown_codes(reply: &Reply) -> Vec<Confidential> {
    let Reply::RecoveryCodes(codes) = reply else { panic!("no codes: {reply:?}") };
    codes.clone()
}

#[track_caller]
fn refused(reply: &Reply, expected: Refusal) {
    let Reply::Verdict(Verdict::Refused(why)) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(*why, expected);
}

#[track_caller]
fn accepted(reply: &Reply, factor: Factor, left: u8) {
    let Reply::Verdict(Verdict::Accepted(accepted)) = reply else { panic!("not accepted: {reply:?}") };
    assert_eq!((accepted.factor, accepted.recovery_left), (factor, Some(left)));
}

#[track_caller]
fn declined(reply: &Reply, expected: Declined) {
    let Reply::Declined(why) = reply else { panic!("not declined: {reply:?}") };
    assert_eq!(*why, expected);
}

const TOTP: Factor = Factor::Totp(DeviceId(1));
const REPLAYED: Refusal = Refusal::Replayed { clock_behind: None };

fn test(test_site: &TestSite, proof: Confidential) -> Reply {
    test_site.answer(Request::Test { proof })
}

#[test]
fn status_reports_everything_except_secrets() {
    let test_site = TestSite::new("");
    let Reply::Status(status) = test_site.answer(Request::Status {}) else { panic!("no status") };
    assert!(!status.enrolled && status.devices.is_empty() && status.last_accepted.is_none());
    assert_eq!((status.user_override.as_str(), status.lock.as_str(), status.recovery_codes_left), ("none", "open", 0));

    let test_site = TestSite::with_alice();
    accepted(&test(&test_site, recovery(0)), Factor::Recovery, 9);
    (0..6).for_each(|_| drop(test(&test_site, wrong())));
    let Reply::Status(status) = test_site.answer(Request::Status {}) else { panic!("no status") };
    let device = DeviceStatus {
        awaits_resync: false,
        id: 1,
        name: "phone".into(),
        r#type: "totp".into(),
        algorithm: "SHA1".into(),
        digits: 6,
        period: Some(30),
        created: "2025-11-20T18:33:40Z".into(),
        default: true,
        last_used: None,
        confirmed: true,
        serial: None,
        drift: None,
        suite: None,
        to: None,
    };
    let expected = Status {
        user: "alice".into(),
        enrolled: true,
        user_override: "none".into(),
        override_until: None,
        devices: vec![device],
        recovery_codes_left: 9,
        passcode: None,
        failures: 6,
        lock: "2025-11-21T18:48:40Z".into(),
        last_accepted: Some("2025-11-21T18:33:40Z".into()),
        accepted_kinds: Kinds::ALL,
        not_accepted: Vec::new(),
        in_future: Vec::new(),
        unenforced: None,
    };
    assert_eq!(status, expected);
}

#[test]
fn a_first_enrollment_is_in_force_after_a_right_code_and_not_before() {
    let test_site = TestSite::new("");
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        assert!(test_site.stored().is_none());
        let codes = shown_codes(&service.confirm(code_of(&offer)));
        assert_eq!(codes.len(), 10);
        assert!(test_site.stored().unwrap().is_enrolled());
        refused(&service.answer(Request::Test { proof: code_of(&offer) }, NOW), REPLAYED);
        for (left, code) in (0..10).rev().zip(codes) {
            accepted(&service.answer(Request::Test { proof: code }, NOW), Factor::Recovery, left);
        }
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
    assert_eq!(
        test_site.logged()[..2],
        ["enrolled user=alice by_uid=1000 proof=none", "refused user=alice by_uid=1000 change=tested why=replayed"]
    );
}

#[test]
fn every_form_of_an_offer_holds_one_seed() {
    let test_site = TestSite::new("[code]\ndigits = 8\nperiod = 60\nalgorithm = \"SHA256\"");
    let Reply::Offer(offer) = test_site.answer(Request::Enroll { proof: None, count: None }) else {
        panic!("no offer")
    };
    let secret = Secret::from_base32(offer.secret.expose()).unwrap();
    assert_eq!(*secret.hex(), offer.hex.expose());
    assert_eq!(secret.expose().len(), 32);
    let uri =
        format!("otpauth://totp/Example:alice?secret={}&algorithm=SHA256&digits=8&period=60", offer.secret.expose());
    assert_eq!(offer.uri.expose(), uri);
    assert_eq!((offer.user.as_str(), offer.issuer.as_str(), offer.algorithm.as_str()), ("alice", "Example", "SHA256"));
    assert_eq!((offer.digits, offer.period), (8, 60));
}

#[test]
fn after_a_wrong_code_the_offer_is_still_valid() {
    let test_site = TestSite::new("");
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        for code in [wrong(), text("hunter2"), text(""), recovery(0)] {
            let reply = service.answer(Request::Confirm { code, next: None }, NOW);
            declined(&reply, Declined::NotConfirmed { clock_off: None });
        }
        let later = UnixTime(NOW.0 + 600);
        let reply = service.answer(Request::Confirm { code: code_of(&offer), next: None }, later);
        declined(&reply, Declined::NotConfirmed { clock_off: Some(-600) });
        assert!(test_site.stored().is_none());
        shown_codes(&service.confirm(code_of(&offer)));
    });
    assert_eq!(test_site.logged(), ["enrolled user=alice by_uid=1000 proof=none"]);
}

#[test]
fn without_an_offer_there_is_nothing_to_confirm() {
    let test_site = TestSite::with_alice();
    declined(&test_site.serve(|service| service.confirm(code())), Declined::NothingOffered);
    accepted(&test(&test_site, code()), TOTP, 10);
}

#[test]
fn a_new_offer_replaces_the_one_before() {
    let test_site = TestSite::new("");
    test_site.serve(|service| {
        let old = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        let new = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        let reply = service.confirm(code_of(&old));
        declined(&reply, Declined::NotConfirmed { clock_off: None });
        shown_codes(&service.confirm(code_of(&new)));
    });
}

#[test]
fn a_user_with_a_device_needs_a_proof_to_enroll_again() {
    let test_site = TestSite::with_alice();
    test_site.serve(|service| {
        declined(&service.answer(Request::Enroll { proof: None, count: None }, NOW), Declined::ProofNeeded);
        refused(
            &service.answer(Request::Enroll { proof: Some(wrong()), count: None }, NOW),
            Refusal::Wrong { failures: 1, clock_behind: None },
        );
        refused(&service.answer(Request::Enroll { proof: Some(text("x")), count: None }, NOW), Refusal::Malformed);
        declined(&service.confirm(wrong()), Declined::NothingOffered);
    });
    assert_eq!(test_site.failures(), 1);
    assert_eq!(
        test_site.logged(),
        [
            "refused user=alice by_uid=1000 change=re-enrollment why=wrong failures=1",
            "refused user=alice by_uid=1000 change=re-enrollment why=malformed"
        ]
    );
}

#[test]
fn a_refused_proof_cancels_an_earlier_offer() {
    let test_site = TestSite::with_alice();
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: Some(code()), count: None }, NOW);
        refused(
            &service.answer(Request::Enroll { proof: Some(wrong()), count: None }, NOW),
            Refusal::Wrong { failures: 1, clock_behind: None },
        );
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
}

#[test]
fn wrong_proofs_of_every_kind_count_together_and_lock() {
    let test_site = TestSite::with_alice();
    let requests: [fn(Confidential) -> Request; 4] = [
        |proof| Request::Enroll { proof: Some(proof), count: None },
        |proof| Request::Recovery { proof: Some(proof), count: None },
        |proof| Request::Disable { proof },
        |proof| Request::Test { proof },
    ];
    for (failures, request) in (1..=6).zip(requests.iter().cycle()) {
        refused(&test_site.answer(request(wrong())), Refusal::Wrong { failures, clock_behind: None });
    }
    for request in requests {
        refused(&test_site.answer(request(code())), Refusal::Locked(Lock::Until(UnixTime(NOW.0 + 900))));
    }
    assert_eq!(
        test_site.logged()[1],
        "refused user=alice by_uid=1000 change=recovery-codes-renewed why=wrong failures=2"
    );
    assert!(test_site.stored().unwrap().is_enrolled());
}

#[test]
fn the_old_seed_stays_in_force_until_the_new_one_is_confirmed() {
    for proof in [code(), recovery(0)] {
        let test_site = TestSite::with_alice();
        test_site.serve(|service| {
            let offer = service.answer(Request::Enroll { proof: Some(proof), count: None }, NOW);
            declined(&service.confirm(wrong()), Declined::NotConfirmed { clock_off: None });
            let reply = service.answer(Request::Test { proof: code_at(STEP + 1) }, NOW);
            assert!(matches!(reply, Reply::Verdict(Verdict::Accepted(_))), "a login meanwhile changes nothing");
            refused(
                &service.answer(Request::Test { proof: code_of(&offer) }, NOW),
                Refusal::Wrong { failures: 1, clock_behind: None },
            );

            let codes = shown_codes(&service.confirm(code_of(&offer)));
            refused(
                &service.answer(Request::Test { proof: code_at(STEP + 1) }, NOW),
                Refusal::Wrong { failures: 1, clock_behind: None },
            );
            refused(&service.answer(Request::Test { proof: recovery(5) }, NOW), Refusal::RecoveryUnknown);
            accepted(&service.answer(Request::Test { proof: codes[3].clone() }, NOW), Factor::Recovery, 9);
        });
    }
}

#[test]
fn an_override_outlives_every_enrollment() {
    let test_site = TestSite::new("");
    let mut required = record(vec![]);
    required.credentials.user_override = Override::Required;
    required.credentials.recovery = None;
    test_site.put(&required);
    test_site.serve(|service| {
        let mut proof = None;
        for _ in 0..2 {
            let offer = service.answer(Request::Enroll { proof, count: None }, NOW);
            let codes = shown_codes(&service.confirm(code_of(&offer)));
            assert_eq!(test_site.stored().unwrap().credentials.user_override, Override::Required);
            proof = codes.first().cloned();
        }
    });
}

#[test]
fn an_offer_is_void_if_another_process_changed_the_credentials() {
    let enrolled_meanwhile = |_: Option<&Record>| Change::Record(Box::new(record(vec![phone(7)])));
    let test_site = TestSite::new("");
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        test_site.meanwhile(enrolled_meanwhile);
        declined(&service.confirm(code_of(&offer)), Declined::ChangedMeanwhile);
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
    assert_eq!(test_site.stored().unwrap().credentials.devices[0].id, DeviceId(7));

    let renewed =
        |record: Option<&Record>| Change::Record(Box::new(crate::testing::fixtures::re_enrolled(record.unwrap(), 9)));
    let removed = |_: Option<&Record>| Change::Nothing;
    type Step = fn(Option<&Record>) -> Change;
    for changed in [renewed as Step, removed] {
        let test_site = TestSite::with_alice();
        test_site.serve(|service| {
            let offer = service.answer(Request::Enroll { proof: Some(code()), count: None }, NOW);
            test_site.meanwhile(changed);
            declined(&service.confirm(code_of(&offer)), Declined::ChangedMeanwhile);
        });
        let lines = test_site.logged();
        assert!(lines.len() == 1 && lines[0].starts_with("proved "), "{lines:?}");
    }
}

#[test]
fn new_recovery_codes_replace_the_old_ones_used_or_not() {
    let test_site = TestSite::with_alice();
    accepted(&test(&test_site, recovery(0)), Factor::Recovery, 9);
    let codes = shown_codes(&test_site.answer(Request::Recovery { proof: Some(code()), count: None }));
    assert_eq!(codes.len(), 10);
    for n in 0..10 {
        refused(&test(&test_site, recovery(n)), Refusal::RecoveryUnknown);
    }
    accepted(&test(&test_site, codes[0].clone()), Factor::Recovery, 9);
    refused(&test(&test_site, codes[0].clone()), Refusal::RecoveryUsed);
    refused(&test(&test_site, code()), REPLAYED);
    accepted(&test(&test_site, code_at(STEP + 1)), TOTP, 9);
    assert_eq!(
        test_site.logged()[1],
        "recovery-codes-renewed user=alice by_uid=1000 proof=code device=1 recovery_left=9"
    );
}

#[test]
fn recovery_codes_can_be_renewed_with_the_last_of_the_old_ones() {
    let test_site = TestSite::with_alice();
    (0..9).for_each(|n| drop(test(&test_site, recovery(n))));
    let codes = shown_codes(&test_site.answer(Request::Recovery { proof: Some(recovery(9)), count: None }));
    accepted(&test(&test_site, codes[9].clone()), Factor::Recovery, 9);
}

#[test]
fn a_refused_renewal_keeps_the_old_codes() {
    let test_site = TestSite::with_alice();
    refused(
        &test_site.answer(Request::Recovery { proof: Some(wrong()), count: None }),
        Refusal::Wrong { failures: 1, clock_behind: None },
    );
    refused(&test_site.answer(Request::Recovery { proof: Some(recovery(10)), count: None }), Refusal::RecoveryUnknown);
    assert_eq!(test_site.failures(), 1);
    accepted(&test(&test_site, recovery(0)), Factor::Recovery, 9);
    assert_eq!(
        test_site.logged()[..2],
        [
            "refused user=alice by_uid=1000 change=recovery-codes-renewed why=wrong failures=1",
            "refused user=alice by_uid=1000 change=recovery-codes-renewed why=recovery-unknown"
        ]
    );
}

#[test]
fn a_site_without_recovery_codes_issues_none() {
    let test_site = TestSite::new("[recovery]\ncodes = 0");
    test_site.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None, count: None }, NOW);
        assert!(shown_codes(&service.confirm(code_of(&offer))).is_empty());
    });
    assert_eq!(test_site.stored().unwrap().credentials.recovery, None);
}

#[test]
fn disabling_removes_the_record() {
    for (proof, logged) in
        [(code(), "proof=code device=1 recovery_left=10"), (recovery(0), "proof=recovery-code recovery_left=9")]
    {
        let test_site = TestSite::with_alice();
        assert!(matches!(test_site.answer(Request::Disable { proof }), Reply::Changed(true)));
        assert!(test_site.stored().is_none());
        refused(&test(&test_site, code_at(STEP + 1)), Refusal::NotEnrolled);
        assert_eq!(test_site.logged()[0], format!("disabled user=alice by_uid=1000 {logged}"));
    }
}

#[test]
fn a_refused_proof_disables_nothing() {
    let test_site = TestSite::with_alice();
    refused(&test_site.answer(Request::Disable { proof: wrong() }), Refusal::Wrong { failures: 1, clock_behind: None });
    assert!(test_site.stored().unwrap().is_enrolled());
    assert_eq!(test_site.failures(), 1);
    assert_eq!(test_site.logged(), ["refused user=alice by_uid=1000 change=disabled why=wrong failures=1"]);
}

#[test]
fn a_user_who_is_required_to_have_a_device_cannot_disable_it_and_no_code_is_used_up() {
    for user_override in [Override::RequiredUntil(NOW.after(Seconds(1))), Override::Required] {
        let test_site = TestSite::new("");
        let mut required = record(vec![phone(1)]);
        required.credentials.user_override = user_override;
        test_site.put(&required);
        declined(&test_site.answer(Request::Disable { proof: code() }), Declined::Required);
        accepted(&test(&test_site, code()), TOTP, 10);
    }
}

#[test]
fn a_requirement_that_has_ended_keeps_no_user_from_disabling() {
    let test_site = TestSite::new("");
    let mut required = record(vec![phone(1)]);
    required.credentials.user_override = Override::RequiredUntil(NOW);
    test_site.put(&required);
    assert!(matches!(test_site.answer(Request::Disable { proof: code() }), Reply::Changed(true)));
}

#[test]
fn an_exemption_stays_when_the_devices_are_removed() {
    let test_site = TestSite::new("");
    let mut exempt = record(vec![phone(1)]);
    exempt.credentials.user_override = Override::Exempt;
    test_site.put(&exempt);
    assert!(matches!(test_site.answer(Request::Disable { proof: code() }), Reply::Changed(true)));
    let left = test_site.stored().unwrap();
    assert!(!left.is_enrolled() && left.credentials.user_override == Override::Exempt);
}

#[test]
fn a_test_uses_up_the_code() {
    let test_site = TestSite::with_alice();
    accepted(&test(&test_site, code()), TOTP, 10);
    refused(&test(&test_site, code()), REPLAYED);
    refused(&test(&test_site, wrong()), Refusal::Wrong { failures: 1, clock_behind: None });
    assert_eq!(
        test_site.logged(),
        [
            "tested user=alice by_uid=1000 proof=code device=1 recovery_left=10",
            "refused user=alice by_uid=1000 change=tested why=replayed",
            "refused user=alice by_uid=1000 change=tested why=wrong failures=1"
        ]
    );
}

#[test]
fn a_replaced_device_is_logged_as_replaced_with_what_proved_it() {
    for (proof, logged) in
        [(code(), "proof=code device=1 recovery_left=10"), (recovery(0), "proof=recovery-code recovery_left=9")]
    {
        let test_site = TestSite::with_alice();
        test_site.serve(|service| {
            let offer = service.answer(Request::Enroll { proof: Some(proof), count: None }, NOW);
            shown_codes(&service.confirm(code_of(&offer)));
        });
        let lines = ["proved user=alice by_uid=1000 change=re-enrollment", "replaced user=alice by_uid=1000"];
        assert_eq!(test_site.logged(), lines.map(|line| format!("{line} {logged}")));
    }
}

#[test]
fn a_change_that_is_broken_off_after_its_proof_leaves_a_line() {
    let test_site = TestSite::with_alice();
    test_site.serve(|service| drop(service.answer(Request::Enroll { proof: Some(recovery(0)), count: None }, NOW)));
    let line = "proved user=alice by_uid=1000 change=re-enrollment proof=recovery-code recovery_left=9";
    assert_eq!(test_site.logged(), [line]);
}

#[test]
fn a_first_enrollment_by_root_is_logged_as_an_administrators() {
    let test_site = TestSite::new("");
    let log = |event: &Event<'_>| test_site.log.borrow_mut().push(event.to_string());
    let caller = Caller::here(0, true, &log);
    let mut served = Served(LocalAuthority::for_account(&test_site.site, alice(), caller).with_entropy(entropy));
    let offer = served.answer(Request::Enroll { proof: None, count: None }, NOW);
    shown_codes(&served.confirm(code_of(&offer)));
    assert_eq!(test_site.logged(), ["enrolled user=alice by_uid=0 proof=admin"]);
}

#[test]
fn every_verdict_for_a_login_through_the_helper_leaves_a_line() {
    let test_site = TestSite::with_alice();
    let login = || LoginContext { service: "i3lock".into(), rhost: Some("192.0.2.1".into()), ..Default::default() };
    let mut lines = Vec::new();
    for typed in [wrong(), recovery(0), recovery(0), code()] {
        test_site.answer(Request::Verify { id: None, login: login(), typed });
        lines.extend(test_site.logged());
    }
    let head = |word| format!("{word} user=alice by_uid=1000 service=i3lock ");
    assert_eq!(
        lines,
        [
            head("refused") + "why=wrong failures=1",
            head("accepted") + "factor=recovery recovery_left=9 failures=1",
            head("refused") + "why=recovery-used",
            head("accepted") + "factor=totp device=1 recovery_left=9",
        ]
    );
}

#[test]
fn a_user_without_a_device_can_change_nothing() {
    let test_site = TestSite::new("");
    for request in [
        Request::Recovery { proof: Some(code()), count: None },
        Request::Disable { proof: code() },
        Request::Test { proof: code() },
    ] {
        refused(&test_site.answer(request), Refusal::NotEnrolled);
    }
    let Reply::Login(words) =
        test_site.answer(Request::Verify { id: None, login: LoginContext::default(), typed: code() })
    else {
        panic!("no answer")
    };
    assert_eq!(words, "refused not-enrolled");
    assert!(test_site.stored().is_none());
}

#[test]
fn a_login_gets_its_demand_and_its_verdict() {
    let test_site = TestSite::new(
        "[policy]\nsecond_factor = \"skip\"\n[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"optional\"",
    );
    let demand = |service: &str| {
        let login = LoginContext { service: service.into(), ..LoginContext::default() };
        let Reply::Login(words) = test_site.answer(Request::Demand(login)) else { panic!("no answer") };
        Demand::read(&words).unwrap()
    };
    use crate::decision::demand::Demand::{self, Nothing};
    let ruling = |second_factor, source| Ruling {
        second_factor,
        source,
        required_from: None,
        passcode: false,
        devices: Kinds::ALL,
    };
    assert_eq!(demand("sshd"), Nothing(ruling(SecondFactor::Optional, Source::Rule(1))));
    test_site.put(&record(vec![phone(1)]));
    let asked = Demand::Code { challenge: false, digits: Some(Digits::SIX) };
    assert_eq!((demand("sshd"), demand("login")), (asked, Nothing(ruling(SecondFactor::Skip, Source::Default))));
    let verify = || {
        let Reply::Login(words) =
            test_site.answer(Request::Verify { id: None, login: LoginContext::default(), typed: code() })
        else {
            panic!("no answer")
        };
        Verdict::read(&words).unwrap()
    };
    let accepted = Accepted { factor: TOTP, recovery_left: Some(10), failures: 0 };
    assert_eq!((verify(), verify()), (Verdict::Accepted(accepted), Verdict::Refused(REPLAYED)));
}

#[test]
fn a_rule_whose_group_does_not_exist_is_an_error_and_lets_no_user_in() {
    let test_site = TestSite::new("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"");
    let Reply::Failed { error, hint } = test_site.answer(Request::Demand(LoginContext::default())) else {
        panic!("an answer")
    };
    assert_eq!(error, "a policy rule names the group no-such-group, which does not exist");
    assert!(hint.starts_with("correct the rule or create the group; "), "{hint}");
}

#[test]
fn without_the_state_directory_every_request_fails() {
    let test_site = TestSite::with_alice();
    let path = test_site.site.config.state_directory.clone();
    std::fs::remove_dir_all(&path).unwrap();
    for (request, is_logged) in [
        (Request::Status {}, true),
        (Request::Enroll { proof: None, count: None }, true),
        (Request::Recovery { proof: Some(code()), count: None }, true),
        (Request::Disable { proof: code() }, true),
        (Request::Test { proof: code() }, true),
        (Request::ForgetAddresses {}, true),
        // The module logs errors of logins.
        (Request::Demand(LoginContext::default()), false),
        (Request::Verify { id: None, login: LoginContext::default(), typed: code() }, false),
    ] {
        let Reply::Failed { error, hint } = test_site.answer(request) else { panic!("an answer") };
        assert_eq!(error, format!("cannot open {}: No such file or directory", path.display()));
        assert_eq!(
            hint,
            "if the state directory is missing, install the package again or run `make install`; one of your own: install -d -o root -g pam_otp -m 1730 FOLDER"
        );
        let line = format!("error user=alice error=\"{error}\" hint=\"{hint}\"");
        assert_eq!(test_site.logged(), if is_logged { vec![line] } else { vec![] });
    }
    std::fs::create_dir(&path).unwrap(); // for its owner to remove
}

#[test]
fn without_random_bytes_nothing_is_changed_and_no_code_is_used_up() {
    let test_site = TestSite::with_alice();
    for request in [
        Request::Enroll { proof: Some(code()), count: None },
        Request::Recovery { proof: Some(code()), count: None },
        Request::Disable { proof: code() },
    ] {
        let reply = test_site.serve_with(no_entropy, |service| service.answer(request, NOW));
        assert!(
            matches!(&reply, Reply::Failed { error, .. } if error == "the kernel gave no random bytes"),
            "{reply:?}"
        );
    }
    accepted(&test(&test_site, code()), TOTP, 10);
}

#[test]
fn every_user_is_served_only_their_own_record() {
    let test_site = TestSite::with_alice();
    let log = |_: &Event<'_>| ();
    let mut bob = Served::of(&test_site.site, named("bob", 1001), entropy, &log);
    let Reply::Status(status) = bob.answer(Request::Status {}, NOW) else { panic!("no status") };
    assert_eq!((status.user.as_str(), status.enrolled), ("bob", false));
    refused(&bob.answer(Request::Test { proof: code() }, NOW), Refusal::NotEnrolled);
    assert_eq!(test_site.failures(), 0);
}

mod devices;
mod first_device;
mod kinds;
