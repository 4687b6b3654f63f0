//! A token with a keypad, played by Python: what is typed into it, and the response that it shows (RFC 6287).

use crate::{machine, outcome::Dialogue, phone::Phone};
use std::process::Command;

/// One with this seed.
#[derive(Clone, Debug)]
pub struct Keypad {
    /// Its seed in HEX.
    pub hex: String,
}

/// The suite of RFC 6287 that most such tokens have.
const SUITE: &str = "OCRA-1:HOTP-SHA1-6:QN08";

/// The number becomes HEX digits from the left of 128 bytes.
const RESPONSE: &str = "\
import hashlib, hmac, sys
suite, key, question = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
message = suite.encode() + b'\\0' + bytes.fromhex(('%x' % question).ljust(256, '0'))
mac = hmac.new(key, message, hashlib.sha1).digest()
number = int.from_bytes(mac[mac[-1] & 15:][:4], 'big') & 0x7fffffff
print('%06d' % (number % 10**6))
";

impl Keypad {
    /// With a seed made of this number.
    pub fn new(seed: u8) -> Keypad {
        Keypad {
            hex: (0..20_u8).map(|byte| format!("{:02x}", byte.wrapping_mul(7).wrapping_add(seed) | 0x80)).collect(),
        }
    }

    /// The options that describe it; its seed is no option.
    pub fn options(&self) -> [&'static str; 3] {
        ["--token", "--ocra", SUITE]
    }

    /// Has a user, who has a phone, add it with their `otp-enroll`: device 2, `keypad`. That takes a recovery code.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn add(&self, mut otp_enroll: Command, phone: &Phone) {
        let mut talk = Dialogue::start(otp_enroll.args(["--json", "add", "keypad"]).args(self.options()));
        talk.say(&self.hex);
        talk.say(&phone.recovery_code());
        let question = talk.json()["question"].as_str().unwrap().to_owned();
        talk.say(&self.answer("1234"));
        talk.say(&self.answer(&question));
        assert_eq!(talk.json()["device"], 2);
        assert_eq!(talk.end().code, Some(0));
    }

    /// What it shows when this is typed into it, the text of a challenge as it is read.
    ///
    /// # Panics
    /// Where there is no number, or Python fails.
    pub fn answer(&self, challenge: &str) -> String {
        let question: String = challenge.chars().filter(char::is_ascii_digit).collect();
        let shown = machine::run(Command::new("python3").args(["-c", RESPONSE, SUITE, &self.hex, &question]));
        shown.trim().to_owned()
    }
}
