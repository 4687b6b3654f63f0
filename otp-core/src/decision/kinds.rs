//! Kinds of device as a set: those that the policy accepts.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::credentials::{Credentials, Device, Kind};
use crate::value::destination::Channel;

/// The words of all kinds, in the order of their bits.
const WORDS: [&str; 5] = ["totp", "hotp", "ocra", "sms", "email"];

/// Which kinds, in the words of [`crate::record::credentials::Kind::word`]. Never empty where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kinds(u8);

/// Every kind: what a policy accepts that says nothing of kinds.
impl Default for Kinds {
    fn default() -> Self {
        Self::ALL
    }
}

impl Kinds {
    pub const ALL: Self = Self(0b1_1111);
    pub const TOTP: Self = Self(0b1);
    pub const HOTP: Self = Self(0b10);
    pub const OCRA: Self = Self(0b100);
    pub const NONE: Self = Self(0);

    /// The kind of devices to which codes are sent this way.
    pub fn of(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self(0b1000),
            Channel::Email => Self(0b1_0000),
        }
    }

    pub fn are_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Reads a list of words. `None` if it is empty, or if a word is unknown or stands twice.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut kinds = Self::NONE;
        (words.into_iter().all(|word| kinds.add(word)) && kinds != Self::NONE).then_some(kinds)
    }

    /// Adds the kind of this word, unless it is unknown or is there.
    pub fn add(&mut self, word: &str) -> bool {
        let kind = Self::one(word).filter(|kind| !self.hold(*kind));
        self.0 |= kind.map_or(0, |kind| kind.0);
        kind.is_some()
    }

    /// The set of this kind alone.
    pub fn one(word: &str) -> Option<Self> {
        let mut bit = 1u8;
        for known in WORDS {
            if known == word {
                return Some(Self(bit));
            }
            bit = bit.wrapping_shl(1);
        }
        None
    }

    /// Whether all these kinds are in the set.
    pub fn hold(self, kinds: Self) -> bool {
        self.0 & kinds.0 == kinds.0
    }

    /// The device's kind.
    fn of_device(device: &Device) -> Self {
        match &device.kind {
            Kind::Totp(_) => Self::TOTP,
            Kind::Hotp => Self::HOTP,
            Kind::Ocra(_) => Self::OCRA,
            Kind::Sent(destination) => Self::of(destination.channel()),
        }
    }

    /// Whether the device's kind is in the set.
    pub fn accept(self, device: &Device) -> bool {
        self.hold(Self::of_device(device))
    }

    /// Whether a login can be finished with the device, where codes of these kinds are sent. Other kinds need no message.
    pub fn reach(self, device: &Device) -> bool {
        !matches!(device.kind, Kind::Sent(_)) || self.accept(device)
    }

    /// The kinds that are in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds that are in one of them.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.into_iter().filter(move |word| Self::one(word).is_some_and(|kind| self.hold(kind)))
    }

    /// The words for people: `totp, hotp`.
    pub fn listed(self) -> String {
        self.words().collect::<Vec<_>>().join(", ")
    }
}

impl Credentials {
    /// Whether the user has a device of one of these kinds.
    pub fn has_device_of(&self, kinds: Kinds) -> bool {
        self.devices.iter().any(|device| kinds.accept(device))
    }

    /// The kinds of all devices.
    pub fn kinds(&self) -> Kinds {
        self.devices.iter().fold(Kinds::NONE, |kinds, device| kinds.or(Kinds::of_device(device)))
    }
}

impl Serialize for Kinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        Self::read(words.iter().map(String::as_str)).ok_or_else(|| D::Error::custom("not a list of kinds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{phone, record, token};

    #[test]
    fn a_list_of_kinds_names_each_once() {
        assert_eq!(Kinds::read(WORDS), Some(Kinds::ALL));
        for (word, kind) in [
            ("totp", Kinds::TOTP),
            ("hotp", Kinds::HOTP),
            ("ocra", Kinds::OCRA),
            ("sms", Kinds::of(Channel::Sms)),
            ("email", Kinds::of(Channel::Email)),
        ] {
            assert_eq!(Kinds::read([word]), Some(kind));
        }
        let two = Kinds::read(["email", "totp"]).unwrap();
        assert_eq!((two.listed(), two.words().count()), ("totp, email".to_owned(), 2));
        for odd in [vec![], vec!["totp", "totp"], vec!["push"], vec!["TOTP"], vec!["totp", ""]] {
            assert_eq!(Kinds::read(odd.iter().copied()), None, "{odd:?}");
        }
        assert_eq!(two.and(Kinds::read(["totp", "sms"]).unwrap()), Kinds::TOTP);
        assert!(two.hold(Kinds::TOTP) && !Kinds::TOTP.hold(two));
    }

    #[test]
    fn a_set_accepts_the_devices_of_its_kinds() {
        let (totp, hotp) = (Kinds::TOTP, Kinds::HOTP);
        let of = |record: &crate::record::Record, kinds| {
            let all = record.credentials.kinds();
            (record.credentials.has_device_of(kinds), all != Kinds::NONE && kinds.hold(all))
        };
        let both = record(vec![phone(1), token(2)]);
        assert_eq!(
            [totp, hotp, Kinds::ALL].map(|kinds| of(&both, kinds)),
            [(true, false), (true, false), (true, true)]
        );
        let one = record(vec![token(1)]);
        assert_eq!([totp, hotp].map(|kinds| of(&one, kinds)), [(false, false), (true, true)]);
        assert_eq!(of(&record(vec![]), Kinds::ALL), (false, false));
    }
}
