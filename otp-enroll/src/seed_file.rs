//! Files with seeds. What is read of them is wiped; the file of a whole fleet is read entry by entry.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use otp_formats::text::Text;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::ui::output::Output;

/// Enough for more than ten million users.
pub(crate) const OF_ALL_USERS: usize = 1 << 30;

/// Enough for one seed, however it is broken into lines.
pub(crate) const OF_ONE_TOKEN: usize = 1 << 12;

/// Initial size if the length is unknown.
const SOME: usize = 1 << 16;

/// A file with the seeds of many users.
pub(crate) enum SeedFile {
    /// A regular file is read where it stands.
    Regular { file: File, was: State },
    /// Anything else can be read once only.
    InMemory(Zeroizing<Vec<u8>>),
}

/// What tells that a file was written to. Not the time of its inode: pam_oath may put another file in its place, which changes
/// nothing in the one that is open.
#[derive(PartialEq, Eq)]
pub(crate) struct State {
    length: u64,
    modified: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

impl SeedFile {
    /// Opens a file, or takes standard input for `-`. Warns of a file that other users can open.
    pub(crate) fn open(path: &Path, output: &Output) -> Result<Self, CliError> {
        let (file, metadata) = opened(path, output)?;
        let failed = |error| CliError::Unreadable { path: path.to_owned(), error };
        if !metadata.is_file() || is_standard_input(path) {
            return Ok(Self::InMemory(whole(file, expected(&metadata, OF_ALL_USERS), OF_ALL_USERS).map_err(failed)?));
        }
        if metadata.len() > u64::try_from(OF_ALL_USERS).unwrap_or(u64::MAX) {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Self::Regular { file, was: State::of(&metadata) })
    }
}

impl Text for SeedFile {
    fn read_at(&self, place: usize, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::InMemory(text) => text.as_slice().read_at(place, into),
            Self::Regular { file, was } => {
                let read = filled(file, u64::try_from(place).unwrap_or(u64::MAX), into)?;
                // What was written before it was read is seen here.
                if State::of(&file.metadata()?) == *was {
                    Ok(read)
                } else {
                    Err(io::Error::other("the file was written to since it was opened"))
                }
            }
        }
    }
}

fn filled(file: &File, place: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0usize;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, place.saturating_add(u64::try_from(length).unwrap_or(u64::MAX))) {
            Ok(0) => break,
            Ok(more) => length = length.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Reads a file of at most so many bytes, or standard input for `-`. Warns of a file that other users can open.
pub(crate) fn read(path: &Path, largest: usize, output: &Output) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let (file, metadata) = opened(path, output)?;
    let failed = |error| CliError::Unreadable { path: path.to_owned(), error };
    whole(file, expected(&metadata, largest), largest).map_err(failed)
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn opened(path: &Path, output: &Output) -> Result<(File, Metadata), CliError> {
    let failed = |error| CliError::Unreadable { path: path.to_owned(), error };
    // Not std's standard input, whose buffer would keep what it read.
    let file = if is_standard_input(path) {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    warn_of_others(path, &metadata, "seeds", output);
    Ok((file, metadata))
}

/// One byte more than the file has, so that the end is seen without growing.
fn expected(metadata: &Metadata, largest: usize) -> usize {
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    length.saturating_add(1).clamp(SOME.min(largest), largest)
}

/// Warns of a file that other users can open.
pub(crate) fn warn_of_others(path: &Path, metadata: &Metadata, holds: &str, output: &Output) {
    let others = metadata.mode() & 0o077;
    if metadata.is_file() && others != 0 {
        let (file, mode) = (path.display(), metadata.mode() & 0o7777);
        output.warn(&format!(
            "others than its owner can open {file}, which holds {holds} (mode {mode:04o}): chmod 600 {file}"
        ));
    }
}

fn whole(mut source: impl Read, expected: usize, largest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let (mut text, mut length) = (Zeroizing::new(vec![0; expected]), 0usize);
    loop {
        match source.read(text.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => length = length.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length == text.len() {
            if length >= largest {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            // Growing in place would leave the old copy behind, unwiped.
            let mut larger = Zeroizing::new(vec![0; length.saturating_mul(2)]);
            if let Some(beginning) = larger.get_mut(..length) {
                beginning.copy_from_slice(&text);
            }
            text = larger;
        }
    }
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_however_it_comes() {
        let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for expected in [1, 4999, 5000, 5001, 9000] {
            let (one, two) = content.split_at(1234);
            assert_eq!(*whole(one.chain(two), expected, OF_ALL_USERS).unwrap(), content, "{expected}");
        }
        assert_eq!(*whole(io::empty(), 1, OF_ALL_USERS).unwrap(), b"");
    }

    fn regular(path: &Path) -> SeedFile {
        let file = File::open(path).unwrap();
        let was = State::of(&file.metadata().unwrap());
        SeedFile::Regular { file, was }
    }

    #[test]
    fn a_file_that_was_written_to_is_read_no_more_and_one_that_was_replaced_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("users.oath"), folder.path().join("users.oath.new"));
        std::fs::write(&path, "0123456789").unwrap();
        std::fs::write(&other, "abcdefghij").unwrap();
        let text = regular(&path);
        let read = |place: usize, length: usize| {
            let mut part = vec![0; length];
            text.read_at(place, &mut part).map(|read| part[..read].to_vec())
        };
        assert_eq!([read(3, 4).unwrap(), read(8, 4).unwrap(), read(11, 4).unwrap()], [&b"3456"[..], b"89", b""]);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(read(0, 2).unwrap(), b"01");
        let text = regular(&path);
        let earlier = std::time::UNIX_EPOCH + std::time::Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
        let told = text.read_at(0, &mut [0; 4]).unwrap_err().to_string();
        assert_eq!(told, "the file was written to since it was opened");
        let text = regular(&path);
        File::options().append(true).open(&path).unwrap().set_len(20).unwrap();
        assert!(text.read_at(0, &mut [0; 4]).is_err());
    }

    #[test]
    fn what_never_ends_is_refused() {
        assert_eq!(whole(io::repeat(b'x'), 1, 5000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
