//! Tokens that no user has: a folder of root in the state directory, with a file for each. No login opens it.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::linkat;

use crate::record::credentials::Serial;
use crate::record::credentials_toml::spare::Spare;
use crate::record::seal::KeyId;
use crate::store::error::StoreError;
use crate::store::files::open::{FileStore, Releasing};
use crate::value::time::UnixTime;
use crate::value::user::{Account, file_stem};

/// The folder. No user's files have this name: theirs have an ending.
const FOLDER: &str = "stock";

/// Beginning of the name of a file that is not whole yet. No token's file name starts with a dot.
const INCOMING: &str = ".new";

/// Seconds after which such a file is one of a killed process.
const ABANDONED: u64 = 3600;

/// The folder, open.
pub struct Stock(FileStore);

/// The folder, locked: no other process gives out or removes a token meanwhile.
pub struct LockedStock<'s> {
    stock: &'s Stock,
    _lock: Releasing,
}

/// The result of putting a token into the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Done,
    /// It was there.
    Already,
    /// Another token with this serial number is there.
    Taken,
}

impl FileStore {
    /// The stock; `None` if no token was ever put there.
    pub fn stock(&self) -> Result<Option<Stock>, StoreError> {
        if self.inode(FOLDER)?.is_none() {
            return Ok(None);
        }
        let folder = FileStore::open(&self.path.join(FOLDER))?;
        let mode =
            nix::sys::stat::fstat(&folder.directory).map_err(|error| folder.failed("examine", "", error))?.st_mode;
        if mode & 0o077 == 0 {
            Ok(Some(Stock(FileStore { keys: self.keys.clone(), ..folder })))
        } else {
            Err(folder.untrusted("", format!("has mode {:04o} and must have 0700", mode & 0o7777)))
        }
    }

    /// The stock, made if it is not there.
    pub fn stock_or_new(&self) -> Result<Stock, StoreError> {
        match mkdirat(&self.directory, FOLDER, Mode::S_IRWXU) {
            Ok(()) => {
                let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let folder = openat(&self.directory, FOLDER, flags, Mode::empty());
                // Whatever the umask is.
                let done = folder.and_then(|folder| fchmod(folder, Mode::S_IRWXU));
                done.map_err(|error| self.failed("create", FOLDER, error))?;
                self.settle(FOLDER, None)?;
            }
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(self.failed("create", FOLDER, error)),
        }
        let gone = || self.failed("open", FOLDER, Errno::ENOENT);
        let stock = self.stock()?.ok_or_else(gone)?;
        stock.sweep();
        Ok(stock)
    }
}

fn name_of(serial: &Serial) -> String {
    [&file_stem(serial.as_str()), ".toml"].concat()
}

impl Stock {
    /// Puts a token there, durably.
    pub fn put(&self, spare: &Spare) -> Result<Put, StoreError> {
        let Some(serial) = &spare.device.serial else { return Ok(Put::Taken) };
        let (folder, name) = (&self.0, name_of(serial));
        if let unfit @ (Put::Already | Put::Taken) = self.compare(spare)? {
            return Ok(unfit);
        }
        let incoming = self.write(spare)?;
        let placed = match renameat2(
            &folder.directory,
            incoming.as_str(),
            &folder.directory,
            name.as_str(),
            RenameFlags::RENAME_NOREPLACE,
        ) {
            // Some file systems cannot: a second name, and then the first one goes.
            Err(Errno::EINVAL) => {
                let linked =
                    linkat(&folder.directory, incoming.as_str(), &folder.directory, name.as_str(), AtFlags::empty());
                let _ = folder.unlink(&incoming); // blocks no process: swept later
                linked
            }
            renamed => renamed,
        };
        match placed {
            Ok(()) => {
                folder.settle(&name, None)?;
                Ok(Put::Done)
            }
            Err(error) => {
                let _ = folder.unlink(&incoming); // the same
                match (error, self.get(serial)?) {
                    (Errno::EEXIST, Some(present)) => Ok(compared(&present, spare)),
                    (error, _) => Err(folder.failed("create", &name, error)),
                }
            }
        }
    }

    /// What would come of putting a token there.
    pub fn compare(&self, spare: &Spare) -> Result<Put, StoreError> {
        let Some(serial) = &spare.device.serial else { return Ok(Put::Taken) };
        Ok(self.get(serial)?.map_or(Put::Done, |present| compared(&present, spare)))
    }

    /// The token with this serial number.
    pub fn get(&self, serial: &Serial) -> Result<Option<Spare>, StoreError> {
        self.read(&name_of(serial)).map(|spare| spare.filter(|spare| spare.device.serial.as_ref() == Some(serial)))
    }

    fn read(&self, name: &str) -> Result<Option<Spare>, StoreError> {
        let mut spare = self.as_it_is(name)?;
        spare.iter_mut().for_each(|spare| self.0.open_spare(spare));
        Ok(spare)
    }

    fn as_it_is(&self, name: &str) -> Result<Option<Spare>, StoreError> {
        let Some((file, metadata)) = self.0.open_trusted(name, Some(0))? else { return Ok(None) };
        self.0.read_credentials(&file, metadata.len(), name, Spare::decode).map(Some)
    }

    /// The key under which the token of a file is sealed; `None` if it is not, or gone.
    pub fn sealed_under(&self, name: &str) -> Result<Option<KeyId>, StoreError> {
        Ok(self.as_it_is(name)?.and_then(|spare| spare.sealed.map(|sealed| sealed.key)))
    }

    /// The names of all files, in their order.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.0.stems(|| ())?.into_iter().map(|stem| stem + ".toml").collect())
    }

    /// The token of a file; `None` if it is gone by now.
    pub fn of_file(&self, name: &str) -> Result<Option<Spare>, StoreError> {
        self.read(name)
    }

    /// Waits until no other process gives out or removes a token.
    pub fn lock(&self) -> Result<LockedStock<'_>, StoreError> {
        let folder = self.0.readable_directory().map_err(|error| self.0.failed("open", "", error))?;
        if !self.0.wait_for_lock(&folder, "")? {
            return Err(StoreError::Busy);
        }
        Ok(LockedStock { stock: self, _lock: Releasing::from(folder) })
    }

    /// Writes a token under a temporary name, durably.
    fn write(&self, spare: &Spare) -> Result<String, StoreError> {
        let (name, file) = self.0.create_in_place_of(INCOMING)?;
        let root = Account { uid: 0, gid: 0, ..Account::nobody() };
        self.0.fill(&file, &name, &root, self.0.text_of_spare(&name, spare)?.as_bytes())?;
        Ok(name)
    }

    /// Removes what killed processes left behind. Nothing depends on it.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(format!("/proc/self/fd/{}", self.0.directory.as_raw_fd())) else { return };
        let now = UnixTime::now();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let written = entry.metadata().ok().and_then(|metadata| u64::try_from(metadata.mtime()).ok());
            if let (Some(name), Some(written)) = (name.to_str(), written)
                && name.starts_with(INCOMING)
                && now.0.saturating_sub(written) > ABANDONED
            {
                let _ = self.0.unlink(name);
            }
        }
    }
}

/// Whether a token that is there is the one that is to be put there.
fn compared(present: &Spare, spare: &Spare) -> Put {
    let (one, other) = (&present.device, &spare.device);
    let is_same = other.secret.open().is_some_and(|seed| present.has_seed(seed))
        && one.algorithm == other.algorithm
        && one.digits == other.digits
        && one.kind.word() == other.kind.word();
    if is_same { Put::Already } else { Put::Taken }
}

impl LockedStock<'_> {
    /// The token with this serial number.
    pub fn get(&self, serial: &Serial) -> Result<Option<Spare>, StoreError> {
        self.stock.get(serial)
    }

    /// Writes what has changed of a token that is there.
    pub fn replace(&self, spare: &Spare) -> Result<(), StoreError> {
        let Some(serial) = &spare.device.serial else { return Ok(()) };
        let (folder, name, incoming) = (&self.stock.0, name_of(serial), self.stock.write(spare)?);
        renameat(&folder.directory, incoming.as_str(), &folder.directory, name.as_str()).map_err(|error| {
            let _ = folder.unlink(&incoming); // swept later
            folder.failed("replace", &name, error)
        })?;
        folder.settle(&name, None)
    }

    /// Removes a token, durably; `false` if it was not there.
    pub fn remove(&self, serial: &Serial) -> Result<bool, StoreError> {
        let name = name_of(serial);
        let was_there = self.stock.0.unlink(&name)?;
        self.stock.0.settle(&name, None)?;
        Ok(was_there)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::codes::hotp_totp::{Algorithm, Digits};
    use crate::record::credentials::Device;
    use crate::testing::fixtures::{phone, token};
    use crate::value::secret::Secret;

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        (folder, store)
    }

    fn spare(serial: &str) -> Spare {
        Spare {
            device: Device { serial: Serial::parse(serial), ..token(1) },
            sealed: None,
            next: 3,
            maker: None,
            user: None,
        }
    }

    fn serial(text: &str) -> Serial {
        Serial::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_there_until_it_is_removed_and_a_serial_number_is_there_once() {
        let (folder, store) = store();
        assert!(store.stock().unwrap().is_none());
        let stock = store.stock_or_new().unwrap();
        assert_eq!(folder.path().join("stock").metadata().unwrap().mode() & 0o7777, 0o700);
        for number in ["A1", "../../B", ".x", "a b", "A1%", "stock"] {
            assert_eq!(stock.put(&spare(number)).unwrap(), Put::Done, "{number}");
            assert_eq!(stock.put(&spare(number)).unwrap(), Put::Already, "{number}");
            assert_eq!(stock.get(&serial(number)).unwrap().unwrap().next, 3);
        }
        let other = Spare {
            device: Device {
                serial: Serial::parse("A1"),
                secret: Secret::from_hex(&"ab".repeat(20)).unwrap().into(),
                ..phone(1)
            },
            ..spare("A1")
        };
        assert_eq!(stock.put(&other).unwrap(), Put::Taken);
        let device = || spare("A1").device;
        for other in [
            Device { secret: Secret::from_hex(&"ab".repeat(20)).unwrap().into(), ..device() },
            Device { algorithm: Algorithm::Sha256, ..device() },
            Device { digits: Digits::SEVEN, ..device() },
            Device { kind: phone(1).kind, ..device() },
        ] {
            assert_eq!(stock.put(&Spare { device: other, ..spare("A1") }).unwrap(), Put::Taken);
        }
        assert_eq!(stock.of_file("A1.toml").unwrap().unwrap().device.serial, Some(serial("A1")));
        assert!(stock.of_file("B2.toml").unwrap().is_none());
        let expected = ["%2E.%2F..%2FB.toml", "%2Ex.toml", "A1.toml", "A1%25.toml", "a%20b.toml", "stock.toml"];
        assert_eq!(stock.names().unwrap(), expected);
        let mode = folder.path().join("stock/A1.toml").metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(store.stems(|| ()).unwrap().is_empty(), "no record has the name of the stock");

        let locked = stock.lock().unwrap();
        let mut taken = locked.get(&serial("A1")).unwrap().unwrap();
        taken.user = crate::value::user::UserName::parse("alice");
        locked.replace(&taken).unwrap();
        assert_eq!(locked.get(&serial("A1")).unwrap().unwrap().user.unwrap().as_str(), "alice");
        assert!(locked.remove(&serial("A1")).unwrap() && !locked.remove(&serial("A1")).unwrap());
        assert!(stock.get(&serial("A1")).unwrap().is_none());
    }

    #[test]
    fn one_process_at_a_time_gives_out_tokens() {
        let (folder, store) = store();
        let stock = store.stock_or_new().unwrap();
        let held = stock.lock().unwrap();
        let other = FileStore::open(folder.path()).unwrap().stock().unwrap().unwrap();
        let impatient = Stock(other.0.impatient());
        assert!(matches!(impatient.lock(), Err(StoreError::Busy)));
        drop(held);
        assert!(impatient.lock().is_ok());
    }

    #[test]
    fn a_folder_that_others_can_open_is_not_trusted() {
        let (folder, store) = store();
        store.stock_or_new().unwrap();
        let path = folder.path().join("stock");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(store.stock().err().unwrap().to_string().contains("has mode 0750 and must have 0700"));
        let other = folder.path().join("other");
        std::fs::rename(&path, &other).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(store.stock_or_new().is_err());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_after_an_hour() {
        let (folder, store) = store();
        store.stock_or_new().unwrap();
        let (old, new) = (folder.path().join("stock/.new-1"), folder.path().join("stock/.new-2"));
        for file in [&old, &new] {
            std::fs::write(file, "").unwrap();
        }
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        store.stock_or_new().unwrap();
        assert!(!old.exists() && new.exists());
    }
}
