//! A message that may be sent, and was noted.

use otp_core::audit::Event;
use otp_core::codes::challenge::Challenge;
use otp_core::protocol::request::Confidential;
use otp_core::protocol::sender_socket::{self, Message};
use otp_core::value::destination::{Channel, Destination, Masked};

use crate::mail::mail;

/// What came of a message, or must be done.
#[derive(Debug)]
pub enum Prepared {
    /// Nothing is sent; this is the answer.
    Said(Challenge),
    /// It is durable, and may be sent.
    Ready(Ready),
}

/// A message to one person. It is sent once.
#[derive(Debug)]
pub struct Ready {
    message: Message,
    /// Where it goes, in part.
    masked: Masked,
    user: String,
    /// The user id of the asker.
    by: u32,
    /// `code` or `pin`.
    what: &'static str,
}

impl Ready {
    pub(crate) fn new(to: &Destination, subject: &str, text: &str, who: (&str, u32), what: &'static str) -> Self {
        let kind = to.channel();
        let text = match kind {
            Channel::Sms => text.to_owned(),
            Channel::Email => mail(to, subject, text),
        };
        let message = Message { kind, to: to.as_str().to_owned(), text: Confidential::new(&text) };
        let (user, by) = who;
        Self { message, masked: to.masked(), user: user.to_owned(), by, what }
    }

    /// The answer when it is sent.
    pub fn answer(&self) -> Challenge {
        Challenge::Sent(self.masked.clone())
    }

    /// Hands it to the sender, which has up to ten seconds, and says what became of it.
    pub fn send(&self, log: &dyn Fn(&Event<'_>)) -> Challenge {
        let (user, by, kind) = (self.user.as_str(), self.by, self.message.kind.word());
        match sender_socket::send(&self.message) {
            Ok(()) => {
                log(&Event::Sent { user, by, kind, what: self.what });
                self.answer()
            }
            Err(error) => {
                log(&Event::NotSent { user: Some(user), kind, error: &error });
                Challenge::NotSent
            }
        }
    }
}

impl Prepared {
    /// Sends what may be sent.
    pub fn send(self, log: &dyn Fn(&Event<'_>)) -> Challenge {
        match self {
            Self::Said(challenge) => challenge,
            Self::Ready(ready) => ready.send(log),
        }
    }
}
