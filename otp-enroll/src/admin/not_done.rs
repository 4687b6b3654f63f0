//! A command that failed for one user and went on with the others.

use serde::Serialize;

use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;

#[derive(Serialize)]
pub(super) struct NotDone<'a> {
    pub(super) user: &'a str,
    pub(super) error: String,
    pub(super) hint: &'a str,
}

impl NotDone<'_> {
    pub(super) fn tell(&self, output: &Output) -> Result<(), CliError> {
        output.result(self, || {
            layout::escaped(&format!("{}: failed: {}; {}", self.user, self.error, self.hint)).into_owned()
        })
    }
}
