//! The journal of systemd, whose lines tell who sent them: any user can send lines of any text, but none with the ids of
//! another.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use otp_core::value::time::UnixTime;
use serde_json::Value;

/// Matches lines of login programs of root. What a daemon prints has another facility, what a user sends another uid.
pub(super) const OF_ROOT: [&str; 2] = ["SYSLOG_FACILITY=10", "_UID=0"];

/// A line with its fields.
pub(super) struct Entry(Value);

impl Entry {
    /// A line of journalctl's JSON.
    pub(super) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().map(Self)
    }

    pub(super) fn time(&self) -> Option<UnixTime> {
        let microseconds: u64 = self.text("__REALTIME_TIMESTAMP")?.parse().ok()?;
        Some(UnixTime(microseconds / 1_000_000))
    }

    /// A field. Of one that was sent twice, or that is no text, nothing is believed.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }
}

/// The lines that journalctl tells with these arguments; `None` if it cannot be started. It is ended when the lines are
/// dropped.
pub(super) fn entries<'a, A: IntoIterator<Item = &'a str>>(
    arguments: A,
) -> Option<impl Iterator<Item = Entry> + use<'a, A>> {
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--quiet", "--no-pager", "--output=json"]).args(arguments);
    let running = journalctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut running = Running(running);
    let lines = BufReader::new(running.0.stdout.take()?).lines().map_while(Result::ok);
    Some(lines.filter_map(move |line| {
        let _ = &running; // ended with the iterator
        Entry::parse(&line)
    }))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
