//! The command line.

// The path is said, since the example that writes the manual takes this file from another folder.
#[path = "cli/bundle.rs"]
pub(crate) mod bundle;
#[path = "cli/sealing.rs"]
pub(crate) mod sealing;
#[path = "cli/token_files.rs"] // the example that writes the manual finds it, too
pub(crate) mod token_files;

use otp_core::config::paths;
use std::path::{Path, PathBuf};

use clap::{Arg, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint, value_parser};
use otp_formats::seed::Encoding;

use self::bundle::{Export, ImportBundle};
use self::sealing::Seal;
use self::token_files::{PskcOptions, TokenFile};

/// How `--qr` names a kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PictureKind {
    /// Scalable vector graphics.
    Svg,
    /// Portable network graphics.
    Png,
}

/// Shells that packages ship completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What a hardware token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenType {
    // Without texts of their own, so that the help stays in its short form.
    Totp,
    Hotp,
}

/// The hash of a hardware token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenAlgorithm {
    #[value(name = "SHA1", alias = "SHA-1")]
    Sha1,
    #[value(name = "SHA256", alias = "SHA-256")]
    Sha256,
    #[value(name = "SHA512", alias = "SHA-512")]
    Sha512,
}

/// How a seed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeedFormat {
    Hex,
    Base32,
}

impl From<SeedFormat> for Encoding {
    fn from(format: SeedFormat) -> Self {
        match format {
            SeedFormat::Hex => Self::Hex,
            SeedFormat::Base32 => Self::Base32,
        }
    }
}

/// What `admin import` reads.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportedFile {
    /// The users file of pam_oath, /etc/users.oath
    Oath {
        /// File to import; - for standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        rest: Rest,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Files of google-authenticator, one for each user, read with the rights of that user
    GoogleAuthenticator {
        /// Login names
        #[arg(value_name = "USER", value_hint = ValueHint::Username, required_unless_present = "all")]
        users: Vec<String>,
        /// All users who can log in and have such a file
        #[arg(long, conflicts_with = "users")]
        all: bool,
        /// Where the files are: %u is the user's name, %h the home
        #[arg(long, value_name = "TEMPLATE", default_value = "~/.google_authenticator")]
        from: String,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Tokens from their maker, as PSKC (RFC 6030), also encrypted
    Pskc {
        #[command(flatten)]
        tokens: TokenFile,
        #[command(flatten)]
        options: PskcOptions,
        #[command(flatten)]
        rest: Rest,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Tokens as comma-separated values: with a heading, or as LinOTP, privacyIDEA, Yubico's tool and Microsoft Entra write them
    Csv {
        #[command(flatten)]
        tokens: TokenFile,
        /// How seeds are written; needed only where one can be read as both
        #[arg(long, value_enum, value_name = "FORMAT")]
        seed_format: Option<SeedFormat>,
        /// Read alice@example.org as alice
        #[arg(long)]
        without_domain: bool,
        #[command(flatten)]
        rest: Rest,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// Apps and tokens as otpauth:// URIs, one a line
    Uri {
        #[command(flatten)]
        tokens: TokenFile,
        /// Read alice@example.org as alice
        #[arg(long)]
        without_domain: bool,
        #[command(flatten)]
        rest: Rest,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// A bundle that `admin export` made on another host
    Bundle(ImportBundle),
}

impl ImportedFile {
    /// Whether nothing is to be changed.
    pub(crate) fn is_dry_run(&self) -> bool {
        match self {
            Self::Oath { how, .. }
            | Self::GoogleAuthenticator { how, .. }
            | Self::Pskc { how, .. }
            | Self::Csv { how, .. }
            | Self::Uri { how, .. } => how.dry_run,
            Self::Bundle(how) => how.dry_run,
        }
    }
}

/// What becomes of the rest of a file that has faults.
#[derive(Args, Debug)]
pub(crate) struct Rest {
    /// Import what has no fault, and write the rest to a new file that only root can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) rejects: Option<PathBuf>,
}

/// Options of every import.
#[derive(Args, Debug)]
pub(crate) struct ImportOptions {
    /// Report what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave other devices of users as they are, and add those of the file
    #[arg(long, conflicts_with = "replace")]
    pub(crate) add: bool,
    /// Also replace other devices of users, and their recovery codes; asks first
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "replace")]
    pub(crate) yes: bool,
}

/// The whole command line. One text for `-h` and `--help`: both fit on a page.
#[derive(Debug, Parser)]
#[command(name = "otp-enroll", version, max_term_width = 80, about = ABOUT, long_about = None, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) enrollment: Enrollment,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// User to act for (root only; required when run as root)
    #[arg(long, global = true, value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) user: Option<String>,

    /// Write JSON, one line per answer, and read codes from standard input
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Write JSON for a program that leads a person: also the QR code, and what is read next
    #[arg(long, global = true)]
    pub(crate) dialog: bool,

    /// Read codes from standard input even if it is not a terminal
    #[arg(long, global = true)]
    pub(crate) stdin: bool,

    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Use another configuration file (root only)
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// Options of setting up, of `add` and of `reset`.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Setting up, add and reset")]
pub(crate) struct Enrollment {
    /// Also write the QR code to a new picture file that only you can read
    #[arg(long, num_args = 2, value_names = ["svg|png", "FILE"])]
    pub(crate) qr: Option<Vec<String>>,

    /// Also save the recovery codes to a new file that only you can read
    #[arg(long, value_name = "FILE")]
    pub(crate) save_recovery: Option<PathBuf>,

    /// Make this many recovery codes, at most as many as the configuration allows
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u8>,
}

/// A hardware token, as its maker describes it. Its seed is never an argument.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenOptions {
    /// What the token counts: time, or presses of its button [default: totp]
    #[arg(long, value_enum, value_name = "TYPE", requires = "token")]
    pub(crate) r#type: Option<TokenType>,

    /// Its hash [default: SHA1]
    #[arg(long, value_enum, ignore_case = true, value_name = "HASH", requires = "token")]
    pub(crate) algorithm: Option<TokenAlgorithm>,

    /// How many digits its codes have: 6, 7 or 8 [default: 6]
    #[arg(long, value_name = "N", requires = "token", value_parser = value_parser!(u8).range(6..=8))]
    pub(crate) digits: Option<u8>,

    /// Seconds after which a totp token shows another code: 10 to 300 [default: 30]
    #[arg(long, value_name = "S", requires = "token", value_parser = value_parser!(u64).range(10..=300))]
    pub(crate) period: Option<u64>,

    /// How many codes a hotp token has shown, if that is known [default: 0]
    #[arg(long, value_name = "N", requires = "token")]
    pub(crate) counter: Option<u64>,

    /// What a token with a keypad computes its responses from (RFC 6287): OCRA-1:HOTP-SHA1-6:QN08
    #[arg(long, value_name = "SUITE", requires = "token", conflicts_with_all = ["type", "algorithm", "digits", "period"])]
    pub(crate) ocra: Option<String>,

    /// The number that is printed on it
    #[arg(long, value_name = "S", requires = "token")]
    pub(crate) serial: Option<String>,

    /// Read the seed from this file; without it the seed is asked for, and not shown
    #[arg(long, value_name = "FILE", requires = "token", value_hint = ValueHint::FilePath)]
    pub(crate) seed_file: Option<PathBuf>,

    /// How the seed is written; needed only where it can be read as both
    #[arg(long, value_enum, value_name = "FORMAT", requires = "token")]
    pub(crate) seed_format: Option<SeedFormat>,
}

/// One more device.
#[derive(Args, Debug)]
pub(crate) struct Addition {
    /// A name for it: 1 to 40 characters
    pub(crate) name: Option<String>,

    /// Add a hardware token, which has its seed, in place of an app
    #[arg(long, conflicts_with = "qr")]
    pub(crate) token: bool,

    /// Have codes sent to this number by text message: write it with its country code, +61412345678
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, conflicts_with_all = ["qr", "token", "email"])]
    pub(crate) sms: Option<String>,

    /// Have codes sent to this address by e-mail
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true, value_hint = ValueHint::EmailAddress, conflicts_with_all = ["qr", "token"])]
    pub(crate) email: Option<String>,

    #[command(flatten)]
    pub(crate) described: TokenOptions,

    #[command(flatten)]
    pub(crate) enrollment: Enrollment,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the second factor: devices, recovery codes left, lock
    Status,
    /// List the devices, one per line
    List,
    /// Add another device: an app, a hardware token, a number or an address; recovery codes stay
    Add(Addition),
    /// Import the phone that you have set up with google-authenticator
    Import {
        /// Its file [default: ~/.google_authenticator]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// A name for the device: 1 to 40 characters
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Also save the recovery codes to a new file that only you can read
        #[arg(long, value_name = "FILE")]
        save_recovery: Option<PathBuf>,
        /// Make this many recovery codes, at most as many as the configuration allows
        #[arg(long, value_name = "N")]
        count: Option<u8>,
    },
    /// Give a device another name
    Rename {
        /// Its number or name
        device: String,
        /// The new name: 1 to 40 characters
        name: String,
    },
    /// Remove one of several devices
    Remove {
        /// Its number or name
        device: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Make a device the default
    Default {
        /// Its number or name
        device: String,
    },
    /// Resynchronize a hardware token whose codes are refused, by two codes in a row
    Resync {
        /// Its number or name; needed only where there are several tokens
        device: Option<String>,
    },
    /// Replace all devices: new key, new recovery codes; the old ones work until the new one is confirmed
    Reset(Enrollment),
    /// Remove the second factor
    Disable {
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Get new recovery codes; the old ones stop working
    Recovery {
        /// Also save them to a new file that only you can read
        #[arg(long, value_name = "FILE")]
        save_recovery: Option<PathBuf>,
        /// Make this many, at most as many as the configuration allows
        #[arg(long, value_name = "N")]
        count: Option<u8>,
    },
    /// Check a code without logging in (this uses it up)
    Test,
    /// Forget remembered addresses: ask for a code at every next login
    ForgetAddresses,
    /// Commands for the system administrator
    #[command(subcommand, arg = user_option().hide(true))]
    Admin(Admin),
    /// Print the completions of this command line for a shell; `make install` installs them
    Completions {
        /// Shell to complete for
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Give records of this host to the fleet, where each code is then good for one login on all hosts
    Push {
        /// Login names; all users with a record whom the fleet keeps, if none is named
        #[arg(value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// Ask the fleet what it would do with each record, also before it keeps any; change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a record that stays on this host because the fleet has other devices of its user; asks first
    Discard {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Take the record of a user out of the fleet: its codes are then good on this host alone; asks first
    Pull {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Show the verifiers, what this host may do, its certificate, and who could not log in without the fleet
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// List users and their second factors
    List {
        /// List users without a device instead, and the result of a login of theirs
        #[arg(long)]
        without_device: bool,
        /// PAM service to assume for that login: sshd, sudo, login
        #[arg(long, default_value = "sshd", requires = "without_device")]
        service: String,
    },
    /// Show which rule decides about a login of a user, and its result
    #[command(arg = user_option().hide(true))]
    Explain {
        /// Login name
        #[arg(id = "name", value_name = "USER", value_hint = ValueHint::Username)]
        user: Option<String>,
        /// PAM service: sshd, sudo, login
        #[arg(long, default_value = "sshd")]
        service: String,
        /// Address the login comes from; without it, a login on this machine
        #[arg(long, value_name = "ADDRESS")]
        rhost: Option<String>,
        /// Terminal of the login: tty1, pts/0; sshd reports ssh
        #[arg(long)]
        tty: Option<String>,
        /// Assume `nullok` on the module's line in the PAM file
        #[arg(long)]
        nullok: bool,
    },
    /// Require a second factor of users, regardless of the rules
    Require {
        #[command(flatten)]
        who: Users,
        /// Let users without a device enroll one during the login, where the service can
        #[arg(long)]
        enroll: bool,
        /// Let the rules apply again from this day on (it begins at 00:00 UTC)
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
        /// End the sessions of users who were not required before; asks first
        #[arg(long)]
        end_sessions: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Let users without a device log in, regardless of the rules; a user with a device is still asked for a code
    Exempt {
        #[command(flatten)]
        who: Users,
        /// Let the rules apply again from this day on (it begins at 00:00 UTC)
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
        /// Taken as by require; this command asks nothing
        #[arg(long, short)]
        yes: bool,
    },
    /// Remove the override of users: the rules apply to them again
    Unrequire {
        #[command(flatten)]
        who: Users,
        /// Taken as by require; this command asks nothing
        #[arg(long, short)]
        yes: bool,
    },
    /// End sessions of users who must have a second factor now and came in without one; asks first
    EndSessions {
        /// Those that nothing shows to have come in with one
        #[arg(long, required = true)]
        unmet: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget remembered addresses of users: ask for a code at every next login
    ForgetAddresses {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
    },
    /// List users who would have been refused while `enforce = false`, and users without a device
    Report {
        /// PAM service to assume for users without a device
        #[arg(long, default_value = "sshd")]
        service: String,
    },
    /// Show the refused logins and changes of all users, the newest first
    Refusals {
        /// How far to look back: a number and m, h or d
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        since: String,
    },
    /// Show the second factor of a user; never a seed
    Show {
        /// Login name
        #[arg(id = "shown", value_name = "USER", value_hint = ValueHint::Username)]
        // an id of its own: `user` is the global option's
        user: String,
    },
    /// Accept codes again after too many wrong ones
    Unlock {
        /// Login names
        #[arg(required_unless_present = "locked_by", value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// In a fleet: all users who would not be locked without the wrong codes of this host; asks first
        #[arg(long, value_name = "HOST", conflicts_with_all = ["users", "clock_was_ahead"], group = "asking")]
        locked_by: Option<String>,
        /// List them, and change nothing
        #[arg(long, requires = "locked_by", conflicts_with = "yes")]
        dry_run: bool,
        /// Also accept codes from the present time on, after logins while the clock was ahead; asks first
        #[arg(long, group = "asking")]
        clock_was_ahead: bool,
        /// Do not ask for confirmation
        #[arg(long, short, requires = "asking")]
        yes: bool,
    },
    /// Add a hardware token for a user
    Add {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// A name for it: 1 to 40 characters
        name: Option<String>,
        /// Add a hardware token, which has its seed
        #[arg(long, required = true)]
        token: bool,
        /// A code that it shows; without one, its first right code at a login confirms it
        #[arg(long, value_name = "CODE")]
        confirm: Option<String>,
        #[command(flatten)]
        described: TokenOptions,
    },
    /// Remove one of several devices of a user
    Remove {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// Its number or name
        device: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Resynchronize a hardware token of a user, by two codes in a row
    Resync {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// Its number or name; needed only where there are several tokens
        device: Option<String>,
    },
    /// Issue a passcode to a user, which lets in once; it is shown once, and replaces an earlier one
    Issue {
        /// Login name
        #[arg(id = "issued", value_name = "USER", value_hint = ValueHint::Username)]
        // an id of its own: `user` is the global option's
        user: String,
        /// How long it is good: a number and m, h or d, at most 7d
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        valid: String,
        /// Accept it at logins through this PAM service alone: sshd, sudo, login
        #[arg(long)]
        service: Option<String>,
    },
    /// Make recovery codes for a user on this host, for when no verifier answers; shown once, they replace earlier ones
    BreakGlass {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
    },
    /// Remove the passcodes of users
    Revoke {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
    },
    /// Remove devices, recovery codes and passcodes of users, so that they can enroll again; overrides stay
    Reset {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Remove the records of users, overrides too; the policy's rules still apply
    Disable {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Give the record of a renamed account to its new name (`usermod -l`); asks first
    Rename {
        /// The name before
        old: String,
        /// The name now
        #[arg(value_hint = ValueHint::Username)]
        new: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Give the record of an account to the number that it has now (`usermod -u`); asks first
    Adopt {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// What a host of a fleet does with its records
    Fleet {
        #[command(subcommand)]
        command: FleetCommand,
    },
    /// Remove the records of accounts that are gone, after listing them; asks first
    Purge {
        /// List them, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// After records were restored from a backup: let no code work that may have been used since; asks first
    Restored {
        /// Void all recovery codes, too: any may have been used since
        #[arg(long)]
        void_recovery: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Enroll the users of a file with their devices there
    #[command(subcommand)]
    Import(ImportedFile),
    /// What `import google-authenticator` starts for each user
    #[command(hide = true)]
    ReadAsUser {
        #[arg(id = "reader")]
        user: String,
        path: PathBuf,
    },
    /// List the tokens in stock: those that no user has
    Tokens {
        /// Remove the token with this serial number from the stock; asks first
        #[arg(long, value_name = "SERIAL")]
        remove: Option<String>,
        /// Do not ask for confirmation
        #[arg(long, short, requires = "remove")]
        yes: bool,
    },
    /// Give a token in stock to a user
    Assign {
        /// Login name
        #[arg(id = "owner", value_name = "USER", value_hint = ValueHint::Username)]
        user: String,
        /// The number that is printed on it
        serial: String,
        /// A name for it: 1 to 40 characters
        name: Option<String>,
    },
    /// Write records of users to an encrypted bundle, for another host; or for another program
    Export(Export),
    /// Seal the seeds of all records, so that a copy of the disk shows none; say how that is, make a new key, take it back
    Seal(Seal),
    /// Give the configuration and its folder of records one id; without it every login is refused
    InitStore {
        /// Only if neither has an id yet, as an installation does
        #[arg(long, conflicts_with = "yes")]
        if_new: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Turn the second factor on for a service: show what is written, ask, write it, take it back if anything is wrong
    TurnOn {
        /// PAM service: ssh, sudo, su, login
        service: String,
        /// For ssh: ask for a code after a key, and for no password
        #[arg(long)]
        key: bool,
        /// Take it back after this time, unless it is confirmed: a number and m, h or d, at most 7d
        #[arg(long, value_name = "DURATION")]
        r#try: Option<String>,
        /// Keep what is on trial, from a login with a code
        #[arg(long, conflicts_with_all = ["key", "try", "dry_run", "yes"])]
        confirm: bool,
        /// Show what would be written, and change nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Take back what `turn-on` has written, byte for byte; asks first
    TurnOff {
        /// PAM service: ssh, sudo, su, login
        service: String,
        /// Show what would be taken back, and change nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Check the configuration, and that everything it needs is there
    Check,
    /// Find what would lock users out or let them in against policy: PAM files, sshd, configuration, clock
    Doctor {
        /// Check the PAM files in this folder, before they go to /etc/pam.d
        #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
        pam: Option<PathBuf>,
        /// Check this sshd_config, before sshd uses it
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        sshd: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Users {
    /// Login names
    #[arg(value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) users: Vec<String>,
    /// All users in this group who can log in
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// All users who can log in, root too
    #[arg(long)]
    pub(crate) all: bool,
}

/// `--user` below `admin`, in place of the global one: the commands reject it or, as `explain`, also take the user as an argument; none shows it.
fn user_option() -> Arg {
    Arg::new("user").long("user").global(true).value_name("USER").value_hint(ValueHint::Username)
}

const ABOUT: &str = "\
Enroll a device as second login factor (TOTP, RFC 6238), look at it, change it.

Without a command, this enrolls one: it shows a QR code for an authenticator app, asks for a code, and shows \
recovery codes. The second factor becomes active after a correct code.";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused: a wrong code, a change that is not allowed; or faults were found
  2    the command line is wrong
  3    there is no such user, or the user has no device
  4    failed: configuration, records, helper, terminal or file
  5    done, or perhaps done, and something failed after that
  130  interrupted

Configuration: /etc/pam_otp/pam_otp.toml. See otp-enroll(1), pam_otp(8), pam_otp.toml(5).";

/// Commands that take away a second factor, recovery codes, a passcode or a requirement.
const DESTRUCTIVE: [&str; 12] = [
    "break-glass",
    "disable",
    "discard",
    "exempt",
    "purge",
    "recovery",
    "remove",
    "reset",
    "restored",
    "revoke",
    "turn-off",
    "unrequire",
];

/// What clap says of a command line, without the tips that name a destructive command: a typo must not lead there. `None`
/// if it has no such tip.
pub(crate) fn without_destructive_tips(text: &str) -> Option<String> {
    let names = |line: &str| {
        let mut words = line.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
        words.any(|word| DESTRUCTIVE.contains(&word.trim_start_matches('-')))
    };
    let is_destructive = |line: &&str| line.trim_start().starts_with("tip:") && names(line);
    text.lines().find(is_destructive)?;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !is_destructive(line)) {
        // A blank line goes before each tip.
        if !(line.is_empty() && kept.ends_with("\n\n")) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Some(kept)
}

impl Common {
    /// Whether JSON is written.
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.dialog
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(paths::CONFIG.as_ref())
    }
}

impl Cli {
    /// Options that were given and would be ignored.
    pub(crate) fn misplaced(&self) -> Option<String> {
        let Enrollment { qr, save_recovery, count } = &self.enrollment;
        let option = match (qr, save_recovery, count) {
            (Some(_), _, _) => "--qr",
            (None, Some(_), _) => "--save-recovery",
            (None, None, Some(_)) => "--count",
            (None, None, None) => "",
        };
        match &self.command {
            // --user is how earlier versions named the user.
            Some(Command::Admin(Admin::Explain { user, .. })) => match (user, &self.common.user) {
                (None, None) => Some("name the user whose login to explain: otp-enroll admin explain USER".into()),
                (Some(_), Some(_)) => Some("name one user: USER, or --user USER".into()),
                (Some(_), None) | (None, Some(_)) => None,
            },
            Some(Command::Admin(_)) if self.common.user.is_some() => {
                Some("--user does not go with this admin command".into())
            }
            Some(Command::Reset(_)) if !option.is_empty() => Some(format!("{option} goes after reset")),
            Some(Command::Add(_)) if !option.is_empty() => Some(format!("{option} goes after add")),
            Some(Command::Import { .. }) if ["--save-recovery", "--count"].contains(&option) => {
                Some(format!("{option} goes after import"))
            }
            Some(Command::Recovery { .. }) if ["--save-recovery", "--count"].contains(&option) => {
                Some(format!("{option} goes after recovery"))
            }
            Some(_) if !option.is_empty() => Some(format!("{option} does not go with this command")),
            Some(_) | None => None,
        }
    }
}

impl Shell {
    /// Completions of the whole command line.
    pub(crate) fn completions(self) -> String {
        let shell = match self {
            Self::Bash => clap_complete::Shell::Bash,
            Self::Zsh => clap_complete::Shell::Zsh,
            Self::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "otp-enroll", &mut script);
        String::from_utf8_lossy(&script).trim_end().to_owned()
    }
}

impl Enrollment {
    /// The picture asked for by `--qr`; the error names the kind that is not known.
    pub(crate) fn picture(&self) -> Result<Option<(PictureKind, PathBuf)>, String> {
        match self.qr.as_deref() {
            Some([kind, file]) => {
                let known = PictureKind::from_str(kind, true).map_err(|_| format!("--qr {kind}: write svg or png"))?;
                Ok(Some((known, PathBuf::from(file))))
            }
            Some(_) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a command line that cannot be read.
    fn said(arguments: &[&str]) -> String {
        let error = Cli::try_parse_from([&["otp-enroll"], arguments].concat()).unwrap_err();
        let text = error.render().to_string();
        without_destructive_tips(&text).unwrap_or(text)
    }

    #[test]
    fn a_typo_never_leads_to_a_destructive_command() {
        let typos: [&[&str]; 15] = [
            &["enable"],
            &["remov"],
            &["rest"],
            &["disabled"],
            &["recover"],
            &["--disable"],
            &["--reset"],
            &["--yes"],
            &["admin", "enable"],
            &["admin", "remov"],
            &["admin", "resett"],
            &["admin", "rest"],
            &["admin", "exept"],
            &["admin", "require", "alice", "--reset"],
            &["admin", "unrequired", "alice"],
        ];
        for typo in typos {
            let said = said(typo);
            let tips: Vec<_> = said.lines().filter(|line| line.contains("tip:")).collect();
            let names = |tip: &&&str| DESTRUCTIVE.iter().any(|command| tip.contains(command));
            assert_eq!(tips.iter().find(names), None, "{typo:?}: {said}");
            assert!(said.starts_with("error: ") && said.contains("Usage: ") && !said.contains("\n\n\n"), "{said}");
        }
    }

    #[test]
    fn the_commands_for_overrides_take_the_same_yes() {
        for command in ["require", "exempt", "unrequire"] {
            for yes in ["--yes", "-y"] {
                let read = Cli::try_parse_from(["otp-enroll", "admin", command, yes, "alice"]);
                assert!(read.is_ok(), "{command} {yes}: {read:?}");
            }
        }
    }

    #[test]
    fn a_typo_of_a_harmless_command_still_gets_its_tip() {
        assert!(said(&["statu"]).contains("tip: a similar subcommand exists: 'status'"));
        assert!(said(&["admin", "unlok", "alice"]).contains("'unlock'"));
    }
}
