//! What a login stores besides the verdict: an address in grace, and a refusal that was not enforced.

use tempfile::TempDir;

use super::*;
use crate::codes::hotp_totp::Digits;
use crate::codes::ocra::Suite;
use crate::codes::passcode::Issued;
use crate::protocol::request::{Confidential, Order};
use crate::record::credentials::Override;
use crate::record::credentials::{Device, Kind};
use crate::record::id::EnrollmentId;
use crate::service::messenger::NoMessenger;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Swap};
use crate::testing::fixtures::{
    NOTE, NOW, STEP, alice, digits_of, issued_until, named, passcode, phone, record, recovery_code, site,
};
use crate::value::network::Address;
use crate::value::request_id::RequestId;
use crate::value::time::Seconds;

/// A site where alice has devices.
struct TestSite {
    site: Site,
    _directory: TempDir,
}

impl TestSite {
    fn new(config: &str, devices: u8) -> Self {
        let (site, directory) = site(config);
        let record = record((1..=devices).map(phone).collect());
        assert_eq!(site.store().unwrap().replace(&alice(), None, &record, &NOTE).unwrap(), Swap::Done);
        Self { site, _directory: directory }
    }

    /// The authority for a trusted caller.
    fn authority(&self) -> LocalAuthority<'_, Files<'_>> {
        LocalAuthority::for_account(&self.site, alice(), Caller::here(0, true, &|_| {}))
    }

    fn demand(&self, rhost: Option<&str>, now: UnixTime) -> Demand {
        self.authority().demand_at(&from(rhost), now).unwrap()
    }

    fn verify(&self, rhost: Option<&str>, code: &str) -> Verdict {
        let typed = Typed::new(code.as_bytes().to_vec());
        self.authority().verify_at(&from(rhost), &typed, NOW).unwrap()
    }

    fn stored(&self) -> Record {
        self.site.store().unwrap().read(&alice()).unwrap().unwrap()
    }
}

fn from(rhost: Option<&str>) -> LoginContext {
    LoginContext { rhost: rhost.map(str::to_owned), ..LoginContext::default() }
}

fn right() -> String {
    digits_of(&[1; 20], STEP)
}

fn wrong() -> String {
    digits_of(&[99; 20], STEP)
}

const CODE: Demand = Demand::Code { challenge: false, digits: Some(Digits::SIX) };

const HOME: Option<&str> = Some("192.0.2.1");

#[test]
fn a_look_stores_nothing_and_is_for_trusted_callers_only() {
    for config in ["[grace]\nfor = \"1h\"", "enforce = false"] {
        let test_site = TestSite::new(config, 1);
        let before = test_site.stored().state;
        let look = |is_trusted: bool, code: &str| {
            let caller = Caller::here(0, is_trusted, &|_| {});
            let authority = LocalAuthority::for_account(&test_site.site, alice(), caller);
            authority.look_at(&from(HOME), &Typed::new(code.as_bytes().to_vec()), NOW)
        };
        for _ in 0..10 {
            assert!(matches!(look(true, &wrong()), Ok(Verdict::Refused(Refusal::Wrong { failures: 1, .. }))));
            assert!(matches!(look(true, &right()), Ok(Verdict::Accepted(_))));
            assert!(matches!(look(false, &right()), Err(CoreError::NoLookHere)));
        }
        assert_eq!(test_site.stored().state, before, "{config}");
        assert_eq!(test_site.demand(HOME, NOW), CODE);
        assert!(matches!(test_site.verify(HOME, &right()), Verdict::Accepted(_)));
        assert!(matches!(look(true, &right()), Ok(Verdict::Refused(Refusal::Replayed { .. }))));
    }
}

#[test]
fn an_address_is_in_grace_for_the_configured_time_and_no_other_address_is() {
    let test_site = TestSite::new("[grace]\nfor = \"1h\"", 1);
    let after = |seconds| NOW.after(Seconds(seconds));
    assert_eq!(test_site.demand(HOME, NOW), CODE);
    assert!(matches!(test_site.verify(HOME, &wrong()), Verdict::Refused(_)));
    assert_eq!(test_site.demand(HOME, NOW), CODE, "a refusal begins no grace");
    assert!(matches!(test_site.verify(HOME, &right()), Verdict::Accepted(_)));
    assert_eq!(
        [NOW, after(3599)].map(|now| test_site.demand(HOME, now)),
        [Demand::Grace { digits: Some(Digits::SIX) }; 2]
    );
    assert_eq!(test_site.demand(HOME, after(3601)), CODE);
    assert_eq!(test_site.demand(HOME, UnixTime(NOW.0 - 1)), CODE, "a grace in the future does not hold");
    for elsewhere in [Some("192.0.2.2"), Some("host.example.org"), None] {
        assert_eq!(test_site.demand(elsewhere, NOW), CODE, "{elsewhere:?}");
    }
}

#[test]
fn without_grace_or_an_address_no_grace_begins() {
    for (config, rhost) in [("", HOME), ("[grace]\nfor = \"1h\"", None)] {
        let test_site = TestSite::new(config, 1);
        assert!(matches!(test_site.verify(rhost, &right()), Verdict::Accepted(_)));
        assert!(test_site.stored().state.graces.is_empty(), "{config}");
        assert_eq!(test_site.demand(rhost, NOW), CODE);
    }
}

#[test]
fn a_record_without_a_device_has_no_grace() {
    let test_site = TestSite::new("[policy]\nsecond_factor = \"required\"\n[grace]\nfor = \"1h\"", 0);
    let mut state = test_site.stored().state;
    state.begin_grace(Address::parse("192.0.2.1").unwrap(), NOW);
    let ended = Record { state, ..test_site.stored() };
    assert_eq!(ended.remembered(Address::parse("192.0.2.1").unwrap(), Seconds(3600), NOW), None);
    assert_eq!(test_site.demand(HOME, NOW), Demand::OF_THE_UNKNOWN);
}

#[test]
fn a_rollout_notes_a_refusal_that_is_not_enforced() {
    for (config, devices, noted) in [("enforce = false", 1, true), ("", 1, false), ("enforce = false", 0, false)] {
        let test_site = TestSite::new(config, devices);
        assert!(matches!(test_site.verify(HOME, &wrong()), Verdict::Refused(_)));
        let unenforced = test_site.stored().state.unenforced;
        assert_eq!(unenforced.map(|it| (it.at, it.why)), noted.then(|| (NOW, "wrong".into())), "{config:?} {devices}");
    }
    let test_site = TestSite::new("enforce = false", 1);
    assert!(matches!(test_site.verify(HOME, &right()), Verdict::Accepted(_)));
    assert!(test_site.stored().state.unenforced.is_none());
}

#[test]
fn the_policy_decides_about_a_user_without_a_device() {
    let handled = |second_factor: &str, devices, enroll| {
        let config = format!("[policy]\nsecond_factor = \"{second_factor}\"");
        let login = LoginContext { enroll, ..from(HOME) };
        match TestSite::new(&config, devices).authority().demand_at(&login, NOW).unwrap() {
            Demand::Nothing(_) => "let in",
            Demand::Enroll(_) => "enrolled",
            Demand::Passcode(_) => "asked for a passcode",
            Demand::Code { .. } => "asked",
            Demand::Grace { .. } => "in grace",
        }
    };
    let policies = ["required", "enroll", "optional", "skip"];
    assert_eq!(policies.map(|policy| handled(policy, 0, true)), ["asked", "enrolled", "let in", "let in"]);
    assert_eq!(policies.map(|policy| handled(policy, 0, false)), ["asked", "asked", "let in", "let in"]);
    for offered in [false, true] {
        assert_eq!(policies.map(|policy| handled(policy, 1, offered)), ["asked", "asked", "asked", "let in"]);
    }
}

#[test]
fn a_line_that_does_not_offer_enrollment_refuses_a_user_without_a_device_and_says_so() {
    let why = |second_factor: &str, devices, enroll, typed: &str, asked_before| {
        let test_site = TestSite::new(&format!("[policy]\nsecond_factor = \"{second_factor}\""), devices);
        let (authority, login) = (test_site.authority(), LoginContext { enroll, ..from(HOME) });
        if asked_before {
            authority.demand_at(&login, NOW).unwrap();
        }
        match authority.verify_at(&login, &Typed::new(typed.as_bytes().to_vec()), NOW).unwrap() {
            Verdict::Refused(why) => why.word(),
            Verdict::Accepted(_) => "accepted",
        }
    };
    // The helper verifies in another process than it read the demand in.
    for asked_before in [true, false] {
        for typed in [wrong().as_str(), "", "a password"] {
            assert_eq!(why("enroll", 0, false, typed, asked_before), "enrollment-not-offered", "{typed:?}");
        }
        assert_eq!(why("required", 0, false, &wrong(), asked_before), "not-enrolled");
        assert_eq!(why("enroll", 0, true, &wrong(), asked_before), "not-enrolled");
        assert_eq!(why("enroll", 1, false, &wrong(), asked_before), "wrong");
        assert_eq!(why("enroll", 1, false, "", asked_before), "malformed");
        assert_eq!(why("enroll", 1, false, &right(), asked_before), "accepted");
    }
}

/// A site where alice has devices and a passcode.
fn with_passcode(config: &str, devices: u8, until: UnixTime) -> TestSite {
    let test_site = TestSite::new(config, devices);
    let issued = Issued { service: Some("sshd".into()), ..issued_until(until) };
    crate::store::change(&test_site.site.store().unwrap(), &alice(), &NOTE, |record| {
        (record.unwrap().with_passcode(Some(issued.clone()), EnrollmentId([9; 16])), ())
    })
    .unwrap();
    test_site
}

#[test]
fn a_user_without_a_device_is_asked_for_a_passcode_before_enrolling() {
    let demand = |config: &str, passcode: bool, enroll: bool| {
        let test_site = if passcode { with_passcode(config, 0, NOW) } else { TestSite::new(config, 0) };
        test_site.authority().demand_at(&LoginContext { enroll, ..from(HOME) }, NOW).unwrap().word()
    };
    let wanted = "[policy]\nsecond_factor = \"enroll\"\npasscode = true";
    let policy = |second_factor: &str| format!("[policy]\nsecond_factor = \"{second_factor}\"");
    // An issued passcode is asked for even after its end.
    for (config, passcode, offered, not_offered) in [
        (wanted.to_owned(), false, "passcode", "code"),
        (wanted.to_owned(), true, "passcode", "code"),
        (policy("enroll"), true, "passcode", "code"),
        (policy("enroll"), false, "enroll", "code"),
        (policy("required"), true, "code", "code"),
        (policy("optional"), true, "nothing", "nothing"),
        (policy("skip"), true, "nothing", "nothing"),
    ] {
        let demands = [demand(&config, passcode, true), demand(&config, passcode, false)];
        assert_eq!(demands, [offered, not_offered], "{config} {passcode}");
    }
}

#[test]
fn a_passcode_is_refused_with_its_reason_and_begins_no_grace() {
    let login = |test_site: &TestSite, service: &str, typed: &str, enroll| {
        let login = LoginContext { service: service.into(), enroll, ..from(HOME) };
        match test_site.authority().verify_at(&login, &Typed::new(typed.as_bytes().to_vec()), NOW).unwrap() {
            Verdict::Refused(why) => why.word(),
            Verdict::Accepted(accepted) => accepted.factor.word(),
        }
    };
    let (shown, late) = (passcode().reveal(), NOW.after(Seconds(60)));
    for second_factor in ["required", "enroll"] {
        let config = format!("[grace]\nfor = \"1h\"\n[policy]\nsecond_factor = \"{second_factor}\"");
        for devices in [0, 1] {
            let test_site = with_passcode(&config, devices, late);
            assert_eq!(login(&test_site, "login", &shown, true), "passcode-elsewhere");
            assert_eq!(login(&test_site, "sshd", "K7QD-M3XA-92TF", true), "passcode-unknown");
            assert_eq!(login(&test_site, "sshd", &shown, true), "passcode");
            assert_eq!(login(&test_site, "sshd", &shown, true), "passcode-used");
            assert!(test_site.stored().state.graces.is_empty());
            let test_site = with_passcode(&config, devices, NOW);
            for offered in [true, false] {
                assert_eq!(login(&test_site, "sshd", &shown, offered), "passcode-expired");
            }
        }
        // The user who should have enrolled by now types something.
        let test_site = with_passcode(&config, 0, NOW);
        let expected = if second_factor == "enroll" { "passcode-expired" } else { "not-enrolled" };
        assert_eq!(login(&test_site, "sshd", &wrong(), true), expected);
    }
}

#[test]
fn a_renamed_account_is_asked_and_refused_whatever_it_types() {
    let (site, _directory) = site("");
    let store = site.store().unwrap();
    let (gone, new) = (named("no-account-of-that-name", 61_001), named("new", 61_001));
    let login = |account: &Account, typed: &str| {
        let caller = Caller::here(0, true, &|_| {});
        let authority = LocalAuthority::for_account(&site, account.clone(), caller);
        let demand = authority.demand_at(&from(HOME), NOW).unwrap();
        (demand, authority.verify_at(&from(HOME), &Typed::new(typed.as_bytes().to_vec()), NOW).unwrap())
    };
    let refused = (Demand::OF_THE_RENAMED, Verdict::Refused(Refusal::Renamed));
    assert!(matches!(login(&new, &right()).0, Demand::Nothing(_)), "policy asks no user without a device");
    let mut record = record(vec![phone(1)]);
    (record.credentials.user, record.credentials.uid) = (gone.name.clone(), gone.uid);
    assert_eq!(store.replace(&gone, None, &record, &NOTE).unwrap(), Swap::Done);
    for typed in [right(), wrong(), "password".into()] {
        assert_eq!(login(&new, &typed), refused, "{typed}");
    }
    // Without the question before, as in the helper.
    let caller = Caller::here(61_001, false, &|_| {});
    let authority = LocalAuthority::for_account(&site, new.clone(), caller);
    assert_eq!(authority.verify_at(&from(HOME), &Typed::new(right().into_bytes()), NOW).unwrap(), refused.1);
    // What is left when the user removed a second factor under the new name is no record of it.
    assert_eq!(store.replace(&new, None, &Record::stranger(&new), &NOTE).unwrap(), Swap::Done);
    assert_eq!(login(&new, &right()), refused);
}

#[test]
fn a_login_is_decided_by_the_kinds_of_its_own_service_with_and_without_the_question_before() {
    let config = "[grace]\nfor = \"1h\"\n[policy]\nsecond_factor = \"optional\"\n[[policy.rule]]\nservice = \"sshd\"\n\
                  second_factor = \"optional\"\ndevices = [\"hotp\"]";
    let test_site = TestSite::new(config, 1);
    let at = |service: &str| LoginContext { service: service.into(), ..from(HOME) };
    let why = |service: &str, code: &str, asked_before| {
        let authority = test_site.authority();
        if asked_before {
            assert_eq!(authority.demand_at(&at(service), NOW).unwrap(), CODE, "never passes");
        }
        let typed = Typed::new(code.as_bytes().to_vec());
        let verdict = authority.verify_at(&at(service), &typed, NOW).unwrap();
        assert!(authority.look_at(&at(service), &typed, NOW).is_ok());
        match verdict {
            Verdict::Refused(why) => why.word(),
            Verdict::Accepted(accepted) => accepted.factor.word(),
        }
    };
    for asked_before in [true, false] {
        assert_eq!(why("sshd", &right(), asked_before), "kind-not-accepted");
        assert_eq!(why("sshd", &wrong(), asked_before), "kind-not-accepted");
    }
    assert_eq!(test_site.stored().state.failures, 2);
    assert_eq!(why("login", &right(), true), "totp");
    // What was accepted elsewhere is no grace here.
    let grace = Demand::Grace { digits: Some(Digits::SIX) };
    let demands = ["login", "sshd"].map(|service| test_site.authority().demand_at(&at(service), NOW).unwrap());
    assert_eq!(demands, [grace, CODE]);
}

#[test]
fn an_app_is_not_enrolled_where_its_codes_are_not_accepted() {
    for (devices, word) in [("\"hotp\", \"sms\"", "code"), ("\"totp\"", "enroll")] {
        let test_site = TestSite::new(&format!("[policy]\nsecond_factor = \"enroll\"\ndevices = [{devices}]"), 0);
        let login = LoginContext { enroll: true, ..from(HOME) };
        let authority = test_site.authority();
        assert_eq!(authority.demand_at(&login, NOW).unwrap().word(), word);
        let verdict = authority.verify_at(&login, &Typed::new(wrong().into_bytes()), NOW).unwrap();
        assert_eq!(verdict, Verdict::Refused(Refusal::NotEnrolled));
    }
}

#[test]
fn no_device_is_challenged_whose_response_is_not_accepted() {
    let config = "[[policy.rule]]\nservice = \"sshd\"\nsecond_factor = \"required\"\ndevices = [\"totp\"]";
    let (site, _directory) = site(config);
    let suite = Suite::parse("OCRA-1:HOTP-SHA1-6:QN08").unwrap();
    let record = record(vec![Device { kind: Kind::Ocra(suite), ..phone(1) }]);
    assert_eq!(site.store().unwrap().replace(&alice(), None, &record, &NOTE).unwrap(), Swap::Done);
    let challenge = |service: &str, named: Option<&str>| {
        let authority = LocalAuthority::for_account(&site, alice(), Caller::here(0, true, &|_| {}));
        let login = LoginContext { service: service.into(), ..from(HOME) };
        let named = named.map(|named| Typed::new(named.as_bytes().to_vec()));
        authority.challenge_at(&login, named.as_ref(), NOW).unwrap()
    };
    assert_eq!(challenge("sshd", None), Challenge::None);
    assert_eq!(challenge("sshd", Some("ocra")), Challenge::NoSuchDevice);
    assert!(site.store().unwrap().read(&alice()).unwrap().unwrap().state.challenges.is_empty());
    assert!(matches!(challenge("login", None), Challenge::Question(_)));
}

#[test]
fn a_store_that_is_no_files_serves_logins_and_what_users_and_administrators_ask() {
    let (store, settings) = (MemoryStore::default(), Settings { grace: Some(Seconds(3600)), ..Settings::default() });
    assert_eq!(store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Done);
    let caller = Caller::here(0, true, &|_| {});
    let mut authority = LocalAuthority::on(store, &settings, &NoMessenger, Some(alice()), caller);
    let typed = |code: &str| Typed::new(code.as_bytes().to_vec());
    assert_eq!(authority.demand_at(&from(HOME), NOW).unwrap(), CODE);
    assert!(matches!(authority.verify_at(&from(HOME), &typed(&right()), NOW), Ok(Verdict::Accepted(_))));
    assert_eq!(authority.demand_at(&from(HOME), NOW).unwrap(), Demand::Grace { digits: Some(Digits::SIX) });
    let again = authority.verify_at(&from(HOME), &typed(&right()), NOW);
    assert!(matches!(again, Ok(Verdict::Refused(Refusal::Replayed { .. }))));
    let Ok(Reply::Status(status)) = authority.request_at(Request::Status {}, NOW) else { panic!("no status") };
    assert!(status.enrolled && status.recovery_codes_left == 10);
    // Asked again with its id, because the answer was lost: no code is used up for it.
    let ask = |id: u8, authority: &mut LocalAuthority<'_, MemoryStore>| {
        let typed = Confidential::new(&recovery_code(4).reveal());
        let verify = Request::Verify { id: Some(RequestId([id; 16])), login: from(HOME), typed };
        let Ok(Reply::Login(words)) = authority.request_at(verify, NOW) else { panic!("no answer") };
        words
    };
    let answers = [1, 1, 2, 1].map(|id| ask(id, &mut authority));
    let (accepted, used) = ("accepted recovery left 9", "refused recovery-used");
    assert_eq!(answers, [accepted, accepted, used, accepted]);
    let proof = Confidential::new(&recovery_code(3).reveal());
    let done = authority.request_at(Request::Disable { proof }, NOW);
    assert!(matches!(done, Ok(Reply::Changed(true))), "{done:?}");
    let done = authority.request_at(Request::Administer(Order::Override(Override::Required)), NOW);
    assert!(matches!(done, Ok(Reply::Changed(true))), "{done:?}");
    assert_eq!(authority.demand_at(&from(HOME), NOW).unwrap(), Demand::OF_THE_UNKNOWN);
}

#[test]
fn a_directory_that_was_trusted_is_looked_at_again_for_the_next_request() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let test_site = TestSite::new("", 1);
    let mut authority = test_site.authority();
    assert!(matches!(authority.request_at(Request::Status {}, NOW), Ok(Reply::Status(_))));
    set_permissions(&test_site.site.config.state_directory, Permissions::from_mode(0o1777)).unwrap();
    assert!(matches!(authority.request_at(Request::Status {}, NOW), Err(CoreError::Store(_))));
    assert!(authority.enroll_during_login(Request::Enroll { proof: None, count: None }).is_err());
}
