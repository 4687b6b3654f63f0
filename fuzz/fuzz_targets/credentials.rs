//! A credentials file: one meaning has one spelling, and whatever is cut off is missed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::record::Record;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state::State;
use pam_otp_fuzz::place;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = Credentials::decode(data, ReadContext::ANYONE) else { return };
    let text = read.encode();
    let again = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).expect("what we write ourselves is read");
    assert_eq!(format!("{again:?}"), format!("{read:?}"));
    assert_eq!(*again.encode(), *text);

    // But for comment and blanks there is one way to say it.
    assert_eq!(significant(std::str::from_utf8(data).unwrap()), significant(&text));

    // No cut, be it between two devices, gives a record with fewer of them, without recovery codes, or without the
    // override that was set.
    let cut = place(data, text.len());
    let ends = text.match_indices("\n\n").map(|(end, _)| end + 1);
    for cut in ends.chain([cut]) {
        let Ok(less) = Credentials::decode(&text.as_bytes()[..cut], ReadContext::ANYONE) else { continue };
        assert_eq!(*less.encode(), *text, "cut at {cut}");
    }

    // As on disk: the state beside it knows the devices, and that of another enrollment does not pass for this one's.
    let state = state_of(&read);
    assert!(Record::new(again, state.clone()).is_ok());
    let mut other = state;
    other.enrollment = EnrollmentId(other.enrollment.0.map(|byte| !byte));
    assert!(Record::new(read, other).is_err());
});

fn state_of(read: &Credentials) -> State {
    let mut state = State::new(read.enrollment);
    state.next = read.devices.iter().map(|device| (device.id, 7)).collect();
    state
}

fn significant(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
