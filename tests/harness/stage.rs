//! Plays the stories of [`crate::talk_file`]: real users, a real service, the real module, and what came of it beside what
//! the file says.

use crate::{
    conversation::{Event, Talk, Transcript},
    outcome::Outcome,
    phone::{self, Phone},
    service::Service,
    site::Site,
    syslog,
    talk_file::{Answer, Kind, Line, Step, Story, Text, Transaction},
    users::{TestUser, new_group},
};
use std::{cell::RefCell, collections::BTreeMap, fmt::Write, process::Command, rc::Rc};

/// Where a story plays.
struct Stage {
    site: Site,
    service: Service,
    /// By what the file calls them, in its order: the first one logs in where no user is named.
    users: Vec<(String, Member)>,
    groups: BTreeMap<String, String>,
    /// The passcode that was issued last.
    passcode: RefCell<String>,
}

/// A user of a story.
struct Member {
    user: TestUser,
    phone: RefCell<Option<Rc<Phone>>>,
}

/// Plays a story. Gives the number of its transactions.
///
/// # Errors
/// The first line that came out otherwise, with what was expected beside what happened.
///
/// # Panics
/// Outside the machine.
pub fn play(story: &Story) -> Result<usize, String> {
    let site = Site::new("");
    let others = "account required pam_permit.so\nsession required pam_permit.so";
    let service = Service::installed("talk", &(site.auth("required", "") + others));
    let mut stage = Stage { site, service, users: Vec::new(), groups: BTreeMap::new(), passcode: RefCell::default() };
    let mut transactions = 0;
    for (place, step) in &story.steps {
        let wrong = |why| format!("{place} ({}): {why}\n", story.title);
        match step {
            Step::Transaction(transaction) => {
                stage.perform(transaction).map_err(wrong)?;
                transactions += 1;
            }
            Step::User { name, enrolled, password } => stage.user(name, *enrolled, password.as_deref()),
            Step::Group { name, members } => stage.group(name, members).map_err(wrong)?,
            Step::Stack(text) => {
                let stack = match text {
                    Text::Example(name) => stage.site.example_stack(name),
                    Text::Lines(lines) => lines.replace("pam_otp.so", &stage.site.module()),
                };
                stage.service.set(&stack);
            }
            Step::Config(Text::Example(name)) => stage.site.set_example(name),
            Step::Config(Text::Lines(lines)) => {
                let lines = stage.fill(lines, 0, &[]).map_err(wrong)?;
                stage.site.set_with_table(&lines);
            }
            Step::Run { arguments, input, output } => {
                stage.run(arguments, input.as_deref().unwrap_or_default(), output.as_deref()).map_err(wrong)?;
            }
        }
    }
    Ok(transactions)
}

impl Stage {
    fn user(&mut self, name: &str, enrolled: bool, password: Option<&str>) {
        let number = self.users.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.users.push((name.to_owned(), Member { user: TestUser::new(name), phone: RefCell::default() }));
            self.users.len() - 1
        });
        let (_, member) = &mut self.users[number];
        if let Some(password) = password {
            member.user.set_password(password);
        }
        if enrolled {
            member.phone.replace(Some(Rc::new(Phone::enroll(&self.site, &member.user.name))));
        }
    }

    fn group(&mut self, name: &str, members: &[String]) -> Result<(), String> {
        let group = self.groups.entry(name.to_owned()).or_insert_with(|| new_group(name));
        for name in members {
            let found = self.users.iter().find(|(known, _)| known == name);
            found.ok_or_else(|| format!("there is no user {name}"))?.1.user.join(group);
        }
        Ok(())
    }

    /// `otp-enroll` as root: `admin` as it is, everything else for the first user.
    fn run(&self, arguments: &[String], input: &str, output: Option<&str>) -> Result<(), String> {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(self.site.config());
        if arguments.first().is_none_or(|first| first != "admin") {
            let (_, first) = self.users.first().ok_or("there is no user yet")?;
            command.args(["--user", &first.user.name]);
        }
        for argument in arguments {
            command.arg(self.fill(argument, 0, &[])?);
        }
        let outcome = Outcome::of(&mut command, &format!("{}\n", self.fill(input, 0, &[])?));
        let output = self.fill(output.unwrap_or_default(), 0, &[])?;
        if outcome.code != Some(0) || !outcome.out.contains(&output) {
            return Err(format!("otp-enroll was to succeed and say {output:?}, but\n{outcome:#?}"));
        }
        if let Some((passcode, _)) =
            outcome.out.split_once("'s passcode, ").and_then(|(said, _)| said.split_once(" is "))
        {
            self.passcode.replace(passcode.to_owned());
        }
        Ok(())
    }

    fn perform(&self, transaction: &Transaction) -> Result<(), String> {
        let (_, first) = self.users.first().ok_or("there is no user yet")?;
        let mut talk = Talk::new(&self.service, &first.user.name).calls(&transaction.calls);
        let mut who = 0;
        for (key, value) in &transaction.settings {
            let value = self.fill(value, 0, &[])?;
            talk = match key.as_str() {
                "user" => {
                    who = self.users.iter().position(|(_, member)| member.user.name == value).unwrap_or(0);
                    talk.user(&value)
                }
                "rhost" => talk.rhost(&value),
                "become" => talk.option("--become", &value),
                _ => talk.tty(&value),
            };
        }
        let mark = syslog::mark();
        let mut answers = transaction.lines.iter().filter_map(|line| line.answer.as_ref());
        let mut conversation = talk.start();
        while let Some(event) = conversation.listen() {
            if event.is_prompt() {
                match answers.next() {
                    Some(Answer::Words(words)) => {
                        let answer = self.fill(words, who, conversation.events())?;
                        conversation.answer(answer);
                    }
                    Some(Answer::HangUp) | None => conversation.hang_up(),
                }
            }
        }
        let transcript = conversation.finish();
        let lines = syslog::of_module(mark, transcript.pid);
        let complaint = |what: &str| Err(format!("{what}; the module logged\n    {}", lines.join("\n    ")));
        if let Err(table) = self.compare(transaction, who, &transcript) {
            return complaint(&table);
        }
        if !transaction.log.is_empty() && transaction.log.len() != lines.len() {
            return complaint(&format!("{} lines of the log were expected", transaction.log.len()));
        }
        for (text, line) in transaction.log.iter().zip(&lines) {
            let text = self.fill(text, who, &transcript.events)?;
            if !line.contains(&text) {
                return complaint(&format!("{text:?} was expected in the log"));
            }
        }
        for text in &transaction.no_log {
            let text = self.fill(text, who, &transcript.events)?;
            if lines.iter().any(|line| line.contains(&text)) {
                return complaint(&format!("{text:?} should not be in the log"));
            }
        }
        Ok(())
    }

    /// Puts each `%name` in place; `%%` is a percent sign.
    fn fill(&self, text: &str, who: usize, events: &[Event]) -> Result<String, String> {
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
            filled.push_str(&self.word(name, who, events)?);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn word(&self, name: &str, who: usize, events: &[Event]) -> Result<String, String> {
        if let Some((_, member)) = self.users.iter().find(|(known, _)| known == name) {
            return Ok(member.user.name.clone());
        }
        if let Some(group) = self.groups.get(name) {
            return Ok(group.clone());
        }
        let (called, member) = self.users.get(who).ok_or("there is no user yet")?;
        let phone = || member.phone.borrow().clone().ok_or_else(|| format!("%{name}: {called} has no device"));
        Ok(match name {
            "service" => self.service.name().to_owned(),
            "user" => member.user.name.clone(),
            "password" => member.user.password.clone(),
            "code" => phone()?.next_code(),
            "code_again" => phone()?.last_code(),
            "code_in_two" => in_two(&phone()?.next_code()),
            "code_again_in_two" => in_two(&phone()?.last_code()),
            "wrong" => phone()?.wrong(),
            "recovery" => phone()?.recovery_code(),
            "recovery_again" => phone()?.last_recovery_code(),
            "recovery_as_copied" => phone()?.recovery_code().to_lowercase().replace('-', " "),
            "passcode" => self.passcode.borrow().clone(),
            "passcode_as_copied" => self.passcode.borrow().to_lowercase().replace('-', " "),
            "shown_code" => {
                let phone = Phone::with_key(&self.site, &member.user.name, &shown_key(events));
                member.phone.replace(Some(Rc::new(phone)));
                member.phone.borrow().as_ref().unwrap().next_code()
            }
            _ => return Err(format!("there is no word %{name}")),
        })
    }

    fn compare(&self, expected: &Transaction, who: usize, found: &Transcript) -> Result<(), String> {
        let said: Vec<(Kind, &str)> = texts(&found.events).collect();
        let results: Vec<&str> = found
            .results()
            .filter(|(call, _)| expected.calls != "login" || matches!(*call, "login" | "start"))
            .map(|(_, result)| result)
            .collect();
        let mut rows: Vec<(bool, String, String)> = Vec::new();
        for index in 0..expected.lines.len().max(said.len()) {
            let (line, said) = (expected.lines.get(index), said.get(index));
            // A word that is another one each time has no place in an expected text.
            let text = line.map(|line| self.fill(&line.text, who, &[])).transpose()?.unwrap_or_default();
            let same = line.zip(said).is_some_and(|(line, (kind, said))| {
                line.kind == *kind && if line.part { said.contains(&text) } else { *said == text }
            });
            let sign = if line.is_some_and(|line| line.part) { "~" } else { "" };
            rows.push((
                same,
                line.map_or_else(String::new, |line| sign.to_owned() + &Line::show(line.kind, &text)),
                said.map_or_else(String::new, |(kind, text)| Line::show(*kind, text)),
            ));
        }
        let arrow = |results: &[&str]| format!("-> {}", results.join(" "));
        let wanted: Vec<&str> = expected.results.iter().map(String::as_str).collect();
        rows.push((wanted == results, arrow(&wanted), arrow(&results)));
        if found.status.code().is_none() {
            rows.push((false, "(a normal end)".to_owned(), found.status.to_string()));
        }
        if !found.noise.is_empty() {
            rows.push((false, "(nothing on standard error)".to_owned(), found.noise.clone()));
        }
        if rows.iter().all(|(same, ..)| *same) { Ok(()) } else { Err(table(&rows)) }
    }
}

fn texts(events: &[Event]) -> impl Iterator<Item = (Kind, &str)> {
    events.iter().filter_map(|event| match event {
        Event::PromptOff(text) => Some((Kind::PromptOff, text.as_str())),
        Event::PromptOn(text) => Some((Kind::PromptOn, text.as_str())),
        Event::Info(text) => Some((Kind::Info, text.as_str())),
        Event::Error(text) => Some((Kind::Error, text.as_str())),
        Event::Delay(_) | Event::Measured(..) | Event::Env(_) | Event::Result(..) => None,
    })
}

fn table(rows: &[(bool, String, String)]) -> String {
    let width = rows.iter().map(|(_, left, _)| left.chars().count()).max().unwrap_or(0).max(8);
    let mut table = format!("it came out otherwise\n    {:width$}    what happened\n", "expected");
    for (same, left, right) in rows {
        let sign = if *same { ' ' } else { '≠' };
        let _ = writeln!(table, "  {sign} {left:width$}    {right}");
    }
    table
}

fn in_two(code: &str) -> String {
    let (first, rest) = code.split_at(code.len() / 2);
    format!("{first}  {rest}")
}

/// The key that was shown in this conversation.
fn shown_key(events: &[Event]) -> String {
    let said: Vec<&str> = texts(events).map(|(_, text)| text).collect();
    phone::key(&said.join("\n"))
}
