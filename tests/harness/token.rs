//! A counter-based device (RFC 4226): its codes are good whatever the time is, one after the other, as many as are wanted.

use crate::{machine, phone::Phone, site::Site};
use std::{collections::VecDeque, fs, process::Command};

/// A user's only device.
#[derive(Debug)]
pub struct Token {
    hex: String,
    counter: u64,
    codes: VecDeque<String>,
}

impl Token {
    /// Makes a counter-based device of a phone that has just been set up.
    ///
    /// # Panics
    /// When the record is not as otp-enroll writes it.
    pub fn in_place_of(phone: &Phone, site: &Site) -> Token {
        site.edit(&phone.user, "type = \"totp\"\nperiod = 30\n", "type = \"hotp\"\n");
        let state = String::from_utf8_lossy(&fs::read(site.state_file(&phone.user)).unwrap()).into_owned();
        let marks =
            state.lines().filter_map(|line| line.strip_prefix("device 1 next ")?.split(' ').next()?.parse().ok());
        Token { hex: phone.hex.clone(), counter: marks.max().unwrap(), codes: VecDeque::new() }
    }

    /// The next code, which is good once.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn next_code(&mut self) -> String {
        let code = self.coming(1).remove(0);
        self.counter += 1;
        self.codes.pop_front();
        code
    }

    /// The next code and those after it, which stay unused.
    fn coming(&mut self, count: usize) -> Vec<String> {
        if self.codes.len() < count {
            let mut oathtool = Command::new("oathtool");
            oathtool.arg("--hotp").arg(format!("--counter={}", self.counter)).args(["--window=1999", &self.hex]);
            self.codes = machine::run(&mut oathtool).lines().map(str::to_owned).collect();
        }
        self.codes.iter().take(count).cloned().collect()
    }

    /// A wrong code with this many digits of the next one at its beginning: none that would be accepted now, or is
    /// looked at in vain.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn wrong(&mut self, right_digits: usize) -> String {
        let near = self.coming(20);
        let (prefix, _) = near[0].split_at(right_digits);
        let rest = near[0].len() - right_digits;
        let differs = |guess: &String| guess.as_bytes()[right_digits] != near[0].as_bytes()[right_digits];
        let guesses = (0..10_usize.pow(u32::try_from(rest).unwrap())).map(|tail| format!("{prefix}{tail:0rest$}"));
        guesses.filter(differs).find(|guess| !near.contains(guess)).unwrap()
    }
}
