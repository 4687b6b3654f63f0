//! The two slots of a state file. Decodes only the newer slot, unless it is damaged.

use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::state_slot::{SLOT_SIZE, Slot, of_other_version};
use crate::store::files::file_names::Names;

/// Bytes of a state file.
pub(super) const STATE_SIZE: usize = SLOT_SIZE * 2;

/// Offset of the second slot.
pub(super) const SECOND_SLOT: u64 = 2048;

/// The contents of a new state file.
pub(super) const BLANK: [u8; STATE_SIZE] = [b' '; STATE_SIZE];

/// What precedes, in a file without a state, the name of the file that it replaces.
const REPLACES: &str = "pam_otp-state 1\nreplaces ";

/// The contents of a state file: both slots, or nothing.
pub(super) struct Slots(Vec<u8>);

/// The present state of an enrollment.
pub(super) struct Present {
    /// The slot that the next state is written to.
    pub(super) spare: usize,
    /// The highest sequence number in the file, of any enrollment.
    pub(super) highest: u64,
    pub(super) slot: Slot,
}

impl Slots {
    /// A file of another size counts as empty.
    pub(super) fn new(mut contents: Vec<u8>) -> Self {
        if contents.len() != STATE_SIZE {
            contents.clear();
        }
        Self(contents)
    }

    /// The contents of a new state file in place of one that is set aside.
    pub(super) fn naming(aside: &str) -> [u8; STATE_SIZE] {
        let mut contents = BLANK;
        let text = REPLACES.bytes().chain(aside.bytes()).chain(*b"\n");
        contents.iter_mut().zip(text).for_each(|(place, byte)| *place = byte);
        contents
    }

    /// The name of the file that this one replaces, until a state was written over it.
    pub(super) fn aside(&self, names: &Names) -> Option<String> {
        let text = std::str::from_utf8(self.0.get(..SLOT_SIZE)?.strip_prefix(REPLACES.as_bytes())?).ok()?;
        let name = text.lines().next()?;
        names.is_aside(name).then(|| name.to_owned())
    }

    /// The slots, that of the highest sequence number first. Damaged ones may claim any.
    fn newest_first(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut slots: Vec<_> = self.0.chunks(SLOT_SIZE).enumerate().collect();
        // Not sorted: of two, that would be 9 KB in every PAM host.
        if let [(_, first), (_, second)] = slots.as_slice()
            && Slot::claimed_sequence(second) > Slot::claimed_sequence(first)
        {
            slots.reverse();
        }
        slots.into_iter()
    }

    /// The highest sequence number, of any enrollment; 0 if nothing was written yet.
    pub(super) fn highest(&self) -> u64 {
        self.newest_first().find_map(|(_, bytes)| Slot::decode(bytes)).map_or(0, |slot| slot.sequence)
    }

    /// The present state of an enrollment. A damaged slot is skipped, since a power cut tears the one that is written. One that
    /// another version has written is an error: in the state before it, codes are unused that were used.
    pub(super) fn present(&self, enrollment: EnrollmentId) -> Result<Option<Present>, RecordError> {
        let mut highest = 0;
        for (position, bytes) in self.newest_first() {
            let Some(slot) = Slot::decode(bytes) else {
                match of_other_version(bytes) {
                    Some((version, of)) if of == enrollment => return Err(RecordError::Version(version)),
                    Some(_) | None => continue,
                }
            };
            highest = highest.max(slot.sequence);
            if slot.state.enrollment == enrollment {
                return Ok(Some(Present { spare: if position == 0 { 1 } else { 0 }, highest, slot }));
            }
        }
        Ok(None)
    }
}
