//! A program on a terminal of its own, and the person in front of it.

use crate::{machine, users::TestUser};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, fs::chown},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How long a program may keep its user waiting before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program to be started on a terminal.
#[derive(Debug)]
pub struct Pty {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    user: Option<TestUser>,
    rows: u16,
    columns: u16,
}

impl Pty {
    /// `program` on 80 columns and 24 rows.
    pub fn new(program: impl AsRef<OsStr>) -> Pty {
        let env = vec![("TERM".into(), Some("xterm-256color".into()))];
        Pty { program: program.as_ref().to_owned(), args: Vec::new(), env, user: None, rows: 24, columns: 80 }
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Pty {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Pty {
        self.env.push((name.into(), Some(value.as_ref().to_owned())));
        self
    }

    /// A variable it does not have.
    pub fn env_remove(mut self, name: &str) -> Pty {
        self.env.push((name.into(), None));
        self
    }

    /// A terminal of another size.
    pub fn size(mut self, columns: u16, rows: u16) -> Pty {
        (self.columns, self.rows) = (columns, rows);
        self
    }

    /// As a user who has logged in: own ids and groups, home folder, a login's environment, and the terminal is theirs.
    pub fn user(mut self, user: &TestUser) -> Pty {
        self.user = Some(user.clone());
        self
    }

    /// Starts it as the leader of a new session whose controlling terminal is this one.
    ///
    /// # Panics
    /// When there is no terminal to be had, or no such program.
    pub fn start(self) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = Path::new(OsStr::from_bytes(name.as_bytes()));
        let slave = File::options().read(true).write(true).open(path).unwrap();

        // env(1) gives back the signals that the tests' parent process ignores (nohup), setsid(1) makes the session: what
        // would take `unsafe` here, or a crate. Both exec: the child is the program itself.
        let mut command = Command::new("env");
        command.args(["--default-signal", "setsid", "--ctty"]);
        if let Some(user) = &self.user {
            chown(path, Some(user.uid), None).unwrap();
            let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
            command.arg("setpriv").args(ids).arg("--init-groups").arg("--");
            command.current_dir(&user.home).env_clear().envs(user.environment());
        }
        command.arg(&self.program).args(&self.args);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let child = command.spawn().unwrap_or_else(|why| panic!("cannot start {command:?}: {why}"));
        drop(command); // it holds the slave's end open

        let master = File::from(master);
        let screen = vt100::Parser::new(self.rows, self.columns, 0);
        let seen = Arc::new(Mutex::new(Seen { screen, text: Vec::new(), escape: Escape::None, ended: false }));
        let (mut output, shared) = (master.try_clone().unwrap(), Arc::clone(&seen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shared.lock().unwrap().take(&buffer[..length]);
            }
            shared.lock().unwrap().ended = true;
        });
        Terminal { child, master, seen, read_to: 0, status: None }
    }
}

/// A running program's terminal. Dropped, the program is killed.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    master: File,
    seen: Arc<Mutex<Seen>>,
    read_to: usize,
    status: Option<ExitStatus>,
}

impl Terminal {
    /// Waits until `text` was written after what was last waited for, and gives all that was written up to its end.
    /// Escape sequences are passed over. For programs that paint, see [`Terminal::wait_for_screen`].
    ///
    /// # Panics
    /// When it is not written in half a minute, or the program ends without.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.look_for(text, PATIENCE)
            .unwrap_or_else(|| panic!("no {text:?} on the terminal, but\n{}", self.transcript()))
    }

    /// The same with a bound, and `None` when it is not written.
    pub fn look_for(&mut self, text: &str, patience: Duration) -> Option<String> {
        let from = self.read_to;
        let end = machine::wait(patience, || {
            let seen = self.seen.lock().unwrap();
            let rest = &seen.text[from..];
            match rest.windows(text.len().max(1)).position(|window| window == text.as_bytes()) {
                Some(at) => Some(Some(from + at + text.len())),
                None => seen.ended.then_some(None),
            }
        })??;
        self.read_to = end;
        let seen = self.seen.lock().unwrap();
        Some(String::from_utf8_lossy(&seen.text[from..end]).into_owned())
    }

    /// Waits until `text` can be seen on the screen, within a row.
    ///
    /// # Panics
    /// When it does not appear in half a minute.
    pub fn wait_for_screen(&self, text: &str) -> String {
        machine::wait(PATIENCE, || Some(self.screen()).filter(|screen| screen.contains(text)))
            .unwrap_or_else(|| panic!("no {text:?} on the screen, but\n{}", self.screen()))
    }

    /// Waits until the screen has `text` and the cursor stands behind `question`. What is typed before that is thrown away, as a
    /// question is asked.
    ///
    /// # Panics
    /// When that does not come.
    pub fn wait_for_question(&self, text: &str, question: &str) {
        let asks = |screen: &vt100::Screen| {
            let (row, _) = screen.cursor_position();
            let line = screen.rows(0, screen.size().1).nth(row.into()).unwrap_or_default();
            let line = line.replace(['\u{a0}', '\u{202f}'], " ");
            screen.contents().contains(text) && line.trim_end() == question.trim_end()
        };
        machine::wait(PATIENCE, || self.with_screen(asks).then_some(()))
            .unwrap_or_else(|| panic!("no {text:?} before {question:?} on the screen, but\n{}", self.screen()));
    }

    /// Types `text`; control characters do what they do on a keyboard (`\u{3}` is Ctrl-C).
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.master.write_all(text.as_ref()); // a program that has gone shows in its status
    }

    /// Types `text` and Return.
    pub fn send_line(&mut self, text: &str) {
        self.send(format!("{text}\r"));
    }

    /// Another size, with SIGWINCH for the program.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
        self.seen.lock().unwrap().screen.screen_mut().set_size(rows, columns);
    }

    /// What can be seen now, a line a row.
    pub fn screen(&self) -> String {
        self.with_screen(vt100::Screen::contents)
    }

    /// Looks closer: colours, cursor, alternate screen.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen.lock().unwrap().screen.screen())
    }

    /// All that was written, escape sequences left out, line ends as `\n`.
    pub fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().text).replace('\r', "")
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits for its end; what it wrote last is in the transcript then.
    ///
    /// # Panics
    /// When it has not ended in half a minute.
    pub fn wait(&mut self) -> ExitStatus {
        let Some(status) = machine::wait(PATIENCE, || self.ended()) else {
            panic!("it does not end:\n{}", self.transcript())
        };
        // A background process may keep the terminal open: then the text is as complete as it gets.
        let _ = machine::wait(Duration::from_secs(1), || self.seen.lock().unwrap().ended.then_some(()));
        status
    }

    /// Pulls the plug, as when a window is closed: the program gets SIGHUP when this returns.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What has come out: as a screen, and as text without escape sequences.
struct Seen {
    screen: vt100::Parser,
    text: Vec<u8>,
    escape: Escape,
    ended: bool,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", String::from_utf8_lossy(&self.text))
    }
}

/// Where in an escape sequence (ECMA-48 §5.3–5.6) the output stands.
#[derive(Clone, Copy)]
enum Escape {
    None,
    Begun,
    Control,
    String,
    StringEnd,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        for byte in bytes {
            self.escape = match (self.escape, byte) {
                (Escape::None, 0x1b) => Escape::Begun,
                (Escape::None, _) => {
                    self.text.push(*byte);
                    Escape::None
                }
                (Escape::Begun, b'[') => Escape::Control,
                (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::String,
                (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
                (Escape::Control, 0x20..=0x3f) => Escape::Control,
                (Escape::String, 0x1b) => Escape::StringEnd,
                (Escape::Begun | Escape::Control | Escape::StringEnd, _) | (Escape::String, 0x07) => Escape::None,
                (Escape::String, _) => Escape::String,
            };
        }
    }
}
