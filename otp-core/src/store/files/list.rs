//! The list of all records, for administration.

use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::value::user::{Account, UserName};

impl FileStore {
    /// Stems of all records, sorted. `step` is called per directory entry, for progress: there may be millions.
    pub fn stems(&self, step: impl FnMut()) -> Result<Vec<String>, StoreError> {
        self.stems_of(".toml", step)
    }

    /// Stems of states of an enrollment whose credentials are not there, sorted: they were lost, or removed by hand. Without
    /// them no login asks for a code. An enrollment that is not finished, or was cut off, has lost none.
    pub fn states_alone(&self) -> Result<Vec<String>, StoreError> {
        let mut alone = Vec::new();
        for stem in self.stems_of(".state", || ())? {
            let names = Names::of_stem(stem);
            if self.inode(&names.credentials)?.is_none()
                && let Ok(Some((file, metadata))) = self.open_trusted(&names.state, None)
                && self.read_slots(&file, &names.state)?.highest() > 0
                && !self.is_any_there(&names.incoming_with(metadata.ino()))?
            {
                alone.push(names.stem);
            }
        }
        Ok(alone)
    }

    fn is_any_there(&self, names: &[String]) -> Result<bool, StoreError> {
        for name in names {
            if self.inode(name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What precedes this ending in the names of files. No other function lists the directory.
    fn stems_of(&self, ending: &str, mut step: impl FnMut()) -> Result<Vec<String>, StoreError> {
        let failed = |error| StoreError::System { action: "list", path: self.path.clone(), error };
        let mut stems = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            step();
            stems.extend(name.to_str().and_then(|name| name.strip_suffix(ending)).map(str::to_owned));
        }
        stems.sort_unstable();
        Ok(stems)
    }

    /// The record with this stem, and the account that its credentials name. Each file is read once, unless an error is
    /// found.
    pub fn read_of<E: From<StoreError>>(
        &self,
        stem: &str,
        account: impl FnOnce(&UserName) -> Result<Account, E>,
    ) -> Result<(Account, Option<Record>), E> {
        let found = self.find(stem)?;
        let account = account(found.user())?;
        let record = self.read_found(found, &account)?;
        Ok((account, record))
    }

    /// The credentials with this stem, for [`FileStore::read_found`] once the account of their user is known.
    pub fn find(&self, stem: &str) -> Result<FoundCredentials, StoreError> {
        let name = format!("{stem}.toml");
        let gone = || self.failed("open", &name, Errno::ENOENT);
        let (file, metadata) = self.open_trusted(&name, None)?.ok_or_else(gone)?;
        let decode = |bytes: &[u8]| Credentials::decode(bytes, ReadContext::ANYONE);
        let credentials = self.read_credentials(&file, metadata.len(), &name, decode)?;
        Ok(FoundCredentials { name, owner: metadata.uid(), credentials })
    }

    /// The record of an account whose credentials were found.
    pub fn read_found(&self, found: FoundCredentials, account: &Account) -> Result<Option<Record>, StoreError> {
        let FoundCredentials { name, owner, credentials } = found;
        let names = Names::of(account);
        if names.credentials == name
            && owner == account.uid
            && credentials.belongs_to(account).is_ok()
            && let Ok(record) = self.read_state(account, &names, credentials)
        {
            return Ok(Some(record));
        }
        // Read again in the usual way, which reports the error if it still exists.
        self.read(account)
    }
}

/// Credentials that were read before the account of their user was known.
pub struct FoundCredentials {
    /// The name of their file.
    name: String,
    owner: u32,
    credentials: Credentials,
}

impl FoundCredentials {
    /// The user that they name.
    pub fn user(&self) -> &UserName {
        &self.credentials.user
    }
}
