//! The recovery key: the key itself and its id, as letters that a person copies. The id shows whether they were copied right.

use otp_core::codes::in_fours::in_fours;
use otp_core::protocol::request::Confidential;
use otp_core::record::seal::SealKey;
use otp_core::value::secret::Secret;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::ui::output::Output;

/// Bytes of a key and its id, and their letters.
const BYTES: usize = 36;
const LETTERS: usize = 58;

#[derive(Serialize)]
struct Shown {
    recovery_key: Confidential,
}

/// Shows it once, and asks whether it is written down.
pub(super) fn show(key: &SealKey, yes: bool, output: &Output) -> Result<(), CliError> {
    let shown = Shown { recovery_key: Confidential::new(&letters(key)) };
    output.secret(&shown, |lines| {
        lines.add(format_args!("Recovery key, for another machine or where this one does not give the key any more:"));
        lines.add(format_args!(""));
        // Two lines, so that each fits a narrow terminal.
        let (first, second) = shown.recovery_key.expose().split_at_checked(35).unwrap_or_default();
        lines.add(format_args!("  {first}"));
        lines.add(format_args!("  {second}"));
        lines.add(format_args!(""));
    })?;
    if yes {
        return Ok(());
    }
    output
        .confirm("It is not shown again, and without it a broken machine takes all seeds with it. Is it written down?")
}

/// The key in what was typed; `None` if it was mistyped.
pub(super) fn read(typed: &str) -> Option<SealKey> {
    let mut letters = Zeroizing::new(String::with_capacity(LETTERS.saturating_mul(4)));
    letters.extend(typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').map(
        |letter| match letter {
            '0' => 'O',
            '1' => 'I',
            other => other.to_ascii_uppercase(),
        },
    ));
    let read = Secret::from_base32(&letters).ok()?;
    let (key, id) = read.expose().split_first_chunk::<32>()?;
    let key = SealKey::new(key);
    (key.id().0 == id).then_some(key)
}

fn letters(key: &SealKey) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
    bytes.extend_from_slice(key.expose());
    bytes.extend_from_slice(&key.id().0);
    // 36 bytes are as many as a seed may have.
    let letters = Secret::new(bytes).map(|both| both.base32()).unwrap_or_default();
    in_fours(letters.as_bytes(), '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_however_it_was_copied_and_a_mistake_is_noticed() {
        let key = SealKey::new(&[0xa5; 32]);
        let shown = letters(&key);
        assert_eq!(shown.len(), LETTERS + LETTERS / 4);
        let copies = [shown.to_string(), shown.to_lowercase(), shown.replace('-', " "), shown.replace('-', "") + "\n"];
        for copied in copies {
            assert_eq!(read(&copied).unwrap().expose(), key.expose(), "{copied}");
        }
        for (place, letter) in shown.char_indices().filter(|(_, letter)| *letter != '-') {
            let mut bad = shown.to_string();
            bad.replace_range(place..=place, if letter == 'A' { "B" } else { "A" });
            assert!(read(&bad).is_none(), "{place}");
        }
        assert!(read("").is_none() && read(&shown.replacen('-', "A", 1)).is_none());
    }
}
