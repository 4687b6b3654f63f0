//! What every format of a file with users' seeds has to say; nothing else knows a format.

use otp_core::decision::import::Imported;
use serde::Serialize;

/// The users of a file in which no fault was found. Devices are made when it is their user's turn, so that the seeds of
/// a million lie in one place, which is wiped. All that a format has to say; nothing beyond this knows any.
pub(super) trait People: Sync {
    /// How many.
    fn count(&self) -> usize;
    /// What one of them is called there, below [`People::count`].
    fn name(&self, place: usize) -> &str;
    /// What they have there: at least one device, and no more than a record may have.
    fn devices(&self, place: usize) -> Vec<Imported>;
}

/// What keeps a file from being imported. It never says what stands there.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    pub(super) line: usize,
    #[serde(rename = "fault")]
    pub(super) what: String,
}
