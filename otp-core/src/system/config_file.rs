//! The configuration file: trusted and read.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::config::Config;
use crate::config::agent_hosts::{self, AgentHost};
use crate::config::error::ConfigError;
use crate::config::fleet::{self, Fleet};
use crate::config::paths;
use crate::config::senders::{self, Senders};
use crate::config::settings::Settings;
use crate::decision::kinds::Kinds;
use crate::error::CoreError;
use crate::store::error::StoreError;
use crate::store::files::on_demand::Files;
use crate::store::files::open::FileStore;
use crate::store::files::seal_keys::{Ask, KeySource};
use crate::value::path::beside;
use crate::value::system_error::{described, is_unmapped, owner};

/// Larger than any configuration a person writes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// The configuration and its file.
#[derive(Debug)]
pub struct Site {
    pub config: Config,
    pub path: PathBuf,
    /// Whom a process that is not root asks for the keys of sealed seeds.
    pub ask_for_keys: Option<Ask>,
}

impl Site {
    /// Reads the configuration. The file must belong to root, and only root may write it. A missing file is an error too:
    /// without it the policy is unknown.
    pub fn load(path: &Path) -> Result<Self, CoreError> {
        Ok(Self { config: Config::parse(path, &trusted_text(path)?)?, path: path.to_owned(), ask_for_keys: None })
    }

    /// All errors of the configuration, for administration, and what could be read beside them. [`Site::load`] reports the
    /// first error.
    pub fn errors(path: &Path) -> (Option<Self>, Vec<ConfigError>) {
        let text = match trusted_text(path) {
            Ok(text) => text,
            Err(error) => return (None, vec![error]),
        };
        let (config, mut errors) = Config::read(path, &text);
        for more in [agent_hosts::read(path, &text).1, senders::read(path, &text).1] {
            // A text that is no TOML is the same error for each reader.
            errors.extend(more.into_iter().filter(|error| !errors.contains(error)).collect::<Vec<_>>());
        }
        errors.sort_by_key(|error| error.line);
        (Some(Self { config, path: path.to_owned(), ask_for_keys: None }), errors)
    }

    /// The errors of what no login reads: of the agent's hosts, and of senders.
    pub fn errors_apart(&self) -> (Vec<ConfigError>, Vec<ConfigError>) {
        match trusted_text(&self.path) {
            Ok(text) => (agent_hosts::read(&self.path, &text).1, senders::read(&self.path, &text).1),
            Err(error) => (vec![error], Vec::new()),
        }
    }

    /// The hosts that may ask the agent about other users. Read apart: no login in another process needs them.
    pub fn agent_hosts(&self) -> Result<Vec<AgentHost>, CoreError> {
        let (hosts, errors) = agent_hosts::read(&self.path, &trusted_text(&self.path)?);
        Ok(errors.into_iter().min_by_key(|error| error.line).map_or(Ok(hosts), Err)?)
    }

    /// The programs that send codes. Read apart, as the hosts are.
    pub fn senders(&self) -> Result<Senders, CoreError> {
        let (senders, errors) = senders::read(&self.path, &trusted_text(&self.path)?);
        Ok(errors.into_iter().min_by_key(|error| error.line).map_or(Ok(senders), Err)?)
    }

    /// The kinds of device to which a program of the configuration sends.
    pub fn sent_kinds(&self) -> Result<Kinds, CoreError> {
        Ok(senders::kinds(&self.path, &trusted_text(&self.path)?))
    }

    /// Opens the state directory, which must have the id of this configuration. A draft in a folder without an id is held
    /// against that of the machine.
    pub fn store(&self) -> Result<FileStore, CoreError> {
        Ok(self.open_store()?)
    }

    fn open_store(&self) -> Result<FileStore, StoreError> {
        let store = FileStore::open(&self.config.state_directory)?;
        let own = self.store_id();
        if let Err(error) = store.identify(&own)
            && (own.is_symlink() || store.identify(&beside(Path::new(paths::CONFIG), "store-id")).is_err())
        {
            return Err(error);
        }
        Ok(store.with_keys(self.key_source()))
    }

    /// The records, for one conversation.
    pub fn files(&self) -> Files<'_> {
        Files::new(|| self.open_store())
    }

    /// Where the keys of sealed seeds come from.
    pub fn key_source(&self) -> KeySource {
        KeySource { file: self.config.seal_keys.clone(), config: self.path.clone(), ask: self.ask_for_keys }
    }

    /// The link with the id of the store: beside the configuration.
    pub fn store_id(&self) -> PathBuf {
        beside(&self.path, "store-id")
    }

    /// The file with the number of changes that this host has seen: beside the configuration, outside the state directory.
    pub fn store_changes(&self) -> PathBuf {
        beside(&self.path, "store-changes")
    }

    /// The name that authenticator apps show.
    pub fn issuer(&self) -> String {
        issuer(&self.config.settings)
    }
}

/// The name that authenticator apps show.
pub fn issuer(settings: &Settings) -> String {
    settings.issuer.clone().unwrap_or_else(host_name)
}

/// Reads `fleet.toml`, which only root may have written.
pub fn fleet(path: &Path) -> Result<Fleet, ConfigError> {
    let (fleet, errors) = fleet::read(path, &trusted_text(path)?);
    errors.into_iter().min_by_key(|error| error.line).map_or(Ok(fleet), Err)
}

fn trusted_text(path: &Path) -> Result<String, ConfigError> {
    let refuse = |what: String| ConfigError { path: path.to_owned(), line: None, what };
    let system = |error: io::Error| refuse(described(&error));
    // A symbolic link is allowed: only root can write the folders on the way. A FIFO must not block.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(system)?;
    let metadata = file.metadata().map_err(system)?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        let owner = owner(metadata.uid());
        return Err(refuse(if is_unmapped(&owner) {
            format!("belongs to {owner}, and must belong to root")
        } else {
            "must belong to root and be writable by root alone".into()
        }));
    }
    let size = usize::try_from(metadata.len()).ok().filter(|_| metadata.len() <= LARGEST_CONFIG);
    let mut text = vec![0; size.ok_or_else(|| refuse("is too large".into()))?];
    (&file).read_exact(&mut text).map_err(system)?;
    if text.trim_ascii().is_empty() {
        // What a power cut, a full disk or a script leaves of a file. All defaults would be no policy.
        return Err(refuse("is empty: it was cut off, or never written".into()));
    }
    String::from_utf8(text).map_err(|_| refuse("is not UTF-8".into()))
}

/// The name of this machine, without colons: a colon separates issuer and user in a URI.
pub fn host_name() -> String {
    let name = nix::sys::utsname::uname().ok().and_then(|uname| Some(uname.nodename().to_str()?.replace(':', "-")));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::site;

    #[test]
    fn an_empty_configuration_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pam_otp.toml");
        for text in ["", "\n", " \n\n"] {
            std::fs::write(&path, text).unwrap();
            let error = Site::load(&path).unwrap_err().to_string();
            assert_eq!(error, format!("{}: is empty: it was cut off, or never written", path.display()));
        }
        std::fs::write(&path, "# all defaults\n").unwrap();
        assert_eq!(Site::load(&path).unwrap().config, Config::default());
    }

    #[test]
    fn an_error_of_what_logins_do_not_read_is_found_and_refuses_no_login() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pam_otp.toml");
        std::fs::write(&path, "[sms]\nsend = [\"sms\"]\n[[agent.host]]\nuser = \"a\"\n[email]\nhour = 0\n").unwrap();
        let errors: Vec<_> = Site::errors(&path).1.into_iter().map(|error| error.line.unwrap()).collect();
        assert_eq!(errors, [2, 3, 6]);
        let site = Site::load(&path).unwrap();
        assert_eq!(site.config, Config::default());
        let error = site.senders().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2: sms.send must be ", path.display())), "{error}");
        std::fs::write(&path, "[sms\n").unwrap();
        assert_eq!(Site::errors(&path).1.len(), 1);
    }

    #[test]
    fn records_without_their_id_are_not_opened() {
        let (site, directory) = site("");
        assert!(site.store().is_ok());
        std::fs::remove_file(directory.path().join(".store-id")).unwrap();
        let error = site.store().err().unwrap().to_string();
        assert!(error.ends_with("/.store-id is missing"), "{error}");
    }
}
