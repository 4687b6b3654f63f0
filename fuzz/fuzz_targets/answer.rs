//! The helper's answer to a login, read without a general parser: both parsers read one meaning, or the narrow one rejects it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::protocol::login_messages::{error_and_hint, words};
use otp_core::protocol::request::Reply;

fuzz_target!(|data: &[u8]| {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let general = || serde_json::from_str::<Reply>(line);
    let answer = words(line);
    if let Some(answer) = answer {
        let Ok(Reply::Login(same)) = general() else { panic!("the general parser reads no answer: {line}") };
        assert_eq!(same, answer);
    }
    if error_and_hint(line).is_some() {
        assert_eq!(answer, None);
        assert!(!matches!(general(), Ok(reply) if !matches!(reply, Reply::Failed { .. })), "{line}");
    }
    // The words alone too, so that a mutation need not keep the frame.
    for words in [Some(line), answer].into_iter().flatten() {
        let (verdict, demand) = (Verdict::read(words), Demand::read(words));
        assert!(verdict.is_none() || demand.is_none(), "{words}: both a verdict and a demand");
        if let Some(verdict) = verdict {
            assert_eq!(verdict.words(), words, "another spelling was read");
        }
        if let Some(demand) = demand {
            assert_eq!(demand.words(), words, "another spelling was read");
        }
    }
});
