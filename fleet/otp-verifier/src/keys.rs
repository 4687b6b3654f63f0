//! The keys that seal credentials, and credentials that are sealed as a whole.
//!
//! Not each seed alone, as in local records: who can write to the database could then put a recovery code of his own, or an
//! override, into a record. What is sealed here is all that enrollment and administration decide. The file is a ring of keys as
//! `record::key_ring` reads it; systemd puts it into the folder of credentials of the unit.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base16ct::lower::{decode_vec, encode_string};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use otp_core::record::key_ring::{LARGEST, Ring};
use otp_core::record::seal::{KeyId, SealKey, Shut};
use otp_core::system::random::entropy;
use otp_core::value::user::UserName;

/// The first byte of what is sealed.
pub(crate) const VERSION: u8 = 1;

/// Bytes of the version and the id of the key: see [`Keys::beginning`].
pub(crate) const BEGINNING: usize = 5;

const NONCE: usize = 24;

/// What is sealed belongs to a record of a fleet, and to one user.
const PURPOSE: &[u8] = b"pam_otp fleet record 1\0";

/// What is hashed is a number or an address.
const DESTINATION: &[u8] = b"pam_otp fleet destination 1\0";
/// The same for an enrollment that is under way, of one user on one host.
const UNDER_WAY: &[u8] = b"pam_otp fleet under way 1\0";

/// All keys of a fleet. The first one seals.
pub(crate) struct Keys {
    ring: Ring,
    present: KeyId,
}

/// The keys cannot be used.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    #[error("the file of keys cannot be read: {0}")]
    Read(io::ErrorKind),
    #[error("others than its owner and group may read the file of keys, or others than its owner may write it")]
    Mode,
    #[error("the file of keys holds no key that seals")]
    NoKeys,
    #[error("no random bytes")]
    Random,
}

impl KeysError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => {
                "make it with `otp-verifier init`; it is for root and the group otp-verifier, or a credential `keys` of the unit"
            }
            Self::Mode => "chown root:otp-verifier, and chmod 0640",
            Self::NoKeys => "make it with `otp-verifier init`, or restore it: without its keys no record opens",
            Self::Random => "look for the cause in the system log",
        }
    }
}

impl Keys {
    pub(crate) fn read(path: &Path) -> Result<Self, KeysError> {
        let failed = |error: io::Error| KeysError::Read(error.kind());
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        // A credential of systemd may show the mask of its access list in place of a group.
        if !metadata.is_file() || metadata.mode() & 0o027 != 0 {
            return Err(KeysError::Mode);
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST.saturating_add(1)));
        let most = u64::try_from(LARGEST).unwrap_or_default().saturating_add(1);
        file.take(most).read_to_end(&mut bytes).map_err(failed)?;
        Self::of_bytes(&bytes)
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Self, KeysError> {
        let ring = Ring::of_bytes(bytes).filter(|ring| !ring.is_plain() && bytes.len() <= LARGEST);
        let ring = ring.ok_or(KeysError::NoKeys)?;
        let present = ring.ids().next().ok_or(KeysError::NoKeys)?;
        Ok(Self { ring, present })
    }

    /// A file of keys with a new one, which seals if it is the only one: what others have sealed stays open.
    pub(crate) fn with_new(old: Option<&Self>) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let mut new = SealKey::new(&[0; 32]);
        entropy(new.bytes_mut()).map_err(|_| KeysError::Random)?;
        let mut all: Vec<_> = old.map(|keys| keys.ring.all().collect()).unwrap_or_default();
        all.push((new.id(), new));
        Ok(bytes_of(&all))
    }

    /// A file of these keys, in which this one seals; `None` if there is none of that id.
    pub(crate) fn with_first(&self, id: KeyId) -> Option<Zeroizing<Vec<u8>>> {
        let (mut all, others): (Vec<_>, Vec<_>) = self.ring.all().partition(|(known, _)| *known == id);
        let is_there = !all.is_empty();
        all.extend(others);
        is_there.then(|| bytes_of(&all))
    }

    /// A file of these keys without this one.
    pub(crate) fn without(&self, id: KeyId) -> Zeroizing<Vec<u8>> {
        bytes_of(&self.ring.all().filter(|(known, _)| *known != id).collect::<Vec<_>>())
    }

    /// The ids of all keys, the one that seals first.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.ring.ids().collect()
    }

    /// The id of the key that seals.
    pub(crate) fn present(&self) -> KeyId {
        self.present
    }

    /// The key with this id.
    pub(crate) fn key(&self, id: KeyId) -> Option<SealKey> {
        self.ring.all().find(|(known, _)| *known == id).map(|(_, key)| key)
    }

    /// The first bytes of all that is sealed under the present key.
    pub(crate) fn beginning(&self) -> [u8; BEGINNING] {
        let [a, b, c, d] = self.present.0;
        [VERSION, a, b, c, d]
    }

    /// Seals a user's credentials: version, key id, nonce, ciphertext, tag.
    pub(crate) fn seal(&self, user: &UserName, text: &str) -> Result<Vec<u8>, KeysError> {
        self.seal_for(&bound(user), text)
    }

    /// A user's credentials, if they were sealed for this user under a key that is here.
    pub(crate) fn open(&self, user: &UserName, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Shut> {
        self.open_for(&bound(user), sealed)
    }

    /// Seals what is under way of a user on a host, for the host to carry: in hexadecimal.
    pub(crate) fn seal_under_way(&self, user: &UserName, host: &str, text: &str) -> Result<String, KeysError> {
        self.seal_for(&bound_to_host(user, host), text).map(|sealed| encode_string(&sealed))
    }

    /// What is under way, if it was sealed for this user on this host under a key that is here.
    pub(crate) fn open_under_way(&self, user: &UserName, host: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, Shut> {
        self.open_for(&bound_to_host(user, host), &decode_vec(text).map_err(|_| Shut::Altered)?)
    }

    fn seal_for(&self, bound: &[u8], text: &str) -> Result<Vec<u8>, KeysError> {
        let mut nonce = [0; NONCE];
        entropy(&mut nonce).map_err(|_| KeysError::Random)?;
        let (_, key) = self.ring.all().next().ok_or(KeysError::NoKeys)?;
        let payload = Payload { msg: text.as_bytes(), aad: bound };
        let sealed = cipher(&key).encrypt(&XNonce::from(nonce), payload).map_err(|_| KeysError::NoKeys)?;
        Ok([self.beginning().as_slice(), &nonce, &sealed].concat())
    }

    fn open_for(&self, bound: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Shut> {
        let ([version, id @ ..], rest) = sealed.split_first_chunk::<BEGINNING>().ok_or(Shut::Altered)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Shut::Altered)?;
        if *version != VERSION {
            return Err(Shut::Altered);
        }
        let key = self.key(KeyId(*id)).ok_or(Shut::OtherKey)?;
        let opened = cipher(&key).decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: bound });
        opened.map(Zeroizing::new).map_err(|_| Shut::Altered)
    }

    /// What names a number or address in a table: who reads that cannot try all numbers. Another first key gives other names.
    pub(crate) fn name_of(&self, destination: &str) -> Result<[u8; 32], KeysError> {
        let (_, key) = self.ring.all().next().ok_or(KeysError::NoKeys)?;
        let hash = Sha256::new().chain_update(key.expose()).chain_update(DESTINATION).chain_update(destination);
        Ok(hash.finalize().into())
    }

    /// The work of opening one, where there is none.
    pub(crate) fn rehearse(&self, user: &UserName) {
        let sealed = [self.beginning().as_slice(), &[0; 1400]].concat();
        let _ = std::hint::black_box(self.open(user, &sealed));
    }
}

fn bytes_of(keys: &[(KeyId, SealKey)]) -> Zeroizing<Vec<u8>> {
    Ring::bytes_of(keys.iter().map(|(id, key)| (*id, key)), false)
}

fn bound(user: &UserName) -> Vec<u8> {
    [PURPOSE, user.as_str().as_bytes()].concat()
}

/// A host's name has no NUL.
fn bound_to_host(user: &UserName, host: &str) -> Vec<u8> {
    [UNDER_WAY, host.as_bytes(), b"\0", user.as_str().as_bytes()].concat()
}

fn cipher(key: &SealKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.expose()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(crate) fn keys(masters: &[u8]) -> Keys {
        let all: Vec<_> = masters.iter().map(|byte| SealKey::new(&[*byte; 32])).collect();
        Keys::of_bytes(&Ring::bytes_of(all.iter().map(|key| (key.id(), key)), false)).unwrap()
    }

    /// A file of such keys.
    pub(crate) fn file(masters: &[u8]) -> Zeroizing<Vec<u8>> {
        bytes_of(&keys(masters).ring.all().collect::<Vec<_>>())
    }

    /// With a new key, which seals.
    pub(crate) fn newer(old: &Keys) -> Keys {
        let both = Keys::of_bytes(&Keys::with_new(Some(old)).unwrap()).unwrap();
        Keys::of_bytes(&both.with_first(*both.ids().last().unwrap()).unwrap()).unwrap()
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_user_and_as_it_was_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&user("alice"), "text").unwrap();
        assert_eq!(keys.open(&user("alice"), &sealed).unwrap().as_slice(), b"text");
        assert_ne!(sealed, keys.seal(&user("alice"), "text").unwrap());
        assert_eq!(keys.open(&user("bob"), &sealed).unwrap_err(), Shut::Altered);
        for place in 0..sealed.len() {
            let mut other = sealed.clone();
            other[place] ^= 1;
            assert!(keys.open(&user("alice"), &other).is_err(), "{place}");
            assert!(keys.open(&user("alice"), &sealed[..place]).is_err(), "{place}");
        }
    }

    #[test]
    fn what_is_under_way_opens_for_its_user_and_host_and_as_it_was_only() {
        let keys = keys(&[1]);
        let (alice, open) = (user("alice"), |text: &str, name, host| keys.open_under_way(&user(name), host, text));
        let sealed = keys.seal_under_way(&alice, "web1", "text").unwrap();
        assert_eq!(open(&sealed, "alice", "web1").unwrap().as_slice(), b"text");
        for (name, host) in [("bob", "web1"), ("alice", "web2"), ("1alice", "web"), ("alice", "")] {
            assert_eq!(open(&sealed, name, host).unwrap_err(), Shut::Altered, "{name} {host}");
        }
        for place in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[place] = if other[place] == b'0' { b'1' } else { b'0' };
            assert!(open(std::str::from_utf8(&other).unwrap(), "alice", "web1").is_err(), "{place}");
            assert!(open(sealed.get(..place).unwrap(), "alice", "web1").is_err(), "{place}");
        }
        assert!(open(&sealed.to_uppercase(), "alice", "web1").is_err());
        // Neither is the other.
        let record = encode_string(&keys.seal(&alice, "text").unwrap());
        assert!(open(&record, "alice", "web1").is_err() && keys.open(&alice, &decode_vec(&sealed).unwrap()).is_err());
    }

    #[test]
    fn a_new_key_opens_then_seals_and_the_old_ones_open() {
        let old = keys(&[1]);
        let both = Keys::of_bytes(&Keys::with_new(Some(&old)).unwrap()).unwrap();
        assert!(both.present() == old.present() && both.ids().len() == 2);
        let new = Keys::of_bytes(&both.with_first(both.ids()[1]).unwrap()).unwrap();
        assert!(both.with_first(keys(&[2]).present()).is_none());
        assert_eq!(Keys::of_bytes(&new.without(old.present())).unwrap().ids(), [new.present()]);
        let sealed = old.seal(&user("alice"), "text").unwrap();
        assert!(new.open(&user("alice"), &sealed).is_ok() && !sealed.starts_with(&new.beginning()));
        let sealed = new.seal(&user("alice"), "text").unwrap();
        assert_eq!(old.open(&user("alice"), &sealed).unwrap_err(), Shut::OtherKey);
        assert_ne!(new.present(), old.present());
    }

    #[test]
    fn a_file_of_keys_that_others_read_or_that_holds_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let error = || Keys::read(&path).map(|keys| keys.present()).unwrap_err().to_string();
        assert!(error().contains("cannot be read"));
        fs::write(&path, Keys::with_new(None).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(Keys::read(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(error().contains("others"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for none in [b"".as_slice(), b"pam_otp keys 1 s", &[0; 2000]] {
            fs::write(&path, none).unwrap();
            assert!(error().contains("no key that seals"));
        }
    }
}
