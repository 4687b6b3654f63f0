//! The journal of systemd. It notes the ids of each line's sender as the kernel says them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use otp_core::config::paths::HELPER;
use otp_core::value::time::UnixTime;
use serde_json::Value;

use super::line::{Reader, Refusal};

/// Where journald keeps it, in a folder for each machine.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// The newest lines that are looked at.
const MOST_LINES: &str = "--lines=100000";

/// The last refusals; `None` if there is no journal. A line counts if root sent it, or a process with the helper's group,
/// which no user can have: `logger` sends lines of any text.
pub(super) fn newest_first(reader: &Reader, number: usize) -> Option<Vec<Refusal>> {
    if !FOLDERS.into_iter().any(holds_journal) {
        return None;
    }
    let group = fs::metadata(HELPER).ok().map(|helper| helper.gid().to_string());
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--quiet", "--no-pager", "--reverse", MOST_LINES, "--output=json"]);
    journalctl.arg("--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_UID,_GID");
    // authpriv: what a daemon prints has another facility.
    journalctl.args(["SYSLOG_FACILITY=10", "_UID=0"]);
    if let Some(group) = &group {
        journalctl.args(["+", "SYSLOG_FACILITY=10", "SYSLOG_IDENTIFIER=otp-helper", &format!("_GID={group}")]);
    }
    journalctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = journalctl.spawn().ok()?;
    let lines = BufReader::new(running.stdout.take()?).lines().map_while(Result::ok);
    let found = lines.filter_map(|line| refusal(&line, group.as_deref(), reader)).take(number).collect();
    // It may have ended by itself.
    let _ = running.kill();
    let _ = running.wait();
    Some(found)
}

fn holds_journal(folder: &str) -> bool {
    let machines = fs::read_dir(folder).into_iter().flatten().flatten();
    machines.into_iter().any(|machine| fs::read_dir(machine.path()).is_ok_and(|mut files| files.next().is_some()))
}

/// The refusal in a line of JSON. Of a field that was sent twice, or that is no text, nothing is believed.
fn refusal(line: &str, group: Option<&str>, reader: &Reader) -> Option<Refusal> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| entry.get(name)?.as_str();
    let program = field("SYSLOG_IDENTIFIER")?;
    let is_of_helper = program == "otp-helper" && group.is_some() && field("_GID") == group;
    if field("_UID") != Some("0") && !is_of_helper {
        return None;
    }
    let microseconds: u64 = field("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let time = UnixTime(microseconds / 1_000_000).to_string();
    reader.read(&time, program, field("MESSAGE")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uid: &str, gid: &str, program: &str, message: &str) -> bool {
        let entry = serde_json::json!({
            "__REALTIME_TIMESTAMP": "1795847721548108", "_UID": uid, "_GID": gid,
            "SYSLOG_IDENTIFIER": program, "MESSAGE": message,
        });
        let found = refusal(&entry.to_string(), Some("990"), &Reader::of("alice"));
        assert!(found.as_ref().is_none_or(|found| found.time == "2026-11-28T06:35:21Z"), "{found:?}");
        found.is_some()
    }

    #[test]
    fn a_line_counts_if_root_or_the_helper_sent_it() {
        let of_module = "pam_otp(sshd:auth): refused user=alice why=replayed";
        let of_helper = "refused user=alice by_uid=1000 service=x why=replayed";
        assert!(read("0", "0", "sshd", of_module));
        assert!(!read("1000", "1000", "sshd", of_module));
        assert!(!read("1000", "990", "sshd", of_module), "a module in a host that is not root");
        assert!(read("1000", "990", "otp-helper", of_helper));
        assert!(!read("1000", "1000", "otp-helper", of_helper));
        assert!(read("0", "0", "otp-enroll", of_helper));
        assert!(!read("0", "0", "x", of_helper));
    }

    #[test]
    fn what_is_no_text_or_no_entry_is_no_line() {
        let reader = Reader::of("alice");
        for line in [
            "",
            "[]",
            "{",
            r#"{"_UID":["0","1000"],"SYSLOG_IDENTIFIER":"sshd","MESSAGE":"pam_otp(x:auth): refused user=alice why=x"}"#,
            r#"{"_UID":"0","SYSLOG_IDENTIFIER":"sshd","MESSAGE":[112,97]}"#,
            r#"{"_UID":"0","SYSLOG_IDENTIFIER":"sshd","MESSAGE":null}"#,
        ] {
            assert_eq!(refusal(line, None, &reader), None, "{line}");
        }
    }
}
