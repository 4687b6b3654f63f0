//! A hardware token with the seed that came with it, played by oathtool: by time, with a clock that may be wrong, or by the
//! presses of its button.

use crate::machine;
use std::{process::Command, time::SystemTime};

/// What is printed on a token, and what it counts.
#[derive(Clone, Debug)]
pub struct HardwareToken {
    /// Its seed in HEX.
    pub hex: String,
    algorithm: String,
    digits: u8,
    /// Seconds of a step; none where the button counts.
    period: Option<u64>,
    /// Seconds by which its clock is ahead (negative: behind).
    pub clock_off: i64,
}

impl HardwareToken {
    /// One that counts (RFC 4226), with a seed made of this number.
    pub fn hotp(seed: u8) -> HardwareToken {
        let hex = (0..20_u8).map(|byte| format!("{:02x}", byte.wrapping_mul(11).wrapping_add(seed) | 0x80)).collect();
        HardwareToken { hex, algorithm: "SHA1".into(), digits: 6, period: None, clock_off: 0 }
    }

    /// One with a clock (RFC 6238).
    pub fn totp(seed: u8) -> HardwareToken {
        HardwareToken { period: Some(30), ..HardwareToken::hotp(seed) }
    }

    /// The same with codes of another shape.
    #[must_use]
    pub fn shaped(self, algorithm: &str, digits: u8, period: Option<u64>) -> HardwareToken {
        HardwareToken { algorithm: algorithm.to_owned(), digits, period, ..self }
    }

    /// The options that describe it; its seed is no option.
    pub fn options(&self) -> Vec<String> {
        let kind = if self.period.is_some() { "totp" } else { "hotp" };
        let mut options = vec!["--token".to_owned(), "--type".to_owned(), kind.to_owned()];
        if self.algorithm != "SHA1" {
            options.extend(["--algorithm".to_owned(), self.algorithm.clone()]);
        }
        if self.digits != 6 {
            options.extend(["--digits".to_owned(), self.digits.to_string()]);
        }
        if let Some(period) = self.period.filter(|period| *period != 30) {
            options.extend(["--period".to_owned(), period.to_string()]);
        }
        options
    }

    /// The seed in Base32, by oathtool's reckoning.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn base32(&self) -> String {
        let said = machine::run(Command::new("oathtool").args(["--hotp", "--verbose", &self.hex]));
        said.lines().find_map(|line| line.strip_prefix("Base32 secret: ")).unwrap().to_owned()
    }

    /// The code after so many presses of its button, or so many steps from now.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn code(&self, number: i64) -> String {
        let counter = number
            + self.period.map_or(0, |period| {
                let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
                (now + self.clock_off) / i64::try_from(period).unwrap()
            });
        // With steps of a second time is what is counted: so oathtool counts with every hash, not with SHA-1 alone.
        let mut oathtool = Command::new("oathtool");
        oathtool.arg(format!("--totp={}", self.algorithm)).arg(format!("--digits={}", self.digits));
        oathtool.args(["--time-step-size=1s", &format!("--now=@{counter}"), &self.hex]);
        machine::run(&mut oathtool).trim().to_owned()
    }

    /// Digits that it does not show near this number.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn wrong(&self, number: i64) -> String {
        let first = if self.period.is_some() { number - 25 } else { number };
        let near: Vec<_> = (first..first + 50).map(|number| self.code(number)).collect();
        let guesses = (0_u32..).map(|guess| format!("{guess:0width$}", width = usize::from(self.digits)));
        guesses.into_iter().find(|guess| !near.contains(guess)).unwrap()
    }
}
