//! How the files that were turned on are now.

use std::fs;
use std::io;
use std::path::Path;

use otp_core::value::time::UnixTime;

use super::kept::{Change, Kept};
use super::lines;
use super::replace::{self, Odd};
use super::without::without;

/// How a file is now.
#[derive(Debug)]
pub(super) enum Standing {
    /// As it was before.
    Before,
    /// As we wrote it.
    After,
    /// Changed since, and nothing of ours is in it.
    ByHand,
    /// Changed since, and this of ours is in it.
    Changed(String),
}

impl Change {
    /// `key`: the lines stand in place of a password.
    pub(super) fn standing(&self, key: bool) -> Standing {
        let path = self.path.display();
        let now = match replace::read(&self.path) {
            Ok(now) => now,
            Err(
                odd @ (Odd::Link(_)
                | Odd::NoFile
                | Odd::ManyNames
                | Odd::Signed
                | Odd::OfOthers(_)
                | Odd::Unreadable(_)),
            ) => {
                return Standing::Changed(format!("{path} {odd}"));
            }
        };
        if now.as_deref() == Some(&self.after) {
            return Standing::After;
        }
        if now == self.before {
            return Standing::Before;
        }
        let Some(now) = now else { return Standing::ByHand };
        if self.is_drop_in() {
            return Standing::Changed(format!("{path}: remove the file"));
        }
        let ours = lines::our_lines(&now);
        if let [first, rest @ ..] = ours.as_slice() {
            let numbers = rest.iter().fold(first.to_string(), |all, number| format!("{all}, {number}"));
            let also = if key { ", and that of pam_permit.so, and put the line for the password back" } else { "" };
            return Standing::Changed(format!("{path}: remove the line of pam_otp.so (line {numbers}){also}"));
        }
        if key && lines::password_lines(&now).is_empty() {
            return Standing::Changed(format!("{path}: put the line for the password back"));
        }
        Standing::ByHand
    }
}

impl Change {
    /// The text of a file that was changed since, without what was written into it. `None` if that cannot be told.
    pub(super) fn taken_out(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let now = replace::read(&self.path).ok()??;
        let rest = without(self.before.as_deref().unwrap_or_default(), &self.after, &now)?;
        lines::our_lines(&rest).is_empty().then_some((now, rest))
    }
}

/// What of ours is in files that were changed since.
pub(super) fn changed(standings: &[Standing]) -> Vec<&str> {
    standings
        .iter()
        .filter_map(|standing| if let Standing::Changed(what) = standing { Some(what.as_str()) } else { None })
        .collect()
}

impl Kept {
    pub(super) fn standings(&self) -> Vec<Standing> {
        self.changes.iter().map(|change| change.standing(self.key)).collect()
    }

    /// Whether a trial has ended. Then what was written is taken out of files that were changed since, too.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| UnixTime::now() >= until)
    }

    /// What keeps a trial from being taken back at its end.
    pub(super) fn unendable(&self) -> Option<String> {
        let standings = self.changes.iter().zip(self.standings());
        let stuck = standings.filter(|(change, _)| change.taken_out().is_none()).map(|(_, standing)| standing);
        let stuck: Vec<Standing> = stuck.collect();
        let told = changed(&stuck).join("; ");
        (!told.is_empty()).then_some(told)
    }

    /// The files that are in this standing, by path.
    pub(super) fn paths(&self, is_one: fn(&Standing) -> bool) -> Vec<String> {
        let all = self.changes.iter().zip(self.standings());
        all.filter(|(_, standing)| is_one(standing)).map(|(change, _)| change.path.display().to_string()).collect()
    }

    /// The PAM files without a line of ours, if all was turned on once.
    pub(crate) fn files_without_line(&self) -> Vec<&Path> {
        let is_without = |path: &Path| match fs::read(path) {
            Ok(text) => lines::our_lines(&text).is_empty(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let files = self.changes.iter().filter(|change| self.is_done && !change.is_drop_in());
        files.map(|change| change.path.as_path()).filter(|path| is_without(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_since_is_ours_as_long_as_a_line_of_ours_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sudo");
        let (before, after) = ("@include common-auth\n", "@include common-auth\nauth required pam_otp.so\n");
        let change = Change { path: path.clone(), before: Some(before.into()), after: after.into() };
        let standing = |text: &str, key: bool| {
            fs::write(&path, text).unwrap();
            match change.standing(key) {
                Standing::Before => "before".to_owned(),
                Standing::After => "after".to_owned(),
                Standing::ByHand => "by hand".to_owned(),
                Standing::Changed(what) => what.replace(path.to_str().unwrap(), "F"),
            }
        };
        assert_eq!(standing(before, false), "before");
        assert_eq!(standing(after, false), "after");
        assert_eq!(standing("# mine\n@include common-auth\n", false), "by hand");
        let mine = format!("# mine\n{after}");
        assert_eq!(standing(&mine, false), "F: remove the line of pam_otp.so (line 3)");
        assert!(standing(&mine, true).ends_with("put the line for the password back"));
        assert_eq!(standing("auth required pam_permit.so\n", true), "F: put the line for the password back");
        assert_eq!(standing("@include common-auth\n", true), "before");
        fs::remove_file(&path).unwrap();
        assert!(matches!(change.standing(false), Standing::ByHand));
    }
}
