//! A credentials file: one meaning has one spelling, and a truncated file is an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::record::Record;
use otp_core::record::credentials::{Credentials, Needed};
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::EnrollmentId;
use otp_core::record::key_ring::Ring;
use otp_core::record::seal::{SealKey, Shut};
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

    // What is sealed opens under its key alone, and then is what it was; nothing opens what the fuzzer has sealed.
    let (mine, other) = (SealKey::new(&[1; 32]), SealKey::new(&[2; 32]));
    let ring = |key: &SealKey| Ring::of_bytes(&Ring::bytes_of([(mine.id(), key)].into_iter(), false));
    assert!(ring(&other).is_none(), "a key under another one's id");
    let mut opened = read.duplicate();
    opened.open_sealed(Needed::All, || ring(&mine).ok_or(Shut::NoKey));
    assert_eq!(*opened.encode(), *text);
    let sealed = read.sealed((mine.id(), &mine.of_user(read.uid)), |nonce| {
        nonce.fill(7);
        Ok::<_, ()>(())
    });
    let sealed = sealed.unwrap();
    let sealed_text = sealed.encode();
    assert!(!sealed_text.contains("\nsecret = "));
    let mut back =
        Credentials::decode(sealed_text.as_bytes(), ReadContext::ANYONE).expect("what is sealed can be read");
    back.open_sealed(Needed::All, || ring(&mine).ok_or(Shut::NoKey));
    assert_eq!(*back.encode(), *text);

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
