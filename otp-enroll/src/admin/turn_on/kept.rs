//! What `turn-on` has changed, with a copy of each file before and after: on the disk before anything is changed, and removed
//! after all is taken back. Never in /etc/pam.d, where each file is a service.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use otp_core::config::paths;
use otp_core::value::time::UnixTime;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{drop_in, replace};
use crate::error::{CliError, plain};
use crate::ui::output::Output;

/// The folder beside the configuration, with a folder for each service.
const FOLDER: &str = "turned-on";
const PLAN: &str = "plan.json";
const TRIAL: &str = "trial";
/// Written when all is done. Without it, a turn-on was interrupted.
const DONE: &str = "done";
const LOCK: &str = ".lock";

/// What remains where the copies cannot be used.
const BY_HAND: &str = "take out by hand what turn-on has written (grep -n pam_otp /etc/pam.d/*; with --key, put the line for the \
                       password back in the same step, and take out that of pam_permit.so)";

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
    /// The SHA-256 of each copy: one that was damaged or exchanged is not written back.
    before: Option<String>,
    after: String,
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
pub(super) fn lock(output: &Output) -> Result<File, CliError> {
    let path = folder().join(LOCK);
    let unopened = |error: io::Error| CliError::Reported {
        error: format!("cannot open {}: {}", path.display(), plain(&error)),
        hint: "nothing was changed".into(),
    };
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
                if waited.is_zero() {
                    output.insist("another turn-on or turn-off is running: this one waits for its end");
                }
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
    if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 {
        let what = "it must be a folder that only root can open; see who has changed it, then: chown root, chmod 700";
        return Err(io::Error::other(what));
    }
    // A recursive chmod has opened it: only root could write to it.
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether another run, or this one, changes something now.
pub(super) fn is_busy() -> bool {
    let file = File::open(folder().join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

impl Kept {
    /// What is kept of a service.
    pub(super) fn load(service: &str) -> Result<Option<Self>, CliError> {
        Self::load_from(&folder_of(service))
    }

    /// What is kept of each service, by name.
    pub(crate) fn all() -> Vec<(String, Result<Self, CliError>)> {
        let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let load = |name: String| Self::load(&name).transpose().map(|kept| (name, kept));
        names.into_iter().filter_map(load).collect()
    }

    fn load_from(folder: &Path) -> Result<Option<Self>, CliError> {
        if let Err(error) = fs::symlink_metadata(folder)
            && error.kind() == io::ErrorKind::NotFound
        {
            return Ok(None);
        }
        let unreadable = |name: &str, error: io::Error| CliError::Reported {
            error: format!("cannot use {}: {}", folder.join(name).display(), plain(&error)),
            hint: format!("{BY_HAND}, and remove {}", folder.display()),
        };
        let read = |name: &str| match replace::read(&folder.join(name)) {
            Ok(bytes) => Ok(bytes),
            Err(odd) => Err(unreadable(name, io::Error::other(format!("it {odd}")))),
        };
        let missing = |name: &str| unreadable(name, io::ErrorKind::NotFound.into());
        let there = |name: &str| read(name)?.ok_or_else(|| missing(name));
        let plan: Plan =
            serde_json::from_slice(&there(PLAN)?).map_err(|error| unreadable(PLAN, io::Error::other(error)))?;
        let mut changes = Vec::with_capacity(plan.files.len());
        let as_written = |name: &str, checksum_then: &str| {
            let bytes = there(name)?;
            let is_it = checksum(&bytes) == checksum_then;
            is_it
                .then_some(bytes)
                .ok_or_else(|| unreadable(name, io::Error::other("it was changed since it was written")))
        };
        for PlannedFile { path, before, after } in plan.files {
            let before = before.map(|checksum| as_written(&copy(&path, "before"), &checksum)).transpose()?;
            let after = as_written(&copy(&path, "after"), &after)?;
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
        self.keep_in(&folder()).map_err(|error| {
            let _ = remove_all(&folder().join(format!(".{}.new", self.service)));
            CliError::Reported {
                error: format!("{} could not be written: {}", folder_of(&self.service).display(), plain(&error)),
                hint: "nothing was changed; make that possible (free space: df /etc/pam_otp), and run this again"
                    .into(),
            }
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
        let planned = |change: &Change| PlannedFile {
            path: change.path.clone(),
            before: change.before.as_deref().map(checksum),
            after: checksum(&change.after),
        };
        let files = self.changes.iter().map(planned).collect();
        let plan = Plan { service: self.service.clone(), at: self.at, key: self.key, files };
        write(PLAN, &serde_json::to_vec(&plan)?)?;
        replace::flush(&new)?;
        let place = folder.join(&self.service);
        if fs::symlink_metadata(&place).is_err() {
            fs::rename(&new, &place)?;
            return replace::flush(folder);
        }
        // In place of an earlier one, in one step: at no moment are there no copies.
        renameat_with(CWD, &new, CWD, &place, RenameFlags::EXCHANGE)?;
        replace::flush(folder)?;
        remove_all(&new)
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
        // Whatever the umask: what others could write to is not read again.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(DONE))?.sync_all()?;
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
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
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
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        for name in ["plan.json", "etc+pam.d+sshd.before", "etc+pam.d+sshd.after"] {
            kept().keep_in(folder.path()).unwrap();
            fs::remove_file(folder.path().join("sshd").join(name)).unwrap();
            Kept::load_from(&folder.path().join("sshd")).unwrap_err();
            kept().forget_in(folder.path()).unwrap();
        }
    }

    #[test]
    fn a_copy_that_was_changed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etc+pam.d+sshd.before", "etc+pam.d+sshd.after"] {
            kept().keep_in(folder.path()).unwrap();
            fs::write(folder.path().join("sshd").join(name), "").unwrap();
            let error = Kept::load_from(&folder.path().join("sshd")).unwrap_err();
            assert!(error.to_string().ends_with(&format!("{name}: it was changed since it was written")), "{error}");
            kept().forget_in(folder.path()).unwrap();
        }
    }

    #[test]
    fn what_is_kept_replaces_what_was_kept_before() {
        let folder = tempfile::tempdir().unwrap();
        kept().keep_in(folder.path()).unwrap();
        let more = Kept { until: None, ..kept() };
        more.keep_in(folder.path()).unwrap();
        assert_eq!(Kept::load_from(&folder.path().join("sshd")).unwrap(), Some(more));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused_and_one_that_they_can_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        mode(0o775);
        kept().keep_in(folder.path()).unwrap_err();
        mode(0o755);
        kept().keep_in(folder.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
    }
}
