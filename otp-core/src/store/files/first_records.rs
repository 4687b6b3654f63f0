//! First records of many users, as an import makes them: the files of all are written, flushed by one call, and only then
//! put in force.
//!
//! One record by itself takes five flushes, and a disk does some thousand a second. Here one call flushes what was written
//! for all users, and one more the names of their credentials. Until then a state is in place that is locked and belongs to no
//! credentials: a process that is killed, or a power cut, leaves nothing that counts, and the next enrollment clears it away.
//!
//! Whatever is not as usual (a file of a killed process, another process at work, an error) is left to the usual way.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::fcntl::{RenameFlags, renameat, renameat2};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, fstatfs};
use nix::unistd::{fsync, geteuid, syncfs};

use crate::record::Record;
use crate::store::error::StoreError;
use crate::store::files::by_uid::{entry_of, index_of};
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::store::files::slots::STATE_SIZE;
use crate::store::files::write::{Held, give_and_write};
use crate::value::user::Account;

/// Kinds of file system of which it is known that syncfs(2) flushes the device, too. ext2 and ext3 have the number of ext4;
/// that of XFS is not known to every C library.
const KINDS: [FsType; 4] = [EXT4_SUPER_MAGIC, FsType(0x5846_5342), BTRFS_SUPER_MAGIC, TMPFS_MAGIC];

/// Since this release of Linux, syncfs(2) fails if something could not be written.
const RELEASE: (u32, u32) = (5, 8);

/// The state directory, where many first records are made.
pub struct FirstRecords<'s> {
    store: &'s FileStore,
    directory: File,
}

/// The files of a first record: written, not flushed, and not in force.
#[must_use]
pub struct Written {
    /// Locked and in place. It belongs to no credentials yet.
    held: Held,
    /// The name of the credentials.
    credentials: String,
    /// Their name until they are in force.
    incoming: String,
}

impl FileStore {
    /// `None` where one call cannot flush the files of many users as safely as one for each file.
    pub fn first_records(&self) -> Option<FirstRecords<'_>> {
        if !geteuid().is_root() {
            return None;
        }
        let directory = self.readable_directory().ok()?;
        let kind = fstatfs(&directory).ok()?.filesystem_type();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        one_call_flushes(kind, &release).then_some(FirstRecords { store: self, directory })
    }
}

/// Whether syncfs(2) flushes all files, and reports errors, on a kind of file system and in a release of Linux.
fn one_call_flushes(kind: FsType, release: &str) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|number| number.parse().ok());
    KINDS.contains(&kind) && numbers.next().zip(numbers.next()).is_some_and(|release| release >= RELEASE)
}

impl FirstRecords<'_> {
    /// Writes a first record. `None` if it is to be made in the usual way, which also tells what is wrong.
    pub fn write(&self, account: &Account, record: &Record) -> Option<Written> {
        let names = Names::of(account);
        let held = self.new_state(account, &names).ok()??;
        let incoming = names.incoming(true, held.inode);
        let written = self.enter(account).and_then(|()| {
            let text = self.store.text_of(&names.credentials, &record.credentials)?;
            self.create(&incoming, account, text.as_bytes())?;
            // The slot comes last: before, no state says that there were credentials.
            let mut contents = self.store.slot(&held.name, held.sequence, &record.state)?;
            contents.resize(STATE_SIZE, b' ');
            held.state.write_all_at(&contents, 0).map_err(|error| self.store.failed("write", &held.name, error))
        });
        match written {
            Ok(()) => Some(Written { held, credentials: names.credentials, incoming }),
            Err(_) => {
                let _ = self.store.unlink(&incoming); // swept by the usual way, too
                None
            }
        }
    }

    /// Flushes what was written, and puts it in force: true for each user whose record is, durably. The others are to get
    /// theirs in the usual way. After an error the record is in force, but a power cut may undo it.
    pub fn put_in_force(&self, written: &[&Written]) -> Vec<Result<bool, StoreError>> {
        // The locks are held until the caller drops what was written.
        let is_flushed = written.is_empty() || syncfs(&self.directory).is_ok();
        let put: Vec<bool> = written.iter().map(|written| is_flushed && self.rename(written)).collect();
        for (written, _) in written.iter().zip(&put).filter(|(_, put)| !**put) {
            let _ = self.store.unlink(&written.incoming); // it holds a seed that will not be used
        }
        let settled = if put.contains(&true) { fsync(&self.directory) } else { Ok(()) };
        let told = |put| match settled {
            Err(error) if put => Err(self.store.unflushed("", error.into())),
            Ok(()) | Err(_) => Ok(put),
        };
        put.into_iter().map(told).collect()
    }

    /// The rename that puts a record in force; false if something hinders it.
    fn rename(&self, Written { held, credentials, incoming }: &Written) -> bool {
        // From here on a process that fences us off removes the file that we would rename.
        let is_in_place = self.store.is_in_place(held).unwrap_or(false);
        let directory = &self.store.directory;
        is_in_place && renameat(directory, incoming.as_str(), directory, credentials.as_str()).is_ok()
    }

    /// An empty state, locked and in place, of a user without credentials.
    fn new_state(&self, account: &Account, names: &Names) -> Result<Option<Held>, StoreError> {
        let store = self.store;
        if store.inode(&names.credentials)?.is_some() {
            return Ok(None);
        }
        let temporary = names.incoming_state(true);
        let Ok(file) = store.create_empty(&temporary) else { return Ok(None) };
        let file = store.lock(file, &temporary)?;
        let inode = store.examine(&file, &temporary)?.ino();
        if store.inode(&temporary)? != Some(inode) {
            return Ok(None); // renamed or removed before it was locked
        }
        let failed = |error| store.failed("write", &temporary, error);
        give_and_write(&file, account, &[]).map_err(failed)?;
        let (from, to) = (temporary.as_str(), names.state.as_str());
        let placed = renameat2(&store.directory, from, &store.directory, to, RenameFlags::RENAME_NOREPLACE);
        if placed.is_err() {
            store.unlink(&temporary)?; // our lock is on it
            return Ok(None);
        }
        // Who enrolled this user meanwhile had another state in this place.
        let is_free = store.inode(&names.credentials)?.is_none();
        Ok(is_free.then(|| Held { state: file, name: names.state.clone(), inode, spare: 0, sequence: 0 }))
    }

    /// Enters the account in the index by number, as [`FileStore::enter`] does.
    fn enter(&self, account: &Account) -> Result<(), StoreError> {
        let store = self.store;
        let name = index_of(account.uid);
        let temporary = format!("{name}-by-root");
        if let Ok(file) = self.create(&temporary, account, &entry_of(account)) {
            let (from, to) = (temporary.as_str(), name.as_str());
            let placed = renameat2(&store.directory, from, &store.directory, to, RenameFlags::RENAME_NOREPLACE);
            // Another process may have put its own file under the temporary name.
            if placed.is_ok() && store.inode(&name)? == Some(store.examine(&file, &name)?.ino()) {
                return Ok(());
            }
        }
        store.enter(account)
    }

    /// Makes a file of this user, which is not flushed.
    fn create(&self, name: &str, account: &Account, contents: &[u8]) -> Result<File, StoreError> {
        let file = self.store.create_empty(name).map_err(|error| self.store.failed("create", name, error))?;
        give_and_write(&file, account, contents).map_err(|error| self.store.failed("write", name, error))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_linux_are_compared_by_number() {
        for (release, reports) in [
            ("5.8.0\n", true),
            ("5.10.0-28-amd64", true),
            ("6.1", true),
            ("10.0.0", true),
            ("5.7.19", false),
            ("4.18.0-553.el8", false),
            ("6", false),
            ("", false),
        ] {
            assert_eq!(one_call_flushes(EXT4_SUPER_MAGIC, release), reports, "{release}");
        }
    }

    #[test]
    fn a_kind_of_file_system_that_is_not_known_is_not_trusted() {
        assert!(KINDS.iter().all(|kind| one_call_flushes(*kind, "6.1")));
        assert!(!one_call_flushes(nix::sys::statfs::NFS_SUPER_MAGIC, "6.1"));
    }
}
