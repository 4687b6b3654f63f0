//! A program that is killed at one of its system calls, or told that one of them failed: any program, any call of it, by
//! strace.

use crate::users::TestUser;
use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// What a system that is out of something answers.
pub const ERRORS: [&str; 8] = ["ENOSPC", "EIO", "EROFS", "ENOMEM", "EDQUOT", "EINTR", "EMFILE", "ELOOP"];

/// How long a program may take under strace, in seconds. Past it it is killed and counts as hung.
pub const BOUND: u64 = 60;

/// True for the long form (`make proof`): every error for every call, once and from then on.
pub fn in_full() -> bool {
    env::var_os("PAM_OTP_PROOF").is_some_and(|set| set == "1")
}

/// A line of figures that is printed even where the output of tests that pass is not.
///
/// # Panics
/// When standard error is gone.
pub fn report(figures: &str) {
    // Not eprintln!, which the test runner takes for itself.
    io::stderr().write_all(format!("proof: {figures}\n").as_bytes()).unwrap();
}

/// One system call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub call: String,
    /// Which one of that name.
    pub nth: usize,
    /// How strace writes it.
    pub line: String,
}

/// What is done to a program at a [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// It dies before the call has run, which is to say after the one before it.
    Killed,
    /// The call does nothing and answers this error.
    Once(&'static str),
    /// This one and all later ones of the same name do.
    FromThenOn(&'static str),
}

impl Injection {
    /// Whether this can inject_at_each_call this call. A program's beginning and end do not fail, nor do those that have no error.
    pub fn fits(self, point: &Point) -> bool {
        let call = point.call.as_str();
        let infallible = ["execve", "exit_group", "exit", "rt_sigreturn", "umask", "alarm"].contains(&call)
            || (call.starts_with("get") && call.ends_with("id"));
        self == Injection::Killed || !infallible
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Injection::Killed => out.write_str("killed at"),
            Injection::Once(error) => write!(out, "{error} from"),
            Injection::FromThenOn(error) => write!(out, "{error} from all after"),
        }
    }
}

/// A program as root, or as a user, and where strace writes.
#[derive(Debug)]
pub struct Traced<'a> {
    program: OsString,
    arguments: Vec<OsString>,
    user: Option<&'a TestUser>,
    trace: PathBuf,
}

impl<'a> Traced<'a> {
    /// `program` with its arguments; ids and environment are the user's, or root's own.
    pub fn new(program: &Command, user: Option<&'a TestUser>, trace: &Path) -> Traced<'a> {
        let arguments = program.get_args().map(ToOwned::to_owned).collect();
        Traced { program: program.get_program().to_owned(), arguments, user, trace: trace.to_owned() }
    }

    /// All its calls are written down; what files are told, in full.
    pub fn watched(&self) -> Command {
        self.strace(&["--decode-fds=path", "--string-limit=70000"])
    }

    /// It meets an injection.
    pub fn meeting(&self, injection: Injection, point: &Point) -> Command {
        let Point { call, nth, .. } = point;
        let inject = match injection {
            Injection::Killed => format!("inject={call}:signal=KILL:when={nth}"),
            Injection::Once(error) => format!("inject={call}:error={error}:when={nth}"),
            Injection::FromThenOn(error) => format!("inject={call}:error={error}:when={nth}+"),
        };
        self.strace(&["-e", &format!("trace={call}"), "-e", &inject])
    }

    /// What strace wrote.
    ///
    /// # Panics
    /// When it wrote nothing.
    pub fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.trace).unwrap()).into_owned()
    }

    /// Whether the injection was met: another run may make another number of calls.
    pub fn was_met(&self) -> bool {
        let trace = self.trace();
        trace.contains("(INJECTED)") || trace.contains("+++ killed by SIGKILL +++")
    }

    fn strace(&self, options: &[&str]) -> Command {
        let bound = BOUND.to_string();
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", &bound, "strace", "-o"]).arg(&self.trace).args(options);
        if let Some(user) = self.user {
            command.args(["-u", &user.name]).current_dir(&user.home).env_clear().envs(user.environment());
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        command
    }
}

/// The calls of a trace from the first one with `begins` in it on. What is before is the loader's and the host's own.
///
/// # Panics
/// When there is no such call.
pub fn points(trace: &str, begins: &str) -> Vec<Point> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut points = Vec::new();
    let mut begun = false;
    for line in trace.lines() {
        let Some((call, _)) = line.split_once('(') else { continue };
        if !call.chars().all(|symbol| symbol.is_ascii_alphanumeric() || symbol == '_') {
            continue;
        }
        let nth = counts.entry(call).or_default();
        *nth += 1;
        begun |= line.contains(begins);
        if begun {
            let line = line.chars().take(150).collect();
            points.push(Point { call: call.to_owned(), nth: *nth, line });
        }
    }
    assert!(!points.is_empty(), "no {begins} in\n{trace}");
    points
}
