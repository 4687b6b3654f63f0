//! systemd-creds: the keys as a credential of systemd's, which the TPM or the host's key opens.

use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::program;
use crate::error::CliError;

const PROGRAM: &str = "systemd-creds";

/// The credential's name, which is bound to it.
const NAME: &str = "--name=pam_otp-seal-keys";

/// Whether systemd can use a TPM here. A firmware that knows none is no obstacle: the kernel's driver does.
pub(super) fn has_tpm2() -> bool {
    let said = Command::new(PROGRAM).arg("has-tpm2").stdin(Stdio::null()).stderr(Stdio::null()).output();
    said.is_ok_and(|said| said.status.success() || is_enough(&String::from_utf8_lossy(&said.stdout)))
}

/// Whether these lines, `+driver` where something is there and `-driver` where it is not, are enough.
fn is_enough(lines: &str) -> bool {
    let is_missing = |line: &str| line.starts_with('-') && line != "-firmware";
    lines.lines().any(|line| line == "+driver") && !lines.lines().any(is_missing)
}

pub(super) fn of_the_host(keys: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    credential(&["--with-key=host"], keys)
}

/// Bound to these PCRs.
pub(super) fn of_the_tpm(pcrs: &str, keys: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let bound = |pcrs: &str| credential(&["--with-key=tpm2", &format!("--tpm2-pcrs={pcrs}")], keys);
    // systemd 252 makes a credential without PCRs, and does not open it. Nothing measures into PCR 16.
    bound(pcrs).or_else(|error| if pcrs.is_empty() { bound("16") } else { Err(error) })
}

/// A credential that was opened once.
fn credential(how: &[&str], keys: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let made = answer(&[&["encrypt"], how, &[NAME, "-", "-"]].concat(), keys)?;
    program::is_given_back(PROGRAM, keys, &opened(&made)?)?;
    Ok(made)
}

pub(super) fn opened(credential: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    answer(&["decrypt", NAME, "-", "-"], credential)
}

fn answer(arguments: &[&str], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    program::answer(PROGRAM, arguments, Path::new("/"), input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_enough_of_a_tpm() {
        assert!(is_enough("partial\n-firmware\n+driver\n+system\n+subsystem\n+libraries\n"));
        assert!(is_enough("partial\n-firmware\n+driver\n+system\n"));
        for lacking in
            ["", "no\n-firmware\n-driver\n+system\n", "partial\n+firmware\n+driver\n-system\n", "+driver\n-libraries\n"]
        {
            assert!(!is_enough(lacking), "{lacking}");
        }
    }
}
