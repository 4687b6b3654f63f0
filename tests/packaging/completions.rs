//! Completions of otp-enroll, in the shells that people type into, found where `make install` has put them.

use pam_otp_tests::{machine, outcome::Outcome, pty::Pty};
use std::process::Command;

/// A user types each of these and a Tab, in a shell without settings of their own, and sees the text beside it.
fn types(shell: &str, arguments: &[&str], set_up: &str, steps: &[(&str, &str)]) {
    machine::require("asking what is installed");
    let mut terminal = Pty::new(shell).args(arguments).env("PS1", "ready> ").env("LC_ALL", "C.UTF-8").start();
    terminal.wait_for("ready> ");
    terminal.send_line(&format!("{set_up}; echo 'SET''-UP'"));
    terminal.wait_for("SET-UP");
    terminal.wait_for("ready> ");
    for (typed, seen) in steps {
        terminal.send(format!("{typed}\t"));
        terminal.wait_for_screen(seen);
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let set_up = ". /usr/share/bash-completion/bash_completion";
    let steps = [
        ("otp-enroll adm", "otp-enroll admin "),
        ("sho", "otp-enroll admin show "),
        ("--js", "otp-enroll admin show --json "),
    ];
    types("bash", &["--norc", "--noprofile", "-i"], set_up, &steps);
    types("bash", &["--norc", "--noprofile", "-i"], set_up, &[("otp-enroll completions f", "completions fish ")]);
}

#[test]
fn zsh_completes_commands_options_and_users() {
    let steps = [
        ("otp-enroll adm", "otp-enroll admin "),
        ("unl", "otp-enroll admin unlock "),
        ("--js", "otp-enroll admin unlock --json "),
        ("_ap", "otp-enroll admin unlock --json _apt "),
    ];
    types("zsh", &["-f", "-i"], "autoload -Uz compinit && compinit -u -D", &steps);
}

#[test]
fn fish_completes_commands_options_and_users() {
    machine::require("asking what is installed");
    let completed = |typed: &str| {
        let mut fish = Command::new("fish");
        fish.args(["--command", &format!("complete --do-complete '{typed}'")]).env("HOME", "/tmp");
        // As a desktop session sets it; without it, fish does not look beneath /usr/local.
        fish.env("XDG_DATA_DIRS", "/usr/local/share:/usr/share").env("LC_ALL", "C.UTF-8");
        let outcome = Outcome::of(&mut fish, "");
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
        outcome.out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(completed("otp-enroll adm"), ["admin"]);
    assert_eq!(completed("otp-enroll admin un"), ["unlock", "unrequire"]);
    assert_eq!(completed("otp-enroll admin explain --rh"), ["--rhost"]);
    assert!(completed("otp-enroll status --user _ap").contains(&"_apt".to_owned()));
}
