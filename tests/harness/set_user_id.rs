//! A program of root's that a user starts, as su is installed.

use crate::{machine, users::TestUser};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A set-user-ID copy of a program; it goes when this goes.
#[derive(Debug)]
pub struct SetUserId(PathBuf);

impl SetUserId {
    /// `pamtalk`, for a [`crate::conversation::Talk`].
    ///
    /// # Panics
    /// Outside the machine.
    pub fn pamtalk() -> SetUserId {
        machine::require("a set-user-ID program");
        let path = Path::new("/usr/local/bin").join(machine::unique("pamtalk"));
        machine::run(Command::new("install").args(["-m", "4755"]).arg(machine::program("pamtalk")).arg(&path));
        SetUserId(path)
    }

    /// What `original` does, started by this user: with these limits, in prlimit's words, and capabilities, in setpriv's.
    pub fn command(&self, user: &TestUser, original: &Command, limits: &[&str], capabilities: &[&str]) -> Command {
        let (uid, gid) = (format!("--reuid={}", user.uid), format!("--regid={}", user.gid));
        let mut command = Command::new("setpriv");
        command.args(capabilities).args(["--clear-groups", &uid, &gid, "prlimit"]).args(limits).arg(&self.0);
        command.args(original.get_args());
        command
    }
}

impl Drop for SetUserId {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
