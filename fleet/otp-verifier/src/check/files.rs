//! Whether the account of the service reads what it needs. Root, who runs the check, reads all.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::Findings;
use crate::config::Config;

/// The account that the unit names.
const ACCOUNT: &str = "otp-verifier";

pub(super) fn look_at(config: &Config, path: &Path, found: &mut Findings) {
    if !Uid::effective().is_root() {
        return;
    }
    let Ok(Some(account)) = User::from_name(ACCOUNT) else { return };
    let always = [
        path.to_owned(),
        config.settings.clone(),
        config.certificate(),
        config.key(),
        config.authority(),
        config.authority_key(),
    ];
    let configured = [config.database_authority.clone(), config.database_password.clone()];
    let sent = Some(config.senders.clone()).filter(|path| path.exists());
    let all: Vec<PathBuf> = always.into_iter().chain(configured.into_iter().flatten()).chain(sent).collect();
    for path in all.iter().filter(|path| path.exists()) {
        if !is_readable(path, &account) {
            let fix = format!("chgrp {ACCOUNT} {path}; chmod g+r {path}; its folder: chmod g+x", path = path.display());
            found.fault("files", format!("the service does not read {}: it runs as {ACCOUNT}", path.display()), fix);
        }
    }
    let keys = config.key_file();
    if keys.exists() && !is_readable(&keys, &account) {
        let what = format!("the service does not read {}: it runs as {ACCOUNT}", keys.display());
        let fix =
            format!("chgrp {ACCOUNT} {0}; chmod 0640 {0}; not where the unit has it as a credential", keys.display());
        found.warning("files", what, fix);
    }
}

/// As the kernel says it to a process of that account: modes of all folders, and access lists.
pub(super) fn is_readable(path: &Path, account: &User) -> bool {
    let mut test = Command::new("/usr/bin/test");
    test.arg("-r").arg(path).uid(account.uid.as_raw()).gid(account.gid.as_raw());
    match test.stdin(Stdio::null()).status() {
        Ok(status) => status.success(),
        Err(error) => error.kind() == ErrorKind::NotFound, // no such program here
    }
}
