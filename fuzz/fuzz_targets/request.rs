//! A request to the helper: no word in it is ignored, and a login's questions mean what the general parser reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_core::protocol::helper_process;
use otp_core::protocol::login_messages::{ask_demand, ask_verify};
use otp_core::protocol::request::{LONGEST_LINE, Request};
use otp_core::value::login_context::LoginContext;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let Ok(Some(request)) = helper_process::read_line::<Request>(&mut input) else { return };
    let used = data.len() - input.len();
    assert!(used as u64 <= LONGEST_LINE);

    let meant = serde_json::to_value(&request).unwrap();
    let said: Value = serde_json::from_slice(&data[..used]).unwrap();
    if !written_as_list(&said) {
        assert_eq!(said_of(meant.clone()), said_of(said), "a word was ignored");
    }
    let mut line = Vec::new();
    helper_process::write_line(&mut line, &request).unwrap();
    let again: Request = serde_json::from_slice(&line).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), meant);

    // An unknown key is an error.
    let mut more = meant.clone();
    if let Some(fields) =
        more.as_object_mut().and_then(|kinds| kinds.values_mut().next()).and_then(Value::as_object_mut)
    {
        fields.insert("colour".into(), Value::Null);
        assert!(serde_json::from_value::<Request>(more).is_err(), "an unknown key was ignored");
    }

    let question = match &request {
        Request::Demand(login) => ask_demand(login),
        Request::Verify { id: Some(id), login, typed } if typed.expose().len() <= 1000 && is_whole(login) => {
            ask_verify(*id, login, &typed.into_typed())
        }
        _ => return,
    };
    assert_eq!(question.find('\n'), Some(question.len() - 1), "one line");
    let asked: Request = serde_json::from_str(&question).expect("our own question can be read");
    assert_eq!(serde_json::to_value(&asked).unwrap(), meant);
});

/// A context that is sent with a code is only for the log, and cut as the log cuts it.
fn is_whole(login: &LoginContext) -> bool {
    [Some(&login.service), login.rhost.as_ref(), login.tty.as_ref()].into_iter().flatten().all(|it| it.len() <= 255)
}

/// Serde reads a list in place of the fields of a struct, in their order. That loses nothing.
fn written_as_list(said: &Value) -> bool {
    said.is_array() || said.as_object().is_some_and(|fields| fields.values().any(written_as_list))
}

/// Without the keys whose value is null.
fn said_of(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(|field| *field = said_of(field.take()));
    }
    value
}
