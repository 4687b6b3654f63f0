//! MACs of what is in the database as it is: who writes to it without the key ring gives no host a right, and invents no state and no
//! answer.
//!
//! A MAC does not say that a row is the newest one: who has kept an older row of a verifier can put it back, until the key under
//! which its MAC was made is removed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use otp_core::record::seal::{KeyId, SealKey};

use crate::keys::{BEGINNING, Keys, KeysError, VERSION};
use crate::right::Right;

/// Everything of a row that counts.
#[derive(Clone, Copy)]
pub(crate) enum RowOf<'a> {
    Host {
        id: &'a str,
        key_sha256: &'a [u8],
        is_active: bool,
        rights: &'a [Right],
        scope: Option<&'a str>,
    },
    ScopeUser {
        scope: &'a str,
        user: &'a str,
    },
    /// Not which host has used it: without that the name and the key of that host are still its own.
    JoinToken {
        hash: &'a [u8],
        rights: &'a [Right],
        scope: Option<&'a str>,
        expires: i64,
    },
    State {
        user: &'a str,
        state: &'a str,
    },
    /// The last answer about a user, which is kept with the state.
    Answer {
        user: &'a str,
        state: &'a str,
        question: &'a [u8],
        host: Option<&'a str>,
        event: &'a str,
        words: &'a str,
    },
}

impl Keys {
    /// The MAC of a row that this verifier writes: version, key id, HMAC-SHA-256.
    pub(crate) fn mac_of(&self, row: &RowOf<'_>) -> Result<Vec<u8>, KeysError> {
        let mac = self.key(self.present()).and_then(|key| mac(&key, row)).ok_or(KeysError::NoKeys)?;
        Ok([self.beginning().as_slice(), &mac.finalize().into_bytes()].concat())
    }

    /// Whether a verifier has written this row, under a key that is here.
    pub(crate) fn is_genuine(&self, row: &RowOf<'_>, stored: &[u8]) -> bool {
        let Some(([version, id @ ..], tag)) = stored.split_first_chunk::<BEGINNING>() else { return false };
        let mac = self.key(KeyId(*id)).and_then(|key| mac(&key, row));
        // In constant time.
        *version == VERSION && mac.is_some_and(|mac| mac.verify_slice(tag).is_ok())
    }
}

/// Under a key of its own for each kind of row.
fn mac(key: &SealKey, row: &RowOf<'_>) -> Option<Hmac<Sha256>> {
    let label: &[u8] = match row {
        RowOf::Host { .. } => b"pam_otp fleet host 1\0",
        RowOf::ScopeUser { .. } => b"pam_otp fleet scope user 1\0",
        RowOf::JoinToken { .. } => b"pam_otp fleet join token 1\0",
        RowOf::State { .. } => b"pam_otp fleet state 1\0",
        RowOf::Answer { .. } => b"pam_otp fleet answer 1\0",
    };
    let derived = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?.chain_update(label).finalize().into_bytes();
    Some(Hmac::<Sha256>::new_from_slice(&derived).ok()?.chain_update(encoded(row)))
}

/// Each field after its length, each list after its number, what is not there as another byte than what is.
fn encoded(row: &RowOf<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match row {
        RowOf::Host { id, key_sha256, is_active, rights, scope } => {
            field(&mut bytes, id.as_bytes());
            field(&mut bytes, key_sha256);
            bytes.push(u8::from(*is_active));
            rights_and_scope(&mut bytes, rights, *scope);
        }
        RowOf::ScopeUser { scope, user } => {
            field(&mut bytes, scope.as_bytes());
            field(&mut bytes, user.as_bytes());
        }
        RowOf::JoinToken { hash, rights, scope, expires } => {
            field(&mut bytes, hash);
            rights_and_scope(&mut bytes, rights, *scope);
            bytes.extend_from_slice(&expires.to_be_bytes());
        }
        RowOf::State { user, state } => {
            field(&mut bytes, user.as_bytes());
            field(&mut bytes, state.as_bytes());
        }
        RowOf::Answer { user, state, question, host, event, words } => {
            for text in [user.as_bytes(), state.as_bytes(), question, event.as_bytes(), words.as_bytes()] {
                field(&mut bytes, text);
            }
            if_any(&mut bytes, *host);
        }
    }
    bytes
}

fn rights_and_scope(bytes: &mut Vec<u8>, rights: &[Right], scope: Option<&str>) {
    length(bytes, rights.len());
    for right in rights {
        field(bytes, right.word().as_bytes());
    }
    if_any(bytes, scope);
}

fn if_any(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    field(bytes, text.unwrap_or_default().as_bytes());
}

fn field(bytes: &mut Vec<u8>, field: &[u8]) {
    length(bytes, field.len());
    bytes.extend_from_slice(field);
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{keys, newer};

    const WEB1: RowOf<'_> = RowOf::Host {
        id: "web1",
        key_sha256: &[1; 32],
        is_active: true,
        rights: &[Right::Login],
        scope: Some("staff"),
    };
    const ALICE: RowOf<'_> = RowOf::ScopeUser { scope: "staff", user: "alice" };
    const TOKEN: RowOf<'_> =
        RowOf::JoinToken { hash: &[1; 32], rights: &[Right::Login], scope: Some("staff"), expires: 1 };

    #[test]
    fn a_mac_holds_for_its_row_and_as_it_was_only() {
        let keys = keys(&[1]);
        let stored = keys.mac_of(&WEB1).unwrap();
        assert!(stored.len() == 37 && keys.is_genuine(&WEB1, &stored));
        for place in 0..stored.len() {
            let mut other = stored.clone();
            other[place] ^= 1;
            assert!(!keys.is_genuine(&WEB1, &other) && !keys.is_genuine(&WEB1, &stored[..place]), "{place}");
        }
        let host = |id, key: u8, is_active, rights, scope| {
            keys.is_genuine(&RowOf::Host { id, key_sha256: &[key; 32], is_active, rights, scope }, &stored)
        };
        assert!(host("web1", 1, true, &[Right::Login], Some("staff")));
        assert!(!host("web2", 1, true, &[Right::Login], Some("staff")));
        assert!(!host("web1", 2, true, &[Right::Login], Some("staff")));
        assert!(!host("web1", 1, false, &[Right::Login], Some("staff")));
        for rights in [[].as_slice(), &[Right::Admin], &[Right::Login, Right::Admin], &[Right::Login, Right::Login]] {
            assert!(!host("web1", 1, true, rights, Some("staff")));
        }
        for scope in [None, Some(""), Some("staff2")] {
            assert!(!host("web1", 1, true, &[Right::Login], scope));
        }
    }

    #[test]
    fn rows_of_one_text_have_other_macs() {
        let keys = keys(&[1]);
        for (one, other) in [
            (RowOf::ScopeUser { scope: "staffa", user: "lice" }, ALICE),
            (RowOf::ScopeUser { scope: "staff", user: "bob" }, ALICE),
            (RowOf::JoinToken { hash: &[1; 32], rights: &[], scope: None, expires: 1 }, TOKEN),
            (RowOf::JoinToken { hash: &[1; 32], rights: &[Right::Login], scope: Some("staff"), expires: 2 }, TOKEN),
            (RowOf::JoinToken { hash: &[2; 32], rights: &[Right::Login], scope: Some("staff"), expires: 1 }, TOKEN),
            (WEB1, TOKEN),
            (ALICE, WEB1),
        ] {
            assert!(!keys.is_genuine(&one, &keys.mac_of(&other).unwrap()));
            assert!(!keys.is_genuine(&other, &keys.mac_of(&one).unwrap()));
        }
    }

    #[test]
    fn a_mac_under_an_older_key_holds_until_that_key_is_removed() {
        let old = keys(&[1]);
        let both = newer(&old);
        let (before, after) = (old.mac_of(&ALICE).unwrap(), both.mac_of(&ALICE).unwrap());
        assert!(both.is_genuine(&ALICE, &before) && both.is_genuine(&ALICE, &after));
        assert!(!old.is_genuine(&ALICE, &after) && after.starts_with(&both.beginning()));
        let new = Keys::of_bytes(&both.without(old.present())).unwrap();
        assert!(new.is_genuine(&ALICE, &after) && !new.is_genuine(&ALICE, &before));
    }
}
