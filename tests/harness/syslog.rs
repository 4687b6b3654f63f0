//! What was logged: `logd` listens at the machine's own /dev/log, shared by all tests that run at the time.
//!
//! A line of the log is `authpriv.notice Nov 21 21:14:17 pamtalk[123]: pam_otp(sshd:auth): refused …`.

use crate::{held::Held, machine};
use std::{
    fmt::Write,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Where the lines are.
pub const FILE: &str = "/run/log/auth.log";
/// Where syslog(3) sends them.
pub const SOCKET: &str = "/dev/log";

/// A place in the log, in bytes from its begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(u64);

/// The end of the log as it is now; starts the collector where none runs.
///
/// # Panics
/// Outside the machine.
pub fn mark() -> Mark {
    start();
    let last = LAST_MARK.load(Ordering::Relaxed);
    let end = last + u64::try_from(settled(Mark(last)).len()).unwrap();
    LAST_MARK.fetch_max(end, Ordering::Relaxed);
    Mark(end)
}

// The log of a whole check is megabytes: `mark` does not read again what is before this, to find the end.
static LAST_MARK: AtomicU64 = AtomicU64::new(0);

/// Every line since `mark`, including those on their way when this is called. Other tests' lines are among them: look
/// for a user's or service's name that is yours alone.
///
/// # Panics
/// When the collector does not answer.
pub fn lines_since(mark: Mark) -> Vec<String> {
    settled(mark).lines().filter(|line| !line.contains(SETTLED)).map(str::to_owned).collect()
}

/// What `pam_otp` logged in the process with this number: `notice refused user=…`, level and message, one for each line.
///
/// # Panics
/// When the collector does not answer.
pub fn of_module(mark: Mark, pid: u32) -> Vec<String> {
    let sign = format!("[{pid}]: pam_otp(");
    let message = |line: &String| {
        let (head, rest) = line.split_once(&sign)?;
        let level = head.strip_prefix("authpriv.")?.split_once(' ')?.0;
        Some(format!("{level} {}", rest.split_once("): ")?.1))
    };
    lines_since(mark).iter().filter_map(message).collect()
}

/// What `pam_otp` logged at logins to this service: `refused user=…`, one for each line.
///
/// # Panics
/// When the collector does not answer.
pub fn of_logins(mark: Mark, service: &str) -> Vec<String> {
    let sign = format!(" pam_otp({service}:auth): ");
    lines_since(mark).iter().filter_map(|line| Some(line.split_once(&sign)?.1.to_owned())).collect()
}

/// The first line since `mark` with `text` in it, waiting for it as long as `patience`.
///
/// # Errors
/// The lines there were instead.
pub fn wait_for(mark: Mark, text: &str, patience: Duration) -> Result<String, String> {
    machine::wait(patience, || lines_since(mark).into_iter().find(|line| line.contains(text)))
        .ok_or_else(|| format!("no line with {text:?} in the log, but\n{}", lines_since(mark).join("\n")))
}

/// True when a process listens at /dev/log.
pub fn is_collected() -> bool {
    UnixDatagram::unbound().is_ok_and(|socket| socket.connect(SOCKET).is_ok())
}

/// A received message as a line of the log: priority spelled out, control characters as `#ooo` (rsyslog's way), so that
/// a message can never pass for two.
pub fn line(message: &[u8]) -> String {
    let message = String::from_utf8_lossy(message);
    let message = message.trim_end_matches(['\0', '\n']);
    let (priority, text) = message
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .and_then(|(number, text)| Some((number.parse().ok()?, text)))
        .unwrap_or((13_usize, message)); // RFC 3164 §4.3.3: user.notice where there is none
    let facility = FACILITIES.get(priority / 8).unwrap_or(&"unknown");
    let mut line = format!("{facility}.{} ", LEVELS[priority % 8]);
    for symbol in text.chars() {
        if symbol.is_control() {
            let _ = write!(line, "#{:03o}", u32::from(symbol));
        } else {
            line.push(symbol);
        }
    }
    line.push('\n');
    line
}

// RFC 3164 §4.1.1
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];

const SETTLED: &str = "logd-settled";

/// The log from `mark`, once all that was sent before this call is in it: a datagram of our own has come out behind it.
fn settled(mark: Mark) -> String {
    let sign = machine::unique(SETTLED) + ".";
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(format!("<15>{sign}").as_bytes(), SOCKET).expect("nobody listens at /dev/log");
    machine::wait(Duration::from_secs(10), || {
        // Read whole lines only, up to ours and no further.
        let mut log = String::new();
        let mut file = File::open(FILE).ok()?;
        file.seek(SeekFrom::Start(mark.0)).ok()?;
        file.read_to_string(&mut log).ok()?;
        let end = log.find(&sign)? + sign.len() + 1;
        log.get(..end).map(str::to_owned)
    })
    .expect("logd does not write what it is sent")
}

fn start() {
    machine::require("collecting the log at /dev/log");
    let _one_at_a_time = Held::take("logd");
    if is_collected() {
        return;
    }
    // It outlives this process, and none of its streams keeps a pipe of cargo's open.
    let mut logd = Command::new("setsid");
    logd.arg("--fork").arg(machine::program("logd")).current_dir("/");
    let status = logd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "cannot run {logd:?}");
    machine::wait(Duration::from_secs(10), || is_collected().then_some(())).expect("logd does not start");
}
