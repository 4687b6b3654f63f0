//! Commands about all users: how often they read and write, in what order they speak, and how they are interrupted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{desk::Desk, machine, outcome::Outcome, pty::Pty, site::Site, users::TestUser};
use std::{collections::HashMap, fs, process::Command};

const CTRL_C: &str = "\u{3}";

/// As many records that cannot be used.
fn spoilt(site: &Site, count: usize) {
    for number in 0..count {
        fs::write(site.state().join(format!("other-{number:03}.toml")), "").unwrap();
    }
}

/// The calls of this kind that `otp-enroll admin` makes, as strace writes them.
fn calls(site: &Site, kind: &str, arguments: &[&str]) -> Vec<String> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "70000", "-e", kind, "-o"]).arg(trace.path());
    command.args(["otp-enroll", "--config"]).arg(site.config()).arg("admin").args(arguments);
    command.output().unwrap();
    let trace = fs::read_to_string(trace.path()).unwrap();
    // A call of one thread may be begun on one line and end on another.
    let (mut calls, mut begun) = (Vec::new(), HashMap::new());
    for line in trace.lines().filter(|line| !line.contains("+++")) {
        let thread = line.split(' ').next().unwrap();
        if let Some(beginning) = line.strip_suffix("<unfinished ...>") {
            begun.insert(thread, beginning.trim_end());
        } else if line.contains(" resumed>") {
            let (_, result) = line.rsplit_once("= ").unwrap();
            calls.push(format!("{}) = {result}", begun.remove(thread).unwrap()));
        } else {
            calls.push(line.to_owned());
        }
    }
    calls
}

/// A folder with a `getent` that names so many users, and does not come to an end.
fn endless_names(count: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\nfor number in $(seq {count}); do echo \"other-$number:x:$((4000 + number)):1::/:/bin/sh\"; done\n\
         exec sleep 60\n"
    );
    fs::write(dir.path().join("script"), script).unwrap();
    // By another process: see `machine::program`.
    let (script, program) = (dir.path().join("script"), dir.path().join("getent"));
    machine::run(Command::new("install").args(["-m", "0755"]).args([script, program]));
    dir
}

#[test]
fn each_file_is_opened_once() {
    let desk = Desk::new("");
    let bob = TestUser::new("bob");
    for arguments in [&["list"][..], &["report"], &["list", "--without-device"]] {
        let opened = calls(&desk.site, "openat", arguments);
        for kind in ["toml", "state"] {
            let of = |user: &str| opened.iter().filter(|call| call.contains(&format!("\"{user}.{kind}\""))).count();
            assert_eq!(of(&desk.user.name), 1, "{arguments:?}: {opened:#?}");
            let looked_for = usize::from(arguments != ["list"] && kind == "toml");
            assert_eq!(of(&bob.name), looked_for, "{arguments:?}: {opened:#?}");
        }
        let opened_directory = |call: &&String| call.contains(&format!("{:?}, O_RDONLY|O_NOFOLLOW", desk.site.state()));
        assert!(opened.iter().filter(opened_directory).count() <= 1, "{arguments:?}: {opened:#?}");
    }
}

#[test]
fn a_pipe_gets_many_lines_at_once_and_no_part_of_a_line() {
    let site = Site::new("");
    spoilt(&site, 300);
    for arguments in [&["list"][..], &["list", "--json"]] {
        let calls = calls(&site, "write", arguments);
        let written: Vec<&String> = calls.iter().filter(|call| call.contains(" write(1, ")).collect();
        for call in &written {
            let (text, length) = call.rsplit_once(") = ").unwrap();
            assert!(text.trim_end_matches(|sign: char| sign != '"').trim_end_matches('"').ends_with("\\n"), "{call}");
            assert!(length.trim().parse::<usize>().unwrap() <= 4096, "{call}");
        }
        let lines: usize = written.iter().map(|call| call.matches("\\n").count()).sum();
        assert!(lines >= 300 && written.len() * 10 < lines, "{} calls, {lines} lines", written.len());
    }
}

#[test]
fn records_are_listed_in_order() {
    let site = Site::new("");
    spoilt(&site, 600);
    let outcome = Outcome::of(site.admin_command().arg("list").arg("--json"), "");
    let names: Vec<String> =
        outcome.json().iter().filter_map(|line| line["file"].as_str().map(str::to_owned)).collect();
    assert_eq!(names, (0..600).map(|number| format!("other-{number:03}")).collect::<Vec<_>>());
}

#[test]
fn what_was_found_before_an_error_is_said_before_it() {
    let rule = |lines: &str| format!("[[policy.rule]]\n{lines}\n");
    let rules = rule("user = \"root\"\nsecond_factor = \"skip\"") + &rule("group = \"gone\"\nsecond_factor = \"skip\"");
    let (site, _bob) = (Site::new(&rules), TestUser::new("bob"));
    let outcome = Outcome::of(site.admin_command().args(["list", "--without-device", "--json"]), "");
    let lines = outcome.json();
    assert_eq!((outcome.code, lines.len(), &lines[0]["user"]), (Some(4), 2, &"root".into()), "{outcome:?}");
    assert!(lines[1]["error"].as_str().unwrap().contains("names the group"), "{outcome:?}");
}

#[test]
fn what_is_done_to_many_is_done_to_all_of_them_even_with_a_closed_output() {
    let site = Site::new("");
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let required = |user: &TestUser| site.admin(&["show", "--json", &user.name]).contains("\"required\"");
    for (option, text) in [
        ("--json", "done, but writing to standard output failed: "),
        ("", "done, but writing to standard output failed: "),
        ("--end-sessions --yes", "a second factor is required from now on, but sessions could not be ended: "),
    ] {
        site.admin(&["unrequire", &alice.name, &bob.name]);
        let config = site.config().display();
        let command = format!("otp-enroll --config {config} admin require {option} {} {}", alice.name, bob.name);
        let outcome = Outcome::of(Command::new("bash").args(["-c", &format!("{command} > /dev/full")]), "");
        assert_eq!(outcome.code, Some(5), "{outcome:?}");
        assert!(outcome.err.starts_with(&format!("otp-enroll: {text}")), "{outcome:?}");
        assert!(required(&alice) && required(&bob), "{option}: {outcome:?}");
    }
}

#[test]
fn ctrl_c_ends_it_at_once_and_leaves_nothing_on_the_line() {
    let (site, names) = (Site::new(""), endless_names(600));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", names.path().display());
    let line = "waiting for the names of users: 512";
    for arguments in [&["list", "--without-device"][..], &["report"]] {
        let fixed = ["--config", site.config().to_str().unwrap(), "admin"];
        let mut terminal = Pty::new("otp-enroll").args(fixed.iter().chain(arguments)).env("PATH", &path).start();
        terminal.wait_for_screen(line);
        terminal.send(CTRL_C);
        assert_eq!(terminal.wait().code(), Some(130), "{}", terminal.transcript());
        assert!(terminal.transcript().contains("^C"), "{:?}", terminal.transcript()); // the terminal writes it
        let screen = terminal.screen();
        assert!(!screen.contains("waiting") && !screen.contains("^C"), "{screen}");
    }
}
