//! The command line program: guided enrollment, a user's own second factor, and `admin` for the system administrator.

#![forbid(unsafe_code)]

mod admin;
mod cli;
mod client;
mod error;
mod language;
mod pam {
    //! PAM files as libpam reads them.
    pub(crate) mod pam_conf;
    pub(crate) mod stack;
}
mod private_file;
mod seed_file;
mod unconfirmed_file;
mod ui {
    //! The terminal: what is printed, asked and shown.
    pub(crate) mod alternate_screen;
    pub(crate) mod dialog;
    pub(crate) mod layout;
    pub(crate) mod listing;
    #[cfg(test)]
    pub(crate) mod memory;
    pub(crate) mod output;
    pub(crate) mod progress;
    pub(crate) mod prompt;
    pub(crate) mod secret_lines;
    pub(crate) mod signals;
    pub(crate) mod style;
    pub(crate) mod terminal;
}
mod user {
    //! The commands for a user's own second factor.
    pub(crate) mod accepted_kinds;
    pub(crate) mod added;
    pub(crate) mod addition;
    pub(crate) mod commands;
    pub(crate) mod confirmed;
    pub(crate) mod destination;
    pub(crate) mod device_lines;
    pub(crate) mod devices;
    pub(crate) mod first_device;
    pub(crate) mod goal;
    pub(crate) mod import;
    pub(crate) mod interactive;
    pub(crate) mod passcode;
    pub(crate) mod proof;
    pub(crate) mod qr_image;
    pub(crate) mod resync;
    pub(crate) mod scripted;
    pub(crate) mod token;
}

use std::env;
use std::io::{self, Write as _};
use std::process::{ExitCode, exit};

use clap::Parser;
use nix::sys::resource::{Resource, setrlimit};

use crate::cli::{Cli, Command, Enrollment};
use crate::client::Client;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::{self, Output};
use crate::user::{addition, commands, devices, import, resync};

fn main() -> ExitCode {
    // A core file would hold what is on the screen.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let cli = Cli::try_parse().unwrap_or_else(|error| misread(&error));
    // Scripts read English, and so do administrators, who look up what they read.
    if !cli.common.is_json() && !matches!(cli.command, Some(Command::Admin(_) | Command::Completions { .. })) {
        language::from_environment();
    }
    let output = Output::new(&cli.common);
    match run(&cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                output.error(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Ends with what is wrong in the command line, or with the help that was asked for.
fn misread(error: &clap::Error) -> ! {
    // The command line was not understood, but with --json the caller reads JSON.
    if error.use_stderr() && env::args_os().any(|argument| argument == "--json" || argument == "--dialog") {
        let text = error.render().to_string();
        let what: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        output::json_error(&CliError::Usage(what.join(" ").trim_start_matches("error: ").to_owned()));
    }
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    let text = cli::without_destructive_tips(&text).unwrap_or(text);
    // clap repeats an argument as it is.
    let lines: Vec<_> = text.split('\n').map(layout::escaped).collect();
    // A terminal that is gone reads nothing.
    let _ = io::stderr().write_all(lines.join("\n").as_bytes());
    exit(error.exit_code())
}

fn run(cli: &Cli, output: &Output) -> Result<(), CliError> {
    if let Some(what) = cli.misplaced() {
        return Err(CliError::Usage(what));
    }
    if let Some(Command::Completions { shell }) = &cli.command {
        return output::print(&shell.completions());
    }
    if let Some(Command::Admin(command)) = &cli.command {
        return admin::run(command, &cli.common, output);
    }
    let site = client::site(&cli.common)?;
    let mut client = Client::open(site.as_ref(), &cli.common)?;
    match &cli.command {
        None => commands::enroll(&mut client, &cli.enrollment, output),
        Some(Command::Reset(enrollment)) => commands::reset(&mut client, enrollment, output),
        Some(Command::Status) => commands::status(&mut client, output),
        Some(Command::List) => devices::list(&mut client, output),
        Some(Command::Add(addition)) => addition::add(&mut client, addition, output),
        Some(Command::Import { file, name, save_recovery, count }) => {
            let enrollment = Enrollment { qr: None, save_recovery: save_recovery.clone(), count: *count };
            import::import(&mut client, file.as_deref(), name.as_deref(), &enrollment, output)
        }
        Some(Command::Rename { device, name }) => devices::rename(&mut client, device, name, output),
        Some(Command::Remove { device, yes }) => devices::remove(&mut client, device, *yes, output),
        Some(Command::Default { device }) => devices::make_default(&mut client, device, output),
        Some(Command::Resync { device }) => resync::resync(&mut client, device.as_deref(), output),
        Some(Command::Disable { yes }) => commands::disable(&mut client, *yes, output),
        Some(Command::Recovery { save_recovery, count }) => {
            commands::recovery(&mut client, save_recovery.as_deref(), *count, output)
        }
        Some(Command::ForgetAddresses) => commands::forget_addresses(&mut client, output),
        Some(Command::Test) => commands::test(&mut client, output),
        Some(Command::Admin(_) | Command::Completions { .. }) => Ok(()), // served above, without a user of their own
    }
}
