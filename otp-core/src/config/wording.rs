//! What a message says: a text with placeholders, such as `{code}`, in the language of the site.
//!
//! A part in brackets is left out where one of its placeholders has no value: `[ from {from}]`.

use std::borrow::Cow;

/// A text whose placeholders are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording(Cow<'static, str>);

/// A placeholder and its value; the value is empty where it is not known.
pub type Value<'a> = (&'static str, &'a str);

impl Wording {
    /// One of our own texts.
    pub(super) const fn ours(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Takes a text if it has no placeholder but these, and shows the one that it needs whatever values the others have. A digit
    /// beside that one would be read as part of it.
    pub(super) fn parse(text: String, needed: Option<&'static str>, others: &[&'static str]) -> Option<Self> {
        let all_are_well = ["", "0"].into_iter().all(|other| {
            let shown = SHOWN.to_string();
            let needed = needed.iter().map(|name| (*name, shown.as_str()));
            let values: Vec<Value<'_>> = needed.clone().chain(others.iter().map(|name| (*name, other))).collect();
            fill(&text, &values).is_some_and(|filled| needed.len() == 0 || stands_apart(&filled))
        });
        all_are_well.then_some(Self(Cow::Owned(text)))
    }

    /// The text with these values, which are those of all placeholders that it may have.
    pub fn with(&self, values: &[Value<'_>]) -> String {
        fill(&self.0, values).unwrap_or_default()
    }
}

/// Stands for the value that a text must show. No text has it: the configuration takes no control characters.
const SHOWN: char = '\u{1}';

fn stands_apart(filled: &str) -> bool {
    let letters: Vec<char> = filled.chars().collect();
    let is_digit = |letter: &char| *letter == SHOWN || letter.is_numeric();
    letters.contains(&SHOWN) && !letters.windows(2).any(|two| two.contains(&SHOWN) && two.iter().all(is_digit))
}

/// `None` if a brace or bracket has no other one, or a placeholder no value.
fn fill(text: &str, values: &[Value<'_>]) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, behind) = after.split_once(']')?;
        filled.push_str(&fill_part(before, values)?.0);
        let (part, has) = fill_part(inside, values)?;
        match has {
            // Brackets that never leave anything out would be missed in the message.
            Has::NoPlaceholder => return None,
            Has::AllValues => filled.push_str(&part),
            Has::AnEmptyValue => {}
        }
        rest = behind;
    }
    filled.push_str(&fill_part(rest, values)?.0);
    Some(filled)
}

enum Has {
    NoPlaceholder,
    AllValues,
    AnEmptyValue,
}

fn fill_part(part: &str, values: &[Value<'_>]) -> Option<(String, Has)> {
    let (mut filled, mut has, mut rest) = (String::new(), Has::NoPlaceholder, part);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        let (_, value) = values.iter().find(|(known, _)| *known == name)?;
        filled.push_str(before);
        filled.push_str(value);
        has = if value.is_empty() || matches!(has, Has::AnEmptyValue) { Has::AnEmptyValue } else { Has::AllValues };
        rest = behind;
    }
    filled.push_str(rest);
    let is_closed = !part.contains(']') && part.matches('{').count() == part.matches('}').count();
    is_closed.then_some((filled, has))
}
