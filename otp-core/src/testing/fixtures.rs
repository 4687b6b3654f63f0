//! Fixtures of the tests: Alice, her devices and her recovery codes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::unistd::geteuid;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::codes::attempt::{Attempt, Code, Typed};
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Generator, Period};
use crate::codes::passcode::{Issued, Passcode};
use crate::codes::recovery::{RecoveryCode, RecoverySet};
use crate::config::Config;
use crate::decision::kinds::Kinds;
use crate::decision::verify::{Accepted, Factor, Limits, LockFor, Refusal, Verdict};
use crate::record::Record;
use crate::record::credentials::{Credentials, Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::seal::SealedHashes;
use crate::record::state::State;
use crate::store::files::identity::StoreId;
use crate::store::files::open::FileStore;
use crate::system::config_file::Site;
use crate::value::secret::Secret;
use crate::value::time::{Seconds, UnixTime};
use crate::value::user::{Account, UserName};

/// The tenth second of a step of thirty.
pub(crate) const NOW: UnixTime = UnixTime(1_763_750_020);

/// The step at [`NOW`].
pub(crate) const STEP: u64 = NOW.0 / 30;

/// The defaults of the configuration.
pub(crate) const LIMITS: Limits =
    Limits { window: 1, lock_after: 6, lock_for: LockFor::Time(Seconds(15 * 60)), devices: Kinds::ALL };

/// The group that may enter the state directory.
pub(crate) const GROUP: u32 = 4242;

/// An empty state directory, as the package makes it.
pub(crate) fn state_directory() -> TempDir {
    assert!(geteuid().is_root(), "this test makes files for several users: run it as root");
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(0), Some(GROUP)).unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o1730)).unwrap();
    directory
}

/// A site with these lines in its configuration, and its state directory, which is removed when it is dropped.
pub(crate) fn site(lines: &str) -> (Site, TempDir) {
    let directory = state_directory();
    let text = format!("issuer = \"Example\"\nstate_directory = {:?}\n{lines}", directory.path());
    let path = directory.path().join("pam_otp.toml");
    let site = Site { config: Config::parse(&path, &text).unwrap(), path, ask_for_keys: None };
    let store = FileStore::open(directory.path()).unwrap();
    store.set_identity(&site.store_id(), StoreId::new([7; 16])).unwrap();
    (site, directory)
}

pub(crate) fn named(name: &str, uid: u32) -> Account {
    Account { name: UserName::parse(name).unwrap(), uid, gid: uid }
}

pub(crate) fn alice() -> Account {
    named("alice", 1000)
}

/// A time-based device. Its seed depends on its id.
pub(crate) fn phone(id: u8) -> Device {
    Device {
        id: DeviceId(id),
        name: DeviceName::parse("phone").unwrap(),
        kind: Kind::Totp(Clock::of_app(Period::THIRTY)),
        secret: Secret::new(Zeroizing::new(vec![id; 20])).unwrap().into(),
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        created: UnixTime(NOW.0 - 86_400),
        serial: None,
    }
}

/// Two counters in one window at which device 1 shows equal digits.
pub(crate) const EQUAL_CODES: (u64, u64) = (98_831, 98_838);

/// A counter-based device.
pub(crate) fn token(id: u8) -> Device {
    Device { kind: Kind::Hotp, ..phone(id) }
}

/// The code that a device shows for a step or counter.
pub(crate) fn shown(device: &Device, counter: u64) -> Attempt {
    Attempt::Code(code_of(device, counter))
}

pub(crate) fn code_of(device: &Device, counter: u64) -> Code {
    Generator::new(device.secret.open().unwrap(), device.algorithm, device.digits).code(counter).unwrap()
}

/// The right code of alice's phone.
pub(crate) fn right() -> Attempt {
    shown(&phone(1), STEP)
}

/// The code of a device that no record has.
pub(crate) fn wrong() -> Attempt {
    shown(&phone(99), STEP)
}

/// The verdict for the right code.
pub(crate) fn by_phone() -> Verdict {
    Verdict::Accepted(Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: Some(10), failures: 0 })
}

/// The verdict for a right code after so many wrong ones.
pub(crate) fn after(failures: u32, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Accepted(accepted) => Verdict::Accepted(Accepted { failures, ..accepted }),
        Verdict::Refused(_) => verdict,
    }
}

/// The verdict for a used code.
pub(crate) const REPLAYED: Verdict = Verdict::Refused(Refusal::Replayed { clock_behind: None });

/// The verdict for the n-th wrong code in a row.
pub(crate) fn wrong_for_the(failures: u32) -> Verdict {
    Verdict::Refused(Refusal::Wrong { failures, clock_behind: None })
}

/// The digits of a code, from the library and not from the code under test.
pub(crate) fn digits_of(seed: &[u8], counter: u64) -> String {
    let builder = totp_rs::Builder::new().with_secret(seed.to_vec()).with_step_duration(1);
    builder.build_noncompliant().generate(counter).to_string()
}

pub(crate) fn typed(text: &str) -> Attempt {
    Attempt::parse(&Typed::new(text.as_bytes().to_vec()))
}

/// Alice's passcode, where she has one.
pub(crate) fn passcode() -> Passcode {
    Passcode::parse(b"K7QD-M3XA-92TE").unwrap()
}

/// Her passcode as it is stored, for every service.
pub(crate) fn issued_until(until: UnixTime) -> Issued {
    Issued::of(&passcode(), [8; 16], until, None).unwrap()
}

/// The n-th of Alice's ten recovery codes, from 0; from 10 on, a code that she does not have.
pub(crate) fn recovery_code(n: u8) -> RecoveryCode {
    RecoveryCode::new([n; 10])
}

pub(crate) fn recovery(n: u8) -> Attempt {
    Attempt::Recovery(recovery_code(n))
}

pub(crate) fn ten_codes() -> RecoverySet {
    let codes: Vec<_> = (0..10).map(recovery_code).collect();
    RecoverySet::of([7; 16], &codes)
}

/// Alice's record before the first login: these devices and ten recovery codes.
pub(crate) fn record(devices: Vec<Device>) -> Record {
    let Account { name: user, uid, .. } = alice();
    let enrollment = EnrollmentId([1; 16]);
    let mut state = State::new(enrollment);
    state.set_nexts(devices.iter().map(|device| (device.id.0, 0)));
    let (user_override, recovery) = (Override::None, Some(ten_codes()));
    let default = devices.first().map(|device| device.id);
    let last_id = devices.last().map_or(DeviceId(0), |device| device.id);
    let credentials = Credentials {
        user,
        uid,
        enrollment,
        user_override,
        devices,
        default,
        last_id,
        recovery,
        scratch: None,
        passcode: None,
        sealed: SealedHashes::default(),
    };
    Record::new(credentials, state).unwrap()
}

/// The devices and codes of a record under a new enrollment, before the first login.
pub(crate) fn re_enrolled(record: &Record, number: u8) -> Record {
    let enrollment = EnrollmentId([number; 16]);
    let credentials = record.renewed(enrollment).credentials;
    let mut state = State::new(enrollment);
    state.set_nexts(credentials.devices.iter().map(|device| (device.id.0, 0)));
    Record { credentials, state }
}
