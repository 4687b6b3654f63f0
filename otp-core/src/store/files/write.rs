//! Write, fsync and unlink.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, SFlag, fchmod};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};

use crate::record::Record;
use crate::record::error::RecordError;
use crate::record::state::State;
use crate::record::state_slot::Slot;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::{FileStore, Releasing};
use crate::store::files::slots::SECOND_SLOT;
use crate::value::user::Account;

/// Most folders that are set aside under one name.
const MOST_SET_ASIDE: u16 = 1000;

/// The state file of a record that was loaded, locked until this is dropped.
pub struct Held {
    pub(super) state: Releasing,
    /// The name of the file.
    pub(super) name: String,
    pub(super) inode: u64,
    /// The slot that the next state is written to.
    pub(super) spare: usize,
    /// The highest sequence number so far.
    pub(super) sequence: u64,
}

impl FileStore {
    /// Overwrites the spare slot with the next state, and flushes it.
    pub(super) fn write_slot(&self, held: &Held, state: &State) -> Result<(), StoreError> {
        let slot = self.slot(&held.name, held.sequence, state)?;
        self.put(&held.state, &held.name, held.spare, &slot)
    }

    /// The slot after the one with the number `sequence`.
    pub(super) fn slot(&self, name: &str, sequence: u64, state: &State) -> Result<Vec<u8>, StoreError> {
        // A slot with an equal number would not be the present one, and a code could be accepted again.
        let next = sequence.checked_add(1);
        let next =
            next.ok_or_else(|| self.unreadable(name, RecordError::Mismatch("the sequence number is at its maximum")))?;
        let slot = Slot { sequence: next, state: state.clone() };
        slot.encode().ok_or_else(|| self.unreadable(name, RecordError::Mismatch("the state is too large for its slot")))
    }

    pub(super) fn put(&self, file: &File, name: &str, position: usize, slot: &[u8]) -> Result<(), StoreError> {
        let offset = if position == 0 { 0 } else { SECOND_SLOT };
        file.write_all_at(slot, offset).map_err(|error| self.failed("write", name, error))?;
        file.sync_data().map_err(|error| self.failed("flush", name, error))
    }

    /// Makes a new file that only its user can open, whatever the umask is. Root gives it to the user.
    pub(super) fn create(&self, name: &str, account: &Account, contents: &[u8]) -> Result<File, StoreError> {
        let file = self.create_empty(name).map_err(|error| self.failed("create", name, error))?;
        self.fill(&file, name, account, contents).map(|()| file)
    }

    /// Creates new credentials. If a file that only another user may remove has their name, they get another one.
    pub(super) fn create_incoming(
        &self,
        account: &Account,
        names: &Names,
        held: &Held,
        record: &Record,
    ) -> Result<(String, File), StoreError> {
        let text = self.text_of(&names.credentials, &record.credentials)?;
        let usual = names.incoming(geteuid().is_root(), held.inode);
        let (name, file) = match self.create_empty(&usual) {
            Ok(file) => (usual, file),
            Err(Errno::EEXIST) => self.create_in_place_of(&usual)?,
            Err(error) => return Err(self.failed("create", &usual, error)),
        };
        self.fill(&file, &name, account, text.as_bytes())?;
        Ok((name, file))
    }

    /// Creates an empty file under a name that no file had before, in place of one that is taken.
    pub(super) fn create_in_place_of(&self, taken: &str) -> Result<(String, File), StoreError> {
        let name = Names::other(taken).map_err(|error| self.failed("name", taken, error))?;
        let file = self.create_empty(&name).map_err(|error| self.failed("create", &name, error))?;
        Ok((name, file))
    }

    pub(super) fn create_empty(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
    }

    /// Gives an empty file to its user, then writes and flushes it.
    pub(super) fn fill(&self, file: &File, name: &str, account: &Account, contents: &[u8]) -> Result<(), StoreError> {
        give_and_write(file, account, contents).and_then(|()| file.sync_all()).map_err(|error| {
            // Best effort: the name is removed before its next use in any case.
            let _ = self.unlink(name);
            self.failed("write", name, error)
        })
    }

    /// Makes a rename or removal durable. The helper may enter the directory but not read it, so it flushes the file
    /// instead. On the journalling file systems of Linux that flushes the directory's change too.
    pub(super) fn settle(&self, name: &str, file: Option<&File>) -> Result<(), StoreError> {
        match (self.readable_directory(), file) {
            (Ok(directory), _) => directory.sync_all().map_err(|error| self.unflushed("", error)),
            (Err(Errno::EACCES), Some(file)) => file.sync_all().map_err(|error| self.unflushed(name, error)),
            (Err(error), _) => Err(self.unflushed("", error.into())),
        }
    }

    pub(super) fn unlink(&self, name: &str) -> Result<bool, StoreError> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// Removes whatever has this name, for administration. A folder that is not empty is moved aside: its contents are not
    /// ours, and it must not stop a removal half-way.
    pub(super) fn discard(&self, name: &str) -> Result<bool, StoreError> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => {}
            Ok(()) => return Ok(true),
            Err(Errno::ENOENT) => return Ok(false),
            Err(error) => return Err(self.failed("remove", name, error)),
        }
        let mut result = unlinkat(&self.directory, name, UnlinkatFlags::RemoveDir);
        for number in 0..MOST_SET_ASIDE {
            if !matches!(result, Err(Errno::ENOTEMPTY | Errno::EEXIST)) {
                break;
            }
            // No user's file name starts with a dot.
            let aside = format!(".set-aside-{number}-{name}");
            result = renameat2(&self.directory, name, &self.directory, aside.as_str(), RenameFlags::RENAME_NOREPLACE);
        }
        result.map(|()| true).map_err(|error| self.failed("remove", name, error))
    }

    /// Removes temporary files of killed processes. The caller holds the lock of the state with this inode number. A user
    /// cannot remove files of root; they are in no user's way.
    pub(super) fn sweep(&self, account: &Account, names: &Names, inode: u64) {
        for incoming in names.incoming_with(inode) {
            let _ = self.unlink(&incoming);
        }
        for state in names.incoming_states() {
            let _ = self.discard_new_state(&state, account.uid);
        }
    }

    /// Removes a new state, unless a process works on it: only the holder of its lock may rename or remove it. Otherwise that
    /// process would rename whatever another one has begun under this name.
    pub(super) fn discard_new_state(&self, name: &str, uid: u32) -> Result<(), StoreError> {
        let Some(found) = self.stat(name)? else { return Ok(()) };
        let is_ours = found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() && [0, uid].contains(&found.st_uid);
        let _held = if is_ours {
            let Some(file) = self.open_file(name, OFlag::O_RDWR)? else { return Ok(()) };
            let inode = self.examine(&file, name)?.ino();
            match self.lock(file, name) {
                Ok(held) if self.inode(name)? == Some(inode) => Some(held),
                Ok(_) | Err(StoreError::Busy) => return Ok(()),
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        self.discard(name).map(|_| ())
    }
}

/// Gives an empty file to its user, then writes it. It is not flushed.
pub(super) fn give_and_write(mut file: &File, account: &Account, contents: &[u8]) -> io::Result<()> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    // It was made with this mode, of which a umask may have taken some. To set it again would be one more change to write.
    if file.metadata()?.mode() & 0o7777 != mode.bits() {
        fchmod(file, mode)?;
    }
    if geteuid().is_root() {
        fchown(file, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
    }
    file.write_all(contents)
}
