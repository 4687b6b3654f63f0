//! A user's authenticator app and slip of recovery codes: set up by the real otp-enroll, read with the real oathtool.

use crate::{app::App, conversation::Talk, machine, script::Script, site::Site, users::TestUser};
use std::{
    cell::{Cell, RefCell},
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

/// What a person has after setting up. The code that confirmed it is spent.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Whose it is.
    pub user: String,
    /// The key, in Base32.
    pub secret: String,
    /// The key, in HEX.
    pub hex: String,
    /// The recovery codes, in the order in which they were handed out.
    pub recovery: Vec<String>,
    digits: u64,
    period: i64,
    /// Steps from the time at which the last code was handed out to its own.
    at: Cell<i64>,
    last: RefCell<String>,
    used: Cell<usize>,
}

impl Phone {
    /// Sets `user` up at a site, as root does it.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn enrol(site: &Site, user: &str) -> Phone {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(site.config()).args(["--user", user]);
        Phone::enrol_by(command, site)
    }

    /// Sets a user up at the machine's site, as the user does it, through the helper.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn enrol_self(user: &TestUser) -> Phone {
        Phone::enrol_by(user.command("otp-enroll"), &Site::of_the_machine())
    }

    /// Of a user who typed in a key that a login showed. Nothing is confirmed yet, and there are no recovery codes.
    pub fn with_key(site: &Site, user: &str, key: &str) -> Phone {
        Phone {
            user: user.to_owned(),
            secret: key.to_owned(),
            hex: App::of(key).hex(),
            recovery: Vec::new(),
            digits: 6,
            period: 30,
            at: Cell::new(1 - site.window().max(2)),
            last: RefCell::default(),
            used: Cell::new(0),
        }
    }

    fn enrol_by(mut command: Command, site: &Site) -> Phone {
        let mut enroll = command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(enroll.stdout.take().unwrap()).lines();
        let mut line = || {
            let line = lines.next().unwrap_or_else(|| panic!("otp-enroll says nothing more")).unwrap();
            serde_json::from_str::<serde_json::Value>(&line).unwrap()
        };
        let offer = line();
        let text = |key: &str| offer[key].as_str().unwrap_or_else(|| panic!("no {key} in {offer}")).to_owned();
        let mut phone = Phone {
            user: text("user"),
            secret: text("secret"),
            hex: text("hex"),
            recovery: Vec::new(),
            digits: offer["digits"].as_u64().unwrap(),
            period: offer["period"].as_i64().unwrap(),
            // With an old code where old ones are accepted: all later ones are still unused then. Not with the oldest,
            // since the clock may go on meanwhile.
            at: Cell::new(1 - site.window().max(2)),
            last: RefCell::default(),
            used: Cell::new(0),
        };
        writeln!(enroll.stdin.take().unwrap(), "{}", phone.next_code()).unwrap();
        let codes = line()["recovery_codes"].clone();
        phone.recovery = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        assert!(enroll.wait().unwrap().success());
        phone
    }

    /// The code that is shown `steps` from now.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn code(&self, steps: i64) -> String {
        self.codes(steps, 0).remove(0)
    }

    /// The next code that was not handed out yet: shown now, earlier or later, and accepted where the window is wide
    /// enough. A site of a test's own is good for seventeen.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn next_code(&self) -> String {
        self.at.set(self.at.get() + 1);
        self.last.replace(self.code(self.at.get()));
        self.last_code()
    }

    /// The code that was handed out last, whatever the time is by now.
    pub fn last_code(&self) -> String {
        self.last.borrow().clone()
    }

    /// Six digits that are no code within an hour.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn wrong(&self) -> String {
        let near = self.codes(-3600 / self.period, 7200 / self.period);
        (0..).map(|guess| format!("{guess:06}")).find(|guess| !near.contains(guess)).unwrap_or_default()
    }

    /// The next unused recovery code.
    ///
    /// # Panics
    /// When none is left.
    pub fn recovery_code(&self) -> String {
        self.used.set(self.used.get() + 1);
        self.recovery[self.used.get() - 1].clone()
    }

    fn codes(&self, first: i64, more: i64) -> Vec<String> {
        let mut oathtool = Command::new("oathtool");
        oathtool.args(["--totp", "--base32", &format!("--digits={}", self.digits)]);
        oathtool.arg(format!("--time-step-size={}s", self.period)).arg(format!("--window={more}"));
        oathtool.arg(format!("--now=now {:+} seconds", first * self.period)).arg(&self.secret);
        machine::run(&mut oathtool).lines().map(str::to_owned).collect()
    }

    /// A script in which this phone is at hand: `%user`; `%next` is a fresh code and `%last` the same once more; `%wrong`;
    /// `%recovery` is a fresh recovery code and `%used` the same once more.
    pub fn script(&self, talk: Talk) -> Script<'_> {
        Script::new(talk)
            .word("user", &self.user)
            .word_from("next", |_| self.next_code())
            .word_from("last", |_| self.last_code())
            .word_from("wrong", |_| self.wrong())
            .word_from("recovery", |_| self.recovery_code())
            .word_from("used", |_| self.recovery[self.used.get() - 1].clone())
    }
}

/// The key that a person without a camera types in, from what a login shows.
///
/// # Panics
/// When there is none, or it is not one.
pub fn key(seen: &str) -> String {
    let line = seen.lines().find_map(|line| line.trim_end().strip_prefix("or type this key: "));
    let key = line.unwrap_or_else(|| panic!("no key in {seen}")).replace(' ', "");
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)));
    key
}

/// The recovery codes that a login shows.
///
/// # Panics
/// When one of them is too short or too long.
pub fn recovery_codes(seen: &str) -> Vec<String> {
    let codes = seen.lines().filter_map(|line| line.trim_end().strip_prefix("    ").map(str::to_owned));
    let codes: Vec<_> = codes.collect();
    assert!(codes.iter().all(|code| code.len() == 19), "{seen}");
    codes
}
