//! Administrators' changes are counted within the state directory and beside the configuration, where several state directories may
//! have a line each. A directory whose count is
//! behind is an older one than this host has seen: it was restored from a backup. Where both were restored, nothing is behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::renameat;

use crate::store::error::StoreError;
use crate::store::files::open::FileStore;

/// No user's file name starts with a dot.
const COUNT: &str = ".changes";
const INCOMING_COUNT: &str = ".changes-new";

/// More bytes than a number and a line feed take.
const LARGEST: usize = 32;

/// The two counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    within: u64,
    beside: u64,
}

/// What a change does to a count that is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// It stays behind.
    Stays,
    /// What was restored is dealt with.
    Ends,
}

impl Changes {
    /// How many changes this host has seen that the directory has not.
    pub fn missing(self) -> u64 {
        self.beside.saturating_sub(self.within)
    }
}

impl FileStore {
    /// The counts within and `beside`. What cannot be read counts as none.
    pub fn changes(&self, beside: &Path) -> Changes {
        let within = self.open_trusted(COUNT, Some(0)).ok().flatten().and_then(|(file, _)| number(&file));
        Changes { within: within.unwrap_or(0), beside: self.line_of(&lines(beside)).map_or(0, |(count, _)| count) }
    }

    /// Counts a change of root's. First within: killed in between, nothing is behind.
    pub fn count_change(&self, beside: &Path, gap: Gap) -> Result<(), StoreError> {
        let failed = |error| self.failed("write", COUNT, error);
        let folder = File::open(beside.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        folder.lock().map_err(failed)?;
        let Changes { within, beside: outside } = self.changes(beside);
        let next = within.max(if gap == Gap::Ends { outside } else { 0 }).saturating_add(1);
        self.discard(INCOMING_COUNT)?;
        let written = self
            .create_empty(INCOMING_COUNT)
            .map_err(io::Error::from)
            .and_then(|file| write(file, &format!("{next}\n")));
        written.map_err(failed)?;
        renameat(&self.directory, INCOMING_COUNT, &self.directory, COUNT)
            .map_err(|error| self.failed("replace", COUNT, error))?;
        self.settle(COUNT, None)?;
        // A folder that is read-only knows of no change.
        let _ = put(beside, &self.with_count(&lines(beside), next.max(outside.saturating_add(1))));
        Ok(())
    }

    /// The count of this directory, and the line that holds it.
    fn line_of<'t>(&self, text: &'t str) -> Option<(u64, &'t str)> {
        text.lines().find_map(|line| {
            let (count, path) = line.split_once(' ')?;
            Some((count.parse().ok()?, line)).filter(|_| self.path == Path::new(path))
        })
    }

    /// The text with another count for this directory.
    fn with_count(&self, text: &str, count: u64) -> String {
        let own = self.line_of(text).map(|(_, line)| line);
        let others = text.lines().filter(|line| Some(*line) != own).map(|line| format!("{line}\n"));
        others.chain([format!("{count} {}\n", self.path.display())]).collect()
    }
}

/// What is beside the configuration; nothing if that cannot be read.
fn lines(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(file: &File) -> Option<u64> {
    let mut text = [0; LARGEST];
    let length = file.read_at(&mut text, 0).ok()?;
    str::from_utf8(text.get(..length)?).ok()?.strip_suffix('\n')?.parse().ok()
}

fn write(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let incoming = path.with_extension("new");
    let _ = std::fs::remove_file(&incoming); // what is still there is an error of the next line
    write(File::options().write(true).create_new(true).mode(0o600).open(&incoming)?, text)?;
    std::fs::rename(&incoming, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::site;

    #[test]
    fn an_older_directory_is_behind_until_that_is_dealt_with() {
        let (site, directory) = site("");
        let (store, beside) = (site.store().unwrap(), directory.path().join("store-changes"));
        let count = |gap| store.count_change(&beside, gap).unwrap();
        let missing = || store.changes(&beside).missing();
        assert_eq!(missing(), 0);
        count(Gap::Stays);
        let backup = std::fs::read(directory.path().join(COUNT)).unwrap();
        count(Gap::Stays);
        count(Gap::Stays);
        assert_eq!((store.changes(&beside), missing()), (Changes { within: 3, beside: 3 }, 0));
        std::fs::write(directory.path().join(COUNT), backup).unwrap();
        assert_eq!(missing(), 2);
        count(Gap::Stays);
        assert_eq!(missing(), 2, "a change hides nothing");
        count(Gap::Ends);
        assert_eq!(missing(), 0);
        count(Gap::Stays);
        assert_eq!(missing(), 0);
        // An older configuration beside newer records is none of ours.
        std::fs::remove_file(&beside).unwrap();
        assert_eq!(missing(), 0);
        count(Gap::Stays);
        assert_eq!(missing(), 0);
        std::fs::remove_file(directory.path().join(COUNT)).unwrap();
        assert!(missing() > 0, "an empty folder has seen nothing");
    }

    #[test]
    fn two_directories_beside_one_configuration_have_counts_of_their_own() {
        let ((one, first), (two, _second)) = (site(""), site(""));
        let beside = first.path().join("store-changes");
        let [one, two] = [one, two].map(|site| site.store().unwrap());
        (0..3).for_each(|_| one.count_change(&beside, Gap::Stays).unwrap());
        assert_eq!(two.changes(&beside), Changes::default());
        two.count_change(&beside, Gap::Stays).unwrap();
        assert_eq!([one.changes(&beside).beside, two.changes(&beside).beside], [3, 1]);
        assert_eq!([one, two].map(|store| store.changes(&beside).missing()), [0, 0]);
    }

    #[test]
    fn many_count_at_once() {
        let (site, directory) = site("");
        let beside = directory.path().join("store-changes");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = site.store().unwrap();
                    (0..10).for_each(|_| store.count_change(&beside, Gap::Stays).unwrap());
                });
            }
        });
        assert_eq!(site.store().unwrap().changes(&beside), Changes { within: 80, beside: 80 });
    }
}
