//! Helpers of several fuzz targets.

use otp_core::record::state_slot::SLOT_SIZE;
use sha2::{Digest, Sha256};

/// A slot of a state file with this text and its checksum, which no mutation finds; `None` if the text is too long.
pub fn sealed(text: &str) -> Option<[u8; SLOT_SIZE]> {
    let checksum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{text}checksum {checksum}\n");
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
