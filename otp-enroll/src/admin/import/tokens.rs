//! What goes with a file of tokens: whose they are, and what opens encrypted values.

use std::path::Path;

use otp_core::value::time::UnixTime;
use otp_formats::map::Map;
use otp_formats::pskc::cipher::Unlock;
use otp_formats::pskc::container::{Container, Protection};
use otp_formats::pskc::{self, Packages};
use otp_formats::source::{Fault, Read};
use otp_formats::tokens::Tokens;
use zeroize::Zeroizing;

use super::report;
use crate::cli::token_files::{PskcOptions, TokenFile};
use crate::error::CliError;
use crate::seed_file::{self, OF_ONE_TOKEN};
use crate::ui::output::Output;
use crate::ui::prompt;
use crate::ui::terminal::Terminal;
use crate::user::token::watch;

/// Reads a container, and asks for its password where it needs one.
pub(super) fn pskc<'t>(
    tokens: &TokenFile,
    text: &'t [u8],
    options: &PskcOptions,
    output: &Output,
) -> Result<Read<Tokens<Packages<'t>>>, CliError> {
    let map = map(tokens, output)?;
    let one = |fault| of_whole(&[fault], &tokens.file, output);
    let container = Container::of(text).map_err(one)?;
    let opening = Opening::of(container.protection(), options, output)?;
    pskc::read(container, opening.unlock(), map, UnixTime::now()).map_err(one)
}

/// Tells faults that leave nothing to import.
fn of_whole(faults: &[Fault], file: &Path, output: &Output) -> CliError {
    report::faults(faults, file, output).err().unwrap_or(CliError::FaultyFile(faults.len()))
}

/// Whose each token is, if a file says it.
pub(super) fn map(tokens: &TokenFile, output: &Output) -> Result<Map, CliError> {
    let Some(file) = &tokens.map else { return Ok(Map::default()) };
    let failed = |error| CliError::Unreadable { path: file.clone(), error };
    Map::read(&std::fs::read(file).map_err(failed)?).map_err(|faults| of_whole(&faults, file, output))
}

/// What was given to open encrypted values.
enum Opening {
    Nothing,
    Key(Zeroizing<Vec<u8>>),
    Password(Zeroizing<Vec<u8>>),
}

impl Opening {
    /// Reads what the options name, or asks for the password that the file needs.
    fn of(protection: &Protection, options: &PskcOptions, output: &Output) -> Result<Self, CliError> {
        if let Some(file) = &options.key_file {
            return Ok(Self::Key(key(seed_file::read(file, OF_ONE_TOKEN, output)?)));
        }
        if let Some(file) = &options.password_file {
            let mut password = seed_file::read(file, OF_ONE_TOKEN, output)?;
            while password.last().is_some_and(|last| b"\r\n".contains(last)) {
                password.pop();
            }
            return Ok(Self::Password(password));
        }
        let named = |name: &Option<String>| name.as_ref().map_or_else(String::new, |name| format!(" {name:?}"));
        match protection {
            Protection::None => Ok(Self::Nothing),
            Protection::Key(name) => {
                Err(CliError::Usage(format!("the file is encrypted with the key{}: --key-file FILE", named(name))))
            }
            Protection::Password(name) => {
                let terminal = Terminal::here();
                if !terminal.interactive {
                    let text = format!("the file is encrypted with the password{}: --password-file FILE", named(name));
                    return Err(CliError::Usage(text));
                }
                let screen = watch()?;
                let password = prompt::ask_hidden(&terminal, &format!("Password{} of the file: ", named(name)))?;
                drop(screen);
                Ok(Self::Password(Zeroizing::new(password.expose().as_bytes().to_vec())))
            }
        }
    }

    fn unlock(&self) -> Unlock<'_> {
        match self {
            Self::Nothing => Unlock::Nothing,
            Self::Key(key) => Unlock::Key(key),
            Self::Password(password) => Unlock::Password(password),
        }
    }
}

/// The bytes of a key: HEX where the file can be read so, or the file as it is.
fn key(text: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let trimmed = text.trim_ascii();
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let is_hex = [32, 48, 64].contains(&trimmed.len()) && trimmed.iter().all(u8::is_ascii_hexdigit);
    if !is_hex {
        return text;
    }
    let mut key = Zeroizing::new(Vec::with_capacity(trimmed.len()));
    key.extend(trimmed.chunks_exact(2).filter_map(digits));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hex_or_as_it_is() {
        let of = |text: &[u8]| key(Zeroizing::new(text.to_vec())).to_vec();
        assert_eq!(of(b"00ff00ff00ff00FF00ff00ff00ff00ff\n"), [0, 255].repeat(8));
        for raw in [&b"\n123456789abcde\n"[..], b"0123456789abcdef", &[7; 32], b"00ff\n"] {
            assert_eq!(of(raw), raw);
        }
    }
}
