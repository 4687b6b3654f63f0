//! What a command prints.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::Error;

pub(crate) fn told(line: &str) -> Result<(), Error> {
    writeln!(io::stdout(), "{line}")
        .map_err(|error| Error::new(format!("cannot write: {error}"), "nothing else is wrong"))
}

/// Beside what is printed for another program.
pub(crate) fn warned(line: &str) -> Result<(), Error> {
    writeln!(io::stderr(), "otp-verifier: {line}")
        .map_err(|error| Error::new(format!("cannot write: {error}"), "nothing else is wrong"))
}

pub(crate) fn told_json<T: Serialize>(value: &T) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(|error| Error::new(error.to_string(), "report this"))?;
    told(&text)
}

/// Whether the manual shows this JSON, which it breaks to fit.
#[cfg(test)]
pub(crate) fn is_in_manual<T: Serialize>(value: &T) -> bool {
    let manual = include_str!("../../../man/otp-verifier.8").replace("\n ", "");
    manual.contains(&format!("\n{}\n.Ed\n", serde_json::to_string(value).unwrap()))
}
