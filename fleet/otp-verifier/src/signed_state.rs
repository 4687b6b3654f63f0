//! The text of a state in a row: what `state_slot` writes, and a line with MACs. Who writes to the database without the key ring invents
//! no state, which may remember an address from which no code is asked for, and no answer, which a host would take for a right code's.
//!
//! As with the rows of hosts, a MAC does not say that a row is the newest one.

use base16ct::lower::{decode_vec, encode_string};

use otp_core::record::error::RecordError;
use otp_core::store::note::KeptAnswer;
use otp_core::value::user::UserName;

use crate::keys::{BEGINNING, Keys, KeysError};
use crate::row_mac::RowOf;

/// What the line of the MACs begins with. Where that is is also how a row is found whose MACs are under a key: `mac ` and its beginning.
const MAC: &str = "mac ";

/// The line before, and one with the MAC of the state and that of the answer that is kept with it.
pub(crate) fn signed(
    keys: &Keys,
    user: &UserName,
    state: &str,
    kept: Option<&KeptAnswer>,
) -> Result<String, KeysError> {
    let mut text = format!("{state}{MAC}{}", encode_string(&keys.mac_of(&of_state(user, state))?));
    if let Some(kept) = kept {
        text.push(' ');
        text.push_str(&encode_string(&keys.mac_of(&of_answer(user, state, kept))?));
    }
    text.push('\n');
    Ok(text)
}

/// A state that a verifier has written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'t> {
    pub(crate) state: &'t str,
    of_answer: Option<&'t str>,
}

impl<'t> Signed<'t> {
    /// An error if no verifier has written it for this user.
    pub(crate) fn read(keys: &Keys, user: &UserName, text: &'t str) -> Result<Self, RecordError> {
        let parts = || {
            let (before, macs) = text.strip_suffix('\n')?.rsplit_once('\n')?;
            let state = text.get(..before.len().saturating_add(1))?;
            let macs = macs.strip_prefix(MAC)?;
            let (of_state, of_answer) =
                macs.split_once(' ').map_or((macs, None), |(of_state, of_answer)| (of_state, Some(of_answer)));
            Some((Self { state, of_answer }, of_state))
        };
        let (signed, mac) = parts().ok_or_else(|| RecordError::Malformed("its state is damaged".into()))?;
        if !is_genuine(keys, &of_state(user, signed.state), mac) {
            return Err(RecordError::Mismatch("no verifier with these keys has written the state for this user"));
        }
        Ok(signed)
    }

    /// Whether a verifier has kept this answer with the state.
    pub(crate) fn has_kept(&self, keys: &Keys, user: &UserName, kept: &KeptAnswer) -> bool {
        self.of_answer.is_some_and(|mac| is_genuine(keys, &of_answer(user, self.state, kept), mac))
    }
}

/// How the line of MACs under this key begins.
pub(crate) fn beginning(key: [u8; BEGINNING]) -> String {
    format!("{MAC}{}", encode_string(&key))
}

fn is_genuine(keys: &Keys, row: &RowOf<'_>, mac: &str) -> bool {
    decode_vec(mac).is_ok_and(|mac| keys.is_genuine(row, &mac))
}

fn of_state<'a>(user: &'a UserName, state: &'a str) -> RowOf<'a> {
    RowOf::State { user: user.as_str(), state }
}

fn of_answer<'a>(user: &'a UserName, state: &'a str, kept: &'a KeptAnswer) -> RowOf<'a> {
    let KeptAnswer { id, host, event, words } = kept;
    RowOf::Answer { user: user.as_str(), state, question: &id.0, host: host.as_deref(), event, words }
}

#[cfg(test)]
mod tests {
    use otp_core::value::request_id::RequestId;

    use super::*;
    use crate::keys::tests::{keys, newer};

    const STATE: &str = "a state\nof two lines\n";

    fn alice() -> UserName {
        UserName::parse("alice").unwrap()
    }

    fn kept() -> KeptAnswer {
        let host = Some("web1".to_owned());
        KeptAnswer { id: RequestId([1; 16]), host, event: "login".into(), words: "refused wrong failures 1".into() }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_for_its_user_and_no_other_way() {
        let keys = keys(&[1]);
        let text = signed(&keys, &alice(), STATE, None).unwrap();
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] ^= 1;
            for other in [std::str::from_utf8(&other).unwrap(), text.get(..place).unwrap()] {
                assert!(Signed::read(&keys, &alice(), other).is_err(), "{place}");
            }
        }
        for text in [text, signed(&keys, &alice(), STATE, Some(&kept())).unwrap()] {
            assert_eq!(Signed::read(&keys, &alice(), &text).unwrap().state, STATE);
            assert!(Signed::read(&keys, &UserName::parse("bob").unwrap(), &text).is_err());
        }
        for text in ["", "\n", "mac \n", "a state\nof two lines\nmac \n", STATE] {
            assert!(Signed::read(&keys, &alice(), text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_answer_counts_with_its_state_and_as_it_was_kept() {
        let keys = keys(&[1]);
        let text = signed(&keys, &alice(), STATE, Some(&kept())).unwrap();
        let has_kept = |text: &str, kept: &KeptAnswer| {
            Signed::read(&keys, &alice(), text).unwrap().has_kept(&keys, &alice(), kept)
        };
        assert!(has_kept(&text, &kept()));
        for other in [
            KeptAnswer { id: RequestId([2; 16]), ..kept() },
            KeptAnswer { host: None, ..kept() },
            KeptAnswer { host: Some("web2".into()), ..kept() },
            KeptAnswer { event: "disabled".into(), ..kept() },
            KeptAnswer { words: "accepted totp device 1 left 9".into(), ..kept() },
        ] {
            assert!(!has_kept(&text, &other), "{other:?}");
        }
        let none = signed(&keys, &alice(), STATE, None).unwrap();
        assert!(!has_kept(&none, &kept()));
        // That of another state is not put to this one.
        let (_, of_answer) = text.trim_end().rsplit_once(' ').unwrap();
        let next = signed(&keys, &alice(), "another state\n", None).unwrap();
        assert!(!has_kept(&format!("{} {of_answer}\n", next.trim_end()), &kept()));
    }

    #[test]
    fn the_line_of_macs_says_under_which_key_it_is() {
        let old = keys(&[1]);
        let both = newer(&old);
        for (keys, of) in [(&old, old.beginning()), (&both, both.beginning())] {
            let text = signed(keys, &alice(), STATE, None).unwrap();
            assert!(text.contains(&beginning(of)));
            assert!(Signed::read(&both, &alice(), &text).is_ok());
        }
        assert!(Signed::read(&old, &alice(), &signed(&both, &alice(), STATE, None).unwrap()).is_err());
    }
}
