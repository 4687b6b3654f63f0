//! The keys that seal seeds, as bytes: a head, then for each key its id and itself. The first key seals new seeds, unless the head
//! says that none does. Bytes and no text: a login would pay for each digit.

use zeroize::Zeroizing;

use crate::record::seal::{KeyId, SealKey, Shut};
use crate::value::secret::Wiped;

/// Most bytes of a ring: 28 keys.
pub const LARGEST: usize = 1024;

/// The first bytes, where the first key seals new seeds.
const SEALING: &[u8; 16] = b"pam_otp keys 1 s";

/// The first bytes, where new seeds are not sealed: sealing is being undone.
const PLAIN: &[u8; 16] = b"pam_otp keys 1 p";

/// Bytes of a key and of its id.
const ENTRY: usize = 36;

/// The keys of all users, or of one.
pub struct Ring {
    bytes: Wiped,
    /// The number of the user whose keys these are; `None` if they are the master keys.
    of: Option<u32>,
}

impl Ring {
    /// What a file of root's holds, or what the agent answered about the user with this number.
    pub(crate) fn parse(bytes: Wiped, of: Option<u32>) -> Option<Self> {
        let (head, keys) = bytes.bytes().split_first_chunk::<16>()?;
        let is_ring = (head == SEALING || head == PLAIN) && keys.len().is_multiple_of(ENTRY);
        is_ring.then_some(Self { bytes, of })
    }

    /// The master keys in these bytes; `None` also if a key has another id than its own.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(Wiped::copy_of(bytes), None).filter(|ring| ring.all().all(|(id, key)| key.id() == id))
    }

    /// The keys of one user.
    pub fn of_user(bytes: &[u8], uid: u32) -> Option<Self> {
        Self::parse(Wiped::copy_of(bytes), Some(uid))
    }

    /// The bytes themselves. A search for this name finds every use.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    fn entries(&self) -> &[[u8; ENTRY]] {
        self.bytes.bytes().get(SEALING.len()..).unwrap_or_default().as_chunks().0
    }

    /// Whether new seeds are not to be sealed.
    pub fn is_plain(&self) -> bool {
        self.bytes.bytes().starts_with(PLAIN)
    }

    /// A user's key with this id.
    pub fn key(&self, uid: u32, id: KeyId) -> Result<SealKey, Shut> {
        let found = self.entries().iter().find(|entry| entry.starts_with(&id.0)).ok_or(Shut::OtherKey)?;
        let key = SealKey::new(found.last_chunk().ok_or(Shut::NoKey)?);
        self.for_user(uid, key).ok_or(Shut::NoKey)
    }

    /// The key that seals a user's new seeds; `None` if they are not to be sealed.
    pub fn present(&self, uid: u32) -> Result<Option<(KeyId, SealKey)>, Shut> {
        if self.is_plain() {
            return Ok(None);
        }
        let (first, key) = self.all().next().ok_or(Shut::NoKey)?;
        Ok(Some((first, self.for_user(uid, key).ok_or(Shut::NoKey)?)))
    }

    /// The ids of all keys, the present one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.entries().iter().filter_map(|entry| entry.first_chunk().copied().map(KeyId))
    }

    fn for_user(&self, uid: u32, key: SealKey) -> Option<SealKey> {
        match self.of {
            None => Some(key.of_user(uid)),
            Some(of) => (of == uid).then_some(key),
        }
    }

    /// All keys as they are here.
    pub fn all(&self) -> impl Iterator<Item = (KeyId, SealKey)> {
        self.entries().iter().filter_map(|entry| {
            let (id, key) = (entry.first_chunk()?, entry.last_chunk()?);
            Some((KeyId(*id), SealKey::new(key)))
        })
    }

    /// These keys as bytes.
    pub fn bytes_of<'k>(keys: impl Iterator<Item = (KeyId, &'k SealKey)>, is_plain: bool) -> Zeroizing<Vec<u8>> {
        // Large enough from the beginning: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST));
        bytes.extend_from_slice(if is_plain { PLAIN } else { SEALING });
        for (id, key) in keys.take(LARGEST / ENTRY) {
            bytes.extend_from_slice(&id.0);
            bytes.extend_from_slice(key.expose());
        }
        bytes
    }

    /// The keys of one user, as bytes: what the agent answers.
    pub fn bytes_for(&self, uid: u32) -> Option<Zeroizing<Vec<u8>>> {
        let keys: Option<Vec<_>> = self.all().map(|(id, key)| Some((id, self.for_user(uid, key)?))).collect();
        Some(Self::bytes_of(keys?.iter().map(|(id, key)| (*id, key)), self.is_plain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(masters: &[u8], is_plain: bool) -> Zeroizing<Vec<u8>> {
        let keys: Vec<_> = masters.iter().map(|byte| SealKey::new(&[*byte; 32])).collect();
        Ring::bytes_of(keys.iter().map(|key| (key.id(), key)), is_plain)
    }

    #[test]
    fn the_first_key_seals_and_each_one_opens() {
        let [first, second] = [1, 2].map(|byte| SealKey::new(&[byte; 32]));
        let both = bytes(&[1, 2], false);
        let ring = Ring::of_bytes(&both).unwrap();
        assert_eq!((ring.bytes(), ring.ids().collect()), (both.as_slice(), vec![first.id(), second.id()]));
        let (id, key) = ring.present(1000).unwrap().unwrap();
        assert_eq!((id, key.expose()), (first.id(), first.of_user(1000).expose()));
        assert_eq!(ring.key(1000, second.id()).unwrap().expose(), second.of_user(1000).expose());
        assert_eq!(ring.key(1000, KeyId([9; 4])).unwrap_err(), Shut::OtherKey);
        let ring = Ring::of_bytes(&bytes(&[1, 2], true)).unwrap();
        assert!(ring.is_plain() && ring.present(1000).unwrap().is_none());
        assert!(ring.key(1000, first.id()).is_ok());
    }

    #[test]
    fn a_user_gets_the_keys_of_one_user() {
        let second = SealKey::new(&[2; 32]).id();
        let ring = Ring::of_bytes(&bytes(&[1, 2], false)).unwrap();
        let answer = ring.bytes_for(1000).unwrap();
        let of_user = Ring::of_user(&answer, 1000).unwrap();
        assert_eq!(of_user.key(1000, second).unwrap().expose(), ring.key(1000, second).unwrap().expose());
        assert_eq!(of_user.present(1000).unwrap().unwrap().0, SealKey::new(&[1; 32]).id());
        assert_eq!(of_user.key(1001, second).unwrap_err(), Shut::NoKey);
        assert!(!answer.windows(32).any(|part| part == [1; 32] || part == [2; 32]));
    }

    #[test]
    fn a_ring_has_room_for_28_keys_and_takes_no_more() {
        let many: Vec<u8> = (1..=30).collect();
        let full = bytes(&many, false);
        assert_eq!((full.len(), full.capacity()), (16 + 28 * 36, LARGEST));
        assert_eq!(Ring::of_bytes(&full).unwrap().ids().count(), 28);
    }

    #[test]
    fn damage_is_no_key() {
        let good = bytes(&[1], false);
        for length in (0..good.len()).filter(|length| *length != 16) {
            assert!(Ring::of_bytes(&good[..length]).is_none(), "{length}");
        }
        for place in 0..good.len() {
            let mut bad = good.to_vec();
            bad[place] ^= 1;
            assert!(Ring::of_bytes(&bad).is_none(), "{place}");
        }
        assert_eq!(Ring::of_bytes(&good[..16]).unwrap().present(1).unwrap_err(), Shut::NoKey);
    }
}
