//! Tokens as comma-separated values.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::csv::{Options, read};
use otp_formats::map::Map;
use otp_formats::seed::Encoding;
use pam_otp_fuzz::{imported, says_nothing};

fuzz_target!(|data: &[u8]| {
    let map = match Map::read(data) {
        Ok(map) => map,
        Err(faults) => {
            faults.iter().for_each(|fault| says_nothing(&fault.what));
            Map::default()
        }
    };
    for (encoding, without_domain) in [(None, false), (Some(Encoding::Hex), true)] {
        let options = Options { encoding, without_domain };
        let found = read(data, options, map.clone()).expect("it is in memory");
        let rest = imported(data, &found);
        assert!(rest.len() <= data.len());
    }
});
