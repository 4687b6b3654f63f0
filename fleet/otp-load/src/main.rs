//! otp-load: asks verifiers as many hosts at once, and says how long the answers take. For tests: an asker in Python takes more of
//! the processor than the verifier.

mod connection;
mod held;
mod logins;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// What goes wrong, for who runs the tests.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Log users in, so many at once, each over a connection that is kept
    Logins(Logins),
    /// Hold a connection for each of many hosts. Waits for a line of standard input between its steps
    Hold(Hold),
}

/// Where a verifier is.
#[derive(Args, Clone)]
pub(crate) struct Verifier {
    /// Address and port
    #[arg(long)]
    pub(crate) verifier: String,
    /// The authority of the fleet, in PEM
    #[arg(long)]
    pub(crate) authority: PathBuf,
}

#[derive(Args)]
pub(crate) struct Logins {
    #[command(flatten)]
    pub(crate) verifier: Verifier,
    /// Key and certificate of a host, in PEM; repeat it for more hosts
    #[arg(long, required = true)]
    pub(crate) identity: Vec<PathBuf>,
    /// A file with a line for each user: the name, and codes in the order in which they are typed
    #[arg(long)]
    pub(crate) codes: PathBuf,
    #[arg(long, default_value = "16")]
    pub(crate) at_once: usize,
}

#[derive(Args)]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) verifier: Verifier,
    /// The key of the authority, in PEM: it signs the certificates
    #[arg(long)]
    pub(crate) authority_key: PathBuf,
    /// How many hosts
    #[arg(long)]
    pub(crate) hosts: usize,
    /// Where the rows of the hosts are written, as COPY of PostgreSQL reads them: name, hash of the key
    #[arg(long)]
    pub(crate) rows: PathBuf,
}

#[expect(clippy::print_stderr, reason = "for who runs the tests")]
fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Logins(how) => logins::run(&how),
        Command::Hold(how) => held::run(&how),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("otp-load: {error}");
            ExitCode::FAILURE
        }
    }
}
