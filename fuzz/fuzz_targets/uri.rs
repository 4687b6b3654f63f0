//! `otpauth://` URIs, one a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::map::Map;
use otp_formats::uri::read;
use pam_otp_fuzz::imported;

fuzz_target!(|data: &[u8]| {
    for without_domain in [false, true] {
        let found = read(data, without_domain, Map::default()).expect("it is in memory");
        let left = found.faults.len();
        let rest = imported(data, &found);
        let again = read(&rest[..], without_domain, Map::default()).expect("it is in memory");
        assert!(again.faults.len() <= left);
    }
});
