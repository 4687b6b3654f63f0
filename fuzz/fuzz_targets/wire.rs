//! The messages between the agent of a host and a verifier: none is read in part, none has two meanings, and an error repeats
//! nothing of what was sent.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use otp_wire::{
    AdminAnswer, AdminQuestion, AdoptAnswer, AdoptQuestion, CertificateAnswer, CertificateQuestion, ChallengeAnswer,
    ChallengeQuestion, Hello, LetInAnswer, LetInQuestion, OutlineAnswer, OutlineQuestion, Problem, PullAnswer,
    PullQuestion, SelfAnswer, SelfQuestion, VerdictAnswer, VerifyQuestion,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    message::<OutlineQuestion>(data);
    message::<ChallengeQuestion>(data);
    message::<VerifyQuestion>(data);
    message::<LetInQuestion>(data);
    message::<SelfQuestion>(data);
    message::<AdoptQuestion>(data);
    message::<AdminQuestion>(data);
    message::<PullQuestion>(data);
    message::<CertificateQuestion>(data);
    message::<ChallengeAnswer>(data);
    message::<VerdictAnswer>(data);
    message::<LetInAnswer>(data);
    message::<SelfAnswer>(data);
    message::<AdoptAnswer>(data);
    message::<AdminAnswer>(data);
    message::<PullAnswer>(data);
    message::<CertificateAnswer>(data);
    message::<Hello>(data);
    message::<Problem>(data);
    message::<OutlineAnswer>(data);
    // What is read of a record is what its outline would be again.
    if let Ok(OutlineAnswer { record: Some(record), .. }) = otp_wire::read(data)
        && let Some(outline) = record.read()
    {
        assert_eq!((outline.devices, outline.digits.is_some()), (record.devices, record.devices > 0));
    }
});

fn message<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let message = match otp_wire::read::<T>(data) {
        Ok(message) => message,
        Err(error) => return says_nothing(&error),
    };
    let written = serde_json::to_vec(&message).unwrap();
    let again: T = serde_json::from_slice(&written).expect("what we write can be read");
    assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    let said: Value = serde_json::from_slice(data).expect("a message is JSON");
    let meant: Value = serde_json::from_slice(&written).unwrap();
    // Serde reads a list in place of the fields of a struct, in their order. That loses nothing.
    let (Some(said), Some(fields)) = (said.as_object(), meant.as_object()) else { return };
    assert!(said.keys().all(|key| fields.contains_key(key)), "a word was ignored");
    let mut more = meant.clone();
    if let Some(fields) = more.as_object_mut() {
        fields.insert("colour".into(), Value::Null);
    }
    assert!(serde_json::from_value::<T>(more).is_err(), "an unknown key was ignored");
}

/// Numbers apart, an error has the words of this program alone.
fn says_nothing(error: &str) {
    let mut plain = String::new();
    for word in error.split(|letter: char| letter.is_ascii_digit()).map(str::trim).filter(|word| !word.is_empty()) {
        let _ = write!(plain, "{word} ");
    }
    assert!(
        ["not as expected at line column ", "longer than bytes "].contains(&plain.as_str()),
        "an error repeats what was sent: {error}"
    );
}
