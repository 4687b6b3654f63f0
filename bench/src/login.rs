//! One login, in this process or in a new one, and its cost.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
        wait::{WaitStatus, waitpid},
    },
    time::{ClockId, clock_gettime},
    unistd::{ForkResult, fork},
};
use pam_otp_tests::pam::{Call, Code, Host, Transaction};

use crate::entrant::Entrant;

/// Nanoseconds of wall-clock time and of CPU time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: u64,
    /// `None` where it is spread over processes of others.
    pub(crate) cpu: Option<u64>,
}

/// Answers PAM's question with the code, and skips the delay after a failure.
struct Person(Vec<u8>);

impl Host for Person {
    fn prompt(&mut self, _echo: bool, _text: &str) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }

    fn tell(&mut self, _error: bool, _text: &str) {}
}

/// `pam_start`, `pam_authenticate`, `pam_end`, and for the limit the record of the code's use.
pub(crate) fn login(service: &str, confdir: &Path, user: &str, mark: Option<&Path>, code: &str) -> Code {
    let (transaction, result) = authenticated(service, confdir, user, code);
    drop(transaction);
    if let Some(mark) = mark {
        record(mark);
    }
    result
}

fn authenticated(service: &str, confdir: &Path, user: &str, code: &str) -> (Transaction, Code) {
    let person = Box::new(Person(code.as_bytes().to_vec()));
    let mut transaction = Transaction::start(service, Some(user), Some(confdir), person).unwrap();
    transaction.take_over_delays();
    let result = transaction.call(Call::Authenticate);
    (transaction, result)
}

/// The cheapest durable record of a code's use.
fn record(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.lock().unwrap();
    let mut slot = [0; 2048];
    file.read_exact_at(&mut slot, 0).unwrap();
    file.write_all_at(&slot, 2048).unwrap();
    file.sync_data().unwrap();
}

/// A login in this process.
pub(crate) fn warm(entrant: &Entrant, code: &str) -> (Code, Cost) {
    let (service, confdir) = (entrant.service.name(), entrant.service.confdir().unwrap());
    let (start, cpu) = (Instant::now(), cpu_time());
    let result = login(service, confdir, &entrant.user, entrant.mark.as_deref(), code);
    let cost = Cost { wall: nanoseconds(start), cpu: Some(cpu_time() - cpu) };
    (result, cost)
}

/// A login in a new process, from the process's start to its end.
pub(crate) fn fresh(entrant: &Entrant, code: &str) -> (Code, Cost) {
    let mut command = process("logins", entrant, &[code]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
    let wall = nanoseconds(start);
    let numbers = numbers(&said);
    (Code(i32::try_from(numbers[0]).unwrap()), Cost { wall, cpu: Some(numbers[1]) })
}

/// This program in a new process: `logins` logs in once with each code, `memory` with one.
pub(crate) fn process(what: &str, entrant: &Entrant, codes: &[&str]) -> Command {
    // By its path: under strace or valgrind, /proc/self/exe is another program.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(what).arg(entrant.service.confdir().unwrap()).args([entrant.service.name(), &entrant.user]);
    command.arg(entrant.mark.as_deref().unwrap_or(Path::new(""))).args(codes);
    command
}

/// The numbers that such a process prints.
pub(crate) fn numbers(said: &str) -> Vec<u64> {
    said.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// A login through what the first arguments name, as [`process`] gives them, with a code.
fn named<I: Iterator<Item = String>>(arguments: &mut I) -> Option<impl Fn(&str) -> Code + use<I>> {
    let (confdir, service, user) = (arguments.next()?, arguments.next()?, arguments.next()?);
    let mark = arguments.next().filter(|mark| !mark.is_empty());
    Some(move |code: &str| login(&service, Path::new(&confdir), &user, mark.as_deref().map(Path::new), code))
}

/// A line for each login: result, CPU time so far, page faults so far.
pub(crate) fn logins(mut arguments: impl Iterator<Item = String>) -> Option<()> {
    let log_in = named(&mut arguments)?;
    for code in arguments {
        let result = log_in(&code);
        println!("{} {} {}", result.0, cpu_time(), page_faults());
    }
    Some(())
}

/// For each code that is read, a login in a process of its own, and a line for it: result, nanoseconds, CPU time.
pub(crate) fn logins_forked(mut arguments: impl Iterator<Item = String>) -> Option<()> {
    let log_in = named(&mut arguments)?;
    for code in std::io::stdin().lines() {
        let (code, start, cpu) = (code.unwrap(), Instant::now(), cpu_time_of_children());
        #[expect(unsafe_code, reason = "Rust has no other way to fork")]
        // SAFETY: this process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => std::process::exit(log_in(&code).0),
            ForkResult::Parent { child } => {
                let WaitStatus::Exited(_, result) = waitpid(child, None).unwrap() else { return None };
                println!("{result} {} {}", nanoseconds(start), cpu_time_of_children() - cpu);
            }
        }
    }
    Some(())
}

/// A line with the result and the kilobytes resident before the login, at its end and after it; a second line with the
/// private kilobytes.
pub(crate) fn memory(mut arguments: impl Iterator<Item = String>) -> Option<()> {
    let (confdir, service, user, _) = (arguments.next()?, arguments.next()?, arguments.next()?, arguments.next()?);
    let resident = || [in_memory("Rss:"), in_memory("Private_Dirty:")];
    let before = resident();
    let (transaction, result) = authenticated(&service, Path::new(&confdir), &user, &arguments.next()?);
    let during = resident();
    drop(transaction);
    let after = resident();
    println!("{} {} {} {}", result.0, before[0], during[0], after[0]);
    println!("{} {} {}", before[1], during[1], after[1]);
    Some(())
}

/// Kilobytes of this process, as the kernel counts them.
fn in_memory(kind: &str) -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn page_faults() -> u64 {
    // proc(5): minflt is the tenth field; the second, the program's name, has no blank.
    fs::read_to_string("/proc/self/stat").unwrap().split(' ').nth(9).unwrap().parse().unwrap()
}

fn cpu_time_of_children() -> u64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let times = [used.user_time(), used.system_time()];
    times.into_iter().map(|time| u64::try_from(time.num_microseconds()).unwrap() * 1000).sum()
}

fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    u64::try_from(time.tv_sec()).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap()
}

pub(crate) fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}
