//! Conversations as text that an administrator can review.
//!
//! ```text
//! # a code works exactly once
//! login   "Verification code: " | %code              -> PAM_SUCCESS   log: accepted user=%user factor=totp
//! login   "Verification code: " | %code              -> PAM_AUTH_ERR  log: refused why=replayed
//! login rhost=192.0.2.7 "Password: " | "two words" "Verification code: " | 000000
//!         error "Login refused"                      -> PAM_AUTH_ERR  nolog: accepted
//! authenticate,acct_mgmt  on ~"code" | <hang-up>     -> PAM_CONV_ERR PAM_SUCCESS
//! ```
//!
//! A line is a transaction; an indented line continues it; `#` opens a comment line. First the verb: `login`, or calls
//! with commas between (see `pamtalk`); then `user=` `rhost=` `tty=` where wanted; then what is said, in order and
//! complete: `"prompt" | answer` (`on` before it: the answer is shown), `info "text"`, `error "text"`; `~"part"` matches a
//! text with that in it. An answer is one word or quoted; `%name` in it, and in `log:`, is what the test says it
//! is; `<hang-up>` gives none. After `->` the result of `login`, or of each call. `log:` lines must be written by this
//! very process, `nolog:` ones must not.

use crate::{
    conversation::{Event, Talk, Transcript, unquote},
    machine, syslog,
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    time::Duration,
};

/// What `%name` stands for, given what was said so far in this transaction.
type Word<'a> = Box<dyn FnMut(&[Event]) -> String + 'a>;
/// What a line with a verb of the test's own does to the transactions after it.
type Verb<'a> = Box<dyn FnMut(&str, Talk) -> Talk + 'a>;

/// A player of scripts.
pub struct Script<'a> {
    talk: Talk,
    words: BTreeMap<String, Word<'a>>,
    verbs: BTreeMap<String, Verb<'a>>,
}

impl<'a> Script<'a> {
    /// Conversations like `talk`, but for what the script says otherwise.
    pub fn new(talk: Talk) -> Script<'a> {
        Script { talk, words: BTreeMap::new(), verbs: BTreeMap::new() }
    }

    /// `%name` is `value`.
    pub fn word(self, name: &str, value: impl Into<String>) -> Script<'a> {
        let value = value.into();
        self.word_from(name, move |_| value.clone())
    }

    /// `%name` is what `value` gives each time; it is told what was said so far (a key to set up, for one).
    pub fn word_from(mut self, name: &str, value: impl FnMut(&[Event]) -> String + 'a) -> Script<'a> {
        self.words.insert(name.to_owned(), Box::new(value));
        self
    }

    /// Lines that begin with `name` are the test's: it gets the rest of the line and may change the talk from there on.
    pub fn verb(mut self, name: &str, action: impl FnMut(&str, Talk) -> Talk + 'a) -> Script<'a> {
        self.verbs.insert(name.to_owned(), Box::new(action));
        self
    }

    /// Plays the script; one transcript a transaction.
    ///
    /// # Errors
    /// The first line that came out otherwise, or cannot be read, with what was expected beside what happened.
    pub fn play(&mut self, script: &str) -> Result<Vec<Transcript>, Mismatch> {
        let mut transcripts = Vec::new();
        for (number, line) in lines(script) {
            let fail = |why: String| Mismatch(format!("line {number}: {line}\n{why}"));
            let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            if let Some(action) = self.verbs.get_mut(verb) {
                self.talk = action(rest.trim(), self.talk.clone());
                continue;
            }
            let scene = Scene::parse(verb, rest).map_err(fail)?;
            transcripts.push(self.perform(&scene).map_err(fail)?);
        }
        Ok(transcripts)
    }

    fn perform(&mut self, scene: &Scene) -> Result<Transcript, String> {
        let mark = machine::is_copy().then(syslog::mark);
        let mut talk = self.talk.clone().calls(&scene.calls);
        for (key, value) in &scene.settings {
            let value = self.fill(value, &[])?;
            talk = match key.as_str() {
                "user" => talk.user(&value),
                "rhost" => talk.rhost(&value),
                _ => talk.tty(&value),
            };
        }
        let mut answers = scene.lines.iter().filter_map(|line| line.answer.as_ref());
        let mut conversation = talk.start();
        while let Some(event) = conversation.listen() {
            if event.is_prompt() {
                match answers.next() {
                    Some(Answer::Words(words)) => {
                        let answer = self.fill(words, conversation.events())?;
                        conversation.answer(answer);
                    }
                    Some(Answer::HangUp) | None => conversation.hang_up(),
                }
            }
        }
        let transcript = conversation.finish();
        scene.compare(&transcript)?;
        let log = |mark| {
            let ours = format!("pamtalk[{}]", transcript.pid);
            syslog::lines_since(mark).into_iter().filter(|line| line.contains(&ours)).collect::<Vec<_>>()
        };
        for (wanted, text) in &scene.log {
            let mark = mark.ok_or("log: can be looked at within tests/machine only")?;
            let text = self.fill(text, &transcript.events)?;
            let there = || log(mark).iter().any(|line| line.contains(&text)).then_some(());
            let found = if *wanted { machine::wait(Duration::from_secs(2), there) } else { there() };
            if found.is_some() != *wanted {
                let verdict = if *wanted { "no line of the log has" } else { "the log should not have" };
                return Err(format!("{verdict} {text:?}; this transaction logged\n{}", log(mark).join("\n")));
            }
        }
        Ok(transcript)
    }

    /// Puts each `%name` in place; `%%` is a percent sign.
    fn fill(&mut self, text: &str, events: &[Event]) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            filled.push_str(before);
            let end =
                after.find(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '_').unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            if let (true, Some(tail)) = (name.is_empty(), tail.strip_prefix('%')) {
                filled.push('%');
                rest = tail;
                continue;
            }
            let word = self.words.get_mut(name).ok_or_else(|| format!("nobody says what %{name} is"))?;
            filled.push_str(&word(events));
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// A script that came out otherwise. `Debug` is the text itself, so that `unwrap` shows it readably.
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{}", self.0)
    }
}

/// The script's lines, continued ones joined, each with its number.
fn lines(script: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    // A script indented as a whole, as in a test's source, has its first line's indentation taken off.
    let margin =
        script.lines().find(|line| !line.trim().is_empty()).map_or(0, |line| line.len() - line.trim_start().len());
    for (index, line) in script.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, open)) if line.len() - line.trim_start().len() > margin => {
                open.push(' ');
                open.push_str(text);
            }
            _ => lines.push((index + 1, text.to_owned())),
        }
    }
    lines
}

/// One transaction as it should go.
struct Scene {
    calls: String,
    settings: Vec<(String, String)>,
    lines: Vec<Line>,
    results: Vec<String>,
    log: Vec<(bool, String)>,
}

struct Line {
    kind: Kind,
    text: Text,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    PromptOff,
    PromptOn,
    Info,
    Error,
}

enum Text {
    Is(String),
    Has(String),
}

enum Answer {
    Words(String),
    HangUp,
}

impl Scene {
    fn parse(verb: &str, rest: &str) -> Result<Scene, String> {
        let known = verb == "login" || verb.split(',').all(|call| crate::pam::Call::named(call).is_some());
        if !known {
            return Err(format!("there is no verb {verb:?}"));
        }
        let mut scene = Scene { calls: verb.to_owned(), settings: vec![], lines: vec![], results: vec![], log: vec![] };
        let mut rest = rest.trim_start();
        while let Some(after) = setting(rest) {
            let (word, tail) = word(after)?;
            let (key, value) = word.split_once('=').unwrap_or_default();
            scene.settings.push((key.to_owned(), value.to_owned()));
            rest = tail;
        }
        loop {
            if let Some(results) = rest.strip_prefix("->") {
                scene.finish(results)?;
                return Ok(scene);
            }
            if rest.is_empty() {
                return Err("`-> RESULT` is missing".to_owned());
            }
            let (kind, quoted) = [("on", Kind::PromptOn), ("info", Kind::Info), ("error", Kind::Error)]
                .into_iter()
                .find_map(|(name, kind)| {
                    let tail = rest.strip_prefix(name)?;
                    tail.starts_with([' ', '"', '~']).then(|| (kind, tail.trim_start()))
                })
                .unwrap_or((Kind::PromptOff, rest));
            let (part, quoted) = quoted.strip_prefix('~').map_or((false, quoted), |quoted| (true, quoted));
            let (text, tail) = unquote(quoted).ok_or_else(|| format!("a quoted text should stand at: {rest}"))?;
            let text = if part { Text::Has(text) } else { Text::Is(text) };
            rest = tail.trim_start();
            let answer = if matches!(kind, Kind::PromptOff | Kind::PromptOn) {
                let after = rest.strip_prefix('|').ok_or_else(|| format!("`| answer` should stand at: {rest}"))?;
                let (word, tail) = word(after.trim_start())?;
                rest = tail;
                Some(if word == "<hang-up>" { Answer::HangUp } else { Answer::Words(word) })
            } else {
                None
            };
            scene.lines.push(Line { kind, text, answer });
        }
    }

    /// What stands after the arrow: results, then `log:` and `nolog:`.
    fn finish(&mut self, text: &str) -> Result<(), String> {
        let mut wanted = None;
        for word in text.split_whitespace() {
            match (word, wanted) {
                ("log:" | "nolog:", _) => {
                    wanted = Some(word == "log:");
                    self.log.push((word == "log:", String::new()));
                }
                (_, None) => self.results.push(word.trim_end_matches(',').to_owned()),
                (_, Some(_)) => {
                    if let Some((_, line)) = self.log.last_mut() {
                        line.push_str(if line.is_empty() { "" } else { " " });
                        line.push_str(word);
                    }
                }
            }
        }
        let calls = self.calls.split(',').count();
        if self.results.len() != calls {
            return Err(format!("{calls} results should stand after `->`, not {:?}", self.results));
        }
        if self.log.iter().any(|(_, line)| line.is_empty()) {
            return Err("`log:` with nothing after it".to_owned());
        }
        Ok(())
    }

    fn compare(&self, transcript: &Transcript) -> Result<(), String> {
        let said: Vec<(Kind, &str)> = transcript
            .events
            .iter()
            .filter_map(|event| match event {
                Event::PromptOff(text) => Some((Kind::PromptOff, text.as_str())),
                Event::PromptOn(text) => Some((Kind::PromptOn, text.as_str())),
                Event::Info(text) => Some((Kind::Info, text.as_str())),
                Event::Error(text) => Some((Kind::Error, text.as_str())),
                Event::Delay(_) | Event::Measured(..) | Event::Env(_) | Event::Result(..) => None,
            })
            .collect();
        let results: Vec<&str> = if self.calls == "login" {
            transcript
                .results()
                .filter(|(call, _)| matches!(*call, "login" | "start"))
                .map(|(_, result)| result)
                .collect()
        } else {
            transcript.results().map(|(_, result)| result).collect()
        };
        let mut rows: Vec<(bool, String, String)> = Vec::new();
        for index in 0..self.lines.len().max(said.len()) {
            let (line, said) = (self.lines.get(index), said.get(index));
            let same = line.zip(said).is_some_and(|(line, (kind, text))| line.kind == *kind && line.text.fits(text));
            rows.push((
                same,
                line.map_or_else(String::new, Line::show),
                said.map_or_else(String::new, |(kind, text)| show(*kind, text)),
            ));
        }
        let arrow = |results: &[&str]| format!("-> {}", results.join(" "));
        let expected: Vec<&str> = self.results.iter().map(String::as_str).collect();
        rows.push((expected == results, arrow(&expected), arrow(&results)));
        if transcript.status.code().is_none() {
            rows.push((false, "(a normal end)".to_owned(), transcript.status.to_string()));
        }
        if rows.iter().all(|(same, ..)| *same) {
            return Ok(());
        }
        let width = rows.iter().map(|(_, left, _)| left.chars().count()).max().unwrap_or(0).max(8);
        let mut table = format!("    {:width$}    what happened\n", "expected");
        for (same, left, right) in rows {
            let sign = if same { ' ' } else { '≠' };
            let _ = writeln!(table, "  {sign} {left:width$}    {right}");
        }
        if !transcript.noise.is_empty() {
            let _ = writeln!(table, "standard error: {}", transcript.noise);
        }
        Err(table)
    }
}

impl Line {
    fn show(&self) -> String {
        match &self.text {
            Text::Is(text) => show(self.kind, text),
            Text::Has(text) => show(self.kind, text).replacen('"', "~\"", 1),
        }
    }
}

impl Text {
    fn fits(&self, said: &str) -> bool {
        match self {
            Text::Is(text) => text == said,
            Text::Has(part) => said.contains(part.as_str()),
        }
    }
}

fn show(kind: Kind, text: &str) -> String {
    match kind {
        Kind::PromptOff => format!("{text:?}"),
        Kind::PromptOn => format!("on {text:?}"),
        Kind::Info => format!("info {text:?}"),
        Kind::Error => format!("error {text:?}"),
    }
}

/// `rest`, if a setting stands at its start.
fn setting(rest: &str) -> Option<&str> {
    ["user=", "rhost=", "tty="].iter().any(|key| rest.starts_with(key)).then_some(rest)
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
