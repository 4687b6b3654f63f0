//! A login's two looks at the credentials: before anybody is asked, and once the answer is there.
//!
//! In between the file stays open and its contents do not stay: they hold seeds. While a person types, others may replace,
//! remove or damage the file; so the second look asks first, under the lock, whether it is still the one that has the name.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};

use crate::record::Record;
use crate::record::credentials::{Credentials, Outline};
use crate::record::credentials_toml::ReadContext;
use crate::record::state::State;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::store::files::write::Held;
use crate::store::{Loaded, Store, Swap};
use crate::value::user::Account;

/// What was seen of a user's credentials, and their file.
pub struct Seen {
    /// All that must be known before anybody is asked.
    pub outline: Outline,
    file: File,
    size: u64,
    /// Device, inode and number of names.
    identity: [u64; 3],
    /// Mode and owner.
    rights: [u32; 2],
}

/// The store, asked about somebody whose credentials may have been seen.
pub struct Following<'a> {
    /// The same store.
    pub store: &'a FileStore,
    /// What was seen in it, if it was.
    pub seen: Option<&'a Seen>,
}

impl FileStore {
    /// What must be known of a user's credentials before anybody is asked.
    pub fn see(&self, account: &Account) -> Result<Option<Seen>, StoreError> {
        let name = Names::of(account).credentials;
        let Some((file, metadata)) = self.open_trusted(&name, Some(account.uid))? else {
            return Ok(None);
        };
        let outline = self
            .read_credentials(&file, metadata.len(), &name, |bytes| Outline::decode(bytes, ReadContext::of(account)))?;
        let identity = [metadata.dev(), metadata.ino(), metadata.nlink()];
        let rights = [metadata.mode(), metadata.uid()];
        Ok(Some(Seen { outline, file, size: metadata.len(), identity, rights }))
    }

    /// The credentials as they are by now: those that were seen, if nothing about their file has changed since.
    pub(super) fn see_again(
        &self,
        seen: &Seen,
        account: &Account,
        names: &Names,
    ) -> Result<Option<Credentials>, StoreError> {
        let name = &names.credentials;
        let now = fstatat(&self.directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        if now.is_ok_and(|now| seen.is(&now)) {
            let decode = |bytes: &[u8]| Credentials::decode(bytes, ReadContext::of(account));
            return self.read_credentials(&seen.file, seen.size, name, decode).map(Some);
        }
        Ok(self.open_credentials(account, names)?.map(|opened| opened.credentials))
    }
}

impl Seen {
    /// Whether this is the same file, as it was: trusted then, and with nothing changed since.
    fn is(&self, now: &FileStat) -> bool {
        let identity = [number(now.st_dev), number(now.st_ino), number(now.st_nlink)];
        identity == self.identity.map(Some)
            && [now.st_mode, now.st_uid] == self.rights
            && number(now.st_size) == Some(self.size)
    }
}

/// What is of another width on each architecture.
fn number(field: impl TryInto<u64>) -> Option<u64> {
    field.try_into().ok()
}

impl Store for Following<'_> {
    type Hold = Held;

    fn load(&self, account: &Account) -> Result<Option<Loaded<Held>>, StoreError> {
        self.store.load_after(account, self.seen)
    }

    fn swap(&self, account: &Account, held: Held, state: &State) -> Result<Swap, StoreError> {
        self.store.swap(account, held, state)
    }

    fn replace(&self, account: &Account, held: Option<Held>, record: &Record) -> Result<Swap, StoreError> {
        self.store.replace(account, held, record)
    }

    fn remove(&self, account: &Account, held: Held) -> Result<Swap, StoreError> {
        self.store.remove(account, held)
    }

    fn rehearse(&self) {
        self.store.rehearse();
    }
}
