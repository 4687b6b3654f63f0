//! What is shown before the question: a number to type into a token.

use crate::codes::in_fours::in_fours;

/// What the module shows before it asks for a code. When the authority returns it, the challenge is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The device shows codes without a challenge: ask at once.
    None,
    /// A question for a token with a keypad (RFC 6287).
    Question(String),
    /// The user's text names no device that takes a challenge: verify it as a code.
    NoSuchDevice,
}

impl Challenge {
    /// What the user reads; `None` where there is nothing to read.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Question(question) => {
                Some(format!("Type this into your token: {}", *in_fours(question.as_bytes(), ' ')))
            }
            Self::None | Self::NoSuchDevice => None,
        }
    }
}
