//! Fixtures of the tests: Alice with a state directory, and what she types.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::codes::attempt::{Attempt, Typed};
use crate::codes::passcode::{Issued, Passcode};
use crate::config::Config;
use crate::store::files::identity::StoreId;
use crate::store::files::open::FileStore;
use crate::system::config_file::Site;
pub(crate) use crate::testing::alice::*;
use crate::value::time::UnixTime;

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

/// Two counters in one window at which device 1 shows equal digits.
pub(crate) const EQUAL_CODES: (u64, u64) = (98_831, 98_838);

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
