//! A configuration that cannot be used.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used. Every login is refused until it is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The line at fault, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong, with the key.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}
