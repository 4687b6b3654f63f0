//! What keeps the keys while the machine is off: the TPM, the host's key, or a file. And their way into memory.
//!
//! One file, `seal/keys` beside the configuration, says what keeps them, and holds the credential. It is replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use otp_core::record::key_ring::Ring;
use otp_core::store::files::seal_keys;
use otp_core::system::config_file::Site;
use otp_core::value::system_error::described;
use zeroize::Zeroizing;

use super::{systemd_creds, tpm2_tools};
use crate::error::CliError;

/// What the first line begins with.
const HEAD: &str = "pam_otp seal 1 ";

/// Who keeps the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The TPM by systemd-creds, with these PCRs; with none if empty.
    Tpm2(String),
    /// The same by tpm2-tools, where systemd-creds has no TPM support.
    Tpm2Tools(String),
    /// The host's key, on the same disk.
    Host,
    /// A file of root's.
    File(PathBuf),
}

/// The folder.
pub(super) struct Keeper {
    folder: PathBuf,
    config: PathBuf,
    /// The keys in memory.
    unpacked: PathBuf,
}

impl Method {
    /// The word in JSON.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Tpm2(_) => "tpm2",
            Self::Tpm2Tools(_) => "tpm2-tools",
            Self::Host => "host",
            Self::File(_) => "key-file",
        }
    }

    pub(super) fn told(&self) -> String {
        match self {
            Self::Tpm2(pcrs) | Self::Tpm2Tools(pcrs) if pcrs.is_empty() => "the TPM of this machine".into(),
            Self::Tpm2(pcrs) | Self::Tpm2Tools(pcrs) => format!("the TPM of this machine, with PCRs {pcrs}"),
            Self::Host => "the key of this host".into(),
            Self::File(path) => format!("the file {}", path.display()),
        }
    }

    /// The TPM with these PCRs, by systemd-creds where it can.
    pub(super) fn tpm2(pcrs: String) -> Self {
        if !systemd_creds::has_tpm2() && tpm2_tools::reach_a_tpm() { Self::Tpm2Tools(pcrs) } else { Self::Tpm2(pcrs) }
    }

    /// The TPM where there is one; else the host's key.
    pub(super) fn usual() -> Self {
        if systemd_creds::has_tpm2() || tpm2_tools::reach_a_tpm() { Self::tpm2(String::new()) } else { Self::Host }
    }

    fn line(&self) -> String {
        match self {
            Self::Tpm2(pcrs) => format!("{HEAD}tpm2 {pcrs}\n"),
            Self::Tpm2Tools(pcrs) => format!("{HEAD}tpm2-tools {pcrs}\n"),
            Self::Host => format!("{HEAD}host\n"),
            Self::File(path) => format!("{HEAD}file {}\n", path.display()),
        }
    }

    fn read(line: &str) -> Option<Self> {
        let said = line.strip_prefix(HEAD)?;
        match said.split_once(' ') {
            None if said == "host" => Some(Self::Host),
            Some(("tpm2", pcrs)) => Some(Self::Tpm2(pcrs.to_owned())),
            Some(("tpm2-tools", pcrs)) => Some(Self::Tpm2Tools(pcrs.to_owned())),
            Some(("file", path)) => Some(Self::File(path.into())),
            Some(_) | None => None,
        }
    }
}

impl Keeper {
    pub(super) fn of(site: &Site) -> Self {
        let source = site.key_source();
        Self { folder: source.keeper(), unpacked: source.file().to_owned(), config: source.config.clone() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Keeps other runs out until it is dropped, by a lock of the configuration. Its folder is locked while changes are counted.
    pub(super) fn lock(&self) -> Result<File, CliError> {
        let path = &self.config;
        let file = File::open(path).map_err(|error| failed("open", path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(CliError::Reported {
                error: "another `admin seal` is running".into(),
                hint: "nothing was changed; wait until it has ended, and run this again".into(),
            }),
            Err(TryLockError::Error(error)) => Err(failed("lock", path, &error)),
        }
    }

    /// Who keeps the keys, and the credential; `None` if seeds are not sealed.
    fn text(&self) -> Result<Option<(Method, String)>, CliError> {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            // A folder without the file is one that was made a moment before a kill: nothing is sealed yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &self.path(), &error)),
        };
        let read = text.split_once('\n').and_then(|(line, rest)| Some((Method::read(line)?, rest.to_owned())));
        read.map(Some).ok_or_else(|| CliError::Reported {
            error: format!("{} was not written by this program", self.path().display()),
            hint: "restore it from a backup, or use the recovery key: otp-enroll admin seal --recovery-key".into(),
        })
    }

    pub(super) fn method(&self) -> Result<Option<Method>, CliError> {
        Ok(self.text()?.map(|(method, _)| method))
    }

    /// The keys, as what keeps them gives them now.
    pub(super) fn ring(&self) -> Result<Option<Ring>, CliError> {
        let Some((method, credential)) = self.text()? else { return Ok(None) };
        let bytes = match &method {
            Method::File(path) => {
                let read = seal_keys::read(path).map_err(|error| failed("read", path, &error))?;
                Zeroizing::new(read.bytes().to_vec())
            }
            Method::Tpm2(_) | Method::Host => systemd_creds::opened(credential.as_bytes())?,
            Method::Tpm2Tools(pcrs) => tpm2_tools::opened(pcrs, &credential)?,
        };
        let ring = Ring::of_bytes(&bytes).ok_or_else(|| CliError::Reported {
            error: format!("{} gives no keys that this program wrote", method.told()),
            hint: "use the recovery key: otp-enroll admin seal --recovery-key".into(),
        })?;
        Ok(Some(ring))
    }

    /// Gives the keys to their keeper, durably.
    pub(super) fn keep(&self, method: &Method, keys: &[u8]) -> Result<(), CliError> {
        let credential = match method {
            Method::File(path) => {
                put(path, keys, 0o600)?;
                Zeroizing::new(Vec::new())
            }
            Method::Host => systemd_creds::of_the_host(keys)?,
            Method::Tpm2(pcrs) => systemd_creds::of_the_tpm(pcrs, keys)?,
            Method::Tpm2Tools(pcrs) => tpm2_tools::sealed(pcrs, keys)?,
        };
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed("create", &self.folder, &error)),
            Ok(()) | Err(_) => put(&self.path(), &[method.line().as_bytes(), &credential].concat(), 0o600),
        }
    }

    /// Writes the keys into memory, for logins.
    pub(super) fn unpack(&self, keys: &[u8]) -> Result<(), CliError> {
        if let Some(folder) = self.unpacked.parent()
            && !folder.exists()
        {
            // As tmpfiles.d makes it.
            let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
            made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
                .map_err(|error| failed("create", folder, &error))?;
        }
        put(&self.unpacked, keys, 0o400)
    }

    /// The keys in memory.
    pub(super) fn unpacked(&self) -> Result<Ring, String> {
        seal_keys::read(&self.unpacked).map_err(|error| described(&error))
    }

    pub(super) fn unpacked_path(&self) -> &Path {
        &self.unpacked
    }

    /// Forgets all keys. The keeper goes first: while it is there, no seed is written in plain text.
    pub(super) fn forget(&self) -> Result<(), CliError> {
        if let Some(Method::File(path)) = self.method()? {
            remove(&path)?;
        }
        remove(&self.path())?;
        fs::remove_dir(&self.folder).map_err(|error| failed("remove", &self.folder, &error))?;
        if let Some(folder) = self.folder.parent() {
            flush(folder)?;
        }
        remove(&self.unpacked)
    }
}

fn remove(path: &Path) -> Result<(), CliError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Puts a file of root's in place of another one, as a whole and durably.
fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    remove(&new)?; // what a killed process has left
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&new); // it holds keys
        failed("write", path, &error)
    })?;
    path.parent().map_or(Ok(()), flush)
}

fn flush(folder: &Path) -> Result<(), CliError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("flush", folder, &error))
}

fn failed(action: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::Reported {
        error: format!("cannot {action} {}: {}", path.display(), described(error)),
        hint: "see `otp-enroll admin seal --status`; nothing is lost while the recovery key is there".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_read_as_it_was_written() {
        for method in [
            Method::Tpm2(String::new()),
            Method::Tpm2("0+7".into()),
            Method::Tpm2Tools(String::new()),
            Method::Tpm2Tools("7".into()),
            Method::Host,
            Method::File("/media/usb/pam_otp keys".into()),
        ] {
            assert_eq!(Method::read(method.line().trim_end_matches('\n')), Some(method));
        }
        for other in ["", "pam_otp seal 1", "pam_otp seal 1 ", "pam_otp seal 2 host", "pam_otp seal 1 host 7", "x"] {
            assert_eq!(Method::read(other), None, "{other}");
        }
    }
}
