//! This machine: where its configuration is, who its users are, where their records lie.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Group, Uid, User};

use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::store::FileStore;
use crate::value::user::{Account, UserName};

/// Where the configuration is. The helper reads no other.
pub const CONFIG: &str = match option_env!("PAM_OTP_CONFIG") {
    Some(path) => path,
    None => "/etc/pam_otp/pam_otp.toml",
};

/// Where the set-group-ID helper is.
pub const HELPER: &str = match option_env!("PAM_OTP_HELPER") {
    Some(path) => path,
    None => "/usr/local/libexec/pam_otp/otp-helper",
};

/// Larger than any configuration a person writes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// The configuration with the file it came from.
#[derive(Debug)]
pub struct Site {
    /// What the administrator set.
    pub config: Config,
    /// Where.
    pub path: PathBuf,
}

impl Site {
    /// Reads the configuration. It must be root's and writable by nobody else; a missing file is an error like any
    /// other, since without it nobody knows what was required.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let refuse = |what: String| ConfigError { path: path.to_owned(), line: None, what };
        let system = |error: io::Error| refuse(error.to_string());
        // A symbolic link is fine here: everything on the way belongs to root. A FIFO is not, and must not block.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(system)?;
        let metadata = file.metadata().map_err(system)?;
        if !metadata.is_file() {
            Err(refuse("is not a regular file".into()))?;
        }
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            Err(refuse("must belong to root and be writable by root alone".into()))?;
        }
        let size = usize::try_from(metadata.len()).ok().filter(|_| metadata.len() <= LARGEST_CONFIG);
        let mut text = vec![0; size.ok_or_else(|| refuse("is too large".into()))?];
        (&file).read_exact(&mut text).map_err(system)?;
        let text = String::from_utf8(text).map_err(|_| refuse("is not UTF-8".into()))?;
        Ok(Self { config: Config::parse(path, &text)?, path: path.to_owned() })
    }

    /// Opens the records.
    pub fn store(&self) -> Result<FileStore, Error> {
        Ok(FileStore::open(&self.config.state_directory)?)
    }

    /// The name that authenticator apps show.
    pub fn issuer(&self) -> String {
        self.config.issuer.clone().unwrap_or_else(host_name)
    }
}

/// The name of this machine, without the colon that a URI uses to part issuer and user.
pub fn host_name() -> String {
    let name = nix::sys::utsname::uname().ok().and_then(|uname| Some(uname.nodename().to_str()?.replace(':', "-")));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// Random bytes from the kernel.
pub fn entropy(buffer: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(buffer).map_err(|_| Error::Entropy)
}

/// The account of a login name, as the name service spells it.
pub fn account(name: &str) -> Result<Option<Account>, Error> {
    account_if(name, |_| true)
}

/// The same, if what else the name service says of it is as wanted.
pub fn account_if(name: &str, wanted: impl FnOnce(&User) -> bool) -> Result<Option<Account>, Error> {
    if UserName::parse(name).is_none() {
        return Ok(None);
    }
    let answer = User::from_name(name).map(|user| user.filter(wanted));
    found(answer, || format!("the user {name:?}"))
}

/// The account of a numeric user id.
pub fn account_of(uid: u32) -> Result<Option<Account>, Error> {
    found(User::from_uid(Uid::from_raw(uid)), || format!("the user id {uid}"))
}

fn found(answer: nix::Result<Option<User>>, subject: impl Fn() -> String) -> Result<Option<Account>, Error> {
    let user = answer.map_err(|errno| Error::Names { subject: subject(), errno })?;
    user.map(|user| match UserName::parse(&user.name) {
        Some(name) => Ok(Account { name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
        None => Err(Error::Names { subject: subject(), errno: nix::errno::Errno::EINVAL }),
    })
    .transpose()
}

/// Whether an account is in a group, by primary or supplementary membership.
pub fn is_member(account: &Account, group: &str) -> Result<bool, Error> {
    let subject = || format!("the group {group:?}");
    let found = Group::from_name(group).map_err(|errno| Error::Names { subject: subject(), errno })?;
    let wanted = found.ok_or_else(|| Error::UnknownGroup(group.to_owned()))?.gid;
    if wanted == Gid::from_raw(account.gid) {
        return Ok(true);
    }
    let refuse = |errno| Error::Names { subject: format!("the groups of {:?}", account.name.as_str()), errno };
    let name = std::ffi::CString::new(account.name.as_str()).map_err(|_| refuse(nix::errno::Errno::EINVAL))?;
    let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(account.gid)).map_err(refuse)?;
    Ok(groups.contains(&wanted))
}
