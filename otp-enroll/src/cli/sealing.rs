//! The command line of `admin seal`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `admin seal`: what is done, and what keeps the key.
#[derive(Args, Debug)]
pub(crate) struct Seal {
    /// Let the TPM of this machine keep the key (systemd-creds or tpm2-tools): a copy of the disk opens nothing
    #[arg(long, conflicts_with_all = ["host", "key_file", "off", "status", "unpack"])]
    pub(crate) tpm2: bool,
    /// Bind the key to these PCRs of the TPM too, like 7 or 0+7; when they change, the recovery key is needed
    #[arg(long, value_name = "PCRS", requires = "tpm2")]
    pub(crate) pcrs: Option<String>,
    /// Let the key of this host keep it (systemd-creds): a copy of the whole disk opens all
    #[arg(long, conflicts_with_all = ["key_file", "off", "status", "unpack"])]
    pub(crate) host: bool,
    /// Keep the key in this file, which only root can read: on another disk, or without systemd
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["off", "status", "unpack"])]
    pub(crate) key_file: Option<PathBuf>,
    /// Write all seeds in plain text again, and remove the key; asks first
    #[arg(long, conflicts_with_all = ["rotate", "recovery_key", "status", "unpack"])]
    pub(crate) off: bool,
    /// Make a new key, seal all seeds under it, and remove the old one
    #[arg(long, conflicts_with_all = ["recovery_key", "status", "unpack"])]
    pub(crate) rotate: bool,
    /// Ask for a recovery key: after a restore on another machine, or where the TPM does not give the key any more
    #[arg(long, conflicts_with_all = ["status", "unpack"])]
    pub(crate) recovery_key: bool,
    /// Say what keeps the key, whether it gives it now, and how many records are sealed
    #[arg(long, conflicts_with_all = ["unpack", "dry_run"])]
    pub(crate) status: bool,
    /// Write the key into memory for logins, as a unit does at boot
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) unpack: bool,
    /// Say what would be done, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl Seal {
    /// Whether it changes records.
    pub(crate) fn changes_records(&self) -> bool {
        !(self.status || self.unpack || self.dry_run)
    }
}
