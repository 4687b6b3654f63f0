//! The command line of `admin export` and `admin import bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `admin export`: into a bundle, or for another program.
#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Export {
    #[command(subcommand)]
    pub(crate) elsewhere: Option<ExportElsewhere>,
    #[command(flatten)]
    pub(crate) bundle: ExportBundle,
}

/// Formats of other programs. Each has every seed in plain text.
#[derive(Debug, Subcommand)]
pub(crate) enum ExportElsewhere {
    /// Write the users file of pam_oath, with every seed in plain text
    Oath(Exported),
    /// Write otpauth:// addresses, a line for each device, with every seed in plain text
    Uri(Exported),
}

/// Whose records, and where they go.
#[derive(Args, Debug)]
pub(crate) struct Exported {
    /// Login names
    #[arg(value_name = "USER", required_unless_present = "all", value_hint = ValueHint::Username)]
    pub(crate) users: Vec<String>,
    /// All users who have a record
    #[arg(long, conflicts_with = "users")]
    pub(crate) all: bool,
    /// A new file that only root can read; - for standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ExportBundle {
    /// Login names
    #[arg(value_name = "USER", required_unless_present = "all", value_hint = ValueHint::Username)]
    pub(crate) users: Vec<String>,
    /// All users who have a record
    #[arg(long, conflicts_with = "users")]
    pub(crate) all: bool,
    /// A new file that only root can read; - for standard output
    // Not required where a subcommand has its own.
    #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
    /// Encrypt it to this key of age, age1...; without one it gets a passphrase
    #[arg(long, value_name = "AGE-KEY", conflicts_with = "passphrase_file")]
    pub(crate) recipient: Vec<String>,
    /// Take the passphrase from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Remove the records here when the bundle is on the disk; asks first
    #[arg(long)]
    pub(crate) r#move: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "move")]
    pub(crate) yes: bool,
}

/// `admin import bundle`.
#[derive(Args, Debug)]
pub(crate) struct ImportBundle {
    /// Bundle to import; - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Only these users, as the bundle names them; root comes only if it is named
    #[arg(value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) users: Vec<String>,
    /// A file with the key of age that opens it
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file", value_hint = ValueHint::FilePath)]
    pub(crate) identity: Option<PathBuf>,
    /// Take its passphrase from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Give the record of OLD to the user NEW of this host
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,
    /// Also replace other devices of users, and their recovery codes
    #[arg(long)]
    pub(crate) replace: bool,
    /// Also import the overrides of the bundle
    #[arg(long)]
    pub(crate) with_overrides: bool,
    /// Refused: a record comes as a whole
    #[arg(long, hide = true)]
    pub(crate) add: bool,
    /// Report what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl Export {
    /// Whether it is about all records.
    pub(crate) fn takes_all(&self) -> bool {
        match &self.elsewhere {
            Some(ExportElsewhere::Oath(who) | ExportElsewhere::Uri(who)) => who.all,
            None => self.bundle.all,
        }
    }
}

impl ExportBundle {
    /// Whether nothing of it was given.
    pub(crate) fn is_absent(&self) -> bool {
        let Self { users, all, to, recipient, passphrase_file, r#move, yes } = self;
        let is_told = *all || *r#move || *yes || to.is_some() || passphrase_file.is_some();
        !is_told && users.is_empty() && recipient.is_empty()
    }
}
