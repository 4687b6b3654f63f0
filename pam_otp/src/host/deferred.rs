//! What the line with `defer` saw, kept in the PAM transaction until the line with `deferred` judges it.
//!
//! In between stand the modules that check passwords. Until one of them has agreed, no wrong code is counted and no right
//! one is used up: a guess by a person who knows no password costs the user nothing. And nothing that the client can
//! observe may tell a right code from a wrong one, or guesses would be free.

use std::ffi::CString;

use otp_core::codes::attempt::Typed;
use zeroize::Zeroizing;

/// What was seen, and of whom.
pub(crate) struct Deferred {
    pub(crate) user: Vec<u8>,
    pub(crate) seen: Seen,
}

pub(crate) enum Seen {
    /// Nothing: an error came first.
    Failed,
    /// Policy asks for nothing.
    NotAsked,
    /// A code was accepted from this address within the grace period.
    Grace,
    /// This was typed, and is still to be judged.
    Code {
        typed: Typed,
        /// Whether a login that is not judged is refused, which it is not during a rollout.
        enforced: bool,
    },
}

impl Seen {
    fn letter(&self) -> u8 {
        match self {
            Self::Failed => b'f',
            Self::NotAsked => b'n',
            Self::Grace => b'g',
            Self::Code { enforced: true, .. } => b'c',
            Self::Code { enforced: false, .. } => b'u',
        }
    }

    fn typed(&self) -> &[u8] {
        match self {
            Self::Failed | Self::NotAsked | Self::Grace => b"",
            Self::Code { typed, .. } => typed.expose(),
        }
    }
}

impl Deferred {
    pub(crate) fn of(user: &str, seen: Seen) -> Self {
        Self { user: user.as_bytes().to_vec(), seen }
    }

    /// As a text for libpam: a letter, the user, a newline, what was typed. `None` for one with a NUL, which no conversation
    /// gives.
    pub(crate) fn text(&self) -> Option<CString> {
        let parts = [&[self.seen.letter()][..], &self.user, b"\n", self.seen.typed()];
        // With room for the NUL: a buffer that grows leaves a copy of the code behind.
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut text = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
        parts.iter().for_each(|part| text.extend_from_slice(part));
        if text.contains(&0) { None } else { CString::new(std::mem::take(&mut *text)).ok() }
    }

    /// Reads what [`Deferred::text`] wrote. Of any other text nothing is believed: it is a code of no user. So is that of a
    /// user with a newline in the name, whom no name service knows.
    pub(crate) fn read(text: &[u8]) -> Self {
        let (letter, rest) = text.split_first().unwrap_or((&b'c', b""));
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (user, typed) = rest.split_at_checked(end).unwrap_or_default();
        let seen = match (letter, typed.split_first()) {
            (b'f', Some((_, b""))) => Seen::Failed,
            (b'n', Some((_, b""))) => Seen::NotAsked,
            (b'g', Some((_, b""))) => Seen::Grace,
            (letter, Some((_, typed))) => Seen::Code { typed: Typed::new(typed.to_vec()), enforced: *letter != b'u' },
            (_, None) => {
                return Self { user: Vec::new(), seen: Seen::Code { typed: Typed::new(Vec::new()), enforced: true } };
            }
        };
        Self { user: user.to_vec(), seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_again(seen: Seen) -> (Vec<u8>, u8, Vec<u8>) {
        let Deferred { user, seen } = Deferred::read(Deferred::of("al ice 7", seen).text().unwrap().as_bytes());
        (user, seen.letter(), seen.typed().to_vec())
    }

    #[test]
    fn what_was_seen_is_read_as_it_was_written() {
        let code = |enforced| Seen::Code { typed: Typed::new(b"12 34\n \xff".to_vec()), enforced };
        let user = || b"al ice 7".to_vec();
        assert_eq!(read_again(code(true)), (user(), b'c', b"12 34\n \xff".to_vec()));
        assert_eq!(read_again(code(false)), (user(), b'u', b"12 34\n \xff".to_vec()));
        for (seen, letter) in [(Seen::Failed, b'f'), (Seen::NotAsked, b'n'), (Seen::Grace, b'g')] {
            assert_eq!(read_again(seen), (user(), letter, Vec::new()));
        }
    }

    #[test]
    fn any_other_text_lets_no_user_pass() {
        for text in ["", "n", "nalice", "gal", "Galice\n", "galice\n1", "n\n\n", "x"] {
            let Deferred { seen, .. } = Deferred::read(text.as_bytes());
            assert!(matches!(seen, Seen::Code { enforced: true, .. }), "{text:?}");
        }
        let Deferred { user, .. } = Deferred::read(Deferred::of("al\nice", Seen::Grace).text().unwrap().as_bytes());
        assert_eq!(user, b"al", "another user than the one who came");
        let nul = Seen::Code { typed: Typed::new(b"12\0".to_vec()), enforced: true };
        assert!(Deferred::of("alice", nul).text().is_none());
    }
}
