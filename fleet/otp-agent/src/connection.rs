//! One connection: read a line, answer with a line.

use std::os::fd::OwnedFd;

use otp_core::protocol::agent_socket::{Patience, receive_line, send_line};
use otp_core::protocol::request::Question;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::administration;
use crate::answer::{self, failed};
use crate::asker::Asker;
use crate::crowd::Place;
use crate::memory::Memory;

/// Answers one question. A process that sends none in time, or half of one, gets no answer.
pub(crate) fn serve(asker: &Asker<'_>, place: &Place, memory: &Memory) {
    let mut patience = Patience::default();
    let question = receive_line(asker.socket, &mut patience);
    place.keep();
    let reply = match question {
        Ok(line) => match serde_json::from_slice::<Question>(&line) {
            Ok(question) => answer::to(&question, asker, memory),
            // Root's question about the fleet has a form and an answer of its own.
            Err(_) => match serde_json::from_slice(&line) {
                Ok(question) => return send(asker.socket, &administration::to(question, asker, memory)),
                Err(_) => failed("the question cannot be parsed", "install module and agent of the same version"),
            },
        },
        Err(error) if error.raw_os_error().is_none() => {
            failed(&format!("no question came: {error}"), "ask with one line, at once")
        }
        Err(_) => return,
    };
    send(asker.socket, &reply);
}

/// Refuses a connection beyond those that its user may have.
pub(crate) fn turn_away(socket: &OwnedFd) {
    send(
        socket,
        &failed(
            "too many questions at a time",
            "try again; if it happens again, look for a process that floods the agent",
        ),
    );
}

fn send(socket: &OwnedFd, reply: &impl Serialize) {
    let mut line = Zeroizing::new(serde_json::to_vec(reply).unwrap_or_default());
    line.push(b'\n');
    // It fits the buffer of the socket; this fails only if the asker has gone.
    let _ = send_line(socket, &line, &mut Patience::default());
}
