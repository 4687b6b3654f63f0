//! Processes that are stopped at each of their system calls, while another process does a whole operation, and then go on.
//!
//! The stopped ones are the ignored tests at the end, run in a process of its own each, under strace. The other process waits
//! for no lock: it fences at once, as if it had waited.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::fence::fence;
use super::*;

/// The calls by which the store touches files, and between which another process may do anything.
const CALLS: &str = "openat,newfstatat,fstat,statx,flock,pread64,pwrite64,write,fdatasync,fsync,renameat,renameat2,\
                     unlinkat,fchmod,fchown,lseek";

/// A process begins its operation when this file exists.
const BEGIN: &str = "the-operation-begins";

/// Where a process is stopped: the how-manieth call of this name.
type Point = (String, usize);

/// A program that runs one of the ignored tests below.
struct Program {
    folder: TempDir,
    test: &'static str,
    uid: u32,
}

impl Program {
    fn new(test: &'static str, uid: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("tests");
        assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
        Self { folder, test, uid }
    }

    /// Starts it, and follows its calls from the beginning of the operation on.
    fn start(&self, home: &Home, options: &[String]) -> Stopped {
        let mut program = Command::new(self.folder.path().join("tests"));
        program.args(["--exact", "--ignored", "--nocapture"]);
        program.arg(format!("store::files::tests::stopped::{}", self.test));
        program.current_dir(home.directory.path()).uid(self.uid).gid(if self.uid == 0 { 0 } else { GROUP });
        let mut program = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let thread = value_after("THREAD ", &mut output);
        let trace = tempfile::NamedTempFile::new().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["--quiet=attach", "-p", &thread, "-o"]).arg(trace.path()).args(options);
        let strace = strace.spawn().unwrap();
        let stopped = Stopped { program, output, strace, trace };
        stopped.wait_for(&[BEGIN]);
        fs::write(home.path(BEGIN), "").unwrap();
        stopped
    }

    /// All points of one run.
    fn points(&self, home: &Home) -> Vec<Point> {
        let mut run = self.start(home, &["-e".into(), format!("trace=readlink,{CALLS}")]);
        assert!(run.strace.wait().unwrap().success());
        let trace = fs::read_to_string(run.trace.path()).unwrap();
        let (mut counts, mut points) = (HashMap::new(), Vec::new());
        for call in trace.lines().filter_map(|line| line.split_once('(')).map(|(call, _)| call) {
            let nth = counts.entry(call).or_insert(0);
            *nth += 1;
            if call != "readlink" && call != "write" {
                points.push((call.to_owned(), *nth));
            }
        }
        run.go_on();
        assert!(points.len() > 5, "{trace}");
        points
    }

    /// Runs until the end of the call.
    fn stopped_at(&self, home: &Home, (call, nth): &Point) -> Stopped {
        let inject = format!("inject={call}:signal=SIGSTOP:when={nth}");
        let options = ["-e".into(), format!("trace=readlink,{call}"), "-e".into(), inject];
        let stopped = self.start(home, &options);
        // Another process was stopped before it: then it may make fewer calls.
        stopped.wait_for(&["--- stopped by SIGSTOP ---", "+++ exited with 0 +++"]);
        fs::remove_file(home.path(BEGIN)).unwrap();
        stopped
    }
}

/// Reads lines until one has `key` in it.
fn value_after(key: &str, output: &mut BufReader<ChildStdout>) -> String {
    let mut all = String::new();
    while output.read_line(&mut all).unwrap() > 0 {
        if let Some((_, value)) = all.lines().last().and_then(|line| line.split_once(key)) {
            return value.to_owned();
        }
    }
    panic!("no {key} in {all}");
}

struct Stopped {
    program: Child,
    output: BufReader<ChildStdout>,
    strace: Child,
    trace: tempfile::NamedTempFile,
}

impl Stopped {
    fn wait_for(&self, any: &[&str]) {
        for _ in 0..10_000 {
            let trace = fs::read_to_string(self.trace.path()).unwrap();
            if any.iter().any(|what| trace.contains(what)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("none of {any:?} in {}", fs::read_to_string(self.trace.path()).unwrap());
    }

    /// Lets it go on, and returns its answer.
    fn go_on(mut self) -> String {
        let program = self.program.id().to_string();
        assert!(Command::new("kill").args(["-CONT", &program]).status().unwrap().success());
        let answer = value_after("ANSWER ", &mut self.output);
        assert!(self.program.wait().unwrap().success());
        self.strace.wait().unwrap();
        answer
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // After a test that failed; elsewhere both have ended.
        let _ = (self.program.kill(), self.strace.kill(), self.program.wait(), self.strace.wait());
    }
}

impl Home {
    /// Waits for no lock.
    fn fence_if_locked(&self) {
        if let Some(state) = self.store.open_file("alice.state", OFlag::O_RDWR).unwrap()
            && state.try_lock().is_err()
        {
            fence(self);
        }
    }

    /// Puts an enrollment in force if the one before it still is.
    fn enroll_after(&self, before: Option<u8>, next: u8) -> Result<bool, StoreError> {
        change(&self.store, &alice(), &NOTE, |found| {
            if found.map(|record| record.credentials.enrollment) != before.map(|before| EnrollmentId([before; 16])) {
                return (Change::Keep, false);
            }
            (Change::Record(Box::new(re_enrolled(&record(vec![phone(1)]), next))), true)
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test takes decides about no login")]
fn all_or_some<T>(points: Vec<T>, each: usize) -> Vec<T> {
    let in_full = std::env::var_os("PAM_OTP_PROOF").is_some_and(|set| set == "1");
    points.into_iter().step_by(if in_full { 1 } else { each }).collect()
}

fn at_each_call(
    test: &'static str,
    uid: u32,
    home: impl Fn() -> Home,
    meanwhile: impl Fn(&Home) -> String,
) -> Vec<Run> {
    let program = Program::new(test, uid);
    let mut runs = Vec::new();
    for point in program.points(&home()) {
        let home = home();
        let stopped = program.stopped_at(&home, &point);
        home.fence_if_locked();
        let other = meanwhile(&home);
        let late = stopped.go_on();
        runs.push(Run { home, at: format!("{test} at {point:?}: {other} meanwhile, then {late}"), other, late });
    }
    runs
}

struct Run {
    home: Home,
    at: String,
    other: String,
    late: String,
}

fn answer<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("ERROR {error}"),
    }
}

#[test]
fn a_code_is_accepted_once_at_most_wherever_one_of_two_logins_is_stopped() {
    for (uid, test) in [(0, "log_in"), (1000, "log_in"), (0, "fence_and_log_in"), (1000, "fence_and_log_in")] {
        let accepted = format!("{:?}", by_phone());
        for Run { home, at, other, late } in
            at_each_call(test, uid, Home::enrolled, |home| answer(home.login(&right())))
        {
            let answers = [other, late];
            assert!(answers.iter().filter(|answer| **answer == accepted).count() <= 1, "{at}");
            assert!(answers.iter().all(|answer| !answer.contains("ERROR")), "{at}");
            assert_eq!(answer(home.login(&right())), format!("{REPLAYED:?}"), "{at}");
            assert_eq!(home.names(), ["alice.state", "alice.toml"], "{at}");
        }
    }
}

#[test]
fn a_recovery_code_is_accepted_once_at_most_wherever_one_of_two_logins_is_stopped() {
    for Run { home, at, other, late } in
        at_each_call("recover", 0, Home::enrolled, |home| answer(home.login(&recovery(3))))
    {
        let accepted = [&other, &late].into_iter().filter(|answer| answer.starts_with("Accepted")).count();
        assert!(accepted <= 1, "{at}");
        assert!(answer(home.login(&recovery(3))).starts_with("Refused"), "{at}");
        assert_eq!(home.read().state.used.0, 1 << 3, "{at}");
    }
}

#[test]
fn every_wrong_code_that_was_answered_counts_wherever_one_of_two_logins_is_stopped() {
    for Run { home, at, .. } in at_each_call("guess", 1000, Home::enrolled, |home| answer(home.login(&wrong()))) {
        assert!(!at.contains("ERROR"), "{at}");
        let failures = home.read().state.failures;
        // One that was written, and not answered before the fence, counts twice.
        assert!((2..=3).contains(&failures), "{failures} {at}");
    }
}

#[test]
fn whoever_is_stopped_amid_a_change_of_credentials_undoes_no_other() {
    for (test, uid) in [("enroll_again", 0), ("enroll_again", 1000), ("leave", 1000)] {
        let runs = at_each_call(test, uid, Home::enrolled, |home| {
            home.login(&wrong()).unwrap();
            let new = || re_enrolled(&record(vec![phone(1)]), 3);
            answer(change(&home.store, &alice(), &NOTE, |_| (Change::Record(Box::new(new())), ())))
        });
        for Run { home, at, late, .. } in runs {
            assert!(["true", "false"].contains(&&*late), "{at}");
            assert_eq!(home.read().credentials.enrollment, EnrollmentId([3; 16]), "{at}");
            assert_eq!(home.login(&right()).unwrap(), by_phone(), "{at}");
            assert_eq!(home.login(&right()).unwrap(), REPLAYED, "{at}");
        }
    }
}

#[test]
fn of_two_first_enrollments_one_counts_wherever_the_other_is_stopped() {
    for uid in [0, 1000] {
        for Run { home, at, other, late } in
            at_each_call("enroll_first", uid, Home::empty, |home| answer(home.enroll_after(None, 3)))
        {
            let expected = if other == "true" { 3 } else { 2 };
            assert_eq!(late, if other == "true" { "false" } else { "true" }, "{at}");
            assert_eq!(home.read().credentials.enrollment, EnrollmentId([expected; 16]), "{at}");
            assert_eq!(home.login(&right()).unwrap(), by_phone(), "{at}");
        }
    }
}

#[test]
fn after_a_reset_nothing_comes_back_from_a_change_that_was_stopped() {
    for uid in [0, 1000] {
        let runs = at_each_call("enroll_again", uid, Home::enrolled, |home| answer(home.store.purge(&alice())));
        for Run { home, at, .. } in runs {
            assert!(!home.store.holds(&alice()).unwrap() && !at.contains("ERROR"), "{at}");
            home.enroll(&alice());
            assert_eq!(home.login(&right()).unwrap(), by_phone(), "{at}");
        }
    }
}

#[test]
fn a_process_that_is_killed_at_any_call_is_in_nobodys_way() {
    for (test, uid) in [("fence_and_log_in", 0), ("fence_and_log_in", 1000), ("enroll_again", 1000), ("leave", 1000)] {
        let program = Program::new(test, uid);
        for point in program.points(&Home::enrolled()) {
            let home = Home::enrolled();
            home.login(&wrong()).unwrap();
            drop(program.stopped_at(&home, &point));
            let at = format!("{test} at {point:?}");
            let next = answer(home.login(&right()));
            assert!(
                ["Accepted", "Refused(Replayed", "Refused(NotEnrolled"].iter().any(|all| next.starts_with(all)),
                "{at} {next}"
            );
            let new = || Box::new(re_enrolled(&record(vec![phone(1)]), 3));
            change(&home.store, &alice(), &NOTE, |_| (Change::Record(new()), ())).unwrap();
            assert_eq!(home.login(&right()).unwrap(), by_phone(), "{at}");
            assert_eq!(home.login(&right()).unwrap(), REPLAYED, "{at}");
        }
    }
}

#[test]
fn two_processes_that_are_stopped_amid_fences_change_nothing_when_they_go_on() {
    let (root, helper) = (Program::new("fence_and_log_in", 0), Program::new("fence_and_log_in", 1000));
    let points = all_or_some(root.points(&Home::enrolled()), 6);
    for first in &points {
        for second in &points {
            for reversed in [false, true] {
                let home = Home::enrolled();
                home.login(&wrong()).unwrap();
                let holder = File::open(home.path("alice.state")).unwrap();
                holder.lock().unwrap();
                let mut both = [root.stopped_at(&home, first), helper.stopped_at(&home, second)];
                home.fence_if_locked();
                let mut answers = vec![answer(home.login(&right()))];
                if reversed {
                    both.reverse();
                }
                answers.extend(both.map(Stopped::go_on));
                let at = format!("{first:?} {second:?} {reversed}: {answers:?}");
                let accepted = answers.iter().filter(|answer| answer.starts_with("Accepted")).count();
                assert!(accepted <= 1 && !at.contains("ERROR"), "{at}");
                assert_eq!(answer(home.login(&right())), format!("{REPLAYED:?}"), "{at}");
                assert_eq!(home.names(), ["alice.state", "alice.toml"], "{at}");
            }
        }
    }
}

#[test]
fn whoever_finishes_a_fence_makes_it_durable_before_it_writes() {
    for uid in [0, 1000] {
        let home = Home::enrolled();
        fence(&home); // and killed
        let calls = Program::new("log_in", uid).points(&home);
        let first = |name| calls.iter().position(|(call, _)| call == name);
        assert!(first("fsync").is_some() && first("fsync") < first("pwrite64"), "{calls:?}");
    }
}

/// What a stopped process does.
#[expect(clippy::print_stdout, reason = "the test that stops it reads this")]
fn tell<T: std::fmt::Debug>(operation: impl FnOnce(&Home) -> Result<T, StoreError>) {
    let store = FileStore::open(Path::new(".")).unwrap();
    let home = Home { directory: tempfile::tempdir().unwrap(), store };
    println!("THREAD {}", fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().display());
    // A call that no operation makes.
    while matches!(fs::read_link(BEGIN), Err(error) if error.kind() == ErrorKind::NotFound) {
        thread::sleep(Duration::from_millis(1));
    }
    let answer = answer(operation(&home));
    println!("ANSWER {answer}");
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn log_in() {
    tell(|home| home.login(&right()));
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn recover() {
    tell(|home| home.login(&recovery(3)));
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn guess() {
    tell(|home| home.login(&wrong()));
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn fence_and_log_in() {
    tell(|home| {
        let state = home.store.open_file("alice.state", OFlag::O_RDWR)?.unwrap();
        drop(home.store.fence(&alice(), &Names::of(&alice()), &state)?);
        home.login(&right())
    });
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn enroll_again() {
    tell(|home| home.enroll_after(Some(1), 2));
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn enroll_first() {
    tell(|home| home.enroll_after(None, 2));
}

#[test]
#[ignore = "is stopped at each of its calls by the tests above"]
fn leave() {
    tell(|home| {
        change(&home.store, &alice(), &NOTE, |found| match found.map(|record| record.credentials.enrollment) {
            Some(EnrollmentId([1, ..])) => (Change::Nothing, true),
            _ => (Change::Keep, false),
        })
    });
}
