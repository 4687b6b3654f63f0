//! Encrypted values: the key that opens them, the MAC that is checked first, and AES in CBC mode (RFC 6030 §6).

use aes::cipher::{Block, BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::pskc::xml::{Element, Space};

/// Rounds of PBKDF2 at most: some seconds.
pub(super) const MOST_ROUNDS: u32 = 10_000_000;

/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// What opens encrypted values.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    Nothing,
    /// 16, 24 or 32 bytes.
    Key(&'a [u8]),
    Password(&'a [u8]),
}

/// What opens the encrypted values of a container.
pub(super) struct Keys {
    /// `None` if none was given.
    encryption: Option<Zeroizing<Vec<u8>>>,
    /// `None` if the container names no method.
    mac: Option<Authentication>,
}

struct Authentication {
    hash: Hash,
    key: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
}

/// Bytes of Base64, whose blanks do not matter.
pub(super) fn base64(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().filter(|letter| !letter.is_ascii_whitespace()));
    Base64::decode_vec(&plain).map(Zeroizing::new).map_err(|_| "a value is not Base64")
}

/// The part of the name of a method after its name space.
fn method(algorithm: Option<&str>) -> String {
    let name = algorithm.unwrap_or_default();
    name.rsplit_once('#').map_or(name, |(_, name)| name).to_ascii_lowercase()
}

impl Hash {
    fn of(algorithm: Option<&str>) -> Option<Self> {
        match method(algorithm).as_str() {
            "hmac-sha1" | "hmacwithsha1" | "id-hmacwithsha1" => Some(Self::Sha1),
            "hmac-sha256" | "hmacwithsha256" | "id-hmacwithsha256" => Some(Self::Sha256),
            _ => None,
        }
    }
}

impl Keys {
    /// The keys of a container with these elements.
    pub(super) fn of(encryption: Option<&Element>, mac: Option<&Element>, unlock: Unlock<'_>) -> Result<Self, String> {
        if encryption.is_some_and(|element| element.child(Space::Ds, "X509Data").is_some()) {
            return Err("its values are encrypted for a certificate, which is not supported".to_owned());
        }
        let derived = encryption.and_then(|element| element.child(Space::Xenc11, "DerivedKey"));
        let encryption = match (unlock, derived) {
            (Unlock::Nothing, _) => None,
            (Unlock::Key(key), _) if ![16, 24, 32].contains(&key.len()) => {
                return Err(format!("the key that was given has {} bytes; it must have 16, 24 or 32", key.len()));
            }
            (Unlock::Key(key), _) => Some(Zeroizing::new(key.to_vec())),
            (Unlock::Password(password), Some(derived)) => Some(derive(derived, password)?),
            (Unlock::Password(_), None) => {
                return Err("its values are encrypted with a key, not with a password: --key-file".to_owned());
            }
        };
        let mut keys = Self { encryption, mac: None };
        if let (Some(mac), Some(key)) = (mac, &keys.encryption) {
            let hash = Hash::of(mac.attribute("Algorithm")).ok_or("its MAC is neither HMAC-SHA1 nor HMAC-SHA256")?;
            if mac.part("MACKeyReference").is_some() {
                return Err("the key of its MAC is not in the file, and cannot be given".to_owned());
            }
            let key = match mac.part("MACKey") {
                Some(encrypted) => keys.decrypt(encrypted, &ciphertext(encrypted)?)?,
                // Without one, it is the key of the values.
                None => key.clone(),
            };
            keys.mac = Some(Authentication { hash, key });
        }
        Ok(keys)
    }

    /// What a `Secret`, `Counter` and the like holds in its `EncryptedValue`: the MAC is checked, then it is decrypted.
    pub(super) fn open(&self, value: &Element, encrypted: &Element) -> Result<Zeroizing<Vec<u8>>, String> {
        if self.encryption.is_none() {
            return Err("its values are encrypted, and no key was given: --key-file".to_owned());
        }
        let ciphertext = ciphertext(encrypted)?;
        let expected = value.part("ValueMAC").ok_or("an encrypted value has no MAC, so it may have been changed")?;
        let expected = base64(&expected.text)?;
        let Authentication { hash, key } =
            self.mac.as_ref().ok_or("the container does not say how the MAC of its values is made")?;
        let is_right = match hash {
            Hash::Sha1 => verifies::<Hmac<Sha1>>(key, &ciphertext, &expected),
            Hash::Sha256 => verifies::<Hmac<Sha256>>(key, &ciphertext, &expected),
        };
        if !is_right {
            return Err(
                "the MAC of a value does not match: the key or password is wrong, or the file was changed".to_owned()
            );
        }
        self.decrypt(encrypted, &ciphertext)
    }

    /// Decrypts by the method that an element names.
    fn decrypt(&self, encrypted: &Element, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let key = self.encryption.as_deref().map_or(&[][..], |key| key);
        let algorithm =
            encrypted.child(Space::Xenc, "EncryptionMethod").and_then(|method| method.attribute("Algorithm"));
        let length = match method(algorithm).as_str() {
            "aes128-cbc" => 16,
            "aes192-cbc" => 24,
            "aes256-cbc" => 32,
            _ => return Err("its encryption is none that is known here: AES in CBC mode is".to_owned()),
        };
        if key.len() != length {
            return Err(format!("the key has {} bytes, and its values need one of {length}", key.len()));
        }
        let (iv, body) = ciphertext.split_at_checked(BLOCK).ok_or("an encrypted value is too short")?;
        if body.is_empty() || body.len() % BLOCK != 0 {
            return Err("an encrypted value is not made of whole blocks".to_owned());
        }
        let mut plain = Zeroizing::new(body.to_vec());
        match length {
            16 => decrypt::<cbc::Decryptor<Aes128>>(key, iv, &mut plain),
            24 => decrypt::<cbc::Decryptor<Aes192>>(key, iv, &mut plain),
            _ => decrypt::<cbc::Decryptor<Aes256>>(key, iv, &mut plain),
        }
        .ok_or("an encrypted value cannot be decrypted")?;
        // The last byte is the number of bytes that were added (XML Encryption §5.2).
        let padding = plain.last().map_or(0, |last| usize::from(*last));
        if !(1..=BLOCK).contains(&padding) {
            return Err("a value cannot be decrypted: the key or password is wrong".to_owned());
        }
        let length = plain.len().saturating_sub(padding);
        plain.truncate(length);
        Ok(plain)
    }
}

fn decrypt<D: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], text: &mut [u8]) -> Option<()> {
    let mut cipher = D::new_from_slices(key, iv).ok()?;
    for block in text.chunks_exact_mut(BLOCK) {
        cipher.decrypt_block(<&mut Block<D>>::try_from(block).ok()?);
    }
    Some(())
}

fn verifies<M: Mac + KeyInit>(key: &[u8], text: &[u8], expected: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(text).verify_slice(expected).is_ok())
}

fn ciphertext(encrypted: &Element) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let data = encrypted.child(Space::Xenc, "CipherData").and_then(|data| data.child(Space::Xenc, "CipherValue"));
    base64(&data.ok_or("an encrypted value has no CipherValue")?.text)
}

/// A key of a password (RFC 6030 §6.2).
fn derive(derived: &Element, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let how =
        derived.child(Space::Xenc11, "KeyDerivationMethod").ok_or("it does not say how a password becomes the key")?;
    if method(how.attribute("Algorithm")) != "pbkdf2" {
        return Err("its key is made of a password in another way than PBKDF2".to_owned());
    }
    // Some programs write the parameters without a name space, some within one.
    let parameters = how.any("PBKDF2-params").ok_or("PBKDF2 has no parameters")?;
    let salt = parameters.any("Salt").and_then(|salt| salt.any("Specified")).ok_or("PBKDF2 has no salt")?;
    let salt = base64(&salt.text)?;
    let number = |name| parameters.any(name).and_then(|element| element.text.trim().parse::<u32>().ok());
    let rounds = number("IterationCount").filter(|rounds| *rounds > 0).ok_or("PBKDF2 has no number of rounds")?;
    if rounds > MOST_ROUNDS {
        return Err(format!("PBKDF2 has more than {MOST_ROUNDS} rounds"));
    }
    let length = match number("KeyLength") {
        Some(length @ (16 | 24 | 32)) => usize::try_from(length).unwrap_or(BLOCK),
        Some(_) => return Err("the key of a password must have 16, 24 or 32 bytes".to_owned()),
        None => BLOCK,
    };
    let prf = parameters.any("PRF").and_then(|prf| prf.attribute("Algorithm"));
    let mut key = Zeroizing::new(vec![0; length]);
    match prf.map_or(Some(Hash::Sha1), |name| Hash::of(Some(name))) {
        Some(Hash::Sha1) => pbkdf2_hmac::<Sha1>(password, &salt, rounds, &mut key),
        Some(Hash::Sha256) => pbkdf2_hmac::<Sha256>(password, &salt, rounds, &mut key),
        None => return Err("PBKDF2 has another hash than HMAC-SHA1 and HMAC-SHA256".to_owned()),
    }
    Ok(key)
}
