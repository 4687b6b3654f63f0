//! With a real directory of files, and a site built by hand.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::decision::policy::{Ruling, SecondFactor, Source};
use crate::decision::verify::{Accepted, Factor};
use crate::record::id::DeviceId;
use crate::service::local_authority::LocalAuthority;
use crate::store::{Store, Swap};
use crate::testing::fixtures::{NOW, STEP, alice, digits_of, named, phone, record, recovery_code, site};
use crate::value::login_context::LoginContext;
use crate::value::secret::Secret;

/// Never the same bytes twice.
fn entropy(bytes: &mut [u8]) -> Result<(), CoreError> {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bytes.iter_mut().zip(drawn.to_be_bytes().into_iter().cycle()).for_each(|(byte, drawn)| *byte = drawn);
    Ok(())
}

fn no_entropy(_: &mut [u8]) -> Result<(), CoreError> {
    Err(CoreError::Entropy)
}

struct Desk {
    site: Site,
    log: RefCell<Vec<String>>,
    _directory: TempDir,
}

impl Desk {
    fn new(config: &str) -> Self {
        let (site, directory) = site(config);
        Self { site, log: RefCell::default(), _directory: directory }
    }

    /// Alice has a phone and ten recovery codes.
    fn with_alice() -> Self {
        let desk = Self::new("");
        desk.put(&record(vec![phone(1)]));
        desk
    }

    fn put(&self, record: &Record) {
        assert_eq!(self.site.store().unwrap().replace(&alice(), None, record).unwrap(), Swap::Done);
    }

    /// Changes what is stored, as somebody else may.
    fn meanwhile(&self, change_it: impl Fn(Option<&Record>) -> Change) {
        change(&self.site.store().unwrap(), &alice(), |record| (change_it(record), ())).unwrap();
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

    /// Answers one request for alice, at `NOW`, with nothing before it.
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

/// An authority as the helper has it, with its errors as the replies that they become.
struct Served<'a>(LocalAuthority<'a>);

impl<'a> Served<'a> {
    fn of(site: &'a Site, account: Account, entropy: Entropy, log: &'a dyn Fn(&Event<'_>)) -> Self {
        let caller = Caller { uid: account.uid, is_trusted: false, log };
        Self(LocalAuthority::new(site, Some(account), caller, entropy))
    }

    fn answer(&mut self, request: Request, now: UnixTime) -> Reply {
        self.0
            .request_at(request, now)
            .unwrap_or_else(|error| Reply::Failed { error: error.to_string(), hint: error.hint().into() })
    }

    /// Confirms and activates; the reply is the one with the recovery codes, or why there is none.
    fn confirm(&mut self, code: Confidential) -> Reply {
        let codes = self.answer(Request::Confirm { code }, NOW);
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
    assert_eq!(*accepted, Accepted { factor, recovery_left: Some(left) });
}

#[track_caller]
fn declined(reply: &Reply, expected: Declined) {
    let Reply::Declined(why) = reply else { panic!("not declined: {reply:?}") };
    assert_eq!(*why, expected);
}

const TOTP: Factor = Factor::Totp(DeviceId(1));
const REPLAYED: Refusal = Refusal::Replayed { clock_behind: None };

fn test(desk: &Desk, proof: Confidential) -> Reply {
    desk.answer(Request::Test { proof })
}

#[test]
fn status_tells_everything_but_secrets() {
    let desk = Desk::new("");
    let Reply::Status(status) = desk.answer(Request::Status {}) else { panic!("no status") };
    assert!(!status.enrolled && status.devices.is_empty() && status.last_accepted.is_none());
    assert_eq!((status.user_override.as_str(), status.lock.as_str(), status.recovery_codes_left), ("none", "open", 0));

    let desk = Desk::with_alice();
    accepted(&test(&desk, recovery(0)), Factor::Recovery, 9);
    (0..6).for_each(|_| drop(test(&desk, wrong())));
    let Reply::Status(status) = desk.answer(Request::Status {}) else { panic!("no status") };
    let device = DeviceStatus {
        id: 1,
        name: "phone".into(),
        r#type: "totp".into(),
        algorithm: "SHA1".into(),
        digits: 6,
        period: Some(30),
        created: "2025-11-20T18:33:40Z".into(),
    };
    let expected = Status {
        user: "alice".into(),
        enrolled: true,
        user_override: "none".into(),
        devices: vec![device],
        recovery_codes_left: 9,
        failures: 6,
        lock: "2025-11-21T18:48:40Z".into(),
        last_accepted: Some("2025-11-21T18:33:40Z".into()),
    };
    assert_eq!(status, expected);
}

#[test]
fn a_first_enrollment_is_in_force_once_its_code_was_shown_and_not_before() {
    let desk = Desk::new("");
    desk.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None }, NOW);
        assert!(desk.stored().is_none());
        let codes = shown_codes(&service.confirm(code_of(&offer)));
        assert_eq!(codes.len(), 10);
        assert!(desk.stored().unwrap().is_enrolled());
        refused(&service.answer(Request::Test { proof: code_of(&offer) }, NOW), REPLAYED);
        for (left, code) in (0..10).rev().zip(codes) {
            accepted(&service.answer(Request::Test { proof: code }, NOW), Factor::Recovery, left);
        }
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
    assert_eq!(
        desk.logged()[..2],
        ["enrolled user=alice by_uid=1000", "refused user=alice by_uid=1000 change=tested why=replayed"]
    );
}

#[test]
fn an_offer_says_the_same_in_every_form() {
    let desk = Desk::new("[code]\ndigits = 8\nperiod = 60\nalgorithm = \"SHA256\"");
    let Reply::Offer(offer) = desk.answer(Request::Enroll { proof: None }) else { panic!("no offer") };
    let secret = Secret::from_base32(offer.secret.expose()).unwrap();
    assert_eq!(*secret.hex(), offer.hex.expose());
    assert_eq!(secret.expose().len(), 32);
    let uri = format!(
        "otpauth://totp/Example:alice?secret={}&issuer=Example&algorithm=SHA256&digits=8&period=60",
        offer.secret.expose()
    );
    assert_eq!(offer.uri.expose(), uri);
    assert_eq!((offer.user.as_str(), offer.issuer.as_str(), offer.algorithm.as_str()), ("alice", "Example", "SHA256"));
    assert_eq!((offer.digits, offer.period), (8, 60));
}

#[test]
fn a_code_that_does_not_confirm_leaves_the_offer_standing() {
    let desk = Desk::new("");
    desk.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None }, NOW);
        for code in [wrong(), text("hunter2"), text(""), recovery(0)] {
            let reply = service.answer(Request::Confirm { code }, NOW);
            declined(&reply, Declined::NotConfirmed { clock_off: None });
        }
        let later = UnixTime(NOW.0 + 600);
        let reply = service.answer(Request::Confirm { code: code_of(&offer) }, later);
        declined(&reply, Declined::NotConfirmed { clock_off: Some(-600) });
        assert!(desk.stored().is_none());
        shown_codes(&service.confirm(code_of(&offer)));
    });
    assert_eq!(desk.logged(), ["enrolled user=alice by_uid=1000"]);
}

#[test]
fn without_an_offer_there_is_nothing_to_confirm() {
    let desk = Desk::with_alice();
    declined(&desk.serve(|service| service.confirm(code())), Declined::NothingOffered);
    accepted(&test(&desk, code()), TOTP, 10);
}

#[test]
fn a_new_offer_takes_the_place_of_the_one_before() {
    let desk = Desk::new("");
    desk.serve(|service| {
        let old = service.answer(Request::Enroll { proof: None }, NOW);
        let new = service.answer(Request::Enroll { proof: None }, NOW);
        let reply = service.confirm(code_of(&old));
        declined(&reply, Declined::NotConfirmed { clock_off: None });
        shown_codes(&service.confirm(code_of(&new)));
    });
}

#[test]
fn who_is_enrolled_proves_it_before_enrolling_anew() {
    let desk = Desk::with_alice();
    desk.serve(|service| {
        declined(&service.answer(Request::Enroll { proof: None }, NOW), Declined::ProofNeeded);
        refused(
            &service.answer(Request::Enroll { proof: Some(wrong()) }, NOW),
            Refusal::Wrong { failures: 1, clock_behind: None },
        );
        refused(&service.answer(Request::Enroll { proof: Some(text("x")) }, NOW), Refusal::Malformed);
        declined(&service.confirm(wrong()), Declined::NothingOffered);
    });
    assert_eq!(desk.failures(), 1);
    assert_eq!(
        desk.logged(),
        [
            "refused user=alice by_uid=1000 change=re-enrollment why=wrong failures=1",
            "refused user=alice by_uid=1000 change=re-enrollment why=malformed"
        ]
    );
}

#[test]
fn a_refused_proof_takes_an_earlier_offer_back() {
    let desk = Desk::with_alice();
    desk.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: Some(code()) }, NOW);
        refused(
            &service.answer(Request::Enroll { proof: Some(wrong()) }, NOW),
            Refusal::Wrong { failures: 1, clock_behind: None },
        );
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
}

#[test]
fn wrong_proofs_of_every_kind_count_together_and_lock() {
    let desk = Desk::with_alice();
    let requests: [fn(Confidential) -> Request; 4] = [
        |proof| Request::Enroll { proof: Some(proof) },
        |proof| Request::Recovery { proof },
        |proof| Request::Disable { proof },
        |proof| Request::Test { proof },
    ];
    for (failures, request) in (1..=6).zip(requests.iter().cycle()) {
        refused(&desk.answer(request(wrong())), Refusal::Wrong { failures, clock_behind: None });
    }
    for request in requests {
        refused(&desk.answer(request(code())), Refusal::Locked(Lock::Until(UnixTime(NOW.0 + 900))));
    }
    assert_eq!(desk.logged()[1], "refused user=alice by_uid=1000 change=recovery-codes-renewed why=wrong failures=2");
    assert!(desk.stored().unwrap().is_enrolled());
}

#[test]
fn the_old_seed_stays_in_force_until_the_new_one_is_confirmed() {
    for proof in [code(), recovery(0)] {
        let desk = Desk::with_alice();
        desk.serve(|service| {
            let offer = service.answer(Request::Enroll { proof: Some(proof) }, NOW);
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
fn a_requirement_outlives_every_enrollment() {
    let desk = Desk::new("");
    let mut required = record(vec![]);
    required.credentials.user_override = Override::Required;
    required.credentials.recovery = None;
    desk.put(&required);
    desk.serve(|service| {
        let mut proof = None;
        for _ in 0..2 {
            let offer = service.answer(Request::Enroll { proof }, NOW);
            let codes = shown_codes(&service.confirm(code_of(&offer)));
            assert_eq!(desk.stored().unwrap().credentials.user_override, Override::Required);
            proof = codes.first().cloned();
        }
    });
}

#[test]
fn an_offer_is_void_once_somebody_else_changed_the_credentials() {
    let enrolled_by_somebody = |_: Option<&Record>| Change::Record(Box::new(record(vec![phone(7)])));
    let desk = Desk::new("");
    desk.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None }, NOW);
        desk.meanwhile(enrolled_by_somebody);
        declined(&service.confirm(code_of(&offer)), Declined::ChangedMeanwhile);
        declined(&service.confirm(code_of(&offer)), Declined::NothingOffered);
    });
    assert_eq!(desk.stored().unwrap().credentials.devices[0].id, DeviceId(7));

    let renewed =
        |record: Option<&Record>| Change::Record(Box::new(crate::testing::fixtures::enrolled_anew(record.unwrap(), 9)));
    let removed = |_: Option<&Record>| Change::Nothing;
    type Step = fn(Option<&Record>) -> Change;
    for changed in [renewed as Step, removed] {
        let desk = Desk::with_alice();
        desk.serve(|service| {
            let offer = service.answer(Request::Enroll { proof: Some(code()) }, NOW);
            desk.meanwhile(changed);
            declined(&service.confirm(code_of(&offer)), Declined::ChangedMeanwhile);
        });
        assert!(desk.logged().is_empty());
    }
}

#[test]
fn new_recovery_codes_kill_the_old_ones_and_their_marks() {
    let desk = Desk::with_alice();
    accepted(&test(&desk, recovery(0)), Factor::Recovery, 9);
    let codes = shown_codes(&desk.answer(Request::Recovery { proof: code() }));
    assert_eq!(codes.len(), 10);
    for n in 0..10 {
        refused(&test(&desk, recovery(n)), Refusal::RecoveryUnknown);
    }
    accepted(&test(&desk, codes[0].clone()), Factor::Recovery, 9);
    refused(&test(&desk, codes[0].clone()), Refusal::RecoveryUsed);
    refused(&test(&desk, code()), REPLAYED);
    accepted(&test(&desk, code_at(STEP + 1)), TOTP, 9);
    assert_eq!(desk.logged()[1], "recovery-codes-renewed user=alice by_uid=1000");
}

#[test]
fn recovery_codes_can_be_renewed_with_the_last_of_the_old_ones() {
    let desk = Desk::with_alice();
    (0..9).for_each(|n| drop(test(&desk, recovery(n))));
    let codes = shown_codes(&desk.answer(Request::Recovery { proof: recovery(9) }));
    accepted(&test(&desk, codes[9].clone()), Factor::Recovery, 9);
}

#[test]
fn a_refused_renewal_keeps_the_old_codes() {
    let desk = Desk::with_alice();
    refused(&desk.answer(Request::Recovery { proof: wrong() }), Refusal::Wrong { failures: 1, clock_behind: None });
    refused(&desk.answer(Request::Recovery { proof: recovery(10) }), Refusal::RecoveryUnknown);
    assert_eq!(desk.failures(), 1);
    accepted(&test(&desk, recovery(0)), Factor::Recovery, 9);
    assert_eq!(
        desk.logged()[..2],
        [
            "refused user=alice by_uid=1000 change=recovery-codes-renewed why=wrong failures=1",
            "refused user=alice by_uid=1000 change=recovery-codes-renewed why=recovery-unknown"
        ]
    );
}

#[test]
fn where_the_site_hands_out_no_recovery_codes_there_are_none() {
    let desk = Desk::new("[recovery]\ncodes = 0");
    desk.serve(|service| {
        let offer = service.answer(Request::Enroll { proof: None }, NOW);
        assert!(shown_codes(&service.confirm(code_of(&offer))).is_empty());
    });
    assert_eq!(desk.stored().unwrap().credentials.recovery, None);
}

#[test]
fn who_disables_it_has_nothing_left() {
    for proof in [code(), recovery(0)] {
        let desk = Desk::with_alice();
        assert!(matches!(desk.answer(Request::Disable { proof }), Reply::Changed(true)));
        assert!(desk.stored().is_none());
        refused(&test(&desk, code_at(STEP + 1)), Refusal::NotEnrolled);
        assert_eq!(desk.logged()[0], "disabled user=alice by_uid=1000");
    }
}

#[test]
fn a_refused_proof_disables_nothing() {
    let desk = Desk::with_alice();
    refused(&desk.answer(Request::Disable { proof: wrong() }), Refusal::Wrong { failures: 1, clock_behind: None });
    assert!(desk.stored().unwrap().is_enrolled());
    assert_eq!(desk.failures(), 1);
    assert_eq!(desk.logged(), ["refused user=alice by_uid=1000 change=disabled why=wrong failures=1"]);
}

#[test]
fn who_is_required_to_have_it_cannot_disable_it_and_spends_nothing() {
    let desk = Desk::new("");
    let mut required = record(vec![phone(1)]);
    required.credentials.user_override = Override::Required;
    desk.put(&required);
    declined(&desk.answer(Request::Disable { proof: code() }), Declined::Required);
    accepted(&test(&desk, code()), TOTP, 10);
}

#[test]
fn an_optional_requirement_stays_when_the_devices_go() {
    let desk = Desk::new("");
    let mut optional = record(vec![phone(1)]);
    optional.credentials.user_override = Override::Exempt;
    desk.put(&optional);
    assert!(matches!(desk.answer(Request::Disable { proof: code() }), Reply::Changed(true)));
    let left = desk.stored().unwrap();
    assert!(!left.is_enrolled() && left.credentials.user_override == Override::Exempt);
}

#[test]
fn a_test_spends_the_code() {
    let desk = Desk::with_alice();
    accepted(&test(&desk, code()), TOTP, 10);
    refused(&test(&desk, code()), REPLAYED);
    refused(&test(&desk, wrong()), Refusal::Wrong { failures: 1, clock_behind: None });
    assert_eq!(
        desk.logged(),
        [
            "tested user=alice by_uid=1000",
            "refused user=alice by_uid=1000 change=tested why=replayed",
            "refused user=alice by_uid=1000 change=tested why=wrong failures=1"
        ]
    );
}

#[test]
fn who_is_not_enrolled_can_change_nothing() {
    let desk = Desk::new("");
    for request in
        [Request::Recovery { proof: code() }, Request::Disable { proof: code() }, Request::Test { proof: code() }]
    {
        refused(&desk.answer(request), Refusal::NotEnrolled);
    }
    let Reply::Login(words) = desk.answer(Request::Verify { login: LoginContext::default(), typed: code() }) else {
        panic!("no answer")
    };
    assert_eq!(words, "refused not-enrolled");
    assert!(desk.stored().is_none());
}

#[test]
fn a_login_may_be_asked_about_and_verified() {
    let desk = Desk::new(
        "[policy]\nsecond_factor = \"skip\"\n[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"optional\"",
    );
    let demand = |service: &str| {
        let place = LoginContext { service: service.into(), ..LoginContext::default() };
        let Reply::Login(words) = desk.answer(Request::Demand(place)) else { panic!("no answer") };
        Demand::read(&words).unwrap()
    };
    use crate::decision::demand::Demand::{self, Nothing};
    let ruling = |second_factor, source| Ruling { second_factor, source, required_from: None };
    assert_eq!(demand("sshd"), Nothing(ruling(SecondFactor::Optional, Source::Rule(1))));
    desk.put(&record(vec![phone(1)]));
    let asked = Demand::Code { challenge: false };
    assert_eq!((demand("sshd"), demand("login")), (asked, Nothing(ruling(SecondFactor::Skip, Source::Default))));
    let verify = || {
        let Reply::Login(words) = desk.answer(Request::Verify { login: LoginContext::default(), typed: code() }) else {
            panic!("no answer")
        };
        Verdict::read(&words).unwrap()
    };
    let good = Accepted { factor: TOTP, recovery_left: Some(10) };
    assert_eq!((verify(), verify()), (Verdict::Accepted(good), Verdict::Refused(REPLAYED)));
}

#[test]
fn a_rule_whose_group_does_not_exist_is_a_failure_and_not_a_way_in() {
    let desk = Desk::new("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"");
    let Reply::Failed { error, hint } = desk.answer(Request::Demand(LoginContext::default())) else {
        panic!("an answer")
    };
    assert_eq!(error, "a policy rule names the group no-such-group, which does not exist");
    assert_eq!(hint, "make the group or correct the rule; `otp-enroll admin check` finds such rules");
}

#[test]
fn where_the_records_cannot_be_reached_every_request_fails() {
    let desk = Desk::with_alice();
    let path = desk.site.config.state_directory.clone();
    std::fs::remove_dir_all(&path).unwrap();
    for (request, is_logged) in [
        (Request::Status {}, true),
        (Request::Enroll { proof: None }, true),
        (Request::Recovery { proof: code() }, true),
        (Request::Disable { proof: code() }, true),
        (Request::Test { proof: code() }, true),
        (Request::ForgetAddresses {}, true),
        // The host logs them.
        (Request::Demand(LoginContext::default()), false),
        (Request::Verify { login: LoginContext::default(), typed: code() }, false),
    ] {
        let Reply::Failed { error, hint } = desk.answer(request) else { panic!("an answer") };
        assert_eq!(error, format!("cannot open {}: No such file or directory (os error 2)", path.display()));
        assert_eq!(hint, "the state directory is made by the package or by `make install`");
        let line = format!("error user=alice error=\"{error}\" hint=\"{hint}\"");
        assert_eq!(desk.logged(), if is_logged { vec![line] } else { vec![] });
    }
    std::fs::create_dir(&path).unwrap(); // for its owner to remove
}

#[test]
fn without_random_bytes_nothing_is_changed_and_nothing_spent() {
    let desk = Desk::with_alice();
    for request in [
        Request::Enroll { proof: Some(code()) },
        Request::Recovery { proof: code() },
        Request::Disable { proof: code() },
    ] {
        let reply = desk.serve_with(no_entropy, |service| service.answer(request, NOW));
        assert!(
            matches!(&reply, Reply::Failed { error, .. } if error == "the system gives no random bytes"),
            "{reply:?}"
        );
    }
    accepted(&test(&desk, code()), TOTP, 10);
}

#[test]
fn everybody_is_served_their_own_record() {
    let desk = Desk::with_alice();
    let log = |_: &Event<'_>| ();
    let mut bob = Served::of(&desk.site, named("bob", 1001), entropy, &log);
    let Reply::Status(status) = bob.answer(Request::Status {}, NOW) else { panic!("no status") };
    assert_eq!((status.user.as_str(), status.enrolled), ("bob", false));
    refused(&bob.answer(Request::Test { proof: code() }, NOW), Refusal::NotEnrolled);
    assert_eq!(desk.failures(), 0);
}
