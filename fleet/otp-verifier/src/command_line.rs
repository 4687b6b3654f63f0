//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;

/// Decides on the codes of a fleet of hosts
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = config::PATH)]
    pub(crate) config: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve hosts, until it is stopped
    Serve,
    /// Make the authority, the key that seals seeds, and the tables of a new fleet; what is there stays
    Init(Init),
    /// Make a one-time token for a new host, and print what `otp-agent join` reads
    Token(Token),
    /// List hosts, add, suspend and remove them, and set what each may do
    Host {
        #[command(subcommand)]
        command: HostCommand,
    },
    /// Show users, unlock and reset them, require a second factor of them
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Say which users hosts with this scope may ask about
    Scope {
        #[command(subcommand)]
        command: ScopeCommand,
    },
    /// Print what a superuser of the database runs before init: roles and database
    Roles,
    /// Make a new certificate for this verifier, which goes on serving meanwhile
    Renew(Renew),
    /// List, add, use and remove the keys that seal seeds
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Seal all seeds under the first key of the key file
    Reseal,
    /// After a backup of the database was restored: void what may have been used since
    Restored {
        /// Do it: recovery codes of all users are void, and counters wait for a resync
        #[arg(long)]
        yes: bool,
    },
    /// Print what was asked and answered about users, on all hosts, the newest last
    Audit(Audit),
    /// Look for faults of database, keys, certificates and configuration; ends with 1 if there are any
    Check(Check),
}

#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The database, as the owner of its tables connects: host=… dbname=… user=…; repeat it for all servers, of which the primary is used
    #[arg(long = "owner", value_name = "DATABASE", required = true)]
    pub(crate) owners: Vec<String>,
    /// A file with the password of that owner, alone on its first line: on a command line it would be in the list of processes
    #[arg(long, value_name = "FILE")]
    pub(crate) owner_password: Option<PathBuf>,
    /// A name by which hosts reach this verifier; repeat it for more
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// Of this user alone
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Of this host alone
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Not older than this: 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) since: String,
    /// The newest ones, so many
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) most: u32,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Renew {
    /// A name by which hosts reach this verifier, in place of those of the present certificate; repeat it for more
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Only if the present one is good for less than so many days
    #[arg(long, value_name = "DAYS")]
    pub(crate) before: Option<u32>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum KeyCommand {
    /// Ids of all keys; the first one seals, the others open
    List,
    /// Make a key, which opens and does not seal yet: copy the file to all verifiers first
    Add,
    /// Seal under this key from now on
    Use { id: String },
    /// Remove a key under which nothing is sealed
    Remove { id: String },
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: Option<TokenCommand>,
    /// What the host may do: login, enroll (users change their devices there), import (push records), export (pull them), admin
    #[arg(long, value_name = "RIGHTS", value_delimiter = ',', default_value = "login")]
    pub(crate) rights: Vec<String>,
    /// The users whom it may ask about; all, if it is not given
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
    /// Minutes that the token is good for
    #[arg(long, value_name = "MINUTES", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=10_080))]
    pub(crate) minutes: u32,
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// All tokens: their ids, what a host may that joins by one, until when, and which host has
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let no host join by it; one that has joined stays
    Remove {
        /// As the list has it
        id: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum HostCommand {
    /// All hosts, with their rights
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a host whose certificate an authority of the site has made; a host that joins by a token is added by that
    Add(AddHost),
    /// Answer nothing that this host asks, from its next question on
    Suspend { host: String },
    /// Answer it again
    Resume { host: String },
    /// Forget the host: it must join again
    Remove { host: String },
    /// Set what the host may do
    Rights {
        host: String,
        /// login, enroll (users change their devices there), import (push records), export (pull them), admin
        #[arg(value_delimiter = ',', required = true)]
        rights: Vec<String>,
        /// The users whom it may ask about; as before, if it is not given
        #[arg(long, value_name = "SCOPE")]
        scope: Option<String>,
        /// Let it ask about all users
        #[arg(long, conflicts_with = "scope")]
        all_users: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AddHost {
    /// The certificate, in PEM: the host is known by its key
    #[arg(value_name = "FILE")]
    pub(crate) certificate: PathBuf,
    /// The name that the host goes by in the fleet, in place of the common name of the certificate's subject
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What the host may do: login, enroll (users change their devices there), import (push records), export (pull them), admin
    #[arg(long, value_name = "RIGHTS", value_delimiter = ',', default_value = "login")]
    pub(crate) rights: Vec<String>,
    /// The users whom it may ask about; all, if it is not given
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ScopeCommand {
    /// Users of a scope; all scopes with the hosts that have them, if none is named
    List { scope: Option<String> },
    /// List a user in a scope
    Add { scope: String, user: String },
    /// Take a user out of a scope
    Remove { scope: String, user: String },
}

#[derive(Subcommand, Debug)]
pub(crate) enum UserCommand {
    /// Names of all users with a record
    List,
    /// Devices, recovery codes left, lock and override of a user, as JSON; never a seed
    Show { user: String },
    /// Accept codes again after too many wrong ones
    Unlock { user: String },
    /// Remove devices, recovery codes and passcode; the override stays
    Reset { user: String },
    /// Remove everything
    Disable { user: String },
    /// Require a second factor, regardless of the policy of hosts
    Require { user: String },
    /// Let the user in without a second factor, if there is no device
    Exempt { user: String },
    /// Remove the override
    Unrequire { user: String },
    /// Ask for a code at each next login
    ForgetAddresses { user: String },
    /// Give the record of a renamed account to its new name; the fleet does not know accounts: look whether it is the same person
    Rename { old: String, new: String },
    /// Issue a passcode, which lets in once
    Issue {
        user: String,
        /// Minutes that it is good for
        #[arg(long, value_name = "MINUTES", default_value = "1440", value_parser = clap::value_parser!(u32).range(1..=10_080))]
        minutes: u32,
    },
}
