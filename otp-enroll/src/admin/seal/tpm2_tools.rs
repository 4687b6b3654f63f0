//! tpm2-tools: the keys as an object that the TPM seals, where systemd-creds is not there or has no TPM support.
//!
//! The object is bound to the TPM's storage seed, and to PCRs only if some are named. What passes between processor and TPM is
//! encrypted for a session that is salted with a key of the TPM: a probe on the bus reads no key.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use base16ct::lower::{decode_vec, encode_string};
use otp_core::value::system_error::described;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::program;
use crate::error::CliError;

/// Most bytes that a TPM seals: a head and three keys.
const LARGEST: usize = 128;

/// The files of one use: the parent and the session as the TPM gave them out, and the parts of the object. The TPM encrypts what is
/// secret in them.
struct Files(TempDir);

/// Whether the tools are there, and reach a TPM.
pub(super) fn reach_a_tpm() -> bool {
    let mut tool = Command::new("tpm2_getrandom");
    let quiet = tool.args(["--hex", "1"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The public and the private part of the object, a line of HEX each. It was opened once.
pub(super) fn sealed(pcrs: &str, keys: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if keys.len() > LARGEST {
        return Err(CliError::Reported {
            error: "a TPM keeps three keys at most".into(),
            hint: "seal all records under one key first: otp-enroll admin seal".into(),
        });
    }
    let files = Files::with_a_parent()?;
    let mut how = vec!["-C", "parent", "-u", "public", "-r", "private", "-i", "-"];
    if pcrs.is_empty() {
        how.extend(["-a", "fixedtpm|fixedparent|noda|userwithauth"]);
    } else {
        files.tool("tpm2_createpolicy", &["--policy-pcr", "-l", &bank(pcrs), "-L", "policy"], &[])?;
        how.extend(["-a", "fixedtpm|fixedparent|noda", "-L", "policy"]);
    }
    files.in_a_session("--enable-decrypt", "tpm2_create", &how, keys)?;
    let lines = format!("{}\n{}\n", files.hex("public")?, files.hex("private")?);
    program::is_given_back("tpm2_unseal", keys, &opened(pcrs, &lines)?)?;
    Ok(Zeroizing::new(lines.into_bytes()))
}

pub(super) fn opened(pcrs: &str, lines: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let files = Files::with_a_parent()?;
    let mut lines = lines.lines();
    for part in ["public", "private"] {
        files.put(part, lines.next().and_then(|hex| decode_vec(hex).ok()).unwrap_or_default())?;
    }
    files.tool("tpm2_load", &["-C", "parent", "-u", "public", "-r", "private", "-c", "object"], &[])?;
    let by = format!("pcr:{}", bank(pcrs));
    let how: &[&str] = if pcrs.is_empty() { &["-c", "object"] } else { &["-c", "object", "-p", &by] };
    files.in_a_session("--enable-encrypt", "tpm2_unseal", how, &[])
}

/// PCRs such as 0+7, as these tools name them.
fn bank(pcrs: &str) -> String {
    format!("sha256:{}", pcrs.replace('+', ","))
}

impl Files {
    fn with_a_parent() -> Result<Self, CliError> {
        let files = Self(tempfile::tempdir().map_err(|error| failed(&std::env::temp_dir(), &error))?);
        files.tool("tpm2_createprimary", &["-C", "o", "-g", "sha256", "-G", "ecc", "-c", "parent"], &[])?;
        Ok(files)
    }

    /// What a tool, run among these files, answers.
    fn tool(&self, program: &'static str, arguments: &[&str], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, CliError> {
        program::answer(program, &[&["-Q"], arguments].concat(), self.0.path(), input)
    }

    /// The same in a session whose requests, or whose answers, are encrypted.
    fn in_a_session(
        &self,
        encrypted: &str,
        program: &'static str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CliError> {
        self.tool("tpm2_startauthsession", &["--hmac-session", "-c", "parent", "-S", "session"], &[])?;
        self.tool("tpm2_sessionconfig", &[encrypted, "session"], &[])?;
        let answer = self.tool(program, &[arguments, &["-S", "session"]].concat(), input);
        let ended = self.tool("tpm2_flushcontext", &["session"], &[]);
        answer.and_then(|answer| ended.map(|_| answer))
    }

    fn hex(&self, name: &str) -> Result<String, CliError> {
        let path = self.0.path().join(name);
        Ok(encode_string(&fs::read(&path).map_err(|error| failed(&path, &error))?))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), CliError> {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::Reported {
        error: format!("cannot use {}: {}", path.display(), described(error)),
        hint: "tpm2-tools pass their objects through files of that folder; nothing was changed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_lines_of_hex() {
        assert_eq!(decode_vec(encode_string(&[0, 10, 255])), Ok(vec![0, 10, 255]));
        assert!(decode_vec("0").is_err() && decode_vec("0g").is_err() && decode_vec("") == Ok(Vec::new()));
        assert_eq!((bank("7"), bank("0+7")), ("sha256:7".into(), "sha256:0,7".into()));
    }
}
