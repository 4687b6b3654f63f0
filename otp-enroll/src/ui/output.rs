//! Answers and questions, in the form the caller wants: text, JSON, or results only.

use std::io::{self, IsTerminal, Write};

use otp_core::protocol::request::Confidential;
use otp_core::text;
use serde::Serialize;

use crate::cli::Common;
use crate::error::CliError;
use crate::language::tr;
use crate::ui::dialog::{Asks, Question};
use crate::ui::layout;
use crate::ui::prompt;
use crate::ui::secret_lines::{SecretLines, put};
use crate::ui::style::Paint;
use crate::ui::terminal::Terminal;

/// The characters of a line of the terminal that shows the answers; no end to it where none does.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(usize::MAX, |(columns, _)| columns.0.into())
}

/// Sentences, broken at blanks where a terminal shows them.
fn in_window(text: &str) -> String {
    let width = columns();
    text.lines().flat_map(|line| layout::wrap(line, width)).collect::<Vec<_>>().join("\n")
}

/// What begins an error, and a warning.
const OURS: &str = "otp-enroll:";
const WARNING: &str = "otp-enroll: warning: ";

pub(crate) struct Output {
    /// JSON, one line per answer.
    pub(crate) json: bool,
    /// A line before each line that is read, and the QR code.
    pub(crate) dialog: bool,
    /// Results and errors only.
    pub(crate) quiet: bool,
    /// Standard input may be read although it is not a terminal.
    stdin: bool,
    /// Characters besides ASCII may be printed: not on a terminal that has another encoding.
    utf8: bool,
    /// Standard output shows colours.
    colour: bool,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        let utf8 = !io::stdout().is_terminal() || Terminal::here().utf8;
        Self {
            json: common.is_json(),
            dialog: common.dialog,
            quiet: common.quiet,
            stdin: common.stdin || common.is_json(),
            utf8,
            colour: Terminal::here().colour,
        }
    }

    /// An answer: a line of JSON, or the text. A text of several lines escapes what comes from outside by itself
    /// ([`layout::escaped`]); here only line ends pass.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        print(&self.line(value, text)?)
    }

    /// The same, and the text is painted where there are colours.
    pub(crate) fn painted(
        &self,
        value: &impl Serialize,
        paint: fn(&str) -> String,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let line = self.line(value, text)?;
        print(&if self.json || !self.colour { line } else { paint(&line) })
    }

    /// The same, not written yet.
    pub(crate) fn line(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, CliError> {
        if self.json {
            serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))
        } else {
            Ok(layout::escaped_lines(&text(), self.utf8).into_owned())
        }
    }

    /// The same, where the answer holds a key or recovery codes.
    pub(crate) fn secret(&self, value: &impl Serialize, text: impl FnOnce(&mut SecretLines)) -> Result<(), CliError> {
        let lines = if self.json {
            SecretLines::json(value).map_err(|error| CliError::Output(error.into()))?
        } else {
            let mut lines = SecretLines::new();
            text(&mut lines);
            layout::printable(&lines, self.utf8)
        };
        put(lines.text()).map_err(CliError::Output)
    }

    /// A change that was made; not printed if quiet.
    pub(crate) fn done(&self, value: &impl Serialize, text: &str) -> Result<(), CliError> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.result(value, || in_window(&layout::escaped(text))).map_err(CliError::although_done)
    }

    /// The same, where the text has several lines.
    pub(crate) fn done_lines(&self, value: &impl Serialize, text: &str) -> Result<(), CliError> {
        if self.quiet && !self.json {
            return Ok(());
        }
        self.result(value, || in_window(text)).map_err(CliError::although_done)
    }

    /// Advice that is not part of the answer.
    pub(crate) fn advise(&self, text: &str) -> Result<(), CliError> {
        if self.is_advising() { print(&in_window(&layout::escaped_lines(text, self.utf8))) } else { Ok(()) }
    }

    /// Advice that what was wanted is done.
    pub(crate) fn advise_of_success(&self, text: &str) -> Result<(), CliError> {
        let text = in_window(&layout::escaped_lines(text, self.utf8));
        if self.is_advising() { print(&Paint::Green.on_if(self.colour, &text)) } else { Ok(()) }
    }

    /// The heading of a table.
    pub(crate) fn heading(&self, text: &str) -> String {
        Paint::Bold.on_if(self.colour, &layout::escaped_lines(text, self.utf8)).into_owned()
    }

    /// Whether advice is wanted.
    pub(crate) fn is_advising(&self) -> bool {
        !self.quiet && !self.json
    }

    /// A warning on standard error; not part of the answer.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// A warning that is printed even if quiet: what is done next may end this command.
    pub(crate) fn insist(&self, text: &str) {
        let columns = terminal_size::terminal_size_of(io::stderr()).map_or(usize::MAX, |(columns, _)| columns.0.into());
        let told = format!("{WARNING}{}", layout::escaped(text));
        let told = layout::wrap(&told, columns).join("\n");
        let painted = Paint::Yellow.on_if(Terminal::paints_errors(), WARNING.trim_end());
        let told = told.strip_prefix(WARNING.trim_end()).map_or(told.clone(), |rest| format!("{painted}{rest}"));
        // If standard error fails, there is no place to report it.
        let _ = writeln!(io::stderr(), "{told}");
    }

    /// The error and its hint, on standard error.
    pub(crate) fn error(&self, error: &CliError) {
        if self.json {
            // Standard error still gets the text.
            json_error(error);
        }
        let columns = terminal_size::terminal_size_of(io::stderr()).map_or(usize::MAX, |(columns, _)| columns.0.into());
        let told = format!("otp-enroll: {error}");
        let told = layout::wrap(&layout::escaped(&told), columns).join("\n") + "\n";
        let painted = Paint::Red.on_if(Terminal::paints_errors(), OURS);
        let mut text = told.strip_prefix(OURS).map_or(told.clone(), |rest| format!("{painted}{rest}"));
        if let Some(hint) = error.hint() {
            layout::wrap(&layout::escaped(&hint), columns.saturating_sub(2))
                .iter()
                .for_each(|line| text += &format!("  {line}\n"));
        }
        // If standard error fails, there is no place to report it.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Says what is read next, after an answer that was wrong, where a program wants to know.
    pub(crate) fn announce(&self, asks: Asks, last: Option<&CliError>) -> Result<(), CliError> {
        if self.dialog { self.result(&Question::after(last, asks), String::new) } else { Ok(()) }
    }

    /// Asks for a code: at the terminal, or where it was allowed, from standard input.
    pub(crate) fn ask_code(&self, asks: Asks, prompt: &str) -> Result<Confidential, CliError> {
        let terminal = self.terminal()?;
        self.announce(asks, None)?;
        Ok(Confidential::new(prompt::ask(&terminal, prompt)?.expose()))
    }

    /// Asks for confirmation at the terminal; without one, `--yes` must have been given.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), CliError> {
        self.can_confirm()?;
        let terminal = Terminal::here();
        let question = format!("{} {}", layout::escaped(question), tr(text!("[y/N]")));
        let question = layout::wrap(&question, terminal.columns).join("\n");
        let answer = prompt::ask(&terminal, &format!("{question} "))?;
        let (letter, word) = (tr(text!("y")), tr(text!("yes")));
        let answer = answer.expose().trim().to_lowercase();
        let yes = ["y", "yes", &letter, &word].contains(&answer.as_str());
        if yes { Ok(()) } else { Err(CliError::Cancelled) }
    }

    /// Whether [`Output::confirm`] has a terminal to ask at.
    pub(crate) fn can_confirm(&self) -> Result<(), CliError> {
        if Terminal::here().interactive {
            Ok(())
        } else {
            Err(CliError::Usage("not a terminal, so I cannot ask for confirmation; add --yes".into()))
        }
    }

    /// The same for a question about what is shown before it, which JSON does not show.
    pub(crate) fn can_show_and_confirm(&self) -> Result<(), CliError> {
        if self.json {
            return Err(CliError::Usage("--json shows nothing before the question; add --yes".into()));
        }
        self.can_confirm()
    }

    /// The terminal, if questions are allowed.
    pub(crate) fn terminal(&self) -> Result<Terminal, CliError> {
        let terminal = Terminal::here();
        if terminal.interactive || self.stdin {
            Ok(terminal)
        } else {
            Err(CliError::Usage(
                "standard input and output are not a terminal; to read codes from standard input, add --stdin or --json"
                    .into(),
            ))
        }
    }
}

/// The error as a line of JSON on standard output, which may be closed.
pub(crate) fn json_error(error: &CliError) {
    #[derive(Serialize)]
    struct JsonError {
        error: String,
        hint: Option<String>,
    }
    if let Ok(line) = serde_json::to_string(&JsonError { error: error.to_string(), hint: error.hint() }) {
        let _ = print(&line);
    }
}

pub(crate) fn print(line: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(CliError::Output)
}

/// A sentence to a person who is being asked.
pub(crate) fn say(sentence: &str) -> Result<(), CliError> {
    print(&layout::wrap(&layout::escaped(sentence), Terminal::here().columns).join("\n"))
}
