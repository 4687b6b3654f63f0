//! Creates a state file under a temporary name, locks it and renames it into place; a leftover is reused.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::unistd::geteuid;

use crate::store::error::StoreError;
use crate::store::files::fence::InPlace;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Releasing};
use crate::store::files::slots::{BLANK, STATE_SIZE, Slots};
use crate::value::user::Account;

impl FileStore {
    /// Opens and locks the state file, and creates it if it is missing; `None` if another process created or removed it
    /// meanwhile.
    ///
    /// The file is created under a temporary name and renamed when it is complete, so that no process finds an empty one,
    /// or one that still belongs to root. The temporary name is fixed, so that the next process reuses what a killed one
    /// left. The process that works on it holds its lock, and keeps it after the rename.
    pub(super) fn open_or_create_state(&self, account: &Account, names: &Names) -> Result<Option<InPlace>, StoreError> {
        if let Some(file) = self.open_file(&names.state, OFlag::O_RDWR)? {
            return self.hold(account, names, file);
        }
        let (temporary, file) = self.temporary_state(account, names)?;
        let placed = self.place_state(account, names, &temporary, file);
        if placed.is_err() && temporary != names.incoming_state(geteuid().is_root()) {
            let _ = self.unlink(&temporary); // no other process looks for a file of this name
        }
        placed
    }

    /// Fills a new state and renames it into place.
    fn place_state(
        &self,
        account: &Account,
        names: &Names,
        temporary: &str,
        file: Releasing,
    ) -> Result<Option<InPlace>, StoreError> {
        let metadata = self.examine(&file, temporary)?;
        if self.inode(temporary)? != Some(metadata.ino()) {
            return Ok(None); // renamed or removed before it was locked
        }
        file.set_len(0).map_err(|error| self.failed("write", temporary, error))?;
        self.fill(&file, temporary, account, &BLANK)?;
        let to = names.state.as_str();
        match renameat2(&self.directory, temporary, &self.directory, to, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => {
                let (size, slots) = (STATE_SIZE, Slots::new(BLANK.to_vec()));
                Ok(Some(InPlace { file, inode: metadata.ino(), size, slots }))
            }
            Err(error) => {
                self.unlink(temporary)?;
                let overtaken = [Errno::EEXIST, Errno::ENOENT].contains(&error);
                if overtaken { Ok(None) } else { Err(self.failed("create", to, error)) }
            }
        }
    }

    /// A locked file under a temporary name. What cannot be reused or removed, or is locked, is no obstacle: a process that
    /// is stopped or another user may have put it there.
    fn temporary_state(&self, account: &Account, names: &Names) -> Result<(String, Releasing), StoreError> {
        let usual = names.incoming_state(geteuid().is_root());
        let file = match self.left_behind(account, &usual) {
            Some(file) => Ok(file),
            None => self.create_empty(&usual),
        };
        match file.map(|file| self.lock(file, &usual)) {
            Ok(Ok(file)) => Ok((usual, file)),
            Ok(Err(StoreError::Busy)) | Err(Errno::EEXIST) => {
                let (other, file) = self.create_in_place_of(&usual)?;
                let held = self.lock(file, &other).inspect_err(|_| {
                    let _ = self.unlink(&other);
                });
                held.map(|file| (other, file))
            }
            Ok(Err(error)) => Err(error),
            Err(error) => Err(self.failed("create", &usual, error)),
        }
    }

    /// Opens the temporary file of a killed process. A file that such a process cannot have made is removed if possible.
    fn left_behind(&self, account: &Account, temporary: &str) -> Option<File> {
        let file = self.open_file(temporary, OFlag::O_RDWR).transpose()?;
        let trusted = file.and_then(|file| Ok((self.trust(&file, temporary, None)?.uid(), file)));
        match trusted {
            Ok((owner, file)) if owner == geteuid().as_raw() || owner == account.uid => Some(file),
            Ok(_) | Err(_) => {
                let _ = self.discard_new_state(temporary, account.uid);
                None
            }
        }
    }
}
