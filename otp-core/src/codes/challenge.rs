//! Something shown before the question: where a code was sent, a number to type into a token.

/// What an authority has to show before a code is asked for. It is durable, and sent where it is to be sent, when the
/// authority hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The device shows its codes by itself: ask at once.
    None,
    /// Show this text, then ask.
    Shown {
        /// One or more lines, without control characters but for line feeds.
        text: String,
    },
    /// What was typed names no device that takes a challenge: judge it as a code.
    NoSuchDevice,
}
