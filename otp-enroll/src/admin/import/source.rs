//! The interface of a file format: its users, their devices, and its faults.

use otp_core::decision::import::Imported;
use serde::Serialize;

/// The users of a file without faults. Devices are made one user at a time, so that all seeds stay in one buffer, which is
/// wiped.
pub(super) trait ImportSource: Sync {
    fn count(&self) -> usize;
    /// The user's name, for places below [`ImportSource::count`].
    fn name(&self, place: usize) -> &str;
    /// The user's devices: at least one, and no more than a record may have.
    fn devices(&self, place: usize) -> Vec<Imported>;
}

/// Why a file cannot be imported. It never quotes the line, which may contain a seed.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    pub(super) line: usize,
    #[serde(rename = "fault")]
    pub(super) what: String,
}
