//! A user's authenticator app and slip of recovery codes: set up by the real otp-enroll, read with the real oathtool.

use crate::{
    app::{App, codes},
    outcome::Dialogue,
    site::Site,
    users::TestUser,
};
use std::{
    cell::{Cell, RefCell},
    process::Command,
};

/// What a person has after setting up. The code that confirmed it is spent.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Whose it is.
    pub user: String,
    /// The app on it.
    pub app: App,
    /// The key, in HEX.
    pub hex: String,
    /// The recovery codes, in the order in which they were handed out.
    pub recovery: Vec<String>,
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
    pub fn enroll(site: &Site, user: &str) -> Phone {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(site.config()).args(["--user", user]);
        Phone::enroll_by(command, site)
    }

    /// Sets a user up at the machine's site, as the user does it, through the helper.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn enroll_self(user: &TestUser) -> Phone {
        Phone::enroll_by(user.command("otp-enroll"), &Site::of_the_machine())
    }

    /// Of a user who typed in a key that a login showed. Nothing is confirmed yet, and there are no recovery codes.
    pub fn with_key(site: &Site, user: &str, key: &str) -> Phone {
        let app = App::of(key);
        Phone::new(site, user, app.hex(), app)
    }

    fn enroll_by(mut command: Command, site: &Site) -> Phone {
        let mut enroll = Dialogue::start(command.arg("--json"));
        let offer = enroll.json();
        let text = |key: &str| offer[key].as_str().unwrap_or_else(|| panic!("no {key} in {offer}"));
        let mut phone = Phone::new(site, text("user"), text("hex").to_owned(), App::scan(text("uri")));
        enroll.say(&phone.next_code());
        phone.recovery = codes(&enroll.json()["recovery_codes"]);
        assert_eq!(enroll.end().code, Some(0));
        phone
    }

    fn new(site: &Site, user: &str, hex: String, app: App) -> Phone {
        // An old code comes first where old ones are accepted: all later ones are still unused then. Not the oldest,
        // since the clock may go on meanwhile.
        let at = Cell::new(1 - site.window().max(2));
        let (recovery, last, used) = (Vec::new(), RefCell::default(), Cell::new(0));
        Phone { user: user.to_owned(), app, hex, recovery, at, last, used }
    }

    /// The code that is shown `steps` from now.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn code(&self, steps: i64) -> String {
        self.app.codes(steps, 0).remove(0)
    }

    /// The next code that was not handed out yet: shown now, earlier or later, and accepted where the window is wide
    /// enough. A site of a test's own is good for seventeen.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn next_code(&self) -> String {
        // Digits that are shown again within the window are taken for the later step's, and would use up those between.
        let mut codes = loop {
            self.at.set(self.at.get() + 1);
            let codes = self.app.codes(self.at.get(), 20);
            if !codes[1..].contains(&codes[0]) {
                break codes;
            }
        };
        self.last.replace(codes.remove(0));
        self.last_code()
    }

    /// The code that was handed out last, whatever the time is by now.
    pub fn last_code(&self) -> String {
        self.last.borrow().clone()
    }

    /// As [`App::wrong`].
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn wrong(&self) -> String {
        self.app.wrong()
    }

    /// The next unused recovery code.
    ///
    /// # Panics
    /// When none is left.
    pub fn recovery_code(&self) -> String {
        self.used.set(self.used.get() + 1);
        self.recovery[self.used.get() - 1].clone()
    }

    /// Has the user make another device the default with their `otp-enroll`. That takes a recovery code.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn make_default(&self, mut otp_enroll: Command, name: &str) {
        let mut talk = Dialogue::start(otp_enroll.args(["--json", "default", name]));
        talk.say(&self.recovery_code());
        talk.json();
        assert_eq!(talk.end().code, Some(0));
    }

    /// The recovery code that was handed out last.
    ///
    /// # Panics
    /// When there was none.
    pub fn last_recovery_code(&self) -> String {
        self.recovery[self.used.get() - 1].clone()
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
