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
    each_line(text, finding)
}

/// Unified diffs, and findings about them.
pub(crate) fn diffs(text: &str) -> String {
    each_line(text, |line| {
        let paint = match line {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => Paint::Bold,
            _ if line.starts_with('-') => Paint::Red,
            _ if line.starts_with('+') => Paint::Green,
            _ => return finding(line),
        };
        Some(paint.on(line))
    })
}

fn finding(line: &str) -> Option<String> {
    if line.starts_with("No fault was found.") || line.starts_with("doctor finds no fault") || line.ends_with(": good")
    {
        return Some(Paint::Green.on(line));
    }
    [("fault", Paint::Red), ("warning", Paint::Yellow), ("note", Paint::Bold)].iter().find_map(|(word, paint)| {
        let rest = line.strip_prefix(word).filter(|rest| rest.starts_with([' ', ':']))?;
        Some(format!("{}{rest}", paint.on(word)))
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
        let diff = "--- /dev/null\n+++ /a\n@@ -0,0 +1 @@\n+new\n-old\n kept\nnote     x: y";
        let painted = "\x1b[1m--- /dev/null\x1b[0m\n\x1b[1m+++ /a\x1b[0m\n@@ -0,0 +1 @@\n\x1b[32m+new\x1b[0m\n\
                       \x1b[1;31m-old\x1b[0m\n kept\n\x1b[1mnote\x1b[0m     x: y";
        assert_eq!(diffs(diff), painted);
        assert_eq!((Paint::Bold.on_if(false, "a"), Paint::Bold.on_if(true, "")), ("a".into(), "".into()));
    }
}
