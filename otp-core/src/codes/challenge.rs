//! What is shown before the question: where a code was sent, or a number to type into a token.

/// What the module shows before it asks for a code. When the authority returns it, the challenge is durable, and the code
/// or message that belongs to it has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The device shows codes without a challenge: ask at once.
    None,
    /// Show this text, then ask.
    Shown {
        /// One or more lines; line feeds are the only control characters.
        text: String,
    },
    /// The user's text names no device that takes a challenge: verify it as a code.
    NoSuchDevice,
}
