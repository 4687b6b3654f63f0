//! Letters that a person copies, in groups of four.

use zeroize::Zeroizing;

/// ASCII letters with this between each four: `ABCD-EFGH`.
pub fn in_fours(letters: &[u8], between: char) -> Zeroizing<String> {
    // Of its full size at once: a buffer that grows leaves copies of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(letters.len().saturating_mul(2)));
    for (place, letter) in letters.iter().enumerate() {
        if place > 0 && place.is_multiple_of(4) {
            text.push(between);
        }
        text.push(char::from(*letter));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_four_letters_and_the_last_one_may_have_fewer() {
        for (letters, text) in [("", ""), ("ABCD", "ABCD"), ("ABCDE", "ABCD-E"), ("ABCDEFGHIJKL", "ABCD-EFGH-IJKL")] {
            assert_eq!(*in_fours(letters.as_bytes(), '-'), text);
        }
    }
}
