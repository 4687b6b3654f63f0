//! A command that failed for one user and went on with the others.

use serde::Serialize;

use crate::error::Problem;
use crate::ui::output::Voice;

/// Somebody for whom a command could not be done, among others for whom it was.
#[derive(Serialize)]
pub(super) struct NotDone<'a> {
    pub(super) user: &'a str,
    pub(super) error: String,
    pub(super) hint: &'a str,
}

impl NotDone<'_> {
    pub(super) fn tell(&self, voice: &Voice) -> Result<(), Problem> {
        voice.result(self, || format!("{}: not done: {}; {}", self.user, self.error, self.hint))
    }
}
