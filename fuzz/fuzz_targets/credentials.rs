//! A credentials file: one meaning has one spelling, and a truncated file is an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state::{Progress, State};
use pam_otp_fuzz::place;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = Credentials::decode(data, ReadContext::ANYONE) else { return };
    let text = read.encode();
    let again = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).expect("our own encoding can be read");
    assert_eq!(format!("{again:?}"), format!("{read:?}"));
    assert_eq!(*again.encode(), *text);

    // There is one spelling, except for comments and blanks.
    assert_eq!(significant(std::str::from_utf8(data).unwrap()), significant(&text));

    // No truncated file, even if it is cut between two devices, is a record with fewer devices, without recovery codes or
    // without its override.
    let cut = place(data, text.len());
    let ends = text.match_indices("\n\n").map(|(end, _)| end + 1);
    for cut in ends.chain([cut]) {
        let Ok(less) = Credentials::decode(&text.as_bytes()[..cut], ReadContext::ANYONE) else { continue };
        assert_eq!(*less.encode(), *text, "cut at {cut}");
    }

    // As on disk: the state names the devices, and a state of another enrollment is rejected.
    let state = state_of(&read);
    assert!(Record::new(again, state.clone()).is_ok());
    let mut other = state;
    other.enrollment = EnrollmentId(other.enrollment.0.map(|byte| !byte));
    assert!(Record::new(read, other).is_err());
});

fn state_of(read: &Credentials) -> State {
    let mut state = State::new(read.enrollment);
    state.devices = read.devices.iter().map(|device| (device.id, Progress::from(7))).collect();
    state
}

fn significant(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
