//! The file in which the agent notes what it sends: trusted and read.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::value::destination::Channel;

/// A message that was sent, or may have been: a line of JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub at: u64,
    pub kind: Channel,
    pub user: String,
    pub to: String,
}

/// The file in the state directory. No user's record begins with a dot.
pub fn file(directory: &Path) -> PathBuf {
    directory.join(".sends")
}

/// What the file says; nothing if there is none. A file that is damaged is an error: nothing is sent until an administrator has
/// removed it.
pub fn read(path: &Path) -> io::Result<Vec<Sent>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    // The helper's group may make files here.
    if !metadata.is_file() || metadata.uid() != 0 || metadata.nlink() != 1 {
        return Err(io::Error::other("it is not a regular file of root's: remove it"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).ok();
    let all = text.and_then(|text| text.lines().map(|line| serde_json::from_str(line).ok()).collect());
    all.ok_or_else(|| io::Error::other("it is damaged: remove it"))
}
