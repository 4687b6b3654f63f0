//! The configuration of a verifier.

use std::env;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use otp_core::config::fleet::Verifier;
use otp_core::config::senders::Senders;
use otp_core::config::{Config as HostConfig, paths};
use otp_core::error::CoreError;
use otp_core::system::config_file::Site;
use serde::Deserialize;

use crate::database::fleet::foreign;
use crate::database::session::Session;
use crate::database::{Servers, Settings};
use crate::error::Error;
use crate::keys::Keys;

/// Where it is, unless the command line says otherwise.
pub(crate) const PATH: &str = "/etc/otp-verifier/otp-verifier.toml";

/// What of a `pam_otp.toml` a verifier decides by. The rest is each host's own.
const SETTINGS: [&str; 5] = ["code", "lockout", "recovery", "grace", "issuer"];

/// How long a command waits for an answer of the database, such as the confirmation of a commit.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that an administrator can set for this verifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where hosts connect to.
    pub(crate) listen: Vec<SocketAddr>,
    /// All verifiers of the fleet, as hosts reach them: `verifier1.example.org:8443`.
    pub(crate) verifiers: Vec<String>,
    /// Where `/metrics` and `/healthz` are, in plain HTTP. Nowhere, if it is not set.
    #[serde(default)]
    pub(crate) metrics: Option<SocketAddr>,
    /// The folder with certificates and keys.
    #[serde(default = "folder")]
    pub(crate) folder: PathBuf,
    /// The folder in which the service keeps the highest timeline of the database.
    #[serde(default = "state")]
    pub(crate) state: PathBuf,
    /// The PostgreSQL servers, primary and standbys, as libpq names them.
    pub(crate) database: Vec<String>,
    /// The authority that signed the certificates of those servers, in PEM.
    #[serde(default)]
    pub(crate) database_authority: Option<PathBuf>,
    /// A file with the password of the role in `database`, alone on its first line. None, if it is not set.
    #[serde(default)]
    pub(crate) database_password: Option<PathBuf>,
    /// Whether a server without a synchronous standby is good enough. To try it out: with it a lost machine loses used codes.
    #[serde(default)]
    pub(crate) without_standby: bool,
    /// The keys of hosts to which seeds may go, beside the right `export` in the database. None, if it is not set.
    #[serde(default)]
    pub(crate) export_to: Vec<KeyName>,
    /// How many questions are decided at a time; each has a connection to the database.
    #[serde(default = "threads")]
    pub(crate) threads: usize,
    /// The file whose `[sms]` and `[email]` name the programs that send: the one that the sender of this machine reads.
    #[serde(default = "senders")]
    pub(crate) senders: PathBuf,
    /// What decides, in the words of pam_otp.toml: `[code]`, `[lockout]`, `[grace]`, `[recovery]`, `issuer`.
    #[serde(default = "settings")]
    pub(crate) settings: PathBuf,
    /// The file that says all this.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// What names the key of a host: the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeyName(pub(crate) [u8; 32]);

impl TryFrom<String> for KeyName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = base16ct::mixed::decode_vec(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("the name of a key is 64 hexadecimal digits")
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

fn folder() -> PathBuf {
    "/etc/otp-verifier".into()
}

fn state() -> PathBuf {
    "/var/lib/otp-verifier".into()
}

fn settings() -> PathBuf {
    "/etc/otp-verifier/settings.toml".into()
}

fn senders() -> PathBuf {
    paths::CONFIG.into()
}

fn threads() -> usize {
    16
}

impl Config {
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let wrong =
            |what: String| Error::new(format!("{}: {what}", path.display()), "see CONFIGURATION in otp-verifier(8)");
        let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        path.clone_into(&mut config.path);
        let empty = [
            ("listen", config.listen.is_empty()),
            ("verifiers", config.verifiers.is_empty()),
            ("database", config.database.is_empty()),
        ];
        match empty.iter().find(|(_, is_empty)| *is_empty) {
            Some((key, _)) => Err(wrong(format!("{key} must name at least one"))),
            None if !(1..=256).contains(&config.threads) => Err(wrong("threads must be 1 to 256".into())),
            None => config.unreadable_verifier().map_or(Ok(()), |text| Err(wrong(text))).map(|()| config),
        }
    }

    fn unreadable_verifier(&self) -> Option<String> {
        let address = self.verifiers.iter().find(|address| Verifier::parse(address).is_none())?;
        Some(format!("verifiers: {address:?} is no name with a port, like \"verifier1.example.org:8443\""))
    }

    /// Whether the configuration says itself where the senders are.
    pub(crate) fn names_senders(&self) -> bool {
        self.senders != senders()
    }

    /// What decides. A file that is not there is an error: a typing error in its name must not change limits.
    pub(crate) fn settings(&self) -> Result<HostConfig, Error> {
        let path = &self.settings;
        let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
        let settings =
            HostConfig::parse(path, &text).map_err(|error| Error::new(error.to_string(), "see pam_otp.toml(5)"))?;
        // Every key is read, so this is TOML.
        let keys: toml::Table = toml::from_str(&text).unwrap_or_default();
        match keys.keys().find(|key| !SETTINGS.contains(&key.as_str())) {
            Some(key) => Err(Error::new(
                format!("{}: {key} decides nothing here", path.display()),
                "write it into /etc/pam_otp/pam_otp.toml of each host; here: [code], [lockout], [recovery], [grace] and issuer",
            )),
            None => Ok(settings),
        }
    }

    /// The programs that send, as the sender of this machine knows them: those of its `pam_otp.toml`.
    pub(crate) fn senders(&self) -> Result<Senders, CoreError> {
        if self.senders.exists() { Site::load(&self.senders)?.senders() } else { Ok(Senders::default()) }
    }

    pub(crate) fn servers(&self) -> Result<Arc<Servers>, Error> {
        self.servers_with(self.database.clone(), self.database_password.clone())
    }

    /// The servers in other words, such as those of another role.
    pub(crate) fn servers_as(&self, servers: Vec<String>, password: Option<PathBuf>) -> Result<Arc<Servers>, Error> {
        self.servers_with(servers, password)
    }

    fn servers_with(&self, servers: Vec<String>, password: Option<PathBuf>) -> Result<Arc<Servers>, Error> {
        let (authority, alone) = (self.database_authority.clone(), self.without_standby);
        let settings = Settings { servers, authority, password, state: Some(self.state.clone()), alone };
        Ok(Arc::new(Servers::new(&settings)?))
    }

    /// A connection for a command of an administrator, and the keys, which are those of the fleet.
    pub(crate) fn session(&self) -> Result<(Session, Keys), Error> {
        let keys = self.keys()?;
        let session = self.servers()?.connect()?.with_patience(PATIENCE);
        foreign(session.fleet()?, &keys).map_or(Ok(()), Err)?;
        Ok((session, keys))
    }

    pub(crate) fn keys(&self) -> Result<Keys, Error> {
        Ok(Keys::read(&self.key_file())?)
    }

    /// systemd's, where the unit says so.
    #[expect(
        clippy::disallowed_methods,
        reason = "systemd names the folder; the file in it must be a key ring of this user"
    )]
    pub(crate) fn key_file(&self) -> PathBuf {
        let given = env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join("keys"));
        given.filter(|path| path.exists()).unwrap_or_else(|| self.folder.join("keys"))
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    pub(crate) fn authority_key(&self) -> PathBuf {
        self.folder.join("authority.key")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("verifier.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("verifier.key")
    }
}
