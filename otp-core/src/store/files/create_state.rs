//! How a user comes to a state file: made beside, moved in whole, and never left lying about by a process that is killed.

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
    /// Opens and locks the permanent state file, making it first where there is none; `None` if somebody else came in
    /// between.
    ///
    /// It is made beside and moved in whole, so that nobody ever meets an empty one or one that still belongs to root.
    /// There is one name for it beside, so that what a killed process left is what the next one goes on with; and
    /// whoever works on it holds its lock, which stays theirs when it has moved in.
    pub(super) fn open_or_create_state(
        &self,
        account: &Account,
        names: &Names,
    ) -> Result<Option<Releasing>, StoreError> {
        if let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? {
            return self.lock(file, &names.state).map(Some);
        }
        let beside = &names.incoming_state(geteuid().is_root());
        let file = match self.left_behind(account, beside)? {
            Some(file) => file,
            None => match self.create_empty(beside) {
                Err(Errno::EEXIST) => return Ok(None),
                created => created.map_err(|error| self.failed("create", beside, error))?,
            },
        };
        let file = self.lock(file, beside)?;
        let metadata = file.metadata().map_err(|error| self.failed("examine", beside, error))?;
        if self.inode(beside)? != Some(metadata.ino()) {
            return Ok(None); // moved in or removed while we waited
        }
        file.set_len(0).map_err(|error| self.failed("write", beside, error))?;
        self.fill(&file, beside, account, &BLANK)?;
        let (from, to) = (beside.as_str(), names.state.as_str());
        match renameat2(&self.directory, from, &self.directory, to, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => Ok(Some(file)),
            Err(error) => {
                self.unlink(beside)?;
                let overtaken = [Errno::EEXIST, Errno::ENOENT].contains(&error);
                if overtaken { Ok(None) } else { Err(self.failed("create", to, error)) }
            }
        }
    }

    /// Opens a new state that a killed process did not come to move in. What it cannot have made is removed.
    fn left_behind(&self, account: &Account, beside: &str) -> Result<Option<File>, StoreError> {
        let trusted = |file: File| {
            let owner = self.trust(&file, beside, None)?.uid();
            let known = owner == geteuid().as_raw() || owner == account.uid;
            if known { Ok(file) } else { Err(self.untrusted(beside, format!("belongs to uid {owner}"))) }
        };
        match self.open_file(beside, OFlag::O_RDWR).and_then(|file| file.map(trusted).transpose()) {
            Err(StoreError::Untrusted { .. }) => self.unlink(beside).map(|_| None),
            found => found,
        }
    }
}
