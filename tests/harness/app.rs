//! The authenticator app in a user's hand, played by oathtool, and the slip of paper with the recovery codes.

use crate::{
    machine,
    outcome::{Dialogue, Outcome},
    users::TestUser,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

/// What an app knows after it has scanned a QR code.
#[derive(Clone, Debug)]
pub struct App {
    /// The key in Base32.
    pub secret: String,
    /// Seconds of a step.
    pub period: u64,
    digits: String,
    algorithm: String,
}

impl App {
    /// Scans an `otpauth://totp/` URI (Key URI Format).
    ///
    /// # Panics
    /// When it has no secret.
    pub fn scan(uri: &str) -> App {
        let query = uri.strip_prefix("otpauth://totp/").and_then(|rest| rest.split_once('?')).unwrap().1;
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        App {
            secret: value("secret").unwrap(),
            period: value("period").map_or(30, |period| period.parse().unwrap()),
            digits: value("digits").unwrap_or_else(|| "6".into()),
            algorithm: value("algorithm").unwrap_or_else(|| "SHA1".into()),
        }
    }

    /// An app with this key and the usual settings.
    pub fn of(secret: &str) -> App {
        App::scan(&format!("otpauth://totp/x?secret={secret}"))
    }

    /// The code that it shows `steps` from now. Of a step that is about to end, the end is waited for, so that a code is
    /// still what it was when it is looked at. Asked again, it may be the next step's: keep what is to be given twice.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn code(&self, steps: i64) -> String {
        self.code_for(3, steps)
    }

    /// The last code that a window of one step accepts, so that a set-up confirmed by it leaves [`code(0)`](Self::code)
    /// unused. It is too old once the step ends: so twenty seconds are left for a machine that stands still to look at it.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn previous_code(&self) -> String {
        self.code_for(20, -1)
    }

    /// The code `steps` from now, in a step that goes on for more than so many `seconds`.
    fn code_for(&self, seconds: u64, steps: i64) -> String {
        let left = || self.period - SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() % self.period;
        while left() <= seconds {
            thread::sleep(Duration::from_millis(100));
        }
        self.codes(steps, 0).remove(0)
    }

    /// Digits that are no code of this app's within hours.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn wrong(&self) -> String {
        let near = self.codes(-300, 600);
        let width = near[0].len();
        // Not from zeros: many a line of a log has those.
        (738_205..).map(|guess: u32| format!("{guess:0width$}")).find(|guess| !near.contains(guess)).unwrap()
    }

    /// The key in HEX, by oathtool's reckoning.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn hex(&self) -> String {
        let said = machine::run(Command::new("oathtool").args(["--totp", "--verbose", "--base32", &self.secret]));
        said.lines().find_map(|line| line.strip_prefix("Hex secret: ")).unwrap().to_owned()
    }

    /// The code of the step that is `first` steps from now, and as many more.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn codes(&self, first: i64, more: u32) -> Vec<String> {
        let seconds = first * i64::try_from(self.period).unwrap();
        let mut oathtool = Command::new("oathtool");
        oathtool.arg(format!("--totp={}", self.algorithm)).args(["--base32", "--digits", &self.digits]);
        oathtool.arg(format!("--time-step-size={}", self.period)).arg(format!("--window={more}"));
        oathtool.arg(format!("--now=now {seconds:+} seconds")).arg(&self.secret);
        machine::run(&mut oathtool).lines().map(str::to_owned).collect()
    }

    /// Whether it shows digits twice about now. They are taken for the later step's, and use up the codes between.
    pub(crate) fn repeats_digits(&self) -> bool {
        let codes = self.codes(-11, 22);
        codes.iter().collect::<BTreeSet<_>>().len() < codes.len()
    }
}

/// A user with a second factor. Its confirming code was that of the step before the present one, so that those of the
/// present step and of the next are still good.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The app.
    pub app: App,
    /// The recovery codes, in the order in which they were shown.
    pub recovery: Vec<String>,
}

impl Enrolled {
    /// Sets a user up through the helper, as a script does it.
    ///
    /// # Panics
    /// When it does not come out as it should.
    pub fn new(user: &TestUser) -> Enrolled {
        let mut enroll = user.command("otp-enroll");
        Enrolled::by(enroll.arg("--json"))
    }

    /// Sets up, or resets, by this command, to which everything but the confirming code is said already.
    ///
    /// # Panics
    /// When it does not come out as it should.
    pub fn by(command: &mut Command) -> Enrolled {
        let mut talk = Dialogue::start(command);
        let app = App::scan(talk.json()["uri"].as_str().unwrap());
        // Where the clock goes on meanwhile, the first of them is too old; the other one is not read where it is not.
        talk.say_if_heard(&format!("{}\n{}", app.code(-1), app.code(0)));
        let recovery = codes(&talk.json()["recovery_codes"]);
        let Outcome { code, err, .. } = talk.end();
        assert_eq!((code, err.as_str()), (Some(0), ""));
        Enrolled { app, recovery }
    }
}

/// Recovery codes as otp-enroll and the helper hand them out; none where they do not.
pub fn codes(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|code| code.as_str().map(str::to_owned)).collect()
}
