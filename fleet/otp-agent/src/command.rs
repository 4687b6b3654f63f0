//! What root asks of the program by hand. Without an argument it is the service that systemd starts.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::unistd::geteuid;
use otp_core::config::fleet::is_host_name;
use otp_core::config::paths;
use otp_core::system::config_file::host_name;

use crate::command_error::CommandError;
use crate::hello;
use crate::join::{self, Joining};

const USAGE: &str = "\
otp-agent join FILE [--name HOST] [--replace]
otp-agent hello [--json]

join    makes a key for this host and has the fleet's authority sign it. FILE is what `otp-verifier token` has printed; - is
        standard input.
          --name HOST  the name that the host goes by in the fleet (default: its host name)
          --replace    join again, with a new key in place of the one that is there
hello   asks each verifier who it is, and says how long the certificate of this host lives
          --json       for programs

Without an argument it is the service otp-agent, which systemd starts: see otp-agent(8).
";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Join { file: PathBuf, name: Option<String>, replace: bool },
    Hello { json: bool },
    Help,
    Version,
}

/// Does what the arguments ask for.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(carry_out) {
        Ok(Said { text, exit_code }) => {
            // A reader that is gone reads nothing.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::from(exit_code)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "otp-agent: {error}");
            ExitCode::from(error.exit_code)
        }
    }
}

/// What is printed, and how the program ends.
struct Said {
    text: String,
    exit_code: u8,
}

fn carry_out(command: Command) -> Result<Said, CommandError> {
    let done = |text| Ok(Said { text, exit_code: 0 });
    let (file, name, replace) = match command {
        Command::Help => return done(USAGE.to_owned()),
        Command::Version => return done(format!("otp-agent {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Hello { json } => {
            only_root("ask the verifiers as this host")?;
            let report = hello::ask()?;
            let exit_code = report.exit_code();
            return Ok(Said { text: if json { report.json() } else { report.text() }, exit_code });
        }
        Command::Join { file, name, replace } => (file, name, replace),
    };
    only_root("let this host join a fleet")?;
    let name = name.unwrap_or_else(host_name);
    if !is_host_name(&name) {
        return Err(CommandError::usage(format!("{name:?} is not the name of a machine")));
    }
    let fleet = Path::new(paths::CONFIG).with_file_name("fleet.toml");
    let joining = Joining { fleet: &fleet, folder: Path::new(paths::AGENT_STATE), name: &name, replace };
    done(joining.join(&join::invitation(&file)?)?)
}

fn only_root(what: &str) -> Result<(), CommandError> {
    let refusal = || CommandError::refused(format!("only root may {what}"), "become root, for example with sudo");
    if geteuid().is_root() { Ok(()) } else { Err(refusal()) }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, CommandError> {
    let mut words = Vec::new();
    let (mut name, mut replace, mut json) = (None, false, false);
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "-V" | "--version" => return Ok(Command::Version),
            "--replace" => replace = true,
            "--json" => json = true,
            "--name" => {
                let missing = || CommandError::usage("--name needs a name".into());
                name = Some(arguments.next().ok_or_else(missing)?);
            }
            option if option.len() > 1 && option.starts_with('-') => {
                return Err(CommandError::usage(format!("there is no option {option:?}")));
            }
            _ => words.push(argument),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match *words {
        ["join", file] if !json => Ok(Command::Join { file: file.into(), name, replace }),
        ["join"] if !json => {
            Err(CommandError::usage("join needs the file that `otp-verifier token` has printed".into()))
        }
        ["hello"] if name.is_none() && !replace => Ok(Command::Hello { json }),
        _ => Err(CommandError::usage("this does not go together".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_line_says_what_to_do_or_is_an_error() {
        let join =
            |name: Option<&str>, replace| Command::Join { file: "-".into(), name: name.map(Into::into), replace };
        assert_eq!(parsed("join -"), Ok(join(None, false)));
        assert_eq!(parsed("--replace join - --name web-1"), Ok(join(Some("web-1"), true)));
        assert_eq!(parsed("hello --json"), Ok(Command::Hello { json: true }));
        assert_eq!((parsed("--help"), parsed("hello -V")), (Ok(Command::Help), Ok(Command::Version)));
        for (line, error) in [
            ("join", "join needs the file that `otp-verifier token` has printed"),
            ("join - --name", "--name needs a name"),
            ("join - --force", "there is no option \"--force\""),
            ("join a b", "this does not go together"),
            ("hello --replace", "this does not go together"),
            ("join - --json", "this does not go together"),
            ("listen", "this does not go together"),
        ] {
            assert_eq!(parsed(line), Err(format!("{error}\n  see otp-agent --help")), "{line}");
        }
    }
}
