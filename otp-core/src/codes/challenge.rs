//! What is shown before the question: a number to type into a token, or where a code was sent.

use crate::codes::in_fours::in_fours;
use crate::text;
use crate::value::destination::Masked;
use crate::value::text::{Language, said};
use crate::value::time::Seconds;

/// What the module shows before it asks for a code. When the authority returns it, the challenge is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The device shows codes without a challenge: ask at once.
    None,
    /// A question for a token with a keypad (RFC 6287).
    Question(String),
    /// A code was sent there.
    Sent(Masked),
    /// Nothing was sent: it is too early after the last message.
    Wait(Seconds),
    /// Nothing was sent, for a reason that only the log tells.
    NotSent,
    /// The user's text names no device that takes a challenge: verify it as a code.
    NoSuchDevice,
}

impl Challenge {
    /// What the user reads; `None` where there is nothing to read.
    pub fn text(&self, language: &dyn Language) -> Option<String> {
        Some(match self {
            Self::Question(question) => {
                let question = in_fours(question.as_bytes(), ' ');
                said(language, text!("Type this into your token: {question}"), &[("question", &*question)])
            }
            Self::Sent(Masked::Number(end)) => {
                said(language, text!("A code was sent to the number that ends in {end}."), &[("end", end)])
            }
            Self::Sent(address @ Masked::Address(..)) => {
                said(language, text!("A code was sent to {address}."), &[("address", address)])
            }
            Self::Wait(time) => said(
                language,
                text!("The next message can be sent in {time}. An unused code is still good."),
                &[("time", time)],
            ),
            Self::NotSent => {
                said(language, text!("The message could not be sent. Use another device or a recovery code."), &[])
            }
            Self::None | Self::NoSuchDevice => return None,
        })
    }
}
