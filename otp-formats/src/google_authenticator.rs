//! The file of google-authenticator, `~/.google_authenticator`: a seed, options, scratch codes.

use otp_core::codes::attempt::Code;
use otp_core::codes::hotp_totp::{Algorithm, Clock, Digits, Period};
use otp_core::codes::plain_text::PlainText;
use otp_core::codes::recovery::{MOST_CODES, SCRATCH_DIGITS};
use otp_core::decision::import::{Found, Imported};
use otp_core::record::credentials::Kind;
use otp_core::value::secret::Secret;
use zeroize::Zeroizing;

/// Letters of Base32 (RFC 4648 §6), by their values.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bits that RFC 4226 §4 asks of a seed at least.
const FEWEST_BITS: usize = 128;

/// What one file says.
pub struct UserFile {
    pub found: Found,
    /// What is not imported as it was, in sentences.
    pub remarks: Vec<String>,
}

/// How far from ours a code may be at most, in codes before and after together.
#[derive(Clone, Copy)]
pub struct Windows {
    pub totp: u64,
    pub hotp: u64,
}

/// The lines that matter.
#[derive(Default)]
struct Options {
    is_totp: bool,
    counter: Option<u64>,
    step_size: Option<u64>,
    window: Option<u64>,
    skew: Option<i64>,
    /// The latest step that was used.
    used: Option<u64>,
}

/// Reads a file. The error says what is wrong with it, without a word of it: that may be a seed.
pub fn read(text: &[u8], ours: Windows) -> Result<UserFile, String> {
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let secret = lines.next().map(|(_, line)| seed(line)).ok_or("it is empty")??;
    let (mut options, mut scratch) = (Options::default(), Vec::new());
    for (number, line) in lines {
        let line = str::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?.trim();
        if let Some(option) = line.strip_prefix('"') {
            options.take(option.trim()).ok_or_else(|| format!("line {number}: its number cannot be read"))?;
        } else if !line.is_empty() {
            let code = Code::of_length(line.as_bytes(), SCRATCH_DIGITS);
            scratch.push(code.ok_or_else(|| format!("line {number} is neither an option nor a scratch code"))?);
        }
    }
    let mut remarks = options.remarks(ours);
    if secret.expose().len().saturating_mul(8) < FEWEST_BITS {
        let bits = secret.expose().len().saturating_mul(8);
        remarks.push(format!("the seed has {bits} bits; new ones have 160 (otp-enroll reset)"));
    }
    if scratch.len() > usize::from(MOST_CODES) {
        remarks.push(format!("{MOST_CODES} of {} scratch codes are imported", scratch.len()));
    }
    let (kind, next) = options.kind()?;
    let device = Imported {
        kind,
        secret,
        algorithm: Algorithm::Sha1,
        digits: Digits::SIX,
        next,
        last: None,
        is_confirmed: true,
        name: None,
        serial: None,
    };
    Ok(UserFile { found: Found { devices: vec![device], scratch }, remarks })
}

impl Options {
    /// Notes an option; `None` if its number cannot be read. One that is not known changes nothing.
    fn take(&mut self, option: &str) -> Option<()> {
        let (name, value) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let value = value.trim();
        match name {
            "TOTP_AUTH" => self.is_totp = true,
            "HOTP_COUNTER" => self.counter = Some(value.parse().ok()?),
            "STEP_SIZE" => self.step_size = Some(value.parse().ok()?),
            "WINDOW_SIZE" => self.window = Some(value.parse().ok()?),
            "TIME_SKEW" => self.skew = Some(value.parse().ok()?),
            "DISALLOW_REUSE" => {
                for step in value.split_whitespace() {
                    self.used = self.used.max(Some(step.parse().ok()?));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// What the codes count, and the lowest step or counter that was not used.
    fn kind(&self) -> Result<(Kind, u64), String> {
        // As the module decides: a counter of 0 is none.
        match self.counter.filter(|counter| *counter > 0) {
            Some(counter) => Ok((Kind::Hotp, counter)),
            None if self.is_totp => {
                let period = self.step_size.map_or(Ok(Period::THIRTY), Period::try_from)?;
                let next = self.used.map_or(Some(0), |step| step.checked_add(1)).ok_or("a used step is too large")?;
                Ok((Kind::Totp(Clock::of_app(period)), next))
            }
            None => Err("it says neither TOTP_AUTH nor HOTP_COUNTER: no code is accepted with it".to_owned()),
        }
    }

    fn remarks(&self, ours: Windows) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(skew) = self.skew.filter(|skew| *skew != 0) {
            let seconds = skew.unsigned_abs().saturating_mul(self.step_size.unwrap_or(Period::THIRTY.get()));
            let way = if skew > 0 { "ahead" } else { "behind" };
            remarks.push(format!("the phone's clock was {seconds} s {way}, which is not imported: set it"));
        }
        let most = if self.counter.is_some_and(|counter| counter > 0) { ours.hotp } else { ours.totp };
        if let Some(window) = self.window.filter(|window| *window > most) {
            remarks.push(format!("its window was {window} codes wide, and here it is {most}"));
        }
        remarks
    }
}

/// The seed as the module reads it: blanks and hyphens do not matter, nor case, nor bits beyond the last whole byte; 0, 1 and 8,
/// which Base32 lacks, are O, L and B.
fn seed(line: &[u8]) -> Result<Secret, String> {
    let mut letters = Zeroizing::new(Vec::with_capacity(line.len()));
    letters.extend(PlainText::of(line).filter(|letter| *letter != b'-').map(
        |letter| match letter.to_ascii_uppercase() {
            b'0' => b'O',
            b'1' => b'L',
            b'8' => b'B',
            other => other,
        },
    ));
    while letters.last() == Some(&b'=') {
        letters.pop();
    }
    if letters.is_empty() {
        return Err("line 1 holds no seed".to_owned());
    }
    let bits = letters.len().saturating_mul(5) & !7;
    letters.truncate(bits.div_ceil(5));
    let surplus = letters.len().saturating_mul(5).saturating_sub(bits);
    if let Some(last) = letters.last_mut() {
        let value = LETTERS.iter().position(|letter| letter == last);
        let value = value.ok_or("line 1 is no seed: it is not Base32")? >> surplus << surplus;
        *last = LETTERS.get(value).copied().unwrap_or(b'A');
    }
    let text = str::from_utf8(&letters).map_err(|_| "line 1 is no seed: it is not UTF-8")?;
    if !text.bytes().all(|letter| LETTERS.contains(&letter)) {
        return Err("line 1 is no seed: it is not Base32".to_owned());
    }
    Secret::from_base32(text).map_err(|_| "line 1: a seed must have 80 to 512 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Windows = Windows { totp: 3, hotp: 10 };
    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn of(text: &str) -> UserFile {
        read(text.as_bytes(), OURS).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    fn fault(text: &str) -> String {
        read(text.as_bytes(), OURS).err().unwrap_or_else(|| panic!("{text} was read"))
    }

    #[test]
    fn a_file_with_every_option_of_time() {
        let file = of(&format!(
            "{SEED}\n\" RATE_LIMIT 3 30 1795316400\n\" WINDOW_SIZE 17\n\" STEP_SIZE 60\n\" TIME_SKEW -2\n\
             \" RESETTING_TIME_SKEW 59843880-2 59843881-2\n\" DISALLOW_REUSE 29921940 29921942 29921941\n\
             \" TOTP_AUTH\n\" LAST0 1795316400\n12345678\n87654321\n"
        ));
        let device = &file.found.devices[0];
        let sixty = Kind::Totp(Clock::of_app(Period::try_from(60).unwrap()));
        assert_eq!((&device.kind, device.next, device.digits), (&sixty, 29_921_943, Digits::SIX));
        assert_eq!(device.secret.expose(), b"12345678901234567890");
        assert_eq!(file.found.scratch.len(), 2);
        let expected = [
            "the phone's clock was 120 s behind, which is not imported: set it",
            "its window was 17 codes wide, and here it is 3",
        ];
        assert_eq!(file.remarks, expected);
    }

    #[test]
    fn a_counter_goes_on_and_one_of_zero_is_none() {
        let file = of(&format!("{SEED}\n\" HOTP_COUNTER 7\n\" WINDOW_SIZE 3\n"));
        assert_eq!((&file.found.devices[0].kind, file.found.devices[0].next), (&Kind::Hotp, 7));
        assert!(file.remarks.is_empty() && file.found.scratch.is_empty());
        let both = of(&format!("{SEED}\n\" TOTP_AUTH\n\" HOTP_COUNTER 0\n"));
        assert!(matches!(both.found.devices[0].kind, Kind::Totp(_)));
        let neither = "it says neither TOTP_AUTH nor HOTP_COUNTER: no code is accepted with it";
        assert_eq!(fault(&format!("{SEED}\n\" HOTP_COUNTER 0\n")), neither);
        assert_eq!(fault(SEED), neither);
    }

    #[test]
    fn a_seed_is_read_as_the_module_reads_it() {
        let seed = |text: &str| of(&format!("{text}\r\n\" TOTP_AUTH\r\n")).found.devices[0].secret.expose().to_vec();
        for text in [SEED, "gezd gnbv-gy3t qojq gezd gnbv gy3t qojq", &format!("{SEED}A"), &format!("{SEED}====")] {
            assert_eq!(seed(text), b"12345678901234567890", "{text}");
        }
        // 26 letters are 128 bits and two more.
        for end in ["A", "B", "C", "D"] {
            assert_eq!(seed(&format!("GEZDGNBVGY3TQOJQGEZDGNBVG{}", if end == "A" { "Y" } else { "Z" })).len(), 16);
        }
        assert_eq!(seed("ILBO0188ILBO0188"), seed("ILBOOLBBILBOOLBB"));
        let eighty = of("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n");
        assert_eq!(eighty.remarks, ["the seed has 80 bits; new ones have 160 (otp-enroll reset)"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_a_word_of_it() {
        let long = "A".repeat(104);
        for (text, expected) in [
            ("", "line 1 holds no seed"),
            ("\n\" TOTP_AUTH\n", "line 1 holds no seed"),
            ("GEZDGNBVGY3TQOJ9\n", "line 1 is no seed: it is not Base32"),
            ("GEZDGN!VGY3TQOJQ\n", "line 1 is no seed: it is not Base32"),
            ("GEZDGNBV\n", "line 1: a seed must have 80 to 512 bits"),
            (&long, "line 1: a seed must have 80 to 512 bits"),
            ("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n1234567\n", "line 3 is neither an option nor a scratch code"),
            ("GEZDGNBVGY3TQOJQ\nTOTP_AUTH\n", "line 2 is neither an option nor a scratch code"),
            ("GEZDGNBVGY3TQOJQ\n\" HOTP_COUNTER -1\n", "line 2: its number cannot be read"),
            ("GEZDGNBVGY3TQOJQ\n\" DISALLOW_REUSE 1 x\n", "line 2: its number cannot be read"),
            ("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n\" STEP_SIZE 5\n", "a period has 10 to 300 seconds"),
        ] {
            assert_eq!(fault(text), expected, "{text:?}");
        }
        assert_eq!(read(b"GEZDGNBVGY3TQOJQ\n\xff\n", OURS).err().unwrap(), "line 2 is not UTF-8");
    }

    #[test]
    fn as_many_scratch_codes_as_a_set_holds_are_taken() {
        let codes: String = (10_000_000..10_000_012).map(|code| format!("{code}\n")).collect();
        let file = of(&format!("{SEED}\n\" TOTP_AUTH\n{codes}"));
        assert_eq!(file.remarks, ["10 of 12 scratch codes are imported"]);
    }
}
