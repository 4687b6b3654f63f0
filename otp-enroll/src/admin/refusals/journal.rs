//! The refusals that the journal of systemd tells.

use std::fs;
use std::os::unix::fs::MetadataExt;

use otp_core::config::paths::HELPER;
use otp_core::value::time::UnixTime;

use super::line::{Reader, Refusal};
use crate::admin::journal::{Entry, OF_ROOT, entries};

/// Where journald keeps it, in a folder for each machine.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// The newest lines come first.
const HOW: [&str; 2] = ["--reverse", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_UID,_GID"];

/// Without a time from which on they count, so many lines are looked at.
const MOST_LINES: &str = "--lines=100000";

/// The last refusals; `None` if there is no journal. A line counts if root sent it, or a process with the helper's group,
/// which no user can have: `logger` sends lines of any text.
pub(super) fn newest_first(reader: &Reader, since: Option<UnixTime>, number: usize) -> Option<Vec<Refusal>> {
    if !FOLDERS.into_iter().any(holds_journal) {
        return None;
    }
    let group = fs::metadata(HELPER).ok().map(|helper| helper.gid().to_string());
    let of_helper = group.as_ref().map(|group| format!("_GID={group}"));
    let of_helper =
        of_helper.as_deref().map(|group| ["+", "SYSLOG_FACILITY=10", "SYSLOG_IDENTIFIER=otp-helper", group]);
    let since = since.map(|since| format!("--since=@{}", since.0));
    let how = HOW.into_iter().chain(since.as_deref().or(Some(MOST_LINES)));
    let found = entries(how.chain(OF_ROOT).chain(of_helper.into_iter().flatten()))?;
    Some(found.filter_map(|entry| refusal(&entry, group.as_deref(), reader)).take(number).collect())
}

fn holds_journal(folder: &str) -> bool {
    let machines = fs::read_dir(folder).into_iter().flatten().flatten();
    machines.into_iter().any(|machine| fs::read_dir(machine.path()).is_ok_and(|mut files| files.next().is_some()))
}

/// The refusal in a line.
fn refusal(entry: &Entry, group: Option<&str>, reader: &Reader) -> Option<Refusal> {
    let program = entry.text("SYSLOG_IDENTIFIER")?;
    let is_of_helper = program == "otp-helper" && group.is_some() && entry.text("_GID") == group;
    if entry.text("_UID") != Some("0") && !is_of_helper {
        return None;
    }
    reader.read(&entry.time()?.to_string(), program, entry.text("MESSAGE")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uid: &str, gid: &str, program: &str, message: &str) -> bool {
        let entry = serde_json::json!({
            "__REALTIME_TIMESTAMP": "1795847721548108", "_UID": uid, "_GID": gid,
            "SYSLOG_IDENTIFIER": program, "MESSAGE": message,
        });
        let found = refusal(&Entry::parse(&entry.to_string()).unwrap(), Some("990"), &Reader::of("alice"));
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
            let found = Entry::parse(line).and_then(|entry| refusal(&entry, None, &reader));
            assert_eq!(found, None, "{line}");
        }
    }
}
