//! An index by user id: the file `.uid-N` names the accounts with this number that have a record.
//!
//! A renamed account has no record under its new name. By its number a login finds the old one. An entry by itself says
//! nothing: the record that it names must be there and belong to that number. So an entry is made before its record is in
//! force, and one that is left behind does no harm.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::unistd::geteuid;

use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::store::error::StoreError;
use crate::store::files::file_names::Names;
use crate::store::files::open::FileStore;
use crate::store::files::write::Held;
use crate::value::user::{Account, UserName};

/// More bytes than the names of one number take, if people gave them.
const LARGEST: usize = 1 << 16;

/// Most attempts while other processes make or remove the file.
const MOST_TRIES: u8 = 10;

/// No user's file name starts with a dot.
pub(super) fn index_of(uid: u32) -> String {
    format!(".uid-{uid}")
}

/// What a file says of an account.
pub(super) fn entry_of(account: &Account) -> Vec<u8> {
    [account.name.as_str().as_bytes(), b"\0"].concat()
}

impl FileStore {
    /// Accounts with the same number and another name that have a record. Only for an account without one: it costs a
    /// login one more call.
    pub fn others_of(&self, account: &Account) -> Result<Vec<Account>, StoreError> {
        let name = index_of(account.uid);
        let Some(file) = self.open_index(&name, account.uid, OFlag::O_RDONLY)? else { return Ok(Vec::new()) };
        let mut others = Vec::new();
        for name in self.names_in(&file, &name)? {
            let other = Account { name, ..account.clone() };
            if other.name != account.name && self.owner_of(&other)? == Some(account.uid) {
                others.push(other);
            }
        }
        Ok(others)
    }

    /// The number that the record of a name belongs to; the number of `account` is not looked at.
    pub fn owner_of(&self, account: &Account) -> Result<Option<u32>, StoreError> {
        self.owner(&Names::of(account).credentials)
    }

    /// Enters all records that are not in the index, for an installation over an older one. Records that cannot be read
    /// are left out.
    pub fn enter_all(&self) -> Result<(), StoreError> {
        self.not_entered()?.iter().try_for_each(|account| self.enter(account))
    }

    /// The accounts of records that are not in the index. No name service is asked.
    pub fn not_entered(&self) -> Result<Vec<Account>, StoreError> {
        let mut missing = Vec::new();
        for stem in self.stems(|| ())? {
            let name = format!("{stem}.toml");
            let Ok(Some((file, metadata))) = self.open_trusted(&name, None) else { continue };
            let decode = |bytes: &[u8]| Credentials::decode(bytes, ReadContext::ANYONE);
            let Ok(credentials) = self.read_credentials(&file, metadata.len(), &name, decode) else { continue };
            let account = Account { name: credentials.user, uid: metadata.uid(), gid: metadata.gid() };
            if account.name.file_stem() == stem && !self.is_entered(&account)? {
                missing.push(account);
            }
        }
        Ok(missing)
    }

    fn is_entered(&self, account: &Account) -> Result<bool, StoreError> {
        let name = index_of(account.uid);
        let file = self.open_index(&name, account.uid, OFlag::O_RDONLY)?;
        file.map_or(Ok(false), |file| Ok(self.names_in(&file, &name)?.contains(&account.name)))
    }

    /// Enters an account whose record will be in force next. A file of another user in that place is no obstacle: root
    /// removes it, and the helper, which cannot, does without.
    pub fn enter(&self, account: &Account) -> Result<(), StoreError> {
        let name = index_of(account.uid);
        let entry = entry_of(account);
        for _ in 0..MOST_TRIES {
            if let Some(file) = self.open_index(&name, account.uid, OFlag::O_RDWR | OFlag::O_APPEND)? {
                if self.names_in(&file, &name)?.contains(&account.name) {
                    return Ok(());
                }
                // What a killed process left of an entry must not become a part of this one.
                let written = (&file).write_all(&[b"\0", entry.as_slice()].concat()).and_then(|()| file.sync_all());
                written.map_err(|error| self.failed("write", &name, error))?;
                let inode = self.examine(&file, &name)?.ino();
                if self.inode(&name)? == Some(inode) {
                    return Ok(());
                }
            } else if geteuid().is_root() {
                self.enter_first(account, &name, &entry)?;
            } else {
                match self.create_empty(&name) {
                    Ok(file) => return self.fill(&file, &name, account, &entry),
                    Err(Errno::EEXIST) if self.owner(&name)? == Some(account.uid) => {}
                    Err(Errno::EEXIST) => return Ok(()),
                    Err(error) => return Err(self.failed("create", &name, error)),
                }
            }
        }
        Err(StoreError::Busy)
    }

    /// Root gives a file to its user before it has its name.
    fn enter_first(&self, account: &Account, name: &str, entry: &[u8]) -> Result<(), StoreError> {
        let temporary = format!("{name}-by-root");
        self.discard(&temporary)?;
        match self.create_empty(&temporary) {
            Err(Errno::EEXIST) => return Ok(()), // of another process of root, which is doing the same
            created => {
                let file = created.map_err(|error| self.failed("create", &temporary, error))?;
                self.fill(&file, &temporary, account, entry)?;
            }
        }
        let from = temporary.as_str();
        match renameat2(&self.directory, from, &self.directory, name, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EEXIST) => {
                self.discard(from)?;
                if self.owner(name)?.is_some_and(|owner| owner != account.uid && owner != 0) {
                    self.discard(name)?;
                }
                Ok(())
            }
            Err(error) => Err(self.failed("create", name, error)),
        }
    }

    /// Removes the file if it names no other account: entries of others must stay, and an entry without a record says
    /// nothing.
    pub(super) fn strike(&self, name: &UserName, uid: u32) {
        let index = index_of(uid);
        if let Ok(Some(file)) = self.open_index(&index, uid, OFlag::O_RDONLY)
            && self.names_in(&file, &index).is_ok_and(|names| names.iter().all(|listed| listed == name))
        {
            let _ = self.unlink(&index); // what is left does no harm
        }
    }

    /// Strikes the entry of a first record that did not come into force, unless another process took its place.
    pub(super) fn strike_first(&self, account: &Account, held: &Held, is_first: bool) {
        if is_first && self.is_in_place(held).unwrap_or(false) {
            self.strike(&account.name, account.uid);
        }
    }

    /// Opens the index of a number; `None` if there is none, or if another user has put something in its place.
    fn open_index(&self, name: &str, uid: u32, access: OFlag) -> Result<Option<File>, StoreError> {
        let may_hold = |owner: u32| owner == uid || owner == 0;
        match self.open_file(name, access) {
            Ok(None) => Ok(None),
            Ok(Some(file)) => {
                let metadata = self.examine(&file, name)?;
                Ok(Some(file).filter(|_| metadata.is_file() && may_hold(metadata.uid())))
            }
            Err(StoreError::Untrusted { .. }) => Ok(None), // none of our processes makes links or folders
            Err(error) => {
                if self.owner(name)?.is_some_and(may_hold) {
                    Err(error)
                } else {
                    Ok(None)
                }
            }
        }
    }

    fn names_in(&self, file: &File, name: &str) -> Result<Vec<UserName>, StoreError> {
        let mut text = vec![0; LARGEST];
        let length = file.read_at(&mut text, 0).map_err(|error| self.failed("read", name, error))?;
        text.truncate(length);
        let mut names = Vec::new();
        // No name has a NUL.
        for entry in text.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let entry = std::str::from_utf8(entry).ok().and_then(UserName::parse);
            names.push(entry.ok_or_else(|| self.untrusted(name, "does not hold names".into()))?);
        }
        Ok(names)
    }
}
