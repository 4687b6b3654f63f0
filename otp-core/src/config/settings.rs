//! What transactions go by, on whichever machine they run.

use crate::codes::hotp_totp::{Algorithm, CodeConfig, Digits, Period};
use crate::codes::recovery::MOST_CODES;
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Policy, SecondFactor, Terms};
use crate::decision::verify::{Limits, LockFor};
use crate::value::time::Seconds;

/// The part of a configuration that decides. Nothing in it names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name that authenticator apps show; by default the host name. No colon: it separates issuer and user in a URI.
    pub issuer: Option<String>,
    /// The codes of new devices.
    pub code: CodeConfig,
    /// The window and the lockout.
    pub limits: Limits,
    /// Number of recovery codes of an enrollment, at most [`MOST_CODES`].
    pub recovery_codes: u8,
    /// Which logins need a second factor.
    pub policy: Policy,
    /// How long a user is not asked again from an address; `None` for no grace.
    pub grace: Option<Seconds>,
    /// Whether refusals are enforced. During a rollout they are only logged.
    pub enforce: bool,
}

/// Those of an empty file.
impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: None,
            code: CodeConfig { digits: Digits::SIX, period: Period::THIRTY, algorithm: Algorithm::Sha1 },
            limits: Limits { window: 1, lock_after: 6, lock_for: LockFor::Time(Seconds(15 * 60)), devices: Kinds::ALL },
            recovery_codes: MOST_CODES,
            // Adding the PAM line locks no user out.
            policy: Policy {
                terms: Terms { second_factor: SecondFactor::Optional, ..Terms::default() },
                rules: Vec::new(),
            },
            grace: None,
            enforce: true,
        }
    }
}
