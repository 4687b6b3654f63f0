//! Creates a state file under a temporary name, locks it and renames it into place; a leftover is reused.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::unistd::geteuid;

use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Releasing};
use crate::store::files::slots::BLANK;
use crate::value::user::Account;

impl FileStore {
    /// Opens and locks the state file, and creates it if it is missing; `None` if another process created or removed it
    /// meanwhile.
    ///
    /// The file is created under a temporary name and renamed when it is complete, so that no process finds an empty one,
    /// or one that still belongs to root. The temporary name is fixed, so that the next process reuses what a killed one
    /// left. The process that works on it holds its lock, and keeps it after the rename.
    pub(super) fn open_or_create_state(
        &self,
        account: &Account,
        names: &Names,
    ) -> Result<Option<Releasing>, StoreError> {
        if let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? {
            return self.lock(file, &names.state).map(Some);
        }
        let temporary = &names.incoming_state(geteuid().is_root());
        let file = match self.left_behind(account, temporary)? {
            Some(file) => file,
            None => match self.create_empty(temporary) {
                Err(Errno::EEXIST) => return Ok(None),
                created => created.map_err(|error| self.failed("create", temporary, error))?,
            },
        };
        let file = self.lock(file, temporary)?;
        let metadata = file.metadata().map_err(|error| self.failed("examine", temporary, error))?;
        if self.inode(temporary)? != Some(metadata.ino()) {
            return Ok(None); // renamed or removed while this process waited
        }
        file.set_len(0).map_err(|error| self.failed("write", temporary, error))?;
        self.fill(&file, temporary, account, &BLANK)?;
        let (from, to) = (temporary.as_str(), names.state.as_str());
        match renameat2(&self.directory, from, &self.directory, to, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => Ok(Some(file)),
            Err(error) => {
                self.unlink(temporary)?;
                let overtaken = [Errno::EEXIST, Errno::ENOENT].contains(&error);
                if overtaken { Ok(None) } else { Err(self.failed("create", to, error)) }
            }
        }
    }

    /// Opens the temporary file of a killed process. A file that such a process cannot have made is removed.
    fn left_behind(&self, account: &Account, temporary: &str) -> Result<Option<File>, StoreError> {
        let trusted = |file: File| {
            let owner = self.trust(&file, temporary, None)?.uid();
            let known = owner == geteuid().as_raw() || owner == account.uid;
            if known { Ok(file) } else { Err(self.untrusted(temporary, format!("belongs to uid {owner}"))) }
        };
        match self.open_file(temporary, OFlag::O_RDWR).and_then(|file| file.map(trusted).transpose()) {
            Err(StoreError::Untrusted { .. } | StoreError::OfOther { .. }) => self.unlink(temporary).map(|_| None),
            found => found,
        }
    }
}
