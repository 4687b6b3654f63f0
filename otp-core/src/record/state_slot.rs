//! State as text, and that text in a slot of fixed size, which is overwritten in place.

use std::fmt::{self, Write as _};

use base16ct::lower::encode_string;
use crc::{CRC_64_XZ, Crc, Table};

use crate::record::error::RecordError;
use crate::record::id::{DeviceId, EnrollmentId, from_hex};
use crate::record::state::{Challenged, Grace, Lately, Lock, Progress, State, Unenforced, Used};
use crate::value::network::Address;
use crate::value::time::UnixTime;

/// Bytes of one slot. A state file has two slots, which fit one block of a disk.
pub const SLOT_SIZE: usize = 2048;

/// The start of each slot, before its sequence number of 20 digits. Whatever another version changes, its slots begin with these two
/// lines and the one of the enrollment, have another digit in the first, and end with the checksum: so this version tells them
/// from torn slots, behind which the state before counts.
const BEGINNING: &str = "pam_otp-state 1\nsequence ";
const STATE: &str = "pam_otp-state ";
const SEQUENCE: &str = "\nsequence ";
const ENROLLMENT: &str = "\nenrollment ";

/// Bytes of the last line, without its end.
const CHECKSUM_LENGTH: usize = "checksum 0123456789abcdef".len();

/// The key of the line about used scratch codes. No line is there if none was used.
const SCRATCH_USED: &str = "scratch-used";

/// Tells a slot that a power cut has torn from a whole one. It keeps no attacker out: a process that can write the file can write
/// a right checksum, of any kind. It misses no damage within 64 bits, and one tear in 2^64 elsewhere.
const CHECKSUM: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_XZ);

/// Words at the end of a device's line.
const LATELY: &str = "lately";
const UNCONFIRMED: &str = "unconfirmed";
const AWAITS_RESYNC: &str = "awaits-resync";

/// The line of a state whose passcode was used. No line is there for one that was not.
const PASSCODE_USED: &str = "passcode used";

/// A state and its number in the sequence of all states written for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// One more than that of the state before.
    pub sequence: u64,
    pub state: State,
}

impl Slot {
    /// The text, with its checksum, for a store that has no slots. `None` if it does not fit a slot: every store must be able
    /// to hold what another one held. Eight devices always fit.
    pub fn text(&self) -> Option<String> {
        let mut text = String::with_capacity(SLOT_SIZE);
        self.write(&mut text).ok()?;
        let checksum = CHECKSUM.checksum(text.as_bytes());
        writeln!(text, "checksum {checksum:016x}").ok()?;
        (text.len() <= SLOT_SIZE).then_some(text)
    }

    /// Reads what [`Slot::text`] writes. Anything else is damaged, or of another version.
    pub fn of_text(text: &str) -> Result<Self, RecordError> {
        let slot = Self::read(text).filter(|slot| slot.text().is_some_and(|written| written == text));
        slot.ok_or_else(|| match of_other_version(text.as_bytes()) {
            Some((version, _)) => RecordError::Version(version),
            None => RecordError::Malformed("its state is damaged".into()),
        })
    }

    /// The text, padded to [`SLOT_SIZE`]; `None` if it does not fit.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut slot = self.text()?.into_bytes();
        slot.resize(SLOT_SIZE, b' ');
        *slot.last_mut()? = b'\n';
        Some(slot)
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Self { sequence, state } = self;
        write!(text, "{BEGINNING}{sequence:020}{ENROLLMENT}{}\nlast-accepted ", state.enrollment)?;
        push_time(text, state.last_accepted)?;
        writeln!(text, "\nfailures {}\nlock {}\nused {:016b}", state.failures, state.lock, state.used.0)?;
        if state.scratch_used != Used::default() {
            writeln!(text, "{SCRATCH_USED} {:016b}", state.scratch_used.0)?;
        }
        if state.passcode_used {
            writeln!(text, "{PASSCODE_USED}")?;
        }
        if let Some(Unenforced { at, why }) = &state.unenforced {
            writeln!(text, "unenforced {} {why}", at.0)?;
        }
        for Grace { address, at } in &state.graces {
            writeln!(text, "grace {address} {}", at.0)?;
        }
        for Challenged { device, until, question, is_used } in &state.challenges {
            let used = if *is_used { " used" } else { "" };
            writeln!(text, "challenge {device} until {} question {question}{used}", until.0)?;
        }
        for (device, Progress { next, lately, used, is_confirmed, awaits_resync }) in state.devices.iter() {
            // Piece by piece: with up to eight of these lines, the machinery of `writeln!` would be a good part of a login.
            text.push_str("device ");
            push_number(text, device.0.into())?;
            push_word(text, "next ");
            push_number(text, *next)?;
            push_word(text, "used ");
            push_time(text, *used)?;
            if *lately != Lately::default() {
                push_word(text, LATELY);
                push_word(text, &encode_string(&lately.0.to_be_bytes()));
            }
            if !is_confirmed {
                push_word(text, UNCONFIRMED);
            }
            if *awaits_resync {
                push_word(text, AWAITS_RESYNC);
            }
            text.push('\n');
        }
        Ok(())
    }

    /// The sequence number that a slot of any version claims, 0 if none. Only a slot that decodes proves it.
    pub fn claimed_sequence(bytes: &[u8]) -> u64 {
        let digits = || of_any_version(bytes)?.1.first_chunk::<20>();
        digits().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
    }

    /// Reads a slot; `None` if it is torn, damaged or anything that [`Slot::encode`] would not write.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let slot = Self::read(std::str::from_utf8(bytes).ok()?)?;
        // Encoding it again must give equal bytes: that checks checksum, padding and every spelling at once.
        (slot.encode()? == bytes).then_some(slot)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().map_while(|line| line.split_once(' ')).peekable();
        let mut value = |wanted| lines.next_if(|(key, _)| *key == wanted).map(|(_, value)| value);
        value("pam_otp-state").filter(|version| *version == "1")?;
        let sequence = value("sequence")?.parse().ok()?;
        let mut state = State::new(EnrollmentId::parse(value("enrollment")?)?);
        state.last_accepted = match value("last-accepted")? {
            "never" => None,
            time => Some(UnixTime(time.parse().ok()?)),
        };
        state.failures = value("failures")?.parse().ok()?;
        state.lock = Lock::parse(value("lock")?)?;
        let bits = |text| u16::from_str_radix(text, 2).ok().map(Used);
        state.used = bits(value("used")?)?;
        if let Some(text) = value(SCRATCH_USED) {
            state.scratch_used = bits(text)?;
        }
        state.passcode_used = value("passcode") == Some("used");
        if let Some((at, why)) = value("unenforced").and_then(|value| value.split_once(' ')) {
            state.unenforced = Some(Unenforced { at: UnixTime(at.parse().ok()?), why: why.to_owned() });
        }
        while let Some((address, at)) = value("grace").and_then(|value| value.split_once(' ')) {
            state.graces.push(Grace { address: Address::parse(address)?, at: UnixTime(at.parse().ok()?) });
        }
        while let Some(challenge) = value("challenge") {
            let mut words = challenge.split(' ');
            let device = DeviceId(words.next()?.parse().ok()?);
            let until = UnixTime(words.nth(1)?.parse().ok()?);
            let question = words.nth(1)?.to_owned();
            state.challenges.push(Challenged { device, until, question, is_used: words.next().is_some() });
        }
        while let Some(progress) = value("device") {
            // Any blanks: encoding it again tells. The search for one character would take several times as long.
            let mut words = progress.split_ascii_whitespace();
            let device = DeviceId(words.next()?.parse().ok()?);
            let next = words.nth(1)?.parse().ok()?;
            let used = match words.nth(1)? {
                "never" => None,
                time => Some(UnixTime(time.parse().ok()?)),
            };
            let mut progress = Progress { used, ..Progress::from(next) };
            while let Some(word) = words.next() {
                match word {
                    LATELY => progress.lately = Lately(u128::from_be_bytes(from_hex(words.next()?)?)),
                    UNCONFIRMED => progress.is_confirmed = false,
                    AWAITS_RESYNC => progress.awaits_resync = true,
                    _ => return None,
                }
            }
            state.devices.insert(device, progress);
        }
        Some(Self { sequence, state })
    }
}

/// The digit of the version, and what follows the key of the sequence number.
fn of_any_version(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (digit, rest) = bytes.strip_prefix(STATE.as_bytes())?.split_first()?;
    Some((*digit, rest.strip_prefix(SEQUENCE.as_bytes())?))
}

/// The version and the enrollment of a state that another version has written, if it is whole.
#[cold]
pub fn of_other_version(bytes: &[u8]) -> Option<(u64, EnrollmentId)> {
    let (digit, after) = of_any_version(bytes).filter(|(digit, _)| *digit != b'1')?;
    let enrollment = after.get(20..)?.strip_prefix(ENROLLMENT.as_bytes())?.first_chunk::<32>()?;
    let enrollment = EnrollmentId::parse(std::str::from_utf8(enrollment).ok()?)?;
    let text = bytes.trim_ascii_end();
    let (before, end) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LENGTH)?)?;
    let is_whole = end == format!("checksum {:016x}", CHECKSUM.checksum(before)).as_bytes();
    is_whole.then_some((u64::from(digit.checked_sub(b'0')?), enrollment))
}

/// After a blank.
fn push_word(text: &mut String, word: &str) {
    text.push(' ');
    text.push_str(word);
}

fn push_time(text: &mut String, time: Option<UnixTime>) -> fmt::Result {
    match time {
        Some(time) => push_number(text, time.0)?,
        None => text.push_str("never"),
    }
    Ok(())
}

/// In decimal.
fn push_number(text: &mut String, number: u64) -> fmt::Result {
    let (mut digits, mut rest) = ([0; 20], number); // as many as u64::MAX has
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        *place = u8::try_from(rest % 10).map_err(|_| fmt::Error)?.saturating_add(b'0');
        (start, rest) = (start.saturating_sub(1), rest / 10);
        if rest == 0 {
            break;
        }
    }
    text.push_str(digits.get(start..).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(fmt::Error)?);
    Ok(())
}

/// What another version might write.
#[cfg(test)]
pub(crate) fn of_version_2(sequence: u64, enrollment: EnrollmentId) -> String {
    let text = format!("pam_otp-state 2\nsequence {sequence:020}\nenrollment {enrollment}\nwhat else 7\n");
    let checksum = CHECKSUM.checksum(text.as_bytes());
    format!("{text}checksum {checksum:016x}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::id::MOST_DEVICES;
    use crate::record::state::{MOST_CHALLENGES, MOST_GRACES};

    fn full() -> Slot {
        let largest = Progress {
            next: u64::MAX,
            lately: Lately(u128::MAX),
            used: Some(UnixTime(u64::MAX)),
            is_confirmed: false,
            awaits_resync: true,
        };
        let devices = (0..MOST_DEVICES).map(|n| (DeviceId(u8::MAX - u8::try_from(n).unwrap()), largest)).collect();
        let state = State {
            enrollment: EnrollmentId([0xcd; 16]),
            devices,
            challenges: vec![
                Challenged {
                    device: DeviceId(u8::MAX),
                    until: UnixTime(u64::MAX),
                    question: "Z".repeat(64),
                    is_used: true
                };
                MOST_CHALLENGES
            ],
            failures: u32::MAX,
            lock: Lock::Until(UnixTime(u64::MAX)),
            used: Used(0b11_1111_1111),
            scratch_used: Used(0b11_1111_1111),
            passcode_used: true,
            last_accepted: Some(UnixTime(u64::MAX)),
            graces: vec![
                Grace {
                    address: Address::parse("2001:db8:1111:2222:3333:4444:5555:6666").unwrap(),
                    at: UnixTime(u64::MAX)
                };
                MOST_GRACES
            ],
            unenforced: Some(Unenforced { at: UnixTime(u64::MAX), why: "not-enrolled".into() }),
        };
        Slot { sequence: u64::MAX, state }
    }

    #[test]
    fn decoding_undoes_encoding_even_of_the_largest_state() {
        let fresh = Slot { sequence: 1, state: State::new(EnrollmentId([1; 16])) };
        let locked = Slot { state: State { lock: Lock::UntilUnlocked, ..fresh.state.clone() }, ..fresh };
        for slot in [full(), locked, Slot { sequence: 1, state: State::new(EnrollmentId([1; 16])) }] {
            let bytes = slot.encode().unwrap();
            assert_eq!(Slot::decode(&bytes).as_ref(), Some(&slot));
            assert_eq!(Slot::claimed_sequence(&bytes), slot.sequence);
        }
    }

    #[test]
    fn the_text_of_a_slot_is_the_slot_without_its_padding() {
        for slot in [full(), Slot { sequence: 7, state: State::new(EnrollmentId([1; 16])) }] {
            let text = slot.text().unwrap();
            assert_eq!(Slot::of_text(&text).as_ref(), Ok(&slot));
            let bytes = slot.encode().unwrap();
            let (start, padding) = bytes.split_at(text.len());
            assert_eq!((start, padding.trim_ascii()), (text.as_bytes(), &b""[..]));
            for odd in
                [format!("{text} "), text.replace("failures", "failure"), text.replace("failures ", "failures 1")]
            {
                assert_eq!(
                    Slot::of_text(&odd).unwrap_err().to_string(),
                    "cannot be read: its state is damaged",
                    "{odd}"
                );
            }
            assert!(Slot::of_text(std::str::from_utf8(&bytes).unwrap()).is_err(), "the padding is no part of it");
        }
    }

    #[test]
    fn what_another_version_has_written_is_told_from_damage() {
        let enrollment = EnrollmentId([5; 16]);
        let text = of_version_2(9, enrollment);
        assert_eq!(Slot::of_text(&text), Err(RecordError::Version(2)));
        let mut slot = text.clone().into_bytes();
        slot.resize(SLOT_SIZE, b' ');
        assert_eq!((Slot::decode(&slot), of_other_version(&slot)), (None, Some((2, enrollment))));
        assert_eq!(Slot::claimed_sequence(&slot), 9);
        for position in 0..text.len() - 1 {
            let mut bad = slot.clone();
            bad[position] ^= 1;
            assert_eq!(of_other_version(&bad), None, "byte {position}");
            assert_eq!(of_other_version(&slot[..position]), None, "cut at {position}");
        }
        for own in [full(), Slot { sequence: 1, state: State::new(enrollment) }] {
            assert_eq!(of_other_version(&own.encode().unwrap()), None, "this version");
        }
        assert_eq!(of_other_version(&[]), None);
    }

    #[test]
    fn a_state_that_no_slot_holds_has_no_text() {
        let mut slot = full();
        slot.state.challenges[0].question = "Z".repeat(SLOT_SIZE);
        assert_eq!((slot.text(), slot.encode()), (None, None));
    }

    #[test]
    fn one_changed_byte_anywhere_makes_a_slot_unreadable() {
        let good = full().encode().unwrap();
        for position in 0..SLOT_SIZE {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert_eq!(Slot::decode(&bad), None, "byte {position}");
        }
        assert_eq!(Slot::decode(&good[..SLOT_SIZE - 1]), None);
        assert_eq!(Slot::decode(&[]), None);
    }

    #[test]
    fn a_slot_torn_between_two_states_is_unreadable() {
        let old = full().encode().unwrap();
        let mut newer = full();
        newer.state.failures = 3;
        newer.sequence = 7;
        let new = newer.encode().unwrap();
        for cut in 1..SLOT_SIZE {
            let torn = [&new[..cut], &old[cut..]].concat();
            assert!(torn == new || torn == old || Slot::decode(&torn).is_none(), "cut at {cut}");
        }
    }
}
