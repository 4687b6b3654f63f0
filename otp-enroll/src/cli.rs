//! The command line.

use otp_core::config::paths;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

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

/// Files of other modules that `admin import` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForeignFile {
    /// The users file of pam_oath, /etc/users.oath
    Oath,
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
    /// Whose second factor; root must say it
    #[arg(long, global = true, value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) user: Option<String>,

    /// Write JSON, a line each, and read codes from standard input
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Read codes from standard input although it is not a terminal
    #[arg(long, global = true)]
    pub(crate) stdin: bool,

    /// Say nothing but what was asked for, and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Another configuration file; for root
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// Options of setting up and of `reset`.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Setting up, and reset")]
pub(crate) struct Enrollment {
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
    Reset(Enrollment),
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
    /// Whether a code is right; it is spent by that
    Test,
    /// Be asked for a code again, from wherever you come (grace)
    Forget,
    /// For the system administrator
    #[command(subcommand)]
    Admin(Admin),
    /// What a shell needs to complete this command line; `make install` puts it where shells look
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Who has a second factor, or may not log in without one
    List {
        /// Who can log in and has no device, and what that login would be
        #[arg(long)]
        without_device: bool,
        /// PAM service of that login: sshd, sudo, login
        #[arg(long, default_value = "sshd", requires = "without_device")]
        service: String,
    },
    /// Which rule decides about a login of --user, and what it would be
    Explain {
        /// PAM service: sshd, sudo, login
        #[arg(long, default_value = "sshd")]
        service: String,
        /// Address the login comes from; none for one on this machine
        #[arg(long, value_name = "ADDRESS")]
        rhost: Option<String>,
        /// Terminal it is on: tty1, pts/0; sshd says ssh
        #[arg(long)]
        tty: Option<String>,
        /// As if `nullok` stood on the line in the PAM file
        #[arg(long)]
        nullok: bool,
    },
    /// Require a second factor of users, whatever the rules say
    Require {
        #[command(flatten)]
        whom: Whom,
        /// Let them log in without one, whatever the rules say
        #[arg(long)]
        optional: bool,
        /// End the sessions of those for whom this is new; asks first
        #[arg(long, conflicts_with = "optional")]
        end_sessions: bool,
        /// Do not ask whether sessions are to be ended
        #[arg(long, short, requires = "end_sessions")]
        yes: bool,
    },
    /// Leave users to the rules again
    Unrequire {
        #[command(flatten)]
        whom: Whom,
    },
    /// Ask users for a code again from addresses that are remembered (grace)
    Forget {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
    },
    /// Who would have been refused while `enforce = false`, and who has no device
    Report {
        /// PAM service of the logins of who has no device
        #[arg(long, default_value = "sshd")]
        service: String,
    },
    /// What is known of a user; never a seed
    Show {
        /// Login name
        #[arg(id = "shown", value_name = "USER", value_hint = ValueHint::Username)]
        // an id of its own: `user` is the global option's
        user: String,
    },
    /// Accept codes again after too many wrong ones
    Unlock {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
    },
    /// Forget a user's devices and recovery codes, so that they can set up anew; what is required of them stays
    Reset {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// Do not ask whether this is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget everything about a user, also what is required of them alone; the policy's rules still hold
    Disable {
        /// Login names
        #[arg(required = true, value_name = "USER", value_hint = ValueHint::Username)]
        users: Vec<String>,
        /// Do not ask whether this is meant
        #[arg(long, short)]
        yes: bool,
    },
    /// Enroll the users of another module's file with the devices that they have there
    Import {
        /// Whose file it is
        #[arg(value_enum)]
        format: ForeignFile,
        /// The file; - for standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Also users who have other devices: they lose these, and their recovery codes; asks first
        #[arg(long)]
        replace: bool,
        /// Do not ask whether this is meant
        #[arg(long, short, requires = "replace")]
        yes: bool,
    },
    /// Whether the configuration can be used, and what it needs is there
    Check,
    /// Whom PAM files, sshd, configuration and clock would lock out, or let in against policy, and how to fix it
    Doctor {
        /// Look at the PAM files in this folder, before they go to /etc/pam.d
        #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
        pam: Option<PathBuf>,
        /// Look at this sshd_config, before it is sshd's
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        sshd: Option<PathBuf>,
    },
}

/// Users by name, by group, or all.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// Login names
    #[arg(value_name = "USER", value_hint = ValueHint::Username)]
    pub(crate) users: Vec<String>,
    /// Everybody in this group who can log in
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Everybody who can log in, root too
    #[arg(long)]
    pub(crate) all: bool,
}

const ABOUT: &str = "\
Set up a second login factor (TOTP, RFC 6238), look at it, change it.

Without a command, this sets one up: it shows a QR code for an authenticator app, asks for a first code, and hands \
out recovery codes. Nothing is active before the code was right.";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused: a wrong code, a change that is not allowed; or faults were found
  2    the command line is wrong
  3    there is no such user, or no second factor is set up
  4    failed: configuration, records, helper, terminal or file
  130  interrupted

Configuration: /etc/pam_otp/pam_otp.toml. See otp-enroll(1), pam_otp(8), pam_otp.toml(5).";

impl Common {
    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(paths::CONFIG.as_ref())
    }
}

impl Cli {
    /// What was said and could not be honoured: nobody should take it for done.
    pub(crate) fn misplaced(&self) -> Option<String> {
        let Enrollment { qr, save_recovery } = &self.enrollment;
        let option = match (qr, save_recovery) {
            (Some(_), _) => "--qr",
            (None, Some(_)) => "--save-recovery",
            (None, None) => "",
        };
        let explains = matches!(self.command, Some(Command::Admin(Admin::Explain { .. })));
        match &self.command {
            Some(Command::Admin(_)) if explains != self.common.user.is_some() => Some(if explains {
                "say whose login: --user USER".into()
            } else {
                "--user does not go with this command of admin, which takes names".into()
            }),
            Some(Command::Reset(_)) if !option.is_empty() => Some(format!("{option} goes after reset")),
            Some(Command::Recovery { .. }) if option == "--save-recovery" => {
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
