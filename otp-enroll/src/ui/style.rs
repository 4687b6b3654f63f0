//! Bold and colours, where the terminal has them and `NO_COLOR` does not forbid them. Only text that was escaped before is
//! painted, so that no name brings sequences of its own.

use std::borrow::Cow;

/// Select Graphic Rendition (ECMA-48 §8.3.117).
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    Bold,
    Red,
    Yellow,
    Green,
}

impl Paint {
    fn sequence(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Red => "\x1b[1;31m",
            Self::Yellow => "\x1b[1;33m",
            Self::Green => "\x1b[32m",
        }
    }

    /// The text in this paint.
    pub(crate) fn on(self, text: &str) -> String {
        format!("{}{text}\x1b[0m", self.sequence())
    }

    /// The same where there are colours.
    pub(crate) fn on_if(self, colour: bool, text: &str) -> Cow<'_, str> {
        if colour && !text.is_empty() { Cow::Owned(self.on(text)) } else { Cow::Borrowed(text) }
    }
}

/// Facts: `Second factor    set up`, with the name of each in bold.
pub(crate) fn facts(text: &str) -> String {
    each_line(text, |line| {
        let (name, rest) = line.split_once("  ").filter(|(name, _)| !name.is_empty())?;
        Some(format!("{}  {rest}", Paint::Bold.on(name)))
    })
}

/// Findings, each behind the word of its severity, and what says that there is none.
pub(crate) fn findings(text: &str) -> String {
    each_line(text, |line| {
        if line == "No fault was found." || line.ends_with(": good") {
            return Some(Paint::Green.on(line));
        }
        [("fault", Paint::Red), ("warning", Paint::Yellow), ("note", Paint::Bold)].iter().find_map(|(word, paint)| {
            let rest = line.strip_prefix(word).filter(|rest| rest.starts_with([' ', ':']))?;
            Some(format!("{}{rest}", paint.on(word)))
        })
    })
}

fn each_line(text: &str, painted: impl Fn(&str) -> Option<String>) -> String {
    text.split('\n').map(|line| painted(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_severities_are_painted_and_the_rest_is_not() {
        assert_eq!(facts("User  a\n      b  c\nplain"), "\x1b[1mUser\x1b[0m  a\n      b  c\nplain");
        let told = "fault    x: y\n         -> z\nwarning: w\nfaulty\nNo fault was found.";
        let painted = "\x1b[1;31mfault\x1b[0m    x: y\n         -> z\n\x1b[1;33mwarning\x1b[0m: w\nfaulty\n\
                       \x1b[32mNo fault was found.\x1b[0m";
        assert_eq!(findings(told), painted);
        assert_eq!((Paint::Bold.on_if(false, "a"), Paint::Bold.on_if(true, "")), ("a".into(), "".into()));
    }
}
