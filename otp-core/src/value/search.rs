//! The search for a text in a short one. That of the standard library is for texts of any length: it is 3 kB in every PAM host.

/// What precedes the first place of a mark, and what follows it.
pub fn split_at<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    text.char_indices().find_map(|(at, _)| {
        let (before, from) = text.split_at_checked(at)?;
        Some((before, from.strip_prefix(mark)?))
    })
}

pub fn holds(text: &str, mark: &str) -> bool {
    split_at(text, mark).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_the_first_place_of_a_mark() {
        for (text, mark, parts) in [
            ("a, b, c", ", ", Some(("a", "b, c"))),
            (", b", ", ", Some(("", "b"))),
            ("a, ", ", ", Some(("a", ""))),
            ("a,,b", ",b", Some(("a,", ""))),
            ("\u{e9}\u{e8}", "\u{e8}", Some(("\u{e9}", ""))),
            ("a,b", ", ", None),
            ("", ", ", None),
        ] {
            assert_eq!((split_at(text, mark), holds(text, mark)), (parts, parts.is_some()), "{text}");
            assert_eq!(split_at(text, mark), text.split_once(mark));
        }
    }
}
