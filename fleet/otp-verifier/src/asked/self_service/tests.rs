//! Self service by two verifiers in turn, on a real database.

use std::fs;
use std::sync::Arc;

use otp_core::decision::kinds::Kinds;
use otp_core::decision::pin::PinId;
use otp_core::protocol::request::{Order, PasscodeOrder};
use otp_core::record::credentials::Override;
use otp_core::record::id::DeviceId;
use otp_core::service::messenger::NoMessenger;
use otp_core::testing::alice::shown_by_app;
use otp_core::value::request_id::RequestId;
use otp_core::value::user::UserName;
use otp_wire::{Place, User, VerdictAnswer, VerifyQuestion};
use tempfile::TempDir;

use super::*;
use crate::answered::of_no_host;
use crate::asked::Asked;
use crate::authority::Authority;
use crate::config::Config;
use crate::database::hosts::{Changed, NewScope};
use crate::database::session::Session;
use crate::database::testing::Cluster;
use crate::fleet::Fleet;
use crate::keys::tests::keys;
use crate::store::About;

/// Keys of a host that enrolls, of another one, and of one for logins alone.
const WEB: [u8; 32] = [1; 32];
const WEB2: [u8; 32] = [2; 32];
const LOGIN: [u8; 32] = [3; 32];

/// One verifier.
struct Verifier {
    fleet: Fleet,
    session: Session,
    _folder: TempDir,
}

/// Two of them on one database.
struct Scene {
    cluster: Arc<Cluster>,
    database: String,
    verifiers: [Verifier; 2],
}

fn verifier(cluster: &Cluster, database: &str) -> Verifier {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "listen = [\"127.0.0.1:1\"]\nverifiers = [\"v:1\"]\ndatabase = [\"x\"]\nfolder = {:?}\nsettings = {:?}",
        folder.path(),
        folder.path().join("settings.toml")
    );
    fs::write(folder.path().join("settings.toml"), "issuer = \"Example\"\n[recovery]\ncodes = 4\n").unwrap();
    let config: Config = toml::from_str(&text).unwrap();
    Authority::make(&config).unwrap();
    let servers = Arc::new(cluster.servers_of(database, &[0]));
    let settings = config.settings().unwrap().settings;
    let fleet = Fleet::of_test(config, settings, Arc::clone(&servers), keys(&[1]));
    Verifier { fleet, session: servers.connect().unwrap(), _folder: folder }
}

fn id(number: u8) -> RequestId {
    RequestId([number; 16])
}

fn secret(text: &str) -> Confidential {
    Confidential::new(text)
}

fn user() -> User {
    User { name: "alice".into(), uid: 1000, gid: 1000 }
}

fn place() -> Place {
    Place { service: "otp-enroll".into(), rhost: None, tty: None, by: 1000 }
}

fn question(number: u8, request: Request, under_way: Option<&Confidential>) -> SelfQuestion {
    SelfQuestion {
        id: id(number),
        user: user(),
        place: place(),
        request,
        under_way: under_way.cloned(),
        accepted: Kinds::ALL,
        passcode: false,
        in_login: false,
    }
}

const ENROLL: Request = Request::Enroll { proof: None, count: None };

fn confirm(code: &str) -> Request {
    Request::Confirm { code: secret(code), next: None }
}

/// What the app shows now.
fn shown(seed: &str) -> String {
    shown_by_app(seed, UnixTime::now().0 / 30)
}

fn seed(reply: &Reply) -> String {
    let Reply::Offer(offer) = reply else { panic!("{reply:?}") };
    offer.secret.expose().to_owned()
}

fn codes(reply: &Reply) -> Vec<String> {
    let Reply::RecoveryCodes(codes) = reply else { panic!("{reply:?}") };
    codes.iter().map(|code| code.expose().to_owned()).collect()
}

impl Scene {
    fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        let verifiers = [(); 2].map(|()| verifier(&cluster, &database));
        let session = &verifiers[0].session;
        for (name, key, rights) in [
            ("web1", WEB, vec![Right::Login, Right::Enroll]),
            ("web2", WEB2, vec![Right::Enroll]),
            ("login1", LOGIN, vec![Right::Login]),
        ] {
            assert!(session.add_host(&verifiers[0].fleet.keys(), name, &key, &rights, None).unwrap());
        }
        Self { cluster, database, verifiers }
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.sql_in(&self.database, 0, sql)
    }

    fn ask(&self, at: usize, key: [u8; 32], question: SelfQuestion) -> Result<SelfAnswer, Failure> {
        let Verifier { fleet, session, .. } = &self.verifiers[at];
        let body = Asked::Own(Box::new(question)).answer(fleet, session, Some(key))?;
        Ok(otp_wire::read(&body.body).unwrap())
    }

    fn answered(&self, at: usize, key: [u8; 32], question: SelfQuestion) -> SelfAnswer {
        self.ask(at, key, question).map_err(|failure| failure.error).unwrap()
    }

    /// Enrolls by both verifiers in turn; the seed and the recovery codes.
    fn enrolled(&self) -> (String, Vec<String>) {
        let offer = self.answered(0, WEB, question(1, ENROLL, None));
        let seed = seed(&offer.reply);
        let confirmed = self.answered(1, WEB, question(2, confirm(&shown(&seed)), offer.under_way.as_ref()));
        let codes = codes(&confirmed.reply);
        let done = self.answered(0, WEB, question(3, Request::Activate {}, confirmed.under_way.as_ref()));
        assert!(matches!(done.reply, Reply::Changed(true)) && done.under_way.is_none(), "{done:?}");
        (seed, codes)
    }

    /// Through the right passcode, in the middle of a login on this host.
    fn passcode(&self) -> String {
        let request = Request::IssuePasscode(PasscodeOrder { valid: Seconds(600), service: None });
        let Reply::Passcode(issued) = self.administer(request) else { panic!() };
        issued.passcode.expose().to_owned()
    }

    fn administer(&self, request: Request) -> Reply {
        let Verifier { fleet, session, .. } = &self.verifiers[0];
        let ring = fleet.keys();
        let store = PgStore::new(session, &ring, About::default());
        let account = of_no_host(UserName::parse("alice").unwrap());
        let caller = Caller::here(0, true, &|_| {});
        LocalAuthority::on(store, &fleet.settings, &NoMessenger, Some(account), caller).request(request).unwrap()
    }

    fn verify(&self, key: [u8; 32], number: u8, typed: &str) -> String {
        self.verify_of(Kinds::ALL, key, number, typed).map_err(|failure| failure.error).unwrap()
    }

    /// A code where the policy of the host accepts these kinds.
    fn verify_of(&self, accepted: Kinds, key: [u8; 32], number: u8, typed: &str) -> Result<String, Failure> {
        let question = VerifyQuestion {
            id: id(number),
            user: user(),
            place: place(),
            typed: secret(typed),
            accepted,
            as_one: false,
            enforced: true,
        };
        let Verifier { fleet, session, .. } = &self.verifiers[1];
        let answer = Asked::Verify(question).answer(fleet, session, Some(key))?;
        Ok(otp_wire::read::<VerdictAnswer>(&answer.body).unwrap().verdict)
    }

    fn devices(&self) -> usize {
        let answer = self.answered(1, LOGIN, question(99, Request::Status {}, None));
        let Reply::Status(status) = answer.reply else { panic!() };
        status.devices.len()
    }
}

fn refused(answer: Result<SelfAnswer, Failure>) -> (u16, String, String) {
    let Err(Failure { status, error, hint }) = answer else { panic!("{:?}", answer.unwrap()) };
    (status, error, hint)
}

fn said(reply: &Reply) -> String {
    if let Reply::Failed { error, .. } = reply { error.clone() } else { format!("{reply:?}") }
}

#[test]
fn an_enrollment_goes_on_at_any_verifier_and_is_in_the_audit() {
    let scene = Scene::new();
    let (seed, codes) = scene.enrolled();
    assert_eq!((codes.len(), scene.devices()), (4, 1));
    // The confirming code is used up, on any host.
    assert_eq!(scene.verify(LOGIN, 7, &shown(&seed)), "refused replayed");
    assert_eq!(scene.verify(LOGIN, 8, &codes[0]), "accepted recovery left 3");
    let lines = scene.sql("SELECT host, caller_uid, name, service, event, answer, encode(request, 'hex') FROM otp.audit WHERE event <> 'login' ORDER BY at");
    assert_eq!(lines, format!("web1|1000|alice|otp-enroll|enrolled|device 1|{}", "03".repeat(16)));
    // Nothing of it is open in the database.
    assert!(!scene.sql("SELECT r::text FROM otp.record r").contains(&seed));
}

#[test]
fn another_device_is_added_by_proof_and_changes_are_made_once_however_often_they_are_asked() {
    let scene = Scene::new();
    let (_, recovery) = scene.enrolled();
    let add = |number, proof: &str| {
        let request = Request::Add {
            name: Some("tablet".into()),
            proof: Some(secret(proof)),
            token: None,
            to: None,
            count: None,
        };
        question(number, request, None)
    };
    // The answer is lost, and the next verifier is asked: the proof is used up once, and the seed is another one.
    let first = scene.answered(0, WEB, add(20, &recovery[0]));
    let again = scene.answered(1, WEB, add(20, &recovery[0]));
    assert!(seed(&first.reply) != seed(&again.reply));
    assert_eq!(first.event, again.event);
    let (what, by) = ("another-device".into(), "accepted recovery left 3".into());
    assert_eq!(first.event, Some(SelfEvent::Proved { what, by }));
    let verdict = scene.answered(1, WEB, add(21, &recovery[0])).reply;
    assert!(said(&verdict).contains("RecoveryUsed"), "{verdict:?}");
    let confirmed =
        scene.answered(0, WEB, question(22, confirm(&shown(&seed(&again.reply))), again.under_way.as_ref()));
    assert!(codes(&confirmed.reply).is_empty());
    for at in [0, 1] {
        let done = scene.answered(at, WEB, question(23, Request::Activate {}, confirmed.under_way.as_ref()));
        assert!(matches!(done.reply, Reply::Changed(true)), "{done:?}");
        let (what, by) = ("device-added".into(), "accepted recovery left 3".into());
        assert_eq!(done.event, Some(SelfEvent::Change { what, device: Some(DeviceId(2)), by }));
    }
    assert_eq!(scene.devices(), 2);
    // What was offered first is of a record that is no more.
    let code = shown(&seed(&first.reply));
    let late = scene.answered(0, WEB, question(24, confirm(&code), first.under_way.as_ref()));
    assert_eq!((said(&late.reply).as_str(), late.under_way.is_none()), ("Declined(ChangedMeanwhile)", true));
    let rename = || Request::Rename { device: "2".into(), name: "pad".into(), proof: secret(&recovery[1]) };
    for at in [0, 1] {
        let done = scene.answered(at, WEB, question(25, rename(), None));
        assert_eq!(said(&done.reply), "ChangedDevice(DeviceId(2))");
        let (what, by) = ("device-renamed".into(), "accepted recovery left 2".into());
        assert_eq!(done.event, Some(SelfEvent::Change { what, device: Some(DeviceId(2)), by }));
    }
    let remove = || Request::Remove { device: "pad".into(), proof: secret(&recovery[2]) };
    for at in [1, 0] {
        assert_eq!(said(&scene.answered(at, WEB2, question(26, remove(), None)).reply), "ChangedDevice(DeviceId(2))");
    }
    let renewed = |at, number| {
        let request = Request::Recovery { proof: Some(secret(&recovery[3])), count: Some(2) };
        scene.answered(at, WEB2, question(number, request, None)).reply
    };
    let new = codes(&renewed(0, 27));
    // They were shown by an answer that may have been lost: that is said, and the user makes new ones.
    let lost = renewed(1, 27);
    assert!(said(&lost).starts_with("new recovery codes are in force, but"), "{lost:?}");
    assert!(said(&renewed(1, 28)).contains("RecoveryUnknown"));
    assert_eq!((new.len(), scene.verify(LOGIN, 30, &new[0]).as_str()), (2, "accepted recovery left 1"));
    let test = |at| scene.answered(at, LOGIN, question(31, Request::Test { proof: secret(&new[1]) }, None)).reply;
    assert!(said(&test(0)).contains("Accepted") && said(&test(1)).contains("Accepted"));
    let events =
        scene.sql("SELECT string_agg(DISTINCT event, ' ' ORDER BY event) FROM otp.audit WHERE caller_uid = 1000");
    assert_eq!(
        events,
        "another-device device-added device-removed device-renamed enrolled login recovery-codes-renewed tested"
    );
}

#[test]
fn of_two_enrollments_at_once_one_wins_and_the_other_is_told() {
    let scene = Scene::new();
    let offers = [(0, WEB), (1, WEB2)].map(|(at, key)| (at, key, scene.answered(at, key, question(1, ENROLL, None))));
    let [won, lost] = offers.map(|(at, key, offer)| {
        let code = shown(&seed(&offer.reply));
        (at, key, scene.answered(at, key, question(2, confirm(&code), offer.under_way.as_ref())))
    });
    let activate = |(at, key, confirmed): &(usize, [u8; 32], SelfAnswer)| {
        scene.answered(*at, *key, question(3, Request::Activate {}, confirmed.under_way.as_ref()))
    };
    assert_eq!(said(&activate(&won).reply), "Changed(true)");
    let late = activate(&lost);
    assert_eq!((said(&late.reply).as_str(), late.under_way.is_none()), ("Declined(ChangedMeanwhile)", true));
    // Whose answer was lost is told again that it is done, and nothing is done twice.
    let before = scene.sql("SELECT version, sealed FROM otp.record");
    assert_eq!(said(&activate(&won).reply), "Changed(true)");
    assert_eq!(scene.sql("SELECT version, sealed FROM otp.record"), before);
}

#[test]
fn what_is_carried_is_good_for_its_user_host_record_and_time_alone() {
    let scene = Scene::new();
    let offer = scene.answered(0, WEB, question(1, ENROLL, None));
    let code = shown(&seed(&offer.reply));
    let text = offer.under_way.unwrap();
    let go_on = |key, question: SelfQuestion| said(&scene.answered(1, key, question).reply);
    let ask = |text: &Confidential| question(2, confirm(&code), Some(text));
    const ALTERED: &str = "what is under way was altered, or belongs to another user or another host";
    assert_eq!(go_on(WEB2, ask(&text)), ALTERED);
    let bob = SelfQuestion { user: User { name: "bob".into(), ..user() }, ..ask(&text) };
    assert_eq!(go_on(WEB, bob), ALTERED);
    for place in [0, 1, 9, 20, 100, text.expose().len() - 1] {
        let mut bytes = text.expose().as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        assert_eq!(go_on(WEB, ask(&secret(std::str::from_utf8(&bytes).unwrap()))), ALTERED, "{place}");
    }
    for odd in ["", "zz", "00", text.expose().get(2..).unwrap()] {
        assert_eq!(go_on(WEB, ask(&secret(odd))), ALTERED, "{odd}");
    }
    assert_eq!(go_on(WEB, question(2, confirm(&code), None)), "Declined(NothingOffered)");
    // Each field, sealed by a verifier as it never would be.
    let keys = scene.verifiers[0].fleet.keys();
    let alice = UserName::parse("alice").unwrap();
    let plain = keys.open_under_way(&alice, "web1", text.expose()).unwrap();
    let plain = std::str::from_utf8(&plain).unwrap();
    let with = |from: &str, to: &str| {
        let altered = plain.replacen(from, to, 1);
        assert_ne!(altered, plain, "{from}");
        go_on(WEB, ask(&secret(&keys.seal_under_way(&alice, "web1", &altered).unwrap())))
    };
    let until = plain.lines().find(|line| line.starts_with("until")).unwrap();
    for (from, to, expected) in [
        ("user = \"alice\"", "user = \"bob\"", ALTERED),
        ("host = \"web1\"", "host = \"web2\"", ALTERED),
        ("version = 1", "version = 2", ALTERED),
        ("proof = \"unneeded\"", "proof = \"granted\"", ALTERED),
        ("devices = \"none\"", "devices = \"proved\"", ALTERED),
        ("record = \"none\"", "record = \"0101010101010101\"", ALTERED),
        ("record = \"none\"", &format!("record = \"{}\"", "01".repeat(16)), "Declined(ChangedMeanwhile)"),
        ("secret = \"", "secret = \"1", ALTERED),
        (until, "until = 1763750020", "the time for this step is over"),
    ] {
        assert_eq!(with(from, to), expected, "{from}");
    }
    // A wrong code takes nothing away and prolongs nothing.
    let wrong = scene.answered(0, WEB, question(3, confirm("000000"), Some(&text)));
    assert!(said(&wrong.reply).starts_with("Declined(NotConfirmed"), "{wrong:?}");
    let again = keys.open_under_way(&alice, "web1", wrong.under_way.unwrap().expose()).unwrap();
    assert_eq!(std::str::from_utf8(&again).unwrap(), plain);
    assert!(go_on(WEB, ask(&text)).starts_with("RecoveryCodes"));
    // An override of an administrator makes it another record.
    scene.administer(Request::Administer(Order::Override(Override::Required)));
    assert_eq!(go_on(WEB, ask(&text)), "Declined(ChangedMeanwhile)");
}

#[test]
fn what_was_carried_to_its_end_does_not_bring_a_device_back_that_an_administrator_took_away() {
    let scene = Scene::new();
    let passcode = scene.passcode();
    let request = Request::Enroll { proof: Some(secret(&passcode)), count: None };
    let offer = scene.answered(0, LOGIN, question(1, request, None));
    let code = shown(&seed(&offer.reply));
    let confirmed = scene.answered(1, LOGIN, question(2, confirm(&code), offer.under_way.as_ref()));
    let activate = || scene.answered(0, LOGIN, question(3, Request::Activate {}, confirmed.under_way.as_ref()));
    assert_eq!(said(&activate().reply), "Changed(true)");
    scene.administer(Request::Administer(Order::Reset));
    assert_eq!(scene.devices(), 0);
    assert_eq!(said(&activate().reply), "Declined(ChangedMeanwhile)");
    let confirmed = scene.answered(1, LOGIN, question(4, confirm(&code), offer.under_way.as_ref()));
    assert_eq!((said(&confirmed.reply).as_str(), scene.devices()), ("Declined(ChangedMeanwhile)", 0));
}

#[test]
fn a_first_enrollment_that_is_under_way_ends_with_an_administrators_reset() {
    for (order, is_required) in [(Order::Reset, false), (Order::Reset, true), (Order::Disable, false)] {
        let scene = Scene::new();
        if is_required {
            scene.administer(Request::Administer(Order::Override(Override::Required)));
        }
        let offer = |id| scene.answered(0, WEB, question(id, ENROLL, None));
        let confirmed = |id, offer: &SelfAnswer| {
            let code = shown(&seed(&offer.reply));
            scene.answered(1, WEB, question(id, confirm(&code), offer.under_way.as_ref()))
        };
        let (before, begun) = (offer(1), offer(2));
        let accepted = confirmed(3, &begun);
        // There is no device, and no record is made or changed by it.
        scene.administer(Request::Administer(order));
        assert_eq!(said(&confirmed(4, &before).reply), "Declined(ChangedMeanwhile)");
        let activate =
            |id, of: &SelfAnswer| scene.answered(0, WEB, question(id, Request::Activate {}, of.under_way.as_ref()));
        assert_eq!(said(&activate(5, &accepted).reply), "Declined(ChangedMeanwhile)");
        assert_eq!(scene.devices(), 0);
        // Nor with one that was made and taken away meanwhile.
        let before = offer(6);
        scene.enrolled();
        assert_eq!(scene.devices(), 1);
        scene.administer(Request::Administer(order));
        assert_eq!(said(&confirmed(7, &before).reply), "Declined(ChangedMeanwhile)");
        // What is begun afterwards is gone on with.
        scene.enrolled();
        assert_eq!(scene.devices(), 1);
    }
}

#[test]
fn a_host_for_logins_adds_no_device_but_the_first_for_a_passcode() {
    let scene = Scene::new();
    let ask = |request: Request| scene.ask(0, LOGIN, question(1, request, None));
    let reply = |request: Request| said(&ask(request).map_err(|failure| failure.error).unwrap().reply);
    assert_eq!(reply(ENROLL), "Declined(PasscodeNeeded)");
    let add =
        |proof: Option<&str>| Request::Add { name: None, proof: proof.map(secret), token: None, to: None, count: None };
    assert_eq!(reply(add(None)), "Declined(PasscodeNeeded)");
    assert!(reply(Request::Enroll { proof: Some(secret("K7QD-M3XA-92TE")), count: None }).contains("PasscodeUnknown"));
    let (status, error, hint) =
        refused(scene.ask(0, LOGIN, SelfQuestion { in_login: true, ..question(1, ENROLL, None) }));
    assert_eq!((status, error.as_str()), (403, "host login1 does not have the right enroll"));
    assert_eq!(hint, "if it is to have it, on a verifier: otp-verifier host rights login1 login,enroll");
    // A number in the middle of a login neither.
    let to = otp_core::protocol::request::SendTo {
        kind: otp_core::value::destination::Channel::Sms,
        to: "+61412345678".into(),
    };
    for proof in [None, Some(secret("x"))] {
        let request = Request::Add { name: None, proof, token: None, to: Some(to.clone()), count: None };
        let question = SelfQuestion { in_login: true, ..question(1, request, None) };
        assert_eq!(refused(scene.ask(0, LOGIN, question)).0, 403);
    }
    let (seed, codes) = scene.enrolled();
    let proof = || secret(&codes[0]);
    let device = || "1".to_owned();
    for request in [
        Request::Enroll { proof: Some(proof()), count: None },
        ENROLL,
        add(Some(&codes[0])),
        Request::Rename { device: device(), name: "new".into(), proof: proof() },
        Request::Remove { device: device(), proof: proof() },
        Request::Default { device: device(), proof: proof() },
        Request::Resync { device: None, first: proof(), second: proof() },
        Request::Recovery { proof: Some(proof()), count: None },
        Request::Recovery { proof: None, count: None },
        Request::Disable { proof: proof() },
        Request::ForgetAddresses {},
    ] {
        let (status, error, _) = refused(ask(request));
        assert_eq!((status, error.as_str()), (403, "host login1 does not have the right enroll"));
    }
    // Nothing of it looked at the proof, which is good for what a login does.
    assert!(reply(Request::Test { proof: proof() }).contains("Accepted") && scene.devices() == 1);
    // What a host that enrolls has begun is not for it, and not for that host once the right is gone.
    let request = Request::Add { name: None, proof: Some(secret(&codes[1])), token: None, to: None, count: None };
    let offer = scene.answered(0, WEB, question(2, request, None));
    let code = shown(&self::seed(&offer.reply));
    let go_on = |key| scene.ask(1, key, question(3, confirm(&code), offer.under_way.as_ref()));
    assert!(said(&go_on(LOGIN).map_err(|failure| failure.error).unwrap().reply).starts_with("what is under way was"));
    scene.verifiers[0]
        .session
        .set_rights(&scene.verifiers[0].fleet.keys(), "web1", &[Right::Login], NewScope::AllUsers)
        .unwrap();
    assert_eq!(refused(go_on(WEB)).0, 403);
    assert!(!seed.is_empty());
    scene.verifiers[0]
        .session
        .set_rights(&scene.verifiers[0].fleet.keys(), "web1", &[Right::Import], NewScope::AllUsers)
        .unwrap();
    let (status, error, _) = refused(scene.ask(0, WEB, question(5, Request::Status {}, None)));
    assert_eq!((status, error.as_str()), (403, "host web1 does not have the right login or enroll"));
}

#[test]
fn the_passcode_of_a_login_permits_the_enrollment_in_it_on_the_same_host() {
    let scene = Scene::new();
    let passcode = scene.passcode();
    let in_login = |number, request, under_way: Option<&Confidential>| SelfQuestion {
        place: Place { by: 0, ..place() },
        in_login: true,
        ..question(number, request, under_way)
    };
    assert_eq!(refused(scene.ask(0, LOGIN, in_login(1, ENROLL, None))).0, 403);
    assert_eq!(scene.verify(LOGIN, 2, &passcode), "accepted passcode");
    assert!(
        scene.verifiers[0]
            .session
            .add_host(&scene.verifiers[0].fleet.keys(), "login2", &[4; 32], &[Right::Login], None)
            .unwrap()
    );
    assert_eq!(refused(scene.ask(0, [4; 32], in_login(3, ENROLL, None))).0, 403, "another host knows no passcode");
    scene.sql("UPDATE otp.record SET host = 'login2'");
    assert_eq!(refused(scene.ask(0, [4; 32], in_login(11, ENROLL, None))).0, 403, "no verifier has written that");
    scene.sql("UPDATE otp.record SET host = 'login1'");
    let offer = scene.answered(1, LOGIN, in_login(4, ENROLL, None));
    let code = shown(&seed(&offer.reply));
    let confirmed = scene.answered(0, LOGIN, in_login(5, confirm(&code), offer.under_way.as_ref()));
    let done = scene.answered(1, LOGIN, in_login(6, Request::Activate {}, confirmed.under_way.as_ref()));
    let (what, by) = ("enrolled".into(), "accepted passcode".into());
    assert_eq!(done.event, Some(SelfEvent::Change { what, device: None, by }));
    assert_eq!((said(&done.reply).as_str(), scene.devices()), ("Changed(true)", 1));
    // It was good for one device.
    assert_eq!(refused(scene.ask(0, LOGIN, in_login(7, ENROLL, None))).0, 403);
    scene.administer(Request::Administer(Order::Reset));
    assert_eq!(refused(scene.ask(0, LOGIN, in_login(8, ENROLL, None))).0, 403);
    // After its time, too.
    let passcode = scene.passcode();
    assert_eq!(scene.verify(LOGIN, 9, &passcode), "accepted passcode");
    scene.sql("UPDATE otp.record SET answered = answered - interval '16 min'");
    assert_eq!(refused(scene.ask(0, LOGIN, in_login(10, ENROLL, None))).0, 403);
}

#[test]
fn a_policy_that_wants_a_passcode_is_heard_and_root_of_a_host_that_enrolls_needs_none() {
    let scene = Scene::new();
    let ask = |key, by| {
        let place = Place { by, ..place() };
        said(&scene.answered(0, key, SelfQuestion { passcode: true, place, ..question(1, ENROLL, None) }).reply)
    };
    assert_eq!(ask(WEB, 1000), "Declined(PasscodeNeeded)");
    assert!(ask(WEB, 0).starts_with("Offer"));
    assert_eq!(ask(LOGIN, 0), "Declined(PasscodeNeeded)");
    let accepted = Kinds::HOTP;
    let unfit = scene.answered(0, WEB, SelfQuestion { accepted, ..question(2, ENROLL, None) });
    assert!(said(&unfit.reply).starts_with("Declined(KindNotAccepted"), "{unfit:?}");
}

#[test]
fn wrong_proofs_spend_the_budget_of_a_host_and_recovery_codes_do_not() {
    let scene = Scene::new();
    let (_, codes) = scene.enrolled();
    let disable = |number: u8, proof: &str| {
        let request = Request::Disable { proof: secret(proof) };
        scene.ask(0, WEB, question(number, request, None))
    };
    for number in 0..30 {
        let reply = disable(40 + number, "AAAA-BBBB-CCCC-DDDD").map_err(|failure| failure.error).unwrap().reply;
        assert!(said(&reply).contains("RecoveryUnknown"), "{reply:?}");
    }
    let unlock = || scene.administer(Request::Administer(Order::Unlock));
    for number in 0..8 {
        unlock();
        let reply = disable(80 + number, "000000").map_err(|failure| failure.error).unwrap().reply;
        assert!(said(&reply).contains("Wrong"), "{number} {reply:?}");
    }
    unlock();
    assert_eq!(refused(disable(110, &codes[0])).0, 429);
    assert_eq!(scene.sql("SELECT count(*) FROM otp.audit WHERE event = 'alarm-budget-spent'"), "1");
    // Another host is served, and so is what is no guess.
    assert_eq!(scene.devices(), 1);
}

/// A host that accepts none of a user's kinds is told of no code that it is wrong, and guesses all the same.
#[test]
fn wrong_codes_of_a_kind_that_is_not_accepted_spend_the_budget_too() {
    let scene = Scene::new();
    let (seed, _) = scene.enrolled();
    let unlock = || scene.administer(Request::Administer(Order::Unlock));
    let verify = |number: u8, typed: &str| scene.verify_of(Kinds::HOTP, LOGIN, number, typed);
    for number in 0..8 {
        unlock();
        let verdict = verify(80 + number, "000000").map_err(|failure| failure.error).unwrap();
        assert_eq!(verdict, "refused kind-not-accepted failures 1", "{number}");
    }
    unlock();
    let Err(Failure { status, .. }) = verify(110, &shown(&seed)) else { panic!("answered") };
    assert_eq!(status, 429);
}

#[test]
fn a_question_that_is_none_of_self_service_and_a_user_out_of_scope_are_refused() {
    let scene = Scene::new();
    for request in [Request::Adopt { with_passcode: false }, Request::SealKeys {}, Request::Enrolling(Box::new(ENROLL))]
    {
        assert_eq!(refused(scene.ask(0, WEB, question(1, request, None))).0, 400);
    }
    scene.verifiers[0]
        .session
        .set_rights(&scene.verifiers[0].fleet.keys(), "web1", &[Right::Enroll], NewScope::Of("few"))
        .unwrap();
    let (status, error, _) = refused(scene.ask(0, WEB, question(1, ENROLL, None)));
    assert_eq!((status, error.as_str()), (403, "host web1 may not ask about this user"));
    assert_eq!(scene.verifiers[0].session.suspend(&scene.verifiers[0].fleet.keys(), "web2").unwrap(), Changed::Yes);
    assert_eq!(refused(scene.ask(0, WEB2, question(1, ENROLL, None))).0, 403);
}

#[test]
fn the_tries_of_a_pin_are_counted_by_all_verifiers_and_outlast_what_is_carried() {
    let scene = Scene::new();
    let (pin, until) = (PinId([5; 16]), UnixTime::now().after(Seconds(600)));
    let count = |at: usize, pin| scene.verifiers[at].session.count_try(pin, until).unwrap();
    assert_eq!([count(0, pin), count(1, pin), count(0, pin), count(1, pin)], [1, 2, 3, 4]);
    assert_eq!(count(0, PinId([6; 16])), 1);
    scene.sql("UPDATE otp.pin_try SET ends = now() - interval '1 s' WHERE tries = 4");
    assert_eq!((count(0, PinId([6; 16])), scene.sql("SELECT count(*) FROM otp.pin_try").as_str()), (2, "1"));
}

/// Where messages are sent, an offer is a number with its PIN: the text of a verifier that sent one.
#[test]
fn a_pin_that_is_carried_has_three_tries_however_often_its_text_is_gone_back_to() {
    let scene = Scene::new();
    let offer = scene.answered(0, WEB, question(1, ENROLL, None));
    let keys = scene.verifiers[0].fleet.keys();
    let alice = UserName::parse("alice").unwrap();
    let plain = keys.open_under_way(&alice, "web1", offer.under_way.unwrap().expose()).unwrap();
    let until = UnixTime::now().after(Seconds(600)).0;
    let sent = |id: &str| {
        let plain = std::str::from_utf8(&plain).unwrap();
        let pin = format!("seed = \"drawn\"\npin = \"0123\"\npin_until = {until}\npin_id = \"{}\"", id.repeat(16));
        let plain = plain.replace("seed = \"drawn\"", &pin).replace("digits = 6", "digits = 7");
        let plain = plain.replace("type = \"totp\"\nperiod = 30", "type = \"sms\"\nto = \"+61412345678\"");
        secret(&keys.seal_under_way(&alice, "web1", &plain).unwrap())
    };
    let text = sent("0a");
    let tried = |at, typed: &str, text: &Confidential| {
        said(&scene.answered(at, WEB, question(2, confirm(typed), Some(text))).reply)
    };
    assert_eq!(tried(0, "0000", &text), "Declined(PinWrong { left: 2 })");
    assert_eq!(tried(0, "no PIN", &text), "Declined(PinWrong { left: 2 })");
    assert_eq!(tried(1, "0000", &text), "Declined(PinWrong { left: 1 })");
    assert_eq!(tried(0, "0000", &text), "Declined(PinUsedUp)");
    for at in [0, 1] {
        assert_eq!(tried(at, "0123", &text), "Declined(PinUsedUp)", "the right one comes too late");
    }
    // Another PIN.
    assert!(tried(1, "0123", &sent("0b")).starts_with("RecoveryCodes"));
}
