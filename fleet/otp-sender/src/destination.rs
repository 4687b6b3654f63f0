//! Where a message goes: a number or an address that no program takes for an option.

use otp_core::protocol::sender_socket::MessageKind;

/// Longest address that mail can be sent to (RFC 5321 §4.5.3.1.3, without its angle brackets).
const LONGEST_ADDRESS: usize = 254;

/// What is wrong with it; `None` if nothing is.
pub(crate) fn fault(kind: MessageKind, to: &str) -> Option<&'static str> {
    let (is_right, fault) = match kind {
        MessageKind::Sms => (is_number(to), "the number is not + and 1 to 15 digits"),
        MessageKind::Email => (is_address(to), "the address is not one of mail, or begins with a hyphen"),
    };
    (!is_right).then_some(fault)
}

/// E.164.
fn is_number(to: &str) -> bool {
    let digits = to.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_address(to: &str) -> bool {
    let has_parts = to.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    // Angle brackets end an address in SMTP, a comma one in a list.
    let is_plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && !"<>,;\"\\".contains(letter);
    has_parts && to.len() <= LONGEST_ADDRESS && !to.starts_with('-') && to.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_no_option_no_list_and_no_second_line() {
        let is_right = |kind, to: &str| fault(kind, to).is_none();
        for number in ["+1", "+61412345678", "+123456789012345"] {
            assert!(is_right(MessageKind::Sms, number), "{number}");
        }
        for odd in [
            "",
            "+",
            "61412345678",
            "-1",
            "--help",
            "+1234567890123456",
            "+61 4",
            "+61\n",
            "+٦",
            "++1",
            "alice@example.org",
        ] {
            assert!(!is_right(MessageKind::Sms, odd), "{odd:?}");
        }
        for address in ["alice@example.org", "alice+otp@localhost", "o'hara-x_y@[192.0.2.7]", "zoë@exämple.org"] {
            assert!(is_right(MessageKind::Email, address), "{address}");
        }
        for odd in [
            "",
            "@",
            "alice",
            "alice@",
            "@example.org",
            "-oQ/tmp@example.org",
            "--@example.org",
            "a b@example.org",
            "a@example.org\n",
            "a@example.org\r\nRCPT TO:<b@example.org>",
            "a@example.org,b@example.org",
            "a@example.org>",
            "a@example.org\0",
            "\u{85}a@example.org",
            &format!("{}@example.org", "a".repeat(243)),
        ] {
            assert!(!is_right(MessageKind::Email, odd), "{odd:?}");
        }
    }
}
