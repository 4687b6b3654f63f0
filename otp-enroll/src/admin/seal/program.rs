//! A program that keeps keys: they pass through its pipes alone.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::error::CliError;

/// What to do where a keeper fails.
const HINT: &str = "without a TPM or its libraries: --host or --key-file FILE; if it gave the key before: otp-enroll admin seal \
                    --recovery-key";

/// What the program, run in this folder, answers to this input.
pub(super) fn answer(
    program: &'static str,
    arguments: &[&str],
    folder: &Path,
    input: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let tool = |error| CliError::Tool { program, error };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().map_err(tool)?;
    if let Some(mut stdin) = running.stdin.take() {
        // One that ends early says why.
        let _ = stdin.write_all(input);
    }
    let said = running.wait_with_output().map_err(tool)?;
    let answer = Zeroizing::new(said.stdout);
    if said.status.success() {
        return Ok(answer);
    }
    let why = String::from_utf8_lossy(&said.stderr);
    Err(CliError::Reported { error: format!("{program} failed: {}", reason(&why)), hint: HINT.into() })
}

/// The line that says why. tpm2-tools end with one that repeats their name.
fn reason(why: &str) -> &str {
    let mut lines = why.lines().rev().filter(|line| !line.starts_with("ERROR: Unable to run "));
    lines.next().unwrap_or("it says nothing").trim().trim_end_matches('.')
}

/// Refuses a keeper that gives back anything but what it was given: it would lose the key.
pub(super) fn is_given_back(program: &str, keys: &[u8], given: &[u8]) -> Result<(), CliError> {
    if given == keys {
        return Ok(());
    }
    Err(CliError::Reported {
        error: format!("{program} gives back another key than it was given"),
        hint: "nothing was sealed under it; use --host or --key-file FILE".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why() {
        assert_eq!(reason("first\nNo TPM2 support.\n"), "No TPM2 support");
        assert_eq!(
            reason("ERROR: a policy check failed\nERROR: Unable to run tpm2_unseal\n"),
            "ERROR: a policy check failed"
        );
        assert_eq!(reason(""), "it says nothing");
    }

    #[test]
    fn what_passes_through_a_program() {
        let root = Path::new("/");
        assert_eq!(answer("cat", &["-"], root, b"keys").unwrap().as_slice(), b"keys");
        assert!(
            answer("false", &["-"], root, b"keys")
                .is_err_and(|error| error.to_string() == "false failed: it says nothing")
        );
        assert!(is_given_back("cat", b"keys", b"keys").is_ok() && is_given_back("cat", b"keys", b"").is_err());
    }
}
