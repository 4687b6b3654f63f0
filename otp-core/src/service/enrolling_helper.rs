//! The steps of an enrollment in the middle of a login, by a helper that a process of root has started: what they need is not linked
//! into a PAM host.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::CoreError;
use crate::protocol::enrollment_messages::{Step, Told, ask_step, read_step};
use crate::protocol::helper_process::Helper;

/// A helper that keeps one enrollment between its steps. It ends when this is dropped.
pub struct EnrollingHelper(Helper);

impl EnrollingHelper {
    /// Starts the installed helper for the records of this configuration. It refuses a caller whose real user id is not root's.
    pub fn start(config: &Path) -> Result<Self, CoreError> {
        let config = CString::new(config.as_os_str().as_bytes()).map_err(io::Error::from)?;
        Ok(Self(Helper::start_for_root(&config)?))
    }

    /// Takes a step for one user, the same for each step. What is told is durable.
    pub fn step(&mut self, user: &str, step: &Step<'_>) -> Result<Told, CoreError> {
        let line = self.0.ask_line(&ask_step(user, step, None))?;
        Ok(read_step(&line)?.0)
    }
}
