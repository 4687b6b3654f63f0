//! The two slots of a state file, read as little as can be: one of them whole, as long as it can be read.

use std::cmp::Reverse;

use crate::record::id::EnrollmentId;
use crate::record::state_slot::{SLOT_SIZE, Slot};

/// Bytes of a state file.
pub(super) const STATE_SIZE: usize = SLOT_SIZE * 2;

/// Where the second slot starts.
pub(super) const SECOND_SLOT: u64 = 2048;

/// A state file in which nothing was written yet.
pub(super) const BLANK: [u8; STATE_SIZE] = [b' '; STATE_SIZE];

/// What a state file says: both slots, or nothing.
pub(super) struct Slots(Vec<u8>);

/// The present state of an enrollment.
pub(super) struct Present {
    /// Where the next one is written.
    pub(super) spare: usize,
    /// The highest sequence number in the file, whichever enrollment it is of.
    pub(super) highest: u64,
    /// What was written last for this enrollment.
    pub(super) slot: Slot,
}

impl Slots {
    /// A file that is shorter or longer holds nothing that can be read.
    pub(super) fn new(mut contents: Vec<u8>) -> Self {
        if contents.len() != STATE_SIZE {
            contents.clear();
        }
        Self(contents)
    }

    /// What can be read, in the order it was written, the last first. What cannot may claim any sequence; it is passed by.
    fn readable(&self) -> impl Iterator<Item = (usize, Slot)> {
        let mut places: Vec<_> = self.0.chunks(SLOT_SIZE).enumerate().collect();
        places.sort_by_key(|(_, bytes)| Reverse(Slot::claimed_sequence(bytes)));
        places.into_iter().filter_map(|(place, bytes)| Some((place, Slot::decode(bytes)?)))
    }

    /// The highest sequence number, whichever enrollment it is of; 0 where nothing was written yet.
    pub(super) fn highest(&self) -> u64 {
        self.readable().next().map_or(0, |(_, slot)| slot.sequence)
    }

    /// The present state of an enrollment.
    pub(super) fn present(&self, enrollment: EnrollmentId) -> Option<Present> {
        let mut highest = 0;
        for (place, slot) in self.readable() {
            highest = highest.max(slot.sequence);
            if slot.state.enrollment == enrollment {
                return Some(Present { spare: if place == 0 { 1 } else { 0 }, highest, slot });
            }
        }
        None
    }
}
