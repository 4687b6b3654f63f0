//! What is said and asked, in the form the caller wants: a person's, a script's, or as little as possible.

use std::io::{self, Write};

use otp_core::protocol::request::Confidential;
use serde::Serialize;

use crate::cli::Common;
use crate::error::Problem;
use crate::ui::layout;
use crate::ui::prompt;
use crate::ui::terminal::Terminal;

/// How this run speaks.
pub(crate) struct Voice {
    /// JSON, a line each.
    pub(crate) json: bool,
    /// No advice.
    pub(crate) quiet: bool,
    /// Standard input may be read although it is not a terminal.
    stdin: bool,
}

impl Voice {
    pub(crate) fn new(common: &Common) -> Self {
        Self { json: common.json, quiet: common.quiet, stdin: common.stdin || common.json }
    }

    /// What was asked for: a line of JSON, or the text.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Problem> {
        print(&self.line(value, text)?)
    }

    /// The same, for whoever writes it.
    pub(crate) fn line(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, Problem> {
        if self.json { serde_json::to_string(value).map_err(|error| Problem::Output(error.into())) } else { Ok(text()) }
    }

    /// That something was done; a script learns it from the exit code or from JSON.
    pub(crate) fn done(&self, value: &impl Serialize, text: &str) -> Result<(), Problem> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.result(value, || text.to_owned()).map_err(Problem::although_done)
    }

    /// Advice that is not part of the answer.
    pub(crate) fn advise(&self, text: &str) -> Result<(), Problem> {
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
    pub(crate) fn complain(&self, problem: &Problem) {
        if self.json {
            // Standard error still gets the text.
            complain_in_json(problem);
        }
        let columns = terminal_size::terminal_size_of(io::stderr()).map_or(usize::MAX, |(columns, _)| columns.0.into());
        let mut lines = layout::wrap(&format!("otp-enroll: {problem}"), columns);
        if let Some(hint) = problem.hint() {
            lines.extend(layout::wrap(&hint, columns.saturating_sub(2)).iter().map(|line| format!("  {line}")));
        }
        let text = lines.join("\n") + "\n";
        // There is nobody left to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Asks for a code: at the terminal, or where it was allowed, from standard input.
    pub(crate) fn ask_code(&self, prompt: &str) -> Result<Confidential, Problem> {
        let terminal = self.terminal()?;
        Ok(Confidential::new(prompt::ask(&terminal, prompt)?.expose()))
    }

    /// Asks whether something is meant. Where nobody can be asked, the command line must have said so.
    pub(crate) fn must_mean(&self, question: &str) -> Result<(), Problem> {
        self.somebody_to_ask()?;
        let answer = prompt::ask(&Terminal::here(), &format!("{question} [y/N] "))?;
        let yes = ["y", "yes"].contains(&answer.expose().trim().to_ascii_lowercase().as_str());
        if yes { Ok(()) } else { Err(Problem::Cancelled) }
    }

    /// Whether there is somebody at a terminal whom [`Voice::must_mean`] can ask.
    pub(crate) fn somebody_to_ask(&self) -> Result<(), Problem> {
        if Terminal::here().interactive {
            Ok(())
        } else {
            Err(Problem::Usage("nobody can be asked whether this is meant: say --yes".into()))
        }
    }

    /// The terminal, where somebody may be asked something.
    pub(crate) fn terminal(&self) -> Result<Terminal, Problem> {
        let terminal = Terminal::here();
        if terminal.interactive || self.stdin {
            Ok(terminal)
        } else {
            Err(Problem::Usage(
                "standard input and output are not a terminal: say --stdin or --json to read codes from standard input"
                    .into(),
            ))
        }
    }
}

/// What went wrong, as an answer like others. There may be nobody left to tell.
pub(crate) fn complain_in_json(problem: &Problem) {
    #[derive(Serialize)]
    struct Complaint {
        error: String,
        hint: Option<String>,
    }
    if let Ok(line) = serde_json::to_string(&Complaint { error: problem.to_string(), hint: problem.hint() }) {
        let _ = print(&line);
    }
}

pub(crate) fn print(line: &str) -> Result<(), Problem> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(Problem::Output)
}
