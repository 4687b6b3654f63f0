//! The highest timeline, in a file: a verifier that starts again takes no primary that was replaced before.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use crate::log;

/// The name of the file in the folder of state.
const FILE: &str = "timeline";

/// What was kept.
pub(super) struct Kept {
    /// `None` where nothing is kept.
    path: Option<PathBuf>,
    /// A cluster, and its timeline.
    known: Mutex<Option<(i64, u32)>>,
}

impl Kept {
    /// Without the folder nothing is kept. A file that cannot be read is an error, and not taken for none.
    pub(super) fn read(folder: Option<&Path>) -> io::Result<Self> {
        let path = folder.filter(|folder| folder.is_dir()).map(|folder| folder.join(FILE));
        let known = match path.as_deref().map(fs::read_to_string) {
            None => None,
            Some(Ok(text)) => Some(parse(&text).ok_or(io::ErrorKind::InvalidData)?),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Some(Err(error)) => return Err(error),
        };
        Ok(Self { path, known: Mutex::new(known) })
    }

    /// The highest timeline that is known of this cluster, after this one was seen. One that is new is kept.
    pub(super) fn highest(&self, system: i64, timeline: u32) -> u32 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((of, highest)) if of == system && highest >= timeline => return highest,
            Some(_) | None => *known = Some((system, timeline)),
        }
        if let Some(path) = &self.path
            && let Err(error) = write(path, &format!("{system} {timeline}\n"))
        {
            log::warning(&format!("{}: the timeline cannot be kept: {}", path.display(), error.kind()));
        }
        timeline
    }

    /// After a restore a lower timeline may be the right one.
    pub(super) fn forget(folder: &Path) -> io::Result<()> {
        match fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn parse(text: &str) -> Option<(i64, u32)> {
    let (system, timeline) = text.trim_end().split_once(' ')?;
    Some((system.parse().ok()?, timeline.parse().ok()?))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // A command of root and the service may write at the same time.
    let new = path.with_extension(format!("{}", process::id()));
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_known_after_a_restart_and_belongs_to_its_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let kept = || Kept::read(Some(folder.path())).unwrap();
        assert_eq!(kept().highest(7, 3), 3);
        assert_eq!(kept().highest(7, 2), 3);
        assert_eq!(kept().highest(7, 4), 4);
        assert_eq!(kept().highest(7, 3), 4);
        assert_eq!(kept().highest(8, 1), 1);
        fs::write(folder.path().join(FILE), "7").unwrap();
        assert!(Kept::read(Some(folder.path())).is_err());
        Kept::forget(folder.path()).unwrap();
        Kept::forget(folder.path()).unwrap();
        assert_eq!(kept().highest(7, 1), 1);
        assert!(Kept::read(Some(Path::new("/nowhere"))).unwrap().highest(7, 1) == 1);
    }
}
