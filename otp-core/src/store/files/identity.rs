//! The identity of the store: one id beside the configuration and in the state directory, both root's.
//!
//! An empty state directory looks like one in which no user is enrolled: a disk that is not mounted, a folder that a restore
//! forgot. So a missing record means "not enrolled" only in the directory that has the id of its configuration.
//!
//! Each id is the text of a symbolic link to nothing, which takes half the system calls of a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{readlinkat, renameat};
use nix::sys::stat::SFlag;
use nix::unistd::symlinkat;

use crate::store::error::StoreError;
use crate::store::files::open::FileStore;

/// The link in the state directory. No user's file name starts with a dot.
pub(crate) const ID: &str = ".store-id";

/// The link in the state directory before the rename.
const INCOMING_ID: &str = ".store-id-new";

/// The id of a store: hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId([u8; 32]);

/// What the two links say.
#[derive(Debug)]
pub enum Identity {
    /// Both have the same id.
    Known,
    /// Neither exists: no login asked this store yet.
    New,
    /// One is missing or cannot be used, or they differ. The id in the state directory, if there is one.
    Unknown(Option<StoreId>, StoreError),
}

impl StoreId {
    pub fn new(random: [u8; 16]) -> Self {
        let mut id = [b'0'; 32];
        // It has the length.
        let _ = base16ct::lower::encode(&random, &mut id);
        Self(id)
    }

    fn parse(text: &OsStr) -> Option<Self> {
        let id: [u8; 32] = text.as_bytes().try_into().ok()?;
        id.iter().all(u8::is_ascii_hexdigit).then_some(Self(id))
    }

    fn text(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl FileStore {
    /// Fails unless the link `beside` the configuration and this directory have the same id.
    pub fn identify(&self, beside: &Path) -> Result<(), StoreError> {
        let within = self.id(ID)?;
        // An absolute path does not begin in the state directory.
        let beside = beside.to_str().unwrap_or_default();
        let (name, what) = match (within, self.id(beside)?) {
            (Some(within), Some(outside)) if within == outside => return Ok(()),
            (_, None) => (beside, "is missing"),
            (None, _) => (ID, "is missing"),
            (Some(_), Some(_)) => (ID, "holds another id than the configuration has"),
        };
        Err(self.unidentified(name, what))
    }

    /// What the two links say, for administration.
    pub fn identity(&self, beside: &Path) -> Identity {
        match self.identify(beside) {
            Ok(()) => Identity::Known,
            Err(error) => match (self.id(ID), beside.symlink_metadata()) {
                (Ok(None), Err(missing)) if missing.kind() == io::ErrorKind::NotFound => Identity::New,
                (within, _) => Identity::Unknown(within.ok().flatten(), error),
            },
        }
    }

    fn id(&self, name: &str) -> Result<Option<StoreId>, StoreError> {
        let Some(stat) = self.stat(name)? else { return Ok(None) };
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() || stat.st_uid != 0 {
            return Err(self.untrusted(name, "must be a symbolic link of root".into()));
        }
        let text = readlinkat(&self.directory, name).map_err(|error| self.failed("read", name, error))?;
        StoreId::parse(&text).map(Some).ok_or_else(|| self.unidentified(name, "holds no id"))
    }

    fn unidentified(&self, name: &str, what: &str) -> StoreError {
        StoreError::Identity { path: self.path.join(name), what: what.into() }
    }

    /// Writes the id into the state directory and beside the configuration, durably. For administration.
    pub fn set_identity(&self, beside: &Path, id: StoreId) -> Result<(), StoreError> {
        self.discard(INCOMING_ID)?;
        symlinkat(id.text(), &self.directory, INCOMING_ID).map_err(|error| self.failed("write", INCOMING_ID, error))?;
        let put = || renameat(&self.directory, INCOMING_ID, &self.directory, ID);
        let in_place = match put() {
            Err(Errno::EISDIR) => self.discard(ID).map(|_| put())?,
            result => result,
        };
        in_place.map_err(|error| self.failed("replace", ID, error))?;
        self.settle(ID, None)?;

        let failed = |error| StoreError::System { action: "write", path: beside.to_owned(), error };
        let incoming = beside.with_extension("new");
        let _ = std::fs::remove_file(&incoming); // what is still there is an error of the next line
        std::os::unix::fs::symlink(id.text(), &incoming).map_err(failed)?;
        std::fs::rename(&incoming, beside).map_err(failed)?;
        let folder = beside.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}
