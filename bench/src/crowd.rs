//! The other users: enrolled users who do not log in, written directly into the modules' files.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    ops::Range,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

use otp_core::record::state_slot::{SLOT_SIZE, Slot};
use otp_core::value::user::{Account, UserName};

use crate::codes::Key;
use crate::enroll::{self, Factor};
use crate::place::{Place, oath_file, ours_dir};
use crate::progress::Progress;

/// No account has these user ids.
const FIRST_UID: u32 = 2_000_000;

/// Enrolls other users with us and with pam_oath. The incumbent keeps a file in each user's own home, which no other user's
/// login reads. They need no accounts: only the user who logs in is looked up.
pub(crate) fn gather(place: &Place, others: Range<u32>, progress: &Progress) {
    let (state, key) = (ours_dir(place), Key::random());
    list(place, others.end);
    let total = others.len();
    for (done, number) in others.enumerate() {
        if done % 1000 == 0 {
            progress.part(&format!("enrolling others on {}", place.medium), done, total);
        }
        let account = account(number);
        let name = account.name.as_str();
        let mut enrollment = [0; 16];
        enrollment[..4].copy_from_slice(&number.to_be_bytes());
        let record = enroll::record(&account, &key, Factor::Time, enrollment);
        write(&state.join(format!("{name}.toml")), account.uid, 0o600, record.credentials.encode().as_bytes());
        let mut slots = Slot { sequence: 1, state: record.state }.encode().unwrap();
        slots.resize(SLOT_SIZE * 2, b' ');
        write(&state.join(format!("{name}.state")), account.uid, 0o600, &slots);
    }
    progress.part(&format!("settling {}", place.medium), total, total);
    place.settle();
}

/// Enrolls users with pam_oath alone, in a new file. Users who logged in before are at the end of the old one, and removed.
pub(crate) fn list(place: &Place, others: u32) {
    let (mut oath, key) = (BufWriter::new(File::create(oath_file(place)).unwrap()), Key::random());
    for number in 0..others {
        oath.write_all(enroll::oath_line(account(number).name.as_str(), &key, Factor::Time).as_bytes()).unwrap();
    }
    oath.flush().unwrap();
    fs::set_permissions(oath_file(place), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The account of one of the other users.
pub(crate) fn account(number: u32) -> Account {
    let uid = FIRST_UID + number;
    Account { name: UserName::parse(&format!("other-{number:07}")).unwrap(), uid, gid: uid }
}

fn write(path: &Path, uid: u32, mode: u32, content: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).unwrap();
    file.write_all(content).unwrap();
    fchown(&file, Some(uid), Some(uid)).unwrap();
}
