//! Where the keys of sealed seeds come from: a file of root's in memory, which a unit makes at boot, or the agent.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::config::paths;
use crate::record::key_ring::{LARGEST, Ring};
use crate::record::seal::Shut;
use crate::value::secret::Wiped;

/// Asks for the keys of the user of this process.
pub type Ask = fn() -> Result<Ring, Shut>;

/// Where a store has its keys from.
#[derive(Clone)]
pub struct KeySource {
    /// The file of root's; `None` for [`paths::SEAL_KEYS`].
    pub file: Option<PathBuf>,
    /// The configuration.
    pub config: PathBuf,
    /// Asked by a process that is not root.
    pub ask: Option<Ask>,
}

impl KeySource {
    pub fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or_else(|| Path::new(paths::SEAL_KEYS))
    }

    /// The folder with what opens the keys at boot, beside the configuration. It is there while seeds are sealed.
    pub fn keeper(&self) -> PathBuf {
        self.config.with_file_name("seal")
    }

    /// The keys. A file that is not trusted is no key.
    pub fn ring(&self) -> Result<Ring, Shut> {
        match self.ask {
            Some(ask) if !geteuid().is_root() => ask(),
            Some(_) | None => read(self.file()).map_err(|_| Shut::NoKey),
        }
    }

    /// The keys, if new seeds are to be sealed: while a keeper or a key is there. A process that is not root sees the keeper alone.
    pub(super) fn ring_for_new(&self) -> Result<Option<Ring>, Shut> {
        if exists(&self.keeper()) {
            return self.ring().map(Some);
        }
        if geteuid().is_root() && exists(self.file()) { self.ring().map(Some) } else { Ok(None) }
    }
}

/// Whether something is there, or may be.
fn exists(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The keys in a file that root alone can read.
pub fn read(path: &Path) -> io::Result<Ring> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    let untrusted = |what: &str| Err(io::Error::other(what.to_owned()));
    if !metadata.is_file() || metadata.nlink() != 1 {
        return untrusted("it is not a regular file with one name");
    }
    if metadata.uid() != 0 || metadata.mode() & 0o077 != 0 {
        return untrusted("it must belong to root, with mode 0400 or 0600");
    }
    let size = usize::try_from(metadata.size()).ok().filter(|size| *size <= LARGEST);
    let Some(size) = size else { return untrusted("it is too large for a file of keys") };
    let mut bytes = Wiped::zeros(size);
    file.read_exact_at(bytes.expose(), 0)?;
    Ring::parse(bytes, None).map_or_else(|| untrusted("it holds no keys that otp-enroll wrote"), Ok)
}
