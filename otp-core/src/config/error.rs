//! The error of a configuration: file, line and key.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used. Every login is refused until an administrator fixes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub path: PathBuf,
    /// The line of the error, from 1; `None` if the error is of the whole file.
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
