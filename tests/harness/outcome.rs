//! A program without a terminal: what goes in, what comes out, and how it ends.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// How a program ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// Runs a program with this on standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command, input: &str) -> Outcome {
        let mut talk = Dialogue::start(command);
        if let Some(stdin) = &mut talk.child.stdin {
            let _ = stdin.write_all(input.as_bytes()); // who does not read it says so otherwise
        }
        talk.end()
    }

    /// Standard output as lines of JSON.
    ///
    /// # Panics
    /// When it is something else.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// A program that is spoken to line by line.
#[derive(Debug)]
pub struct Dialogue {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Dialogue {
    /// Starts a program with pipes for all three streams.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Dialogue {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        Dialogue { child, output }
    }

    /// Says a line.
    ///
    /// # Panics
    /// When the program has closed its standard input.
    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Says a line to a program that may have ended.
    pub fn say_if_heard(&mut self, line: &str) {
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{line}");
    }

    /// The next line as JSON, from a program that may end before or in the middle of it.
    pub fn object(&mut self) -> Option<Value> {
        serde_json::from_str(&self.line()).ok()
    }

    /// The next line, without its end; empty when there is none.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The next line as JSON.
    ///
    /// # Panics
    /// When it is not; with what was said on standard error.
    pub fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = self.child.kill();
            let mut complaint = String::new();
            let _ = self.child.stderr.take().unwrap().read_to_string(&mut complaint);
            panic!("{error}: {line:?}; {complaint}")
        })
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Closes standard output on this side, as `head` does when it has seen enough.
    pub fn turn_away(self) -> Deaf {
        Deaf(self.child)
    }

    /// Closes standard input and waits for the end; the rest of what is said is in the outcome.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn end(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let (mut out, mut err) = (String::new(), String::new());
        let mut errors = self.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            errors.read_to_string(&mut err).unwrap();
            err
        });
        self.output.read_to_string(&mut out).unwrap();
        let err = reader.join().unwrap();
        Outcome { code: self.child.wait().unwrap().code(), out, err }
    }
}

/// A program whose standard output is closed at the other end.
#[derive(Debug)]
pub struct Deaf(Child);

impl Deaf {
    /// Says a line.
    ///
    /// # Panics
    /// When the program has closed its standard input.
    pub fn say(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// As [`Dialogue::end`].
    ///
    /// # Panics
    /// When what it said is not UTF-8.
    pub fn end(self) -> Outcome {
        let output = self.0.wait_with_output().unwrap();
        Outcome { code: output.status.code(), out: String::new(), err: String::from_utf8(output.stderr).unwrap() }
    }
}
