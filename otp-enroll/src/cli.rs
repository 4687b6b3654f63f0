//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// How `--qr` names a kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PictureKind {
    /// Scalable vector graphics.
    Svg,
    /// Portable network graphics.
    Png,
}

/// Set up a second login factor (TOTP, RFC 6238), look at it, change it.
///
/// Without a command, this sets up a second factor: it shows a QR code for an authenticator app, asks for a first code,
/// and hands out recovery codes. Nothing is active before the code was right.
#[derive(Debug, Parser)]
#[command(name = "otp-enroll", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) enrolment: Enrolment,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Whose second factor; for root, who must name somebody
    #[arg(long, global = true, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Write JSON, a line each; to set up, read the codes from standard input
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Read codes from standard input although it is not a terminal
    #[arg(long, global = true)]
    pub(crate) stdin: bool,

    /// Say nothing but what was asked for, and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Another configuration file; for root
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Options of setting up and of `reset`.
#[derive(Args, Debug, Default)]
pub(crate) struct Enrolment {
    /// Also write the QR code as a picture: a new file that only you can read
    #[arg(long, num_args = 2, value_names = ["svg|png", "FILE"])]
    pub(crate) qr: Option<Vec<String>>,

    /// Also save the recovery codes: a new file that only you can read
    #[arg(long, value_name = "FILE")]
    pub(crate) save_recovery: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What is set up, and whether it is locked
    Status,
    /// The devices, a line each
    List,
    /// Replace the device: new seed, new recovery codes; the old ones work until the new one is confirmed
    Reset(Enrolment),
    /// Remove the second factor
    Disable {
        /// Do not ask whether this is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// New recovery codes; the old ones stop working
    Recovery {
        /// Also save them: a new file that only you can read
        #[arg(long, value_name = "FILE")]
        save_recovery: Option<PathBuf>,
    },
    /// Say whether a code is right; it is spent by that
    Test,
    /// For the system administrator
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// All users who have a record
    List,
    /// What is known of a user; never a seed
    Show {
        /// Login name
        user: String,
    },
    /// Accept codes again after too many wrong ones
    Unlock {
        /// Login names
        #[arg(required = true)]
        users: Vec<String>,
    },
    /// Forget a user's devices and recovery codes, so that they can set up anew; what is required of them stays
    Reset {
        /// Login names
        #[arg(required = true)]
        users: Vec<String>,
        /// Do not ask whether this is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget everything about a user, also what is required of them alone; the policy's rules still hold
    Disable {
        /// Login names
        #[arg(required = true)]
        users: Vec<String>,
        /// Do not ask whether this is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// Whether the configuration can be used, and what it needs is there
    Check,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused: a code was wrong, or the change is not allowed
  2    the command line is wrong
  3    there is no such user, or no second factor is set up
  4    failed: configuration, records, helper, terminal or file
  130  interrupted

Configuration: /etc/pam_otp/pam_otp.toml. See otp-enroll(1), pam_otp(8), pam_otp.toml(5).";

impl Enrolment {
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
