//! The users file of pam_oath.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::pam_oath::read;
use pam_otp_fuzz::{NOW, imported};

fuzz_target!(|data: &[u8]| {
    imported(data, &read(data, NOW).expect("it is in memory"));
});
