//! Costs that do not vary between runs: system calls, flushes, page faults, memory, instructions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use pam_otp_tests::machine;

use crate::callgrind::{self, Profile};
use crate::entrant::{Entrant, Who};
use crate::login::{numbers, process};

/// One login's counts: those of a process's second login, and the memory of its first.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) who: Who,
    pub(crate) calls: u64,
    /// Without mmap, munmap, mprotect and brk.
    pub(crate) calls_not_for_memory: u64,
    pub(crate) flushes: u64,
    pub(crate) page_faults: u64,
    pub(crate) instructions: u64,
    /// Kilobytes that the first login adds to its host while it runs, and the private part of them.
    pub(crate) resident: i64,
    pub(crate) private: i64,
    /// Kilobytes that stay after the login.
    pub(crate) left: i64,
    pub(crate) profile: Profile,
    /// Of a process with one login, from its start to its end.
    pub(crate) cold: Profile,
}

/// Counts one entrant's logins.
pub(crate) fn count(entrant: &Entrant) -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let (once, twice) = (trace(entrant, 1, dir.path()), trace(entrant, 2, dir.path()));
    let further = |which: &dyn Fn(&str) -> bool| {
        let sum = |calls: &BTreeMap<String, u64>| -> u64 {
            calls.iter().filter(|(name, _)| which(name)).map(|(_, count)| count).sum()
        };
        sum(&twice) - sum(&once)
    };
    let faults = numbers(&said(entrant, Command::new("env"), 2, "logins"));
    let memory = numbers(&said(entrant, Command::new("env"), 1, "memory"));
    let gain = |from: usize, to: usize| i64::try_from(memory[to]).unwrap() - i64::try_from(memory[from]).unwrap();
    let cold = instructions(entrant, 1, dir.path());
    let profile = instructions(entrant, 2, dir.path()).less(&cold);
    Counts {
        who: entrant.who,
        calls: further(&|_| true),
        calls_not_for_memory: further(&|name| !["mmap", "munmap", "mprotect", "brk"].contains(&name)),
        flushes: further(&|name| ["fsync", "fdatasync", "sync", "syncfs"].contains(&name)),
        page_faults: faults[5] - faults[2],
        instructions: profile.total(),
        resident: gain(1, 2),
        left: gain(1, 3),
        private: gain(4, 5),
        profile,
        cold,
    }
}

/// System calls by name. The process's write of its line is in both logins, and in permit's.
fn trace(entrant: &Entrant, logins: usize, dir: &Path) -> BTreeMap<String, u64> {
    let file = dir.join("strace");
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--output"]).arg(&file);
    said(entrant, strace, logins, "logins");
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let line = line.trim_start_matches(|symbol: char| symbol.is_ascii_digit() || symbol == ' ');
        if let Some((name, _)) = line.split_once('(').filter(|(name, _)| !name.starts_with(['+', '-', '<'])) {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

fn instructions(entrant: &Entrant, logins: usize, dir: &Path) -> Profile {
    Profile::read(&callgrind(entrant, logins, dir, "yes"))
}

/// The functions of our module that one login of a new process runs, by the names of their symbols.
pub(crate) fn functions(entrant: &Entrant) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    callgrind::run_in_module(&callgrind(entrant, 1, dir.path(), "no"))
}

fn callgrind(entrant: &Entrant, logins: usize, dir: &Path, demangled: &str) -> String {
    let file = dir.join("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]).arg(format!("--demangle={demangled}"));
    valgrind.arg(format!("--callgrind-out-file={}", file.display()));
    said(entrant, valgrind, logins, "logins");
    fs::read_to_string(file).unwrap()
}

/// Runs logins in one process under a tool. Each must be let in.
fn said(entrant: &Entrant, mut tool: Command, logins: usize, what: &str) -> String {
    entrant.restore();
    // The codes of this step and the next one: both are still accepted if a step ends meanwhile.
    let codes = [entrant.key.shown(0), entrant.key.shown(1)];
    let codes: Vec<&str> = codes.iter().map(String::as_str).take(logins).collect();
    let host = process(what, entrant, &codes);
    tool.arg(host.get_program()).args(host.get_args()).stdin(Stdio::null());
    let said = machine::run(&mut tool);
    entrant.restore();
    let refused = said.lines().take(logins).find(|line| !line.starts_with("0 "));
    assert_eq!(refused, None, "{}: {tool:?}", entrant.who.name());
    said
}
