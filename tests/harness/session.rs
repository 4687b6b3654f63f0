//! What people read, as one text to compare with a snapshot: `$ command`, what it said, and its exit code.
//!
//! Only what must vary is replaced: [`Session::name`] and [`Session::device`] what the test knows, [`dates`],
//! [`clocks`] and [`qr_codes`] what has a form.

use crate::{
    app::App,
    conversation::{Event, Transcript},
    outcome::Outcome,
    pty::Terminal,
    users::FewUsers,
};
use std::{fmt::Write, process::Command};

/// A session at a shell, or in front of a page.
#[derive(Debug)]
pub struct Session {
    text: String,
    names: Vec<(String, String)>,
    users: FewUsers,
}

impl Default for Session {
    fn default() -> Session {
        Session::among(&[])
    }
}

impl Session {
    /// Among these users and root: no list has those of other tests in it.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn among(users: &[&str]) -> Session {
        Session { text: String::new(), names: Vec::new(), users: FewUsers::new(users) }
    }

    /// `value` is written `name` in the snapshot: a folder of the test's own, for one.
    pub fn name(&mut self, value: &str, name: &str) {
        self.names.push((value.to_owned(), name.to_owned()));
    }

    /// Runs a command that a person would type as `shown`, without a terminal.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&mut self, shown: &str, command: &mut Command, input: &str) -> Outcome {
        let outcome = Outcome::of(&mut self.users.among(command), input);
        self.said(shown, &outcome);
        outcome
    }

    /// What a command said.
    pub fn said(&mut self, shown: &str, outcome: &Outcome) {
        let _ = write!(self.text, "$ {shown}\n{}{}", outcome.out, outcome.err);
        match outcome.code {
            Some(0) => {}
            Some(code) => self.text += &format!("(exit code {code})\n"),
            None => self.text += "(ended by a signal)\n",
        }
        self.text.push('\n');
    }

    /// What can be seen on a terminal.
    pub fn screen(&mut self, title: &str, terminal: &Terminal) {
        let _ = write!(self.text, "---- {title} ----\n{}\n\n", terminal.screen());
    }

    /// What a module said, and how its calls ended.
    pub fn conversation(&mut self, title: &str, said: &Transcript) {
        let _ = writeln!(self.text, "---- {title} ----");
        for event in said.events.iter().filter(|event| !matches!(event, Event::Delay(_))) {
            let _ = writeln!(self.text, "{}", event.to_string().replace("\\n", "\n"));
        }
        self.text.push('\n');
    }

    /// A device that was made by the program, whose key and recovery codes stand for themselves in every form.
    pub fn device(&mut self, app: &App, recovery: &[String]) {
        for (key, letter) in [(app.secret.clone(), "K"), (app.hex(), "0")] {
            let half = key.len() / 2;
            for (from, to) in [(0, key.len()), (0, half), (half, key.len())] {
                let (part, stand_in) = (&key[from..to], letter.repeat(to - from));
                self.name(&in_fours(part), &in_fours(&stand_in));
                self.name(part, &stand_in);
            }
        }
        // A page breaks the URI where its column ends.
        for at in 1..app.secret.len() {
            let (line, next) = app.secret.split_at(at);
            self.name(&format!("secret={line}\n"), &format!("secret={}\n", "K".repeat(line.len())));
            if next.len() > 3 {
                self.name(&format!(" {next}\n"), &format!(" {}\n", "K".repeat(next.len())));
            }
        }
        for code in recovery {
            self.name(code, "RRRR-RRRR-RRRR-RRRR");
        }
    }

    /// A line of the test's own.
    pub fn note(&mut self, text: &str) {
        let _ = write!(self.text, "# {text}\n\n");
    }

    /// The text, for `insta::assert_snapshot!`.
    pub fn text(mut self) -> String {
        // Longer names first: one may be the beginning of another.
        self.names.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        self.names.iter().fold(self.text, |text, (value, name)| text.replace(value, name))
    }
}

/// Every time is the same, and so is every day since when something is.
pub fn dates(text: &str) -> String {
    let times = [
        ("0000-00-00T00:00:00", "2026-01-31T12:00:00"),
        ("0000-00-00 00:00:00", "2026-01-31 12:00:00"),
        ("0000-00-00 00:00", "2026-01-31 12:00"),
        ("since 0000-00-00", "since 2026-01-31"),
        ("used today 00:00", "used today 12:00"),
    ];
    times.iter().fold(text.to_owned(), |text, (form, replacement)| masked(&text, form, replacement))
}

/// Without what doctor says of the clock, which depends on the machine: a finding of two lines.
pub fn clocks(text: &str) -> String {
    let mut lines = text.split_inclusive('\n');
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.contains(" clock: ") {
            lines.next();
        } else {
            kept += line;
        }
    }
    kept
}

/// What stands beside a QR code is kept, and of the code that there is one. Blanks at line ends go with it.
pub fn qr_codes(text: &str) -> String {
    let is_block = |symbol: char| matches!(symbol, '█' | '▀' | '▄');
    let lines = text.lines().map(|line| {
        let Some(last) = line.rfind(is_block) else { return line.trim_end().to_owned() };
        let beside = line[last + '█'.len_utf8()..].trim();
        if beside.is_empty() { "[QR]".to_owned() } else { format!("[QR] {beside}") }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn in_fours(text: &str) -> String {
    let symbols: Vec<char> = text.chars().collect();
    symbols.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Wherever the form is (`0` for any digit), the replacement stands.
fn masked(text: &str, form: &str, replacement: &str) -> String {
    let symbols: Vec<char> = text.chars().collect();
    let form: Vec<char> = form.chars().collect();
    let fits = |rest: &[char]| {
        rest.len() >= form.len()
            && form.iter().zip(rest).all(|(want, is)| if *want == '0' { is.is_ascii_digit() } else { is == want })
    };
    let (mut out, mut at) = (String::new(), 0);
    while let Some(symbol) = symbols.get(at) {
        if fits(&symbols[at..]) {
            out += replacement;
            at += form.len();
        } else {
            out.push(*symbol);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_time_is_replaced() {
        assert_eq!(
            dates(
                "at 2027-11-28 03:44 UTC, \"2027-11-28T03:44:01Z\", since 2027-11-28; from 2099-01-31, 2027-1-28 03:44"
            ),
            "at 2026-01-31 12:00 UTC, \"2026-01-31T12:00:00Z\", since 2026-01-31; from 2099-01-31, 2027-1-28 03:44"
        );
    }

    #[test]
    fn of_a_qr_code_the_place_is_kept_and_what_stands_beside_it() {
        assert_eq!(qr_codes("one  \n  █▀ ▄█  two\n ▀▀\nthree"), "one\n[QR] two\n[QR]\nthree");
    }

    #[test]
    fn the_finding_about_the_clock_goes_and_no_other() {
        assert_eq!(
            clocks("fault    vpn: x\n  -> y\nnote     clock: z\n  -> w\nend\n"),
            "fault    vpn: x\n  -> y\nend\n"
        );
    }
}
