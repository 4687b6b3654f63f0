//! Files that may be replaced while they are in use.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// What tells two versions of a file apart; `None` while there is none.
type Stamp = Option<(u64, i64, i64, u64)>;

/// Files, as they were when they were looked at last.
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Stamp>,
}

impl Watched {
    pub(crate) fn of<const N: usize>(files: [PathBuf; N]) -> Self {
        let mut watched = Self { files: files.into(), seen: Vec::new() };
        watched.seen = watched.stamps();
        watched
    }

    /// Whether one of them is another one since this was asked last.
    pub(crate) fn is_changed(&mut self) -> bool {
        let now = self.stamps();
        let is_changed = now != self.seen;
        self.seen = now;
        is_changed
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |file: &PathBuf| {
            let file = fs::metadata(file).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
        };
        self.files.iter().map(stamp).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_or_gone_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "a").unwrap();
        let mut watched = Watched::of([one.clone(), two.clone()]);
        assert!(!watched.is_changed());
        fs::write(&two, "b").unwrap();
        assert!(watched.is_changed() && !watched.is_changed());
        fs::rename(&two, &one).unwrap();
        assert!(watched.is_changed() && !watched.is_changed());
    }
}
