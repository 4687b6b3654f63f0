//! Fences off a lock that is not given back: no process may keep a user out for as long as it is stopped or frozen.
//!
//! A process that has waited for long enough publishes another state file and goes on with it:
//!
//! 1. It makes a file that is locked, has no state, and names the place where the old one will be.
//! 2. One system call exchanges the two: the new file is the user's state, the old one is set aside.
//! 3. It takes away what the old holder had ready to rename, reads the old file, and writes its state into the new one.
//!
//! A writer looks, after its flush, whether the file that it wrote still is the user's state. If not, it has lost, answers
//! nothing, and begins again. So a write that was answered came before the exchange, and step 3 reads it. Killed in
//! between, the next process finds the name in the new file and takes step 3.
//!
//! Names of files that were set aside are random and never used again, so a process that was frozen amid a fence does no
//! harm when it goes on.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::record::credentials::Credentials;
use crate::record::id::EnrollmentId;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Releasing};
use crate::store::files::slots::{Present, Slots};
use crate::store::files::write::Held;
use crate::value::user::Account;

/// The user's state, locked, and what it holds.
pub(super) struct InPlace {
    pub(super) file: Releasing,
    pub(super) inode: u64,
    pub(super) size: usize,
    pub(super) slots: Slots,
}

impl FileStore {
    /// Locks the state file that was opened, and finishes a fence that was begun. `None` if the user has another state file
    /// by now, or none: then look again.
    pub(super) fn hold(&self, account: &Account, names: &Names, file: File) -> Result<Option<InPlace>, StoreError> {
        let Some(file) = self.lock_or_fence(account, names, file)? else {
            return Ok(None);
        };
        let metadata = self.trust(&file, &names.state, Some(account.uid))?;
        let (inode, size) = (metadata.ino(), usize::try_from(metadata.len()).unwrap_or(usize::MAX));
        if self.inode(&names.state)? != Some(inode) {
            return Ok(None); // removed or set aside while this process waited
        }
        let slots = self.read_slots(&file, &names.state)?;
        let mut held = InPlace { file, inode, size, slots };
        let is_begun = held.slots.aside(names).is_some() && held.slots.highest() == 0;
        let is_in_place = !is_begun || self.take_over(account, names, &mut held)?;
        Ok(is_in_place.then_some(held))
    }

    /// Waits for the lock. If it is not given back, fences its holder off; `None` if another process was faster.
    pub(super) fn lock_or_fence(
        &self,
        account: &Account,
        names: &Names,
        file: File,
    ) -> Result<Option<Releasing>, StoreError> {
        if self.wait_for_lock(&file, &names.state)? {
            return Ok(Some(file.into()));
        }
        self.fence(account, names, &file)
    }

    /// Whether the file that was written still is the user's state. Otherwise the write has lost.
    pub(super) fn is_in_place(&self, held: &Held) -> Result<bool, StoreError> {
        Ok(self.inode(&held.name)? == Some(held.inode))
    }

    /// Puts a locked file without a state in place of `stuck`, which is set aside.
    pub(super) fn fence(
        &self,
        account: &Account,
        names: &Names,
        stuck: &File,
    ) -> Result<Option<Releasing>, StoreError> {
        let stuck = self.trust(stuck, &names.state, Some(account.uid))?.ino();
        let aside = names.new_aside().map_err(|error| self.failed("name", &names.state, error))?;
        let file = self.create(&aside, account, &Slots::naming(&aside))?;
        // No other process knows the name: the lock is free.
        let file = self.lock(file, &aside)?;
        let exchanged = match self.inode(&names.state)? {
            Some(inode) if inode == stuck => {
                let (from, to) = (aside.as_str(), names.state.as_str());
                renameat2(&self.directory, from, &self.directory, to, RenameFlags::RENAME_EXCHANGE)
            }
            _ => Err(Errno::ENOENT),
        };
        if let Err(error) = exchanged {
            self.unlink(&aside)?;
            if error == Errno::ENOENT {
                return Ok(None);
            }
            // Some file systems cannot exchange two names.
            let cannot = [Errno::EINVAL, Errno::ENOSYS].contains(&error);
            return Err(if cannot { StoreError::Busy } else { self.failed("replace", &names.state, error) });
        }
        Ok(Some(file))
    }

    /// Takes the state of the files that were set aside into the one that is in place. False if that one was set aside
    /// meanwhile: then its name for the one before must stay in it.
    pub(super) fn take_over(&self, account: &Account, names: &Names, held: &mut InPlace) -> Result<bool, StoreError> {
        // Before anything is written: otherwise a power cut could undo the exchange, and with it what was answered since.
        self.settle(&names.state, Some(&held.file))?;
        let aside = self.revoke(account, names, &held.slots)?;
        // Read only now: until its new credentials were taken away, an old holder could rename them into place.
        if let Some(Credentials { enrollment, .. }) = self.open_credentials(account, names)? {
            let Some(present) = self.newest(account, &aside, enrollment)? else {
                // If it is in place, the caller finds no state of this enrollment.
                return Ok(self.inode(&names.state)? == Some(held.inode));
            };
            let taken = self.slot(&names.state, present.highest, &present.slot.state)?;
            self.put(&held.file, &names.state, 1, &taken)?;
            held.slots = self.read_slots(&held.file, &names.state)?;
        }
        let is_in_place = self.inode(&names.state)? == Some(held.inode);
        if is_in_place {
            for name in aside {
                // Best effort: it is not read again.
                let _ = self.unlink(&name);
            }
        }
        Ok(is_in_place)
    }

    /// The names of files that were set aside, the last one first. There is one for each process that was stopped or killed
    /// amid a fence. A process that held one can no longer put credentials in place.
    pub(super) fn revoke(&self, account: &Account, names: &Names, slots: &Slots) -> Result<Vec<String>, StoreError> {
        let mut all = Vec::new();
        let mut milestone = None; // met again only where the names run in a circle
        let mut next = slots.aside(names);
        while let Some(name) = next.filter(|name| milestone.as_ref() != Some(name)) {
            let Some((file, metadata)) = self.open_trusted(&name, Some(account.uid))? else { break };
            for incoming in names.incoming_with(metadata.ino()) {
                self.revoke_incoming(&incoming)?;
            }
            next = self.read_slots(&file, &name)?.aside(names);
            if all.len().is_power_of_two() {
                milestone = Some(name.clone());
            }
            all.push(name);
        }
        Ok(all)
    }

    fn revoke_incoming(&self, name: &str) -> Result<(), StoreError> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            // A folder replaces no file.
            Ok(()) | Err(Errno::ENOENT | Errno::EISDIR) => Ok(()),
            // It is not this user's: root gives new credentials to their user before it looks whether its file is in place. Root
            // meets it for a file alone that cannot be renamed either.
            Err(Errno::EPERM) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// The state of an enrollment in the files that were set aside.
    fn newest(
        &self,
        account: &Account,
        aside: &[String],
        enrollment: EnrollmentId,
    ) -> Result<Option<Present>, StoreError> {
        for name in aside {
            let Some((file, _)) = self.open_trusted(name, Some(account.uid))? else { break };
            let present = self.read_slots(&file, name)?.present(enrollment);
            if let Some(present) = present.map_err(|error| self.unreadable(name, error))? {
                return Ok(Some(present));
            }
        }
        Ok(None)
    }
}
