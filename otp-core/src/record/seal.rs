//! Seeds sealed at rest: XChaCha20-Poly1305 under a key of one user, bound to the user and the enrollment, all seeds of a record in
//! one, each with the id of its device.
//!
//! Seeds that were moved to another user or device, or put back from an older file, do not open.
//! <https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha>

use std::fmt;

use chacha20::cipher::{KeyIvInit, StreamCipherCore};
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, R20, hchacha};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::record::id::{EnrollmentId, from_hex};
use crate::value::secret::{Secret, wipe};

/// The format of what is sealed: `v1:KEYID:HEX`.
const VERSION: &str = "v1:";

/// Bytes of a nonce, which is random: it comes before the rest.
pub const NONCE: usize = 24;

/// Bytes of the tag, which comes last.
const TAG: usize = 16;

/// Bytes of a block of ChaCha20.
const BLOCK: usize = 64;

/// The most bytes that are sealed at once: eight seeds of 64 bytes, each after the id of its device and its length.
const MOST: usize = 528;

/// The most bytes that what is sealed is bound to: 24, and a name.
const MOST_BOUND: usize = 280;

/// Input of HChaCha20 beside the user id: a key of one purpose is none of another.
const OF_USER: &[u8; 12] = b"pam_otp seal";

/// The same for the id of a key.
const OF_ID: &[u8; 16] = b"pam_otp key's id";

/// Names a key, so that a key that is missing is not taken for damage. It is derived from the key, and tells nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

/// 256 bits: the key of all users, or what is derived from it for one. Wiped when dropped.
pub struct SealKey([u8; 32]);

/// What is sealed, as a record holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key: KeyId,
    /// Nonce, ciphertext, tag.
    bytes: Vec<u8>,
    /// Why it was not opened.
    pub why: Shut,
}

/// Why something sealed is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// There is no key, or its file is not trusted.
    NoKey,
    /// It was sealed under a key that is not there.
    OtherKey,
    /// The agent, which has the keys, does not answer.
    NoAgent,
    /// The key is there, and does not open it: it was changed, cut off, or made for another user, device or enrollment.
    Altered,
}

/// The seed of a device.
pub enum Seed {
    Open(Secret),
    /// Among what is sealed of the record; opened only where a seed is needed.
    Shut,
}

/// What of a record is sealed.
#[derive(Clone, Copy)]
pub enum Part {
    /// The seeds of all devices.
    Seeds,
    /// The hashes of all scratch codes: eight digits are guessed quickly.
    Scratch,
    /// The hash of the passcode.
    Passcode,
    /// The seed of a token that no user has.
    Spare,
}

/// The record that something sealed belongs to.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    pub user: &'a str,
    pub uid: u32,
    pub enrollment: EnrollmentId,
}

/// What is sealed of a record and not open. Zeros stand in the places of hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedParts {
    /// The seeds of all devices.
    pub seeds: Option<Sealed>,
    pub scratch: Option<Sealed>,
    pub passcode: Option<Sealed>,
}

impl Shut {
    pub const ALL: [Self; 4] = [Self::NoKey, Self::OtherKey, Self::NoAgent, Self::Altered];

    /// The word in log and pipe.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoKey => "sealed-no-key",
            Self::OtherKey => "sealed-other-key",
            Self::NoAgent => "sealed-no-agent",
            Self::Altered => "sealed-altered",
        }
    }

    /// What happened, without a subject.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoKey => "is sealed, and the key is not there",
            Self::OtherKey => "is sealed under another key than the one that is there",
            Self::NoAgent => "is sealed, and the agent does not answer with the key",
            Self::Altered => "is sealed, and was altered or made for another user, device or enrollment",
        }
    }

    /// What an administrator does about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoKey => {
                "recovery codes still work; see `otp-enroll admin seal --status`, then start \
                            pam_otp-seal-keys.service or run `otp-enroll admin seal --unpack`"
            }
            Self::OtherKey => {
                "recovery codes still work; if the record comes from another machine or an earlier key: `otp-enroll admin \
                 seal --recovery-key`"
            }
            Self::NoAgent => {
                "recovery codes still work; programs that are not root need the agent for sealed seeds: systemctl \
                              enable --now otp-agent.socket"
            }
            Self::Altered => {
                "recovery codes still work; restore both files of the user from one backup, or run `otp-enroll admin reset \
                 USER` so that the user can enroll again"
            }
        }
    }
}

impl SealKey {
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The bytes themselves. A search for this name finds every use.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes, to be drawn in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// What names this key of all users.
    pub fn id(&self) -> KeyId {
        let derived = Self(hchacha::<R20>((&self.0).into(), OF_ID.into()).into());
        KeyId(derived.0.first_chunk().copied().unwrap_or_default())
    }

    /// The key of one user. Not HKDF: with SHA-256 its four blocks were a twentieth of a login.
    pub fn of_user(&self, uid: u32) -> Self {
        let mut input = [0; 16];
        let (purpose, number) = input.split_at_mut(OF_USER.len());
        purpose.copy_from_slice(OF_USER);
        number.copy_from_slice(&uid.to_le_bytes());
        Self(hchacha::<R20>((&self.0).into(), (&input).into()).into())
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl KeyId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl Sealed {
    /// Seals at most 528 bytes of a record under its user's key. The nonce must be fresh.
    pub fn seal(key: (KeyId, &SealKey), nonce: [u8; NONCE], owner: Owner<'_>, part: Part, plain: &[u8]) -> Self {
        let (id, key) = key;
        let mut bytes = Vec::with_capacity(NONCE.saturating_add(plain.len()).saturating_add(TAG));
        bytes.extend_from_slice(&nonce);
        let mut cipher = Cipher::new(key, &nonce);
        bytes.extend_from_slice(plain);
        cipher.apply(bytes.get_mut(NONCE..).unwrap_or_default());
        let tag = cipher.tag(owner, part, bytes.get(NONCE..).unwrap_or_default());
        bytes.extend_from_slice(&tag);
        Self { key: id, bytes, why: Shut::NoKey }
    }

    /// What was sealed, if this is the key and the record.
    pub fn open(&self, key: &SealKey, owner: Owner<'_>, part: Part) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = self.bytes.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        let mut cipher = Cipher::new(key, nonce);
        if !bool::from(cipher.tag(owner, part, text).ct_eq(tag)) {
            return None;
        }
        let mut plain = Zeroizing::new(text.to_vec());
        cipher.apply(&mut plain);
        Some(plain)
    }

    /// What no key opens, of the size of a seed.
    pub fn rehearsed(key: KeyId) -> Option<Self> {
        let bytes = base16ct::lower::decode_vec([b'0'; (NONCE + 20 + TAG) * 2]).ok()?;
        Some(Self { key, bytes, why: Shut::NoKey })
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, rest) = text.strip_prefix(VERSION)?.as_bytes().split_first_chunk::<8>()?;
        let (digits, odd) = rest.strip_prefix(b":")?.as_chunks::<2>();
        let most = MOST.saturating_add(NONCE).saturating_add(TAG);
        if !odd.is_empty() || digits.len() > most {
            return None;
        }
        let (mut id, mut bytes) = ([0; 4], vec![0; digits.len()]);
        let is_hex = decoded(key.as_chunks().0, &mut id) && decoded(digits, &mut bytes);
        is_hex.then_some(Self { key: KeyId(id), bytes, why: Shut::NoKey })
    }
}

/// The value of what is no digit.
const NO_DIGIT: u8 = 0xff;

/// Reads lower-case hexadecimal; false if it is not. Not in constant time, which takes three times as long: none of it is secret.
fn decoded(digits: &[[u8; 2]], bytes: &mut [u8]) -> bool {
    let mut wrong = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        let (high, low) = (value(*high), value(*low));
        wrong |= high | low;
        *byte = high.wrapping_shl(4) | (low & 15);
    }
    wrong != NO_DIGIT
}

/// The value of a digit.
fn value(digit: u8) -> u8 {
    // A look-up is a third of the comparisons, for some 160 digits of a login.
    #[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "the compiler computes it, and would say so")]
    static VALUES: [u8; 256] = {
        let (mut values, digits, mut place) = ([NO_DIGIT; 256], b"0123456789abcdef", 0);
        while place < digits.len() {
            values[digits[place] as usize] = place as u8;
            place += 1;
        }
        values
    };
    VALUES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

/// One use of XChaCha20-Poly1305, block by block: the first block of the key stream is the key of the tag. The crate of the
/// whole construction makes blocks in fours, and copies what it is given.
struct Cipher {
    stream: ChaChaCore<R20, Ietf>,
    first: [u8; BLOCK],
}

impl Cipher {
    fn new(key: &SealKey, nonce: &[u8; NONCE]) -> Self {
        // Draft-irtf-cfrg-xchacha §2.3: a key of the first 16 bytes of the nonce, and four zeros before the other eight.
        let (for_key, rest) = nonce.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let mut short = [0; 12];
        short.iter_mut().skip(4).zip(rest).for_each(|(place, byte)| *place = *byte);
        let subkey = SealKey(hchacha::<R20>((&key.0).into(), for_key.into()).into());
        let mut stream = ChaChaCore::new((&subkey.0).into(), (&short).into());
        let mut first = [0; BLOCK];
        stream.write_keystream_block((&mut first).into());
        Self { stream, first }
    }

    /// Enciphers or deciphers.
    fn apply(&mut self, data: &mut [u8]) {
        for chunk in data.chunks_mut(BLOCK) {
            let mut block = [0; BLOCK];
            self.stream.write_keystream_block((&mut block).into());
            chunk.iter_mut().zip(&block).for_each(|(byte, key)| *byte ^= key);
            wipe(&mut block);
        }
    }

    /// The tag of a ciphertext and of what it is bound to: 24 bytes and the name, filled up to whole blocks, then as RFC 8439
    /// §2.8 says.
    fn tag(&self, owner: Owner<'_>, part: Part, text: &[u8]) -> [u8; TAG] {
        let kind = match part {
            Part::Seeds => 1,
            Part::Scratch => 2,
            Part::Passcode => 3,
            Part::Spare => 4,
        };
        let name = owner.user.as_bytes();
        let mut bound = [0; MOST_BOUND];
        let [a, b, c, d] = owner.uid.to_le_bytes();
        // A name has at most 255 bytes, so that its length is one.
        let [length, ..] = name.len().to_le_bytes();
        let (head, rest) = bound.split_at_mut(8);
        head.copy_from_slice(&[kind, 0, length, 0, a, b, c, d]);
        let (id, rest) = rest.split_at_mut(16);
        id.copy_from_slice(&owner.enrollment.0);
        rest.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
        let bound = bound.get(..name.len().saturating_add(24)).unwrap_or(&bound);
        let mut key = poly1305::Key::default();
        key.iter_mut().zip(&self.first).for_each(|(place, byte)| *place = *byte);
        let mut mac = Poly1305::new(&key);
        key.zeroize();
        mac.update_padded(bound);
        mac.update_padded(text);
        let mut lengths = poly1305::Block::default();
        let both = [bound.len(), text.len()].map(|length| u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
        lengths.iter_mut().zip(both.as_flattened()).for_each(|(place, byte)| *place = *byte);
        mac.update(&[lengths]);
        mac.finalize().into()
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        wipe(&mut self.first);
    }
}

impl Seed {
    /// The seed itself, if it is not sealed or was opened.
    pub fn open(&self) -> Option<&Secret> {
        match self {
            Self::Open(secret) => Some(secret),
            Self::Shut => None,
        }
    }

    /// Whether it is known to be this seed.
    pub fn is(&self, other: &Secret) -> bool {
        self.open().is_some_and(|secret| secret.expose().ct_eq(other.expose()).into())
    }

    /// A second copy, wiped on its own.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Open(secret) => Self::Open(secret.duplicate()),
            Self::Shut => Self::Shut,
        }
    }
}

impl From<Secret> for Seed {
    fn from(secret: Secret) -> Self {
        Self::Open(secret)
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}:{}", self.key, base16ct::lower::encode_string(&self.bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.key)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(secret) => secret.fmt(f),
            Self::Shut => f.write_str("Shut"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Owner<'_> = Owner { user: "alice", uid: 1000, enrollment: EnrollmentId([1; 16]) };
    const SEEDS: Part = Part::Seeds;

    /// The key of the bytes 0 to 31, and that of the user 1000.
    fn keys() -> (KeyId, SealKey) {
        let mut master = SealKey::new(&[0; 32]);
        master.bytes_mut().iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
        (master.id(), master.of_user(1000))
    }

    fn nonce(first: u8) -> [u8; NONCE] {
        std::array::from_fn(|place| first + u8::try_from(place).unwrap())
    }

    fn sealed() -> Sealed {
        let (id, key) = keys();
        Sealed::seal((id, &key), nonce(100), ALICE, SEEDS, b"12345678901234567890")
    }

    /// Computed with libsodium 1.0.18: crypto_core_hchacha20 and crypto_aead_xchacha20poly1305_ietf_encrypt.
    #[test]
    fn the_construction_is_that_of_libsodium() {
        let (id, key) = keys();
        assert_eq!(id.to_string(), "276a29fe");
        let user = "ba64e038cf6894b04538c6a0a24523bd61b4bd4501c04401f651765a4467f549";
        assert_eq!(base16ct::lower::encode_string(key.expose()), user);
        let expected = "v1:276a29fe:6465666768696a6b6c6d6e6f707172737475767778797a7b96fb9258fea2420d39668cd4c17cdb9f78acdb9da8\
                        65c79fc93f0a75588b69df7bf121cc";
        assert_eq!(sealed().to_string(), expected);
        let scratch = Sealed::seal((id, &key), nonce(0), ALICE, Part::Scratch, &[7; MOST]).to_string();
        assert!(scratch.ends_with(
            "dbce9c29ddb8fd158668a3dcf319f2e167b19f6e26cbdfaf4ea4f13bbd8fcbef98242b785f4ec4ea22ff71dd9971c5a4"
        ));
        let opened = Sealed::parse(&scratch).unwrap().open(&key, ALICE, Part::Scratch);
        assert_eq!(opened.unwrap().as_slice(), [7; MOST]);
    }

    #[test]
    fn it_opens_for_its_user_enrollment_and_part_alone() {
        let (_, key) = keys();
        let sealed = sealed();
        assert_eq!(sealed.open(&key, ALICE, SEEDS).unwrap().as_slice(), b"12345678901234567890");
        for (owner, part) in [
            (Owner { user: "bob", ..ALICE }, SEEDS),
            (Owner { user: "alicf", ..ALICE }, SEEDS),
            (Owner { user: "alice\0", ..ALICE }, SEEDS),
            (Owner { uid: 1001, ..ALICE }, SEEDS),
            (Owner { enrollment: EnrollmentId([2; 16]), ..ALICE }, SEEDS),
            (ALICE, Part::Scratch),
            (ALICE, Part::Spare),
            (ALICE, Part::Passcode),
        ] {
            assert!(sealed.open(&key, owner, part).is_none(), "{}", owner.user);
        }
        assert!(sealed.open(&SealKey::new(&[3; 32]), ALICE, SEEDS).is_none());
        let of_other = SealKey::new(&[3; 32]).of_user(1000);
        assert!(sealed.open(&of_other, ALICE, SEEDS).is_none());
    }

    #[test]
    fn no_bit_can_be_changed_and_nothing_be_cut_off() {
        let (_, key) = keys();
        let sealed = sealed();
        for bit in 0..sealed.bytes.len() * 8 {
            let mut other = sealed.clone();
            other.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(other.open(&key, ALICE, SEEDS).is_none(), "{bit}");
        }
        for length in 0..sealed.bytes.len() {
            let shorter = Sealed { bytes: sealed.bytes[..length].to_vec(), ..sealed.clone() };
            assert!(shorter.open(&key, ALICE, SEEDS).is_none(), "{length}");
        }
    }

    #[test]
    fn its_text_has_one_spelling() {
        let text = sealed().to_string();
        assert!(Sealed::parse(&text).unwrap() == sealed());
        for bad in [
            text.replace("v1", "v2"),
            text.to_uppercase(),
            text.replace(":2", "2"),
            text.strip_suffix('c').unwrap().to_owned(),
            text.replace(":27", ":g7"),
            text.replace(":27", ":2g"),
            text.replace("cc", "gc"),
            text.replace("cc", "cg"),
            format!("{text} "),
            format!("v1:276a29fe:{}", "00".repeat(MOST + NONCE + TAG + 1)),
        ] {
            assert!(Sealed::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn each_reason_has_a_word_a_text_and_a_hint() {
        let words: Vec<_> = Shut::ALL.map(Shut::word).into();
        assert_eq!(words, ["sealed-no-key", "sealed-other-key", "sealed-no-agent", "sealed-altered"]);
        for why in Shut::ALL {
            assert!(why.text().starts_with("is sealed") && why.hint().starts_with("recovery codes still work"));
        }
    }

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let id = keys().0;
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_eq!(KeyId::parse("276a29fg"), None);
    }

    #[test]
    fn a_rehearsal_takes_as_long_as_a_seed_and_opens_with_no_key() {
        let (id, key) = keys();
        let rehearsed = Sealed::rehearsed(id).unwrap();
        assert_eq!((rehearsed.key, rehearsed.bytes.len()), (id, sealed().bytes.len()));
        assert!(rehearsed.open(&key, ALICE, SEEDS).is_none());
    }

    #[test]
    fn neither_key_nor_seed_ever_prints_itself() {
        assert_eq!(format!("{:?}", keys().1), "SealKey(..)");
        assert_eq!(format!("{:?}", sealed()), "Sealed(276a29fe)");
        let open = Seed::Open(Secret::from_hex(&"ab".repeat(20)).unwrap());
        assert_eq!(format!("{open:?} {:?}", Seed::Shut), "Secret(..) Shut");
    }
}
