//! The terminal: guided set-up, a user's own second factor, and `admin` for the system administrator.

#![forbid(unsafe_code)]

mod admin;
mod alternate;
mod cli;
mod desk;
mod guide;
mod image;
mod listing;
mod new_file;
mod own;
mod page;
mod problem;
mod progress;
mod say;
mod scripted;
mod terminal;

use std::env;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, setrlimit};

use crate::cli::{Cli, Command};
use crate::desk::Desk;
use crate::problem::Problem;
use crate::say::Voice;

fn main() -> ExitCode {
    // A core file would hold what is on the screen.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let cli = Cli::try_parse().unwrap_or_else(|error| misread(&error));
    let voice = Voice::new(&cli.common);
    match run(&cli, &voice) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if !problem.is_silent() {
                voice.complain(&problem);
            }
            ExitCode::from(problem.exit_code())
        }
    }
}

/// Ends with what is wrong in the command line, or with the help that was asked for.
fn misread(error: &clap::Error) -> ! {
    // What was meant is not known, but whoever says --json reads JSON.
    if error.use_stderr() && env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let what: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        say::complain_in_json(&Problem::Usage(what.join(" ").trim_start_matches("error: ").to_owned()));
    }
    error.exit()
}

fn run(cli: &Cli, voice: &Voice) -> Result<(), Problem> {
    if let Some(what) = cli.misplaced() {
        return Err(Problem::Usage(what));
    }
    if let Some(Command::Completions { shell }) = &cli.command {
        return say::print(&shell.completions());
    }
    if let Some(Command::Admin(command)) = &cli.command {
        return admin::run(command, &cli.common, voice);
    }
    let site = desk::site(&cli.common)?;
    let mut desk = Desk::open(site.as_ref(), &cli.common)?;
    match &cli.command {
        None => own::set_up(&mut desk, &cli.enrolment, voice),
        Some(Command::Reset(enrolment)) => own::reset(&mut desk, enrolment, voice),
        Some(Command::Status) => own::status(&mut desk, voice),
        Some(Command::List) => own::list(&mut desk, voice),
        Some(Command::Disable { yes }) => own::disable(&mut desk, *yes, voice),
        Some(Command::Recovery { save_recovery }) => own::recovery(&mut desk, save_recovery.as_deref(), voice),
        Some(Command::Forget) => own::forget(&mut desk, voice),
        Some(Command::Test) => own::test(&mut desk, voice),
        Some(Command::Admin(_) | Command::Completions { .. }) => Ok(()), // served above, without a user of their own
    }
}
