//! A login reads the credentials twice: before the question, and after the answer.
//!
//! In between the file stays open, but its contents are dropped: they hold seeds. While the user types, other processes may
//! replace, remove or damage the file. So the second read first checks, under the lock, that the name still belongs to
//! this file.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};

use crate::record::credentials::{Credentials, Outline};
use crate::record::credentials_toml::ReadContext;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::value::user::Account;

/// The credentials as they were before the question, and their open file.
pub struct Seen {
    pub outline: Outline,
    file: File,
    size: u64,
    /// Device, inode and number of links.
    identity: [u64; 3],
    /// Mode and owner.
    rights: [u32; 2],
}

impl FileStore {
    /// Reads what a login needs before the question.
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

    /// The credentials as they are now, read from the open file if it has not changed.
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
        self.open_credentials(account, names)
    }
}

impl Seen {
    /// Whether a file is the one that was trusted before the question, unchanged since then.
    fn is(&self, now: &FileStat) -> bool {
        let identity = [number(now.st_dev), number(now.st_ino), number(now.st_nlink)];
        identity == self.identity.map(Some)
            && [now.st_mode, now.st_uid] == self.rights
            && number(now.st_size) == Some(self.size)
    }
}

/// A field whose width depends on the architecture.
fn number(field: impl TryInto<u64>) -> Option<u64> {
    field.try_into().ok()
}
