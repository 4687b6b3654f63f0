//! A file of google-authenticator.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::google_authenticator::{Windows, read};
use pam_otp_fuzz::{becomes_a_record, says_nothing};

fuzz_target!(|data: &[u8]| {
    match read(data, Windows { totp: 3, hotp: 10 }) {
        Ok(file) => becomes_a_record(file.found),
        Err(what) => says_nothing(&what),
    }
});
