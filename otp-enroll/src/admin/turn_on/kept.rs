//! What `turn-on` has changed, with a copy of each file before and after: on the disk before anything is changed, and removed
//! after all is taken back. Never in /etc/pam.d, where each file is a service.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use otp_core::config::paths;
use otp_core::value::time::UnixTime;
use serde::{Deserialize, Serialize};

use super::{drop_in, replace};
use crate::error::CliError;

/// The folder beside the configuration, with a folder for each service.
const FOLDER: &str = "turned-on";
const PLAN: &str = "plan.json";
const TRIAL: &str = "trial";
/// Written when all is done. Without it, a turn-on was interrupted.
const DONE: &str = "done";
const LOCK: &str = ".lock";

/// So long another turn-on or turn-off is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file, before and after. `before` is `None` for one that was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: Option<Vec<u8>>,
    pub(super) after: Vec<u8>,
}

impl Change {
    /// Whether it is that of sshd's configuration.
    pub(super) fn is_drop_in(&self) -> bool {
        self.path.as_os_str() == drop_in::FILE
    }
}

/// What was changed for a service, or is being changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) service: String,
    /// When it began.
    pub(super) at: UnixTime,
    /// A key and a code.
    pub(crate) key: bool,
    /// In the order in which they are written.
    pub(super) changes: Vec<Change>,
    /// When a trial ends.
    pub(crate) until: Option<UnixTime>,
    /// All was written, and sshd has read it.
    pub(super) is_done: bool,
}

/// The same as it is written; the bytes of files are in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    service: String,
    at: UnixTime,
    key: bool,
    files: Vec<PlannedFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedFile {
    path: PathBuf,
    was_there: bool,
}

/// Where it is kept.
fn folder() -> PathBuf {
    Path::new(paths::CONFIG).parent().unwrap_or(Path::new("/etc/pam_otp")).join(FOLDER)
}

/// The folder of a service.
pub(super) fn folder_of(service: &str) -> PathBuf {
    folder().join(service)
}

/// The name of a copy: `etc+pam.d+sshd.before`.
fn copy(path: &Path, which: &str) -> String {
    let name = path.display().to_string();
    format!("{}.{which}", name.trim_start_matches('/').replace('/', "+"))
}

/// Keeps other runs out until it is dropped.
pub(super) fn lock() -> Result<File, CliError> {
    let path = folder().join(LOCK);
    let unopened = |error| CliError::Unreadable { path: path.clone(), error };
    private_folder(&folder()).map_err(unopened)?;
    let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let opened =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
    let file = opened.map_err(unopened)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(unopened(error)),
            Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                return Err(CliError::Reported {
                    error: "another turn-on or turn-off is running".into(),
                    hint: "nothing was changed; wait until it has ended, and run this again".into(),
                });
            }
            Err(TryLockError::WouldBlock) => {
                let step = Duration::from_millis(100);
                thread::sleep(step);
                waited = waited.saturating_add(step);
            }
        }
    }
}

/// A folder that only root can open.
fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) => replace::flush(path.parent().unwrap_or(Path::new("/")))?,
        Err(_) => {}
    }
    let found = fs::symlink_metadata(path)?;
    let is_private = found.is_dir() && found.uid() == 0 && found.mode() & 0o077 == 0;
    is_private.then_some(()).ok_or_else(|| io::Error::other("it must be a folder that only root can open"))
}

impl Kept {
    /// What is kept of a service.
    pub(super) fn load(service: &str) -> Result<Option<Self>, CliError> {
        Self::load_from(&folder_of(service))
    }

    /// What is kept of all services, as far as it can be read.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_service =
            |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
        let mut all: Vec<Self> =
            entries.filter(is_service).filter_map(|path| Self::load_from(&path).ok().flatten()).collect();
        all.sort_by(|one, other| one.service.cmp(&other.service));
        all
    }

    fn load_from(folder: &Path) -> Result<Option<Self>, CliError> {
        if let Err(error) = fs::symlink_metadata(folder)
            && error.kind() == io::ErrorKind::NotFound
        {
            return Ok(None);
        }
        let unreadable = |name: &str, error: io::Error| CliError::Unreadable { path: folder.join(name), error };
        let read = |name: &str| match replace::read(&folder.join(name)) {
            Ok(bytes) => Ok(bytes),
            Err(odd) => Err(unreadable(name, io::Error::other(format!("it {odd}")))),
        };
        let missing = |name: &str| unreadable(name, io::ErrorKind::NotFound.into());
        let there = |name: &str| read(name)?.ok_or_else(|| missing(name));
        let plan: Plan =
            serde_json::from_slice(&there(PLAN)?).map_err(|error| unreadable(PLAN, io::Error::other(error)))?;
        let mut changes = Vec::with_capacity(plan.files.len());
        for PlannedFile { path, was_there } in plan.files {
            let before = if was_there { Some(there(&copy(&path, "before"))?) } else { None };
            let after = there(&copy(&path, "after"))?;
            changes.push(Change { path, before, after });
        }
        let until = match read(TRIAL)? {
            None => None,
            Some(text) => {
                let seconds = String::from_utf8_lossy(&text).trim().parse().ok();
                Some(UnixTime(seconds.ok_or_else(|| unreadable(TRIAL, io::Error::other("it holds no time")))?))
            }
        };
        let is_done = read(DONE)?.is_some();
        Ok(Some(Self { service: plan.service, at: plan.at, key: plan.key, changes, until, is_done }))
    }

    /// Brings it to the disk as a whole, before anything is changed.
    pub(super) fn keep(&self) -> Result<(), CliError> {
        self.keep_in(&folder()).map_err(|error| CliError::Reported {
            error: format!(
                "{} could not be written: {}",
                folder_of(&self.service).display(),
                crate::error::plain(&error)
            ),
            hint: "nothing was changed".into(),
        })
    }

    fn keep_in(&self, folder: &Path) -> io::Result<()> {
        private_folder(folder)?;
        let new = folder.join(format!(".{}.new", self.service));
        remove_all(&new)?;
        private_folder(&new)?;
        let write = |name: &str, bytes: &[u8]| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        for Change { path, before, after } in &self.changes {
            write(&copy(path, "after"), after)?;
            if let Some(before) = before {
                write(&copy(path, "before"), before)?;
            }
        }
        if let Some(until) = self.until {
            write(TRIAL, until.0.to_string().as_bytes())?;
        }
        let planned = |change: &Change| PlannedFile { path: change.path.clone(), was_there: change.before.is_some() };
        let files = self.changes.iter().map(planned).collect();
        let plan = Plan { service: self.service.clone(), at: self.at, key: self.key, files };
        write(PLAN, &serde_json::to_vec(&plan)?)?;
        replace::flush(&new)?;
        fs::rename(&new, folder.join(&self.service))?;
        replace::flush(folder)
    }

    /// Forgets it, after all was taken back.
    pub(super) fn forget(&self) -> io::Result<()> {
        self.forget_in(&folder())
    }

    fn forget_in(&self, folder: &Path) -> io::Result<()> {
        // Under another name first: what is half removed is nothing.
        let old = folder.join(format!(".{}.old", self.service));
        remove_all(&old)?;
        fs::rename(folder.join(&self.service), &old)?;
        replace::flush(folder)?;
        remove_all(&old)
    }

    /// Notes that all is done.
    pub(super) fn finish(&self) -> io::Result<()> {
        let folder = folder_of(&self.service);
        File::create_new(folder.join(DONE))?.sync_all()?;
        replace::flush(&folder)
    }

    /// Ends the trial: what was turned on stays.
    pub(super) fn end_trial(&self) -> io::Result<()> {
        let folder = folder_of(&self.service);
        replace::or_gone(fs::remove_file(folder.join(TRIAL)))?;
        replace::flush(&folder)
    }
}

/// Removes a folder, if there is one. Links in it are not followed.
fn remove_all(path: &Path) -> io::Result<()> {
    replace::or_gone(fs::remove_dir_all(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let change = |path: &str, before: Option<&[u8]>, after: &[u8]| Change {
            path: path.into(),
            before: before.map(<[u8]>::to_vec),
            after: after.to_vec(),
        };
        Kept {
            service: "sshd".into(),
            at: UnixTime(1_800_000_000),
            key: false,
            changes: vec![
                change("/etc/ssh/sshd_config.d/00-pam_otp.conf", None, b"UsePAM yes\n"),
                change("/etc/pam.d/sshd", Some(b"# caf\xe9"), b"after\n"),
            ],
            until: Some(UnixTime(1_800_000_300)),
            is_done: false,
        }
    }

    #[test]
    fn what_is_kept_is_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        kept().keep_in(folder.path()).unwrap();
        let here = folder.path().join("sshd");
        assert_eq!(Kept::load_from(&here).unwrap(), Some(kept()));
        assert_eq!(fs::metadata(&here).unwrap().mode() & 0o7777, 0o700);
        let mut names: Vec<_> =
            fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let expected = [
            "etc+pam.d+sshd.after",
            "etc+pam.d+sshd.before",
            "etc+ssh+sshd_config.d+00-pam_otp.conf.after",
            "plan.json",
            "trial",
        ];
        assert_eq!(names, expected);
        kept().forget_in(folder.path()).unwrap();
        assert_eq!(Kept::load_from(&here).unwrap(), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_is_half_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for name in ["plan.json", "etc+pam.d+sshd.before", "etc+pam.d+sshd.after"] {
            kept().keep_in(folder.path()).unwrap();
            fs::remove_file(folder.path().join("sshd").join(name)).unwrap();
            Kept::load_from(&folder.path().join("sshd")).unwrap_err();
            kept().forget_in(folder.path()).unwrap();
        }
    }

    #[test]
    fn a_folder_that_others_can_open_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        kept().keep_in(folder.path()).unwrap_err();
    }
}
