//! Alice, her devices and her recovery codes: what tests of a store are about.

use zeroize::Zeroizing;

use crate::codes::attempt::{Attempt, Code};
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Generator, Period};
use crate::codes::recovery::{RecoveryCode, RecoverySet};
use crate::decision::kinds::Kinds;
use crate::decision::verify::{Accepted, Factor, Limits, LockFor, Refusal, Verdict};
use crate::record::Record;
use crate::record::credentials::{Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::{Progress, State};
use crate::store::note::Note;
use crate::value::secret::Secret;
use crate::value::time::{Seconds, UnixTime};
use crate::value::user::{Account, UserName};

/// The tenth second of a step of thirty.
pub const NOW: UnixTime = UnixTime(1_763_750_020);

/// The step at [`NOW`].
pub const STEP: u64 = NOW.0 / 30;

/// The defaults of the configuration.
pub const LIMITS: Limits =
    Limits { window: 1, lock_after: 6, lock_for: LockFor::Time(Seconds(15 * 60)), devices: Kinds::ALL };

/// What the writes of tests are for.
pub const NOTE: Note<'static> = Note::here("test");

pub fn named(name: &str, uid: u32) -> Account {
    Account { name: UserName::parse(name).unwrap(), uid, gid: uid }
}

pub fn alice() -> Account {
    named("alice", 1000)
}

/// A time-based device. Its seed depends on its id.
pub fn phone(id: u8) -> Device {
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

/// A counter-based device.
pub fn token(id: u8) -> Device {
    Device { kind: Kind::Hotp, ..phone(id) }
}

/// The code that a device shows for a step or counter.
pub fn shown(device: &Device, counter: u64) -> Attempt {
    Attempt::Code(code_of(device, counter))
}

pub fn code_of(device: &Device, counter: u64) -> Code {
    Generator::new(device.secret.open().unwrap(), device.algorithm, device.digits).code(counter).unwrap()
}

/// The right code of alice's phone.
pub fn right() -> Attempt {
    shown(&phone(1), STEP)
}

/// The code of a device that no record has.
pub fn wrong() -> Attempt {
    shown(&phone(99), STEP)
}

/// The verdict for the right code.
pub fn by_phone() -> Verdict {
    Verdict::Accepted(Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: Some(10), failures: 0 })
}

/// The verdict for a right code after so many wrong ones.
pub fn after(failures: u32, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Accepted(accepted) => Verdict::Accepted(Accepted { failures, ..accepted }),
        Verdict::Refused(_) => verdict,
    }
}

/// The verdict for a used code.
pub const REPLAYED: Verdict = Verdict::Refused(Refusal::Replayed { clock_behind: None });

/// The verdict for the n-th wrong code in a row.
pub fn wrong_for_the(failures: u32) -> Verdict {
    Verdict::Refused(Refusal::Wrong { failures, clock_behind: None })
}

/// The n-th of Alice's ten recovery codes, from 0; from 10 on, a code that she does not have.
pub fn recovery_code(n: u8) -> RecoveryCode {
    RecoveryCode::new([n; 10])
}

pub fn recovery(n: u8) -> Attempt {
    Attempt::Recovery(recovery_code(n))
}

pub fn ten_codes() -> RecoverySet {
    let codes: Vec<_> = (0..10).map(recovery_code).collect();
    RecoverySet::of([7; 16], &codes)
}

/// Alice's record before the first login: these devices and ten recovery codes.
pub fn record(devices: Vec<Device>) -> Record {
    let devices = devices.into_iter().map(|device| (device, Progress::from(0))).collect();
    Record::begin(&alice(), EnrollmentId([1; 16]), Override::None, devices, Some(ten_codes()))
}

/// The devices and codes of a record under a new enrollment, before the first login.
pub fn re_enrolled(record: &Record, number: u8) -> Record {
    let enrollment = EnrollmentId([number; 16]);
    let credentials = record.renewed(enrollment).credentials;
    let mut state = State::new(enrollment);
    state.devices = credentials.devices.iter().map(|device| (device.id, Progress::from(0))).collect();
    Record { credentials, state }
}

/// What an app with this seed, in Base32, shows in a step.
pub fn shown_by_app(seed: &str, step: u64) -> String {
    let secret = Secret::from_base32(seed).unwrap();
    Generator::new(&secret, Algorithm::Sha1, Digits::SIX).code(step).unwrap().reveal().to_string()
}
