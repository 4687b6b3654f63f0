//! Orders to a fleet that is not there: what the stock says after each.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::codes::hotp_totp::{Algorithm, Digits};
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::error::HelperError;
use otp_core::protocol::request::Reply;
use otp_core::record::credentials::Device;
use otp_core::record::id::DeviceId;
use otp_core::service::authority::Authority;
use otp_core::value::login_context::LoginContext;
use otp_core::value::secret::Secret;
use otp_core::value::time::UnixTime;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Of the token, as an order has it.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// What becomes of an order.
#[derive(Clone, Copy)]
enum Fate {
    Answered,
    /// It is done, and its answer is lost.
    Lost,
    /// It does not arrive, and there is no answer either.
    Gone,
    Declined(Declined),
    /// The agent says that it was not done.
    Failed,
}

/// A fleet: the name of the token, if the user has it.
#[derive(Clone, Default)]
struct Fleet(Rc<RefCell<Option<String>>>);

struct Order(Fleet, Fate);

fn no_answer() -> CoreError {
    CoreError::Agent(HelperError::Reports { error: "the order was sent".into(), hint: "look".into() })
}

impl Fleet {
    fn client(&self, fate: Fate) -> Client<'static> {
        Client::by(Box::new(Order(self.clone(), fate)))
    }

    fn status(&self) -> Status {
        let device = |name: &String| {
            json!({"id": 1, "name": name, "type": "hotp", "algorithm": "SHA1", "digits": 6, "period": null, "suite": null, "drift": null,
                "created": "", "default": true, "last_used": null, "confirmed": false, "awaits_resync": false, "serial": "A1"})
        };
        let devices: Vec<_> = self.0.borrow().iter().map(device).collect();
        serde_json::from_value(
            json!({"user": "alice", "enrolled": true, "override": "none", "override_until": null, "devices": devices,
            "recovery_codes_left": 0, "failures": 0, "lock": "open", "last_accepted": null}),
        )
        .unwrap()
    }

    /// As a verifier adds a device.
    fn add(&self, name: Option<String>, secret: &str) -> Reply {
        assert_eq!(secret, SEED);
        let had = self.0.borrow().clone();
        if had.is_some() && had == name {
            return Reply::Declined(Declined::NameTaken);
        }
        if had.is_some() {
            return Reply::Declined(Declined::SeedKnown);
        }
        *self.0.borrow_mut() = Some(name.unwrap_or_else(|| "token".into()));
        Reply::ChangedDevice(DeviceId(1))
    }
}

impl Authority for Order {
    fn demand(&self, _: &LoginContext) -> Result<Demand, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn challenge(&self, _: &LoginContext, _: Option<&Typed>) -> Result<Challenge, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn verify(&self, _: &LoginContext, _: &Typed) -> Result<Verdict, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        let Self(fleet, fate) = self;
        if let Request::Status {} = request {
            return Ok(Reply::Status(fleet.status()));
        }
        let Request::AdministerDevice(DeviceOrder::Add { name, token, .. }) = request else { panic!("{request:?}") };
        match *fate {
            Fate::Answered => Ok(fleet.add(name, token.secret.expose())),
            Fate::Lost => {
                fleet.add(name, token.secret.expose());
                Err(no_answer())
            }
            Fate::Gone => Err(no_answer()),
            Fate::Declined(declined) => Ok(Reply::Declined(declined)),
            Fate::Failed => Ok(Reply::Failed { error: "no right".into(), hint: "see".into() }),
        }
    }
}

/// A stock with the token A1.
struct Scene {
    store: FileStore,
    fleet: Fleet,
    _folder: TempDir,
}

fn serial() -> Serial {
    Serial::parse("A1").unwrap()
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let secret = Secret::from_hex("3132333435363738393031323334353637383930").unwrap().into();
        let device = Device {
            id: DeviceId(1),
            name: DeviceName::of_token(),
            kind: Kind::Hotp,
            secret,
            algorithm: Algorithm::Sha1,
            digits: Digits::SIX,
            created: UnixTime(1_763_750_020),
            serial: Some(serial()),
        };
        store.stock_or_new().unwrap().put(&Spare { device, sealed: None, next: 0, maker: None, user: None }).unwrap();
        Self { store, fleet: Fleet::default(), _folder: folder }
    }

    fn give(&self, fate: Fate) -> Result<Option<u8>, CliError> {
        let stock = self.store.stock().unwrap().unwrap();
        let locked = stock.lock().unwrap();
        let spare = locked.get(&serial()).unwrap().expect("it is not in stock");
        give(&mut self.fleet.client(fate), &locked, spare, &UserName::parse("alice").unwrap(), &serial(), Some("blue"))
    }

    /// Whether it is in stock, and for whom.
    fn stock(&self) -> Option<Option<String>> {
        let spare = self.store.stock().unwrap().unwrap().get(&serial()).unwrap();
        spare.map(|spare| spare.user.map(|user| user.to_string()))
    }
}

fn for_alice() -> Option<Option<String>> {
    Some(Some("alice".into()))
}

#[test]
fn a_token_that_the_fleet_has_taken_is_not_in_stock() {
    let scene = Scene::new();
    assert_eq!(scene.give(Fate::Answered).unwrap(), Some(1));
    assert_eq!((scene.stock(), scene.fleet.0.borrow().as_deref()), (None, Some("blue")));
}

#[test]
fn after_a_lost_answer_it_stays_for_this_user_and_the_same_command_finishes() {
    for (fate, device) in [(Fate::Lost, None), (Fate::Gone, Some(1))] {
        let scene = Scene::new();
        let error = scene.give(fate).unwrap_err();
        assert_eq!((error.exit_code(), scene.stock()), (5, for_alice()));
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        assert!(text.starts_with("alice has the token A1 now, or not: ") && !text.contains(SEED), "{text}");
        assert!(hint.ends_with("otp-enroll admin assign alice A1"), "{hint}");
        assert_eq!(scene.give(Fate::Answered).unwrap(), device);
        assert_eq!((scene.stock(), scene.fleet.0.borrow().as_deref()), (None, Some("blue")));
    }
}

#[test]
fn a_refusal_leaves_it_to_any_user_unless_an_order_of_before_may_still_arrive() {
    for fate in [Fate::Declined(Declined::TooManyDevices), Fate::Failed] {
        let scene = Scene::new();
        let error = scene.give(fate).unwrap_err();
        assert!(!matches!(error, CliError::PerhapsGiven { .. }), "{error}");
        assert_eq!(scene.stock(), Some(None));
        scene.give(Fate::Gone).unwrap_err();
        scene.give(fate).unwrap_err();
        assert_eq!(scene.stock(), for_alice());
    }
}

#[test]
fn no_other_user_gets_what_a_user_of_the_fleet_has_or_may_get() {
    let fleet = Fleet::default();
    let said = |fleet: &Fleet| on_its_way::kept_for(&fleet.status(), &serial());
    let interrupted = "the token A1 in the fleet: it was assigned, and that was interrupted";
    assert_eq!(said(&fleet).to_string(), format!("alice may get {interrupted}"));
    *fleet.0.borrow_mut() = Some("blue".into());
    assert_eq!(said(&fleet).to_string(), format!("alice has {interrupted}"));
    assert!(said(&fleet).hint().unwrap().starts_with("finish that first: otp-enroll admin assign alice A1; "));
}
