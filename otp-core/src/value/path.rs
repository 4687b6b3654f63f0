//! Paths as their letters stand: std takes them to pieces, which is 3 KB of code in every PAM host.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folder that a file is in; empty if none is named.
pub(crate) fn folder(file: &Path) -> &Path {
    let letters = file.as_os_str().as_bytes();
    let end = letters.iter().rposition(|letter| *letter == b'/').map_or(0, |at| at.max(1));
    Path::new(OsStr::from_bytes(letters.get(..end).unwrap_or_default()))
}

/// A file in the same folder.
pub(crate) fn beside(file: &Path, name: &str) -> PathBuf {
    folder(file).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_another_is_in_its_folder() {
        for (file, expected) in [
            ("/etc/pam_otp/pam_otp.toml", "/etc/pam_otp"),
            ("/etc//pam_otp//x", "/etc//pam_otp/"),
            ("/x", "/"),
            ("x", ""),
            ("/", "/"),
        ] {
            assert_eq!(folder(Path::new(file)), Path::new(expected), "{file}");
        }
        for (file, expected) in [("/a/b.toml", "/a/store-id"), ("b.toml", "store-id"), ("a/b", "a/store-id")] {
            assert_eq!(beside(Path::new(file), "store-id"), Path::new(expected));
        }
    }
}
