//! One connection: read a line, send, answer with a line.

use std::os::fd::OwnedFd;

use otp_core::audit::Event;
use otp_core::config::paths;
use otp_core::protocol::agent_socket::{Patience, is_abandoned, peer, receive_line, send_line};
use otp_core::protocol::sender_socket::{Delivery, Message};
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::destination::{Channel, Destination};

use crate::leftovers::Leftovers;
use crate::program::{self, Output};
use crate::redaction;

/// Most lines of output in the log for one message.
const MOST_LINES: usize = 40;

/// The account of a verifier, which sends the codes of a fleet from this machine.
const VERIFIER: &str = "otp-verifier";

/// Whether this user may have messages sent: root, whose process the agent is, and a verifier's account where there is one.
fn may_ask(uid: u32) -> bool {
    uid == 0 || matches!(accounts::account(VERIFIER), Ok(Some(account)) if account.uid == uid)
}

/// Sends one message, if agent or verifier ask for it. A process that sends no line in time, or half of one, gets no answer.
pub(crate) fn serve(socket: &OwnedFd, leftovers: &Leftovers) {
    // No other account can open the socket that systemd makes. This check holds wherever the socket comes from.
    if !peer(socket).is_ok_and(|peer| may_ask(peer.uid())) {
        return answer(socket, &Delivery::NotSent("only root and otp-verifier may send messages".into()));
    }
    let Ok(line) = receive_line(socket, &mut Patience::default()) else { return };
    let Ok(message) = serde_json::from_slice::<Message>(&line) else {
        let why = "the message cannot be parsed: install agent and sender of the same version";
        return answer(socket, &Delivery::NotSent(why.into()));
    };
    if is_abandoned(socket) {
        return;
    }
    let delivery = match send(&message, leftovers) {
        Ok(()) => Delivery::Sent(true),
        Err(why) => {
            log(&Event::NotSent { user: None, kind: message.kind.word(), error: &why });
            Delivery::NotSent(why)
        }
    };
    answer(socket, &delivery);
}

/// Refuses a message beyond those that may be on their way at a time.
pub(crate) fn turn_away(socket: &OwnedFd) {
    answer(socket, &Delivery::NotSent("too many messages at a time".into()));
}

fn answer(socket: &OwnedFd, delivery: &Delivery) {
    let mut line = serde_json::to_vec(delivery).unwrap_or_default();
    line.push(b'\n');
    // It fits the buffer of the socket; this fails only if the agent has gone.
    let _ = send_line(socket, &line, &mut Patience::default());
}

fn send(message: &Message, leftovers: &Leftovers) -> Result<(), String> {
    let (kind, text) = (message.kind, message.text.expose());
    // In one spelling, which no program takes for an option.
    let to = Destination::read(kind, &message.to).ok_or("this is no number in E.164 and no address of mail")?;
    let senders =
        Site::load(paths::CONFIG.as_ref()).and_then(|site| site.senders()).map_err(|error| error.to_string())?;
    let sender =
        senders.of(kind).ok_or_else(|| format!("the configuration names no program: [{}] has no send", kind.word()))?;
    let outcome = program::run(&sender.send, to.as_str(), text, leftovers);
    log_output(kind, text, &outcome.output);
    outcome.result.map_err(|failure| failure.to_string())
}

/// Writes what the program has written to the log, without the message.
fn log_output(kind: Channel, message: &str, output: &Output) {
    let written = redaction::without(message, &String::from_utf8_lossy(&output.kept));
    let mut lines = written.lines().map(str::trim_end).filter(|line| !line.is_empty());
    for text in lines.by_ref().take(MOST_LINES) {
        log(&Event::SenderOutput { kind: kind.word(), text });
    }
    if output.is_cut || lines.next().is_some() {
        log(&Event::SenderOutput { kind: kind.word(), text: "[there is more, which is not logged]" });
    }
}

fn log(event: &Event<'_>) {
    otp_helper::log("otp-sender", event);
}
