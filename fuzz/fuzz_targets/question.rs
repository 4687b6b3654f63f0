//! What comes to the agent's socket: one line of bounded length or nothing, no word of it is ignored, and the module's own
//! questions arrive as they were meant.

#![no_main]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use otp_core::protocol::agent_socket::{Patience, receive_line};
use otp_core::protocol::login_messages::{ask_about, ask_demand, ask_verify};
use otp_core::protocol::request::{LONGEST_LINE, Question, Request};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // More than a line, and less than the buffer of a socket.
    let data = &data[..data.len().min(60_000)];
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    theirs.write_all(data).unwrap();
    drop(theirs);
    let line = receive_line(&OwnedFd::from(ours), &mut Patience::default());
    let longest = usize::try_from(LONGEST_LINE).unwrap();
    let ends = data.iter().take(longest).any(|byte| *byte == b'\n');
    assert_eq!(line.is_ok(), ends, "a line with an end is read, and nothing else");
    let Ok(line) = line else { return };
    assert!(line.len() <= longest && data.starts_with(&line));

    let Ok(question) = serde_json::from_slice::<Question>(&line) else { return };
    let meant = serde_json::to_value(&question).unwrap();
    let mut more = meant.clone();
    more.as_object_mut().unwrap().insert("colour".into(), Value::Null);
    assert!(serde_json::from_value::<Question>(more).is_err(), "an unknown key was ignored");

    let asked = match &question.request {
        Request::Demand(login) => ask_demand(login),
        Request::Verify { id: Some(id), login, typed }
            if typed.expose().len() <= 1000
                && [Some(&login.service), login.rhost.as_ref(), login.tty.as_ref()]
                    .into_iter()
                    .flatten()
                    .all(|text| text.len() <= 255) =>
        {
            ask_verify(*id, login, &typed.into_typed())
        }
        _ => return,
    };
    let asked = ask_about(&question.about, &asked);
    assert_eq!(asked.find('\n'), Some(asked.len() - 1), "one line");
    let again: Question = serde_json::from_str(&asked).expect("our own question can be read");
    assert_eq!(serde_json::to_value(&again).unwrap(), meant);
});
