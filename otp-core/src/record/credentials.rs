//! Credentials: devices, hashed recovery codes and the override of one user.

use zeroize::Zeroizing;

use crate::codes::attempt::{Attempt, Code, Typed};
use crate::codes::hotp_totp::{Algorithm, Clock, Digits};
use crate::codes::ocra::Suite;
use crate::codes::passcode::Issued;
use crate::codes::plain_text;
use crate::codes::recovery::{RecoverySet, SCRATCH_DIGITS};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::key_ring::Ring;
use crate::record::seal::{KeyId, NONCE, Owner, Part, SealKey, Sealed, SealedParts, Seed, Shut};
use crate::record::state::{State, Used};
use crate::value::destination::{Channel, Destination};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::UserName;

/// Everything that proves who a user is. Seeds are wiped when dropped. A login only reads credentials.
#[derive(Debug)]
pub struct Credentials {
    /// The user's name, as the name service spelled it at enrollment.
    pub user: UserName,
    /// The user id at enrollment. A later account with the same name is another user.
    pub uid: u32,
    /// The state file must name this id too.
    pub enrollment: EnrollmentId,
    /// Comes before the policy's rules.
    pub user_override: Override,
    /// In the order of their ids; empty if the record holds only an override.
    pub devices: Vec<Device>,
    /// One of the devices; `None` if there is none.
    pub default: Option<DeviceId>,
    /// The highest id that a device of this record ever had: no id is given twice.
    pub last_id: DeviceId,
    /// `None` if no recovery codes were issued.
    pub recovery: Option<RecoverySet>,
    /// Codes of eight digits that came from google-authenticator; `None` if none did.
    pub scratch: Option<RecoverySet>,
    /// `None` if no administrator issued a passcode. One that was used or has ended stays until the next change.
    pub passcode: Option<Issued>,
    /// Hashes that are not open.
    pub sealed: SealedParts,
}

/// What of a record is needed, of what may be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    Nothing,
    /// Seeds and scratch codes.
    ForCode,
    ForPasscode,
    All,
}

/// The part of credentials that a login needs before it asks for a code. The file holds it above the seeds.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    pub user_override: Override,
    /// The number of devices.
    pub devices: usize,
    /// How many digits are typed with a password as one: see [`Credentials::outline`]. `None` without a device.
    pub digits: Option<Digits>,
    /// Whether the default device takes a challenge.
    pub challenge: bool,
    /// Whether an administrator issued a passcode.
    pub passcode: bool,
}

impl Outline {
    /// Whether the record says nothing: a user removed the second factor, and no administrator set an override or issued a
    /// passcode.
    pub fn is_blank(&self) -> bool {
        self.devices == 0 && self.user_override == Override::None && !self.passcode
    }

    /// Whether the record asks for a second factor, by a device or by an override.
    pub fn binds(&self) -> bool {
        // An override that has ended counts too: an administrator can fix a wrong refusal, not a wrong login.
        self.devices > 0 || self.user_override.is_strict()
    }
}

/// What an administrator set for one user. It replaces the policy for that user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// The user must give a second factor.
    Required,
    /// The same before this time; from then on no override.
    RequiredUntil(UnixTime),
    /// Like `second_factor = "enroll"`: without a device, the user enrolls one during the login.
    Enroll,
    /// The same before this time; from then on no override.
    EnrollUntil(UnixTime),
    /// Like `second_factor = "optional"`: without a device, the user logs in without a code.
    Exempt,
    /// The same before this time; from then on no override.
    ExemptUntil(UnixTime),
    /// No override: the policy decides.
    None,
}

/// One authenticator app, token, number or address.
#[derive(Debug)]
pub struct Device {
    /// Unique within the credentials.
    pub id: DeviceId,
    pub name: DeviceName,
    pub kind: Kind,
    pub secret: Seed,
    pub algorithm: Algorithm,
    pub digits: Digits,
    /// When the device was added.
    pub created: UnixTime,
    /// What is printed on a hardware token.
    pub serial: Option<Serial>,
}

/// The moving factor of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Time, in steps of a clock (RFC 6238).
    Totp(Clock),
    /// A counter (RFC 4226).
    Hotp,
    /// A question, with a counter or time where the suite has one (RFC 6287).
    Ocra(Suite),
    /// A counter whose codes are sent to the user, one at a time.
    Sent(Destination),
}

/// A device's name: 1 to 40 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName(String);

/// A token's serial number: 1 to 40 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial(String);

/// Why a text cannot be the name of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Empty, too long, or with characters that a terminal would act on.
    Text,
    /// It would be taken for a code, a number of a device, or another answer to the question for a code.
    Reserved,
}

impl Kind {
    /// The word in records, log, JSON and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Hotp => "hotp",
            Self::Ocra(_) => "ocra",
            Self::Sent(destination) => destination.channel().word(),
        }
    }

    /// Whether a challenge comes before a code: something is shown, or the code is sent.
    pub fn takes_a_challenge(&self) -> bool {
        matches!(self, Self::Ocra(_) | Self::Sent(_))
    }
}

impl DeviceName {
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=40).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name of an app whose user gave it none.
    pub fn of_app() -> Self {
        Self("authenticator".to_owned())
    }

    /// The name of a device in a file that has none for it.
    pub fn of_import() -> Self {
        Self("imported".to_owned())
    }

    /// The name of a number or an address that was given none.
    pub fn of(channel: Channel) -> Self {
        let name = match channel {
            Channel::Sms => "text message",
            Channel::Email => "e-mail",
        };
        Self(name.to_owned())
    }

    /// The name of a token that was given none.
    pub fn of_token() -> Self {
        Self("token".to_owned())
    }

    /// A name that a person chose. Blanks around it do not count.
    pub fn chosen(name: &str) -> Result<Self, Unfit> {
        let name = name.trim();
        let is_marked = name.chars().any(|letter| !plain_text::is_printed(letter));
        let chosen = Self::parse(name).filter(|_| !is_marked).ok_or(Unfit::Text)?;
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let is_answer = !matches!(Attempt::parse(&Typed::new(name.as_bytes().to_vec())), Attempt::Malformed);
        let is_kind =
            [Channel::Sms.word(), Channel::Email.word(), "ocra"].iter().any(|kind| name.eq_ignore_ascii_case(kind));
        if is_number || is_answer || is_kind { Err(Unfit::Reserved) } else { Ok(chosen) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name if it is not taken, or else the first one with a number behind it that is not.
    pub fn free(&self, is_taken: impl Fn(&str) -> bool) -> Self {
        let numbered = (2..).map_while(|number: u16| Self::parse(&format!("{} {number}", self.0)));
        let is_free = |name: &Self| !is_taken(name.as_str());
        std::iter::once(self.clone()).chain(numbered).find(is_free).unwrap_or_else(|| self.clone())
    }

    /// Whether a person who writes `text` means this name. Case does not count in ASCII; a table of all letters would be in
    /// every PAM host.
    pub fn is(&self, text: &str) -> bool {
        same(&self.0, text)
    }
}

impl Serial {
    pub fn parse(serial: &str) -> Option<Self> {
        let fits =
            (1..=40).contains(&serial.len()) && serial.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        (fits && serial.trim() == serial).then(|| Self(serial.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Device {
    /// Whether both show equal codes. The drift of a token's clock is not looked at: a resync moves it.
    pub fn shows_codes_of(&self, other: &Self) -> bool {
        let secret = other.secret.open();
        secret.is_some_and(|secret| self.shows_codes(&other.kind, secret, other.algorithm, other.digits))
    }

    /// The same of a device that is no device of a record yet.
    pub fn shows_codes(&self, kind: &Kind, secret: &Secret, algorithm: Algorithm, digits: Digits) -> bool {
        let is_of_kind = match (&self.kind, kind) {
            (Kind::Totp(one), Kind::Totp(other)) => one.period == other.period,
            (one, other) => one == other,
        };
        is_of_kind && self.algorithm == algorithm && self.digits == digits && self.secret.is(secret)
    }

    /// A second copy, whose seed is wiped on its own.
    pub fn duplicate(&self) -> Self {
        Self {
            name: self.name.clone(),
            kind: self.kind.clone(),
            secret: self.secret.duplicate(),
            serial: self.serial.clone(),
            ..*self
        }
    }
}

impl Override {
    /// Whether it asks for a second factor, also of a user without a device.
    pub fn is_strict(self) -> bool {
        match self {
            Self::Required | Self::RequiredUntil(_) | Self::Enroll | Self::EnrollUntil(_) => true,
            Self::Exempt | Self::ExemptUntil(_) | Self::None => false,
        }
    }

    /// Reads the word that [`Override::name`] writes, and the time at which the override ends, if it does.
    pub fn parse(name: &str, until: Option<UnixTime>) -> Option<Self> {
        let known = [Self::Required, Self::Enroll, Self::Exempt, Self::None];
        let user_override = known.into_iter().find(|user_override| user_override.name() == name)?;
        match until {
            None => Some(user_override),
            Some(time) => user_override.ending(time),
        }
    }

    /// The same override with this end; `None` for no override, which has none.
    pub fn ending(self, time: UnixTime) -> Option<Self> {
        match self {
            Self::Required | Self::RequiredUntil(_) => Some(Self::RequiredUntil(time)),
            Self::Enroll | Self::EnrollUntil(_) => Some(Self::EnrollUntil(time)),
            Self::Exempt | Self::ExemptUntil(_) => Some(Self::ExemptUntil(time)),
            Self::None => None,
        }
    }

    /// Whether its end has come: it is no override any more.
    pub fn has_ended(self, now: UnixTime) -> bool {
        self.until().is_some_and(|end| end <= now)
    }

    /// When it ends; `None` if it does not.
    pub fn until(self) -> Option<UnixTime> {
        match self {
            Self::RequiredUntil(time) | Self::EnrollUntil(time) | Self::ExemptUntil(time) => Some(time),
            Self::Required | Self::Enroll | Self::Exempt | Self::None => None,
        }
    }

    /// The word in records, JSON and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required | Self::RequiredUntil(_) => "required",
            Self::Enroll | Self::EnrollUntil(_) => "enroll",
            Self::Exempt | Self::ExemptUntil(_) => "exempt",
            Self::None => "none",
        }
    }
}

impl Credentials {
    /// What a login needs before it asks.
    pub fn outline(&self) -> Outline {
        let default = self.default_device();
        Outline {
            user_override: self.user_override,
            devices: self.devices.len(),
            digits: self.typed_unasked().map(|device| device.digits),
            challenge: default.is_some_and(|device| device.kind.takes_a_challenge()),
            passcode: self.passcode.is_some(),
        }
    }

    pub fn has_device(&self) -> bool {
        !self.devices.is_empty()
    }

    fn owner(&self) -> Owner<'_> {
        Owner { user: self.user.as_str(), uid: self.uid, enrollment: self.enrollment }
    }

    /// Whether anything is sealed where new seeds are.
    pub fn has_secrets(&self) -> bool {
        self.has_device() || self.scratch.is_some() || self.passcode.is_some()
    }

    /// Whether all that can be is sealed, under this key.
    pub fn is_sealed_under(&self, id: KeyId) -> bool {
        let is_plain = self.devices.iter().any(|device| device.secret.open().is_some())
            || (self.scratch.is_some() && self.sealed.scratch.is_none())
            || (self.passcode.is_some() && self.sealed.passcode.is_none());
        !is_plain && self.all_sealed().all(|sealed| sealed.key == id)
    }

    /// All that is sealed and not open.
    pub fn all_sealed(&self) -> impl Iterator<Item = &Sealed> {
        let SealedParts { seeds, scratch, passcode } = &self.sealed;
        [seeds, scratch, passcode].into_iter().flatten()
    }

    /// Why something is not open; `None` if all is.
    pub fn shut(&self) -> Option<Shut> {
        self.all_sealed().next().map(|sealed| sealed.why)
    }

    /// Why a code is compared with no seed; `None` if it is compared with one: then a wrong code counts, or else the codes of
    /// that device could be guessed for ever.
    pub fn shut_to_codes(&self) -> Option<Shut> {
        let is_open = self.devices.iter().any(|device| device.secret.open().is_some());
        self.shut().filter(|_| !is_open)
    }

    /// Opens what is sealed, as far as it is needed. The ring of keys is asked for once, and only if something is.
    pub fn open_sealed(&mut self, needed: Needed, ring: impl FnOnce() -> Result<Ring, Shut>) {
        let seeds = match needed {
            Needed::Nothing => return,
            Needed::ForPasscode => false,
            Needed::ForCode | Needed::All => true,
        };
        if (seeds && self.sealed.seeds.is_some()) || self.sealed.scratch.is_some() || self.sealed.passcode.is_some() {
            self.open_with(needed, &ring());
        }
    }

    fn open_with(&mut self, needed: Needed, ring: &Result<Ring, Shut>) {
        let (user, uid, enrollment) = (self.user.as_str(), self.uid, self.enrollment);
        let mut last: Option<(KeyId, SealKey)> = None;
        let mut open = |sealed: &mut Sealed, part: Part| -> Option<Zeroizing<Vec<u8>>> {
            if last.as_ref().is_none_or(|(id, _)| *id != sealed.key) {
                match ring.as_ref().map_err(|why| *why).and_then(|ring| ring.key(uid, sealed.key)) {
                    Ok(key) => last = Some((sealed.key, key)),
                    Err(why) => {
                        sealed.why = why;
                        return None;
                    }
                }
            }
            sealed.why = Shut::Altered;
            sealed.open(&last.as_ref()?.1, Owner { user, uid, enrollment }, part)
        };
        if needed != Needed::ForPasscode {
            if let Some(sealed) = &mut self.sealed.seeds
                && let Some(bytes) = open(sealed, Part::Seeds)
                && let Some(seeds) = separated(&bytes, &self.devices)
            {
                self.devices.iter_mut().zip(seeds).for_each(|(device, seed)| device.secret = Seed::Open(seed));
                self.sealed.seeds = None;
            }
            if let (Some(sealed), Some(set)) = (&mut self.sealed.scratch, &mut self.scratch)
                && let Some(bytes) = open(sealed, Part::Scratch)
            {
                let (hashes, rest) = bytes.as_chunks::<32>();
                // The head of the record, which nothing seals, says how many there are.
                if rest.is_empty() && hashes.len() == set.hashes.len() {
                    set.hashes = hashes.to_vec();
                    self.sealed.scratch = None;
                }
            }
        }
        if needed != Needed::ForCode
            && let (Some(sealed), Some(issued)) = (&mut self.sealed.passcode, &mut self.passcode)
            && let Some(bytes) = open(sealed, Part::Passcode)
            && let Ok(hash) = <[u8; 32]>::try_from(bytes.as_slice())
        {
            issued.hash = hash;
            self.sealed.passcode = None;
        }
    }

    /// A copy in which everything is sealed that can be. `nonce` fills its argument with random bytes.
    pub fn sealed<E>(&self, key: (KeyId, &SealKey), nonce: impl Fn(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let seal = |part: Part, plain: &[u8]| {
            let mut fresh = [0; NONCE];
            nonce(&mut fresh)?;
            Ok(Sealed::seal(key, fresh, self.owner(), part, plain))
        };
        let mut copy = self.duplicate();
        if let Some(seeds) = joined(&self.devices) {
            copy.sealed.seeds = Some(seal(Part::Seeds, &seeds)?);
            copy.devices.iter_mut().for_each(|device| device.secret = Seed::Shut);
        }
        if let (Some(set), None) = (&self.scratch, &self.sealed.scratch) {
            copy.sealed.scratch = Some(seal(Part::Scratch, set.hashes.as_flattened())?);
        }
        if let (Some(issued), None) = (&self.passcode, &self.sealed.passcode) {
            copy.sealed.passcode = Some(seal(Part::Passcode, &issued.hash)?);
        }
        Ok(copy)
    }

    /// A second copy, whose seeds are wiped on their own.
    pub fn duplicate(&self) -> Self {
        Self {
            user: self.user.clone(),
            uid: self.uid,
            enrollment: self.enrollment,
            user_override: self.user_override,
            devices: self.devices.iter().map(Device::duplicate).collect(),
            default: self.default,
            last_id: self.last_id,
            recovery: self.recovery.clone(),
            scratch: self.scratch.clone(),
            passcode: self.passcode.clone(),
            sealed: self.sealed.clone(),
        }
    }

    /// The device with this number or name.
    pub fn device(&self, named: &str) -> Option<&Device> {
        self.devices.iter().find(|device| is_named(device.id.0, device.name.as_str(), named))
    }

    /// The device whose challenge, if it has one, is shown before the question.
    pub fn default_device(&self) -> Option<&Device> {
        self.devices.iter().find(|device| Some(device.id) == self.default)
    }

    /// The device whose code a user types with a password as one: the default, or the first one that takes no challenge.
    fn typed_unasked(&self) -> Option<&Device> {
        // A record whose default is none of its devices is damaged, and has none here.
        let default = self.default_device()?;
        let shows_codes = std::iter::once(default).chain(&self.devices).find(|device| !device.kind.takes_a_challenge());
        Some(shows_codes.unwrap_or(default))
    }

    /// Unused recovery codes in this state, scratch codes among them; `None` if none were issued.
    pub fn recovery_left(&self, state: &State) -> Option<u8> {
        let left = |set: &Option<RecoverySet>, used: &Used| set.as_ref().map(|set| used.left_of(set.issued()));
        match (left(&self.recovery, &state.used), left(&self.scratch, &state.scratch_used)) {
            (Some(recovery), Some(scratch)) => Some(recovery.saturating_add(scratch)),
            (recovery, scratch) => recovery.or(scratch),
        }
    }

    /// The position of a scratch code; the work is the same for a user who has none.
    pub fn find_scratch(&self, code: &Code) -> Option<u8> {
        let none = RecoverySet::of_scratch([0; 16], &[]);
        let set = self.scratch.as_ref().unwrap_or(&none);
        if code.length() == SCRATCH_DIGITS { set.find_scratch(&code.reveal()) } else { None }
    }
}

/// Whether `text` is a device's number or its name.
pub fn is_named(id: u8, name: &str, text: &str) -> bool {
    // "+1" is a name.
    let number = text.trim().parse().ok().filter(|_| !text.contains('+'));
    number == Some(id) || same(name, text)
}

/// Whether `text` is this name, blanks around it and ASCII case aside.
pub fn same(name: &str, text: &str) -> bool {
    name.eq_ignore_ascii_case(text.trim())
}

/// The seeds of devices as they are sealed: for each the id, its length, and the seed. `None` if there are none, or one is not open.
fn joined(devices: &[Device]) -> Option<Zeroizing<Vec<u8>>> {
    let seeds: Option<Vec<_>> =
        devices.iter().map(|device| Some((device.id.0, device.secret.open()?.expose()))).collect();
    let seeds = seeds.filter(|seeds| !seeds.is_empty())?;
    // Of its full size at once: a buffer that grows leaves copies behind.
    let size = seeds.iter().fold(0, |size: usize, (_, seed)| size.saturating_add(seed.len()).saturating_add(2));
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for (id, seed) in seeds {
        bytes.extend_from_slice(&[id, u8::try_from(seed.len()).ok()?]);
        bytes.extend_from_slice(seed);
    }
    Some(bytes)
}

/// What [`joined`] has joined, if it is of these devices.
fn separated(mut bytes: &[u8], devices: &[Device]) -> Option<Vec<Secret>> {
    let mut seeds = Vec::with_capacity(devices.len());
    for device in devices {
        let ([id, length], rest) = bytes.split_first_chunk()?;
        let (seed, rest) = rest.split_at_checked(usize::from(*length))?;
        seeds.push(Secret::new(Zeroizing::new(seed.to_vec())).ok().filter(|_| *id == device.id.0)?);
        bytes = rest;
    }
    bytes.is_empty().then_some(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{NOW, issued_until, phone, record, token};

    #[test]
    fn a_device_name_is_short_and_cannot_steer_a_terminal() {
        for name in ["a", " ", &"\u{10FFFF}".repeat(40)] {
            assert_eq!(DeviceName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", &"a".repeat(41), "a\nb", "\u{1b}[2J", "\u{7f}", "\u{9b}2J"] {
            assert!(DeviceName::parse(name).is_none(), "{name:?}");
        }
    }

    /// Credentials with a device, a scratch code and a passcode.
    fn with_each_secret() -> Credentials {
        Credentials {
            passcode: Some(issued_until(NOW)),
            scratch: Some(RecoverySet::of_scratch([3; 16], &["12345678".to_owned().into()])),
            ..record(vec![phone(1)]).credentials
        }
    }

    #[test]
    fn devices_scratch_codes_and_a_passcode_are_secrets() {
        let mut without = record(Vec::new()).credentials;
        assert!(!without.has_secrets() && record(vec![phone(1)]).credentials.has_secrets());
        without.passcode = Some(issued_until(NOW));
        assert!(without.has_secrets());
        (without.passcode, without.scratch) = (None, with_each_secret().scratch);
        assert!(without.has_secrets());
    }

    #[test]
    fn a_record_is_sealed_under_a_key_if_each_of_its_secrets_is() {
        let [key, other] = [7, 8].map(|byte| SealKey::new(&[byte; 32]));
        let sealed = || with_each_secret().sealed((key.id(), &key), |_| Ok::<_, ()>(())).unwrap();
        assert!(sealed().is_sealed_under(key.id()));
        assert!(!sealed().is_sealed_under(other.id()) && !with_each_secret().is_sealed_under(key.id()));
        let parts: [fn(&mut Credentials); 3] = [
            |partly| partly.devices = vec![phone(1)],
            |partly| partly.sealed.scratch = None,
            |partly| partly.sealed.passcode = None,
        ];
        for open in parts {
            let mut partly = sealed();
            open(&mut partly);
            assert!(!partly.is_sealed_under(key.id()));
        }
        let bare = Credentials { passcode: None, scratch: None, ..with_each_secret() }
            .sealed((key.id(), &key), |_| Ok::<_, ()>(()));
        assert!(bare.unwrap().is_sealed_under(key.id()), "what is not there need not be sealed");
    }

    #[test]
    fn what_is_sealed_is_opened_as_far_as_it_is_needed_whatever_keys_it_is_under() {
        let keys = [7, 8].map(|byte| SealKey::new(&[byte; 32]));
        let bytes = Ring::bytes_of(keys.iter().map(|key| (key.id(), key)), false);
        let ring = || Ring::of_bytes(&bytes).unwrap();
        let under = |key: &SealKey| {
            let of_user = ring().key(with_each_secret().uid, key.id()).unwrap();
            with_each_secret().sealed((key.id(), &of_user), |_| Ok::<_, ()>(())).unwrap()
        };
        // Seeds and passcode are under one key, scratch codes under another.
        let with = |[seeds, scratch, passcode]: [bool; 3]| {
            let [one, other] = [under(&keys[0]), under(&keys[1])];
            let mut made = with_each_secret();
            if seeds {
                (made.devices, made.sealed.seeds) = (one.devices, one.sealed.seeds);
            }
            if scratch {
                (made.scratch, made.sealed.scratch) = (other.scratch, other.sealed.scratch);
            }
            if passcode {
                (made.passcode, made.sealed.passcode) = (one.passcode, one.sealed.passcode);
            }
            made
        };
        let shut = |made: &Credentials| {
            let SealedParts { seeds, scratch, passcode } = &made.sealed;
            [seeds.is_some(), scratch.is_some(), passcode.is_some()]
        };
        for number in 0..8 {
            let sealed = [1, 2, 4].map(|bit| number & bit != 0);
            for (needed, opens) in [
                (Needed::Nothing, [false, false, false]),
                (Needed::ForCode, [true, true, false]),
                (Needed::ForPasscode, [false, false, true]),
                (Needed::All, [true, true, true]),
            ] {
                let (mut made, mut is_asked) = (with(sealed), false);
                made.open_sealed(needed, || {
                    is_asked = true;
                    Ok(ring())
                });
                let left = [0, 1, 2].map(|part| sealed[part] && !opens[part]);
                assert_eq!(shut(&made), left, "{sealed:?} {needed:?}");
                let [seeds, scratch, passcode] = sealed;
                let asks = needed != Needed::Nothing && ((seeds && opens[0]) || scratch || passcode);
                assert_eq!(is_asked, asks, "{sealed:?} {needed:?}");
                assert!(left != [false; 3] || *made.encode() == *with_each_secret().encode());
            }
        }
        let mut fewer = with([false, true, false]);
        fewer.scratch.as_mut().unwrap().hashes.clear();
        fewer.open_sealed(Needed::All, || Ok(ring()));
        assert_eq!(shut(&fewer), [false, true, false], "their number is not that of the record's head");
    }

    #[test]
    fn joined_seeds_are_those_of_the_same_devices_alone() {
        let devices = [phone(1), token(3)];
        let bytes = joined(&devices).unwrap();
        let seeds = separated(&bytes, &devices).unwrap();
        assert!(devices.iter().zip(&seeds).all(|(device, seed)| device.secret.is(seed)));
        for others in
            [&[phone(1)][..], &[phone(1), token(2)], &[token(3), phone(1)], &[phone(1), token(3), token(4)], &[]]
        {
            assert!(separated(&bytes, others).is_none(), "{}", others.len());
        }
        for length in 0..bytes.len() {
            assert!(separated(bytes.get(..length).unwrap(), &devices).is_none(), "{length}");
        }
        let shut = Device { secret: Seed::Shut, ..token(3) };
        assert!(joined(&[phone(1), shut]).is_none() && joined(&[]).is_none());
    }
}
