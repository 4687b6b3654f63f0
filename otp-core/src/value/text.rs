//! Texts that users read: English in the code, which is the key of a translation, with values in `{named}` places.

use std::fmt::{Display, Write as _};

/// Marks a text for the catalogue (`make catalogue`). The value is the text itself.
#[macro_export]
macro_rules! text {
    ($english:literal) => {
        $english
    };
}

/// Marks a text with a number: the text for one, and the text for any other number.
#[macro_export]
macro_rules! plural {
    ($one:literal, $other:literal) => {
        ($one, $other)
    };
}

/// Where translations come from.
pub trait Language {
    /// The translation of a text, if there is one.
    fn translation(&self, english: &str) -> Option<String>;
    /// The translation for this number, which languages divide in other ways than English does.
    fn plural(&self, one: &str, other: &str, number: u64) -> Option<String>;
}

/// No translation.
pub struct English;

impl Language for English {
    fn translation(&self, _: &str) -> Option<String> {
        None
    }

    fn plural(&self, _: &str, _: &str, _: u64) -> Option<String> {
        None
    }
}

/// A text in a language, with its values. A translation with other places than the English text has is not used.
pub fn said(language: &dyn Language, english: &str, values: &[(&str, &dyn Display)]) -> String {
    match language.translation(english).filter(|text| have_the_same_places(text, english)) {
        Some(translated) => filled(&translated, values),
        None => filled(english, values),
    }
}

/// The same with a number, whose place is `{number}`. The text for one may leave it out.
pub fn counted(
    language: &dyn Language,
    (one, other): (&str, &str),
    number: u64,
    values: &[(&str, &dyn Display)],
) -> String {
    let english = if number == 1 { one } else { other };
    let fits = |text: &String| [one, other].iter().any(|english| have_the_same_places(text, english));
    let text = language.plural(one, other, number).filter(fits);
    let mut all: Vec<(&str, &dyn Display)> = vec![("number", &number)];
    all.extend_from_slice(values);
    filled(text.as_deref().unwrap_or(english), &all)
}

/// Whether two texts have places of the same names, in any order and number.
fn have_the_same_places(one: &str, other: &str) -> bool {
    places(one).all(|name| places(other).any(|there| there == name))
        && places(other).all(|name| places(one).any(|there| there == name))
}

fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// Puts values into their places. What is in a value is not looked at.
fn filled(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut parts = text.split('{');
    let mut filled = String::with_capacity(text.len());
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let place = part.split_once('}').and_then(|(name, rest)| {
            let (_, value) = values.iter().find(|(named, _)| *named == name)?;
            Some((value, rest))
        });
        // Writing to a string cannot fail.
        let _ = match place {
            Some((value, rest)) => write!(filled, "{value}{rest}"),
            None => write!(filled, "{{{part}"),
        };
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows one translation of every text.
    struct Only(&'static str);

    impl Language for Only {
        fn translation(&self, _: &str) -> Option<String> {
            Some(self.0.to_owned())
        }
        fn plural(&self, _: &str, _: &str, _: u64) -> Option<String> {
            Some(self.0.to_owned())
        }
    }

    #[test]
    fn values_come_into_their_places_and_are_not_read_again() {
        let english = "A {b} c {d}.";
        assert_eq!(said(&English, english, &[("b", &1), ("d", &"{b}")]), "A 1 c {b}.");
        assert_eq!(said(&Only("{d}, {b}!"), english, &[("b", &1), ("d", &2)]), "2, 1!");
        assert_eq!(said(&English, "no place", &[]), "no place");
        assert_eq!(said(&English, "{x} { {", &[("y", &1)]), "{x} { {");
    }

    #[test]
    fn a_translation_with_other_places_is_not_used() {
        for odd in ["", "{b}", "{b} {d} {e}", "{c} {d}", "{b} {d"] {
            assert_eq!(said(&Only(odd), "{b} and {d}", &[("b", &1), ("d", &2)]), "1 and 2", "{odd}");
        }
        assert_eq!(said(&Only("{b} {b} {d}"), "{b} and {d}", &[("b", &1), ("d", &2)]), "1 1 2");
    }

    #[test]
    fn numbers_have_their_texts() {
        let texts = ("One file of {user}.", "{number} files of {user}.");
        let values: &[(&str, &dyn Display)] = &[("user", &"a")];
        assert_eq!(counted(&English, texts, 1, values), "One file of a.");
        assert_eq!(counted(&English, texts, 0, values), "0 files of a.");
        assert_eq!(counted(&Only("{number} von {user}"), texts, 7, values), "7 von a");
        assert_eq!(counted(&Only("{number}"), texts, 7, values), "7 files of a.");
    }
}
