//! A token that no user has, as TOML: the lines of a device in a record, and what its record would say besides.

use std::fmt::{self, Write as _};

use zeroize::Zeroizing;

use crate::record::credentials::{Device, Serial};
use crate::record::credentials_toml::{Lines, SEALED, VERSION, number, quoted, unquoted, utf8, write_device};
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::seal::{KeyId, NONCE, Owner, Part, SealKey, Sealed, Seed, Shut};
use crate::value::secret::Secret;
use crate::value::user::UserName;

/// More bytes than any of them has.
const LARGEST: usize = 4096;

/// A token that no user has.
#[derive(Debug)]
pub struct Spare {
    /// Its id has no meaning yet, and it has a serial number.
    pub device: Device,
    /// Its seed, as long as it is not open.
    pub sealed: Option<Sealed>,
    /// The lowest step or counter that is not known to have been used.
    pub next: u64,
    /// Who made it, if that is known.
    pub maker: Option<String>,
    /// Who is about to get it. If that was interrupted, the user's record tells whether it came about.
    pub user: Option<UserName>,
}

impl Spare {
    /// The contents of the file. [`Spare::decode`] reads them back.
    pub fn encode(&self) -> Zeroizing<String> {
        // Large enough from the beginning: a buffer that grows leaves copies of seeds behind.
        let mut text = Zeroizing::new(String::with_capacity(LARGEST));
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    pub fn has_seed(&self, seed: &Secret) -> bool {
        self.device.secret.is(seed)
    }

    fn owner(&self) -> Owner<'_> {
        let serial = self.device.serial.as_ref().map_or("", Serial::as_str);
        Owner { user: serial, uid: u32::MAX, enrollment: EnrollmentId([0; 16]) }
    }

    /// Opens the seed, with the key that `key` knows by its id.
    pub fn open_sealed(&mut self, key: impl FnOnce(KeyId) -> Result<SealKey, Shut>) {
        let Some(mut sealed) = self.sealed.take() else { return };
        let opened = key(sealed.key).and_then(|key| sealed.open(&key, self.owner(), Part::Spare).ok_or(Shut::Altered));
        match opened.and_then(|seed| Secret::new(seed).map_err(|_| Shut::Altered)) {
            Ok(secret) => self.device.secret = Seed::Open(secret),
            Err(why) => {
                sealed.why = why;
                self.sealed = Some(sealed);
            }
        }
    }

    /// A copy whose seed is sealed. `nonce` fills its argument with random bytes.
    pub fn sealed<E>(&self, key: (KeyId, &SealKey), nonce: impl Fn(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let (mut device, mut sealed) = (self.device.duplicate(), self.sealed.clone());
        if let Seed::Open(secret) = &self.device.secret {
            let mut fresh = [0; NONCE];
            nonce(&mut fresh)?;
            sealed = Some(Sealed::seal(key, fresh, self.owner(), Part::Spare, secret.expose()));
            device.secret = Seed::Shut;
        }
        Ok(Self { device, sealed, next: self.next, maker: self.maker.clone(), user: self.user.clone() })
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "# A token that no user has; written by otp-enroll, which changes it safely.")?;
        writeln!(text, "version = {VERSION}\nnext = {}", self.next)?;
        if let Some(maker) = &self.maker {
            writeln!(text, "maker = {}", quoted(maker))?;
        }
        if let Some(user) = &self.user {
            writeln!(text, "user = {}", quoted(user.as_str()))?;
        }
        write_device(text, &self.device)?;
        self.sealed.as_ref().map_or(Ok(()), |sealed| writeln!(text, "{SEALED} = \"{sealed}\""))
    }

    /// Reads the keys that [`Spare::encode`] writes, in its order.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut lines = Lines::of(utf8(bytes)?);
        let version = lines.value("version", number)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let next = lines.value("next", number)?;
        let maker = lines.if_next("maker", unquoted)?;
        let user = lines.if_next("user", |text| UserName::parse(&unquoted(text)?))?;
        if !lines.take("[[device]]") {
            return Err(RecordError::Malformed("it holds no token".into()));
        }
        let (device, sealed) = (lines.device()?, lines.sealed()?);
        lines.end()?;
        if device.secret.open().is_some() == sealed.is_some() {
            return Err(RecordError::Malformed("its token has no secret, or one beside a sealed one".into()));
        }
        if device.serial.is_none() {
            return Err(RecordError::Malformed("its token has no serial number".into()));
        }
        Ok(Self { device, sealed, next, maker, user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::token;

    #[test]
    fn what_is_written_is_read_back() {
        for (maker, user) in [(None, None), (Some("Acme \"A\""), Some("alice"))] {
            let spare = Spare {
                device: Device { serial: Serial::parse("A 1/7"), ..token(1) },
                sealed: None,
                next: 7,
                maker: maker.map(str::to_owned),
                user: user.and_then(UserName::parse),
            };
            let text = spare.encode();
            let read = Spare::decode(text.as_bytes()).unwrap();
            assert_eq!(*read.encode(), *text);
            assert_eq!((read.next, read.maker.as_deref(), read.user), (7, maker, spare.user));
            assert!(read.device.secret.is(spare.device.secret.open().unwrap()));
        }
    }

    #[test]
    fn anything_else_is_an_error_without_the_seed() {
        let device = Device { serial: Serial::parse("A1"), ..token(1) };
        let spare = Spare { device, sealed: None, next: 7, maker: None, user: None };
        let text = spare.encode();
        for (from, to, expected) in [
            ("version = 1", "version = 2", "has version 2; this program reads version 1"),
            ("next = 7", "next = x", "cannot be read: line 3: next has an invalid value"),
            ("[[device]]\n", "", "cannot be read: it holds no token"),
            ("serial = \"A1\"\n", "", "cannot be read: its token has no serial number"),
        ] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, *text, "{from}");
            assert_eq!(Spare::decode(broken.as_bytes()).unwrap_err().to_string(), expected);
        }
        let more = format!("{}id = 2\n", *text);
        assert!(Spare::decode(more.as_bytes()).unwrap_err().to_string().ends_with("no line is expected here"));
    }
}
