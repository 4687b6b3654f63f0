//! Options of imports from files of tokens.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// A file of tokens, and whose they are.
#[derive(Args, Debug)]
pub(crate) struct TokenFile {
    /// File to import; - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Which token is whose: a file with a serial number and a user on each line, with a comma between them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) map: Option<PathBuf>,
}

/// What opens encrypted values.
#[derive(Args, Debug)]
pub(crate) struct PskcOptions {
    /// Decrypt with the key in this file: 16, 24 or 32 bytes, or the same in HEX
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,
    /// Decrypt with the password in this file; without it the password is asked for, and not shown
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "key_file")]
    pub(crate) password_file: Option<PathBuf>,
}
