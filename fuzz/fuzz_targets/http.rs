//! A verifier's answer, as the agent of a host reads it: the same however it arrives, of bounded length, and nothing else.

#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use otp_wire::LONGEST_BODY;

#[path = "../../fleet/otp-agent/src/upstream/http.rs"]
#[expect(dead_code, reason = "the agent also writes requests")]
mod http;

use http::{Answer, NoAnswer, read};

/// Gives so many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(into.len()).min(self.0.len());
        let (now, later) = self.0.split_at(count);
        into[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

fuzz_target!(|data: &[u8]| {
    // The body of every answer that is read is its end, of the length that it says.
    let Some(answer) = is_read(data, usize::MAX) else { return };
    assert!(answer.body.len() <= LONGEST_BODY && (200..600).contains(&answer.status));
    let head = data.len().checked_sub(answer.body.len()).expect("the body is a part of the answer");
    assert!(data[..head].ends_with(b"\r\n\r\n") && data.ends_with(&answer.body));
    assert_eq!(is_read(data, 3), Some(answer), "it is another one when it arrives slowly");
    assert_eq!(is_read(&data[..data.len() - 1], usize::MAX), None, "a part of it is an answer");
    assert_eq!(is_read(&[data, b"H"].concat(), usize::MAX), None, "what follows it is ignored");
});

fn is_read(data: &[u8], at_a_time: usize) -> Option<Answer> {
    match read(&mut Slow(data, at_a_time)) {
        Ok(answer) => Some(answer),
        Err(NoAnswer::ClosedBefore) => {
            assert!(data.is_empty());
            None
        }
        Err(NoAnswer::Unfit(_)) => None,
        Err(NoAnswer::Io(error)) => panic!("nothing fails here: {error}"),
    }
}
