//! The configuration file: trusted and read.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::config::Config;
use crate::config::error::ConfigError;
use crate::error::CoreError;
use crate::store::files::open::FileStore;
use crate::value::system_error::{described, is_unmapped, owner};

/// Larger than any configuration a person writes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// The configuration and its file.
#[derive(Debug)]
pub struct Site {
    pub config: Config,
    pub path: PathBuf,
}

impl Site {
    /// Reads the configuration. The file must belong to root, and only root may write it. A missing file is an error too:
    /// without it the policy is unknown.
    pub fn load(path: &Path) -> Result<Self, CoreError> {
        let refuse = |what: String| ConfigError { path: path.to_owned(), line: None, what };
        let system = |error: io::Error| refuse(described(&error));
        // A symbolic link is allowed: only root can write the folders on the way. A FIFO must not block.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(system)?;
        let metadata = file.metadata().map_err(system)?;
        if !metadata.is_file() {
            Err(refuse("is not a regular file".into()))?;
        }
        if is_unmapped(&owner(metadata.uid())) {
            Err(refuse(format!("belongs to {}, and must belong to root", owner(metadata.uid()))))?;
        }
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            Err(refuse("must belong to root and be writable by root alone".into()))?;
        }
        let size = usize::try_from(metadata.len()).ok().filter(|_| metadata.len() <= LARGEST_CONFIG);
        let mut text = vec![0; size.ok_or_else(|| refuse("is too large".into()))?];
        (&file).read_exact(&mut text).map_err(system)?;
        let text = String::from_utf8(text).map_err(|_| refuse("is not UTF-8".into()))?;
        Ok(Self { config: Config::parse(path, &text)?, path: path.to_owned() })
    }

    /// Opens the state directory.
    pub fn store(&self) -> Result<FileStore, CoreError> {
        Ok(FileStore::open(&self.config.state_directory)?)
    }

    /// The name that authenticator apps show.
    pub fn issuer(&self) -> String {
        self.config.issuer.clone().unwrap_or_else(host_name)
    }
}

/// The name of this machine, without colons: a colon separates issuer and user in a URI.
pub fn host_name() -> String {
    let name = nix::sys::utsname::uname().ok().and_then(|uname| Some(uname.nodename().to_str()?.replace(':', "-")));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}
