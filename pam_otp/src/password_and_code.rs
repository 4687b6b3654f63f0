//! The answer to the prompt: a code, or password and code as one, `<password><code>`, for clients that can ask only once.
//!
//! Password and code are split from the end: a recovery code or a passcode with its hyphens, or as many digits as the
//! user's default device shows.
//! Digits and hyphens may be of any script, and blanks may follow them.

use otp_core::codes::attempt::{Attempt, Typed};
use otp_core::codes::hotp_totp::Digits;
use otp_core::codes::plain_text::{plain, split_last, without_paste_marks};
use otp_core::config::module_arguments::{Arguments, FirstPass};
use otp_core::system::config_file::Site;
use otp_core::text;
use otp_core::value::text::said;

use crate::host::Host;
use crate::outcome::ModuleError;

/// Characters of a recovery code as it is shown, `ABCD-EFGH-IJKL-MNOP`, and of a passcode, `K7QD-M3XA-92TE`. The longer
/// one first: its end looks like the shorter one.
const IN_FOURS: [usize; 2] = [19, 14];

/// The code at the end of the password that an earlier module asked for (`try_first_pass`, `use_first_pass`).
pub(crate) fn earlier(
    host: &mut dyn Host,
    arguments: &Arguments,
    digits: Digits,
) -> Result<Option<Typed>, ModuleError> {
    let password = match (arguments.first_pass, host.password()) {
        (FirstPass::Ignore, _) | (FirstPass::Try, None) => return Ok(None),
        (FirstPass::Use, None) => return Err(ModuleError::NoPassword),
        (FirstPass::Try | FirstPass::Use, Some(password)) => password,
    };
    let code = part(host, arguments, digits, &password)?;
    // A password alone is no attempt, unless no question may be asked.
    Ok(Some(code).filter(|code| arguments.first_pass == FirstPass::Use || !code.expose().is_empty()))
}

/// Asks for a code, or with `forward_pass` for password and code as one.
pub(crate) fn ask(
    host: &mut dyn Host,
    user: &str,
    site: &Site,
    arguments: &Arguments,
    digits: Digits,
) -> Result<Typed, ModuleError> {
    let (set, usual) = if arguments.forward_pass {
        (&site.config.prompt_both, text!("Password and verification code: "))
    } else {
        (&site.config.prompt, text!("Verification code: "))
    };
    let typed = host.ask(&set.clone().unwrap_or_else(|| said(host.language(), usual, &[])))?;
    if !host.still_names(user) {
        return Err(ModuleError::UserChanged);
    }
    if arguments.forward_pass { part(host, arguments, digits, &typed) } else { Ok(typed) }
}

/// The code at the end of an answer; `forward_pass` hands on what comes before it.
fn part(host: &mut dyn Host, arguments: &Arguments, digits: Digits, answer: &Typed) -> Result<Typed, ModuleError> {
    let Split { password, code } = split(answer, digits);
    if arguments.forward_pass && !host.hand_on(&password) { Err(ModuleError::NoPassword) } else { Ok(code) }
}

/// Hands the whole answer on, for a login that goes on: a user without a device typed no code, and digits at the end belong
/// to the password.
pub(crate) fn rejoin(host: &mut dyn Host, code: &Typed) {
    if let Some(password) = host.password() {
        host.hand_on(&Typed::new([password.expose(), code.expose()].concat()));
    }
}

struct Split {
    /// For the module that checks passwords.
    password: Typed,
    /// Empty, and so malformed, if the answer does not end in a code.
    code: Typed,
}

/// Splits an answer. An answer that does not end in a code is a password alone.
fn split(answer: &Typed, digits: Digits) -> Split {
    let whole = without_paste_marks(answer.expose());
    let in_fours = IN_FOURS.iter().find_map(|count| {
        let length = before_end(whole, *count, |place, plain| is_hyphen_in_fours(place) == (plain == b'-'))?;
        Some(length).filter(|length| is_code_in_fours(whole.get(*length..).unwrap_or_default()))
    });
    let code = || before_end(whole, digits.get().into(), |_, plain| plain.is_ascii_digit());
    let length = in_fours.or_else(code).unwrap_or(whole.len());
    let (password, code) = whole.split_at_checked(length).unwrap_or((whole, b""));
    Split { password: Typed::new(password.to_vec()), code: Typed::new(code.to_vec()) }
}

/// How many bytes come before the last `count` characters, not counting blanks at the end; `None` if one of them does not
/// fit its place from the end.
fn before_end(text: &[u8], count: usize, fits: impl Fn(usize, u8) -> bool) -> Option<usize> {
    let (mut rest, mut place) = (text, 0usize);
    while place < count {
        let (before, last) = split_last(rest)?;
        match plain(last) {
            None if place == 0 => {}
            Some(plain) if fits(place, plain) => place = place.saturating_add(1),
            Some(_) | None => return None,
        }
        rest = before;
    }
    Some(rest.len())
}

/// With its hyphens in place, so that no password is taken for one. The places are the same from both ends.
fn is_hyphen_in_fours(place: usize) -> bool {
    matches!(place, 4 | 9 | 14)
}

fn is_code_in_fours(text: &[u8]) -> bool {
    matches!(Attempt::parse(&Typed::new(text.to_vec())), Attempt::Recovery(_) | Attempt::Passcode(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_from_its_end() {
        let parts = |answer: &[u8], digits: u8| {
            let Split { password, code } = split(&Typed::new(answer.to_vec()), Digits::try_from(digits).unwrap());
            (password.expose().to_vec(), code.expose().to_vec())
        };
        for (answer, digits, password, code) in [
            ("secret123456", 6, "secret", "123456"),
            ("secret12345678", 8, "secret", "12345678"),
            ("secret12345678", 6, "secret12", "345678"),
            ("123456", 6, "", "123456"),
            ("pass word\u{e9}000000", 6, "pass word\u{e9}", "000000"),
            ("secretABCD-EFGH-IJKL-MNOP", 6, "secret", "ABCD-EFGH-IJKL-MNOP"),
            ("secretabcd-efgh-ijkl-mnop", 6, "secret", "abcd-efgh-ijkl-mnop"),
            ("ABCDEFGHIJKLMNOP", 6, "ABCDEFGHIJKLMNOP", ""),
            ("secret", 6, "secret", ""),
            ("secret12345", 6, "secret12345", ""),
            ("secret 12345", 6, "secret 12345", ""),
            ("", 6, "", ""),
            ("secret１２３４５６", 6, "secret", "１２３４５６"),
            ("кот\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}", 6, "кот", "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}"),
            ("secret123456 \u{200b}", 6, "secret", "123456 \u{200b}"),
            ("\u{1b}[200~secret123456\u{1b}[201~", 6, "secret", "123456"),
            ("secretABCD–EFGH–IJKL–MNOP", 6, "secret", "ABCD–EFGH–IJKL–MNOP"),
            ("secretABCD-EFGHI-JKL-MNOP", 6, "secretABCD-EFGHI-JKL-MNOP", ""),
            ("secret123-456", 6, "secret123-456", ""),
            ("secretK7QD-M3XA-92TE", 6, "secret", "K7QD-M3XA-92TE"),
            ("secretk7qd–m3xa–92te \u{200b}", 6, "secret", "k7qd–m3xa–92te \u{200b}"),
            ("K7QD-M3XA-92TE", 6, "", "K7QD-M3XA-92TE"),
            ("secret-K7QD-M3XA-92TE", 6, "secret-", "K7QD-M3XA-92TE"),
            ("secretK7QDM3XA92TE", 6, "secretK7QDM3XA92TE", ""),
            ("secretK7QD-M3XA-92TU", 6, "secretK7QD-M3XA-92TU", ""),
            ("secretK7QDM-3XA-92TE", 6, "secretK7QDM-3XA-92TE", ""),
            ("\u{1b}[200~secret\u{1b}[201~", 6, "secret", ""),
        ] {
            assert_eq!(parts(answer.as_bytes(), digits), (password.into(), code.into()), "{answer}");
        }
        assert_eq!(parts(b"\xff\xfe123456", 6), (b"\xff\xfe".to_vec(), b"123456".to_vec()));
    }
}
