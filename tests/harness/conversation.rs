//! A conversation with PAM: `pamtalk` as a process of its own, line by line or in one go.

use crate::{machine, pam::Call, service::Service};
use std::{
    ffi::OsString,
    fmt,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a module may keep its user waiting before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is said: one line of `pamtalk`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A question whose answer is not shown.
    PromptOff(String),
    /// A question whose answer is shown.
    PromptOn(String),
    /// Plain text.
    Info(String),
    /// Text of an error.
    Error(String),
    /// The delay after a failure, in microseconds: the host printed it and did not sleep.
    Delay(u64),
    /// With `--serve`, after each login: nanoseconds from the last answer to the result, and bytes in the host's heap.
    Measured(u64, u64),
    /// A PAM environment variable after a call: `NAME=VALUE`, or `NAME` when unset.
    Env(String),
    /// A call came back: its name and its result.
    Result(String, String),
}

impl Event {
    fn parse(line: &str) -> Event {
        if let Some((call, result)) = line.split_once(" -> ")
            && (Call::named(call).is_some() || matches!(call, "login" | "start"))
        {
            return Event::Result(call.to_owned(), result.to_owned());
        }
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let text = || unquote(rest).map(|(text, _)| text).unwrap_or_default();
        match kind {
            "prompt-off" => Event::PromptOff(text()),
            "prompt-on" => Event::PromptOn(text()),
            "info" => Event::Info(text()),
            "error" => Event::Error(text()),
            "env" => Event::Env(text()),
            "delay" => Event::Delay(rest.parse().unwrap()),
            "measured" => {
                let (time, heap) = rest.split_once(' ').unwrap();
                Event::Measured(time.parse().unwrap(), heap.parse().unwrap())
            }
            _ => panic!("pamtalk said {line:?}"),
        }
    }

    /// True for a question.
    pub fn is_prompt(&self) -> bool {
        matches!(self, Event::PromptOff(_) | Event::PromptOn(_))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::PromptOff(text) => write!(out, "{text:?}"),
            Event::PromptOn(text) => write!(out, "on {text:?}"),
            Event::Info(text) => write!(out, "info {text:?}"),
            Event::Error(text) => write!(out, "error {text:?}"),
            Event::Delay(microseconds) => write!(out, "delay {microseconds}"),
            Event::Measured(time, heap) => write!(out, "measured {time} {heap}"),
            Event::Env(text) => write!(out, "env {text:?}"),
            Event::Result(call, result) => write!(out, "{call} -> {result}"),
        }
    }
}

/// A quoted text with Rust's escapes at the start of `rest`, and what follows it.
pub(crate) fn unquote(rest: &str) -> Option<(String, &str)> {
    let mut symbols = rest.strip_prefix('"')?.char_indices();
    let mut text = String::new();
    loop {
        match symbols.next()? {
            (at, '"') => return Some((text, &rest[at + 2..])),
            (_, '\\') => text.push(match symbols.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let hex: String =
                        symbols.by_ref().map(|(_, symbol)| symbol).take_while(|symbol| *symbol != '}').collect();
                    char::from_u32(u32::from_str_radix(hex.strip_prefix('{')?, 16).ok()?)?
                }
                plain => plain,
            }),
            (_, symbol) => text.push(symbol),
        }
    }
}

/// Who talks to which service, and what about.
#[derive(Clone, Debug)]
pub struct Talk {
    options: Vec<OsString>,
    calls: String,
    service: String,
    user: String,
    ids: Option<(u32, u32)>,
}

impl Talk {
    /// `pam_authenticate` for `user`, as this process's user, with the delay after a failure told instead of slept.
    pub fn new(service: &Service, user: &str) -> Talk {
        let mut talk = Talk {
            options: vec!["--set-faildelay-off".into()],
            calls: "authenticate".to_owned(),
            service: service.name().to_owned(),
            user: user.to_owned(),
            ids: None,
        };
        if let Some(dir) = service.confdir() {
            talk.options.extend(["--confdir".into(), dir.into()]);
        }
        talk
    }

    /// Another user's name in place of the one given first; `-` lets the module ask.
    pub fn user(mut self, user: &str) -> Talk {
        user.clone_into(&mut self.user);
        self
    }

    /// `login`, or names of calls with commas between (see `pamtalk`).
    pub fn calls(mut self, calls: &str) -> Talk {
        calls.clone_into(&mut self.calls);
        self
    }

    /// `PAM_RHOST`.
    pub fn rhost(self, host: &str) -> Talk {
        self.option("--rhost", host)
    }

    /// `PAM_TTY`.
    pub fn tty(self, tty: &str) -> Talk {
        self.option("--tty", tty)
    }

    /// Any option of `pamtalk` with its value, as `--repeat` `1000`.
    pub fn option(mut self, name: &str, value: &str) -> Talk {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Any option of `pamtalk` that has no value, as `--stop`.
    pub fn flag(mut self, name: &str) -> Talk {
        self.options.push(name.into());
        self
    }

    /// The process's real and effective user and group, with no other groups. As root only.
    pub fn ids(mut self, uid: u32, gid: u32) -> Talk {
        self.ids = Some((uid, gid));
        self
    }

    /// The command line, for a test that starts it in its own way (under strace, with limits).
    pub fn command(&self) -> Command {
        let mut command = Command::new(machine::program("pamtalk"));
        command.args(&self.options).args(["--call", &self.calls, &self.service, &self.user]);
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts it; the test listens and answers.
    ///
    /// # Panics
    /// When `pamtalk` is not built.
    pub fn start(&self) -> Conversation {
        self.start_as(self.command())
    }

    /// The same with a command of the test's own around [`Talk::command`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_as(&self, mut command: Command) -> Conversation {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"));
        let (tell, lines) = mpsc::channel();
        let (output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { break };
                if tell.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let noise = thread::spawn(move || {
            let mut noise = Vec::new();
            let _ = errors.read_to_end(&mut noise);
            String::from_utf8_lossy(&noise).into_owned()
        });
        Conversation { input: child.stdin.take(), child, lines, noise: Some(noise), events: Vec::new() }
    }

    /// The whole conversation with these answers; when they run out, it is hung up.
    ///
    /// # Panics
    /// When `pamtalk` hangs.
    pub fn run<A: AsRef<[u8]>>(&self, answers: &[A]) -> Transcript {
        let mut conversation = self.start();
        let mut answers = answers.iter();
        while let Some(event) = conversation.listen() {
            if event.is_prompt() {
                match answers.next() {
                    Some(answer) => conversation.answer(answer),
                    None => conversation.hang_up(),
                }
            }
        }
        conversation.finish()
    }

    /// The whole conversation with all of standard input written ahead, as `--repeat` wants it.
    ///
    /// # Panics
    /// When `pamtalk` hangs.
    pub fn run_ahead<A: AsRef<[u8]>>(&self, answers: &[A]) -> Transcript {
        let mut conversation = self.start();
        for answer in answers {
            conversation.answer(answer);
        }
        conversation.hang_up();
        while conversation.listen().is_some() {}
        conversation.finish()
    }
}

/// A conversation in progress. Dropped unfinished, its process is killed.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    noise: Option<JoinHandle<String>>,
    events: Vec<Event>,
}

impl Conversation {
    /// What is said next; `None` at the end.
    ///
    /// # Panics
    /// When nothing is said for a minute.
    pub fn listen(&mut self) -> Option<Event> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let event = Event::parse(&line);
                self.events.push(event.clone());
                Some(event)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("pamtalk hangs after {:#?}", self.events),
        }
    }

    /// True when nothing more is said for that long: the module waits for an answer, or at a barrier.
    pub fn stays_silent(&mut self, time: Duration) -> bool {
        match self.lines.recv_timeout(time) {
            Ok(line) => {
                self.events.push(Event::parse(&line));
                false
            }
            Err(ended_or_silent) => ended_or_silent == mpsc::RecvTimeoutError::Timeout,
        }
    }

    /// Listens up to the next question.
    ///
    /// # Panics
    /// When the conversation ends without one.
    pub fn prompt(&mut self) -> String {
        loop {
            match self.listen() {
                Some(Event::PromptOff(text) | Event::PromptOn(text)) => return text,
                Some(_) => {}
                None => panic!("no prompt, but {:#?}", self.events),
            }
        }
    }

    /// The texts up to the next question.
    ///
    /// # Panics
    /// When the conversation ends without one.
    pub fn texts_before_prompt(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            match self.listen() {
                Some(Event::Info(text)) => texts.push(text),
                Some(event) if event.is_prompt() => return texts,
                Some(_) => {}
                None => panic!("no prompt, but {:#?}", self.events),
            }
        }
    }

    /// Answers the question: any bytes but a line end and NUL.
    pub fn answer(&mut self, answer: impl AsRef<[u8]>) {
        if let Some(input) = &mut self.input {
            let mut line = answer.as_ref().to_vec();
            line.push(b'\n');
            let _ = input.write_all(&line); // it may have ended meanwhile, and its transcript says how
        }
    }

    /// No more answers: the next question, or the open one, ends in `PAM_CONV_ERR`.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Forgets what was said so far, in a conversation that would grow too long.
    pub fn forget(&mut self) {
        self.events.clear();
    }

    /// What a process that is gone wrote to standard error.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn last_words(&mut self) -> String {
        self.noise.take().map(|noise| noise.join().unwrap()).unwrap_or_default()
    }

    /// What was said so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The process, as it stands in the log.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as when the machine or the client dies.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Listens to the end.
    ///
    /// # Panics
    /// When `pamtalk` hangs.
    pub fn finish(mut self) -> Transcript {
        self.hang_up();
        while self.listen().is_some() {}
        let status = self.child.wait().unwrap();
        let noise = self.last_words();
        Transcript { events: std::mem::take(&mut self.events), status, pid: self.child.id(), noise }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A conversation that is over. Displayed as text, a line an event.
#[derive(Debug)]
pub struct Transcript {
    /// What was said, in order.
    pub events: Vec<Event>,
    /// How `pamtalk` ended: success when the last call succeeded; a signal when a module took it down.
    pub status: ExitStatus,
    /// Its process number, as in the log's `pamtalk[PID]`.
    pub pid: u32,
    /// What came out on standard error; a module has no business there.
    pub noise: String,
}

impl Transcript {
    /// The result of a call by its name, the last one where there are several: `authenticate`, `login`.
    ///
    /// # Panics
    /// When it was not called.
    pub fn result(&self, name: &str) -> &str {
        self.results().rfind(|(call, _)| *call == name).unwrap_or_else(|| panic!("no {name} in\n{self}")).1
    }

    /// Every call with its result.
    pub fn results(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.events.iter().filter_map(|event| {
            if let Event::Result(call, result) = event { Some((call.as_str(), result.as_str())) } else { None }
        })
    }

    /// The texts of the questions.
    pub fn prompts(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| {
                if let Event::PromptOff(text) | Event::PromptOn(text) = event { Some(text.as_str()) } else { None }
            })
            .collect()
    }

    /// The texts that wanted no answer, of errors and otherwise.
    pub fn texts(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(
                |event| {
                    if let Event::Info(text) | Event::Error(text) = event { Some(text.as_str()) } else { None }
                },
            )
            .collect()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(out, "{event}")?;
        }
        if !self.noise.is_empty() {
            writeln!(out, "standard error: {}", self.noise)?;
        }
        write!(out, "{}", self.status)
    }
}
