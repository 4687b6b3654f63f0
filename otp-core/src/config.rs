//! The configuration file: strict TOML, every key optional, every error with file, line and key.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::decide::{Limits, LockFor};
use crate::oath::{Algorithm, Digits, Period};
use crate::policy::Policy;
use crate::recovery::MOST_CODES;
use crate::time::Seconds;

/// Everything an administrator can set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name that authenticator apps show; the host name where it is not set.
    pub issuer: Option<Issuer>,
    /// Where the per-user files are.
    pub state_directory: StateDirectory,
    /// What new devices show.
    pub code: CodeConfig,
    /// When guessing stops.
    pub lockout: LockoutConfig,
    /// Bypass codes.
    pub recovery: RecoveryConfig,
    /// Who is asked.
    pub policy: Policy,
    /// What a person sees.
    pub prompt: PromptConfig,
}

/// `[code]`: for new devices; a device keeps what it was enrolled with. `window` holds for all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodeConfig {
    /// 6, 7 or 8.
    pub digits: Digits,
    /// Seconds of a step.
    pub period: Period,
    /// The hash under the HMAC.
    pub algorithm: Algorithm,
    /// Steps accepted on each side of the present one.
    pub window: Window,
}

/// `[lockout]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockoutConfig {
    /// Wrong codes in a row that lock.
    pub after: LockAfter,
    /// How long.
    pub r#for: LockForConfig,
}

/// `[recovery]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecoveryConfig {
    /// How many codes an enrolment hands out.
    pub codes: CodeCount,
}

/// `[prompt]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// What asks for the code.
    pub code: Text,
    /// What every refusal says.
    pub refused: Text,
}

/// A value whose bounds are checked while it is read, so that the error knows its line.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident($inner:ty = $from:literal), $accepts:expr, $error:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = $from)]
        pub struct $name($inner);

        impl TryFrom<$inner> for $name {
            type Error = &'static str;

            fn try_from(value: $inner) -> Result<Self, Self::Error> {
                let accepts: fn(&$inner) -> bool = $accepts;
                if accepts(&value) { Ok(Self(value)) } else { Err($error) }
            }
        }

        impl $name {
            /// The checked value.
            pub fn get(&self) -> &$inner {
                &self.0
            }
        }
    };
}

checked!(
    /// 1 to 60 characters without `:` and control characters; the colon separates issuer and user in a URI.
    Issuer(String = "String"),
    |text| (1..=60).contains(&text.chars().count()) && !text.chars().any(|letter| letter == ':' || letter.is_control()),
    "an issuer has 1 to 60 characters, no colon and no control characters"
);
checked!(
    /// An absolute path.
    StateDirectory(PathBuf = "PathBuf"),
    |path| path.is_absolute(),
    "state_directory must be an absolute path"
);
checked!(
    /// 0 to 10 steps.
    Window(u64 = "u64"),
    |steps| *steps <= 10,
    "window must be 0 to 10 steps"
);
checked!(
    /// 1 to 100 wrong codes.
    LockAfter(u32 = "u32"),
    |codes| (1..=100).contains(codes),
    "after must be 1 to 100 wrong codes"
);
checked!(
    /// 0 to 10 recovery codes.
    CodeCount(u8 = "u8"),
    |codes| *codes <= MOST_CODES,
    "codes must be 0 to 10"
);
checked!(
    /// 1 to 200 characters, no control characters.
    Text(String = "String"),
    |text| (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "a text has 1 to 200 characters and no control characters"
);

/// A duration or `"until-unlocked"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct LockForConfig(pub LockFor);

impl TryFrom<String> for LockForConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "until-unlocked" {
            return Ok(Self(LockFor::UntilUnlocked));
        }
        match Seconds::try_from(text)? {
            Seconds(0) => Err("for must be longer than nothing".into()),
            length => Ok(Self(LockFor::Time(length))),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: None,
            state_directory: StateDirectory(PathBuf::from("/var/lib/pam_otp")),
            code: CodeConfig::default(),
            lockout: LockoutConfig::default(),
            recovery: RecoveryConfig::default(),
            policy: Policy::default(),
            prompt: PromptConfig::default(),
        }
    }
}

impl Default for CodeConfig {
    fn default() -> Self {
        Self { digits: Digits::SIX, period: Period::THIRTY, algorithm: Algorithm::Sha1, window: Window(1) }
    }
}

impl Default for LockoutConfig {
    fn default() -> Self {
        Self { after: LockAfter(6), r#for: LockForConfig(LockFor::Time(Seconds(15 * 60))) }
    }
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self { codes: CodeCount(MOST_CODES) }
    }
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self { code: Text("Verification code: ".into()), refused: Text("Verification failed.".into()) }
    }
}

impl Config {
    /// Reads the text of a configuration file; `path` is only for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|mut error: toml::de::Error| {
            let line = line_of(text, &error);
            // Without the text it would quote, the error names the key instead: "message\nin `key`".
            error.set_input(None);
            let message = error.to_string();
            let what = match message.trim_end().rsplit_once("\nin `") {
                Some((what, key)) => format!("{}: {what}", key.trim_end_matches('`')),
                None => message.trim_end().to_owned(),
            };
            ConfigError { path: path.to_owned(), line, what: what.replace('\n', ", ") }
        })
    }

    /// What the decision needs to know of it.
    pub fn limits(&self) -> Limits {
        Limits {
            window: *self.code.window.get(),
            lock_after: *self.lockout.after.get(),
            lock_for: self.lockout.r#for.0,
        }
    }
}

/// The line of a text, from 1, in which TOML's parser found an error.
pub(crate) fn line_of(text: &str, error: &toml::de::Error) -> Option<usize> {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map(|before| before.matches('\n').count().saturating_add(1))
}

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

#[cfg(test)]
mod tests;
