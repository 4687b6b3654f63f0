//! Files of conversations, `tests/conversations/*.talk`: read here, played by [`crate::stage`]. Their README has the format.

use crate::{conversation::unquote, pam::Call};
use std::{fmt, fs, path::Path};

/// A story of a file: what is there, and what is said, in order.
#[derive(Debug)]
pub struct Story {
    /// What stands after `==`.
    pub title: String,
    /// Each with the place it was read from, `FILE:LINE`.
    pub steps: Vec<(String, Step)>,
}

/// A line of a story, or several where it is continued.
#[derive(PartialEq, Eq, Debug)]
pub enum Step {
    /// `user NAME, enrolled, password "TEXT"`
    User {
        /// What the file calls the user.
        name: String,
        /// Whether the user has a device from here on.
        enrolled: bool,
        /// The password, where it is not any.
        password: Option<String>,
    },
    /// `group NAME, MEMBER…`
    Group {
        /// What the file calls the group.
        name: String,
        /// Users who join it.
        members: Vec<String>,
    },
    /// `stack`: the service's PAM file from here on.
    Stack(Text),
    /// `config`: the configuration from here on.
    Config(Text),
    /// `otp-enroll ARGUMENT… | INPUT -> ~"OUTPUT"`
    Run {
        /// What stands after the name of the program.
        arguments: Vec<String>,
        /// A line for standard input.
        input: Option<String>,
        /// A part of standard output.
        output: Option<String>,
    },
    /// Calls of libpam.
    Transaction(Transaction),
}

/// Lines of a file.
#[derive(PartialEq, Eq, Debug)]
pub enum Text {
    /// That of `config/examples`.
    Example(String),
    /// These.
    Lines(String),
}

/// A transaction as it should go.
#[derive(PartialEq, Eq, Debug)]
pub struct Transaction {
    /// `login`, or names of calls with commas between.
    pub calls: String,
    /// `user`, `rhost`, `tty` and `become`, each with its value.
    pub settings: Vec<(String, String)>,
    /// What the module says.
    pub lines: Vec<Line>,
    /// The result of `login`, or of each call.
    pub results: Vec<String>,
    /// What each line of the module's log has in it; empty where it is not looked at.
    pub log: Vec<String>,
    /// What no line has.
    pub no_log: Vec<String>,
}

/// A text of the module's.
#[derive(PartialEq, Eq, Debug)]
pub struct Line {
    /// How it is shown.
    pub kind: Kind,
    /// Whether `text` is a part of it only.
    pub part: bool,
    /// What is said.
    pub text: String,
    /// To a question.
    pub answer: Option<Answer>,
}

/// How a text is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A question whose answer is not shown.
    PromptOff,
    /// A question whose answer is shown.
    PromptOn,
    /// Plain text.
    Info,
    /// Text of an error.
    Error,
}

/// What a person does at a question.
#[derive(PartialEq, Eq, Debug)]
pub enum Answer {
    /// Types this.
    Words(String),
    /// Goes away.
    HangUp,
}

impl Line {
    /// How a text would be written in a file.
    pub fn show(kind: Kind, text: &str) -> String {
        match kind {
            Kind::PromptOff => format!("{text:?}"),
            Kind::PromptOn => format!("on {text:?}"),
            Kind::Info => format!("info {text:?}"),
            Kind::Error => format!("error {text:?}"),
        }
    }
}

/// A line that cannot be read. `Debug` is the text itself, so that `unwrap` shows it readably.
#[derive(PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{}", self.0)
    }
}

/// Every file of a folder, by name: the name, and its stories.
///
/// # Errors
/// The first line that cannot be read; a folder in which there is no file; a file in which there is no story.
pub fn read_folder(folder: &Path) -> Result<Vec<(String, Vec<Story>)>, Unreadable> {
    let unreadable = |why: std::io::Error| Unreadable(format!("{}: {why}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".talk") {
            let text = fs::read_to_string(folder.join(&name)).map_err(unreadable)?;
            let stories = parse(&name, &text)?;
            files.push((name, stories));
        }
    }
    if files.is_empty() {
        return Err(Unreadable(format!("{}: there is no file *.talk", folder.display())));
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files)
}

/// The stories of a file.
///
/// # Errors
/// The first line that cannot be read, with the file's name and its number.
pub fn parse(file: &str, text: &str) -> Result<Vec<Story>, Unreadable> {
    let mut stories: Vec<Story> = Vec::new();
    for (number, line) in lines(text) {
        let place = format!("{file}:{number}");
        let unreadable = |why: String| Unreadable(format!("{place}: {why}"));
        if let Some(title) = line.strip_prefix("==") {
            if stories.last().is_some_and(|story| !story.has_transaction()) {
                return Err(unreadable("nothing is said in the story before this one".to_owned()));
            }
            stories.push(Story { title: title.trim().to_owned(), steps: Vec::new() });
            continue;
        }
        let story = stories.last_mut().ok_or_else(|| unreadable("`== TITLE` should stand before this".to_owned()))?;
        story.steps.push((place.clone(), step(&line).map_err(unreadable)?));
    }
    match stories.last() {
        None => Err(Unreadable(format!("{file}: there is no story"))),
        Some(last) if !last.has_transaction() => Err(Unreadable(format!("{file}: nothing is said in the last story"))),
        Some(_) => Ok(stories),
    }
}

impl Story {
    fn has_transaction(&self) -> bool {
        self.steps.iter().any(|(_, step)| matches!(step, Step::Transaction(_)))
    }
}

/// Lines with their numbers, continued ones joined. In `stack` and `config` they stay lines.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, open)) if line.starts_with([' ', '\t']) => {
                let is_text = open.starts_with("stack") || open.starts_with("config");
                open.push(if is_text { '\n' } else { ' ' });
                open.push_str(content);
            }
            _ => lines.push((number, line.trim_end().to_owned())),
        }
    }
    lines
}

fn step(line: &str) -> Result<Step, String> {
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match verb {
        "user" => user(rest),
        "group" => {
            let mut names = rest.split(',').map(|name| name.trim().to_owned());
            let name = names.next().filter(|name| !name.is_empty()).ok_or("`group` has a name")?;
            Ok(Step::Group { name, members: names.collect() })
        }
        "stack" => Ok(Step::Stack(text(rest))),
        "config" => Ok(Step::Config(text(rest))),
        "otp-enroll" => run(rest),
        _ => transaction(verb, rest).map(Step::Transaction),
    }
}

fn user(rest: &str) -> Result<Step, String> {
    let (name, mut rest) = rest.split_once(',').unwrap_or((rest, ""));
    let name = name.trim().to_owned();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err("`user` has a name of small letters".to_owned());
    }
    let (mut enrolled, mut password) = (false, None);
    while !rest.trim().is_empty() {
        let part = rest.trim_start();
        let tail = if let Some(tail) = part.strip_prefix("enrolled") {
            enrolled = true;
            tail
        } else if let Some(quoted) = part.strip_prefix("password") {
            let (text, tail) = unquote(quoted.trim_start()).ok_or("`password` has a quoted text")?;
            password = Some(text);
            tail
        } else {
            return Err(format!("`enrolled` or `password \"TEXT\"` should stand at: {part}"));
        };
        rest = match tail.trim_start() {
            "" => "",
            tail => tail.strip_prefix(',').ok_or_else(|| format!("a comma should stand at: {tail}"))?,
        };
    }
    Ok(Step::User { name, enrolled, password })
}

fn text(rest: &str) -> Text {
    match rest.strip_prefix("example ") {
        Some(name) => Text::Example(name.trim().to_owned()),
        None => Text::Lines(rest.to_owned()),
    }
}

fn run(mut rest: &str) -> Result<Step, String> {
    let (mut arguments, mut input, mut output) = (Vec::new(), None, None);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("->") {
            let quoted = quoted.trim_start().strip_prefix('~').ok_or("`~\"TEXT\"` should stand after `->`")?;
            let (text, tail) = unquote(quoted).ok_or("`~\"TEXT\"` should stand after `->`")?;
            (output, rest) = (Some(text), tail.trim_start());
            if !rest.is_empty() {
                return Err(format!("nothing should stand at: {rest}"));
            }
        } else if let Some(after) = rest.strip_prefix('|') {
            let (word, tail) = word(after.trim_start())?;
            (input, rest) = (Some(word), tail);
        } else {
            let (word, tail) = word(rest)?;
            arguments.push(word);
            rest = tail;
        }
    }
    if arguments.is_empty() {
        return Err("`otp-enroll` wants arguments".to_owned());
    }
    Ok(Step::Run { arguments, input, output })
}

fn transaction(verb: &str, rest: &str) -> Result<Transaction, String> {
    let known = verb == "login" || verb.split(',').all(|call| Call::named(call).is_some());
    if !known {
        return Err(format!("there is no verb {verb:?}"));
    }
    let mut found = Transaction {
        calls: verb.to_owned(),
        settings: Vec::new(),
        lines: Vec::new(),
        results: Vec::new(),
        log: Vec::new(),
        no_log: Vec::new(),
    };
    let mut rest = rest;
    while let Some((key, after)) = ["user", "rhost", "tty", "become"]
        .iter()
        .find_map(|key| Some((key, rest.strip_prefix(key)?.strip_prefix('=')?)))
    {
        let (value, tail) = word(after)?;
        found.settings.push(((*key).to_owned(), value));
        rest = tail;
    }
    loop {
        if let Some(results) = rest.strip_prefix("->") {
            found.finish(results)?;
            return Ok(found);
        }
        if rest.is_empty() {
            return Err("`-> RESULT` is missing".to_owned());
        }
        let (line, tail) = said(rest)?;
        found.lines.push(line);
        rest = tail;
    }
}

/// What the module says first, and the rest.
fn said(rest: &str) -> Result<(Line, &str), String> {
    let (kind, quoted) = [("on", Kind::PromptOn), ("info", Kind::Info), ("error", Kind::Error)]
        .into_iter()
        .find_map(|(name, kind)| {
            let tail = rest.strip_prefix(name)?;
            tail.starts_with([' ', '"', '~']).then(|| (kind, tail.trim_start()))
        })
        .unwrap_or((Kind::PromptOff, rest));
    let (part, quoted) = quoted.strip_prefix('~').map_or((false, quoted), |quoted| (true, quoted));
    let (text, tail) = unquote(quoted).ok_or_else(|| format!("a quoted text should stand at: {rest}"))?;
    let rest = tail.trim_start();
    if !matches!(kind, Kind::PromptOff | Kind::PromptOn) {
        return Ok((Line { kind, part, text, answer: None }, rest));
    }
    let after = rest.strip_prefix('|').ok_or_else(|| format!("`| answer` should stand at: {rest}"))?;
    let bare = !after.trim_start().starts_with('"');
    let (word, rest) = word(after.trim_start())?;
    let answer = if bare && word == "<hang-up>" { Answer::HangUp } else { Answer::Words(word) };
    Ok((Line { kind, part, text, answer: Some(answer) }, rest))
}

impl Transaction {
    /// What stands after the arrow: results, then `log:` and `nolog:`.
    fn finish(&mut self, text: &str) -> Result<(), String> {
        let (results, log) = match text.find("log:") {
            Some(at) if text[..at].ends_with("no") => text.split_at(at - 2),
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        self.results = results.split_whitespace().map(str::to_owned).collect();
        let calls = self.calls.split(',').count();
        if self.results.len() != calls {
            return Err(format!("{calls} results should stand after `->`, not {:?}", self.results));
        }
        if let Some(odd) = self.results.iter().find(|result| !result.starts_with("PAM_")) {
            return Err(format!("{odd:?} is no result"));
        }
        let mut lines: Vec<(bool, String)> = Vec::new();
        for word in log.split_whitespace() {
            match (word, lines.last_mut()) {
                ("log:" | "nolog:", _) => lines.push((word == "log:", String::new())),
                (_, Some((_, line))) => {
                    line.push_str(if line.is_empty() { "" } else { " " });
                    line.push_str(word);
                }
                (_, None) => return Err(format!("`log:` should stand at: {word}")),
            }
        }
        for (wanted, line) in lines {
            if wanted { &mut self.log } else { &mut self.no_log }.push(line);
        }
        if self.log.iter().chain(&self.no_log).any(String::is_empty) {
            return Err("`log:` with nothing after it".to_owned());
        }
        Ok(())
    }
}

/// A word, bare or quoted, and what follows it.
fn word(rest: &str) -> Result<(String, &str), String> {
    if rest.starts_with('"') {
        let (text, tail) = unquote(rest).ok_or_else(|| format!("the quote does not end: {rest}"))?;
        return Ok((text, tail.trim_start()));
    }
    let (word, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if word.is_empty() {
        Err("a word should stand at the end".to_owned())
    } else {
        Ok((word.to_owned(), tail.trim_start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        let mut stories = parse("x.talk", &format!("== t\n{text}\nlogin -> PAM_SUCCESS\n")).unwrap();
        let mut steps: Vec<_> = stories.remove(0).steps.into_iter().map(|(_, step)| step).collect();
        steps.pop();
        steps
    }

    fn complaint(text: &str) -> String {
        parse("x.talk", text).unwrap_err().to_string()
    }

    #[test]
    fn a_story_is_read_line_by_line_and_each_step_knows_its_line() {
        let text = "# a comment\n== first\nuser alice\n\nlogin \"Code: \" | %code\n   -> PAM_SUCCESS\n\
                    == second\nauthenticate -> PAM_IGNORE\n";
        let stories = parse("x.talk", text).unwrap();
        assert_eq!(stories.iter().map(|story| story.title.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        let places: Vec<_> = stories.iter().flat_map(|story| &story.steps).map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["x.talk:3", "x.talk:5", "x.talk:8"]);
    }

    #[test]
    fn users_and_groups_and_what_they_have() {
        let password = || Some("a \"b\", c".to_owned());
        assert_eq!(
            steps("user alice, enrolled, password \"a \\\"b\\\", c\"\nuser bob\ngroup staff, alice, bob"),
            [
                Step::User { name: "alice".into(), enrolled: true, password: password() },
                Step::User { name: "bob".into(), enrolled: false, password: None },
                Step::Group { name: "staff".into(), members: vec!["alice".into(), "bob".into()] },
            ]
        );
    }

    #[test]
    fn files_keep_their_lines_or_are_those_of_the_examples() {
        assert_eq!(
            steps("stack auth required pam_otp.so\n      auth required pam_unix.so\nconfig example grace\nconfig"),
            [
                Step::Stack(Text::Lines("auth required pam_otp.so\nauth required pam_unix.so".into())),
                Step::Config(Text::Example("grace".into())),
                Step::Config(Text::Lines(String::new())),
            ]
        );
    }

    #[test]
    fn a_command_has_arguments_input_and_output() {
        assert_eq!(
            steps("otp-enroll recovery \"two words\" | %code -> ~\"codes\""),
            [Step::Run {
                arguments: vec!["recovery".into(), "two words".into()],
                input: Some("%code".into()),
                output: Some("codes".into())
            }]
        );
    }

    #[test]
    fn a_transaction_has_settings_texts_answers_results_and_log() {
        let text = "authenticate,setcred user=%bob rhost=\"a b\" \"P: \" | \"<hang-up>\" on ~\"Q\" | <hang-up> info \"I\" \
                    error \"E\" -> PAM_SUCCESS PAM_IGNORE log: one a=\"b c\" log: two nolog: three";
        let line = |kind, part, text: &str, answer| Line { kind, part, text: text.into(), answer };
        assert_eq!(
            steps(text),
            [Step::Transaction(Transaction {
                calls: "authenticate,setcred".into(),
                settings: vec![("user".into(), "%bob".into()), ("rhost".into(), "a b".into())],
                lines: vec![
                    line(Kind::PromptOff, false, "P: ", Some(Answer::Words("<hang-up>".into()))),
                    line(Kind::PromptOn, true, "Q", Some(Answer::HangUp)),
                    line(Kind::Info, false, "I", None),
                    line(Kind::Error, false, "E", None),
                ],
                results: vec!["PAM_SUCCESS".into(), "PAM_IGNORE".into()],
                log: vec!["one a=\"b c\"".into(), "two".into()],
                no_log: vec!["three".into()],
            })]
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (line, why) in [
            ("logon -> PAM_SUCCESS", "there is no verb \"logon\""),
            ("login \"Code: \" | x", "`-> RESULT` is missing"),
            ("login \"Code: \" -> PAM_SUCCESS", "`| answer` should stand at: -> PAM_SUCCESS"),
            ("login \"Code: | x", "a quoted text should stand at: \"Code: | x"),
            ("login Code: | x -> PAM_SUCCESS", "a quoted text should stand at: Code: | x -> PAM_SUCCESS"),
            ("login \"Code: \" | \"x -> PAM_SUCCESS", "the quote does not end: \"x -> PAM_SUCCESS"),
            ("login ->", "1 results should stand after `->`, not []"),
            ("authenticate,setcred -> PAM_SUCCESS", "2 results should stand after `->`, not [\"PAM_SUCCESS\"]"),
            ("login -> SUCCESS", "\"SUCCESS\" is no result"),
            ("login -> PAM_SUCCESS log: nolog: x", "`log:` with nothing after it"),
            ("user", "`user` has a name of small letters"),
            ("user Alice", "`user` has a name of small letters"),
            ("user alice, enroled", "`enrolled` or `password \"TEXT\"` should stand at: enroled"),
            ("user alice, enrolled twice", "a comma should stand at: twice"),
            ("user alice, password secret", "`password` has a quoted text"),
            ("group", "`group` has a name"),
            ("otp-enroll", "`otp-enroll` wants arguments"),
            ("otp-enroll status -> enrolled", "`~\"TEXT\"` should stand after `->`"),
            ("otp-enroll status -> ~\"a\" b", "nothing should stand at: b"),
        ] {
            assert_eq!(complaint(&format!("== t\n\n{line}\n")), format!("x.talk:3: {why}"));
        }
    }

    #[test]
    fn nothing_is_left_unsaid() {
        assert_eq!(complaint(""), "x.talk: there is no story");
        assert_eq!(complaint("login -> PAM_SUCCESS"), "x.talk:1: `== TITLE` should stand before this");
        assert_eq!(complaint("== a\nuser alice\n"), "x.talk: nothing is said in the last story");
        assert_eq!(complaint("== a\n== b\n"), "x.talk:2: nothing is said in the story before this one");
        let folder = tempfile::tempdir().unwrap();
        let empty = read_folder(folder.path()).unwrap_err().to_string();
        assert_eq!(empty, format!("{}: there is no file *.talk", folder.path().display()));
        std::fs::write(folder.path().join("a.talk"), "== t\nlogin\n").unwrap();
        assert_eq!(read_folder(folder.path()).unwrap_err().to_string(), "a.talk:2: `-> RESULT` is missing");
    }
}
