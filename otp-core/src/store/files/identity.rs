//! The identity of the store: one id beside the configuration and in the state directory, both root's.
//!
//! An empty state directory looks like one in which no user is enrolled: a disk that is not mounted, a folder that a restore
//! forgot. So a missing record means "not enrolled" only in the directory that has the id of its configuration.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};

use crate::store::error::StoreError;
use crate::store::files::open::FileStore;

/// The file in the state directory. No user's file name starts with a dot.
const ID: &str = ".store-id";

/// The file in the state directory before the rename.
const INCOMING_ID: &str = ".store-id-new";

/// Bytes of such a file: 32 hexadecimal digits and a line feed.
const SIZE: usize = 33;

/// The id of a store, as its files hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId([u8; SIZE]);

/// What the two files say.
#[derive(Debug)]
pub enum Identity {
    /// Both hold the same id.
    Known,
    /// Neither exists: no login asked this store yet.
    New,
    /// One is missing or cannot be used, or they differ. The id in the state directory, if there is one.
    Unknown(Option<StoreId>, StoreError),
}

impl StoreId {
    pub fn new(random: [u8; 16]) -> Self {
        let mut id = [b'\n'; SIZE];
        let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        for (place, digit) in id.iter_mut().zip(digits) {
            *place =
                if digit < 10 { b'0'.saturating_add(digit) } else { b'a'.saturating_add(digit.saturating_sub(10)) };
        }
        Self(id)
    }
}

impl FileStore {
    /// Fails unless the file `beside` the configuration and this directory hold the same id.
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

    /// What the two files say, for administration.
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
        let Some(file) = self.open_file(name, OFlag::O_RDONLY)? else { return Ok(None) };
        let metadata = self.examine(&file, name)?;
        if !metadata.is_file() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(self.untrusted(name, "must be a regular file of root that only root can write".into()));
        }
        let mut id = [0; SIZE];
        let length = file.read_at(&mut id, 0).map_err(|error| self.failed("read", name, error))?;
        let is_id = id.iter().take(32).all(u8::is_ascii_hexdigit) && id.ends_with(b"\n");
        if is_id && length == SIZE && metadata.len() == 33 {
            Ok(Some(StoreId(id)))
        } else {
            Err(self.unidentified(name, "holds no id"))
        }
    }

    fn unidentified(&self, name: &str, what: &str) -> StoreError {
        StoreError::Identity { path: self.path.join(name), what: what.into() }
    }

    /// Writes the id into the state directory and beside the configuration, durably. For administration.
    pub fn set_identity(&self, beside: &Path, id: StoreId) -> Result<(), StoreError> {
        self.discard(INCOMING_ID)?;
        let written = self.create_empty(INCOMING_ID).map_err(io::Error::from).and_then(|file| write(file, id));
        written.map_err(|error| self.failed("write", INCOMING_ID, error))?;
        let put = || renameat(&self.directory, INCOMING_ID, &self.directory, ID);
        let in_place = match put() {
            Err(Errno::EISDIR) => self.discard(ID).map(|_| put())?,
            result => result,
        };
        in_place.map_err(|error| self.failed("replace", ID, error))?;
        self.settle(ID, None)?;

        let failed = |error| StoreError::System { action: "write", path: beside.to_owned(), error };
        let incoming = beside.with_extension("new");
        match std::fs::remove_file(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }?;
        let created = File::options().write(true).create_new(true).mode(0o600).open(&incoming);
        created.and_then(|file| write(file, id)).map_err(failed)?;
        std::fs::rename(&incoming, beside).map_err(failed)?;
        let folder = beside.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// The helper, which is not root, reads the id too, whatever the umask is.
fn write(mut file: File, id: StoreId) -> io::Result<()> {
    file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.write_all(&id.0)?;
    file.sync_all()
}
