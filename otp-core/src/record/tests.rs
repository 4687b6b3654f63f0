//! Random records are read as they were written.

use zeroize::Zeroizing;

use super::*;
use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Drift, Period};
use crate::codes::ocra::Suite;
use crate::codes::passcode::Issued;
use crate::codes::recovery::RecoverySet;
use crate::record::credentials::{DeviceName, Kind, Serial};
use crate::record::credentials_toml::ReadContext;
use crate::record::id::DeviceId;
use crate::record::state::{Challenged, Grace, Lately, Lock, Unenforced, Used};
use crate::record::state_slot::Slot;
use crate::testing::fixtures::{NOW, phone, record};
use crate::value::destination::{Channel, Destination};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::UserName;

/// Pseudo-random numbers, equal in every run (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.roll() as u8)
    }

    /// Mostly numbers at the ends of their range.
    fn number(&mut self) -> u64 {
        match self.below(5) {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MAX as u64,
            3 => self.below(100),
            _ => self.roll(),
        }
    }

    /// Mostly characters that TOML escapes or forbids.
    fn text(&mut self, most: u64, allowed: fn(char) -> bool) -> String {
        let length = 1 + self.below(most);
        let odd = ['"', '\\', '\'', '\n', '\r', '\t', '\u{1}', '\u{7f}', '\u{85}', '#', '[', ']', '=', '\u{feff}', 'é'];
        let mut letter = || match self.below(3) {
            0 => odd[self.below(odd.len() as u64) as usize],
            1 => char::from(b'a' + self.below(26) as u8),
            _ => char::from_u32(self.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
        };
        std::iter::repeat_with(&mut letter).filter(|letter| allowed(*letter)).take(length as usize).collect()
    }

    fn device(&mut self, id: u8) -> Device {
        let seed = std::iter::repeat_with(|| self.roll() as u8).take(64).collect::<Vec<_>>();
        let length = 10 + self.below(55) as usize;
        Device {
            id: DeviceId(id),
            name: DeviceName::parse(&self.text(40, |letter| !letter.is_control())).unwrap(),
            kind: match self.below(5) {
                0 => Kind::Hotp,
                2 => Kind::Sent(Destination::parse(Channel::Sms, "+61412345678").unwrap()),
                3 => Kind::Sent(Destination::parse(Channel::Email, "o'neil@example.org").unwrap()),
                1 => Kind::Ocra(Suite::parse("OCRA-1:HOTP-SHA512-8:C-QH40-T12H").unwrap()),
                _ => Kind::Totp(Clock {
                    period: Period::try_from(10 + self.below(291)).unwrap(),
                    drift: Drift::of(self.below(45) as i64 - 22),
                }),
            },
            secret: Secret::new(Zeroizing::new(seed[..length].to_vec())).unwrap().into(),
            algorithm: [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][self.below(3) as usize],
            digits: Digits::try_from(6 + self.below(3) as u8).unwrap(),
            created: UnixTime(self.number()),
            serial: Serial::parse(&self.text(45, |letter| letter.is_ascii_graphic())),
        }
    }

    fn progress(&mut self) -> Progress {
        let used = (self.below(2) > 0).then_some(UnixTime(self.number()));
        let lately = Lately(if self.below(2) > 0 { u128::from(self.roll()) << self.below(64) } else { 0 });
        Progress {
            next: self.number(),
            lately,
            used,
            is_confirmed: self.below(2) > 0,
            awaits_resync: self.below(4) == 0,
        }
    }

    fn credentials(&mut self) -> Credentials {
        let mut name = self.text(60, |letter| letter != '\0');
        name.truncate(name.floor_char_boundary(255));
        let mut ids: Vec<u8> = (0..self.below(9)).map(|_| 1 + self.below(255) as u8).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = self.below(9) as usize;
        let default = ids.get(place).or(ids.first()).copied().map(DeviceId);
        let last_id = DeviceId(ids.last().map_or(0, |last| last.saturating_add(self.below(3) as u8)));
        let hashes = (0..=self.below(10)).map(|_| self.bytes()).collect();
        Credentials {
            user: UserName::parse(&name).unwrap(),
            uid: self.number() as u32,
            enrollment: EnrollmentId(self.bytes()),
            user_override: [
                Override::Required,
                Override::RequiredUntil(NOW),
                Override::Enroll,
                Override::EnrollUntil(NOW),
                Override::Exempt,
                Override::ExemptUntil(NOW),
                Override::None,
            ][self.below(7) as usize],
            devices: ids.into_iter().map(|id| self.device(id)).collect(),
            default,
            last_id,
            sealed: crate::record::seal::SealedParts::default(),
            scratch: (self.below(4) == 0).then_some(RecoverySet { salt: self.bytes(), hashes: vec![self.bytes(); 5] }),
            recovery: (self.below(4) > 0).then_some(RecoverySet { salt: self.bytes(), hashes }),
            passcode: (self.below(4) == 0).then_some(Issued {
                salt: self.bytes(),
                hash: self.bytes(),
                until: UnixTime(self.number()),
                service: (self.below(2) > 0).then_some(format!("s{}", self.text(60, |letter| letter != '\0'))),
            }),
        }
    }

    fn state(&mut self, credentials: &Credentials) -> State {
        let challenged = |device: &Device| Challenged {
            device: device.id,
            until: UnixTime(u64::from(device.id.0)),
            question: "Q7".repeat(usize::from(device.id.0 % 32) + 1),
            is_used: device.id.0.is_multiple_of(2),
        };
        State {
            enrollment: credentials.enrollment,
            challenges: credentials.devices.iter().take(3).map(challenged).collect(),
            devices: credentials.devices.iter().map(|device| (device.id, self.progress())).collect(),
            failures: self.number() as u32,
            lock: match self.below(3) {
                0 => Lock::Open,
                1 => Lock::UntilUnlocked,
                _ => Lock::Until(UnixTime(self.number())),
            },
            used: Used(self.roll() as u16),
            scratch_used: Used((self.roll() & self.roll() & self.roll()) as u16),
            passcode_used: self.below(2) > 0,
            last_accepted: (self.below(3) > 0).then_some(UnixTime(self.number())),
            graces: (0..self.below(5)).map(|_| self.grace()).collect(),
            unenforced: (self.below(3) > 0).then(|| Unenforced { at: UnixTime(self.number()), why: "wrong".into() }),
        }
    }

    fn grace(&mut self) -> Grace {
        let six = std::net::Ipv6Addr::from_bits(u128::from(self.roll()) << 64 | u128::from(self.roll()));
        let four = std::net::Ipv4Addr::from_bits(self.roll() as u32);
        let text = if self.below(2) > 0 { six.to_string() } else { four.to_string() };
        Grace { address: crate::value::network::Address::parse(&text).unwrap(), at: UnixTime(self.number()) }
    }
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let mut dice = Dice(1);
    for round in 0..2000 {
        let credentials = dice.credentials();
        let slot = Slot { sequence: dice.number(), state: dice.state(&credentials) };
        assert_eq!(Slot::decode(&slot.encode().unwrap()), Some(slot.clone()), "round {round}");
        let text = credentials.encode();
        assert!(text.len() <= 12_288, "round {round}");
        let back = Credentials::decode(text.as_bytes(), ReadContext::ANYONE)
            .unwrap_or_else(|error| panic!("{error}: {}", *text));
        // `Debug` shows everything but the seeds, which the text compares.
        assert_eq!((format!("{back:?}"), back.encode()), (format!("{credentials:?}"), text), "round {round}");
        assert!(Record::new(back, slot.state).is_ok(), "round {round}");
    }
}

#[test]
fn a_record_goes_to_another_machine_as_two_texts() {
    let mut dice = Dice(3);
    for round in 0..100 {
        let credentials = dice.credentials();
        let state = dice.state(&credentials);
        let record = Record::new(credentials, state).unwrap();
        let (text, state) = record.texts().unwrap();
        let back = Record::of_texts(text.as_bytes(), &state, ReadContext::ANYONE).unwrap();
        assert_eq!((back.credentials.encode(), &back.state), (text, &record.state), "round {round}");
    }
}

#[test]
fn a_file_with_a_changed_byte_is_an_error_or_encodes_to_what_it_means() {
    let mut dice = Dice(2);
    let text = record(vec![phone(1), phone(2)]).credentials.encode();
    for _ in 0..3000 {
        let mut bytes = text.as_bytes().to_vec();
        let position = dice.below(bytes.len() as u64) as usize;
        match dice.below(3) {
            0 => drop(bytes.remove(position)),
            1 => bytes.insert(position, dice.roll() as u8),
            _ => bytes[position] = dice.roll() as u8,
        }
        if let Ok(read) = Credentials::decode(&bytes, ReadContext::ANYONE) {
            let text = read.encode();
            assert_eq!(Credentials::decode(text.as_bytes(), ReadContext::ANYONE).map(|again| again.encode()), Ok(text));
        }
    }
}

#[test]
fn credentials_and_state_that_do_not_match_are_an_error() {
    let whole = || record(vec![phone(1), phone(2)]);
    let refused = |spoil: fn(&mut State)| {
        let Record { credentials, mut state } = whole();
        spoil(&mut state);
        Record::new(credentials, state).err().map(|error| error.to_string())
    };
    let devices = Some("is inconsistent: state and credentials name different devices".to_owned());
    assert_eq!(refused(|_| ()), None);
    assert_eq!(
        refused(|state| {
            state.devices.remove(DeviceId(2));
        }),
        devices
    );
    assert_eq!(
        refused(|state| {
            state.set_nexts([(3, 0)]);
        }),
        devices
    );
    assert_eq!(refused(|state| state.devices.clear()), devices);
    let another = Some("is inconsistent: the state belongs to another enrollment".to_owned());
    assert_eq!(refused(|state| state.enrollment = EnrollmentId([2; 16])), another);
}

#[test]
fn an_enrollment_id_is_printed_in_one_spelling() {
    let (enrollment, spelling) = (EnrollmentId([0xab; 16]), "ab".repeat(16));
    assert_eq!((enrollment.to_string(), format!("{enrollment:?}")), (spelling.clone(), spelling.clone()));
    assert_eq!(EnrollmentId::parse(&spelling), Some(enrollment));
    for other in [spelling.to_uppercase(), "ab".repeat(15), format!("{spelling}ab")] {
        assert_eq!(EnrollmentId::parse(&other), None, "{other}");
    }
}

#[test]
fn unused_recovery_codes_are_counted() {
    let Record { mut credentials, mut state } = record(vec![phone(1)]);
    for (used, left) in [(0, 10), (0b1001, 8), (u16::MAX, 0)] {
        state.used = Used(used);
        assert_eq!(credentials.recovery_left(&state), Some(left));
    }
    let scratch = RecoverySet { salt: [1; 16], hashes: vec![[2; 32]; 5] };
    (credentials.scratch, state.scratch_used) = (Some(scratch), Used(1));
    state.used = Used(0b11);
    assert_eq!(credentials.recovery_left(&state), Some(8 + 4));
    credentials.recovery = None;
    assert_eq!(credentials.recovery_left(&state), Some(4));
    credentials.scratch = None;
    assert_eq!(credentials.recovery_left(&state), None);
}

/// A change here needs a new version number. The checksum was computed bit by bit, elsewhere.
#[test]
fn the_files_have_the_format_of_version_1() {
    let Record { mut credentials, mut state } = record(vec![phone(1), crate::testing::fixtures::token(3)]);
    credentials.recovery = Some(RecoverySet { salt: [7; 16], hashes: vec![[0xab; 32]] });
    let expected = "\
# Second factor of one user; written by otp-enroll, which changes it safely.
version = 1
user = \"alice\"
uid = 1000
enrollment = \"01010101010101010101010101010101\"
override = \"none\"
recovery_codes = 1
devices = 2
last_id = 3
default = 1
digits = 6

[recovery]
salt = \"07070707070707070707070707070707\"
codes = [
  \"abababababababababababababababababababababababababababababababab\",
]

[[device]]
id = 1
name = \"phone\"
type = \"totp\"
period = 30
algorithm = \"SHA1\"
digits = 6
created = 1763663620
secret = \"AEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIB\"

[[device]]
id = 3
name = \"phone\"
type = \"hotp\"
algorithm = \"SHA1\"
digits = 6
created = 1763663620
secret = \"AMBQGAYDAMBQGAYDAMBQGAYDAMBQGAYD\"
";
    assert_eq!(*credentials.encode(), expected);

    state.set_nexts([(1, 58_791_668), (3, 0)]);
    state.devices.insert(DeviceId(1), Progress { used: Some(UnixTime(1_763_750_020)), ..Progress::from(58_791_668) });
    state.devices.insert(DeviceId(3), Progress { is_confirmed: false, ..Progress::from(0) });
    state = State { failures: 2, lock: Lock::Until(UnixTime(1_763_750_920)), used: Used(0b101), ..state };
    state.last_accepted = Some(UnixTime(1_763_750_020));
    let expected = "\
pam_otp-state 1
sequence 00000000000000000007
enrollment 01010101010101010101010101010101
last-accepted 1763750020
failures 2
lock until 1763750920
used 0000000000000101
device 1 next 58791668 used 1763750020
device 3 next 0 used never unconfirmed
checksum b4474f61c69fc3e8
";
    let slot = Slot { sequence: 7, state }.encode().unwrap();
    let text = std::str::from_utf8(&slot).unwrap();
    assert_eq!((text.len(), text.trim_end_matches([' ', '\n'])), (2048, expected.trim_end()));
    assert!(text.ends_with(" \n"));
}
