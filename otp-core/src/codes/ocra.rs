//! OCRA (RFC 6287): a response to a challenge, for tokens with a keypad.
//!
//! Suites are read as the RFC writes them, `OCRA-1:HOTP-SHA1-6:QN08`. A token's PIN never reaches this machine and a session
//! has no meaning at a login, so a device has a suite with neither ([`Suite::is_for_logins`]).

use std::fmt::{self, Write as _};

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Algorithm, Digits, Keyed};
use crate::value::secret::Secret;

/// What a response is computed from and how (RFC 6287 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    algorithm: Algorithm,
    digits: Digits,
    counts: bool,
    question: Question,
    pin: Option<Algorithm>,
    session: Option<usize>,
    step: Option<u64>,
}

/// The form of a challenge: its alphabet, and how many characters it has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub alphabet: Alphabet,
    /// 4 to 64.
    pub length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `QN`
    Digits,
    /// `QH`
    Hex,
    /// `QA`
    Letters,
}

/// What goes into a response besides the key. Of each, what the suite has no place for is not read.
#[derive(Clone, Copy, Default)]
pub struct Input<'a> {
    pub counter: u64,
    pub question: &'a str,
    /// The PIN as it is typed, not its hash.
    pub pin: &'a str,
    /// Bytes of the session.
    pub session: &'a [u8],
    /// Seconds since the epoch.
    pub time: u64,
}

/// Bytes of a question, whatever its length.
const QUESTION: usize = 128;

impl Suite {
    /// Reads a suite; `None` if RFC 6287 has none like it, or if its responses have not 6 to 8 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (version, function, input) = (parts.next()?, parts.next()?, parts.next()?);
        if version != "OCRA-1" || parts.next().is_some() {
            return None;
        }
        let (hash, digits) = function.strip_prefix("HOTP-")?.split_once('-')?;
        let digits = Digits::try_from(plain(digits)?.parse::<u8>().ok()?).ok()?;
        let mut fields = input.split('-').peekable();
        let counts = fields.next_if_eq(&"C").is_some();
        let question = Question::parse(fields.next()?)?;
        let pin = match fields.next_if(|field| field.starts_with('P')) {
            Some(field) => Some(Algorithm::parse(field.get(1..)?)?),
            None => None,
        };
        let session = match fields.next_if(|field| field.starts_with('S')) {
            Some(field) => {
                Some(field.get(1..).filter(|length| length.len() == 3)?.parse().ok().filter(|length| *length <= 512)?)
            }
            None => None,
        };
        let step = match fields.next_if(|field| field.starts_with('T')) {
            Some(field) => Some(seconds(field.get(1..)?)?),
            None => None,
        };
        let algorithm = Algorithm::parse(hash)?;
        let is_whole = fields.next().is_none();
        let suite = Self { algorithm, digits, counts, question, pin, session, step };
        // A suite has one spelling: it is part of what a response is computed from.
        (is_whole && suite.to_string() == text).then_some(suite)
    }

    pub fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    pub fn digits(self) -> Digits {
        self.digits
    }

    pub fn question(self) -> Question {
        self.question
    }

    /// Whether the token counts its responses.
    pub fn counts(self) -> bool {
        self.counts
    }

    /// Seconds of a step of the token's clock, if the suite has one.
    pub fn step(self) -> Option<u64> {
        self.step
    }

    /// Whether everything that it takes is known here.
    pub fn is_for_logins(self) -> bool {
        self.pin.is_none() && self.session.is_none()
    }

    /// The response; `None` if the input does not fit the suite.
    pub fn response(&self, key: &Secret, input: Input<'_>) -> Option<Code> {
        let mut message = Zeroizing::new(Vec::with_capacity(1024));
        message.extend_from_slice(self.to_string().as_bytes());
        message.push(0);
        if self.counts {
            message.extend_from_slice(&input.counter.to_be_bytes());
        }
        message.extend_from_slice(&self.question.bytes(input.question)?);
        match self.pin {
            Some(Algorithm::Sha1) => message.extend_from_slice(&Sha1::digest(input.pin.as_bytes())),
            Some(Algorithm::Sha256) => message.extend_from_slice(&Sha256::digest(input.pin.as_bytes())),
            Some(Algorithm::Sha512) => message.extend_from_slice(&Sha512::digest(input.pin.as_bytes())),
            None => {}
        }
        if let Some(length) = self.session {
            let padding = length.checked_sub(input.session.len())?;
            message.extend(std::iter::repeat_n(0, padding));
            message.extend_from_slice(input.session);
        }
        if let Some(step) = self.step {
            message.extend_from_slice(&input.time.checked_div(step)?.to_be_bytes());
        }
        Keyed::new(key, self.algorithm)?.code(&message, self.digits)
    }
}

/// As RFC 6287 writes it.
impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, digits, counts, question, pin, session, step } = self;
        let (count, alphabet) = (if *counts { "C-" } else { "" }, question.alphabet.letter());
        write!(f, "OCRA-1:HOTP-{}-{}:{count}Q{alphabet}{:02}", algorithm.name(), digits.get(), question.length)?;
        if let Some(hash) = pin {
            write!(f, "-P{}", hash.name())?;
        }
        if let Some(length) = session {
            write!(f, "-S{length:03}")?;
        }
        match step {
            Some(seconds) if seconds.is_multiple_of(3600) => write!(f, "-T{}H", seconds.checked_div(3600).unwrap_or(0)),
            Some(seconds) if seconds.is_multiple_of(60) => write!(f, "-T{}M", seconds.checked_div(60).unwrap_or(0)),
            Some(seconds) => write!(f, "-T{seconds}S"),
            None => Ok(()),
        }
    }
}

impl Alphabet {
    fn letter(self) -> char {
        match self {
            Self::Digits => 'N',
            Self::Hex => 'H',
            Self::Letters => 'A',
        }
    }
}

impl Question {
    fn parse(field: &str) -> Option<Self> {
        let (alphabet, length) = field.strip_prefix('Q')?.split_at_checked(1)?;
        let alphabet = match alphabet {
            "N" => Alphabet::Digits,
            "H" => Alphabet::Hex,
            "A" => Alphabet::Letters,
            _ => return None,
        };
        let length = plain(length).filter(|length| length.len() == 2)?.parse().ok()?;
        (4..=64).contains(&length).then_some(Self { alphabet, length })
    }

    /// A question made of random bytes, one for each character.
    pub fn draw(self, random: &[u8]) -> String {
        let letters: &[u8] = match self.alphabet {
            Alphabet::Digits => b"0123456789",
            Alphabet::Hex => b"0123456789ABCDEF",
            Alphabet::Letters => b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ",
        };
        // A slight bias towards the first letters does no harm: a challenge need not be secret, only new.
        let letter = |byte: &u8| letters.get(usize::from(*byte).checked_rem(letters.len())?).copied().map(char::from);
        random.iter().take(self.length).filter_map(letter).collect()
    }

    /// A question as 128 bytes (RFC 6287 §5.1): digits as a number in HEX, HEX as it is, letters in ASCII; zeros behind it.
    fn bytes(self, question: &str) -> Option<[u8; QUESTION]> {
        let mut bytes = [0; QUESTION];
        // Two questions in one, where both sides challenge (RFC 6287 §7.2).
        let fits = (1..=self.length.saturating_mul(2)).contains(&question.len());
        if !fits {
            return None;
        }
        let hex = match self.alphabet {
            Alphabet::Letters => {
                bytes.get_mut(..question.len())?.copy_from_slice(question.as_bytes());
                return question.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(bytes);
            }
            Alphabet::Hex => question.to_owned(),
            Alphabet::Digits => hex_of(question)?,
        };
        let nibbles = hex.chars().map(|digit| digit.to_digit(16));
        for (place, nibble) in nibbles.enumerate() {
            let nibble = u8::try_from(nibble?).ok()?;
            let byte = bytes.get_mut(place.checked_div(2)?)?;
            *byte |= if place.is_multiple_of(2) { nibble.checked_shl(4)? } else { nibble };
        }
        Some(bytes)
    }
}

/// A decimal number of any length in HEX, without leading zeros.
fn hex_of(decimal: &str) -> Option<String> {
    let mut nibbles = vec![0u32]; // the lowest first
    for digit in plain(decimal)?.chars() {
        let mut carry = digit.to_digit(10)?;
        for nibble in &mut nibbles {
            let value = nibble.checked_mul(10)?.checked_add(carry)?;
            (*nibble, carry) = (value & 15, value >> 4);
        }
        while carry > 0 {
            nibbles.push(carry & 15);
            carry >>= 4;
        }
    }
    let mut hex = String::with_capacity(nibbles.len());
    for nibble in nibbles.iter().rev() {
        write!(hex, "{nibble:x}").ok()?;
    }
    Some(hex)
}

/// The text if it is decimal digits alone.
fn plain(digits: &str) -> Option<&str> {
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// `30S`, `1M`, `12H` (RFC 6287 §6.3).
fn seconds(step: &str) -> Option<u64> {
    let (number, unit) = step.split_at_checked(step.len().checked_sub(1)?)?;
    let number: u64 = plain(number)?.parse().ok()?;
    let (most, length) = match unit {
        "S" => (59, 1),
        "M" => (59, 60),
        "H" => (48, 3600),
        _ => return None,
    };
    (1..=most).contains(&number).then(|| number.checked_mul(length))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use subtle::ConstantTimeEq;

    /// The keys of RFC 6287 appendix C: as many bytes of the digits as the hash has.
    fn key(bytes: usize) -> Secret {
        Secret::new(Zeroizing::new(b"1234567890".repeat(7)[..bytes].to_vec())).unwrap()
    }

    #[track_caller]
    fn is(suite: &str, bytes: usize, input: Input<'_>, expected: &str) {
        let response = Suite::parse(suite).unwrap().response(&key(bytes), input).unwrap();
        let expected_code = Code::parse(expected.as_bytes()).unwrap();
        assert!(bool::from(response.ct_eq(&expected_code)), "{suite} {}: not {expected}", input.question);
    }

    /// `11111111` and its like.
    fn eight(digit: u64) -> String {
        digit.to_string().repeat(8)
    }

    /// 2008-03-25 12:06 UTC, the time of the RFC's vectors: step 132d0b6 of minutes.
    const TIME: u64 = 0x0132_d0b6 * 60;

    #[test]
    fn rfc_6287_one_way_challenge_and_response() {
        let responses =
            ["237653", "243178", "653583", "740991", "608993", "388898", "816933", "224598", "750600", "294470"];
        for (digit, expected) in (0..).zip(responses) {
            is("OCRA-1:HOTP-SHA1-6:QN08", 20, Input { question: &eight(digit), ..Input::default() }, expected);
        }
        let responses = [
            "65347737", "86775851", "78192410", "71565254", "10104329", "65983500", "70069104", "91771096", "75011558",
            "08522129",
        ];
        for (counter, expected) in (0..).zip(responses) {
            let input = Input { counter, question: "12345678", pin: "1234", ..Input::default() };
            is("OCRA-1:HOTP-SHA256-8:C-QN08-PSHA1", 32, input, expected);
        }
        for (digit, expected) in (0..).zip(["83238735", "01501458", "17957585", "86776967", "86807031"]) {
            let input = Input { question: &eight(digit), pin: "1234", ..Input::default() };
            is("OCRA-1:HOTP-SHA256-8:QN08-PSHA1", 32, input, expected);
        }
        let responses = [
            "07016083", "63947962", "70123924", "25341727", "33203315", "34205738", "44343969", "51946085", "20403879",
            "31409299",
        ];
        for (counter, expected) in (0..).zip(responses) {
            let input = Input { counter, question: &eight(counter), ..Input::default() };
            is("OCRA-1:HOTP-SHA512-8:C-QN08", 64, input, expected);
        }
        for (digit, expected) in (0..).zip(["95209754", "55907591", "22048402", "24218844", "36209546"]) {
            let input = Input { question: &eight(digit), time: TIME, ..Input::default() };
            is("OCRA-1:HOTP-SHA512-8:QN08-T1M", 64, input, expected);
        }
    }

    #[test]
    fn rfc_6287_mutual_challenge_and_response() {
        let vectors = [
            ("OCRA-1:HOTP-SHA256-8:QA08", 32, "", true, ["28247970", "01984843", "65387857", "03351211", "83412541"]),
            ("OCRA-1:HOTP-SHA256-8:QA08", 32, "", false, ["15510767", "90175646", "33777207", "95285278", "28934924"]),
            ("OCRA-1:HOTP-SHA512-8:QA08", 64, "", true, ["79496648", "76831980", "12250499", "90856481", "12761449"]),
            (
                "OCRA-1:HOTP-SHA512-8:QA08-PSHA1",
                64,
                "1234",
                false,
                ["18806276", "70020315", "01600026", "18951020", "32528969"],
            ),
        ];
        for (suite, bytes, pin, of_server, responses) in vectors {
            for (n, expected) in (0..).zip(responses) {
                let (client, server) = (format!("CLI2222{n}"), format!("SRV1111{n}"));
                let question = if of_server { client + &server } else { server + &client };
                is(suite, bytes, Input { question: &question, pin, ..Input::default() }, expected);
            }
        }
    }

    #[test]
    fn rfc_6287_plain_signature() {
        for (n, expected) in (0..).zip(["53095496", "04110475", "31331128", "76028668", "46554205"]) {
            let question = format!("SIG1{n}000");
            is("OCRA-1:HOTP-SHA256-8:QA08", 32, Input { question: &question, ..Input::default() }, expected);
        }
        for (n, expected) in (0..).zip(["77537423", "31970405", "10235557", "95213541", "65360607"]) {
            let input = Input { question: &format!("SIG1{n}00000"), time: TIME, ..Input::default() };
            is("OCRA-1:HOTP-SHA512-8:QA10-T1M", 64, input, expected);
        }
    }

    #[test]
    fn a_suite_is_read_as_the_rfc_writes_it_and_in_no_other_way() {
        for good in [
            "OCRA-1:HOTP-SHA1-6:QN08",
            "OCRA-1:HOTP-SHA512-7:C-QH40-PSHA256-S512-T48H",
            "OCRA-1:HOTP-SHA256-8:QA04-T59S",
        ] {
            assert_eq!(Suite::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "OCRA-1",
            "OCRA-2:HOTP-SHA1-6:QN08",
            "OCRA-1:HOTP-SHA1-6",
            "OCRA-1:HOTP-SHA1-6:QN08:",
            "OCRA-1:HOTP-MD5-6:QN08",
            "OCRA-1:HOTP-SHA1-0:QN08",
            "OCRA-1:HOTP-SHA1-9:QN08",
            "OCRA-1:HOTP-SHA1-+6:QN08",
            "OCRA-1:HOTP-SHA1-6:C",
            "OCRA-1:HOTP-SHA1-6:QN08-C",
            "OCRA-1:HOTP-SHA1-6:QX08",
            "OCRA-1:HOTP-SHA1-6:QN3",
            "OCRA-1:HOTP-SHA1-6:QN03",
            "OCRA-1:HOTP-SHA1-6:QN65",
            "OCRA-1:HOTP-SHA1-6:QN08-PMD5",
            "OCRA-1:HOTP-SHA1-6:QN08-S64",
            "OCRA-1:HOTP-SHA1-6:QN08-S513",
            "OCRA-1:HOTP-SHA1-6:QN08-T0M",
            "OCRA-1:HOTP-SHA1-6:QN08-T60M",
            "OCRA-1:HOTP-SHA1-6:QN08-T49H",
            "OCRA-1:HOTP-SHA1-6:QN08-T1D",
            "OCRA-1:HOTP-SHA1-6:QN08-T",
            "OCRA-1:HOTP-SHA1-6:QN08-T1M-",
            "ocra-1:hotp-sha1-6:qn08",
            "OCRA-1:HOTP-SHA1-6:Qé08",
        ] {
            assert_eq!(Suite::parse(bad), None, "{bad}");
        }
        let of = |suite: &str| Suite::parse(suite).unwrap().is_for_logins();
        assert!(
            of("OCRA-1:HOTP-SHA1-6:C-QN08-T1M")
                && !of("OCRA-1:HOTP-SHA1-6:QN08-PSHA1")
                && !of("OCRA-1:HOTP-SHA1-6:QN08-S064")
        );
    }

    #[test]
    fn a_question_that_does_not_fit_has_no_response() {
        let suite = Suite::parse("OCRA-1:HOTP-SHA1-6:QN08").unwrap();
        for question in ["", "1234567a", "12345678901234567", "１２３４５６７８"] {
            assert!(suite.response(&key(20), Input { question, ..Input::default() }).is_none(), "{question}");
        }
        let session = Suite::parse("OCRA-1:HOTP-SHA1-6:QN08-S064").unwrap();
        let of = |session_bytes: &[u8]| {
            session.response(&key(20), Input { question: "1", session: session_bytes, ..Input::default() })
        };
        assert!(of(&[1; 64]).is_some() && of(&[]).is_some() && of(&[1; 65]).is_none());
    }

    #[test]
    fn a_question_is_drawn_from_its_alphabet_in_its_length() {
        let draw = |suite: &str, random: &[u8]| Suite::parse(suite).unwrap().question().draw(random);
        assert_eq!(draw("OCRA-1:HOTP-SHA1-6:QN08", &[0, 9, 10, 255, 1, 2, 3, 4, 5]), "09051234");
        assert_eq!(draw("OCRA-1:HOTP-SHA1-6:QH04", &[15, 16, 31, 10]), "F0FA");
        assert_eq!(draw("OCRA-1:HOTP-SHA1-6:QA04", &[0, 31, 32, 8]), "2Z2A");
    }
}
