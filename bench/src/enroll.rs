//! Enrollment in each module's own way.

use otp_core::system::accounts;
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::Command,
};

use base32ct::{Base32UpperUnpadded, Encoding};
use otp_core::codes::hotp_totp::{Algorithm, Clock, Digits, Period};
use otp_core::codes::recovery::{RecoveryCode, RecoverySet};
use otp_core::record::Record;
use otp_core::record::credentials::{Credentials, Device, DeviceName, Kind, Override};
use otp_core::record::id::{DeviceId, EnrollmentId};
use otp_core::record::seal::SealedParts;
use otp_core::record::state::{Progress, State};
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::store::{Store, Swap};
use otp_core::value::secret::Secret;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;
use pam_otp_tests::machine;
use zeroize::Zeroizing;

use crate::codes::Key;
use crate::place::{Place, home, oath_file, ours_dir};

/// The moving factor of the codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Factor {
    /// Time, as users are usually enrolled: used codes are refused, and the incumbent limits attempts as its tool proposes.
    Time,
    /// A counter, so that one user has any number of codes; without the incumbent's limit of attempts.
    Counter,
}

/// The shipped configuration with another state directory, and the user's key.
pub(crate) fn ours(place: &Place, user: &str, factor: Factor) -> (PathBuf, Key) {
    let (key, account) = (Key::random(), accounts::account(user).unwrap().unwrap());
    let record = record(&account, &key, factor, [1; 16]);
    let (store, note) = (FileStore::open(&ours_dir(place)).unwrap(), Note::here("enrolled"));
    if let Some(loaded) = store.load(&account).unwrap() {
        assert_eq!(store.remove(&account, loaded.hold, &note).unwrap(), Swap::Done);
    }
    assert_eq!(store.replace(&account, None, &record, &note).unwrap(), Swap::Done);
    (config(place), key)
}

/// A record before the first login: one device and ten recovery codes.
pub(crate) fn record(account: &Account, key: &Key, factor: Factor, enrollment: [u8; 16]) -> Record {
    let device = Device {
        id: DeviceId(1),
        name: DeviceName::parse("phone").unwrap(),
        kind: match factor {
            Factor::Time => Kind::Totp(Clock::of_app(Period::THIRTY)),
            Factor::Counter => Kind::Hotp,
        },
        secret: Secret::new(Zeroizing::new(key.0.clone())).unwrap().into(),
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        created: UnixTime(1_760_000_000),
        serial: None,
    };
    let codes: Vec<_> = (0..10).map(recovery_code).collect();
    let credentials = Credentials {
        user: account.name.clone(),
        uid: account.uid,
        enrollment: EnrollmentId(enrollment),
        user_override: Override::None,
        devices: vec![device],
        default: Some(DeviceId(1)),
        last_id: DeviceId(1),
        recovery: Some(RecoverySet::of([7; 16], &codes)),
        scratch: None,
        passcode: None,
        sealed: SealedParts::default(),
    };
    let mut state = State::new(credentials.enrollment);
    state.devices.insert(DeviceId(1), Progress::from(0));
    Record::new(credentials, state).unwrap()
}

/// The n-th recovery code of every user.
pub(crate) fn recovery_code(n: u8) -> RecoveryCode {
    RecoveryCode::new([n; 10])
}

/// The shipped configuration with another state directory.
pub(crate) fn config(place: &Place) -> PathBuf {
    let path = place.path.join("pam_otp.toml");
    let shipped = fs::read_to_string(machine::source("config/pam_otp.toml")).unwrap();
    let line = "#state_directory = \"/var/lib/pam_otp\"";
    assert!(shipped.contains(line), "the shipped configuration has no {line}");
    fs::write(&path, shipped.replace(line, &format!("state_directory = \"{}\"", ours_dir(place).display()))).unwrap();
    pam_otp_tests::site::identify(&path, &ours_dir(place));
    path
}

/// Enrolls with the incumbent's own tool and the options that it proposes.
pub(crate) fn incumbent(place: &Place, user: &str, factor: Factor) -> Key {
    let account = accounts::account(user).unwrap().unwrap();
    let file = home(place, user, account.uid).join(".google_authenticator");
    let _ = fs::remove_file(&file);
    let mut tool = Command::new("google-authenticator");
    tool.args(match factor {
        Factor::Time => ["-t", "-d", "-f", "-r", "3", "-R", "30", "-w", "3"].as_slice(),
        Factor::Counter => ["-c", "-f", "-u", "-w", "3", "-e", "10"].as_slice(),
    });
    machine::run(tool.args(["--no-confirm", "--quiet", "--qr-mode=NONE", "--secret"]).arg(&file));
    chown(&file, Some(account.uid), Some(account.gid)).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    Key(Base32UpperUnpadded::decode_vec(text.lines().next().unwrap()).unwrap())
}

/// The key, and the offset of the user's line. It is the last one, so that what a login appends moves no other line.
pub(crate) fn oath(place: &Place, user: &str, factor: Factor) -> (Key, u64) {
    let (key, path) = (Key::random(), oath_file(place));
    let mut file = File::options().append(true).open(&path).unwrap();
    let offset = file.metadata().unwrap().len();
    file.write_all(oath_line(user, &key, factor).as_bytes()).unwrap();
    file.sync_all().unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (key, offset)
}

/// A line of users.oath.
pub(crate) fn oath_line(user: &str, key: &Key, factor: Factor) -> String {
    let kind = match factor {
        Factor::Time => "HOTP/T30/6",
        Factor::Counter => "HOTP/E/6",
    };
    format!("{kind}\t{user}\t-\t{}\n", base16ct::lower::encode_string(&key.0))
}
