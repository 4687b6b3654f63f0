//! What doctor reports: a fault, a warning or a note, with a fix.

use serde::Serialize;

use crate::ui::layout;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// Users are locked out, or let in against policy, by mistake.
    Fault,
    /// The same, unless it is intended.
    Warning,
    /// Worth knowing.
    Note,
}

#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Services, or `configuration`, `records`, `clock`.
    pub(crate) subjects: Vec<String>,
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// Names listed in a finding; further ones are counted.
const NAMED: usize = 5;

/// The first of these names.
pub(crate) fn some(names: &[String]) -> String {
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Finding {
    fn new(severity: Severity, subject: &str, what: String, fix: &str) -> Self {
        Self { severity, subjects: vec![subject.to_owned()], what, fix: fix.to_owned() }
    }

    pub(crate) fn fault(subject: &str, what: String, fix: &str) -> Self {
        Self::new(Severity::Fault, subject, what, fix)
    }

    pub(crate) fn warning(subject: &str, what: String, fix: &str) -> Self {
        Self::new(Severity::Warning, subject, what, fix)
    }

    pub(crate) fn note(subject: &str, what: String, fix: &str) -> Self {
        Self::new(Severity::Note, subject, what, fix)
    }

    pub(crate) fn text(&self, columns: usize) -> String {
        let told = format!("{}: {}", self.subjects.join(", "), self.what);
        let lines = |text: &str, indent: usize| {
            layout::wrap(&layout::escaped(text), columns.saturating_sub(indent)).join(&format!("\n{:indent$}", ""))
        };
        format!("{:<8} {}\n{:9}-> {}", self.severity.name(), lines(&told, 9), "", lines(&self.fix, 12))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let finding = Finding::note("vpn\x1b[2J", "cannot open /a\nfault: b".into(), "rm /a\nfault: b");
        assert_eq!(
            finding.text(usize::MAX),
            "note     vpn\\x1b[2J: cannot open /a\\x0afault: b\n         -> rm /a\\x0afault: b"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let text = "one two three four five six seven eight nine ten eleven twelve ".repeat(3);
        let finding = Finding::fault("sshd", text.clone(), &text);
        for columns in 30..100 {
            let told = finding.text(columns);
            assert!(told.lines().all(|line| line.chars().count() <= columns), "{columns}\n{told}");
        }
    }
}
