//! Helpers of several fuzz targets.

use crc::{CRC_64_XZ, Crc};
use otp_core::decision::import::{Found, Import, Others};
use otp_core::record::change::Change;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::EnrollmentId;
use otp_core::record::state_slot::SLOT_SIZE;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use otp_formats::source::{Entry, Read, Source, Whose, without};

/// The time at which files are imported: no date in a file becomes another fault because a run is later.
pub const NOW: UnixTime = UnixTime(1_795_316_400);

/// A slot of a state file with this text and its checksum, which no mutation finds; `None` if the text is too long.
pub fn sealed(text: &str) -> Option<[u8; SLOT_SIZE]> {
    let checksum = Crc::<u64>::new(&CRC_64_XZ).checksum(text.as_bytes());
    let text = format!("{text}checksum {checksum:016x}\n");
    let mut slot = [b' '; SLOT_SIZE];
    slot.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    slot[SLOT_SIZE - 1] = b'\n';
    Some(slot)
}

/// A number below `end` that depends on every byte of the input: where to cut, which byte to spoil.
pub fn place(data: &[u8], end: usize) -> usize {
    let sum =
        data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    (sum >> 16) as usize % end.max(1)
}

/// What was read of a file: devices become a record that can be written and read, and faults say nothing of a seed. Returns
/// the text without what was taken.
pub fn imported(text: &[u8], read: &Read<impl Source>) -> Vec<u8> {
    read.faults.iter().for_each(|fault| says_nothing(&fault.what));
    let mut taken = Vec::new();
    for place in 0..read.entries.count() {
        let Ok(Entry { whose, found, remarks, .. }) = read.entries.entry(place) else {
            panic!("a text in memory stays")
        };
        let (Whose::User(whose) | Whose::Serial(whose)) = whose;
        assert!(!whose.is_empty());
        remarks.iter().for_each(|remark| says_nothing(remark));
        becomes_a_record(found);
        taken.push(read.entries.ranges(place).expect("a text in memory can be read"));
    }
    let mut rest = Vec::new();
    without(text, taken.iter().cloned().map(Ok), &mut rest).expect("memory can be written");
    let mut taken = taken.concat();
    taken.sort_by_key(|range| range.start);
    assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start), "no part is taken twice");
    assert!(taken.last().is_none_or(|last| last.end <= text.len()));
    rest
}

/// Devices become a record that can be written and read.
pub fn becomes_a_record(found: Found) {
    let account = Account { name: UserName::parse("alice").expect("a name"), uid: 1000, gid: 1000 };
    let devices = found.devices.len();
    let import = Import::new(found, Others::Beside, [1; 16], NOW);
    let (Change::Record(record), _) = import.into_record(&account, None, EnrollmentId([2; 16])) else {
        panic!("{devices} devices are no record")
    };
    let text = record.credentials.encode();
    let again = Credentials::decode(text.as_bytes(), ReadContext::of(&account)).expect("it can be read");
    assert_eq!(again.devices.len(), devices);
    assert_eq!(*again.encode(), *text);
}

/// A sentence holds no part of a seed: nothing of six characters or more with a digit in it, but for names of methods, and
/// no eight capital letters.
pub fn says_nothing(sentence: &str) {
    const NAMES: [&str; 6] = ["SHA256", "SHA512", "PBKDF2", "Base32", "Base64", "10000000"];
    for word in sentence.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let is_name = NAMES.contains(&word) || word.len() < 6;
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        let is_capital = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        assert!(is_name || !has_digit && !is_capital, "{sentence}");
    }
}
