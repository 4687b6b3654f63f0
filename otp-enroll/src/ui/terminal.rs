//! What the terminal can show.

use std::io::{self, IsTerminal};

use otp_core::qr::Paint;

/// The assumed size if the terminal does not report one: a VT100.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// What the terminal can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns; 80 if unknown.
    pub(crate) columns: usize,
    /// Rows; 24 if unknown.
    pub(crate) rows: usize,
    /// Colours are known to the terminal and wanted (<https://no-color.org>).
    pub(crate) colour: bool,
    /// Characters are encoded as UTF-8.
    pub(crate) utf8: bool,
    /// The background is light; only of interest without colours.
    pub(crate) light: bool,
    /// Escape sequences that move the cursor and switch the screen may be sent.
    pub(crate) escapes: bool,
    /// A person reads and types here: standard input and output are both terminals.
    pub(crate) interactive: bool,
}

impl Terminal {
    /// The terminal this program runs on.
    #[expect(clippy::disallowed_methods, reason = "decides how a page looks, never whether a login is let in")]
    pub(crate) fn here() -> Terminal {
        let size = terminal_size::terminal_size_of(io::stdout());
        let size = size.map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
        let environment = |name: &str| std::env::var_os(name)?.into_string().ok();
        Terminal::described_by(environment, io::stdin().is_terminal(), io::stdout().is_terminal(), size)
    }

    /// Whether standard error shows colours.
    #[expect(clippy::disallowed_methods, reason = "decides how an error looks, never whether a login is let in")]
    pub(crate) fn paints_errors() -> bool {
        let environment = |name: &str| std::env::var_os(name)?.into_string().ok();
        Terminal::described_by(environment, false, io::stderr().is_terminal(), None).colour
    }

    /// The terminal as the environment and the two ends describe it.
    fn described_by(
        environment: impl Fn(&str) -> Option<String>,
        typed: bool,
        shown: bool,
        size: Option<(usize, usize)>,
    ) -> Terminal {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let kind = set("TERM");
        // POSIX, Environment Variables §8.2: the first of these that is set and not empty.
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let escapes = shown && kind.as_deref().is_some_and(|kind| kind != "dumb");
        let (columns, rows) = size.unwrap_or(USUAL_SIZE);
        Terminal {
            columns,
            rows,
            colour: escapes && set("NO_COLOR").is_none() && !kind.as_deref().is_some_and(is_monochrome),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
            light: set("COLORFGBG").as_deref().is_some_and(has_light_background),
            escapes,
            interactive: typed && shown,
        }
    }

    /// How a QR code is painted here.
    pub(crate) fn paint(&self) -> Paint {
        match (self.colour, self.light) {
            (true, _) => Paint::Colour,
            (false, true) => Paint::PlainInverted,
            (false, false) => Paint::Plain,
        }
    }
}

/// Whether this is one of the DEC terminals that show no colours and take `38;5;16` for blinking.
fn is_monochrome(kind: &str) -> bool {
    kind.strip_prefix("vt").is_some_and(|model| model.starts_with(|c: char| c.is_ascii_digit()))
}

/// rxvt's convention, `foreground;background` or `foreground;default;background`: 0 to 6 and 8 are dark.
fn has_light_background(colours: &str) -> bool {
    let background = colours.rsplit(';').next().and_then(|last| last.parse::<u8>().ok());
    background.is_some_and(|colour| colour == 7 || (9..16).contains(&colour))
}

#[cfg(test)]
mod tests;
