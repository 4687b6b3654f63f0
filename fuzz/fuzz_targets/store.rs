//! Two files of one user, damaged on the disk: the store loads the latest intact state, or fails; it never starts afresh.
//!
//! Needs root, since the state directory does.

#![no_main]

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::{DeviceId, EnrollmentId};
use otp_core::record::state::{Lately, Lock, Progress, State, Unenforced};
use otp_core::record::state_slot::{SLOT_SIZE, Slot};
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::store::{Store as _, update};
use otp_core::value::network::Address;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};

/// Alice's credentials: two devices, and an enrollment that her state must name.
const CREDENTIALS: &str = include_str!("../corpus/credentials/alice");
const ENROLLMENT: EnrollmentId = EnrollmentId([1; 16]);

fuzz_target!(|data: &[u8]| {
    let Ok(file) = StateFile::of(&mut Unstructured::new(data)) else { return };
    SITE.with_borrow(|site| {
        site.put(&file.bytes);
        let expected = file.present().filter(|state| state.devices.keys().map(|id| id.0).eq([1, 2]));
        let Some(expected) = expected else {
            assert!(site.store.load(&site.alice).is_err(), "neither slot is intact, and that was no error");
            return;
        };
        let found = site.load();
        assert_eq!(found, *expected, "not the latest intact state");

        // A login continues from there. The state that it found stays on the disk until the next one is durable.
        let next = State { failures: found.failures ^ 1, ..found.clone() };
        let written = update(&site.store, &site.alice, &Note::here("login"), |_| (next.clone(), ()));
        assert_eq!(written.is_ok(), file.highest() < u64::MAX, "a state is written if a sequence number is left");
        if written.is_err() {
            assert_eq!(site.load(), found);
            return;
        }
        assert_eq!(site.load(), next);
        let written = fs::read(&site.state).unwrap();
        let changed: Vec<_> = (0..2).filter(|slot| half(&written, *slot) != half(&file.bytes, *slot)).collect();
        let [changed] = *changed else { panic!("{changed:?} were written") };
        let mut torn = written;
        torn[changed * SLOT_SIZE + file.tear..][..SLOT_SIZE - file.tear].fill(b'x');
        site.put(&torn);
        assert_eq!(site.load(), found, "an interrupted login destroyed the state before it");
    });
});

/// The contents of the disk.
struct StateFile {
    slots: [Slot; 2],
    bytes: Vec<u8>,
    /// The offset at which a later write is interrupted.
    tear: usize,
}

impl StateFile {
    /// Two slots and their damage.
    fn of(input: &mut Unstructured<'_>) -> Result<Self> {
        let sequence = if input.ratio(1, 4)? { u64::MAX - 1 } else { input.int_in_range(0..=u64::MAX / 2)? };
        let older = Slot { sequence, state: state(input)? };
        let newer = Slot { sequence: sequence.saturating_add(input.int_in_range(1..=3)?), state: state(input)? };
        let slots = if input.arbitrary()? { [older, newer] } else { [newer, older] };
        let mut bytes = slots.each_ref().map(|slot| slot.encode().unwrap()).concat();
        let tear = input.int_in_range(0..=SLOT_SIZE - 2)?;
        for _ in 0..input.int_in_range(0..=3)? {
            let place = input.int_in_range(0..=SLOT_SIZE * 2 - 1)?;
            match input.int_in_range(0..=4)? {
                0 => bytes.truncate(place),
                1 => bytes.push(b' '),
                2 => bytes.iter_mut().skip(place).take(512).for_each(|byte| *byte = 0),
                3 => bytes.iter_mut().skip(place / SLOT_SIZE * SLOT_SIZE).take(SLOT_SIZE).for_each(|byte| *byte = b' '),
                _ => {
                    let byte = input.arbitrary()?;
                    bytes.iter_mut().skip(place).take(1).for_each(|spoilt| *spoilt = byte);
                }
            }
        }
        Ok(Self { slots, bytes, tear })
    }

    /// The state that must be loaded: the later one of the intact slots of this enrollment.
    fn present(&self) -> Option<&State> {
        let of_this = self.intact().filter(|slot| slot.state.enrollment == ENROLLMENT);
        of_this.max_by_key(|slot| slot.sequence).map(|slot| &slot.state)
    }

    /// The highest sequence number, of any enrollment.
    fn highest(&self) -> u64 {
        self.intact().map(|slot| slot.sequence).max().unwrap()
    }

    fn intact(&self) -> impl Iterator<Item = &Slot> {
        let intact = |position: usize, slot: &Slot| half(&self.bytes, position) == Some(&slot.encode().unwrap()[..]);
        let slots = self.slots.iter().enumerate().filter(|_| self.bytes.len() == SLOT_SIZE * 2);
        slots.filter(move |(position, slot)| intact(*position, slot)).map(|(_, slot)| slot)
    }
}

fn half(bytes: &[u8], position: usize) -> Option<&[u8]> {
    bytes.get(position * SLOT_SIZE..(position + 1) * SLOT_SIZE)
}

fn state(input: &mut Unstructured<'_>) -> Result<State> {
    let enrollment = if input.ratio(1, 8)? { EnrollmentId([2; 16]) } else { ENROLLMENT };
    let mut state = State::new(enrollment);
    for id in [1, 2] {
        let (is_confirmed, awaits_resync, lately) =
            (input.arbitrary()?, input.arbitrary()?, Lately(input.arbitrary()?));
        let progress = Progress { is_confirmed, awaits_resync, lately, ..Progress::from(input.arbitrary()?) };
        state.devices.insert(DeviceId(id), progress);
    }
    if input.ratio(1, 8)? {
        state.devices.remove(DeviceId(2));
    }
    state.failures = input.arbitrary()?;
    state.lock = match input.int_in_range(0..=2)? {
        0 => Lock::Open,
        1 => Lock::Until(UnixTime(input.arbitrary()?)),
        _ => Lock::UntilUnlocked,
    };
    state.used.0 = input.arbitrary()?;
    state.scratch_used.0 = input.arbitrary()?;
    state.passcode_used = input.arbitrary()?;
    state.last_accepted = input.arbitrary::<Option<u64>>()?.map(UnixTime);
    for _ in 0..input.int_in_range(0..=5)? {
        let address = std::net::Ipv6Addr::from_bits(input.arbitrary()?).to_string();
        state.begin_grace(Address::parse(&address).unwrap(), UnixTime(input.arbitrary()?));
    }
    state.unenforced = input.arbitrary::<Option<u64>>()?.map(|at| Unenforced { at: UnixTime(at), why: "wrong".into() });
    Ok(state)
}

/// A state directory as the package makes it, with Alice's files in it.
struct Site {
    store: FileStore,
    alice: Account,
    state: PathBuf,
}

thread_local! {
    static SITE: RefCell<Site> = RefCell::new(Site::new());
}

impl Site {
    fn new() -> Self {
        // fuzz/run removes it: libFuzzer ends the process without running destructors.
        let directory = std::env::temp_dir().join(format!("state.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o1730)).unwrap();
        let store = FileStore::open(&directory).expect("root's own directory: run this as root");
        Credentials::decode(CREDENTIALS.as_bytes(), ReadContext::ANYONE).expect("Alice has credentials");
        write(&directory.join("alice.toml"), CREDENTIALS.as_bytes());
        let alice = Account { name: UserName::parse("alice").unwrap(), uid: 0, gid: 0 };
        Self { state: directory.join("alice.state"), store, alice }
    }

    fn put(&self, bytes: &[u8]) {
        write(&self.state, bytes);
    }

    fn load(&self) -> State {
        self.store.load(&self.alice).unwrap().expect("there are credentials").record.state
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}
