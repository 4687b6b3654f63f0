//! The sender's socket, the agent's end: one message, and whether it was sent.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::config::paths;
use crate::protocol::agent_socket::{Patience, ask_line_at};
use crate::protocol::request::Confidential;
use crate::value::destination::Channel;
use crate::value::system_error::described;

/// Waits for the answer: twelve seconds, so that the sender, whose program has ten, can still say what became of it.
const WAITS: u8 = 120;

/// A message to one person.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub kind: Channel,
    /// A number in E.164, or an address.
    pub to: String,
    /// The text; for e-mail with its header lines, as sendmail(1) reads it on standard input.
    pub text: Confidential,
}

/// The sender's answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The program has taken the message: always `true`.
    Sent(bool),
    /// The reason.
    NotSent(String),
}

/// Why a message was not sent, as far as the agent knows. Without an answer it may have been.
#[derive(Debug)]
pub enum NotSent {
    /// No process listens: it is not installed, or not enabled.
    NoSender,
    /// The sender says why.
    Refused(String),
    /// No answer, or none in time.
    Unanswered(io::Error),
    /// The answer cannot be parsed.
    Unreadable,
}

/// Hands a message to the sender and waits until its program has taken it.
pub fn send(message: &Message) -> Result<(), NotSent> {
    send_at(paths::SENDER, message)
}

fn send_at(path: &str, message: &Message) -> Result<(), NotSent> {
    let unreadable = |_| NotSent::Unreadable;
    let mut question = zeroize::Zeroizing::new(serde_json::to_string(message).map_err(unreadable)?);
    question.push('\n');
    let answer = ask_line_at(path, &question, Patience::of_waits(WAITS)).map_err(of_socket)?;
    match serde_json::from_slice(&answer).map_err(unreadable)? {
        Delivery::Sent(true) => Ok(()),
        Delivery::Sent(false) => Err(NotSent::Unreadable),
        Delivery::NotSent(why) => Err(NotSent::Refused(why)),
    }
}

fn of_socket(error: io::Error) -> NotSent {
    let is_absent = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind());
    if is_absent { NotSent::NoSender } else { NotSent::Unanswered(error) }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSender => f.write_str("no sender is enabled: systemctl enable --now otp-sender.socket"),
            Self::Refused(why) => f.write_str(why),
            Self::Unanswered(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("the sender did not answer in 12 seconds")
            }
            Self::Unanswered(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the sender ended without an answer")
            }
            Self::Unanswered(error) => write!(f, "the sender cannot be asked: {}", described(error)),
            Self::Unreadable => {
                f.write_str("the sender's answer cannot be parsed: install agent and sender of the same version")
            }
        }
    }
}

impl std::error::Error for NotSent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_answer_are_a_line_each() {
        let line = r#"{"kind":"sms","to":"+61412345678","text":"481 2093 is your code"}"#;
        let message: Message = serde_json::from_str(line).unwrap();
        assert_eq!((message.kind, message.to.as_str()), (Channel::Sms, "+61412345678"));
        assert_eq!(serde_json::to_string(&message).unwrap(), line);
        assert!(!format!("{message:?}").contains("481"), "{message:?}");
        for odd in [r#"{"kind":"fax","to":"+6","text":""}"#, r#"{"kind":"sms","to":"+6","text":"","from":"x"}"#] {
            assert!(serde_json::from_str::<Message>(odd).is_err(), "{odd}");
        }
        for (delivery, line) in [
            (Delivery::Sent(true), r#"{"sent":true}"#),
            (Delivery::NotSent("a reason".into()), r#"{"not_sent":"a reason"}"#),
        ] {
            assert_eq!(serde_json::to_string(&delivery).unwrap(), line);
            assert_eq!(serde_json::from_str::<Delivery>(line).unwrap(), delivery);
        }
    }

    /// Needs root, as whose process alone a sender is believed.
    #[test]
    fn only_the_word_of_a_sender_that_has_sent_is_success() {
        use std::io::{BufRead, BufReader, Write};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sender");
        let sent = |message: &Message| send_at(path.to_str().unwrap(), message).map_err(|why| why.to_string());
        let message = Message { kind: Channel::Email, to: "a@b".into(), text: Confidential::new("a\n\"b\"") };
        assert_eq!(sent(&message), Err("no sender is enabled: systemctl enable --now otp-sender.socket".into()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let unreadable = "the sender's answer cannot be parsed: install agent and sender of the same version";
        for (answer, expected) in [
            ("{\"sent\":true}\n", Ok(())),
            ("{\"not_sent\":\"the program exited with status 1\"}\n", Err("the program exited with status 1")),
            ("{\"sent\":false}\n", Err(unreadable)),
            ("{}\n", Err(unreadable)),
            ("{\"sent\":true} {}\n", Err(unreadable)),
            ("{\"sent\":true}", Err("the sender ended without an answer")),
            ("", Err("the sender ended without an answer")),
        ] {
            std::thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut line = String::new();
                    BufReader::new(&stream).read_line(&mut line).unwrap();
                    stream.write_all(answer.as_bytes()).unwrap();
                    line
                });
                assert_eq!(sent(&message), expected.map_err(str::to_owned), "{answer}");
                let line = "{\"kind\":\"email\",\"to\":\"a@b\",\"text\":\"a\\n\\\"b\\\"\"}\n";
                assert_eq!(sender.join().unwrap(), line);
            });
        }
        drop(listener);
        assert_eq!(sent(&message), Err("no sender is enabled: systemctl enable --now otp-sender.socket".into()));
    }

    #[test]
    fn each_failure_is_said_in_words() {
        let socket = |kind: io::ErrorKind| of_socket(kind.into()).to_string();
        let none = "no sender is enabled: systemctl enable --now otp-sender.socket";
        assert_eq!(socket(io::ErrorKind::NotFound), none);
        assert_eq!(socket(io::ErrorKind::ConnectionRefused), none);
        assert_eq!(socket(io::ErrorKind::TimedOut), "the sender did not answer in 12 seconds");
        assert_eq!(socket(io::ErrorKind::UnexpectedEof), "the sender ended without an answer");
        let denied = of_socket(io::Error::from_raw_os_error(13)).to_string();
        assert_eq!(denied, "the sender cannot be asked: Permission denied");
        assert_eq!(
            NotSent::Refused("the program exited with status 1".into()).to_string(),
            "the program exited with status 1"
        );
    }
}
