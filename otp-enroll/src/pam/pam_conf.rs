//! A line of a PAM file, parsed as libpam parses it: its words, and the meaning of the first two. See pam.conf(5).

/// The results of a module, as written in brackets.
const RESULTS: [&str; 32] = [
    "abort",
    "acct_expired",
    "auth_err",
    "authinfo_unavail",
    "authtok_disable_aging",
    "authtok_err",
    "authtok_expired",
    "authtok_lock_busy",
    "authtok_recover_err",
    "bad_item",
    "buf_err",
    "conv_again",
    "conv_err",
    "cred_err",
    "cred_expired",
    "cred_insufficient",
    "cred_unavail",
    "ignore",
    "incomplete",
    "maxtries",
    "module_unknown",
    "new_authtok_reqd",
    "no_module_data",
    "open_err",
    "perm_denied",
    "service_err",
    "session_err",
    "success",
    "symbol_err",
    "system_err",
    "try_again",
    "user_unknown",
];

/// Bytes of a line that libpam before 1.6 reads at once, without the line's end.
const LONGEST: usize = 1022;

/// Separators of words.
const BLANKS: [char; 2] = [' ', '\t'];

/// The four groups of a PAM file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Auth,
    Account,
    Password,
    Session,
}

/// The action for a module's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Ok,
    Done,
    Bad,
    Die,
    Ignore,
    Reset,
    /// Skip this many modules.
    Jump(usize),
}

/// The second column of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    named: Vec<(String, Action)>,
    otherwise: Action,
}

/// A line that has words.
pub(crate) struct Line {
    /// Where it begins, counted from 1.
    pub(crate) number: usize,
    /// Where it ends: a backslash continues it.
    pub(crate) last: usize,
    pub(crate) words: Vec<String>,
    /// False if the file ends after a backslash.
    pub(crate) is_whole: bool,
}

/// Why a line is not the same to all versions of libpam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dispute {
    /// libpam before 1.6 takes what is beyond its buffer for a line of its own.
    Length,
    /// A line without words within a continued line: libpam since 1.6 ends it there.
    Gap,
}

impl Group {
    /// By the first column of a line. With a leading dash libpam does not log a missing module.
    pub(crate) fn named(kind: &str) -> Option<Self> {
        match kind.strip_prefix('-').unwrap_or(kind).to_ascii_lowercase().as_str() {
            "auth" => Some(Self::Auth),
            "account" => Some(Self::Account),
            "password" => Some(Self::Password),
            "session" => Some(Self::Session),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Password => "password",
            Self::Session => "session",
        }
    }
}

impl Control {
    /// The action for a result, named as in brackets: `auth_err`.
    pub(crate) fn action(&self, result: &str) -> Action {
        self.named.iter().rev().find(|(name, _)| name == result).map_or(self.otherwise, |(_, action)| *action)
    }

    /// A failure for each action that this line takes on failures. One by which a module says that the user's password is
    /// right and expired is none, nor one by which it asks to be called again.
    pub(crate) fn kinds_of_failure(&self) -> Vec<&'static str> {
        let failures = RESULTS.iter().copied();
        let failures = failures.filter(|name| !["success", "ignore", "incomplete", "new_authtok_reqd"].contains(name));
        let mut kinds: Vec<(Action, &'static str)> = Vec::new();
        for name in failures {
            let action = self.action(name);
            if kinds.iter().all(|(known, _)| *known != action) {
                kinds.push((action, name));
            }
        }
        kinds.into_iter().map(|(_, name)| name).collect()
    }

    /// The most modules that a result skips.
    pub(crate) fn longest_jump(&self) -> usize {
        let actions = self.named.iter().map(|(_, action)| *action).chain([self.otherwise]);
        actions.map(|action| if let Action::Jump(number) = action { number } else { 0 }).max().unwrap_or(0)
    }

    /// For a word that libpam does not know: every result of the module is a refusal.
    pub(crate) fn refusing() -> Self {
        Self { named: Vec::new(), otherwise: Action::Bad }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let of = |good, ignored, otherwise| {
            let named = [("success", good), ("new_authtok_reqd", good), ("ignore", ignored)];
            Self { named: named.map(|(name, action)| (name.to_owned(), action)).to_vec(), otherwise }
        };
        match text.to_ascii_lowercase().as_str() {
            "required" => Some(of(Action::Ok, Action::Ignore, Action::Bad)),
            "requisite" => Some(of(Action::Ok, Action::Ignore, Action::Die)),
            "sufficient" => Some(of(Action::Done, Action::Ignore, Action::Ignore)),
            "optional" => Some(of(Action::Ok, Action::Ignore, Action::Ignore)),
            _ => Self::parse_pairs(text),
        }
    }

    /// `success=ok default = die`. One unknown name invalidates all of it; the first of two defaults counts.
    fn parse_pairs(text: &str) -> Option<Self> {
        let (mut named, mut otherwise) = (Vec::new(), None);
        let text = text.replace('=', " = ");
        let mut words = text.split_whitespace();
        while let Some(name) = words.next() {
            let action = words.next().filter(|sign| *sign == "=").and_then(|_| Action::parse(words.next()?))?;
            match name {
                "default" => otherwise = otherwise.or(Some(action)),
                name if RESULTS.contains(&name) => named.push((name.to_owned(), action)),
                _ => return None,
            }
        }
        Some(Self { named, otherwise: otherwise.unwrap_or(Action::Bad) })
    }
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ok" => Self::Ok,
            "done" => Self::Done,
            "bad" => Self::Bad,
            "die" => Self::Die,
            "ignore" => Self::Ignore,
            "reset" => Self::Reset,
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Jump(number.parse().ok().filter(|number| *number > 0)?)
            }
            _ => return None,
        })
    }
}

/// The words of each line that has words, with its number. A backslash at the end continues a line; `#` begins a comment,
/// and a line with a comment is not continued. A line without words does not end a continued line.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let (mut begun, mut last, mut whole) = (None, 0, String::new());
    for (number, line) in (1..).zip(text.split('\n')) {
        let (part, goes_on) = part(line);
        if part.is_empty() && !goes_on {
            continue;
        }
        let first = *begun.get_or_insert(number);
        last = number;
        whole.push_str(part);
        whole.push(' ');
        if !goes_on {
            found.push(Line { number: first, last, words: words(&whole), is_whole: true });
            (begun, whole) = (None, String::new());
        }
    }
    found.extend(begun.map(|number| Line { number, last, words: words(&whole), is_whole: false }));
    found
}

/// Lines that versions of libpam read differently, and why.
pub(crate) fn disputes(text: &str) -> Vec<(usize, Dispute)> {
    let (mut found, mut is_continued) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.split('\n')) {
        let (part, goes_on) = part(line);
        let is_empty = part.is_empty() && !goes_on;
        if line.len() > LONGEST {
            found.push((number, Dispute::Length));
        } else if is_continued && is_empty {
            found.push((number, Dispute::Gap));
        }
        is_continued = goes_on || (is_continued && is_empty);
    }
    found
}

/// What is before a comment and a backslash at the end, and whether the next line continues it.
fn part(line: &str) -> (&str, bool) {
    let (text, has_comment) = line.split_once('#').map_or((line, false), |(text, _)| (text, true));
    let text = text.trim_end_matches(BLANKS);
    match text.strip_suffix('\\') {
        Some(text) if !has_comment => (text, true),
        _ => (text, false),
    }
}

/// Words between blanks; text in brackets is one word, without the brackets, and `\]` in it is a bracket.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(BLANKS);
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('[') {
            Some(inner) => {
                let is_escaped = |at: usize| inner.get(..at).is_some_and(|head| head.ends_with('\\'));
                let closing = inner.match_indices(']').map(|(at, _)| at).find(|at| !is_escaped(*at));
                let (word, tail) = closing.and_then(|at| inner.split_at_checked(at)).unwrap_or((inner, ""));
                (word.replace("\\]", "]"), tail.strip_prefix(']').unwrap_or(tail))
            }
            None => {
                let (word, tail) = rest.split_once(BLANKS).unwrap_or((rest, ""));
                (word.to_owned(), tail)
            }
        };
        words.push(word);
        rest = tail.trim_start_matches(BLANKS);
    }
    words
}

/// Debian's line of one file within another, for all groups.
pub(crate) fn is_include_of_all(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("@include")
}

pub(crate) fn is_include(control: &str) -> bool {
    control.eq_ignore_ascii_case("include")
}

pub(crate) fn is_substack(control: &str) -> bool {
    control.eq_ignore_ascii_case("substack")
}
