//! What is said and asked, in the form the caller wants: a person's, a script's, or as little as possible.

use std::io::{self, Write};

use otp_core::protocol::request::Confidential;
use serde::Serialize;

use crate::cli::Common;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::prompt;
use crate::ui::secret_lines::{SecretLines, put};
use crate::ui::terminal::Terminal;

/// How this run speaks.
pub(crate) struct Output {
    /// JSON, a line each.
    pub(crate) json: bool,
    /// No advice.
    pub(crate) quiet: bool,
    /// Standard input may be read although it is not a terminal.
    stdin: bool,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        Self { json: common.json, quiet: common.quiet, stdin: common.stdin || common.json }
    }

    /// What was asked for: a line of JSON, or the text.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        print(&self.line(value, text)?)
    }

    /// The same, for whoever writes it.
    pub(crate) fn line(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, CliError> {
        if self.json {
            serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))
        } else {
            Ok(text())
        }
    }

    /// The same, where the answer holds a key or recovery codes.
    pub(crate) fn secret(&self, value: &impl Serialize, text: impl FnOnce(&mut SecretLines)) -> Result<(), CliError> {
        let lines = if self.json {
            SecretLines::json(value).map_err(|error| CliError::Output(error.into()))?
        } else {
            let mut lines = SecretLines::new();
            text(&mut lines);
            lines
        };
        put(lines.text()).map_err(CliError::Output)
    }

    /// That something was done; a script learns it from the exit code or from JSON.
    pub(crate) fn done(&self, value: &impl Serialize, text: &str) -> Result<(), CliError> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.result(value, || text.to_owned()).map_err(CliError::although_done)
    }

    /// Advice that is not part of the answer.
    pub(crate) fn advise(&self, text: &str) -> Result<(), CliError> {
        if self.is_advising() { print(text) } else { Ok(()) }
    }

    /// Whether anybody wants advice.
    pub(crate) fn is_advising(&self) -> bool {
        !self.quiet && !self.json
    }

    /// What somebody should know although nothing went wrong; it is not part of the answer.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            // There is nobody left to tell.
            let _ = writeln!(io::stderr(), "otp-enroll: warning: {text}");
        }
    }

    /// What went wrong and what to do next.
    pub(crate) fn complain(&self, error: &CliError) {
        if self.json {
            // Standard error still gets the text.
            complain_in_json(error);
        }
        let columns = terminal_size::terminal_size_of(io::stderr()).map_or(usize::MAX, |(columns, _)| columns.0.into());
        let mut text = layout::wrap(&format!("otp-enroll: {error}"), columns).join("\n") + "\n";
        if let Some(hint) = error.hint() {
            layout::wrap(&hint, columns.saturating_sub(2)).iter().for_each(|line| text += &format!("  {line}\n"));
        }
        // There is nobody left to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Asks for a code: at the terminal, or where it was allowed, from standard input.
    pub(crate) fn ask_code(&self, prompt: &str) -> Result<Confidential, CliError> {
        let terminal = self.terminal()?;
        Ok(Confidential::new(prompt::ask(&terminal, prompt)?.expose()))
    }

    /// Asks whether something is meant. Where nobody can be asked, the command line must have said so.
    pub(crate) fn must_mean(&self, question: &str) -> Result<(), CliError> {
        self.somebody_to_ask()?;
        let answer = prompt::ask(&Terminal::here(), &format!("{question} [y/N] "))?;
        let yes = ["y", "yes"].contains(&answer.expose().trim().to_ascii_lowercase().as_str());
        if yes { Ok(()) } else { Err(CliError::Cancelled) }
    }

    /// Whether there is somebody at a terminal whom [`Output::must_mean`] can ask.
    pub(crate) fn somebody_to_ask(&self) -> Result<(), CliError> {
        if Terminal::here().interactive {
            Ok(())
        } else {
            Err(CliError::Usage("nobody can be asked whether this is meant: say --yes".into()))
        }
    }

    /// The terminal, where somebody may be asked something.
    pub(crate) fn terminal(&self) -> Result<Terminal, CliError> {
        let terminal = Terminal::here();
        if terminal.interactive || self.stdin {
            Ok(terminal)
        } else {
            Err(CliError::Usage(
                "standard input and output are not a terminal: say --stdin or --json to read codes from standard input"
                    .into(),
            ))
        }
    }
}

/// What went wrong, as an answer like others. There may be nobody left to tell.
pub(crate) fn complain_in_json(error: &CliError) {
    #[derive(Serialize)]
    struct Complaint {
        error: String,
        hint: Option<String>,
    }
    if let Ok(line) = serde_json::to_string(&Complaint { error: error.to_string(), hint: error.hint() }) {
        let _ = print(&line);
    }
}

pub(crate) fn print(line: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(CliError::Output)
}
