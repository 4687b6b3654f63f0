//! A container of keys: what is left of it when tokens were taken is a container with the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::map::Map;
use otp_formats::pskc::cipher::Unlock;
use otp_formats::pskc::container::{Container, Protection};
use otp_formats::pskc::read;
use pam_otp_fuzz::{NOW, imported, says_nothing};

/// The key of RFC 6030, figure 6.
const KEY: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12];

fuzz_target!(|data: &[u8]| {
    let container = match Container::of(data) {
        Ok(container) => container,
        Err(fault) => return says_nothing(&fault.what),
    };
    // A key of a password may take seconds, as it should.
    let is_password = matches!(container.protection(), Protection::Password(_));
    let unlock = if is_password { Unlock::Nothing } else { Unlock::Key(&KEY) };
    let found = match read(container, unlock, Map::default(), NOW) {
        Ok(found) => found,
        Err(fault) => return says_nothing(&fault.what),
    };
    let left = found.faults.len();
    let rest = imported(data, &found);
    let again = Container::of(&rest).and_then(|rest| read(rest, unlock, Map::default(), NOW));
    let again = again.unwrap_or_else(|fault| panic!("the rest is no container: {fault:?}"));
    // Two with one serial number are a fault only as long as both are there.
    assert!(again.faults.len() <= left);
});
