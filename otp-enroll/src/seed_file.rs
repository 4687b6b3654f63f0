//! A file with seeds: read whole, and no copy of it stays in memory.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::CliError;
use crate::ui::output::Output;

/// Enough for more than ten million users.
pub(crate) const OF_ALL_USERS: usize = 1 << 30;

/// Enough for one seed, however it is broken into lines.
pub(crate) const OF_ONE_TOKEN: usize = 1 << 12;

/// Initial size if the length is unknown.
const SOME: usize = 1 << 16;

/// Reads a file of at most so many bytes, or standard input for `-`. Warns of a file that other users can open.
pub(crate) fn read(path: &Path, largest: usize, output: &Output) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let failed = |error| CliError::Unreadable { path: path.to_owned(), error };
    // Not std's standard input, whose buffer would keep what it read.
    let file = if path.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    warn_of_others(path, &metadata, "seeds", output);
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    // One byte more, so that the end is seen without growing.
    whole(file, length.saturating_add(1).clamp(SOME.min(largest), largest), largest).map_err(failed)
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

    #[test]
    fn what_never_ends_is_refused() {
        assert_eq!(whole(io::repeat(b'x'), 1, 5000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
